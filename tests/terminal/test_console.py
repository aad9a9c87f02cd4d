"""A console is lively on a terminal, plain elsewhere, and never waits for nobody."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime

import pytest

from lib import drawing
from lib.deploy import change_list
from lib.errors import Refused
from lib.operators import Expected, Level, Listing, Note, OnInterrupt, ResourceProgress, Rested
from lib.templates.changes import Cause, Change
from lib.terminal import console
from tests.support import factories

#: What rich sends to draw in place: the cursor hidden and shown, and two lines up erased.
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"
TWICE_UP = "\x1b[1A\x1b[2K" * 2


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Interrupting(io.StringIO):
    """A terminal on which Ctrl-C is pressed instead of an answer."""

    def readline(self, _size: int | None = -1, /) -> str:
        raise KeyboardInterrupt


def progress(
    status: str, *, path: str = "DatabaseStack/JobsTable", reason: str = ""
) -> ResourceProgress:
    return ResourceProgress(
        datetime(2026, 10, 1, tzinfo=UTC), path, "AWS::DynamoDB::Table", status, reason, 65.4
    )


# ── telling ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("level", "mark"),
    [(Level.INFO, "-"), (Level.DONE, "✓"), (Level.WARNING, "!"), (Level.ERROR, "✗")],
)
def test_a_note_is_one_line_on_stderr(level: Level, mark: str) -> None:
    here, out, err = factories.console()
    here.report(Note("It goes on.", level))
    assert err.getvalue() == f"{mark} It goes on.\n"
    assert out.getvalue() == ""


def test_colour_marks_what_matters_where_it_is_wanted() -> None:
    here, _, err = factories.console(colour=True)
    here.report(Note("bad", Level.ERROR))
    here.report(Note("so", Level.INFO))
    assert err.getvalue() == "\x1b[31m✗ bad\x1b[0m\n- so\n"


def test_a_result_goes_to_stdout_as_it_is() -> None:
    here, out, err = factories.console()
    here.result('{"a": 1}')
    assert (out.getvalue(), err.getvalue()) == ('{"a": 1}\n', "")


def test_without_a_terminal_every_event_is_one_plain_line() -> None:
    here, _, err = factories.console()
    here.report(progress("CREATE_IN_PROGRESS"))
    here.report(progress("CREATE_FAILED", reason="Too many\n tables"))
    here.report(progress("ROLLBACK_COMPLETE", path=""))
    first, second, third = err.getvalue().splitlines()
    assert first.split() == [
        "1:05",
        "CREATE_IN_PROGRESS",
        "DatabaseStack/JobsTable",
        "DynamoDB",
        "Table",
    ]
    assert second.endswith("DynamoDB Table  Too many tables")
    assert "(stack)" in third


@pytest.mark.parametrize(
    ("status", "colour"),
    [
        ("CREATE_COMPLETE", "\x1b[32m"),
        ("CREATE_FAILED", "\x1b[31m"),
        ("UPDATE_ROLLBACK_COMPLETE", "\x1b[31m"),
    ],
)
def test_the_colour_of_an_event_tells_how_it_went(status: str, colour: str) -> None:
    here, _, err = factories.console(colour=True)
    here.report(progress(status))
    assert err.getvalue().startswith(colour)
    here, _, err = factories.console(colour=True)
    here.report(progress("DELETE_SKIPPED"))
    assert "\x1b" not in err.getvalue()


def test_on_a_terminal_what_is_under_way_is_redrawn_in_place() -> None:
    here, out, err = factories.console(redraw=True)
    here.report(progress("CREATE_IN_PROGRESS"))
    below = "0 resources done · 1:05\n└── DatabaseStack\n    └── JobsTable  create 0:00"
    assert err.getvalue() == f"{HIDDEN}{below}"
    here.line("done")
    # What is said stands above, what is drawn is erased and drawn again.
    assert err.getvalue().endswith(f"\r\x1b[2K{TWICE_UP}done\n{below}")
    here.result("x")
    # rich ends the line before it erases what it drew, so that it is three lines up.
    assert err.getvalue().endswith(f"{below}\n{SHOWN}\r\x1b[1A\x1b[2K{TWICE_UP}")
    assert out.getvalue() == "x\n"


def test_on_a_terminal_the_count_stands_below_each_finished_resource() -> None:
    here, _, err = factories.console(redraw=True)
    here.report(Expected(frozenset({"DatabaseStack/JobsTable", "Topic"}), lambda: 400.0))
    here.report(progress("CREATE_COMPLETE"))
    here.report(Rested())
    assert f"DynamoDB Table\n{HIDDEN}1 of 2 resources · 1:05 · usually 6:40" in err.getvalue()
    assert err.getvalue().endswith("\x1b[2K")
    here.line("done")
    assert err.getvalue().endswith("\x1b[2Kdone\n")


def test_nothing_is_redrawn_while_somebody_is_asked() -> None:
    here, _, err = factories.console("y\n", redraw=True, interactive=True)
    here.report(progress("CREATE_IN_PROGRESS"))
    assert here.confirm("Go on?", "y")
    assert err.getvalue().endswith("\x1b[2KGo on? [y/N]\n")
    here.report(progress("CREATE_IN_PROGRESS"))
    here.on_interrupt(True)
    assert "\x1b[2KInterrupted." in err.getvalue()


def test_what_is_told_folds_on_a_terminal_and_a_command_stays_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    command = "inv deploy --env development --region us-east-1"
    logged: list[str] = []
    here, _, err = factories.console(redraw=True, log=logged.append)
    here.report(Note(f"It is not there yet; type `{command}` for it."))
    here.line(f"  Next: {command} --local")
    assert err.getvalue().splitlines() == [
        "- It is not there yet; type",
        f"  `{command}`",
        "  for it.",
        f"  Next: {command} --local",
    ]
    assert logged[0] == f"- It is not there yet; type `{command}` for it."
    here, _, err = factories.console()
    here.report(Note("word " * 20))
    assert len(err.getvalue().splitlines()) == 1


def test_without_a_terminal_nobody_asks_how_long_it_usually_takes() -> None:
    here, _, _ = factories.console()

    def ask() -> float:
        raise AssertionError

    here.report(Expected(frozenset(), ask))


def test_without_a_terminal_nothing_is_counted_aloud() -> None:
    here, _, err = factories.console()
    here.report(Expected(frozenset({"A"})))
    here.report(progress("CREATE_COMPLETE", path="A"))
    assert len(err.getvalue().splitlines()) == 1


def test_changes_fold_unless_each_is_asked_for_and_the_log_has_all() -> None:
    causes = (Cause("Role", follows=True),)
    many = [Change(f"S/R{n}", "AWS::X::Y", "Modify", causes=causes) for n in range(3)]
    logged: list[str] = []
    here, _, err = factories.console(log=logged.append)
    here.report(change_list.list_changes("Changes", many))
    assert "S/R1" not in err.getvalue()
    assert "S/R1" in "".join(logged)
    here, _, err = factories.console(unfold=True)
    here.report(change_list.list_changes("Changes", many))
    assert "S/R1" in err.getvalue()


def test_changes_are_coloured_by_their_signs_where_colour_is_wanted() -> None:
    here, _, err = factories.console(colour=True)
    here.report(change_list.list_changes("Changes", [Change("A", "AWS::X::Y", "Add")]))
    assert "\x1b[32m+   A  X::Y\x1b[0m" in err.getvalue()
    assert "\x1b[1mChanges\x1b[0m" in err.getvalue()


def test_nothing_from_outside_steers_the_terminal() -> None:
    evil = "a\x1b]0;x\x07\x9b2Jb\rc"
    here, _, err = factories.console("y\n", interactive=True)
    here.report(Note(evil))
    here.report(Listing(evil, ("Name",), [(evil,)]))
    here.report(progress("CREATE_FAILED", path=evil, reason=evil))
    here.confirm(evil, "y")
    here.line(evil)
    assert not set(err.getvalue()) & {"\x1b", "\x07", "\x9b", "\r"}


def test_a_listing_is_a_table_that_leaves_numbers_alone() -> None:
    here, _, err = factories.console()
    here.report(Listing("Changes", ("Path", "Data"), [("A", "007"), ("B", "1e5")]))
    title, head, _, *rows = err.getvalue().splitlines()
    assert title == "Changes"
    assert head.split() == ["Path", "Data"]
    assert [row.split() for row in rows] == [["A", "007"], ["B", "1e5"]]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.9, "0:00"), (59.9, "0:59"), (61, "1:01"), (3_661, "61:01")]
)
def test_a_duration_is_minutes_and_seconds(seconds: float, text: str) -> None:
    assert drawing.draw_elapsed(seconds) == text


# ── asking ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False), ("yy\n", False)],
)
def test_an_ordinary_question_is_agreed_to_by_yes(answer: str, agreed: bool) -> None:
    here, _, err = factories.console(answer, interactive=True)
    assert here.operator().confirm("Go on?", "y") is agreed
    assert err.getvalue() == "Go on? [y/N]\n"


@pytest.mark.parametrize(
    ("answer", "agreed"), [("Stack/Table\n", True), ("y\n", False), ("stack/table\n", False)]
)
def test_a_loss_of_data_is_agreed_to_by_its_name(answer: str, agreed: bool) -> None:
    here, _, err = factories.console(answer, interactive=True)
    assert here.confirm("Delete it?", "Stack/Table") is agreed
    assert err.getvalue() == "Delete it? (type Stack/Table to agree)\n"


def test_yes_answers_ordinary_questions_without_asking() -> None:
    here, _, err = factories.console(yes=True)
    assert here.confirm("Go on?", "y") is True
    assert err.getvalue() == ""


def test_yes_never_agrees_to_a_loss_of_data() -> None:
    here, _, _ = factories.console("Stack/Table\n", interactive=True, yes=True)
    with pytest.raises(Refused) as caught:
        here.confirm("Delete it?", "Stack/Table")
    assert caught.value.next_step == "run it on a terminal"


def test_a_question_without_a_terminal_is_refused() -> None:
    here, _, _ = factories.console("y\n")
    with pytest.raises(Refused) as caught:
        here.confirm("Go on?", "y")
    assert caught.value.exit_code == 3
    assert "Go on?" in caught.value.message
    assert "--yes" in caught.value.next_step


@pytest.mark.parametrize(
    ("answer", "can_cancel", "choice"),
    [
        ("d\n", True, OnInterrupt.DETACH),
        ("Wait\n", True, OnInterrupt.WAIT),
        ("c\n", True, OnInterrupt.CANCEL),
        ("c\n", False, OnInterrupt.WAIT),
        ("\n", True, OnInterrupt.WAIT),
        ("", True, OnInterrupt.DETACH),
    ],
)
def test_ctrl_c_on_a_terminal_asks_what_was_meant(
    answer: str, can_cancel: bool, choice: OnInterrupt
) -> None:
    here, _, err = factories.console(answer, interactive=True)
    assert here.operator().on_interrupt(can_cancel) is choice
    assert ("[c]ancel" in err.getvalue()) is can_cancel


def test_a_second_ctrl_c_leaves() -> None:
    here, _, _ = factories.console(interactive=True, source=Interrupting())
    assert here.on_interrupt(True) is OnInterrupt.DETACH


def test_ctrl_c_without_a_terminal_leaves_without_asking() -> None:
    here, _, err = factories.console("w\n")
    assert here.on_interrupt(True) is OnInterrupt.DETACH
    assert err.getvalue() == ""


# ── opening ─────────────────────────────────────────────────────────────────────────────────


def sit_at_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make terminals of this process's streams; not a fixture, because pytest swaps them late."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, Terminal())


@pytest.mark.parametrize(
    ("environ", "colour", "redraw"),
    [
        ({}, True, True),
        ({"NO_COLOR": "1"}, False, True),
        ({"NO_COLOR": ""}, True, True),
        ({"CI": "true"}, False, False),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_a_terminal_is_as_lively_as_it_may_be(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], colour: bool, redraw: bool
) -> None:
    sit_at_terminal(monkeypatch)
    here = console.open_console(environ)
    assert (here.colour, here.redraw, here.interactive) == (colour, redraw, True)


@pytest.mark.parametrize("stdin", [io.StringIO(), None], ids=["a file", "closed"])
def test_nobody_can_be_asked_without_a_terminal_to_answer_on(
    monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO | None
) -> None:
    sit_at_terminal(monkeypatch)
    monkeypatch.setattr(sys, "stdin", stdin)
    assert not console.open_console({}).interactive


def test_a_pipe_gets_neither_colour_nor_redrawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    here = console.open_console({}, yes=True)
    assert (here.colour, here.redraw, here.interactive, here.yes) == (False, False, False, True)
