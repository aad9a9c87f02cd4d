"""A chart is an SVG that stands alone, is to scale, and can be read out."""

from __future__ import annotations

from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from lib.costs import chart
from lib.costs.chart import Bar, Section
from lib.costs.usage import Range

SVG = "{http://www.w3.org/2000/svg}"


def amounts(*numbers: str) -> Range:
    return Range(*map(Decimal, numbers))


def test_bars_are_to_one_scale_and_carry_their_range() -> None:
    text = chart.draw(
        "Costs",
        "what they are",
        [
            Section("a", [Bar("S3", amounts("1", "2", "4"))]),
            Section("b", [Bar("NAT", amounts("0", "1", "1"))]),
        ],
    )
    root = ET.fromstring(text)
    first, second = (float(bar.get("width", "")) for bar in root.iter(f"{SVG}rect"))
    assert first == pytest.approx(2 * second)
    assert "$2.00  ($1.00 to $4.00)" in text
    assert root.findtext(f"{SVG}title") == "Costs"
    assert root.findtext(f"{SVG}desc") == "what they are"


def test_labels_cannot_break_the_picture() -> None:
    text = chart.draw(
        "<&>", "\x00\x1b[31m\n", [Section("</svg>", [Bar('"', amounts("0", "0", "0"))])]
    )
    root = ET.fromstring(text)
    assert root.findtext(f"{SVG}title") == "<&>"


def test_negative_amounts_have_no_length() -> None:
    text = chart.draw("t", "d", [Section("s", [Bar("b", amounts("-2", "-1", "3"))])])
    (bar,) = ET.fromstring(text).iter(f"{SVG}rect")
    assert bar.get("width") == "0.0"


def test_a_chart_of_nothing_is_still_a_picture() -> None:
    ET.fromstring(chart.draw("t", "d", []))
