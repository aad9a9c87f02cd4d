"""Draw text: tables for a terminal and for Markdown, and what may stand in them.

Nothing is cut: a table that is too wide folds its cells between words, and a value that cannot
be folded stands whole beneath its row.
"""

from __future__ import annotations

import itertools
import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence

from lib.operators import Drawing, DrawnLine, Listing, ResourceProgress

#: What a terminal must never be sent from a name or a message that came from outside.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

#: What stands between two columns, by how much a header is wider than its text, and how narrow
#: a column may become that has to fold.
_SPACE = "  "
_PADDING = 2
_NARROWEST = 24

#: A name and its value need no label.
_PAIR = 2

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
    """Return a table as text, folded to a width: by default the terminal's.

    A value that cannot be folded and is too long for its column stands whole beneath its row.
    """
    from tabulate import tabulate

    width = width or measure_width()
    cells = [[clean(str(cell)) for cell in row] for row in rows]
    text = tabulate(cells, headers=list(columns), tablefmt="simple", disable_numparse=True)
    lines = [line.rstrip() for line in text.splitlines()]
    if max(map(len, lines), default=0) <= width:
        return "\n".join(lines)
    return "\n".join(_draw_folded(columns, cells, width))


def _draw_folded(columns: Sequence[str], cells: Sequence[list[str]], width: int) -> Sequence[str]:
    """Return the lines of a table that is wider than the terminal, which tabulate only cuts."""
    beneath: list[dict[int, str]] = [{} for _ in cells]
    kept = list(range(len(columns)))
    while not (widths := _share_out(columns, cells, kept, width)):
        length, row, column = max(
            ((_longest(cells[row][c]), row, c) for row in range(len(cells)) for c in kept[1:]),
            default=(0, 0, 0),
        )
        if not length:
            widths = {kept[0]: width}
            break
        beneath[row][column], cells[row][column] = cells[row][column], ""
        if not any(line[column] for line in cells):
            kept.remove(column)
    widths = {c: _shrink(columns[c], [line[c] for line in cells], w) for c, w in widths.items()}
    lines = _draw_row([_fold(columns[c], wide - _PADDING) for c, wide in widths.items()], widths)
    lines = lines if len(kept) > 1 or len(columns) == 1 else []
    lines += [_SPACE.join("-" * wide for wide in widths.values())] if lines else []
    for line, moved in zip(cells, beneath, strict=True):
        lines += _draw_row([_fold(line[c], wide) for c, wide in widths.items()], widths)
        for column, cell in sorted(moved.items()):
            label = f"{columns[column]}: " if len(columns) > _PAIR else ""
            lines += wrap(f"  {label}{cell}", width, hang=4, whole=True)
    return lines


def _shrink(head: str, cells: Sequence[str], width: int) -> int:
    """Return the width that a column really takes, once folded."""
    header = max(map(len, _fold(head, width - _PADDING))) + _PADDING
    return max(header, *(len(part) for cell in cells for part in _fold(cell, width)), 0)


def _longest(cell: str) -> int:
    """Return the length of the longest word in a cell."""
    return max(map(len, cell.split()), default=0)


def _draw_row(cells: Sequence[Sequence[str]], widths: Mapping[int, int]) -> list[str]:
    """Return the lines of a row whose cells are folded."""
    return [
        _SPACE.join(
            f"{part:<{wide}}" for part, wide in zip(parts, widths.values(), strict=True)
        ).rstrip()
        for parts in itertools.zip_longest(*cells, fillvalue="")
    ]


def _fold(cell: str, width: int) -> list[str]:
    """Return the lines of a cell, none wider than `width` that has a space to break at."""
    return [part for line in cell.split("\n") for part in wrap(line, width, whole=True)]


def _share_out(
    columns: Sequence[str], rows: Sequence[Sequence[str]], kept: Sequence[int], width: int
) -> dict[int, int]:
    """Return how wide each column may be, nothing where the longest words do not fit."""
    least, wanted = {}, {}
    for column in kept:
        cells = [row[column] for row in rows]
        longest = max((len(line) for cell in cells for line in cell.split("\n")), default=0)
        word = max(map(_longest, cells), default=0)
        head = columns[column]
        wanted[column] = max(len(head) + _PADDING, longest)
        least[column] = max(_longest(head) + _PADDING, word, min(longest, _NARROWEST))
    spare = width - sum(least.values()) - len(_SPACE) * (len(kept) - 1)
    if spare < 0:
        return {}
    # What wants the least is served first, so that only the widest columns fold.
    order = sorted(kept, key=lambda column: wanted[column] - least[column])
    for served, column in enumerate(order):
        more = min(wanted[column] - least[column], spare // (len(order) - served))
        least[column] += more
        spare -= more
    return least


def draw_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown, its cells shown as they are."""
    lines = [columns, ["---"] * len(columns), *([escape_markdown(c) for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on one line of a table."""
    return clean(text).translate(_ENTITIES).replace("\n", "<br>")
