"""Delete a stack: show what goes and what stays, ask, wait, list what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lib.data import consent, loss
from lib.deploy import protection, running_tasks
from lib.deploy.change_list import list_changes
from lib.deploy.outcomes import Outcome, conclude, look_into, telling_changes, unchanged
from lib.errors import Declined, OperationFailed, StateForbids
from lib.operators import Level, Listing
from lib.stacks import deployed, events, obstacles, stacks, watching
from lib.stacks.deployed import Deployed
from lib.stacks.statuses import Status
from lib.templates.changes import Change

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job, Options
    from lib.stacks.obstacles import Obstacle
    from lib.stacks.stacks import Stack


@dataclass(frozen=True)
class StackDeletion:
    """One DeleteStack: of which stack, by its path, and what it is to let go of."""

    path: str
    stack_id: str
    retain: tuple[str, ...] = ()
    force: bool = False


@dataclass(frozen=True)
class Teardown:
    """A deletion: all that goes, the data among it, clusters, and the steps in order."""

    everything: tuple[Change, ...]
    removed: tuple[Change, ...]
    clusters: tuple[str, ...]
    steps: tuple[StackDeletion, ...]


def delete(job: Job, access: Access, options: Options, stack: Stack) -> Outcome:
    """Delete a stack after showing its data's fate and asking.

    `options.retain` and `options.force` get rid of a stack in DELETE_FAILED. Raises
    `StateForbids` for either in another state, `InputError` for a name that is not in the way,
    `Declined`, and `DataLossRefused` when data would be destroyed that no consent names.
    """
    plan = _look(job, access, options, stack)
    title = f"Deleting stack {stack.name} in {job.region} does this:"
    access.operator.report(list_changes(title, plan.everything))
    if options.preview:
        return replace(unchanged(job, stack), changes=plan.everything, preview=True)
    others = len(plan.everything) - len(plan.removed)
    question = f"Delete stack {stack.name} and {others} other resources?"
    with telling_changes(plan.everything):
        if not access.operator.confirm(question, "y"):
            raise Declined(f"Stack {stack.name} in {job.region} was not deleted.")
    return _act(job, access, options, stack, plan)


def clear(job: Job, access: Access, options: Options, stack: Stack) -> None:
    """Delete what a failed creation left, without asking again; its data is guarded all the same.

    Raises `OperationFailed` when something could not be deleted.
    """
    outcome = _act(job, access, options, stack, _look(job, access, options, stack))
    if outcome.failure:
        raise OperationFailed(
            f"Stack {stack.name} in {job.region} could not be deleted: {outcome.failure.reason}",
            next_step=outcome.next_step,
        )


def _look(job: Job, access: Access, options: Options, stack: Stack) -> Teardown:
    """Read the stack, and plan its deletion and what that does to everything that holds data."""
    _require_failed(job, options, stack)
    if stack.status is Status.REVIEW_IN_PROGRESS:
        # Nothing was created, and CloudFormation has no template to give.
        return Teardown((), (), (), (StackDeletion("", stack.id),))
    before = deployed.read(access.aws.client("cloudformation"), stack)
    live = [one for one in before.resources if one.status != "DELETE_SKIPPED"]
    removals = tuple(
        Change(one.path, one.type, "Remove", physical_id=one.physical_id) for one in live
    )
    judged = loss.judge(removals, deployed.resolve_deployed(job, access, before), None)
    found = _show_obstacles(job, access, stack, before)
    kept = obstacles.choose(
        found, options.retain, "--retain", command=f"inv deploy --delete {job.flags}"
    )
    everything = consent.count_items(access, _spare(judged, kept))
    return Teardown(
        everything,
        tuple(change for change in everything if change.type in loss.STATEFUL),
        running_tasks.find_clusters(live),
        plan_steps(before, stack, found, kept, force=options.force),
    )


def _require_failed(job: Job, options: Options, stack: Stack) -> None:
    """Refuse what AWS takes only after a deletion that failed.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html
    """
    flag = "--retain" if options.retain else "--force" if options.force else ""
    if flag and stack.status is not Status.DELETE_FAILED:
        raise StateForbids(
            f"{flag} only helps a deletion that failed; stack {stack.name} in {job.region} is "
            f"{stack.status}.",
            next_step=f"inv deploy --delete {job.flags}",
        )


def _show_obstacles(
    job: Job, access: Access, stack: Stack, before: Deployed
) -> tuple[Obstacle, ...]:
    """Return and show what the last deletion failed at."""
    if stack.status is not Status.DELETE_FAILED:
        return ()
    cfn = access.aws.client("cloudformation")
    found = obstacles.explain(cfn, obstacles.find(before.resources, stack.status), stack.status)
    title = f"Not deleted in stack {stack.name} in {job.region}:"
    access.operator.report(Listing(title, obstacles.COLUMNS, obstacles.as_rows(found)))
    return found


def _spare(judged: Sequence[Change], kept: Sequence[Obstacle]) -> tuple[Change, ...]:
    """Return the verdicts with what is retained by name told apart: it is not destroyed."""
    paths = {one.path for one in kept}
    verdict = "orphaned: stays in the account, no longer managed (--retain)"
    return tuple(
        replace(change, data_loss="possible", verdict=verdict)
        if change.data_loss == "certain" and _is_within(change.path, paths)
        else change
        for change in judged
    )


def _is_within(path: str, above: set[str]) -> bool:
    """Tell whether a path is among some, or inside a nested stack among them."""
    parts = path.split("/")
    return any("/".join(parts[:depth]) in above for depth in range(1, len(parts) + 1))


def plan_steps(
    before: Deployed,
    stack: Stack,
    found: Sequence[Obstacle],
    kept: Sequence[Obstacle],
    *,
    force: bool,
) -> tuple[StackDeletion, ...]:
    """Return the DeleteStack calls of a deletion, the deepest nested stack first.

    RetainResources takes logical IDs of the very stack that is deleted. Naming a nested stack in
    the root's list would leave that whole stack behind, with all that is in it; so the nested
    stack in DELETE_FAILED is deleted by itself, keeping the resource, and then the root, which
    finds it gone. Whether FORCE_DELETE_STACK reaches into nested stacks is not documented: in
    this order it need not.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html
    """
    chosen = found if force else kept
    inner = {one.path.rpartition("/")[0]: one.stack_id for one in chosen if "/" in one.path}
    above = {"/".join(path.split("/")[:n]) for path in inner for n in range(1, path.count("/") + 1)}
    inner |= {path: before.physical_ids[path] for path in above if path in before.physical_ids}
    deepest_first = sorted(inner, key=lambda path: (-path.count("/"), path))
    return tuple(
        StackDeletion(path, stack_id, _names_in(kept, path), force)
        for path, stack_id in [*((path, inner[path]) for path in deepest_first), ("", stack.id)]
    )


def _names_in(kept: Sequence[Obstacle], path: str) -> tuple[str, ...]:
    """Return the logical IDs of what is retained in one stack."""
    return tuple(one.logical_id for one in kept if one.path.rpartition("/")[0] == path)


def _act(job: Job, access: Access, options: Options, stack: Stack, plan: Teardown) -> Outcome:
    """Get every consent, then delete the stack step by step, following each to its end."""
    risks = tuple(change for change in plan.removed if change.data_loss == "certain")
    with telling_changes(plan.everything):
        consent.require_consent(job, access, risks, options.allow_data_loss)
        protection.require_name(job, access, stack)
        access.claim()
        running_tasks.stop(job, access, plan.clusters)
        arns = consent.back_up(job, access, loss.tables_at_risk(risks), wanted=options.backup)
    retained: list[str] = []
    with protection.taken_off(job, access, stack):
        outcome = _carry_out(job, access, stack, plan.steps[0], plan.everything)
    for step in plan.steps[1:]:
        retained += outcome.retained
        if outcome.failed:
            break
        outcome = _carry_out(job, access, stack, step, plan.everything)
    retained += outcome.retained
    told = replace(outcome, backups=arns, changes=plan.everything)
    return replace(told, retained=tuple(dict.fromkeys(retained)))


def _carry_out(
    job: Job, access: Access, stack: Stack, step: StackDeletion, everything: Sequence[Change]
) -> Outcome:
    """Delete one stack of the tree and follow that to its end."""
    cfn = access.aws.client("cloudformation")
    access.claim()
    if step.path:
        access.say(f"Deleting nested stack {step.path} by itself first.", Level.INFO)
    after = events.mark(cfn, step.stack_id)
    with watching.leaving_running(job, access, stop=watching.UNSTOPPABLE):
        stacks.delete(
            cfn,
            step.stack_id,
            token=watching.new_token(),
            retain=step.retain,
            force=step.force,
            role_arn=job.role_arn,
        )
    touched = () if step.path else (change.path for change in everything)
    ending = watching.wait(
        job, access, step.stack_id, after, stop=watching.UNSTOPPABLE, expected=touched
    )
    outcome = conclude(job, "deleted", stack.id, ending)
    return look_into(job, access, outcome, ending.events)
