"""What a person sees of many regions, and what is left in their logs."""

from __future__ import annotations

from pathlib import Path

from lib.deploy.outcomes import Outcome
from lib.operators import Note, Progress, ResourceProgress
from lib.regions.desk import BoardLine
from tests.support import factories
from tests.support.aws_fakes import START
from tests.support.rehearsal import THREE, Act, Person, Rehearsal, create, plan_of, stay


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
