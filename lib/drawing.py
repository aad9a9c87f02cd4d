"""Draw text: tables for a terminal and for Markdown, and what may stand in them.

Nothing is cut, and what can be copied stays in one piece: text folds between words, a command in
backquotes being one of them, and a value that is too long for its column stands beneath its row.
What is still wider than the terminal is left to the terminal to wrap, which copies it as one line.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Sequence

from lib.operators import Drawing, DrawnLine, Listing, ResourceProgress

#: What a terminal must never be sent from a name or a message that came from outside.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

#: A word that stays in one piece, and the space before it; a command in backquotes is one.
_WORD = re.compile(r"(\s*)((?:[^\s`]*`[^`]+`)+[^\s`]*|\S+)")

#: What stands between two columns, by how much tabulate makes a header wider than its text, and
#: how narrow a column may become that has to fold.
_SPACE = 2
_PADDING = 2
_NARROWEST = 24

#: A name and its value need no label.
_PAIR = 2

#: Marks the row of a table beneath which something stands; no cell has it, being a control.
_BENEATH = "\x00"

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


def wrap(text: str, width: int, *, hang: int = 0, breaks: bool = False) -> list[str]:
    """Return lines of at most `width`, all but the first indented by `hang`, rid of controls.

    A word that is too long for a line has one to itself, in one piece unless `breaks` is said.
    """
    hang = min(hang, width // 2) if breaks else hang
    lines, line = [], ""
    for space, word in _WORD.findall(clean(text).replace("\n", " ")):
        # Rather less of an indent than a word in two.
        indent = " " * (min(hang, width - len(word)) if len(word) <= width else hang)
        over = len(line) + len(space) + len(word) > width
        # Where nothing helps, a sign stays beside its name.
        helps = len(word) <= width or len(line) + len(space) > hang
        if over and space and line.strip() and helps:
            lines.append(line)
            line = indent + word
        elif over and breaks and not line:
            line = indent + word
        else:
            line += space + word
        while breaks and len(line) > width:
            lines.append(line[:width])
            line = " " * hang + line[width:]
    return [*lines, line]


def fold(text: str, width: int) -> str:
    """Return what a person is told, each of its lines folded to a width."""
    return "\n".join(
        part
        for line in text.split("\n")
        for part in wrap(line, width, hang=len(line) - len(line.lstrip()) + _SPACE)
    )


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
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None = None,
    *,
    whole: Collection[str] = (),
) -> str:
    """Return a table as text, folded to a width: by default the terminal's.

    The cells of the columns in `whole` are never folded, because people copy them. A value that
    is too long for its column stands beneath its row.
    """
    width = width or measure_width()
    cells = [[clean(str(cell)) for cell in row] for row in rows]
    lines = _tabulate(columns, cells)
    if max(map(len, lines), default=0) > width:
        lines = _fold_table(columns, cells, width, whole)
    return "\n".join(lines)


def _tabulate(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, as wide as its cells."""
    from tabulate import tabulate

    text = tabulate(cells, headers=list(columns), tablefmt="simple", disable_numparse=True)
    return [line.rstrip() for line in text.splitlines()]


def _fold_table(
    columns: Sequence[str], cells: Sequence[list[str]], width: int, whole: Collection[str]
) -> list[str]:
    """Return the lines of a table whose widest column folds, with others beneath their rows."""
    wanted = [_measure(head, cells, column) for column, head in enumerate(columns)]
    kept, fitting = list(range(len(columns))), cells
    while len(kept) > 1:
        widest = max(kept[1:], key=lambda column: wanted[column])
        room = width - sum(wanted[column] + _SPACE for column in kept if column != widest)
        fitting = [
            [*row[:widest], _fit(row[widest], room, columns[widest] in whole), *row[widest + 1 :]]
            for row in cells
        ]
        enough = room >= min(_NARROWEST, wanted[widest])
        if enough and (not cells or any(row[widest] for row in fitting)):
            break
        kept.remove(widest)
    lines = []
    beneath = []
    for row, fits in zip(cells, fitting, strict=True):
        lines.append([fits[column] for column in kept])
        moved = [c for c, cell in enumerate(row) if cell and not (c in kept and fits[c])]
        if moved:
            lines.append([_BENEATH, *[""] * (len(kept) - 1)])
            beneath.append("\n".join(_label(columns, row, c, width, whole) for c in moved))
    heads = [_break(columns[column], wanted[column] - _PADDING) for column in kept]
    drawn = _tabulate(heads, lines)
    # A name alone needs no header.
    drawn = drawn if len(kept) > 1 or len(columns) == 1 else drawn[2:]
    rest = iter(beneath)
    return [next(rest) if line.startswith(_BENEATH) else line for line in drawn]


def _fit(cell: str, room: int, whole: bool) -> str:
    """Return a cell folded to some columns, "" where what must stay in one piece is longer."""
    folded = cell if whole else _break(cell, max(room, 1))
    return folded if _widest(folded) <= room else ""


def _measure(head: str, cells: Sequence[Sequence[str]], column: int) -> int:
    """Return how wide a column wants to be whose header may fold."""
    longest = max(map(len, head.split()), default=0) + _PADDING
    return max(longest, *(_widest(row[column]) for row in cells), 0)


def _widest(cell: str) -> int:
    """Return the length of a cell's longest line."""
    return max(map(len, cell.split("\n")))


def _break(cell: str, width: int) -> str:
    """Return a cell folded between its words."""
    return "\n".join(part for line in cell.split("\n") for part in wrap(line, width))


def _label(
    columns: Sequence[str], row: Sequence[str], column: int, width: int, whole: Collection[str]
) -> str:
    """Return what stands beneath a row: a value that did not fit, with its column's name."""
    if columns[column] in whole:
        return f"  {row[column]}"
    text = f"  {columns[column]}: {row[column]}" if len(columns) > _PAIR else f"  {row[column]}"
    return "\n".join(wrap(text, width, hang=4))


def draw_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown, its cells shown as they are."""
    lines = [columns, ["---"] * len(columns), *([escape_markdown(c) for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on one line of a table."""
    return clean(text).translate(_ENTITIES).replace("\n", "<br>")
