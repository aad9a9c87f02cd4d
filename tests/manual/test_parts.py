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
