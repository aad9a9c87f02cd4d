"""A terminal's output becomes a picture that shows what a person saw."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from tests.docs import pictures

TEXT = "{http://www.w3.org/2000/svg}text"


def lines(output: str, keep: tuple[int, int] = (30, 30)) -> list[str]:
    """Return the lines of a picture of an output, without its title."""
    root = ET.fromstring(pictures.draw("Title", output, keep))
    shown: dict[str, str] = {}
    for node in root.iter(TEXT):
        if node.get("clip-path"):
            shown[node.attrib["y"]] = shown.get(node.attrib["y"], "") + "".join(node.itertext())
    return [line.replace("\xa0", " ").rstrip() for line in shown.values()]


def test_lines_are_shown_in_order_without_their_colours_codes() -> None:
    output = "$ inv x\n<a> & b\n\x1b[32m✓ good\x1b[0m and \x1b[31mbad\x1b[0m\n"
    assert lines(output) == ["$ inv x", "<a> & b", "✓ good and bad"]


def test_a_line_that_was_redrawn_is_shown_as_it_ended() -> None:
    assert lines("0:01 working\r\x1b[K0:02 done\r\n") == ["0:02 done"]


def test_several_lines_that_were_redrawn_are_shown_as_they_ended() -> None:
    output = "start\n\r\x1b[K1 of 2\n  A\n  B\x1b[A\x1b[A\r\x1b[J\x1b[32mB done\x1b[0m\n"
    assert lines(output) == ["start", "B done"]


def test_a_long_output_keeps_its_ends_and_says_how_much_is_left_out() -> None:
    output = "\n".join(str(n) for n in range(20))
    assert [line.strip() for line in lines(output, (2, 1))] == ["0", "1", "… 17 lines …", "19"]


def test_a_wide_line_is_cut_at_the_edge() -> None:
    (line,) = lines("a" * (pictures.COLUMNS + 1))
    assert len(line) == pictures.COLUMNS
    assert line.endswith("a…")


def test_a_picture_fetches_nothing() -> None:
    assert "url(http" not in pictures.draw("Title", "x", (1, 1)).replace('"', "")
