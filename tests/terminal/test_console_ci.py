"""In GitHub Actions logs fold, errors annotate, and nothing that AWS says can give orders."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from lib import drawing
from lib.deploy import report
from lib.operators import Level, Listing, Note, ResourceProgress
from lib.stacks.events import Failure
from lib.templates.changes import Cause, Change
from lib.terminal import console
from lib.terminal.console import Console, open_console
from tests.support import factories
from tests.support.factories import outcome


def event(
    path: str = "Table", status: str = "CREATE_COMPLETE", reason: str = ""
) -> ResourceProgress:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    return ResourceProgress(now, path, "AWS::DynamoDB::Table", status, reason, 1)


def github(**given: object) -> tuple[Console, io.StringIO, io.StringIO]:
    return factories.console(github=True, title="inv deploy: plot-palette-staging", **given)


def test_a_stack_s_events_are_one_group_that_ends_before_the_next_sentence() -> None:
    console, _, err = github()
    console.report(event("A"))
    console.report(event("B"))
    console.report(Note("done", Level.DONE))
    console.report(event("C"))
    console.close_group()
    assert err.getvalue().splitlines() == [
        "::group::Events",
        "  0:01  CREATE_COMPLETE      A  DynamoDB Table",
        "  0:01  CREATE_COMPLETE      B  DynamoDB Table",
        "::endgroup::",
        "✓ done",
        "::group::Events",
        "  0:01  CREATE_COMPLETE      C  DynamoDB Table",
        "::endgroup::",
    ]


def test_a_result_ends_the_group() -> None:
    console, out, err = github()
    console.report(event())
    console.result("{}")
    assert err.getvalue().endswith("::endgroup::\n")
    assert out.getvalue() == "{}\n"


def test_an_error_annotates_the_run_with_its_lines_kept_together() -> None:
    console, _, err = github()
    console.report(event())
    console.report(Note("100% wrong:\n  it, fails\r", Level.ERROR))
    assert err.getvalue().splitlines()[-2:] == [
        "::endgroup::",
        "::error title=inv deploy%3A plot-palette-staging::100%25 wrong:%0A  it, fails",
    ]


@pytest.mark.parametrize(
    ("text", "data", "value"),
    [
        ("a%b", "a%25b", "a%25b"),
        ("a\r\nb", "a%0D%0Ab", "a%0D%0Ab"),
        ("a:b,c", "a:b,c", "a%3Ab%2Cc"),
        ("%0A", "%250A", "%250A"),
        ("::", "::", "%3A%3A"),
    ],
)
def test_messages_and_properties_are_escaped_as_the_runner_turns_them_back(
    text: str, data: str, value: str
) -> None:
    assert console.escape_data(text) == data
    assert console.escape_property(text) == value


@pytest.mark.parametrize("order", ["::set-env name=X::y", "  ::stop-commands::x", "##[error]x"])
def test_no_line_from_outside_is_taken_for_a_command(order: str) -> None:
    console, _, err = github()
    console.line(f"AWS says:\n{order}")
    assert err.getvalue().splitlines()[1].lstrip().startswith("| ")


def test_elsewhere_nothing_of_this_is_written() -> None:
    console, _, err = factories.console()
    console.report(event())
    console.report(Note("bad", Level.ERROR))
    console.line("::x")
    assert err.getvalue() == "  0:01  CREATE_COMPLETE      Table  DynamoDB Table\n✗ bad\n::x\n"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({"GITHUB_ACTIONS": "true"}, True), ({"CI": "true"}, False), ({}, False)],
)
def test_only_github_is_written_to_as_github(environ: dict[str, str], expected: bool) -> None:
    assert open_console(environ).github is expected


def test_aws_calls_are_shown_only_when_asked_for_and_logged_in_any_case() -> None:
    logged: list[str] = []
    quiet, _, silent = factories.console(log=logged.append)
    quiet.debug("aws s3 PutObject")
    loud, _, shown = factories.console(log=logged.append, verbose=True)
    loud.debug("aws s3 PutObject")
    assert silent.getvalue() == ""
    assert shown.getvalue() == "aws s3 PutObject\n"
    assert logged == ["aws s3 PutObject"] * 2


def test_everything_shown_is_logged_questions_and_answers_included() -> None:
    logged: list[str] = []
    console, _, _ = github(log=logged.append, interactive=True, answers="y\n")
    console.report(Note("hello"))
    console.report(event("A", "CREATE_FAILED", "no"))
    console.report(Listing("Changes", ("Path",), [("Jobs",)]))
    console.report(Note("bad", Level.ERROR))
    assert console.confirm("Go on?", "y")
    console.result("{}")
    text = "\n".join(logged)
    for piece in (
        "hello",
        "A  DynamoDB Table  no",
        "Jobs",
        "✗ bad",
        "Go on?",
        "answered 'y'",
        "{}",
    ):
        assert piece in text


# The summary page


def change(**given: str) -> Change:
    return Change("DatabaseStack/JobsTable", "AWS::DynamoDB::Table", "Modify", **given)


def test_a_summary_names_the_stack_and_lists_every_change() -> None:
    told = report.draw_summary(
        outcome(
            "updated",
            preview=True,
            changes=(change(replacement="True", causes=(Cause("Name", before="a|b", after="c"),)),),
        )
    )
    assert told.splitlines() == [
        (
            "### Stack plot-palette-staging in eu-west-1: 1 changes previewed, nothing executed "
            "(release 0123456789ab)."
        ),
        "",
        "0 at risk · 1 replaced · 0 changed in place · 0 follow from them · 0 added · 0 removed",
        "",
        "| Path | Type | Action | Replaced | Because of | Data |",
        "| --- | --- | --- | --- | --- | --- |",
        "| DatabaseStack/JobsTable | DynamoDB::Table | Modify | True | Name: a&#124;b → c |  |",
    ]


def test_a_summary_of_a_failure_gives_its_cause() -> None:
    failure = Failure("Jobs", "DatabaseStack/Jobs", "AWS::DynamoDB::Table", "CREATE_FAILED", "<no>")
    told = report.draw_summary(outcome("failed", status="ROLLBACK_COMPLETE", failure=failure))
    assert "### Stack plot-palette-staging in eu-west-1 failed (ROLLBACK&#95;COMPLETE)." in told
    assert "&#60;no&#62;" in told
    assert "<no>" not in told


def test_markdown_shows_what_a_cell_holds_and_nothing_else() -> None:
    cells = ["a|b", "<script>", "[x](y)", "two\nlines", "`code`", "*_~"]
    [_, _, row] = drawing.draw_markdown(["A"] * 6, [cells]).splitlines()
    assert row.count("|") == 7
    for mark in "<[`*_~":
        assert mark not in row.replace("<br>", "")
