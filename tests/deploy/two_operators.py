"""Play everything that can happen between two operators of one stack, with the real code.

A state is the world (the lock, the stack, its change sets, its events, the time) and what each
operator has been answered so far. The operators are no paraphrase: each is `admit` and
`change.carry_out` themselves, run from the start against the answers of its history until they
ask something new. What an operator knows follows from its answers, so that its history is its
state; of one who has ended only how is kept. A step answers one question of one operator, lets time
pass, ends AWS's own operation, or is one of the faults; `search` goes through all of them, breadth
first, and holds every step against what is promised.

What is asked and changes nothing that the other could see (the change set's rows, the deployed
template, the run's own record) is answered on the spot. A look that is repeated after a pause is no
step as long as its answer stays what it was.
"""

from __future__ import annotations

import contextlib
import functools
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest import mock

from botocore.exceptions import ClientError, ReadTimeoutError

from lib.access import Access
from lib.deploy import change
from lib.deploy.publishing import Run
from lib.errors import DeploymentError, Locked
from lib.inputs.jobs import Job, Options
from lib.machine import Machine
from lib.operators import OnInterrupt, Operator
from lib.polling import Clock
from lib.refusals import explain
from lib.releases import locks, turns
from lib.releases.releases import Published, Release
from lib.session import Identity
from lib.stacks import admission, watching
from lib.stacks.statuses import Operation
from tests.support import lock_store
from tests.support.aws_fakes import ACCOUNT, START, refusal, stack_entry, stack_id
from tests.support.factories import REGION, STACK, job, template
from tests.support.lock_store import Entry
from tests.support.people import Person

KEY = locks.key_of(STACK)
MASTER = "Resources: {Note: {Type: 'AWS::SSM::Parameter', Properties: {Value: '2'}}}"
DEPLOYED = "Resources: {Note: {Type: 'AWS::SSM::Parameter', Properties: {Value: '1'}}}"

#: How far the clock moves at a step: a lease runs out, or only has to be renewed.
LONG = locks.LEASE + locks.GRACE + 1
SHORT = turns.RENEWED_AFTER + 1

#: Who still waits then waits for ever.
_FOR_EVER = 10 * LONG

#: AWS's words, as they were recorded for the product's own tests.
_BUSY = f"Stack:{stack_id(STACK)} is in UPDATE_IN_PROGRESS state and can not be updated."

Call = tuple[str, tuple[tuple[str, Any], ...]]


@dataclass(frozen=True)
class Answered:
    """One question of an operator, what came back, when, and whether it paused before."""

    call: Call
    said: Any
    at: float


class History:
    """What an operator was answered, question after question; there is one of each content."""

    _known: ClassVar[dict[tuple[History | None, Answered], History]] = {}

    def __init__(self, before: History | None, last: Answered | None) -> None:
        self.all: tuple[Answered, ...] = (*before.all, last) if before and last else ()

    def after(self, last: Answered) -> History:
        """Return the history that one more answer makes of this one."""
        known = self._known.get((self, last))
        if known is None:
            known = self._known[self, last] = History(self, last)
        return known


NEW = History(None, None)


@dataclass(frozen=True)
class Player:
    """An operator: what it was answered, and how its last question stands."""

    kept: History = NEW
    is_repeating: bool = False
    is_killed: bool = False

    @property
    def history(self) -> tuple[Answered, ...]:
        return self.kept.all


@dataclass(frozen=True)
class Execution:
    """An operation of CloudFormation's, by the token that began it."""

    token: str
    change_set: str
    has_ended: bool = False


@dataclass(frozen=True)
class State:
    """The world, and both operators."""

    lock: Entry | None = None
    #: By ID: how many operations the stack had seen when it was made.
    change_sets: tuple[tuple[str, int], ...] = ()
    executions: tuple[Execution, ...] = ()
    now: float = 0.0
    players: tuple[Player, ...] = (Player(), Player())
    #: Requests that arrive once more, later than their answers.
    late: tuple[tuple[int, Call], ...] = ()
    faults: int = 0

    @property
    def is_busy(self) -> bool:
        return any(not one.has_ended for one in self.executions)


@dataclass(frozen=True)
class Setting:
    """What is played: who waits, how much may go wrong, and for how long."""

    waits: tuple[bool, bool] = (True, True)
    faults: int = 1
    kills: bool = True
    ticks: int = 1
    tick: float = LONG
    one_machine: bool = False


@dataclass(frozen=True)
class Ended:
    """What became of an operator's run."""

    what: str
    error: str = ""


@dataclass(frozen=True)
class Asked:
    """The next question of an operator; `slept` after a pause."""

    call: Call
    slept: bool


class _NotAnswered(BaseException):
    """Ends a replay at the first question that has no answer yet."""


@dataclass
class Replay:
    """One operator's run against its history."""

    player: int
    setting: Setting
    history: tuple[Answered, ...]
    answered: int = 0
    tokens: int = 0
    slept: bool = False
    next: Asked | None = None

    def ask(self, operation: str, **asked: Any) -> Any:
        """Answer from the history, or end the replay."""
        call = (operation, tuple(sorted((k, v) for k, v in asked.items() if k in _TOLD)))
        if self.next is None and self.answered < len(self.history):
            one = self.history[self.answered]
            assert one.call == call, f"{one.call} was asked, now {call}"
            self.answered += 1
            self.slept = False
            return _as_answer(operation, one.said, one.at)
        self.next = self.next or Asked(call, self.slept)
        raise _NotAnswered

    def now(self) -> float:
        return self.history[self.answered - 1].at if self.answered else 0.0

    def sleep(self, _seconds: float) -> None:
        self.slept = True

    def new_token(self) -> str:
        self.tokens += 1
        name = "ab"[self.player]
        return f"plot-palette-{name}{self.tokens:04d}{name}"

    def run(self) -> Asked | Ended:
        """Return what the operator asks next, or what became of it."""
        with mock.patch.object(watching, "new_token", self.new_token):
            try:
                ended = _operate(self.job, self.access())
            except _NotAnswered:
                assert self.next
                return self.next
            except DeploymentError as exc:
                ended = Ended(type(exc).__name__, exc.message)
            except Exception as exc:
                error = explain(exc, REGION)
                if error is None:
                    raise
                ended = Ended("AWS", error.message)
        return self.next or ended

    @property
    def job(self) -> Job:
        return _job(waits=self.setting.waits[self.player])

    def access(self) -> Access:
        """Return an access whose every question is the model's."""
        clients = {"s3": _Client(self, "s3"), "cloudformation": _Client(self, "cloudformation")}
        name = "ab"[self.player]
        aws: Any = SimpleNamespace(
            client=clients.__getitem__,
            identity=lambda: Identity(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/{name}"),
            region=REGION,
            partition="aws",
            url_suffix="amazonaws.com",
        )
        clock = Clock(self.now, lambda: START + timedelta(seconds=self.now()), self.sleep)
        operator = Operator(lambda _: None, lambda _q, _w: True, lambda _: OnInterrupt.DETACH)
        where = "one" if self.setting.one_machine else name
        machine = Machine(lambda: where, lambda: name, lambda of: self.ask("IsGone", Process=of))
        return Access(aws, operator, clock, machine)


@functools.cache
def _job(*, waits: bool) -> Job:
    return job(templates={"master-stack.yaml": template(MASTER)}, values={}, waits=waits)


def _operate(wanted: Job, access: Access) -> Ended:
    """Do what `inv update` does with a stack that is there and templates that are published."""
    published = Published("bucket", REGION, "0123456789ab", 0, 0, "https://s3/master-stack.yaml")
    release = Release("0123456789ab", "0" * 64, ())
    with turns.take_turn(wanted, access, "update") as held:
        stack, decision = admission.admit(wanted, held, Operation.UPDATE)
        run = Run(wanted, held, Options(), release, published, {})
        return Ended(change.carry_out(run, stack, decision).action)


#: The arguments by which questions are told apart.
_TOLD = frozenset(
    {"Body", "ChangeSetName", "ClientRequestToken", "Description", "IfMatch", "IfNoneMatch", "Key"}
    | {"Process"}
)


class _Client:
    """What stands for a client: everything that others can see is asked of the model."""

    def __init__(self, replay: Replay, service: str) -> None:
        self._replay, self.service = replay, service
        self.meta = SimpleNamespace(region_name=REGION, partition="aws")

    def __getattr__(self, method: str) -> Any:
        operation = "".join(part.title() for part in method.split("_"))
        return lambda **asked: self._ask(operation, asked)

    def get_paginator(self, method: str) -> Any:
        return SimpleNamespace(paginate=lambda **asked: [getattr(self, method)(**asked)])

    def _ask(self, operation: str, asked: Mapping[str, Any]) -> Any:
        if operation == "DescribeChangeSet":
            return _describe_change_set(str(asked["ChangeSetName"]))
        if operation == "GetTemplate":
            return {"TemplateBody": DEPLOYED}
        if operation == "PutObject" and asked["Key"] != KEY:
            return {}
        if operation == "ListStackResources":
            return {"StackResourceSummaries": []}
        return self._replay.ask(operation, **asked)


def _describe_change_set(identifier: str) -> Mapping[str, Any]:
    row = {
        "Action": "Modify",
        "LogicalResourceId": "Note",
        "PhysicalResourceId": "note",
        "ResourceType": "AWS::SSM::Parameter",
        "Replacement": "False",
        "Scope": ["Properties"],
        "Details": [],
    }
    return {
        "ChangeSetId": identifier,
        "ChangeSetName": identifier,
        "StackName": STACK,
        "StackId": stack_id(STACK),
        "Status": "CREATE_COMPLETE",
        "ExecutionStatus": "AVAILABLE",
        "Changes": [{"Type": "Resource", "ResourceChange": row}],
    }


def _as_answer(operation: str, said: Any, at: float) -> Any:
    """Return a kept answer in botocore's form, or raise it."""
    kind, *rest = said
    if kind == "cut":
        raise ReadTimeoutError(endpoint_url="https://aws")
    if kind == "error":
        raise refusal(rest[0], rest[1], operation, rest[2])
    if operation == "GetObject":
        return lock_store.answer({KEY: rest[0]}, "GetObject", {"Key": KEY}, at)[1]
    if operation == "DescribeStackEvents":
        return {"StackEvents": _list_events(rest[0])}
    if operation == "DescribeStacks":
        return {"Stacks": [stack_entry(STACK, rest[0])]}
    return rest[0] if operation == "IsGone" else dict(rest[0])


def _list_events(executions: tuple[Execution, ...]) -> list[dict[str, Any]]:
    """Return a stack's events, newest first."""
    found: list[dict[str, Any]] = []
    for number, one in enumerate(executions):
        for status in ("UPDATE_IN_PROGRESS", *(["UPDATE_COMPLETE"] if one.has_ended else [])):
            found.insert(
                0,
                {
                    "StackId": stack_id(STACK),
                    "StackName": STACK,
                    "EventId": f"{number}-{status}",
                    "LogicalResourceId": STACK,
                    "PhysicalResourceId": stack_id(STACK),
                    "ResourceType": "AWS::CloudFormation::Stack",
                    "Timestamp": START + timedelta(seconds=len(found) + 1),
                    "ResourceStatus": status,
                    "ClientRequestToken": one.token,
                },
            )
    return found


# --- what the world answers


def answer(state: State, player: int, call: Call) -> tuple[State, Any]:
    """Return the world after a request has arrived, and what is answered."""
    operation, told = call[0], dict(call[1])
    if told.get("Key") == KEY:
        before = {KEY: state.lock} if state.lock else {}
        after, said = lock_store.answer(before, operation, told, state.now)
        state = replace(state, lock=after.get(KEY))
        if isinstance(said, ClientError):
            return state, _as_error(said)
        return state, ("ok", state.lock if operation == "GetObject" else tuple(said.items()))
    if operation == "IsGone":
        return state, ("ok", state.players["ab".index(told["Process"])].is_killed)
    return _ANSWERS[operation](state, told)


def _as_error(exc: ClientError) -> tuple[str, str, str, int]:
    said = exc.response["Error"]
    return (
        "error",
        said["Code"],
        said["Message"],
        exc.response["ResponseMetadata"]["HTTPStatusCode"],
    )


def _describe_stacks(state: State, _told: Mapping[str, Any]) -> tuple[State, Any]:
    status = "UPDATE_IN_PROGRESS" if state.is_busy else "UPDATE_COMPLETE"
    return state, ("ok", status)


def _describe_events(state: State, _told: Mapping[str, Any]) -> tuple[State, Any]:
    return state, ("ok", state.executions)


def _is_named(identifier: str, by: str) -> bool:
    """Tell whether a change set is meant, by its ARN or by its name."""
    return by in (identifier, identifier.partition("/")[0])


def _create_change_set(state: State, told: Mapping[str, Any]) -> tuple[State, Any]:
    name = told["ChangeSetName"]
    if state.is_busy:
        return state, ("error", "ValidationError", _BUSY, 400)
    made = dict(state.change_sets)
    there = next((one for one in made if _is_named(one, name)), None)
    # A change set that is made once more under a name that went with another has an ARN of its own.
    identifier = there or f"{name}/{len(state.executions)}"
    made.setdefault(identifier, len(state.executions))
    said = (("Id", identifier), ("StackId", stack_id(STACK)))
    return replace(state, change_sets=tuple(sorted(made.items()))), ("ok", said)


def _delete_change_set(state: State, told: Mapping[str, Any]) -> tuple[State, Any]:
    left = tuple(one for one in state.change_sets if not _is_named(one[0], told["ChangeSetName"]))
    return replace(state, change_sets=left), ("ok", ())


def _execute_change_set(state: State, told: Mapping[str, Any]) -> tuple[State, Any]:
    """Execute what is there and fits; every other change set of the stack goes with that."""
    name = told["ChangeSetName"]
    if name not in dict(state.change_sets):
        text = f"ChangeSet [{name}] does not exist"
        return state, ("error", "ChangeSetNotFound", text, 404)
    if state.is_busy or dict(state.change_sets)[name] != len(state.executions):
        return state, ("error", "InvalidChangeSetStatus", _BUSY, 400)
    begun = Execution(told["ClientRequestToken"], name)
    return replace(state, change_sets=(), executions=(*state.executions, begun)), ("ok", ())


_ANSWERS = {
    "CreateChangeSet": _create_change_set,
    "DeleteChangeSet": _delete_change_set,
    "DescribeStackEvents": _describe_events,
    "DescribeStacks": _describe_stacks,
    "ExecuteChangeSet": _execute_change_set,
}


# --- what can happen next

Step = tuple[str, State]


@dataclass
class Search:
    """All that can happen in a setting, and what of it breaks a promise."""

    setting: Setting
    moves: dict[tuple[int, History], Asked | Ended] = field(default_factory=dict)
    parents: dict[State, tuple[State | None, str]] = field(default_factory=dict)
    ends: dict[tuple[str, ...], int] = field(default_factory=dict)

    def move_of(self, state: State, player: int) -> Asked | Ended:
        """Return what an operator does next."""
        key = (player, state.players[player].kept)
        if key not in self.moves:
            self.moves[key] = Replay(player, self.setting, key[1].all).run()
        return self.moves[key]

    def run(self) -> str:
        """Go through every state; return the first broken promise with what led there, or ""."""
        first = State()
        self.parents = {first: (None, "")}
        queue = deque([first])
        while queue:
            state = queue.popleft()
            steps = list(self.steps(state))
            if (
                all(
                    isinstance(self.move_of(state, n), Ended) or state.players[n].is_killed
                    for n in (0, 1)
                )
                and not state.is_busy
                and not state.late
            ):
                broken = self.find_broken_end(state)
                if broken:
                    return self.tell(state, broken)
                whats = tuple(self.what_of(state, n) for n in (0, 1))
                self.ends[whats] = self.ends.get(whats, 0) + 1
            elif not steps:
                return self.tell(state, "nothing can happen any more, and somebody waits")
            for name, after in steps:
                broken = self.find_broken(state, name, after)
                if broken:
                    self.parents.setdefault(after, (state, name))
                    return self.tell(state, f"{name}: {broken}")
                settled = self.settle(after)
                if settled not in self.parents:
                    self.parents[settled] = (state, name)
                    queue.append(settled)
        return ""

    def settle(self, state: State) -> State:
        """Forget what an operator was answered who asks nothing any more: how it ended will do."""
        for player, one in enumerate(state.players):
            if one.is_killed:
                state = _with(state, player, Player(is_killed=True))
            elif isinstance(self.move_of(state, player), Ended):
                what = self.what_of(state, player)
                kept = NEW.after(Answered(("Ended", ()), what, 0.0))
                self.moves.setdefault((player, kept), Ended(what))
                state = _with(state, player, Player(kept))
        return state

    def what_of(self, state: State, player: int) -> str:
        if state.players[player].is_killed:
            return "killed"
        move = self.move_of(state, player)
        return move.what if isinstance(move, Ended) else "…"

    def tell(self, state: State, broken: str) -> str:
        """Return a broken promise with the steps that led to it."""
        path: list[str] = []
        at: State | None = state
        while at is not None:
            at, name = self.parents[at]
            path.append(name)
        return "\n".join([*reversed(path), broken])

    def steps(self, state: State) -> Iterator[Step]:
        """Yield everything that can happen in a state; when nothing else can, time passes."""
        found = list(self._steps(state))
        waits = any(
            isinstance(self.move_of(state, n), Asked)
            for n in (0, 1)
            if not state.players[n].is_killed
        )
        later = replace(state, now=state.now + self.setting.tick)
        if state.now < self.setting.ticks * self.setting.tick or (
            waits and not found and state.now < _FOR_EVER
        ):
            found.append(("time passes", later))
        yield from found

    def _steps(self, state: State) -> Iterator[Step]:
        if state.is_busy:
            ended = tuple(replace(one, has_ended=True) for one in state.executions)
            yield "AWS ends the operation", replace(state, executions=ended)
        for number, (player, call) in enumerate(state.late):
            rest = state.late[:number] + state.late[number + 1 :]
            arrived, _ = answer(replace(state, late=rest), player, call)
            yield f"{'ab'[player]}'s {call[0]} arrives once more", arrived
        for player in (0, 1):
            yield from self.steps_of(state, player)

    def steps_of(self, state: State, player: int) -> Iterator[Step]:
        """Yield what one operator can do, and what can happen to it."""
        one, move = state.players[player], self.move_of(state, player)
        if one.is_killed or isinstance(move, Ended):
            return
        name = "ab"[player]
        arrived, said = answer(state, player, move.call)
        if self._is_worth_asking(state, one, move, said):
            yield f"{name}: {describe(move.call)} → {said[0]}", _tell(arrived, player, move, said)
        may_fail = state.faults < self.setting.faults and move.call[0] != "IsGone"
        if not may_fail or one.is_repeating:
            return
        spoilt = replace(arrived, faults=state.faults + 1)
        if self.setting.kills:
            yield f"{name} is killed", _kill(replace(state, faults=state.faults + 1), player)
            yield f"{name} is killed after {move.call[0]}", _kill(spoilt, player)
        if move.call[0] not in _CHANGING:
            return
        # botocore asks again by itself, and then gives up.
        yield f"{name}: the answer of {move.call[0]} is lost", _repeat(spoilt, player)
        yield f"{name}: no answer of {move.call[0]}", _tell(spoilt, player, move, ("cut",))
        lost = replace(state, faults=state.faults + 1)
        yield f"{name}: {move.call[0]} is lost", _tell(lost, player, move, ("cut",))
        late = replace(spoilt, late=(*spoilt.late, (player, move.call)))
        yield f"{name}: {move.call[0]} is sent twice", _tell(late, player, move, said)

    def _is_worth_asking(self, state: State, one: Player, move: Asked, said: Any) -> bool:
        """Tell whether a look can bring anything new: the answer, or the time."""
        if move.call[0] not in _LOOKS or not move.slept:
            return True
        earlier = next((a for a in reversed(one.history) if a.call == move.call), None)
        return earlier is None or earlier.said != said or state.now > one.history[-1].at

    # --- what is promised

    def find_broken(self, state: State, name: str, after: State) -> str:
        """Return which promise a step breaks, or ""."""
        for player in (0, 1):
            if name.startswith("ab"[player]):
                found = self._find_broken_by(state, player, after)
                if found:
                    return found
        return ""

    def _find_broken_by(self, state: State, player: int, after: State) -> str:
        one = state.players[player]
        held, left = _read(state.lock), _read(after.lock)
        mine = f"plot-palette-{'ab'[player]}"
        if held and state.lock != after.lock and not held.run.startswith(mine):
            other = state.players[1 - player]
            expired = state.lock and after.now - state.lock.written > locks.LEASE
            if left is None:
                return f"it deletes the lock of {held.by}"
            ended = other.is_killed or isinstance(self.move_of(state, 1 - player), Ended)
            if not expired and not ended:
                return f"it overwrites the lock of {held.by}, which holds"
        move = self.move_of(state, player)
        if isinstance(move, Asked) and move.call[0] == "ExecuteChangeSet":
            found = self._find_unfounded(player, one, move)
            if found:
                return found
        now = self.move_of(after, player)
        if (
            isinstance(now, Ended)
            and now.what == Locked.__name__
            and now.error.startswith(f"{mine[-1]} (update")
        ):
            return "it is refused by its own lock"
        return ""

    def _find_unfounded(self, player: int, one: Player, move: Asked) -> str:
        """Return why an operator had no right to execute its change set, or ""."""
        writes = [
            (n, a)
            for n, a in enumerate(one.history)
            if a.call[0] == "PutObject" and dict(a.call[1])["Key"] == KEY
        ]
        if not any(a.said[0] == "ok" for _, a in writes):
            without = any(a.said[0] == "cut" for _, a in writes) or any(
                a.call[0] == "GetObject" and a.said[0] in ("ok", "cut") for a in one.history
            )
            return "" if without else "it executes without having asked for the lock"
        # Its own lock tells whom the answer has not reached that the write was one.
        first = next(
            n
            for n, a in enumerate(one.history)
            if (a.call[0] == "PutObject" and a.said[0] == "ok")
            or (a.call[0] == "GetObject" and a.said[0] == "ok" and self._is_own(player, a.said[1]))
        )
        last, _ = [pair for pair in writes if pair[1].said[0] in ("ok", "error")][-1]
        began = one.history[last - 1].at if last else 0.0
        if one.history[-1].at - began > locks.LEASE:
            return "it executes although it knows that its lease has run out"
        waited = any(
            a.call[0] == "GetObject" and a.said[0] == "ok" and not self._is_own(player, a.said[1])
            for a in one.history[:first]
        )
        made = max(n for n, a in enumerate(one.history) if a.call[0] == "CreateChangeSet")
        if waited and made < first:
            return "it executes what it planned before it had waited"
        return ""

    def _is_own(self, player: int, entry: Entry) -> bool:
        lock = _read(entry)
        return lock is not None and lock.run.startswith(f"plot-palette-{'ab'[player]}")

    def find_broken_end(self, state: State) -> str:
        """Return which promise an end breaks, or ""."""
        if len({one.change_set for one in state.executions}) != len(state.executions):
            return "one change set was executed twice"
        whats = [self.what_of(state, n) for n in (0, 1)]
        if not state.faults and state.lock:
            return "a lock is left though nothing went wrong"
        calm = not state.faults and state.now == 0
        if calm and all(self.setting.waits) and whats != ["updated", "updated"]:
            return f"both wait, nothing goes wrong, and they end {whats}"
        if not state.faults and "updated" not in whats:
            return f"nothing goes wrong, and nobody changes the stack: {whats}"
        return self._find_lasting_lock(state)

    def _find_lasting_lock(self, state: State) -> str:
        """Return whether a lock that is left stands in the way of a third run for ever."""
        if state.lock is None:
            return ""
        later = lock_store.LockStore(objects={KEY: state.lock})
        later.time.seconds = state.now + locks.LEASE + locks.GRACE + 1
        third = turns.take_turn(job(), later.access(Person(), "c"), "update")
        with contextlib.suppress(Locked), third as access:
            access.claim()
            return ""
        return "a lock is left for ever"


_CHANGING = frozenset({"PutObject", "DeleteObject", "CreateChangeSet", "ExecuteChangeSet"})
_LOOKS = frozenset({"GetObject", "DescribeStackEvents", "DescribeStacks"})


def describe(call: Call) -> str:
    """Return a question in a word or two."""
    told = dict(call[1])
    what = " the lock" if told.get("Key") == KEY else ""
    return f"{call[0]}{what}"


def _tell(state: State, player: int, move: Asked, said: Any) -> State:
    """Return the state after an operator was answered."""
    one = state.players[player]
    told = Answered(move.call, said, state.now)
    return _with(state, player, replace(one, kept=one.kept.after(told), is_repeating=False))


def _repeat(state: State, player: int) -> State:
    return _with(state, player, replace(state.players[player], is_repeating=True))


def _kill(state: State, player: int) -> State:
    return _with(state, player, replace(state.players[player], is_killed=True))


def _with(state: State, player: int, one: Player) -> State:
    players = (one, state.players[1]) if player == 0 else (state.players[0], one)
    return replace(state, players=players)


@functools.cache
def _read(entry: Entry | None) -> locks.Lock | None:
    return locks.parse(entry.body, STACK) if entry else None
