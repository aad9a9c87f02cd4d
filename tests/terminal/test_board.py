"""While an operation goes on, a person sees how far it is and what it is busy with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console

from lib.operators import ResourceProgress
from lib.terminal.board import Board


def event(status: str, path: str = "A", elapsed: float = 130) -> ResourceProgress:
    return ResourceProgress(datetime(2026, 10, 1, tzinfo=UTC), path, "X", status, "", elapsed)


def board(
    *expected: str, usually: float | None = None, moments: Sequence[float] = (1000,)
) -> Board:
    """Return a board on which it is always the last of some moments."""
    return Board(lambda: moments[-1], frozenset(expected), usually)


def shown(board: Board, *events: ResourceProgress) -> list[str]:
    for one in events:
        board.note(one)
    screen = Console(width=80, color_system=None)
    with screen.capture() as seen:
        screen.print(board)
    return [line.rstrip() for line in seen.get().splitlines()]


def test_it_says_how_many_are_done_and_lists_what_is_running() -> None:
    started = [event("CREATE_IN_PROGRESS", path) for path in "AB"]
    first, *running = shown(board("A", "B", "C"), *started, event("CREATE_COMPLETE", "A"))
    assert first == "1 of 3 resources · 2:10"
    assert running == ["└── B  create 0:00"]


def test_the_clock_goes_on_between_two_events() -> None:
    moments = [1000.0]
    counted = board("A", "B", moments=moments)
    shown(counted, event("CREATE_IN_PROGRESS"))
    moments.append(1075.0)
    assert shown(counted) == ["0 of 2 resources · 3:25", "└── A  create 1:15"]


def test_it_says_how_long_it_usually_takes() -> None:
    told = shown(board("A", usually=400), event("CREATE_IN_PROGRESS"))
    assert told[0] == "0 of 1 resources · 2:10 · usually 6:40"


def test_what_runs_in_nested_stacks_stands_in_the_tree_of_them() -> None:
    paths = ("DatabaseStack/JobsTable", "APIStack/Inner/Route", "DatabaseStack")
    told = shown(board(), *(event("UPDATE_IN_PROGRESS", path) for path in paths))
    assert told[1:] == [
        "├── APIStack",
        "│   └── Inner",
        "│       └── Route  update 0:00",
        "└── DatabaseStack  update 0:00",
        "    └── JobsTable  update 0:00",
    ]


def test_what_nobody_expected_is_not_counted_and_what_failed_is_not_done() -> None:
    told = shown(board("A", "B"), event("UPDATE_COMPLETE", "Other"), event("UPDATE_FAILED", "A"))
    assert told == ["0 of 2 resources · 2:10"]


def test_what_stays_on_purpose_is_done() -> None:
    assert shown(board("A"), event("DELETE_SKIPPED"))[0].startswith("1 of 1 ")


def test_where_nothing_is_known_beforehand_what_is_done_is_counted() -> None:
    assert shown(board(), event("CREATE_COMPLETE")) == ["1 resources done · 2:10"]


def test_a_rollback_is_called_one_and_counts_nothing() -> None:
    rolling = event("UPDATE_ROLLBACK_IN_PROGRESS", "")
    assert shown(board("A"), event("UPDATE_COMPLETE"), rolling)[0] == "rolling back · 2:10"


def test_time_does_not_run_backwards_with_late_events() -> None:
    assert "2:10" in shown(board(), event("CREATE_COMPLETE"), event("X_COMPLETE", "B", 5))[0]


def test_who_joins_late_sees_how_long_it_has_been_going_on() -> None:
    events = [event("CREATE_IN_PROGRESS", name, at) for name, at in (("A", 0), ("B", 130))]
    assert shown(board(), *events)[0].endswith("2:10")


def test_nothing_in_a_name_steers_the_terminal() -> None:
    told = shown(board(), event("CREATE_IN_PROGRESS", "a\x1b]0;x\x07b"))
    assert told[1] == "└── a]0;xb  create 0:00"
