"""Hold what became of an operation on a stack; `lib.deploy.report` tells it to people."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lib.causes import gathering
from lib.causes.evidence import Evidence
from lib.document import UNSHOWN, as_document
from lib.errors import DeploymentError
from lib.operators import Level
from lib.refusals import error_message
from lib.stacks import obstacles, statuses
from lib.stacks.events import Ending, Failure
from lib.stacks.obstacles import Obstacle
from lib.stacks.stacks import Stack
from lib.stacks.statuses import Status
from lib.templates.changes import Change
from lib.templates.templates import STACK_TYPE

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.stacks import Event


@dataclass(frozen=True)
class Outcome:
    """What became of an operation on one stack; the JSON contract's fields.

    `obstacles` are the resources that a failed rollback or deletion is stuck at.
    `besides` names what changes and is no resource: outputs, exports, a stack's own policy.
    `missing` says what does not work yet for want of an artefact. `evidence` is what was found out
    about a failure beside AWS's event. `seen` is the stack as AWS has just described it, for
    whoever looks further; None where nobody has.
    """

    action: str
    stack: str
    stack_id: str
    region: str
    environment: str
    status: str
    release: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    backups: tuple[str, ...] = ()
    retained: tuple[str, ...] = ()
    failure: Failure | None = None
    next_step: str = ""
    seconds: float = 0.0
    preview: bool = False
    obstacles: tuple[Obstacle, ...] = ()
    besides: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    seen: Stack | None = field(default=None, repr=False, metadata=UNSHOWN)

    @property
    def failed(self) -> bool:
        """Tell whether AWS was asked and did not do it."""
        return self.action == "failed"

    @property
    def is_deployed(self) -> bool:
        """Tell whether the stack stands as asked, so that it can be verified.

        Also when nothing had to be changed: a second run must not turn a failed verification
        green.
        """
        stands = self.action == "unchanged" and self.status not in _GONE
        return not self.preview and (stands or self.action in ("created", "updated", "rolled-back"))


_GONE = frozenset({Status.ABSENT, Status.DELETE_COMPLETE})


def unchanged(job: Job, stack: Stack | None, *, release: str = "") -> Outcome:
    """Return the outcome of an operation that found nothing to do to a stack, or no stack."""
    return Outcome(
        "unchanged",
        job.stack_name,
        stack.id if stack else "",
        job.region,
        job.environment,
        stack.status if stack else Status.ABSENT,
        release,
        outputs=stack.outputs if stack else {},
        seen=stack,
    )


def conclude(job: Job, action: str, stack_id: str, ending: Ending) -> Outcome:
    """Return the outcome of an operation that has ended: `action`, or failed with its cause."""
    status = ending.status
    # A stack can be deleted by somebody while it is created, and a deletion can be given up.
    astray = action != "unchanged" and (status in _GONE) is not (action == "deleted")
    failed = astray or not status.is_healthy
    retained = tuple(
        dict.fromkeys(
            event.physical_id for event in ending.events if event.status == "DELETE_SKIPPED"
        )
    )
    return Outcome(
        "failed" if failed else action,
        job.stack_name,
        stack_id,
        job.region,
        job.environment,
        status,
        "",
        outputs=ending.stack.outputs if ending.stack and action != "deleted" else {},
        retained=retained,
        failure=_failure_of(ending) if failed else None,
        next_step=statuses.next_after(status).format(target=job.flags) if failed else "",
        seen=ending.stack,
    )


def _failure_of(ending: Ending) -> Failure:
    """Return the cause of a failure, or what the stack itself says when no event names one."""
    if ending.failure:
        return ending.failure
    reason = ending.stack.reason if ending.stack else ""
    return Failure("", "", STACK_TYPE, ending.status, reason or "AWS gives no reason")


@contextlib.contextmanager
def telling_changes(changes: Sequence[Change]) -> Iterator[None]:
    """Have a refusal say which changes it is about: that is when a program needs them."""
    try:
        yield
    except DeploymentError as exc:
        exc.details = {**exc.details, "changes": as_document(changes)}
        raise


def look_into(job: Job, access: Access, outcome: Outcome, events: Sequence[Event]) -> Outcome:
    """Return a failed outcome with what is behind it, and with what the stack is stuck at.

    `events` are those of the operation. A good outcome comes back as it is.
    """
    if not outcome.failed:
        return outcome
    evidence = gathering.look(job, access, outcome.failure, events)
    return find_obstacles(job, access, replace(outcome, evidence=evidence))


def find_obstacles(job: Job, access: Access, outcome: Outcome) -> Outcome:
    """Return an outcome with what a stuck stack is stuck at, and the command that frees it.

    That it cannot be read takes nothing from what is known already.
    """
    status = Status(outcome.status)
    try:
        found = obstacles.look(access.aws.client("cloudformation"), outcome.stack_id, status)
    except (BotoCoreError, ClientError) as exc:
        access.say(
            f"What stack {job.stack_name} in {job.region} is stuck at could not be read: "
            f"{error_message(exc)}",
            Level.WARNING,
        )
        return outcome
    return replace(outcome, obstacles=found, next_step=next_step(job, status, found))


def next_step(job: Job, status: Status, found: Sequence[Obstacle]) -> str:
    """Return the command that goes on from a failed ending, with the names it needs."""
    plain = statuses.next_after(status).format(target=job.flags)
    names = obstacles.list_names(found)
    if not names or status not in _WAYS_AROUND:
        return plain
    return f"{plain} once they are mended, or {_WAYS_AROUND[status].format(job.flags, names)}"


#: The command that leaves out what cannot be mended; the target's flags and the names go in.
_WAYS_AROUND = {
    Status.UPDATE_ROLLBACK_FAILED: "without them: inv rollback {} --skip {}",
    Status.DELETE_FAILED: "leave them in the account: inv deploy --delete {} --retain {}",
}


def timed(access: Access, started: float, outcome: Outcome) -> Outcome:
    """Return an outcome with the seconds since `started`, on the clock's own scale."""
    return replace(outcome, seconds=round(access.clock.monotonic() - started, 2))
