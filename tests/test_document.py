"""A result's document holds plain JSON values under its fields' names, or those it names."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

from lib import document


class Colour(enum.StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    name: str
    hidden: str

    KEYS: ClassVar[Mapping[str, str]] = {"title": "shout", "name": "name"}

    @property
    def shout(self) -> str:
        return self.name.upper()


@dataclass(frozen=True)
class Secretive:
    said: str
    kept: str = field(default="", metadata=document.UNSHOWN)


def test_what_is_not_to_be_shown_is_no_key() -> None:
    assert document.as_document(Secretive("a", "b")) == {"said": "a"}


@dataclass(frozen=True)
class Outer:
    when: datetime
    price: Decimal
    colours: frozenset[Colour]
    inner: tuple[Inner, ...]
    place: Path
    extra: Mapping[str, Inner | None]


@dataclass(frozen=True)
class Nested:
    inner: Inner | None
    extra: Mapping[str, str]

    KEYS: ClassVar[Mapping[str, str]] = {"name": "inner.name", "one": "extra.one"}


def test_every_kind_of_value_becomes_plain_json() -> None:
    outer = Outer(
        datetime(2026, 11, 25, tzinfo=UTC),
        Decimal("1.501"),
        frozenset({Colour.RED}),
        (Inner("a", "x"),),
        Path("b"),
        {"one": None},
    )
    made = document.as_document(outer)
    assert json.loads(json.dumps(made)) == made
    assert made == {
        "when": "2026-11-25T00:00:00+00:00",
        "price": 1.5,
        "colours": ["red"],
        "inner": [{"title": "A", "name": "a"}],
        "place": "b",
        "extra": {"one": None},
    }


def test_a_class_that_names_its_keys_shows_nothing_else() -> None:
    assert list(document.keys_of(Inner)) == ["title", "name"]
    assert list(document.keys_of(Outer))[:2] == ["when", "price"]


def test_a_key_may_lead_through_other_attributes_and_ends_where_there_is_none() -> None:
    assert document.as_document(Nested(Inner("a", "x"), {"one": "1"})) == {"name": "a", "one": "1"}
    assert document.as_document(Nested(None, {"one": "1"})) == {"name": None, "one": "1"}


def test_keys_are_words_of_which_some_name_another_attribute() -> None:
    assert document.keys("name source=price.source") == {"name": "name", "source": "price.source"}
