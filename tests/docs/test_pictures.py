"""A terminal's output becomes a picture that shows what a person saw."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.docs import pictures

TEXT = "{http://www.w3.org/2000/svg}text"


def lines(output: str, keep: tuple[int, int] = (30, 30)) -> list[str]:
    """Return the lines of a picture of an output, without its title."""
    root = ET.fromstring(pictures.draw("Title", output, keep, pictures.THEMES["dark"]))
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
    drawn, again = "\x1b[?25l1 of 2\r\nA\r\nB", "\r\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K"
    output = f"start\r\n{drawn}{again}\x1b[32mB done\x1b[0m\r\n2 of 2"
    assert lines(output) == ["start", "B done", "2 of 2"]


def test_a_picture_can_be_taken_in_the_middle_of_a_run() -> None:
    output = "start\n1 of 2\n  A\r\x1b[2K\x1b[1A\x1b[2KA done\n2 of 2\r\x1b[2Kend\n"
    assert lines(pictures.stop(output, "1 of 2")) == ["start", "1 of 2", "  A"]
    assert lines(pictures.stop(output, "2 of 2")) == ["start", "A done", "2 of 2"]
    with pytest.raises(AssertionError, match="never seen"):
        pictures.stop(output, "3 of 2")


def test_a_long_output_keeps_its_ends_and_says_how_much_is_left_out() -> None:
    output = "\n".join(str(n) for n in range(20))
    assert [line.strip() for line in lines(output, (2, 1))] == ["0", "1", "… 17 lines …", "19"]


def test_a_wide_line_goes_on_below_as_on_a_terminal() -> None:
    assert lines("a" * (pictures.COLUMNS + 1)) == ["a" * pictures.COLUMNS, "a"]


def test_a_picture_fetches_nothing() -> None:
    for theme in pictures.THEMES.values():
        assert "url(http" not in pictures.draw("Title", "x", (1, 1), theme).replace('"', "")
