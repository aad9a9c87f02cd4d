"""Hold the price book against a second source: LiteLLM's public table of model prices.

The table is one JSON file, by the names that Bedrock's API takes, in USD per token; the profile
that serves a region is the beginning of a name: https://github.com/BerriAI/litellm
Nothing is taken over from it: a person decides which of two sources is right.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, Final

from lib.costs.book import EVERYWHERE, Book, Price, draw_price
from lib.costs.metering import without_version
from lib.drawing import draw_table
from lib.errors import InputError

Open = Callable[[str], AbstractContextManager[IO[bytes]]]

#: The continental profile of the regions whose names begin alike.
_PROFILES: Final = {"us": "us", "eu": "eu", "ap": "apac"}

#: What a name of the table may begin with; a name without any is the price of its home region.
_PREFIXES: Final = (*_PROFILES.values(), "global")
_HOME: Final = "us-east-1"

#: No token costs less; a number far below could not be written out.
_SMALLEST: Final = Decimal("1e-20")

#: A price by where it holds (a profile or a region), model and direction, with its name there.
Table = Mapping[tuple[str, str, str], tuple[Decimal, str]]


@dataclass(frozen=True)
class Disagreement:
    """One row for which the second source has another price, or a price that the book lacks."""

    dimension: str
    region: str
    book: str
    other: str
    name: str


@dataclass(frozen=True)
class CrossCheck:
    """What a second source says of the book's models: rows that agree, differ or it lacks."""

    source: str
    agree: int
    differences: tuple[Disagreement, ...]
    not_named: int


def read_table(source: str, open_url: Open) -> Table:
    """Read the second source: an address on the web, or a file.

    Raises `InputError` for one that cannot be read or is not such a table.
    """
    try:
        if source.startswith(("https://", "http://")):
            with open_url(source) as stream:
                content = stream.read()
        else:
            content = Path(source).read_bytes()
        entries = json.loads(content, parse_float=Decimal)
    except (OSError, HTTPException, ValueError, RecursionError) as exc:
        raise _unusable(source, str(exc)) from None
    named = entries.items() if isinstance(entries, dict) else ()
    found = {key: price for name, entry in named for key, price in _read(name, entry)}
    if not found:
        raise _unusable(source, "it names no model of Bedrock with a price")
    return found


def _unusable(source: str, reason: str) -> InputError:
    return InputError(
        f"The second source {source} cannot be used: {reason}.",
        next_step="name LiteLLM's price table, or a copy of it, with --cross-check URL_OR_FILE",
    )


def _read(name: str, entry: Any) -> Iterator[tuple[tuple[str, str, str], tuple[Decimal, str]]]:
    """Yield the prices of one name, if it is one that Bedrock's own API bills."""
    provider = entry.get("litellm_provider") if isinstance(entry, dict) else None
    if not str(provider).startswith("bedrock"):
        return
    place, _, model = name.rpartition("/")
    prefix, _, rest = model.partition(".")
    if place:
        place = place.removeprefix("bedrock/")
    elif prefix in _PREFIXES:
        place, model = prefix, rest
    else:
        place = _HOME
    for way in ("input", "output"):
        price = entry.get(f"{way}_cost_per_token")
        if isinstance(price, Decimal) and price.is_finite() and _SMALLEST <= price < 1:
            yield (place, without_version(model), way), (price, name)


def check(book: Book, table: Table, source: str) -> CrossCheck:
    """Compare each row of a model with the second source; change nothing."""
    agree, not_named = 0, 0
    differences: list[Disagreement] = []
    for row in book.prices.values():
        if not row.dimension.startswith("bedrock."):
            continue
        _, _, name = row.dimension.partition(".")
        model, profile, way = name.rsplit(".", 2)
        others = [
            table[place, model, way]
            for place in _places(profile, row.region)
            if (place, model, way) in table
        ]
        differing = list(_differing(book, row, others))
        differences += differing
        agree += bool(others) and not differing
        not_named += not others
    return CrossCheck(source, agree, tuple(differences), not_named)


def _places(profile: str, region: str) -> Sequence[str]:
    """Return where a row's price holds, by the names of the second source."""
    if profile == "global":
        return ("global",)
    if profile == "regional":
        return (region,)
    if region == EVERYWHERE:
        return tuple(_PROFILES.values())
    return (_PROFILES.get(region.partition("-")[0], region),)


def _differing(
    book: Book, row: Price, others: Sequence[tuple[Decimal, str]]
) -> Iterator[Disagreement]:
    per = book.dimension(row.dimension).per
    own = row.tiers[0].price if row.tiers else None
    for price, name in others:
        if own is None or price * per != own:
            before = "missing" if own is None else draw_price(own)
            yield Disagreement(row.dimension, row.region, before, draw_price(price * per), name)


def draw(checked: CrossCheck) -> str:
    """Return the rows that differ, and how many do not."""
    text = (
        f"{checked.source}, rows of models: {checked.agree} agree, {len(checked.differences)} "
        f"differ, {checked.not_named} it does not name.\nThe book stays as it is."
    )
    rows = [
        (item.dimension, item.region, item.book, item.other, item.name)
        for item in checked.differences
    ]
    columns = ("Dimension", "Region", "Book", "Second source", "Its name")
    return f"{text}\n\n{draw_table(columns, rows)}" if rows else text
