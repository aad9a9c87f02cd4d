"""A document that cannot be used names its file and key, and never a traceback."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.costs import book, usage
from lib.errors import InputError
from lib.inputs import documents
from tests.support.shapes import tried


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"f\.json:1:1 is not valid JSON"),
        ('{"a": 1,}', r"f\.json:1:9 is not valid JSON"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": -Infinity}', "-Infinity is not a number"),
        ("[" * 100_000, "nested too deeply"),
        ('"\\ud800"' * 2, "is not valid JSON"),
        ("1" * 5_000, "between 0 and"),
        ("1e999999999999999999999", "cannot be used|between 0 and|is not a number"),
        ("1e-999999999999999999999", "cannot be used|decimals|is not a number"),
    ],
)
def test_text_that_is_no_usable_document_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        documents.read(text, "f.json").number()


def test_a_document_beyond_all_sense_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(documents, "MAX_CHARACTERS", 5)
    with pytest.raises(InputError, match="too large"):
        documents.read("[1, 2, 3]", "f.json")


def test_numbers_are_read_exactly_as_written() -> None:
    node = documents.read('{"a": 0.1, "b": "0.0000166667"}', "f.json")
    assert node.member("a").number() == Decimal("0.1")
    assert node.member("b").number() == Decimal("0.0000166667")


@pytest.mark.parametrize(
    "value", ["true", "null", "[]", '"x"', '""', "-1", "1e16", "0.00000000000000001", '"NaN"']
)
def test_what_is_no_sensible_number_names_its_key(value: str) -> None:
    with pytest.raises(InputError, match=r"f\.json: a\.b "):
        documents.read(f'{{"a": {{"b": {value}}}}}', "f.json").member("a").member("b").number()


@pytest.mark.parametrize("value", ["2026", "2026-13", "2026-02-30", "x", "2026-1-1", ""])
def test_what_is_no_date_names_its_key(value: str) -> None:
    with pytest.raises(InputError, match=r"d is .* not a date"):
        documents.read(f'{{"d": "{value}"}}', "f.json").member("d").date()


def test_a_date_may_be_a_day_or_a_month() -> None:
    assert documents.read('"2026-10-01"', "f").date() == "2026-10-01"
    assert documents.read('"2026-10"', "f").date() == "2026-10"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "does not exist"),
        (b"\xff", "cannot be read"),
        (b" " * 1_000_001, r"is too large for a usage file \(over 1 MB\)"),
    ],
)
def test_a_file_that_is_no_text_is_told_by_its_path(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / "usage.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"usage\.json {told}"):
        documents.read_text(path, "a usage file", at_most=1_000_000)


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    path.write_text("{}", encoding="utf-8-sig")
    assert documents.read_text(path, "a usage file") == "{}"
    assert documents.read("\ufeff{}", "usage.json").value == {}


def test_a_document_without_amounts_keeps_numbers_as_json_has_them() -> None:
    assert documents.parse('{"A": [1, 0.5]}', "f.json") == {"A": [1, 0.5]}
    with pytest.raises(InputError, match=r"f\.json cannot be used: .* surrogates not allowed"):
        documents.parse('"\\ud800"', "f.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "usage", "A", "min", "typical", "max", "unit", "reason", "currency", "rows",
                    "dimensions", "service", "per", "listing", "service_code", "usagetype",
                    "attributes", "scale", "dimension", "region", "price", "tiers", "from",
                    "source", "as_of", "status", "free_tiers", "quantity",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@tried
@given(JSON)
def test_json_of_any_shape_is_read_or_refused(value: object) -> None:
    text = json.dumps(value)
    for parse in (usage.parse, book.parse):
        with contextlib.suppress(InputError):
            parse(text, "any.json")


def test_a_file_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        documents.write_text(tmp_path / "gone" / "chart.svg", "<svg/>")
