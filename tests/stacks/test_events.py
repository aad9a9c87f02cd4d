"""An operation is followed through its whole tree: every event once, and the first cause."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from lib.document import as_document
from lib.stacks import events
from lib.stacks.events import Ending, Failure, Mark
from lib.stacks.stacks import Event
from lib.stacks.statuses import Status
from tests.support.answers import Aws, Json, error
from tests.support.aws_fakes import (
    START,
    FakeTime,
    FakeTree,
    Happening,
    event_entry,
    nested,
    no_such_stack,
    operations,
    own,
    refusal,
    stack_entry,
    stack_id,
)


def follow(
    tree: FakeTree, *, after: Mark | None = None, root: str = "app"
) -> tuple[Ending, list[Event]]:
    shown: list[Event] = []
    ending = events.follow(
        tree.client(), stack_id(root), after=after, clock=tree.time.clock, show=shown.append
    )
    return ending, shown


def lines(shown: Sequence[Event]) -> list[str]:
    return [f"{event.path} {event.status}".strip() for event in shown]


def creation(status: str = "CREATE_COMPLETE") -> dict[str, list[Happening]]:
    """A root with one child, which has one resource and one child of its own."""
    return {
        "app": [
            own("a0", 0, "app", "CREATE_IN_PROGRESS"),
            Happening("a1", 1, "Data", "CREATE_IN_PROGRESS", "AWS::CloudFormation::Stack"),
            nested("a2", 1.1, "Data", "CREATE_IN_PROGRESS"),
            nested("a3", 9, "Data", "CREATE_COMPLETE"),
            own("a4", 9.5, "app", status),
        ],
        "Data": [
            own("d0", 1.2, "Data", "CREATE_IN_PROGRESS"),
            Happening("d1", 2, "Jobs", "CREATE_COMPLETE", "AWS::DynamoDB::Table", "jobs"),
            nested("d2", 3, "Deep", "CREATE_IN_PROGRESS"),
            nested("d3", 7, "Deep", "CREATE_COMPLETE"),
            own("d4", 8, "Data", "CREATE_COMPLETE"),
        ],
        "Deep": [
            own("x0", 3.1, "Deep", "CREATE_IN_PROGRESS"),
            Happening("x1", 5, "Topic", "CREATE_COMPLETE", "AWS::SNS::Topic", "arn:topic"),
            own("x2", 6, "Deep", "CREATE_COMPLETE"),
        ],
    }


def created(happened: dict[str, list[Happening]], **more: object) -> FakeTree:
    states = [(0.0, "CREATE_IN_PROGRESS"), (9.5, "CREATE_COMPLETE")]
    return FakeTree(FakeTime(), happened, states, **more)  # type: ignore[arg-type]


def test_every_event_of_a_whole_tree_is_shown_once_and_in_order_of_time() -> None:
    ending, shown = follow(created(creation()))
    assert sorted(event.id for event in shown) == sorted(
        event.id for own_list in creation().values() for event in own_list
    )
    assert [event.time for event in shown] == sorted(event.time for event in shown)
    assert ending.events == tuple(shown)
    assert ending.status is Status.CREATE_COMPLETE
    assert ending.failure is None
    assert ending.stack is not None
    assert ending.stack.id == stack_id("app")


def test_events_of_many_nested_stacks_are_shown_in_order_of_time_while_they_happen() -> None:
    names = [f"S{n}" for n in range(10)]
    happened = {"app": [own("a0", 0, "app", "CREATE_IN_PROGRESS")]}
    for n, name in enumerate(names):
        happened["app"].append(nested(f"b{n}", 1 + n / 100, name, "CREATE_IN_PROGRESS"))
        happened["app"].append(nested(f"e{n}", 80 + n, name, "CREATE_COMPLETE"))
        happened[name] = [
            own(f"o{n}", 2 + n / 100, name, "CREATE_IN_PROGRESS"),
            *(
                Happening(f"r{n}-{t}", t + n / 100, f"R{t}", "CREATE_COMPLETE", "AWS::X::Y", "r")
                for t in range(5, 70, 5)
            ),
            own(f"p{n}", 79 + n / 100, name, "CREATE_COMPLETE"),
        ]
    happened["app"].append(own("a1", 95, "app", "CREATE_COMPLETE"))
    for own_list in happened.values():
        own_list.sort(key=lambda one: one.at)
    states = [(0.0, "CREATE_IN_PROGRESS"), (95.0, "CREATE_COMPLETE")]
    tree = FakeTree(FakeTime(), happened, states)
    shown: list[tuple[float, Event]] = []

    def show(event: Event) -> None:
        shown.append((tree.time.seconds, event))

    events.follow(tree.client(), stack_id("app"), after=None, clock=tree.time.clock, show=show)
    times = [event.time for _, event in shown]
    assert times == sorted(times)
    # Three of the ten are asked every 5 s: nothing waits for more than two rounds of that.
    assert max(seen - (event.time - START).total_seconds() for seen, event in shown) < 40


def test_events_are_named_by_their_path_from_the_root() -> None:
    paths = {event.id: event.path for event in follow(created(creation()))[1]}
    assert paths["a0"] == ""
    assert paths["a2"] == paths["d0"] == "Data"
    assert paths["d2"] == paths["x0"] == "Data/Deep"
    assert paths["x1"] == "Data/Deep/Topic"


def test_the_end_is_seen_within_a_tenth_of_the_time_that_the_operation_took() -> None:
    tree = created(creation())
    follow(tree)
    assert tree.time.seconds - 9.5 <= 9.5 * 0.1 + 0.1


def test_a_stack_that_rests_already_is_read_once_without_a_pause() -> None:
    tree = created(creation())
    tree.time.seconds = 100
    ending, shown = follow(tree)
    assert ending.status is Status.CREATE_COMPLETE
    assert len(shown) == 13
    assert tree.time.slept == []


def test_pages_of_any_size_show_the_same() -> None:
    tree = created(creation(), page_size=2)
    assert len(follow(tree)[1]) == 13


# What went before


def update() -> dict[str, list[Happening]]:
    """The creation, then an update that touches only the child's own table."""
    happened = creation()
    # The child ends its creation in the very instant that the root does.
    happened["Data"][-1] = own("d4", 9.5, "Data", "CREATE_COMPLETE")
    happened["app"] += [
        own("u0", 20, "app", "UPDATE_IN_PROGRESS"),
        nested("u1", 20.1, "Data", "UPDATE_IN_PROGRESS"),
        nested("u2", 30, "Data", "UPDATE_COMPLETE"),
        own("u3", 31, "app", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
        own("u4", 40, "app", "UPDATE_COMPLETE"),
    ]
    happened["Data"] += [
        own("v0", 22, "Data", "UPDATE_IN_PROGRESS"),
        Happening("v1", 25, "Jobs", "UPDATE_COMPLETE", "AWS::DynamoDB::Table", "jobs"),
        own("v2", 29, "Data", "UPDATE_COMPLETE"),
        Happening("v3", 35, "Old", "DELETE_COMPLETE", "AWS::SQS::Queue", "old"),
    ]
    return happened


def updating(happened: dict[str, list[Happening]]) -> FakeTree:
    states = [
        (0.0, "CREATE_COMPLETE"),
        (20.0, "UPDATE_IN_PROGRESS"),
        (31.0, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
        (40.0, "UPDATE_COMPLETE"),
    ]
    return FakeTree(FakeTime(19.5), happened, states)


def test_a_mark_is_the_newest_event() -> None:
    tree = updating(update())
    assert events.mark(tree.client(), stack_id("app")) == Mark("a4", START + timedelta(seconds=9.5))
    assert len(tree.calls) == 1


def test_a_stack_without_events_has_no_mark() -> None:
    assert events.mark(FakeTree(FakeTime(), {"app": []}).client(), "app") is None


def test_nothing_from_before_the_mark_is_shown() -> None:
    tree = updating(update())
    mark = events.mark(tree.client(), stack_id("app"))
    _, shown = follow(tree, after=mark)
    assert {event.id for event in shown} == {
        "u0",
        "u1",
        "u2",
        "u3",
        "u4",
        "v0",
        "v1",
        "v2",
        "v3",
    }


def test_cleaning_up_after_an_update_is_not_the_end() -> None:
    tree = updating(update())
    ending, shown = follow(tree, after=Mark("a4", START + timedelta(seconds=9.5)))
    assert ending.status is Status.UPDATE_COMPLETE
    assert tree.time.seconds >= 40
    assert "Data/Old DELETE_COMPLETE" in lines(shown)


# Throttling and disappearing


def test_throttled_looks_back_off_and_never_end_the_watch() -> None:
    tree = created(creation(), faults=[refusal("Throttling", "Rate exceeded") for _ in range(6)])
    ending, shown = follow(tree)
    assert ending.status is Status.CREATE_COMPLETE
    assert len(shown) == 13
    assert tree.time.slept[:6] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]


def test_expired_credentials_end_the_watch_at_once() -> None:
    tree = created(creation(), faults=[refusal("ExpiredToken")])
    with pytest.raises(ClientError, match="ExpiredToken"):
        follow(tree)
    assert tree.time.slept == []


def test_a_child_whose_events_are_gone_does_not_stop_the_watch() -> None:
    tree = created(creation(), gone={"Deep"})
    ending, shown = follow(tree)
    assert ending.status is Status.CREATE_COMPLETE
    assert [event.id for event in shown if event.path.startswith("Data/Deep/")] == []


def test_a_deletion_is_followed_to_its_end_by_the_stacks_id() -> None:
    happened = [
        own("z0", 0, "app", "DELETE_IN_PROGRESS"),
        own("z1", 3, "app", "DELETE_COMPLETE"),
    ]
    states = [(0.0, "DELETE_IN_PROGRESS"), (3.0, "DELETE_COMPLETE")]
    tree = FakeTree(FakeTime(), {"app": happened}, states)
    ending, shown = follow(tree)
    assert (ending.status, len(shown)) == (Status.DELETE_COMPLETE, 2)
    assert ending.stack is not None
    assert {str(call.arguments["StackName"]) for call in tree.calls} == {stack_id("app")}


def test_a_stack_that_has_gone_without_a_trace_is_given_up_after_half_a_minute() -> None:
    tree = FakeTree(FakeTime(), {}, gone={"app"})
    ending, shown = follow(tree)
    assert (ending.status, ending.stack, shown) == (Status.DELETE_COMPLETE, None, [])
    assert tree.time.seconds < 40


def test_a_new_stack_whose_events_are_late_is_waited_for() -> None:
    happened = [
        Happening(e.id, e.at, e.logical_id, e.status, e.type, e.physical_id, seen_at=e.at + 40)
        for e in creation()["app"]
    ]
    tree = created({**creation(), "app": happened})
    tree.states = [(0.0, "CREATE_IN_PROGRESS"), (49.5, "CREATE_COMPLETE")]
    ending, shown = follow(tree)
    assert ending.status is Status.CREATE_COMPLETE
    assert len(shown) == 13


def test_when_the_last_event_comes_before_the_state_the_state_is_asked_again_soon() -> None:
    tree = created(creation())
    tree.states = [(0.0, "CREATE_IN_PROGRESS"), (11.5, "CREATE_COMPLETE")]
    ending, _ = follow(tree)
    assert ending.status is Status.CREATE_COMPLETE
    assert tree.time.seconds < 13.5


def test_when_the_last_event_never_comes_the_state_ends_the_watch() -> None:
    happened = creation()
    happened["app"].pop()
    ending, _ = follow(created(happened))
    assert ending.status is Status.CREATE_COMPLETE


def test_a_stack_that_only_awaits_review_is_not_waited_for() -> None:
    tree = FakeTree(
        FakeTime(),
        {"app": [own("r", 0, "app", "REVIEW_IN_PROGRESS")]},
        [(0.0, "REVIEW_IN_PROGRESS")],
    )
    assert follow(tree)[0].status is Status.REVIEW_IN_PROGRESS
    assert tree.time.seconds < 40


# As a document and as a table


def test_an_event_is_told_by_path_and_without_what_only_reading_needs() -> None:
    found = event("Data/Jobs", 3, reason="no room")
    assert list(as_document(found).items()) == [
        ("time", (START + timedelta(seconds=3)).isoformat()),
        ("path", "Data/Jobs"),
        ("type", "AWS::S3::Bucket"),
        ("status", "X_FAILED"),
        ("reason", "no room"),
        ("physical_id", ""),
        ("hook_type", ""),
        ("hook_status", ""),
        ("hook_mode", ""),
        ("hook_reason", ""),
    ]


def test_events_are_drawn_with_the_time_since_the_first() -> None:
    table = events.draw([event("", 3, reason="a"), event("Data/Jobs", 65, reason="b")])
    first, second = (line.split() for line in table.splitlines())
    assert first[1:] == ["X_FAILED", "(stack)", "S3", "Bucket", "a"]
    assert second[1:] == ["X_FAILED", "Data/Jobs", "S3", "Bucket", "b"]
    assert first[0] != second[0]


# How often AWS is asked


def wide(children: int, seconds: float) -> FakeTree:
    names = [f"C{n}" for n in range(children)]
    root = [
        own("r0", 0, "app", "CREATE_IN_PROGRESS"),
        *[nested(f"n{name}", 0.01, name, "CREATE_IN_PROGRESS") for name in names],
        own("r1", seconds, "app", "CREATE_COMPLETE"),
    ]
    inside = {
        name: [
            own(f"{name}-0", 0.02, name, "CREATE_IN_PROGRESS"),
            own(f"{name}-1", seconds - 1, name, "CREATE_COMPLETE"),
        ]
        for name in names
    }
    states = [(0.0, "CREATE_IN_PROGRESS"), (seconds, "CREATE_COMPLETE")]
    return FakeTree(FakeTime(), {"app": root, **inside}, states)


def looks(tree: FakeTree) -> list[list[str]]:
    """Return the children asked about in each look."""
    found: list[list[str]] = []
    for name in tree.asked():
        if name == "app":
            found.append([])
        else:
            found[-1].append(name)
    return found


def test_one_look_asks_about_a_few_children_and_each_gets_its_turn() -> None:
    tree = wide(9, 300)
    _, shown = follow(tree)
    assert len(shown) == 29
    during = looks(tree)[1:-2]
    assert max(len(look) for look in during) == events.CHILDREN_PER_LOOK
    for first, second, third in zip(during[3:40], during[4:41], during[5:42], strict=False):
        assert {*first, *second, *third} == {f"C{n}" for n in range(9)}


def test_a_long_operation_is_asked_about_every_five_seconds() -> None:
    tree = wide(1, 900)
    follow(tree)
    assert 900 / 5 < len(tree.time.slept) < 900 / 5 + 60
    assert max(tree.time.slept) == 5.0


def test_a_child_that_has_ended_is_not_asked_about_again() -> None:
    tree = created(creation())
    tree.events["app"][-1] = own("a4", 120, "app", "CREATE_COMPLETE")
    tree.states = [(0.0, "CREATE_IN_PROGRESS"), (120.0, "CREATE_COMPLETE")]
    follow(tree)
    after_the_end = [name for look in looks(tree)[-5:] for name in look]
    assert "Deep" not in after_the_end


def test_a_child_without_events_of_its_own_is_read_once_at_the_end() -> None:
    time = FakeTime()
    silent = {"app": [own("a0", 0, "app", "UPDATE_IN_PROGRESS")], "Net": []}
    silent["app"] += [
        nested("a1", 1, "Net", "UPDATE_COMPLETE"),
        own("a2", 1, "app", "UPDATE_COMPLETE"),
    ]
    tree = FakeTree(time, silent, [(0.0, "UPDATE_COMPLETE")])
    time.seconds = 2
    follow(tree)
    assert tree.asked().count("Net") == 1


def test_a_child_that_is_done_by_the_next_look_is_asked_once() -> None:
    tree = wide(1, 60)
    tree.events["app"].insert(2, nested("done", 0.7, "C0", "CREATE_COMPLETE"))
    tree.events["C0"][-1] = own("C0-1", 0.65, "C0", "CREATE_COMPLETE")
    follow(tree)
    assert tree.asked().count("C0") == 1


def test_the_first_looks_leave_room_for_other_stacks() -> None:
    tree = wide(0, 5)
    follow(tree)
    assert len(tree.asked()) == 1 + 5 / events.FIRST_PAUSE


def test_a_child_in_which_nothing_will_happen_is_not_asked_unless_the_operation_fails() -> None:
    before = START - timedelta(seconds=1)
    tree = wide(2, 60)
    follow(tree, after=Mark("", before, frozenset({"C1"})))
    assert set(tree.asked()) == {"app", "C0"}
    states = [(0.0, "UPDATE_IN_PROGRESS"), (12.0, "UPDATE_ROLLBACK_COMPLETE")]
    tree = FakeTree(FakeTime(), failed_update(), states)
    ending, shown = follow(tree, after=Mark("", before, frozenset({"Net", "Data"})))
    assert ending.failure
    assert ending.failure.path == "Net/Sub"
    assert {event.id for event in shown} >= {"d3", "n1", "n3"}


# Failures


def failed_update() -> dict[str, list[Happening]]:
    """Net fails; Data, which had ended, is rolled back; Auth is cancelled."""
    embedded = f"Embedded stack {stack_id('Net')} was not successfully updated: [Vpc]"
    return {
        "app": [
            own("a0", 0, "app", "UPDATE_IN_PROGRESS"),
            *[nested(f"b{n}", 1, n, "UPDATE_IN_PROGRESS") for n in ("Data", "Net", "Auth")],
            nested("a1", 3, "Data", "UPDATE_COMPLETE"),
            nested("a2", 6, "Net", "UPDATE_FAILED", embedded),
            nested("a3", 6.1, "Auth", "UPDATE_FAILED", "Resource update cancelled"),
            own(
                "a4", 6.2, "app", "UPDATE_ROLLBACK_IN_PROGRESS", "The following failed: [Net, Auth]"
            ),
            nested("a5", 7, "Data", "UPDATE_IN_PROGRESS"),
            nested("a6", 11, "Data", "UPDATE_COMPLETE"),
            own("a7", 12, "app", "UPDATE_ROLLBACK_COMPLETE"),
        ],
        "Data": [
            own("d0", 1.1, "Data", "UPDATE_IN_PROGRESS"),
            own("d1", 2.9, "Data", "UPDATE_COMPLETE"),
            own("d2", 7.1, "Data", "UPDATE_ROLLBACK_IN_PROGRESS"),
            Happening("d3", 9, "Jobs", "UPDATE_COMPLETE", "AWS::DynamoDB::Table", "jobs"),
            own("d4", 10, "Data", "UPDATE_ROLLBACK_COMPLETE"),
        ],
        "Net": [
            own("n0", 1.1, "Net", "UPDATE_IN_PROGRESS"),
            Happening("n1", 4.9, "Sub", "UPDATE_FAILED", "AWS::EC2::Subnet", "s", "no more room"),
            Happening("n2", 5, "Vpc", "UPDATE_FAILED", "AWS::EC2::VPC", "v", "later failure"),
            own("n3", 5.5, "Net", "UPDATE_FAILED", "The following failed: [Sub, Vpc]"),
        ],
        "Auth": [
            own("x0", 1.1, "Auth", "UPDATE_IN_PROGRESS"),
            Happening(
                "x1", 4, "Pool", "UPDATE_FAILED", "T::T::T", "p", "Resource update cancelled"
            ),
        ],
    }


def test_the_cause_is_the_first_failure_in_the_deepest_stack() -> None:
    states = [(0.0, "UPDATE_IN_PROGRESS"), (12.0, "UPDATE_ROLLBACK_COMPLETE")]
    ending, _ = follow(FakeTree(FakeTime(), failed_update(), states))
    assert ending.status is Status.UPDATE_ROLLBACK_COMPLETE
    assert ending.failure == Failure(
        "Net/Sub", "Sub", "AWS::EC2::Subnet", "UPDATE_FAILED", "no more room"
    )


def test_a_child_that_had_ended_is_followed_through_its_rollback() -> None:
    states = [(0.0, "UPDATE_IN_PROGRESS"), (12.0, "UPDATE_ROLLBACK_COMPLETE")]
    tree = FakeTree(FakeTime(), failed_update(), states)
    _, shown = follow(tree)
    assert sorted(event.id for event in shown) == sorted(
        e.id for own_list in failed_update().values() for e in own_list
    )
    assert [event.id for event in shown if event.path == "Data/Jobs"] == ["d3"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_reading_does_not_decide_the_cause(order: Sequence[int]) -> None:
    found = [event("A/R", 5, reason="a"), event("B/R", 4, reason="b"), event("C/R", 6, reason="c")]
    cause = events.find_cause([found[n] for n in order])
    assert cause is not None
    assert cause.reason == "b"


def event(
    path: str, at: float, *, reason: str, kind: str = "AWS::S3::Bucket", status: str = "X_FAILED"
) -> Event:
    logical = path.rsplit("/", 1)[-1]
    return Event(
        f"{path}{at}",
        stack_id("app"),
        START + timedelta(seconds=at),
        path,
        logical,
        "",
        kind,
        status,
        reason,
        "",
    )


NESTED = "AWS::CloudFormation::Stack"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ([], None),
        ([event("A", 1, reason="fine", status="CREATE_COMPLETE")], None),
        ([event("", 1, reason="Parameter X is invalid", kind=NESTED)], "Parameter X is invalid"),
        (
            [
                event("Net", 2, reason="Embedded stack was not successfully created", kind=NESTED),
                event("", 3, reason="The following resource(s) failed", kind=NESTED),
            ],
            "Embedded stack was not successfully created",
        ),
        (
            [
                event("A", 1, reason="Resource creation cancelled"),
                event("B", 2, reason="Resource deletion cancelled"),
            ],
            "Resource creation cancelled",
        ),
        (
            [
                event("Network", 1, reason="Embedded stack failed", kind=NESTED),
                event("NetworkMore/Vpc", 2, reason="no room"),
            ],
            "Embedded stack failed",
        ),
    ],
    ids=[
        "no event",
        "no failure",
        "the root's own validation",
        "a child that left no events",
        "only cancelled ones",
        "a sibling whose name begins the same",
    ],
)
def test_where_nothing_deeper_is_known_the_best_known_failure_is_told(
    found: list[Event], reason: str | None
) -> None:
    cause = events.find_cause(found)
    assert (cause.reason if cause else None) == reason


# What AWS says elsewhere than in a failed status


ROLLED_BACK = "Transform 111111111111::Audit failed with: no. Rollback requested by user."


def rolled_back_for_no_resource() -> dict[str, list[Happening]]:
    """A stack that fails by itself: its outputs or a macro; no event of it is `*_FAILED`."""
    return {
        "app": [
            own("a0", 0, "app", "CREATE_IN_PROGRESS", "User Initiated"),
            own("a1", 2, "app", "ROLLBACK_IN_PROGRESS", ROLLED_BACK),
            own("a2", 4, "app", "ROLLBACK_COMPLETE"),
        ]
    }


def test_a_stack_that_fails_without_a_failed_event_says_itself_why() -> None:
    states = [(0.0, "CREATE_IN_PROGRESS"), (4.0, "ROLLBACK_COMPLETE")]
    ending, _ = follow(FakeTree(FakeTime(), rolled_back_for_no_resource(), states))
    assert ending.failure is not None
    assert (ending.failure.path, ending.failure.reason) == ("", ROLLED_BACK)


def test_a_nested_stack_that_fails_by_itself_is_the_cause_not_its_parents_word() -> None:
    happened = {
        "app": [
            own("a0", 0, "app", "CREATE_IN_PROGRESS", "User Initiated"),
            nested("a1", 1, "Data", "CREATE_IN_PROGRESS"),
            nested("a2", 3, "Data", "CREATE_FAILED", "Embedded stack was not created"),
            own("a3", 4, "app", "ROLLBACK_IN_PROGRESS", "failed to create: [Data]. Rollback"),
            own("a4", 6, "app", "ROLLBACK_COMPLETE"),
        ],
        "Data": [
            own("d0", 1, "Data", "CREATE_IN_PROGRESS"),
            # In the very instant of the parent's word.
            own("d1", 3, "Data", "ROLLBACK_IN_PROGRESS", ROLLED_BACK),
        ],
    }
    states = [(0.0, "CREATE_IN_PROGRESS"), (6.0, "ROLLBACK_COMPLETE")]
    ending, _ = follow(FakeTree(FakeTime(), happened, states))
    assert ending.failure is not None
    assert (ending.failure.path, ending.failure.reason) == ("Data", ROLLED_BACK)


def test_what_cannot_be_removed_in_a_rollback_did_not_bring_it_about() -> None:
    happened = rolled_back_for_no_resource()
    happened["app"].insert(2, Happening("b", 3, "Bucket", "DELETE_FAILED", reason="not empty"))
    states = [(0.0, "CREATE_IN_PROGRESS"), (4.0, "ROLLBACK_FAILED")]
    ending, _ = follow(FakeTree(FakeTime(), happened, states))
    assert ending.failure is not None
    assert ending.failure.reason == ROLLED_BACK


@pytest.mark.parametrize("status", ["ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS"])
def test_a_resource_that_failed_is_the_cause_of_the_rollback_that_follows(status: str) -> None:
    rollback = event("", 2, reason="failed: [R]. Rollback requested", kind=NESTED, status=status)
    failed = event("R", 2, reason="no room")
    cause = events.find_cause([replace(rollback, physical_id=rollback.stack_id), failed])
    assert cause is not None
    assert cause.reason == "no room"


def test_a_rollback_that_somebody_asked_for_is_no_failure() -> None:
    asked = event("", 1, reason="User Initiated", kind=NESTED, status="ROLLBACK_IN_PROGRESS")
    assert events.find_cause([replace(asked, physical_id=asked.stack_id)]) is None


def hook(mode: str, said: str = "no public buckets") -> Mapping[str, str]:
    """What an event says of a hook that failed, as recorded on AWS."""
    return {
        "HookType": "Acme::Audit::Hook",
        "HookStatus": "HOOK_COMPLETE_FAILED",
        "HookStatusReason": said,
        "HookFailureMode": mode,
        "HookInvocationPoint": "PRE_PROVISION",
    }


def hooked(mode: str, status: str) -> FakeTree:
    """A creation that a hook judges; in FAIL mode AWS then names the hook, not its reason."""
    happened = [
        own("a0", 0, "app", "CREATE_IN_PROGRESS"),
        Happening("h1", 1, "Bucket", "CREATE_IN_PROGRESS", hook=hook(mode)),
    ]
    if mode == "FAIL":
        said = "The following hook(s) failed: [Acme::Audit::Hook]"
        happened.append(Happening("h2", 2, "Bucket", "CREATE_FAILED", reason=said))
    happened.append(own("a9", 4, "app", status))
    return FakeTree(FakeTime(), {"app": happened}, [(0, "CREATE_IN_PROGRESS"), (4, status)])


def test_a_hook_that_stops_a_resource_is_the_cause_in_its_own_words() -> None:
    ending, shown = follow(hooked("FAIL", "ROLLBACK_COMPLETE"))
    assert ending.failure == Failure(
        "Bucket",
        "Bucket",
        "AWS::S3::Bucket",
        "HOOK_COMPLETE_FAILED",
        "Acme::Audit::Hook: no public buckets",
    )
    assert "Acme::Audit::Hook: no public buckets" in " ".join(events.draw(shown).split())
    assert as_document(shown[1])["hook_reason"] == "no public buckets"


def test_a_hook_that_only_warns_is_no_cause() -> None:
    ending, _ = follow(hooked("WARN", "ROLLBACK_COMPLETE"))
    assert ending.failure is None


def test_a_hook_that_could_not_be_run_stops_the_resource_as_well() -> None:
    crashed = event("Bucket", 1, reason="", status="CREATE_IN_PROGRESS")
    said = replace(
        crashed, hook_type="Acme::Audit::Hook", hook_status="HOOK_FAILED", hook_mode="FAIL"
    )
    cause = events.find_cause([said])
    assert cause is not None
    assert cause.reason == "Acme::Audit::Hook: HOOK_FAILED"


# Afterwards


def test_the_latest_operation_is_read_from_its_beginning_through_the_tree() -> None:
    tree = updating(update())
    tree.time.seconds = 100
    found = events.read_operation(tree.client(), stack_id("app"))
    assert [e.id for e in found] == ["u0", "u1", "v0", "v1", "v2", "u2", "u3", "v3", "u4"]
    assert tree.asked() == ["app", "Data"]


def test_an_operation_with_nested_children_of_children_is_read_to_the_leaves() -> None:
    tree = created(creation())
    tree.time.seconds = 100
    found = events.read_operation(tree.client(), stack_id("app"))
    assert len(found) == 13
    assert [event.time for event in found] == sorted(event.time for event in found)


def test_a_child_that_is_gone_is_left_out_of_the_latest_operation() -> None:
    tree = created(creation(), gone={"Deep"})
    tree.time.seconds = 100
    assert "Data/Deep/Topic" not in [e.path for e in events.read_operation(tree.client(), "app")]


def test_a_stack_without_events_has_had_no_operation() -> None:
    tree = FakeTree(FakeTime(), {"app": []})
    assert events.read_operation(tree.client(), "app") == ()
    assert operations(tree.calls) == ["DescribeStackEvents"]


def test_an_absent_stacks_operation_is_an_error_not_an_empty_list() -> None:
    tree = FakeTree(FakeTime(), {}, faults=[no_such_stack("app", "DescribeStackEvents")])
    with pytest.raises(ClientError, match="does not exist"):
        events.read_operation(tree.client(), "app")


# A nested stack that no event names


UNNAMED = "No export named no-such-export found. Rollback requested by user."


def unnamed_child(listed: str = "", *, live: bool = True) -> Aws:
    """A parent that says only that Data failed, and Data, which says why."""

    def entry(stack: str, event: Happening) -> Json:
        made = event_entry(stack, event)
        return {k: v for k, v in made.items() if v != ""}

    aws = Aws()
    parent = [
        own("a0", 0, "app", "CREATE_IN_PROGRESS"),
        Happening("a1", 1, "Data", "CREATE_FAILED", "AWS::CloudFormation::Stack"),
        own("a2", 2, "app", "CREATE_FAILED"),
    ]
    child = [
        own("d0", 0.5, "app-Data-1A", "CREATE_IN_PROGRESS"),
        own("d1", 0.9, "app-Data-1A", "ROLLBACK_IN_PROGRESS", UNNAMED),
    ]
    for name, happened in (("app", parent), ("app-Data-1A", child)):
        told = [entry(name, event) for event in reversed(happened)]
        aws.reply("DescribeStackEvents", stack_id(name), {"StackEvents": told})
    row = {
        "LogicalResourceId": "Data",
        "ResourceType": "AWS::CloudFormation::Stack",
        "ResourceStatus": "CREATE_FAILED",
        "LastUpdatedTimestamp": START,
        **({"PhysicalResourceId": listed} if listed else {}),
    }
    aws.reply("ListStackResources", stack_id("app"), {"StackResourceSummaries": [row]})
    names = ["app", "app-Database-2B", *(["app-Data-1A"] if live else [])]
    # One that an earlier attempt has left, too.
    left = stack_entry("app-Data-9Z", "CREATE_FAILED", CreationTime=START - timedelta(days=1))
    there = [*([left] if live else []), *(stack_entry(name, "CREATE_FAILED") for name in names)]
    aws.reply("DescribeStacks", "", {"Stacks": there})
    return aws


def tell(aws: Aws) -> Failure:
    cause = events.tell_cause(aws.client, events.read_operation(aws.client, stack_id("app")))
    assert cause
    return cause


@pytest.mark.parametrize("listed", ["", stack_id("app-Data-1A")])
def test_a_nested_stack_that_no_event_names_is_found_and_says_itself_why(listed: str) -> None:
    aws = unnamed_child(listed)
    cause = tell(aws)
    assert (cause.path, cause.reason) == ("Data", UNNAMED)
    assert len(aws.calls("DescribeStacks")) == (0 if listed else 1)


def test_a_nested_stack_that_cannot_be_found_leaves_what_is_known() -> None:
    gone = unnamed_child(live=False)
    refused = unnamed_child()
    refused.reply("DescribeStacks", "", error("AccessDenied"))
    for aws in (gone, refused):
        cause = tell(aws)
        assert (cause.path, cause.status, cause.reason) == ("Data", "CREATE_FAILED", "")


def test_nothing_more_is_asked_where_the_events_tell_the_cause() -> None:
    aws = unnamed_child()
    event = Happening("a1", 1, "Logs", "CREATE_FAILED", "AWS::S3::Bucket", "", "taken")
    told = [
        event_entry("app", event),
        event_entry("app", own("a0", 0, "app", "CREATE_IN_PROGRESS")),
    ]
    aws.reply("DescribeStackEvents", stack_id("app"), {"StackEvents": told})
    assert tell(aws).reason == "taken"
    assert {operation for operation, _ in aws.asked} == {"DescribeStackEvents"}
