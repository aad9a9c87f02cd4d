"""Draw the steps of a way, numbered, each wrapped to the width there is."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from lib.operators import Drawing, DrawnLine, Tone


def draw_steps(title: str, steps: Sequence[str]) -> Drawing:
    """Return a drawing of numbered steps; names are left whole, so that they can be copied."""

    def draw(width: int, _unfold: bool) -> list[DrawnLine]:
        lines = [DrawnLine(title, Tone.TITLE)]
        for number, step in enumerate(steps, 1):
            wrapped = textwrap.wrap(
                step,
                width,
                initial_indent=f"{number:>2}. ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            lines += [DrawnLine(line) for line in wrapped]
        return lines

    return Drawing(draw)
