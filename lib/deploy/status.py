"""Look at a stack without changing it: state, release, age, drift and events."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from lib.deploy import outcomes, report
from lib.drawing import clean, draw_table
from lib.errors import NotOurs
from lib.operators import Level
from lib.refusals import error_code, error_message
from lib.releases import locks, releases, settling, store
from lib.stacks import events, obstacles, stacks, watching
from lib.stacks.drift import Drift, as_rows
from lib.stacks.drift import detect as find_drift
from lib.stacks.obstacles import Obstacle
from lib.stacks.stacks import Event
from lib.stacks.statuses import Status

if TYPE_CHECKING:
    from lib.access import Access
    from lib.deploy.outcomes import Outcome
    from lib.inputs.jobs import Job


_STOPS = {
    Status.CREATE_IN_PROGRESS: watching.STOP_CREATION,
    Status.UPDATE_IN_PROGRESS: watching.STOP_UPDATE,
}


@dataclass(frozen=True)
class Holder:
    """Who holds a stack's lock, for which task, since when and until when (UTC, ISO 8601).

    `holds` is False of a lock that whoever comes next takes over: nobody has renewed it in time,
    or its run has ended on this machine.
    """

    by: str
    task: str
    since: str
    until: str
    holds: bool
    who: str = ""

    KEYS: ClassVar = {name: name for name in ("by", "task", "since", "until", "holds")}


@dataclass(frozen=True)
class View:
    """A stack at a glance.

    `age` is seconds since it was last changed. `drifts` is None unless drift was detected
    just now; `drift` is what CloudFormation last found. `obstacles` are what a stuck stack is
    stuck at, and `next_step` is the command that frees it. `lock` is None where nobody has said
    that they are changing the stack, or where that cannot be told.
    """

    stack: str
    region: str
    environment: str
    status: str
    reason: str
    release: str
    drift: str
    changed: datetime | None
    age: float
    drifts: tuple[Drift, ...] | None = None
    obstacles: tuple[Obstacle, ...] = ()
    next_step: str = ""
    lock: Holder | None = None

    KEYS: ClassVar = {
        name: name
        for name in (
            *("stack", "region", "environment", "status", "reason", "release", "drift"),
            *("changed", "age_seconds", "drifts", "obstacles", "next_step", "lock"),
        )
    }

    @property
    def age_seconds(self) -> int:
        """Return the age in whole seconds."""
        return round(self.age)


def look(job: Job, access: Access, *, detect: bool = False) -> View:
    """Return a stack's state, the release it runs and how long it has been so.

    With `detect` drift is detected first, in the stack and everything nested in it.
    """
    cfn = access.aws.client("cloudformation")
    stack = stacks.describe(cfn, job.stack_name)
    holder = _find_holder(job, access)
    if stack is None:
        where = (job.stack_name, job.region, job.environment)
        return View(*where, Status.ABSENT, "", "", "", None, 0, lock=holder)
    changed = stack.updated or stack.created
    _settle_last(job, access)
    drifts = find_drift(cfn, stack.id, access.clock) if detect else None
    stuck = obstacles.look(cfn, stack.id, stack.status)
    found = stack.drift if drifts is None else "DRIFTED" if drifts else "IN_SYNC"
    return View(
        stack=stack.name,
        region=job.region,
        environment=job.environment,
        status=stack.status,
        reason=stack.reason,
        release=_find_release(job, access, stacks.read_template(cfn, stack.id)),
        drift=found,
        changed=changed,
        age=(access.clock.now() - changed).total_seconds(),
        drifts=drifts,
        obstacles=stuck,
        next_step=outcomes.next_step(job, stack.status, stuck) if stuck else "",
        lock=holder,
    )


def _settle_last(job: Job, access: Access) -> None:
    """Complete the record of the last operation where its process was killed.

    That the history cannot be read takes nothing from what is looked at.
    """
    with contextlib.suppress(BotoCoreError, ClientError, NotOurs):
        settling.read(job, access, newest=1)


def _find_holder(job: Job, access: Access) -> Holder | None:
    """Return who holds the stack's lock; None for nobody, or when that cannot be told.

    One GetObject, which is answered by 404 at most times.
    """
    try:
        found = locks.read(store.bucket_of(job, access), job.stack_name, access.clock.now())
    except (BotoCoreError, ClientError, NotOurs) as exc:
        if error_code(exc) != "NoSuchBucket":
            access.say(f"Who holds the lock cannot be told: {error_message(exc)}", Level.WARNING)
        return None
    if found is None:
        return None
    lock, holds = found.lock, not locks.is_free(found, access.machine)
    return Holder(lock.by, lock.task, lock.since, lock.until, holds, lock.who)


def _find_release(job: Job, access: Access, master: str) -> str:
    """Return the name of the release that runs, "" for none, or when it cannot be told."""
    try:
        found = releases.identify(store.bucket_of(job, access), master)
    except (BotoCoreError, ClientError, NotOurs) as exc:
        access.say(f"Which release runs cannot be told: {error_message(exc)}", Level.WARNING)
        return ""
    return found[0] if found else ""


def draw(view: View) -> str:
    """Return a view as text."""
    rows = [
        ("Stack", view.stack),
        ("Region", view.region),
        ("Status", f"{view.status} {view.reason}".strip()),
    ]
    if view.changed:
        rows += [
            *([("Release", view.release)] if view.release else []),
            ("Drift", view.drift or "NOT_CHECKED"),
            ("Changed", f"{view.changed:%Y-%m-%d %H:%M:%S} UTC, {draw_age(view.age)} ago"),
        ]
    if view.lock:
        rows.append(("Lock", _describe_lock(view.lock)))
    lines = [f"{name:<8} {clean(value)}" for name, value in rows]
    if view.drifts:
        columns = ("Path", "Type", "Drift", "Property", "Expected", "Actual")
        lines.append(draw_table(columns, as_rows(view.drifts)))
    lines += [f"{'Stuck':<8} {report.describe_obstacle(one)}" for one in view.obstacles]
    if view.next_step:
        lines.append(f"{'Next':<8} {view.next_step}")
    return "\n".join(lines)


def _describe_lock(lock: Holder) -> str:
    """Return in a line who holds a lock, or that it is only left."""
    if lock.holds:
        return f"{lock.who}, until {lock.until[11:19] or 'it expires'}"
    return f"left by {lock.who}; the next run takes it over"


def draw_age(seconds: float) -> str:
    """Return an age in the largest two units that it fills."""
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts = []
    rest = max(int(seconds), 0)
    for unit, size in units:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def list_events(job: Job, access: Access) -> tuple[Event, ...]:
    """Return the events of the latest operation on a stack and everything nested in it."""
    cfn = access.aws.client("cloudformation")
    return events.read_operation(cfn, stacks.require(cfn, job).id)


def follow(job: Job, access: Access) -> Outcome:
    """Watch a running operation to its end, whoever started it.

    A stack at rest answers at once with its state.
    """
    cfn = access.aws.client("cloudformation")
    stack = stacks.require(cfn, job)
    if not stack.status.is_running:
        access.say(f"Nothing is running on stack {stack.name} in {job.region}: {stack.status}.")
        ending = events.Ending(stack.status, stack, (), None)
        outcome = outcomes.conclude(job, "unchanged", stack.id, ending)
        return outcomes.look_into(job, access, outcome, ending.events)
    stop = _STOPS.get(stack.status, watching.UNSTOPPABLE)
    begun = events.mark_beginning(cfn, stack.id)
    ending = watching.wait(job, access, stack.id, begun, stop=stop, at_once=True)
    action = {"C": "created", "D": "deleted"}.get(stack.status[0], "updated")
    outcome = outcomes.conclude(job, action, stack.id, ending)
    return outcomes.look_into(job, access, outcome, ending.events)
