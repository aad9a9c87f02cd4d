"""A chart is an SVG that stands alone, is to scale, and can be read out."""

from __future__ import annotations

from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from lib import chart
from lib.chart import Bar, Section

SVG = "{http://www.w3.org/2000/svg}"


def bar(label: str, begin: int, end: int, *whisker: int) -> Bar:
    least, most = map(Decimal, whisker or (begin, end))
    return Bar(label, Decimal(begin), Decimal(end), "so much", (least, most) if whisker else None)


def test_bars_are_to_one_scale_and_carry_their_text() -> None:
    sections = [Section("a", [bar("S3", 0, 2, 1, 4)]), Section("b", [bar("NAT", 0, 1)])]
    text = chart.draw("Costs", "what they are", sections)
    root = ET.fromstring(text)
    first, second = (float(bar.get("width", "")) for bar in root.iter(f"{SVG}rect"))
    assert first == pytest.approx(2 * second)
    assert text.count("so much") == 2
    assert len(list(root.iter(f"{SVG}path"))) == 1
    assert root.findtext(f"{SVG}title") == "Costs"
    assert root.findtext(f"{SVG}desc") == "what they are"


def test_a_bar_begins_where_it_is_said_to() -> None:
    text = chart.draw("t", "d", [Section("s", [bar("a", 0, 4), bar("b", 2, 4)])], labels=200)
    first, second = ET.fromstring(text).iter(f"{SVG}rect")
    assert first.get("x") == "200"
    begins = float(second.get("x", "")) - 200
    assert begins == pytest.approx(float(second.get("width", "")))
    assert begins * 2 == pytest.approx(float(first.get("width", "")))


def test_labels_cannot_break_the_picture() -> None:
    text = chart.draw("<&>", "\x00\x1b[31m\n", [Section("</svg>", [bar('"', 0, 0)])])
    root = ET.fromstring(text)
    assert root.findtext(f"{SVG}title") == "<&>"


def test_negative_amounts_have_no_length() -> None:
    text = chart.draw("t", "d", [Section("s", [bar("b", 0, -1, -2, 3)])])
    (drawn,) = ET.fromstring(text).iter(f"{SVG}rect")
    assert drawn.get("width") == "0.0"


def test_a_chart_of_nothing_is_still_a_picture() -> None:
    ET.fromstring(chart.draw("t", "d", []))
