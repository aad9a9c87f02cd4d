"""Explain the last failure of a stack: the cause behind AWS's event, and what helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.causes import containers, gathering
from lib.causes.evidence import LOG_LINES, Case, Evidence, draw
from lib.deploy import outcomes
from lib.drawing import measure_width, wrap
from lib.stacks import events, obstacles, stacks, statuses

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.obstacles import Obstacle
    from lib.stacks.stacks import Stack


@dataclass(frozen=True)
class Explanation:
    """Why a stack's latest operation failed; `reason` is "" where it did not.

    `path` is the resource that failed first. `status` is the stack's, `means` what AWS's wording
    is known to mean, "" for one that is not known.
    """

    stack: str
    region: str
    status: str
    path: str
    type: str
    reason: str
    means: str
    evidence: tuple[Evidence, ...]
    next_step: str


def explain(job: Job, access: Access) -> Explanation:
    """Return what is behind the failure of a stack's latest operation.

    Where nothing failed, the tasks of the application are looked at, which fail without the
    stack's knowledge. Raises `StateForbids` when there is no stack.
    """
    cfn = access.aws.client("cloudformation")
    stack = stacks.require_created(cfn, job)
    found = events.read_operation(cfn, stack.id)
    cause = events.tell_cause(cfn, found)
    if cause is None:
        return _explain_tasks(job, access, stack)
    stuck = obstacles.look(cfn, stack.id, stack.status)
    others = [one for one in stuck if one.path != cause.path]
    evidence = (*gathering.look(job, access, cause, found), *_describe_stuck(others))
    known = gathering.advise(cause.reason, evidence)
    return Explanation(
        stack.name,
        job.region,
        stack.status,
        cause.path,
        cause.type,
        cause.reason or cause.status,
        known.means if known else "",
        evidence,
        _next_step(job, stack, stuck, known.next_step(job.flags) if known else ""),
    )


def _describe_stuck(stuck: Sequence[Obstacle]) -> tuple[Evidence, ...]:
    """Return what a stack is stuck at as evidence."""
    return tuple(Evidence(f"stuck at {one.name}", one.reason or one.status) for one in stuck)


def _next_step(job: Job, stack: Stack, stuck: Sequence[Obstacle], helps: str) -> str:
    """Return what helps, and first what frees a stack that is stuck.

    What failed in a stack that rests, failed while what an update took out was deleted.
    """
    if stuck:
        return outcomes.next_step(job, stack.status, stuck)
    if stack.status.is_healthy:
        return f"inv rollback {job.flags} says what was left behind, and what frees it"
    return helps or statuses.next_after(stack.status).format(target=job.flags)


def _explain_tasks(job: Job, access: Access, stack: Stack) -> Explanation:
    """Return why the newest task of the application's cluster stopped, if it failed."""
    cfn = access.aws.client("cloudformation")
    evidence: tuple[Evidence, ...] = ()
    clusters = [one for one in stacks.walk(cfn, stack.id) if one.type == containers.CLUSTER]
    for one in clusters:
        now = access.clock.now()
        case = Case(one.path, one.type, one.physical_id, one.stack_id, stack.status, "", now)
        evidence += gathering.investigate(job, access, case)
    known = gathering.advise("", evidence)
    return Explanation(
        stack.name,
        job.region,
        stack.status,
        "",
        "",
        "",
        known.means if known else "",
        evidence,
        known.next_step(job.flags) if known else "",
    )


def draw_explanation(one: Explanation) -> str:
    """Return an explanation as text, the answer first."""
    where = f"Stack {one.stack} in {one.region}"
    if one.reason:
        lines = [f"{where} ({one.status}): {one.path or 'the stack itself'} failed."]
        lines.append(f"AWS says: {one.reason}")
    else:
        lines = [f"{where} ({one.status}): nothing failed in its last operation."]
    lines += [f"Means: {one.means}."] if one.means else []
    lines += draw(one.evidence, lines=LOG_LINES + 1)
    lines += [f"Next: {one.next_step}"] if one.next_step else []
    width = measure_width()
    return "\n".join(part for line in lines for part in wrap(line, width, hang=2))
