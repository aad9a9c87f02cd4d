"""Draw text: tables for a terminal and for Markdown, and what may stand in them.

Nothing is cut: a table that is too wide folds its cells between words, and where that does not
help stands one value to a line.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Sequence

from lib.operators import Drawing, DrawnLine, Listing, ResourceProgress

#: What a terminal must never be sent from a name or a message that came from outside.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

#: What stands between two columns, what `tabulate` adds to a header, and how narrow a column
#: may become that has to fold.
_GAP = 2
_PADDING = 2
_NARROWEST = 24

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


def measure_width() -> int:
    """Return how many columns there are: what COLUMNS says, the terminal's, or 80."""
    return shutil.get_terminal_size(fallback=(80, 24)).columns


def wrap(text: str, width: int, *, hang: int = 0, whole: bool = False) -> list[str]:
    """Return lines of at most `width`, all but the first indented by `hang`, rid of controls.

    With `whole` a word that is too long for a line stays in one piece, so that it can be copied.
    """
    return textwrap.wrap(
        clean(text),
        max(width, hang + 10),
        subsequent_indent=" " * hang,
        break_long_words=not whole,
        break_on_hyphens=False,
    ) or [""]


def lay_out(shown: Listing | Drawing, *, unfold: bool = False) -> Sequence[DrawnLine]:
    """Return the lines of a table or a drawing, as wide as the terminal."""
    width = measure_width()
    if isinstance(shown, Drawing):
        return shown.draw(width, unfold)
    table = draw_table(shown.columns, shown.rows, width)
    return [DrawnLine(text) for text in (*wrap(shown.title, width), *table.splitlines())]


def draw_report(shown: Listing | Drawing, *, unfold: bool = False) -> str:
    """Return a table or a drawing as text."""
    return "\n".join(line.text for line in lay_out(shown, unfold=unfold))


def draw_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None
) -> str:
    """Return a table as text, folded to a width: by default the terminal's."""
    width = width or measure_width()
    cleaned = [[clean(str(cell)) for cell in row] for row in rows]
    widths = _share_out(columns, cleaned, width)
    if widths:
        return _draw_folded(columns, cleaned, widths)
    return _draw_blocks(columns, cleaned, width)


def _draw_folded(
    columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]
) -> str:
    """Return a table with each cell folded to its column's width."""
    from tabulate import tabulate

    folded = [
        ["\n".join(_fold(cell, widest)) for cell, widest in zip(row, widths, strict=True)]
        for row in rows
    ]
    heads = [
        "\n".join(_fold(head, widest - _PADDING))
        for head, widest in zip(columns, widths, strict=True)
    ]
    return tabulate(folded, headers=heads, tablefmt="simple", disable_numparse=True)


def _fold(cell: str, width: int) -> list[str]:
    """Return the lines of a cell, none wider than `width` that has a space to break at."""
    return [part for line in cell.split("\n") for part in wrap(line, width, whole=True)]


def _share_out(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return how wide each column may be, none where the longest words do not fit."""
    least, wanted = [], []
    for head, *cells in zip(columns, *rows, strict=True):
        longest = max((len(line) for cell in cells for line in cell.split("\n")), default=0)
        word = max((len(word) for cell in cells for word in cell.split()), default=0)
        headword = max((len(word) for word in head.split()), default=0) + _PADDING
        wanted.append(max(len(head) + _PADDING, longest))
        least.append(max(headword, word, min(longest, _NARROWEST)))
    spare = width - sum(least) - _GAP * (len(least) - 1)
    if spare < 0:
        return []
    # What wants the least is served first, so that only the widest columns fold.
    order = sorted(range(len(least)), key=lambda i: wanted[i] - least[i])
    for served, index in enumerate(order):
        more = min(wanted[index] - least[index], spare // (len(order) - served))
        least[index] += more
        spare -= more
    return least


def _draw_blocks(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """Return rows with what does not fit on a line of its own beneath the rest.

    That is the last column, or else every column but the first; a name and its value need no
    header.
    """
    *shown, last = columns
    if len(shown) > 1 and (widths := _share_out(shown, [row[:-1] for row in rows], width)):
        table = _draw_folded(shown, [row[:-1] for row in rows], widths).splitlines()
        rule = next(place for place, line in enumerate(table) if line.startswith("--"))
        if len(table) - rule - 1 == len(rows):
            beneath = [_draw_cell(last, row[-1], width) for row in rows]
            pairs = zip(table[rule + 1 :], beneath, strict=True)
            drawn = (line for row, cell in pairs for line in (row, *cell))
            return "\n".join([*table[: rule + 1], *drawn])
    lines: list[str] = []
    for first, *others in rows:
        lines += wrap(first, width, hang=2, whole=True)
        for name, cell in zip(columns[1:], others, strict=True):
            lines += _draw_cell(name if len(shown) > 1 else "", cell, width)
    return "\n".join(lines)


def _draw_cell(name: str, cell: str, width: int) -> list[str]:
    """Return a cell on lines of its own, nothing for an empty one."""
    text = f"  {name}: {cell}" if name else f"  {cell}"
    return wrap(text, width, hang=4, whole=True) if cell else []


def draw_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown, its cells shown as they are."""
    lines = [columns, ["---"] * len(columns), *([escape_markdown(c) for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on one line of a table."""
    return clean(text).translate(_ENTITIES).replace("\n", "<br>")
