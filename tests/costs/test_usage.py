"""Assumptions are read with their ranges, units and reasons, and found by scope."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lib.costs import usage
from lib.costs.usage import Range
from lib.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
ENTRY = {"min": 1, "typical": 2, "max": 3, "unit": "GB", "reason": "a guess"}


def parse(scopes: Any, **more: Any) -> usage.Usage:
    return usage.parse(json.dumps({"usage": scopes, **more}), "u.json")


def test_the_closest_assumption_wins_path_before_logical_id_before_type() -> None:
    scopes = {"AWS::X": {"gb": ENTRY}, "Bucket": {"gb": {**ENTRY, "typical": 3}}}
    found = parse({**scopes, "S/Bucket": {"gb": {**ENTRY, "min": 2}}})
    for path, scope in (("S/Bucket", "S/Bucket"), ("T/Bucket", "Bucket"), ("T/O", "AWS::X")):
        closest = found.find(path, "AWS::X", "gb")
        assert closest is not None
        assert closest.scope == scope
    assert found.find("T/Other", "AWS::Y", "gb") is None
    assert found.find("S/Bucket", "AWS::X", "hours") is None


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({**ENTRY, "min": 9}, r"usage\.A\.gb is out of order"),
        ({**ENTRY, "max": None}, r"usage\.A\.gb\.max is not a number"),
        ({**ENTRY, "reason": " "}, r"usage\.A\.gb\.reason is empty"),
        ({**ENTRY, "more": 1}, r"usage\.A\.gb\.more is not known"),
        ({"min": 1}, r"usage\.A\.gb has no typical"),
        ([], r"usage\.A\.gb is not an object"),
    ],
)
def test_an_assumption_that_cannot_be_used_names_its_key(entry: Any, problem: str) -> None:
    with pytest.raises(InputError, match=rf"u\.json: {problem}"):
        parse({"A": {"gb": entry}})


def test_ranges_add_subtract_and_multiply_amount_by_amount() -> None:
    one, two = Range(*map(Decimal, (1, 2, 3))), Range(*map(Decimal, (4, 5, 6)))
    assert one + two == Range(*map(Decimal, (5, 7, 9)))
    assert two - one == Range(*map(Decimal, (3, 3, 3)))
    assert one * two == Range(*map(Decimal, (4, 10, 18)))
    assert one * Decimal(2) == Range(*map(Decimal, (2, 4, 6)))


@pytest.mark.parametrize("path", sorted((ROOT / "infrastructure" / "usage").glob("*.json")))
def test_every_shipped_assumption_has_a_range_a_unit_and_a_reason(path: Path) -> None:
    found = usage.parse(path.read_text(), path.name)
    assert found.assumptions
    for item in found.assumptions.values():
        assert item.amount.min <= item.amount.typical <= item.amount.max
        assert len(item.reason) > 10


def test_every_environment_has_a_usage_file() -> None:
    names = {path.name for path in (ROOT / "infrastructure" / "parameters").glob("*.json")}
    assert names == {path.name for path in (ROOT / "infrastructure" / "usage").glob("*.json")}
