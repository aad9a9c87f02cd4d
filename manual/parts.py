"""Hold what the pages share: notice, parts between comments, values as templates have them."""

from __future__ import annotations

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
