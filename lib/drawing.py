"""Draw text: tables for a terminal and for Markdown, and what may stand in them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lib.operators import ResourceProgress

#: What a terminal must never be sent from a name or a message that came from outside.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

#: Markdown's own characters, each as the entity that shows it.
_ENTITIES = str.maketrans({mark: f"&#{ord(mark)};" for mark in "&<>|*_`[]\\~"})


def clean(text: str) -> str:
    """Take out characters that could steer a terminal."""
    return _CONTROL.sub("", text)


def draw_elapsed(seconds: float) -> str:
    """Return a duration as minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def draw_event(event: ResourceProgress) -> str:
    """Return a stack event as one line."""
    kind = event.type.removeprefix("AWS::").replace("::", " ")
    reason = f"  {' '.join(event.reason.split())}" if event.reason else ""
    path = event.path or "(stack)"
    return f"{draw_elapsed(event.elapsed):>6}  {event.status:<20} {path}  {kind}{reason}"


def draw_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text."""
    from tabulate import tabulate

    cleaned = [[clean(str(cell)) for cell in row] for row in rows]
    return tabulate(cleaned, headers=list(columns), tablefmt="simple", disable_numparse=True)


def draw_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown, its cells shown as they are."""
    lines = [columns, ["---"] * len(columns), *([escape_markdown(c) for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on one line of a table."""
    return clean(text).translate(_ENTITIES).replace("\n", "<br>")
