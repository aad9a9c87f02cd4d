"""Values are written as CloudFormation writes them, whatever they are."""

from __future__ import annotations

import pytest

from lib import values
from lib.templates.unknowns import Unknown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (None, ""),
        (7, "7"),
        (0.5, "0.5"),
        ("a", "a"),
        ({"B": [True], "A": None}, '{"A":null,"B":[true]}'),
        ([1, "a"], '[1,"a"]'),
        (Unknown("${Bucket.Arn}"), "${Bucket.Arn}"),
        ([Unknown("${Bucket.Arn}")], '["${Bucket.Arn}"]'),
    ],
)
def test_a_value_is_written_as_cloudformation_writes_it(value: object, text: str) -> None:
    assert values.as_text(value) == text


def test_equal_values_have_equal_canonical_text() -> None:
    assert values.canonical({"b": [1], "a": None}) == '{"a":null,"b":[1]}'


def test_every_value_inside_a_structure_is_walked_once_from_the_outside_in() -> None:
    nested = {"A": [1, {"B": "b"}], "C": ()}
    assert list(values.walk(nested)) == [nested, [1, {"B": "b"}], 1, {"B": "b"}, "b", ()]
    assert list(values.walk("text")) == ["text"]
