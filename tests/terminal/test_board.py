"""While an operation goes on, a person sees how far it is and what it is busy with."""

from __future__ import annotations

from datetime import UTC, datetime

from lib.operators import ResourceProgress
from lib.terminal.board import Board


def event(status: str, path: str = "A", elapsed: float = 130) -> ResourceProgress:
    return ResourceProgress(datetime(2026, 10, 1, tzinfo=UTC), path, "X", status, "", elapsed)


def shown(board: Board, *events: ResourceProgress) -> list[str]:
    for one in events:
        board.note(one)
    return board.draw()


def test_it_says_how_many_are_done_and_lists_what_is_running() -> None:
    board = Board(frozenset({"A", "B", "C"}))
    started = [event("CREATE_IN_PROGRESS", path) for path in "AB"]
    first, *running = shown(board, *started, event("CREATE_COMPLETE", "A"))
    assert first == "1 of 3 resources · 2:10"
    assert [line.split() for line in running] == [["CREATE_IN_PROGRESS", "B"]]


def test_what_nobody_expected_is_not_counted_and_what_failed_is_not_done() -> None:
    board = Board(frozenset({"A", "B"}))
    told = shown(board, event("UPDATE_COMPLETE", "Other"), event("UPDATE_FAILED", "A"))
    assert told == ["0 of 2 resources · 2:10"]


def test_what_stays_on_purpose_is_done() -> None:
    assert shown(Board(frozenset({"A"})), event("DELETE_SKIPPED"))[0].startswith("1 of 1 ")


def test_where_nothing_is_known_beforehand_what_is_done_is_counted() -> None:
    assert shown(Board(), event("CREATE_COMPLETE")) == ["1 resources done · 2:10"]


def test_a_rollback_is_called_one_and_counts_nothing() -> None:
    board = Board(frozenset({"A"}))
    rolling = event("UPDATE_ROLLBACK_IN_PROGRESS", "")
    assert shown(board, event("UPDATE_COMPLETE"), rolling)[0] == "rolling back · 2:10"


def test_of_much_that_runs_some_is_listed_and_the_rest_counted() -> None:
    told = shown(Board(), *(event("CREATE_IN_PROGRESS", f"R{n}") for n in range(20)))
    assert len(told) == 8
    assert told[-1].split() == ["and", "14", "more"]


def test_time_does_not_run_backwards_with_late_events() -> None:
    assert "2:10" in shown(Board(), event("CREATE_COMPLETE"), event("X_COMPLETE", "B", 5))[0]
