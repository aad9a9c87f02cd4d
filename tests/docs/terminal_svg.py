"""Draw what a command wrote to a terminal as an SVG picture.

Pure: captured output with its colours in, SVG text out. Knows what `lib.terminal.console` writes:
the
colours of SGR, a return to the start of the line, and erasing it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

_COLOURS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "2": "#8b949e"}
_PLAIN = "#e6edf3"
_GROUND = "#0d1117"
_CHARACTER = 7.8  # width, at a font size of 13
_LINE = 18
_MARGIN = 16
_BAR = 30  # the window's title bar
_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_OTHER = re.compile(r"\x1b\[[0-9;?]*[A-LN-Za-ln-z]")


def draw(title: str, output: str, *, columns: int = 110, keep: tuple[int, int] = (30, 30)) -> str:
    """Return a picture of a terminal that shows the output.

    Of a long output the first and the last lines, as many as `keep` says, are shown; lines
    longer than `columns` are cut.
    """
    lines = _shorten(list(read_lines(output)), keep)
    width = round(columns * _CHARACTER) + 2 * _MARGIN
    height = _BAR + len(lines) * _LINE + 2 * _MARGIN
    body = [
        f'<text x="{_MARGIN}" y="{_BAR + _MARGIN + (index + 1) * _LINE - 5}">{text}</text>'
        for index, line in enumerate(lines)
        if (text := _draw_line(line, columns))
    ]
    lights = "".join(
        f'<circle cx="{_MARGIN + 4 + 18 * index}" cy="15" r="5" fill="{colour}"/>'
        for index, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
                f'width="{width}" height="{height}" role="img" aria-labelledby="t" '
                "font-family=\"ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace\" "
                f'font-size="13" fill="{_PLAIN}" xml:space="preserve">'
            ),
            f'<title id="t">{escape(title)}</title>',
            f'<rect width="{width}" height="{height}" rx="8" fill="{_GROUND}"/>',
            lights,
            *body,
            "</svg>\n",
        ]
    )


Run = tuple[str, str]


def read_lines(output: str) -> Iterator[list[Run]]:
    """Yield each line that is left on the terminal as runs of (colour, text)."""
    for line in output.replace("\r\n", "\n").rstrip("\n").split("\n"):
        # What is written after a return or an erasure takes the place of what stood there.
        visible = re.split(r"\r|\x1b\[2?K", line)[-1]
        yield list(_runs(_OTHER.sub("", visible)))


def _runs(line: str) -> Iterator[Run]:
    """Yield a line's pieces with their colours."""
    colour, end = _PLAIN, 0
    for code in _SGR.finditer(line):
        if code.start() > end:
            yield colour, line[end : code.start()]
        colour, end = _COLOURS.get(code[1], _PLAIN), code.end()
    if end < len(line):
        yield colour, line[end:]


def _shorten(lines: list[list[Run]], keep: tuple[int, int]) -> list[list[Run]]:
    """Return lines with the middle of a long output left out."""
    first, last = keep
    if len(lines) <= first + last + 1:
        return lines
    left_out = len(lines) - first - last
    note: list[Run] = [(_COLOURS["2"], f"        … {left_out} lines …")]
    return [*lines[:first], note, *lines[-last:]]


def _draw_line(line: Sequence[Run], columns: int) -> str:
    """Return a line as coloured spans, cut to the terminal's width."""
    spans, room = [], columns
    for colour, text in line:
        shown = text if len(text) <= room else f"{text[: max(room - 1, 0)]}…"
        room -= len(shown)
        spans.append(f'<tspan fill="{colour}">{escape(shown)}</tspan>')
        if room <= 0:
            break
    return "".join(spans)
