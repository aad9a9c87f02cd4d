"""Say what took how long in an operation, from its events.

Pure. An operation is as long as its longest chain of resources, and nobody sees from a list of
events which those are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial

from lib import chart
from lib.drawing import clean, draw_elapsed, wrap
from lib.operators import Drawing, DrawnLine, Tone
from lib.stacks.stacks import Event
from lib.templates.templates import STACK_TYPE

#: Seconds from which on somebody wonders what took so long, and how many resources are named.
LONG = 60.0
_NAMED_AT_MOST = 8

#: How wide the bars of the text are at least, and how wide the labels of the picture, in pixels.
_NARROWEST_BAR = 12
_LABELS = 290


@dataclass(frozen=True)
class Span:
    """How long a resource was under way: it began `begun` seconds after the operation."""

    path: str
    begun: float
    seconds: float


def measure(found: Sequence[Event]) -> tuple[Span, ...]:
    """Return the longest time that each resource was under way, the longest first.

    Events come in order of time. Nested stacks are left out: they take as long as what is in them.
    """
    begun: dict[str, datetime] = {}
    longest: dict[str, Span] = {}
    for event in found:
        if event.type == STACK_TYPE:
            continue
        if event.status.endswith("_IN_PROGRESS"):
            begun.setdefault(event.path, event.time)
        elif event.path in begun:
            since = begun.pop(event.path)
            took = (event.time - since).total_seconds()
            span = Span(event.path, (since - found[0].time).total_seconds(), took)
            longest[event.path] = max(span, longest.get(event.path, span), key=_length)
    return tuple(sorted(longest.values(), key=_length, reverse=True))


def _length(span: Span) -> float:
    return span.seconds


def list_longest(title: str, found: Sequence[Event]) -> Drawing | None:
    """Return what took longest as something to show, None where nothing took long."""
    if not found or (found[-1].time - found[0].time).total_seconds() < LONG:
        return None
    spans = measure(found)[:_NAMED_AT_MOST]
    return Drawing(partial(_draw, title, spans)) if spans else None


def _draw(title: str, spans: Sequence[Span], width: int, _unfold: bool) -> Sequence[DrawnLine]:
    """Return a line a resource: how long, which, and a bar that shows when."""
    names = {span.path: clean(span.path) for span in spans}
    label = max(map(len, names.values()))
    room = max(width - len("  00:00") - label - 2 * len("  "), _NARROWEST_BAR)
    whole = max(span.begun + span.seconds for span in spans) or 1.0
    lines = [DrawnLine(text, Tone.TITLE) for text in wrap(title, width, hang=2)]
    for span in spans:
        begin = round(span.begun / whole * room)
        bar = max(round((span.begun + span.seconds) / whole * room) - begin, 1)
        told = f"{draw_elapsed(span.seconds):>7}  {names[span.path]:<{label}}"
        lines.append(DrawnLine(f"{told}  {' ' * begin}{'━' * bar}"))
    return lines


def draw_chart(stack: str, found: Sequence[Event]) -> str:
    """Return how long everything took as the text of an SVG file, stack by stack."""
    sections: dict[str, list[chart.Bar]] = {}
    for span in sorted(measure(found), key=lambda span: span.begun):
        above, _, name = span.path.rpartition("/")
        begun, ended = (Decimal(str(at)) for at in (span.begun, span.begun + span.seconds))
        bar = chart.Bar(name, begun, ended, draw_elapsed(span.seconds))
        sections.setdefault(above or stack, []).append(bar)
    whole = (found[-1].time - found[0].time).total_seconds() if found else 0
    return chart.draw(
        f"{stack}: {draw_elapsed(whole)}",
        f"What took how long in the latest operation on stack {stack}, in order of time.",
        [chart.Section(heading, bars) for heading, bars in sections.items()],
        labels=_LABELS,
    )
