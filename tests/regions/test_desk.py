"""What a person sees of many regions, and what is left in their logs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lib.deploy.outcomes import Outcome
from lib.errors import InputError, OperationFailed, Refused
from lib.operators import Expected, Level, Listing, Note, Progress, ResourceProgress
from lib.polling import Clock
from lib.regions import desk as desks
from lib.regions.crews import Ended, Question
from lib.regions.desk import BoardLine, Desk
from lib.templates.templates import STACK_TYPE
from tests.support import factories
from tests.support.aws_fakes import START
from tests.support.rehearsal import (
    THREE,
    Act,
    Person,
    Rehearsal,
    create,
    plan_of,
    sites,
    stay,
)


def event(status: str = "CREATE_COMPLETE", path: str = "Table") -> ResourceProgress:
    return ResourceProgress(START, path, "AWS::DynamoDB::Table", status, "because", 65)


def reporting(*progress: Progress) -> Act:
    def act(desk: Rehearsal, region: str) -> Outcome:
        create(desk, region)
        for one in progress:
            desk.access[region].operator.report(one)
        return factories.outcome("created", region=region)

    return act


def test_without_a_terminal_every_line_says_its_region() -> None:
    person = Person()
    Rehearsal(person, {"us-east-1": reporting(Note("hello"), event())}).run()
    assert "info: us-east-1      | hello" in person.seen
    assert any(
        text.startswith("info: us-east-1      |   1:05  CREATE_COMPLETE") for text in person.seen
    )


def test_on_a_terminal_each_region_is_one_line_and_only_failures_are_listed() -> None:
    person, boards = Person(), list[list[str]]()
    acts = {"us-east-1": reporting(event(), event("CREATE_FAILED", "Queue")), "us-west-2": stay}
    Rehearsal(person, acts, draw=lambda lines: boards.append(list(lines))).run()
    assert not any("CREATE_COMPLETE" in text for text in person.seen)
    assert any("CREATE_FAILED" in text and "because" in text for text in person.seen)
    assert "us-east-1       CREATED CREATE_COMPLETE" in boards[-1][0]
    assert "1/2 resources" in boards[-1][0]
    assert boards[-1][1].startswith("us-west-2       UNCHANGED")


def test_on_a_terminal_what_is_under_way_in_a_region_stands_below_its_line() -> None:
    line = BoardLine(started=10.0)
    for one in (event("UPDATE_IN_PROGRESS", "S/Jobs"), event("CREATE_IN_PROGRESS"), event()):
        line.note(one)
    assert [text.split() for text in line.draw("us-east-1", 75.0)] == [
        ["us-east-1", "waiting", "1/2", "resources", "1:05"],
        ["S/Jobs"],
    ]
    # What has ended is not under way any more, whatever was not heard of it.
    line.ended = 80.0
    assert len(line.draw("us-east-1", 90.0)) == 1


def test_each_region_has_a_log_of_its_own_when_asked_for(tmp_path: Path) -> None:
    acts = {name: reporting(Note(f"only {name}")) for name in THREE}
    Rehearsal(Person(), acts, plan_of(log_folder=tmp_path / "logs")).run()
    for name in THREE:
        text = (tmp_path / "logs" / f"{name}.log").read_text()
        assert text == f"2026-11-20T09:00:00Z info: only {name}\n"


def test_nothing_that_is_said_at_the_very_end_is_lost() -> None:
    last = [Note(f"word {number}") for number in range(50)]
    person = Person()
    Rehearsal(person, dict.fromkeys(THREE, reporting(*last))).run()
    assert sum("word" in text for text in person.seen) == 150


def test_a_log_that_cannot_be_written_does_not_end_the_rollout(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file stands here")
    person = Person()
    plan = plan_of(log_folder=tmp_path / "logs")
    rollout = Rehearsal(person, {"us-east-1": reporting(Note("hello"))}, plan).run()
    assert rollout.exit_code == 0
    assert any("No log is written any more" in text for text in person.seen)


# What a desk does by itself


def desk_of(person: Person, *names: str, clock: Clock | None = None, **given: Any) -> Desk:
    draw = given.pop("draw", None)
    return Desk(sites(names or THREE), person.operator(), plan_of(**given), clock or Clock(), draw)


def test_each_region_has_its_own_line_access_and_thread() -> None:
    desk = desk_of(Person())
    assert list(desk.sites) == list(desk.lines) == list(desk.access) == list(THREE)
    assert len({id(line) for line in desk.lines.values()}) == 3
    assert desk.started == []
    names = desk.work_everywhere(lambda name: (name, threading.current_thread().name), "title")
    assert names == {name: (name, name) for name in THREE}


def test_work_in_some_regions_leaves_the_others_alone() -> None:
    desk = desk_of(Person())
    ended = desk.work_on(["us-west-2"], lambda name: name.upper())
    assert {name: end.result for name, end in ended.items()} == {"us-west-2": "US-WEST-2"}


def test_what_stops_any_region_is_raised_once_with_every_region_s_reason() -> None:
    desk = desk_of(Person())

    def work(name: str) -> str:
        if name == "us-west-2":
            return name
        raise InputError(f"bad {name}")

    with pytest.raises(InputError) as caught:
        desk.work_everywhere(work, "Nothing was done.")
    assert caught.value.message.splitlines() == [
        "Nothing was done.",
        "us-east-1: bad us-east-1",
        "eu-west-1: bad eu-west-1",
    ]


def test_a_bug_in_a_region_is_raised_as_it_is() -> None:
    def bug(_name: str) -> None:
        raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError, match="ours"):
        desk_of(Person()).work_everywhere(bug, "title")


def test_nothing_is_raised_where_nothing_stops() -> None:
    desk_of(Person()).raise_all(dict.fromkeys(THREE), "title")


def asking(desk: Desk, word: str = "Data/Jobs") -> Question:
    """Let a region's thread ask for consent, and return its question."""
    confirm = desk.access["us-east-1"].operator.confirm
    desk.crew.start("us-east-1", lambda: confirm("Data/Jobs will be destroyed. Agree?", word))
    while desk.is_working("us-east-1"):
        desk.crew.take(0.01)
    question = desk.crew.open_question("us-east-1")
    assert question is not None
    return question


def finish(desk: Desk) -> Ended:
    while "us-east-1" not in desk.crew.ended:
        desk.crew.take(0.01)
    return desk.crew.ended["us-east-1"]


@pytest.mark.parametrize("agreed", [True, False])
def test_consent_is_asked_for_with_the_region_before_question_and_word(agreed: bool) -> None:
    person = Person(agreed)
    desk = desk_of(person, "us-east-1")
    asking(desk)
    desk.ask_about_data("us-east-1")
    assert person.asked == [
        ("us-east-1: Data/Jobs will be destroyed. Agree?", "us-east-1:Data/Jobs")
    ]
    assert finish(desk).result is agreed


def test_where_nobody_can_be_asked_the_region_is_told_so() -> None:
    refused = Refused("nobody")
    desk = desk_of(Person(refused), "us-east-1")
    asking(desk)
    desk.ask_about_data("us-east-1")
    assert finish(desk).error is refused


def test_a_question_that_is_answered_is_not_asked_again() -> None:
    person = Person()
    desk = desk_of(person, "us-east-1")
    asking(desk)
    desk.crew.answer("us-east-1", True)
    desk.ask_about_data("us-east-1")
    assert person.asked == []
    assert finish(desk).result is True


def test_a_region_under_way_that_asks_once_more_is_refused_and_told_why() -> None:
    desk = desk_of(Person(), "us-east-1")
    asking(desk)
    desk.take()
    assert desk.crew.open_question("us-east-1"), "its turn has not come"
    desk.started.append("us-east-1")
    desk.take()
    error = finish(desk).error
    assert isinstance(error, Refused)
    assert error.message == (
        "us-east-1 is no longer as it was shown, so it was not changed further: Data/Jobs will be "
        "destroyed. Agree?"
    )
    assert error.next_step.startswith("run the same command again")


def test_a_region_works_until_it_asks_or_has_ended() -> None:
    desk = desk_of(Person(), "us-east-1")
    go_on = threading.Event()
    desk.crew.start("us-east-1", lambda: go_on.wait(60))
    assert desk.is_working("us-east-1")
    go_on.set()
    finish(desk)
    assert not desk.is_working("us-east-1")
    asking(desk)
    assert not desk.is_working("us-east-1")


def test_an_error_lets_no_thread_go_on_and_gives_it_time_to_clean_up() -> None:
    cleaned: list[str] = []

    def work() -> None:
        try:
            desk.access["us-east-1"].operator.confirm("Go?", "y")
        except KeyboardInterrupt:
            threading.Event().wait(0.2)
            cleaned.append("us-east-1")
            raise

    desk = desk_of(Person(), "us-east-1")
    desk.crew.start("us-east-1", work)
    while desk.is_working("us-east-1"):
        desk.crew.take(0.01)
    with pytest.raises(InputError), desk:
        raise InputError("wrong")
    assert cleaned == ["us-east-1"]


def test_a_thread_that_does_not_end_holds_up_an_error_for_a_quarter_of_a_minute_only() -> None:
    seconds = iter(range(0, 1000, 5))
    for_ever = threading.Event()
    clock = Clock(monotonic=lambda: float(next(seconds)), now=lambda: START)
    desk = desk_of(Person(), "us-east-1", clock=clock)
    desk.crew.start("us-east-1", lambda: for_ever.wait(60))
    with pytest.raises(InputError), desk:
        raise InputError("wrong")
    for_ever.set()
    assert next(seconds) == 20


def test_without_an_error_threads_are_left_alone() -> None:
    with desk_of(Person(), "us-east-1") as desk:
        question = asking(desk)
    assert not question.is_answered
    desk.crew.answer("us-east-1", True)
    assert finish(desk).result is True


# What is shown


def test_only_failures_are_errors_and_what_is_expected_is_not_shown() -> None:
    person = Person()
    told = [event(), event("CREATE_FAILED", "Queue"), Expected(frozenset({"Table"}))]
    Rehearsal(person, {"us-east-1": reporting(*told)}).run()
    lines = [text for text in person.seen if "| " in text]
    assert [line.partition(":")[0] for line in lines] == ["info", "error"]


def test_a_sentence_keeps_its_level_and_a_listing_is_shown_as_it_is() -> None:
    person = Person()
    listing = Listing("What:", ("A",), [("b",)])
    Rehearsal(person, {"us-east-1": reporting(Note("mind", Level.WARNING), listing)}).run()
    assert "warning: us-east-1      | mind" in person.seen
    assert desks.as_text(listing) in person.seen


def test_a_log_has_everything_that_its_region_reported_and_goes_on_where_it_was(
    tmp_path: Path,
) -> None:
    for _ in range(2):
        told = reporting(Note("mind", Level.WARNING), event("CREATE_FAILED"), Expected(frozenset()))
        Rehearsal(Person(), {"us-east-1": told}, plan_of(log_folder=tmp_path)).run()
    lines = (tmp_path / "us-east-1.log").read_text().splitlines()
    assert lines[:2] == lines[2:]
    assert lines[0] == "2026-11-20T09:00:00Z warning: mind"
    assert lines[1].startswith("2026-11-20T09:00:00Z   1:05  CREATE_FAILED")


def test_that_no_log_is_written_any_more_is_warned_of_once(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file stands here")
    person = Person()
    told = reporting(Note("one"), Note("two"))
    Rehearsal(person, {"us-east-1": told}, plan_of(log_folder=tmp_path / "logs")).run()
    warned = [text for text in person.seen if "No log is written" in text]
    assert len(warned) == 1
    assert warned[0].startswith("warning: ")


# The line of a region


def test_a_line_counts_what_is_done_of_what_is_known_and_the_time() -> None:
    line = BoardLine(state="starting", total=3)
    waiting = "us-east-1       starting                  0/3 resources"
    assert line.draw("us-east-1", 100.0) == [waiting]
    line.started = 40.0
    for status, path in (("CREATE_COMPLETE", "A"), ("CREATE_IN_PROGRESS", "B")):
        line.note(event(status, path))
    told, below = line.draw("us-east-1", 100.0)
    assert told.split() == ["us-east-1", "starting", "1/3", "resources", "1:00"]
    assert below.split() == ["B"]
    for path in "CD":
        line.note(event("CREATE_COMPLETE", path))
    assert "3/4 resources" in line.draw("us-east-1", 100.0)[0]
    line.ended = 50.0
    (ended,) = line.draw("us-east-1", 100.0)
    assert ended.endswith("0:10")
    assert line.seconds(100.0) == 10.0
    assert BoardLine().seconds(100.0) == 0.0
    assert BoardLine().draw("us-east-1", 100.0) == ["us-east-1       waiting"]


def test_a_line_says_how_long_such_an_operation_usually_takes_while_it_goes_on() -> None:
    line = BoardLine(state="UPDATE_IN_PROGRESS", started=10.0)
    line.expect(Expected(frozenset({"A", "B"}), lambda: 1000.0))
    (told,) = line.draw("ap-southeast-1", 75.0)
    assert told.split()[2:] == ["0/2", "resources", "1:05", "usually", "16:40"]
    assert len(told) <= 80
    # Not before it has begun, nor of what is taken back, nor when it has ended.
    assert "usually" not in replace(line, started=0.0).draw("us-east-1", 75.0)[0]
    assert "usually" not in replace(line, state="UPDATE_ROLLBACK_IN_PROGRESS").draw("x", 75.0)[0]
    assert "usually" not in replace(line, ended=70.0).draw("us-east-1", 75.0)[0]
    line.expect(Expected(frozenset()))
    assert "usually" not in line.draw("us-east-1", 75.0)[0]


@pytest.mark.parametrize("drawn", [True, False])
def test_how_long_it_usually_takes_is_asked_in_the_region_s_thread_and_only_where_it_is_shown(
    drawn: bool,
) -> None:
    asked: list[str] = []

    def ask() -> float:
        asked.append(threading.current_thread().name)
        return 400.0

    boards: list[Sequence[str]] = []
    told = reporting(event("UPDATE_IN_PROGRESS"), Expected(frozenset({"Table"}), ask))
    rehearsal = Rehearsal(Person(), {"us-east-1": told}, draw=boards.append if drawn else None)
    rehearsal.run()
    assert asked == (["us-east-1"] if drawn else [])
    assert rehearsal.desk.lines["us-east-1"].usually == (400.0 if drawn else None)


def test_a_line_s_state_is_the_root_stack_s_and_no_nested_one_s() -> None:
    line = BoardLine()
    line.note(ResourceProgress(START, "", STACK_TYPE, "CREATE_IN_PROGRESS", "", 1))
    line.note(ResourceProgress(START, "Data", STACK_TYPE, "CREATE_COMPLETE", "", 1))
    assert (line.state, line.resources) == ("CREATE_IN_PROGRESS", {})


def test_the_live_view_ends_with_what_became_of_each_region() -> None:
    boards: list[list[str]] = []

    def broken(desk: Rehearsal, region: str) -> Outcome:
        create(desk, region)
        raise OperationFailed("no")

    acts = {"us-east-1": broken, "us-west-2": create}
    Rehearsal(Person(), acts, draw=lambda lines: boards.append(list(lines))).run()
    first, second = boards[-1]
    assert first.split()[:2] == ["us-east-1", "FAILED"]
    assert second.startswith("us-west-2       NOT STARTED")
