"""Tables survive what is put into them, and anchors are GitHub's."""

from __future__ import annotations

import pytest

from lib import drawing


def test_a_cell_can_hold_neither_a_bar_nor_a_line_break() -> None:
    table = drawing.draw_raw_markdown(("A", "B"), [("a|b", "c\n d")])
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
    assert drawing.slug(heading) == anchor
