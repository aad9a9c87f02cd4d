"""Draw amounts as an SVG bar chart, for people who would rather look than read.

Pure: numbers in, text out. The chart stands on its own (no script, no font, no style from
elsewhere), reads on light and dark ground, and says in words what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from xml.sax.saxutils import escape

WIDTH = 720
#: How wide the texts on the right are at most.
_AMOUNTS = 170
_ROW = 26
_BAR = 14
_TITLE = 34
_FILL = 'fill="#3b82c4"'
_STROKE = 'stroke="#d9822b" stroke-width="2"'


@dataclass(frozen=True)
class Bar:
    """One bar, from one amount to another, with what it says; a whisker goes from least to most."""

    label: str
    begin: Decimal
    end: Decimal
    text: str
    whisker: tuple[Decimal, Decimal] | None = None


@dataclass(frozen=True)
class Section:
    """Bars under a heading; all sections of a chart share one scale."""

    heading: str
    bars: Sequence[Bar]


def draw(title: str, description: str, sections: Sequence[Section], *, labels: int = 190) -> str:
    """Return a chart as the text of an SVG file.

    `title` and `description` are read out by screen readers; `labels` is how wide those on the
    left are.
    """
    ends = (
        max(bar.end, *(bar.whisker or (bar.end,))) for section in sections for bar in section.bars
    )
    longest = max(ends, default=Decimal(0))
    scale = Decimal(WIDTH - labels - _AMOUNTS) / longest if longest > 0 else Decimal(0)
    body: list[str] = []
    y = _TITLE
    for section in sections:
        body.append(_text(0, y + 18, section.heading, "font-weight:bold"))
        y += _ROW
        for bar in section.bars:
            body += _draw_bar(bar, y, scale, labels)
            y += _ROW
        y += _ROW // 2
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" '
        f'height="{y}" role="img" aria-labelledby="t d" font-family="sans-serif" font-size="13" '
        f'fill="#7a7a7a">\n<title id="t">{_escape(title)}</title>\n'
        f'<desc id="d">{_escape(description)}</desc>'
    )
    return "\n".join(
        [head, _text(0, 20, title, "font-size:16px;font-weight:bold"), *body, "</svg>\n"]
    )


def _draw_bar(bar: Bar, y: int, scale: Decimal, labels: int) -> list[str]:
    """Return one bar's label, its length, its whisker and its text."""
    middle = y + _ROW // 2

    def place(amount: Decimal) -> Decimal:
        return max(amount, Decimal(0)) * scale

    begin, width = labels + place(bar.begin), place(bar.end) - place(bar.begin)
    # A picture that has only whole numbers to begin at says them as such.
    start = f"{begin:.1f}".removesuffix(".0")
    drawn = [
        _text(0, middle + 5, bar.label),
        f'<rect x="{start}" y="{middle - 7}" width="{width:.1f}" height="{_BAR}" {_FILL}/>',
    ]
    if bar.whisker:
        low, high = (labels + place(amount) for amount in bar.whisker)
        drawn.append(f'<path d="M{low:.1f} {middle}H{high:.1f}" {_STROKE}/>')
    return [*drawn, _text(WIDTH - _AMOUNTS + 8, middle + 5, bar.text, "font-size:11px")]


def _text(x: int, y: int, text: str, style: str = "") -> str:
    styled = f' style="{style}"' if style else ""
    return f'<text x="{x}" y="{y}"{styled}>{_escape(text)}</text>'


def _escape(text: str) -> str:
    """Escape markup, and drop the control characters that XML cannot carry."""
    return escape("".join(char for char in text if char.isprintable()))
