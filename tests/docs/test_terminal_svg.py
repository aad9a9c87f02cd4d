"""A terminal's output becomes a picture that shows what a person saw."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from tests.docs import terminal_svg


def texts(svg: str) -> list[str]:
    """Return the lines of a picture."""
    tag = "{http://www.w3.org/2000/svg}text"
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter(tag)]


def test_lines_are_shown_in_order_with_markup_escaped() -> None:
    assert texts(terminal_svg.draw("t", "$ inv x\n<a> & b\n")) == ["$ inv x", "<a> & b"]


def test_a_line_that_was_redrawn_is_shown_as_it_ended() -> None:
    assert texts(terminal_svg.draw("t", "0:01 working\r\x1b[K0:02 done\r\n")) == ["0:02 done"]


def test_colours_are_kept_and_other_sequences_dropped() -> None:
    svg = terminal_svg.draw("t", "\x1b[32m✓ good\x1b[0m and \x1b[31mbad\x1b[0m\x1b[2J")
    assert texts(svg) == ["✓ good and bad"]
    assert '<tspan fill="#7ee787">✓ good</tspan>' in svg
    assert '<tspan fill="#ff7b72">bad</tspan>' in svg


def test_a_long_output_keeps_its_ends_and_says_how_much_is_left_out() -> None:
    output = "\n".join(str(n) for n in range(20))
    shown = texts(terminal_svg.draw("t", output, keep=(2, 1)))
    assert [line.strip() for line in shown] == ["0", "1", "… 17 lines …", "19"]


def test_a_wide_line_is_cut_at_the_edge() -> None:
    assert texts(terminal_svg.draw("t", "abcdefgh\n\x1b[32mabc\x1b[0mdefgh", columns=5)) == [
        "abcd…",
        "abcd…",
    ]
