"""What is generated stands between its comments, and nothing else is touched."""

from __future__ import annotations

import pytest

from lib.errors import InputError
from manual import parts


def test_a_part_is_written_between_its_comments_and_nothing_else_is_touched() -> None:
    page = "before\n<!-- generated: x -->\nold\n<!-- end -->\nafter\n"
    filled = parts.fill("p.md", page, "x", "new")
    assert filled == "before\n<!-- generated: x -->\n\nnew\n\n<!-- end -->\nafter\n"
    assert parts.fill("p.md", filled, "x", "new") == filled


@pytest.mark.parametrize("page", ["nothing", "<!-- generated: x -->\nno end"])
def test_a_page_without_its_comments_is_an_error(page: str) -> None:
    with pytest.raises(InputError, match=r"p\.md lacks the comments"):
        parts.fill("p.md", page, "x", "new")


def test_a_cell_can_hold_neither_a_bar_nor_a_line_break() -> None:
    table = parts.draw_table(("A", "B"), [("a|b", "c\n d")])
    assert table.splitlines() == ["| A | B |", "| --- | --- |", "| a\\|b | c d |"]


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Index of errors", "index-of-errors"),
        ("OperationFailed, exit 1", "operationfailed-exit-1"),
        ("inv validate-params", "inv-validate-params"),
        ("What `A: b` changes", "what-a-b-changes"),
        ("See [this](there.md)", "see-this"),
        ("Old script → task", "old-script--task"),
    ],
)
def test_a_heading_gets_the_anchor_that_github_gives_it(heading: str, anchor: str) -> None:
    assert parts.slug(heading) == anchor
