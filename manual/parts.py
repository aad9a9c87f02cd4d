"""Hold what the pages share: notice, parts between comments, tables, anchors, values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lib.errors import InputError

NOTICE = "<!-- Written by `inv docs`; changes here are lost. -->"


@dataclass(frozen=True)
class Written:
    """What became of the pages: all of them, those out of step, and those written anew."""

    pages: tuple[str, ...]
    stale: tuple[str, ...]
    written: tuple[str, ...]


def fill(path: str, page: str, name: str, text: str) -> str:
    """Return a page with a generated part put between its comments."""
    opening, closing = f"<!-- generated: {name} -->\n", "<!-- end -->"
    before, found, rest = page.partition(opening)
    _old, ended, after = rest.partition(closing)
    if not found or not ended:
        raise InputError(f"{path} lacks the comments around its generated part {name!r}.")
    return f"{before}{opening}\n{text}\n\n{closing}{after}"


def plain(value: object) -> str:
    """Return a value as a template writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def draw_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells may hold Markdown, and line breaks and bars in them are made safe."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def slug(heading: str) -> str:
    """Return the anchor that a heading gets on GitHub."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
