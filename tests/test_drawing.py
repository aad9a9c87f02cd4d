"""A table fits the terminal, and what people copy out of it stays in one piece."""

from __future__ import annotations

import json

import pytest

from lib import drawing
from lib.operators import Listing

URL = "https://main.d1234567890.amplifyapp.com/a/path"
ARN = "arn:aws:sts::123456789012:assumed-role/Deployer/somebody@example.com"


def test_a_table_that_fits_is_a_table() -> None:
    assert drawing.draw_table(("Output", "Value"), [("Url", URL)], 80).splitlines() == [
        "Output    Value",
        f"--------  {'-' * len(URL)}",
        f"Url       {URL}",
    ]


def test_prose_folds_inside_its_column() -> None:
    rows = [("✓", "stack", "a sentence that goes on " * 5), ("✗", "alarm", "short")]
    shown = drawing.draw_table(("", "Check", "Found"), rows, 60).splitlines()
    assert max(map(len, shown)) <= 60
    assert shown[0].split() == ["Check", "Found"]
    assert shown[-1].split() == ["✗", "alarm", "short"]


def test_a_value_that_does_not_fit_stands_whole_beneath_its_name() -> None:
    shown = drawing.draw_table(("Output", "Value"), [("Url", URL), ("Id", "007")], 50)
    head, _, *lines = shown.splitlines()
    assert head.split() == ["Output", "Value"]
    assert lines == ["Url", f"  {URL}", "Id        007"]


def test_a_value_wider_than_the_terminal_is_left_to_it_to_wrap() -> None:
    shown = drawing.draw_table(("Output", "Value"), [("Url", URL)], 30)
    assert f"  {URL}" in shown.splitlines()


def test_a_last_column_that_does_not_fit_stands_beneath_its_row() -> None:
    rows = [("0123456789ab", "2026-10-01T00:00:00Z", ARN), ("ab", "x", "")]
    shown = drawing.draw_table(("Release", "Time", "By"), rows, 80)
    head, _, first, by, second = shown.splitlines()
    assert head.split() == ["Release", "Time"]
    assert first.split() == ["0123456789ab", "2026-10-01T00:00:00Z"]
    assert by == f"  By: {ARN}"
    assert second.split() == ["ab", "x"]


def test_where_even_that_does_not_help_each_value_has_a_line_with_its_name() -> None:
    rows = [("Key", "a" * 40, "b" * 40)]
    shown = drawing.draw_table(("Parameter", "us-east-1", "us-west-2"), rows, 40)
    assert shown.split() == ["Key", "us-east-1:", "a" * 40, "us-west-2:", "b" * 40]


def test_a_value_that_people_copy_is_never_folded() -> None:
    config = json.dumps({"apiEndpoint": URL, "region": "us-east-1"})
    rows = [("FrontendConfig", config), ("Id", "007")]
    shown = drawing.draw_table(("Output", "Value"), rows, 80, whole=["Value"]).splitlines()
    assert shown[2:] == ["FrontendConfig", f"  {config}", "Id              007"]


def test_a_command_is_one_word() -> None:
    told = "Not yet: type `inv deploy --env staging --local`, then look again."
    assert drawing.wrap(told, 40) == [
        "Not yet: type",
        "`inv deploy --env staging --local`, then",
        "look again.",
    ]


def test_a_word_that_only_fits_without_its_indent_gives_that_up() -> None:
    told = drawing.wrap("aaaaa bbbbbbbb cccc", 9, hang=4)
    assert told == ["aaaaa", " bbbbbbbb", "    cccc"]


def test_each_line_of_what_is_told_folds_to_its_own_indent() -> None:
    assert drawing.fold("a b c\n  d e f", 5) == "a b c\n  d e\n    f"


def test_headers_fold_too() -> None:
    rows = [("Lambda", "$0.00", "$0.00")]
    names = ("USD a month", "development (us-east-1)", "production (us-east-1)")
    shown = drawing.draw_table(names, rows, 60).splitlines()
    assert max(map(len, shown)) <= 60
    assert shown[1].split() == ["month", "(us-east-1)", "(us-east-1)"]


def test_an_empty_table_is_its_header() -> None:
    assert drawing.draw_table(("Release", "By"), [], 80).splitlines()[0].split() == [
        "Release",
        "By",
    ]


@pytest.mark.parametrize(("columns", "beside"), [("70", False), ("120", True)])
def test_what_is_shown_is_as_wide_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: str, beside: bool
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown = drawing.draw_report(Listing("Found:", ("Who", "Where"), [(ARN, "eu-west-1")]))
    assert max(map(len, shown.splitlines())) <= int(columns)
    assert shown.endswith(f"{ARN}  eu-west-1" if beside else f"{ARN}\n  eu-west-1")
