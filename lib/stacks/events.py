"""Follow an operation through the events of a whole tree of stacks, and find its cause of failure.

The parent's events say only that an embedded stack failed. What failed, and why, stands in
the events of the children, so both are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from lib.drawing import draw_event, measure_width, wrap
from lib.operators import ResourceProgress
from lib.parallel import side_by_side
from lib.polling import Clock, ask_patiently, until
from lib.stacks import early_validation, stacks
from lib.stacks.stacks import Event, Stack
from lib.stacks.statuses import Status
from lib.templates.templates import STACK_TYPE

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient

#: Seconds between the first looks. On AWS no operation ends within some; what is asked in them
#: only takes from the few calls a second that an account has for all of its stacks.
FIRST_PAUSE = 0.5

#: Children asked per look. With the longest pause of 5 s this keeps one tree at about one
#: DescribeStackEvents a second, far below where AWS starts to throttle.
CHILDREN_PER_LOOK = 3

#: Nested stacks read at once when the root has ended and the rest of the tree is caught up with.
PARALLEL_READS = 4

#: Seconds without a new event after which the stack itself is asked: events can be late.
QUIET_TOO_LONG = 30.0

_LONG_AGO = datetime.min.replace(tzinfo=UTC)

_BEGINNINGS = frozenset(
    {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS"}
)
_CANCELLED = (
    "Resource creation cancelled",
    "Resource update cancelled",
    "Resource deletion cancelled",
)


@dataclass(frozen=True)
class Mark:
    """A place in a stack's history: the newest event before an operation began.

    `silent` has the paths of nested stacks in which nothing is going to happen after it.
    """

    event_id: str
    time: datetime
    silent: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Failure:
    """The first thing that failed: where, what kind, and AWS's reason."""

    KEYS: ClassVar = {name: name for name in ("logical_id", "reason", "path", "type")}

    path: str
    logical_id: str
    type: str
    status: str
    reason: str


@dataclass(frozen=True)
class Ending:
    """How an operation ended. `stack` is None when the stack is gone without a trace."""

    status: Status
    stack: Stack | None
    events: tuple[Event, ...]
    failure: Failure | None


@dataclass
class _Trail:
    """What has been read of one stack so far; it `has_begun` one look after its parent said so.

    Nothing that happened in it until `read_until` is still to come.
    """

    stack_id: str
    prefix: str
    read_until: datetime
    seen: set[str] = field(default_factory=set)
    ended: bool = False
    has_begun: bool = True


def mark(cfn: CloudFormationClient, stack_id: str) -> Mark | None:
    """Remember where a stack's history ends now, to read on from there later."""
    page = cfn.describe_stack_events(StackName=stack_id)["StackEvents"]
    return Mark(page[0]["EventId"], page[0]["Timestamp"]) if page else None


def mark_beginning(cfn: CloudFormationClient, stack_id: str) -> Mark | None:
    """Return where the latest operation on a stack began, to follow it from there.

    A stack that was updated for years has thousands of events; what came before matters to
    nobody.
    """
    begun = read_latest(cfn, stack_id)
    return Mark(begun[0].id, begun[0].time) if begun else None


def read_latest(cfn: CloudFormationClient, stack_id: str) -> list[Event]:
    """Return a stack's own events since its latest operation began, oldest first."""

    def begins(event: Event) -> bool:
        return event.is_own and event.status in _BEGINNINGS

    own = stacks.read_events(cfn, stack_id, until=begins)
    start = next((i for i in range(len(own) - 1, -1, -1) if begins(own[i])), 0)
    return own[start:]


def read_operation(cfn: CloudFormationClient, stack_id: str) -> tuple[Event, ...]:
    """Return the events of the latest operation on a tree of stacks, oldest first."""
    found = read_latest(cfn, stack_id)
    since = found[0].time if found else None
    waiting = [event for event in found if _names_child(event)]
    known: set[str] = set()
    while waiting:
        event = waiting.pop(0)
        if event.physical_id in known:
            continue
        known.add(event.physical_id)
        inner = _read_child(cfn, event.physical_id, f"{event.path}/", (), since)
        found += inner
        waiting += [nested for nested in inner if _names_child(nested)]
    return tuple(sorted(found, key=lambda event: event.time))


def draw(found: Sequence[Event]) -> str:
    """Return events line by line, with the time since the first."""
    lines: list[str] = []
    for event in found:
        elapsed = (event.time - found[0].time).total_seconds()
        shown = ResourceProgress(
            event.time, event.path, event.type, event.status, event.told, elapsed
        )
        lines += wrap(draw_event(shown), measure_width(), hang=8)
    return "\n".join(lines)


def follow(
    cfn: CloudFormationClient,
    stack_id: str,
    *,
    after: Mark | None,
    clock: Clock,
    show: Callable[[Event], None],
) -> Ending:
    """Watch an operation until the stack rests, calling `show` once for each event.

    `after` is where to start reading, None for everything. Events of nested stacks are
    read in turn, so that a big tree is not asked about faster than AWS allows; when the
    root has ended all of them are read to the end. Those in which nothing is going to happen
    are read only when the operation fails. An event is shown once nothing older can come from
    another stack of the tree, so that all are in order of time. Throttling never ends the watch
    early.
    """
    root = _Trail(stack_id, "", _LONG_AGO, {after.event_id} if after else set())
    # Just after the mark: in the same instant nested stacks may have ended what went before.
    since = after.time + timedelta(microseconds=1) if after else None
    silent = after.silent if after else frozenset()
    watch = _Watch(cfn, clock, show, since, {stack_id: root}, silent)
    last_news = clock.monotonic()

    def look(_waited: float) -> Ending | None:
        nonlocal last_news
        if watch.go_on(root):
            last_news = clock.monotonic()
        if not root.ended and clock.monotonic() - last_news <= QUIET_TOO_LONG:
            return None
        stack = ask_patiently(lambda: stacks.describe(cfn, stack_id), clock)
        status = stack.status if stack else Status.DELETE_COMPLETE
        if status.is_running:
            last_news = clock.monotonic()
            return None
        found = watch.catch_up(root, status)
        cause = None if status.is_healthy else tell_cause(cfn, found)
        return Ending(status, stack, found, cause)

    return until(look, clock, shortest=FIRST_PAUSE)


@dataclass
class _Watch:
    """What has been read of a tree of stacks so far, and how to read on.

    `trails` has the root and every nested stack that an event has named, by stack ID.
    """

    cfn: CloudFormationClient
    clock: Clock
    show: Callable[[Event], None]
    since: datetime | None
    trails: dict[str, _Trail]
    silent: frozenset[str] = frozenset()
    events: list[Event] = field(default_factory=list)
    held: list[Event] = field(default_factory=list)
    newest: datetime = _LONG_AGO
    turn: int = 0

    def go_on(self, root: _Trail) -> bool:
        """Read and show what is new; tell whether anything was."""
        # The root first: what it says of a nested stack decides whether that is asked now.
        fresh = self.read([root])
        if not root.ended:
            fresh += self.read(self.take_turns(root))
            at_work = [root, *self._list_read(healthy=True)]
            self.tell(until=min(trail.read_until for trail in at_work))
        return bool(fresh)

    def read(self, chosen: Sequence[_Trail], *, at_once: int = 1) -> list[Event]:
        """Return what is new in some stacks."""
        fresh: list[Event] = []
        asked_at = self.newest
        answers = (
            [self._read_one(trail) for trail in chosen]
            if at_once == 1
            else side_by_side(self._read_one, chosen, at_once=at_once)
        )
        for trail, answer in zip(chosen, answers, strict=True):
            _take_in(trail, answer, self.trails)
            trail.read_until = max([asked_at, *(event.time for event in answer)])
            fresh += answer
        self.newest = max([self.newest, *(event.time for event in fresh)])
        self.held += fresh
        return fresh

    def tell(self, until: datetime | None = None) -> None:
        """Show what was read and happened until some moment, in order of time."""
        self.held.sort(key=lambda event: event.time)
        due = [event for event in self.held if until is None or event.time <= until]
        del self.held[: len(due)]
        for event in due:
            self.events.append(event)
            self.show(event)

    def _read_one(self, trail: _Trail) -> list[Event]:
        """Read what is new in one stack."""
        return ask_patiently(
            lambda: _read_child(self.cfn, trail.stack_id, trail.prefix, trail.seen, self.since),
            self.clock,
        )

    def take_turns(self, root: _Trail) -> list[_Trail]:
        """Return the nested stacks whose turn it is, of those still at work.

        One that has only just begun is asked next time: there is nothing to read yet, and a
        quick one has ended by then.
        """
        active = [t for t in self._list_read(healthy=True) if t is not root]
        at_work = [trail for trail in active if trail.has_begun]
        for trail in active:
            trail.has_begun = True
        self.turn += CHILDREN_PER_LOOK
        count = min(CHILDREN_PER_LOOK, len(at_work))
        return [at_work[(self.turn + i) % len(at_work)] for i in range(count)]

    def _list_read(self, *, healthy: bool) -> list[_Trail]:
        """Return the stacks that may have more to tell; after a failure, all of them."""
        return [
            trail
            for trail in self.trails.values()
            if not (healthy and (trail.ended or trail.prefix.rstrip("/") in self.silent))
        ]

    def catch_up(self, root: _Trail, status: Status) -> tuple[Event, ...]:
        """Read the whole tree to the end, once the root rests; return all events in order."""
        rest = self._list_read(healthy=status.is_healthy)
        while rest:
            opened = set(self.trails)
            self.read(rest, at_once=PARALLEL_READS)
            # What was read may name nested stacks that nobody knew of.
            rest = [trail for name, trail in self.trails.items() if name not in opened]
        self.tell()
        return tuple(sorted(self.events, key=lambda event: event.time))


def _take_in(trail: _Trail, fresh: Sequence[Event], trails: dict[str, _Trail]) -> None:
    """Move a trail on over new events, and open trails for the children they name."""
    trail.seen.update(event.id for event in fresh)
    for event in fresh:
        if event.is_own:
            trail.ended = not event.status.endswith("_IN_PROGRESS")
            if not trail.ended:
                _reopen(trails, trail.prefix)
        elif _names_child(event):
            child = trails.setdefault(
                event.physical_id, _Trail(event.physical_id, f"{event.path}/", event.time)
            )
            child.has_begun = not event.status.endswith("_IN_PROGRESS")


def _reopen(trails: Mapping[str, _Trail], prefix: str) -> None:
    """Read nested stacks again: a rollback or a clean-up of their parent moves them, too."""
    for trail in trails.values():
        if trail.prefix != prefix and trail.prefix.startswith(prefix):
            trail.ended = False


def _read_child(
    cfn: CloudFormationClient,
    stack_id: str,
    prefix: str,
    seen: Iterable[str],
    since: datetime | None,
) -> list[Event]:
    """Read a stack's events, or nothing when the stack is gone without a trace."""
    try:
        return stacks.read_events(cfn, stack_id, prefix=prefix, seen=seen, since=since)
    except ClientError as exc:
        if stacks.is_missing(exc):
            return []
        raise


def _names_child(event: Event) -> bool:
    """Tell whether an event names a nested stack that has an ID already."""
    return event.type == STACK_TYPE and not event.is_own and bool(event.physical_id)


def find_cause(events: Iterable[Event]) -> Failure | None:
    """Return the first failure in time that is not only the echo of another.

    Resources that were cancelled because a sibling failed, nested stacks that failed because
    of something inside them, and rollbacks that followed either, are echoes. Where nothing
    but echoes is known, the first of them is better than nothing.
    """
    failed = sorted(filter(_tells_failure, events), key=lambda event: event.time)
    causes = [
        event for event in failed if not is_cancelled(event.reason) and not _is_echo(event, failed)
    ]
    chosen = next(iter(causes or failed), None)
    if chosen is None:
        return None
    status = chosen.hook_status if chosen.hook_stops else chosen.status
    return Failure(chosen.path, chosen.logical_id, chosen.type, status, chosen.told)


def _tells_failure(event: Event) -> bool:
    """Tell whether an event says that something failed, and not only by its status.

    A hook that stops the operation says so on an event in progress. And a stack can fail with
    no `*_FAILED` event at all: CREATE_IN_PROGRESS is followed by ROLLBACK_IN_PROGRESS, and what
    was wrong with a macro or an output stands there alone: "Transform 111111111111::Unsuccessful
    failed with: failed because it is a test. Rollback requested by user." (recorded).
    """
    return event.status.endswith("_FAILED") or event.hook_stops or _tells_rollback(event)


def _tells_rollback(event: Event) -> bool:
    """Tell whether a stack says of itself why it is rolled back; that it was asked to is no why."""
    began = event.status in ("ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS")
    return began and event.is_own and event.reason not in ("", "User Initiated")


def is_cancelled(reason: str) -> bool:
    """Tell whether a resource failed only because CloudFormation gave up after another did.

    There is no status for it, only the reason "Resource update cancelled" and its like.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html
    """
    return reason.startswith(_CANCELLED)


def list_settling(events: Iterable[Event]) -> tuple[str, ...]:
    """Return the paths of what express mode calls complete while it still comes up.

    Such an event is `*_COMPLETE` with a reason, "Resource operation completed using Express
    Mode. It may continue becoming available in the background." What was deleted has the same
    reason, and nothing to wait for.
    https://github.com/aws/aws-cdk-cli/pull/1689
    """
    return tuple(
        dict.fromkeys(
            event.path
            for event in events
            if event.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
            and event.reason
            and event.type != STACK_TYPE
        )
    )


def tell_cause(cfn: CloudFormationClient, found: Sequence[Event]) -> Failure | None:
    """Return the cause of a failure, asking AWS for what its events only point to."""
    cause = find_cause(found)
    if unread := _read_unnamed(cfn, cause, found):
        found = (*found, *unread)
        cause = find_cause(found)
    return _explain(cfn, cause, found)


def _read_unnamed(
    cfn: CloudFormationClient, cause: Failure | None, found: Sequence[Event]
) -> list[Event]:
    """Return the events of a nested stack that is the cause, and whose ID no event told.

    An emulator that others wrote leaves PhysicalResourceId out of the parent's events and of its
    listing; of AWS nobody has seen it. So the stack is known by its parent and the beginning of
    its name, and where it cannot be found there is nothing.
    """
    if cause is None or cause.type != STACK_TYPE or not cause.path:
        return []
    about = [event for event in found if event.path == cause.path]
    if any(event.physical_id for event in about):
        return []
    parent = about[0].stack_id
    try:
        listed = (r for r in stacks.list_resources(cfn, parent) if r.path == cause.logical_id)
        child = next((r.physical_id for r in listed if r.physical_id), "")
        child = child or _find_child(cfn, parent, cause.logical_id)
        return _read_child(cfn, child, f"{cause.path}/", (), found[0].time) if child else []
    except (BotoCoreError, ClientError):
        # What is known already must not be lost to a look for more.
        return []


def _find_child(cfn: CloudFormationClient, parent: str, logical_id: str) -> str:
    """Return the ID of the newest stack with the name of a nested one, "" without any."""
    begins = f"{stacks.name_of(parent)}-{logical_id}-"
    named = [one for one in stacks.list_live(cfn) if one.name.startswith(begins)]
    return max(named, key=lambda one: one.created).id if named else ""


def _explain(
    cfn: CloudFormationClient, cause: Failure | None, events: Iterable[Event]
) -> Failure | None:
    """Return a failure with what early validation found, where its reason only points there."""
    if cause is None or cause.type != STACK_TYPE or "DescribeEvents" not in cause.reason:
        return cause
    owner = next((e.physical_id for e in events if e.path == cause.path and e.physical_id), "")
    found = early_validation.read(cfn, cause.path, stack=owner) if owner else ()
    if not found:
        return cause
    first, *others = found
    reason = "; ".join([first.reason, *map(str, others)])
    name = first.path.rsplit("/", 1)[-1]
    return Failure(first.path, name, first.type, cause.status, reason)


def _is_echo(event: Event, failed: Iterable[Event]) -> bool:
    """Tell whether a stack's failure or rollback only repeats one inside it, or its own."""
    if event.type != STACK_TYPE:
        return False
    inside = f"{event.path}/" if event.path else ""
    others = [other for other in failed if other is not event]
    if _tells_rollback(event):
        # What fails later, fails at the rollback and did not bring it about.
        return any(
            other.path.startswith(inside) or (other.path == event.path and other.is_own)
            for other in others
            if other.time <= event.time
        )
    return any(
        (other.path != event.path and other.path.startswith(inside))
        # The parent's word on a nested stack that says itself why it was rolled back.
        or (other.path == event.path and not event.is_own and _tells_rollback(other))
        for other in others
    )
