"""Hold what became of an operation on a stack; `lib.deploy.report` tells it to people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lib.stacks import statuses
from lib.stacks.events import Ending, Failure
from lib.stacks.statuses import Status
from lib.templates.changes import Change
from lib.templates.templates import STACK_TYPE

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.stacks import Stack


@dataclass(frozen=True)
class Outcome:
    """What became of an operation on one stack; the JSON contract's fields."""

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
    )


def _failure_of(ending: Ending) -> Failure:
    """Return the cause of a failure, or what the stack itself says when no event names one."""
    if ending.failure:
        return ending.failure
    reason = ending.stack.reason if ending.stack else ""
    return Failure("", "", STACK_TYPE, ending.status, reason or "AWS gives no reason")


def timed(access: Access, started: float, outcome: Outcome) -> Outcome:
    """Return an outcome with the seconds since `started`, on the clock's own scale."""
    return replace(outcome, seconds=round(access.clock.monotonic() - started, 2))
