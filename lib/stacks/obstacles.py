"""Name what keeps a stack from resting: resources that could not go back, or could not go.

A stack in UPDATE_ROLLBACK_FAILED or DELETE_FAILED says only that something in it failed, and
its own resources that a nested stack did. What failed, where and why stands in the resources
of the nested stacks. Finding is pure; `look` walks the tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from lib.errors import InputError
from lib.stacks import events, stacks
from lib.stacks.statuses import Status
from lib.templates.templates import STACK_TYPE

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient

    from lib.stacks.stacks import Stack, StackResource

#: What an operator writes for everything that is in the way, wherever it is.
ALL = "all"

#: The status of a resource that is in the way, by the status of its root stack.
_IN_THE_WAY = {
    Status.UPDATE_ROLLBACK_FAILED: "UPDATE_FAILED",
    Status.DELETE_FAILED: "DELETE_FAILED",
    Status.ROLLBACK_FAILED: "DELETE_FAILED",
    Status.IMPORT_ROLLBACK_FAILED: "IMPORT_ROLLBACK_FAILED",
}

#: States in which a nested stack can be left behind by a root that rests.
_LEFT_BEHIND = frozenset(
    {Status.UPDATE_ROLLBACK_FAILED, Status.DELETE_FAILED, Status.ROLLBACK_FAILED}
)


@dataclass(frozen=True)
class Obstacle:
    """A resource that could not be rolled back or deleted.

    `name` is what an operator writes, `NestedStack.LogicalId`. `stack_id` is the stack that it
    is in, `passable` whether AWS lets it be left out.
    """

    KEYS: ClassVar = {
        name: name for name in ("path", "name", "type", "physical_id", "status", "reason")
    }

    path: str
    name: str
    logical_id: str
    type: str
    physical_id: str
    status: str
    reason: str
    stack_id: str
    passable: bool = True

    @property
    def wire_name(self) -> str:
        """Return the name that ResourcesToSkip takes: the nested stack's own, and the resource."""
        if "/" not in self.path:
            return self.logical_id
        return f"{stacks.name_of(self.stack_id)}.{self.logical_id}"


def look(cfn: CloudFormationClient, stack_id: str, status: Status) -> tuple[Obstacle, ...]:
    """Return what keeps a stack from leaving a state, nested stacks included.

    Nothing for a state in which no resource is in the way.
    """
    if status not in _IN_THE_WAY:
        return ()
    return explain(cfn, find(stacks.walk(cfn, stack_id), status), status)


def is_stuck(status: Status) -> bool:
    """Tell whether a stack in a state waits for somebody to clear what is in its way."""
    return status in _IN_THE_WAY


def find_left_behind(cfn: CloudFormationClient, root: Stack) -> tuple[Stack, ...]:
    """Return the nested stacks of a root that are stuck, also those it does not list any more.

    What an update takes out is deleted after the root is UPDATE_COMPLETE, and that this fails
    changes nothing of the root's state; the nested stack stays, and nothing in the root names it.
    All stacks of the region are listed for it.
    """
    return tuple(
        one
        for one in stacks.list_live(cfn)
        if one.status in _LEFT_BEHIND and root.id in (one.root_id, one.parent_id)
    )


def explain(
    cfn: CloudFormationClient, found: Sequence[Obstacle], status: Status
) -> tuple[Obstacle, ...]:
    """Return obstacles with the reasons that stand in the events alone, and what may be skipped."""
    returning = status is Status.UPDATE_ROLLBACK_FAILED
    asked = {one.stack_id for one in found if returning or not one.reason}
    reasons = {owner: _read_reasons(cfn, owner, status) for owner in asked}
    told = [
        replace(one, reason=one.reason or (reasons[one.stack_id] or {}).get(one.logical_id, ""))
        if one.stack_id in reasons
        else one
        for one in found
    ]
    if not returning:
        return tuple(told)
    return tuple(
        replace(one, passable=_may_be_skipped(cfn, one, reasons[one.stack_id])) for one in told
    )


def _read_reasons(
    cfn: CloudFormationClient, stack_id: str, status: Status
) -> Mapping[str, str] | None:
    """Return why resources of one stack failed, by logical ID.

    In a rollback only what failed after it had begun counts; None where that is not told.
    """
    own = events.read_latest(cfn, stack_id)
    if status is Status.UPDATE_ROLLBACK_FAILED:
        begun = [e.is_own and e.status == "UPDATE_ROLLBACK_IN_PROGRESS" for e in own]
        if True not in begun:
            return None
        own = own[begun.index(True) :]
    return {e.logical_id: e.reason for e in own if e.status == _IN_THE_WAY[status]}


def _may_be_skipped(
    cfn: CloudFormationClient, obstacle: Obstacle, failed: Mapping[str, str] | None
) -> bool:
    """Tell whether AWS lets a resource be left out of a rollback.

    "You can specify only resources that are in the UPDATE_FAILED state because a rollback
    failed", and a nested stack only when "its corresponding embedded stack [is] in one of the
    following states: DELETE_IN_PROGRESS, DELETE_COMPLETE, or DELETE_FAILED".
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ContinueUpdateRollback.html
    """
    if obstacle.type == STACK_TYPE and obstacle.physical_id:
        child = stacks.describe(cfn, obstacle.physical_id)
        return child is None or child.status.startswith("DELETE_")
    return failed is None or obstacle.logical_id in failed


def find(resources: Sequence[StackResource], status: Status) -> tuple[Obstacle, ...]:
    """Return what is in the way among the resources of a tree.

    A nested stack is listed only when nothing inside it says more, and what was merely
    cancelled not at all: "You can't specify resources that are in the UPDATE_FAILED state for
    other reasons, for example, because an update was canceled."
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ContinueUpdateRollback.html
    """
    failed = [
        resource
        for resource in resources
        if resource.status == _IN_THE_WAY[status] and not events.is_cancelled(resource.reason)
    ]
    causes = [
        resource
        for resource in failed
        if resource.type != STACK_TYPE
        or not any(other.path.startswith(f"{resource.path}/") for other in failed)
    ]
    short = [_short_name(resource.path) for resource in causes]
    return tuple(
        Obstacle(
            resource.path,
            name if short.count(name) == 1 else resource.path.replace("/", "."),
            resource.logical_id,
            resource.type,
            resource.physical_id,
            resource.status,
            resource.reason,
            resource.stack_id,
        )
        for resource, name in zip(causes, short, strict=True)
    )


def _short_name(path: str) -> str:
    """Return a path as its last nested stack and the resource."""
    return ".".join(path.split("/")[-2:])


def choose(
    found: Sequence[Obstacle], wanted: Iterable[str], flag: str, *, command: str
) -> tuple[Obstacle, ...]:
    """Return the obstacles that an operator named; `ALL` stands for each that can be left out.

    `flag` is the option they were named with, `command` the one to type instead. Raises
    `InputError` for a name that stands for nothing in the way.
    """
    names = set(wanted)
    passable = [one for one in found if one.passable]
    if names == {ALL}:
        return tuple(passable)
    chosen = tuple(one for one in passable if names & {one.name, one.path, one.wire_name})
    known = {name for one in chosen for name in (one.name, one.path, one.wire_name)}
    unknown = sorted(names - known)
    if unknown:
        raise InputError(
            f"{flag} takes resources that failed and can be left out; "
            f"{', '.join(unknown)} did not, or cannot.",
            problems=[f"{one.name} failed: {one.reason}" for one in found],
            next_step=f"{command} {flag} {list_names(passable)}" if passable else command,
        )
    return chosen


def list_names(obstacles: Iterable[Obstacle]) -> str:
    """Return obstacles as a flag takes them."""
    return ",".join(one.name for one in obstacles if one.passable)


def as_rows(obstacles: Iterable[Obstacle]) -> list[tuple[str, ...]]:
    """Return obstacles as rows of a table."""
    return [(one.name, one.type, one.physical_id, one.reason) for one in obstacles]


COLUMNS = ("Resource", "Type", "Physical ID", "Reason")
