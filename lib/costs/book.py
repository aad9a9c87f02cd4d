"""Read, change and write the price book: one dated, sourced row per dimension and region.

Pure: works on text. A dimension is one thing AWS meters (`fargate.vcpu_hour`); the book says
which service sells it, per how many units, and how the AWS price list names it. A row that
nobody found is in the book as `missing`: it is never filled from another region.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from lib.errors import InputError
from lib.inputs import documents
from lib.inputs.documents import Value
from lib.values import plain

#: The region of a row whose source publishes one price without naming a region.
EVERYWHERE = "*"


class Standing(enum.Enum):
    """Where a price stands."""

    BOOK = "book"
    LIVE = "live"
    STALE = "stale"
    MISSING = "missing"


@dataclass(frozen=True)
class PriceListing:
    """How the AWS price list names a dimension.

    `usagetype` is the part that follows the region's prefix. `attributes` are further
    attributes of the product by their names in the Price List API, all of which have to
    match. `scale` turns the list's unit into ours (a list that sells per 1,000 tokens has
    1000).
    https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-changes.html
    """

    service_code: str
    usagetype: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    scale: Decimal = Decimal(1)


@dataclass(frozen=True)
class Dimension:
    """One thing that AWS meters: its price is for `per` times `unit`."""

    name: str
    service: str
    unit: str
    per: Decimal
    listing: PriceListing | None


@dataclass(frozen=True)
class Tier:
    """A price from `start` units a month on, until the next tier."""

    start: Decimal
    price: Decimal


@dataclass(frozen=True)
class Price:
    """What a dimension costs in a region: tiers in USD, who said so and when."""

    dimension: str
    region: str
    tiers: tuple[Tier, ...]
    source: str
    as_of: str
    status: Standing = Standing.BOOK
    note: str = ""


@dataclass(frozen=True)
class FreeTier:
    """A monthly quantity that AWS never bills, shared by everything in an account."""

    dimension: str
    quantity: Decimal
    source: str
    as_of: str


@dataclass(frozen=True)
class Book:
    """All dimensions, prices and free quantities; `file` is its name in messages."""

    file: str
    dimensions: Mapping[str, Dimension]
    prices: Mapping[tuple[str, str], Price]
    free: Mapping[str, FreeTier]
    description: str = ""

    def regions(self) -> tuple[str, ...]:
        """Return the regions that have rows, in alphabetical order."""
        return tuple(sorted({region for _, region in self.prices} - {EVERYWHERE}))

    def dimension(self, name: str) -> Dimension:
        """Return a dimension; one that the book does not know is named by its service."""
        unknown = Dimension(name, name.partition(".")[0], "", Decimal(1), None)
        return self.dimensions.get(name, unknown)

    def find(self, dimension: str, region: str) -> Price:
        """Return the row for a region, its source's for everywhere, or else a missing one."""
        nowhere = Price(dimension, region, (), "", "", Standing.MISSING)
        everywhere = self.prices.get((dimension, EVERYWHERE), nowhere)
        return self.prices.get((dimension, region), everywhere)

    def replacing(self, rows: Iterable[Price]) -> Book:
        """Return a book in which these rows take the place of their predecessors."""
        changed = {(row.dimension, row.region): row for row in rows}
        return dataclasses.replace(self, prices={**self.prices, **changed})


def age_days(as_of: str, today: date) -> int:
    """Return the days since a price was read; a month without a day counts from its first."""
    whole = as_of if as_of.count("-") > 1 else f"{as_of}-01"
    return (today - date.fromisoformat(whole)).days


def cost_of(tiers: Iterable[Tier], quantity: Decimal, per: Decimal) -> Decimal:
    """Return what a monthly quantity costs in USD, each tier's share at its own price.

    `quantity` counts single units, prices are for `per` of them. Nothing is rounded.
    """
    ordered = sorted(tiers, key=lambda tier: tier.start)
    ends = [tier.start for tier in ordered[1:]] + [quantity]
    total = Decimal(0)
    for tier, end in zip(ordered, ends, strict=True):
        share = max(min(quantity, end) - tier.start, Decimal(0))
        total += share * tier.price / per
    return total


def parse(text: str, file: str) -> Book:
    """Read a price book.

    `file` is its name in messages. Raises `InputError` naming file and key for anything
    that is not a price book, a dimension that is not declared, tiers that do not rise from
    zero, a row without source or date, or two rows for one dimension and region.
    """
    root = documents.read(text, file)
    root.only("description", "currency", "dimensions", "free_tiers", "rows")
    root.member("currency").choice(["USD"])
    dimensions = {
        name: _read_dimension(name, node) for name, node in root.member("dimensions").members()
    }
    prices: dict[tuple[str, str], Price] = {}
    for node in root.member("rows").items():
        price = _read_price(node, dimensions)
        if (price.dimension, price.region) in prices:
            node.fail(f"repeats {price.dimension} in {price.region}")
        prices[price.dimension, price.region] = price
    free: dict[str, FreeTier] = {}
    for node in root.optional("free_tiers", []).items():
        tier = _read_free_tier(node, dimensions)
        if tier.dimension in free:
            node.fail(f"repeats {tier.dimension}")
        free[tier.dimension] = tier
    return Book(file, dimensions, prices, free, root.optional("description", "").text())


def _read_dimension(name: str, node: Value) -> Dimension:
    node.only("service", "unit", "per", "listing")
    per = node.member("per").number()
    if not per:
        node.member("per").fail("is zero")
    listing = node.member("listing")
    return Dimension(
        name,
        node.member("service").stated(),
        node.member("unit").stated(),
        per,
        None if listing.value is None else _read_listing(listing),
    )


def _read_listing(node: Value) -> PriceListing:
    node.only("service_code", "usagetype", "attributes", "scale")
    return PriceListing(
        node.member("service_code").stated(),
        node.member("usagetype").stated(),
        {name: value.text() for name, value in node.optional("attributes", {}).members()},
        node.optional("scale", Decimal(1)).number(),
    )


def _known_dimension(node: Value, dimensions: Mapping[str, Dimension]) -> str:
    name = node.member("dimension").text()
    if name not in dimensions:
        node.member("dimension").fail(f"is {name!r}, which is not among the dimensions")
    return name


def _read_price(node: Value, dimensions: Mapping[str, Dimension]) -> Price:
    node.only("dimension", "region", "price", "tiers", "source", "as_of", "status", "note")
    stored = (Standing.BOOK.value, Standing.STALE.value, Standing.MISSING.value)
    status = Standing(node.optional("status", Standing.BOOK.value).choice(stored))
    tiers = _read_tiers(node)
    if bool(tiers) == (status is Standing.MISSING):
        node.fail("has a price although it is missing" if tiers else "has no price")
    return Price(
        _known_dimension(node, dimensions),
        node.member("region").stated(),
        tiers,
        node.member("source").stated(),
        node.member("as_of").date(),
        status,
        node.optional("note", "").text(),
    )


def _read_tiers(node: Value) -> tuple[Tier, ...]:
    """Read `price`, or `tiers` as a list of `from` and `price`; neither gives no tiers."""
    single, several = node.optional("price", None), node.optional("tiers", [])
    if single.value is not None:
        if several.value:
            node.fail("has both price and tiers")
        return (Tier(Decimal(0), single.number()),)
    tiers = tuple(
        Tier(item.member("from").number(), item.member("price").number())
        for item in several.items()
    )
    starts = [tier.start for tier in tiers]
    if starts and (starts[0] != 0 or starts != sorted(set(starts))):
        several.fail("do not rise from zero")
    return tiers


def _read_free_tier(node: Value, dimensions: Mapping[str, Dimension]) -> FreeTier:
    node.only("dimension", "quantity", "source", "as_of")
    return FreeTier(
        _known_dimension(node, dimensions),
        node.member("quantity").number(),
        node.member("source").stated(),
        node.member("as_of").date(),
    )


def dump(book: Book) -> str:
    """Return a book as the text of its file: one row a line, so that a change is one line."""
    rows = sorted(book.prices.values(), key=lambda row: (row.dimension, row.region))
    sections = [
        f'  "description": {json.dumps(book.description)}',
        '  "currency": "USD"',
        '  "dimensions": {\n'
        + ",\n".join(
            f"    {json.dumps(name)}: {_inline(_dimension_as_json(item))}"
            for name, item in sorted(book.dimensions.items())
        )
        + "\n  }",
        '  "free_tiers": ' + _lines(vars(item) for _, item in sorted(book.free.items())),
        '  "rows": ' + _lines(_price_as_json(row) for row in rows),
    ]
    return "{\n" + ",\n".join(sections) + "\n}\n"


def _inline(value: Mapping[str, Any]) -> str:
    """Return JSON on one line; decimals are text, exactly as they are."""
    return json.dumps(value, ensure_ascii=False, default=plain)


def _lines(values: Iterable[Mapping[str, Any]]) -> str:
    return "[\n" + ",\n".join(f"    {_inline(value)}" for value in values) + "\n  ]"


def draw_price(price: Decimal) -> str:
    """Return a price in dollars with all its digits, and cents at least: `$0.10`."""
    text = plain(price)
    decimals = len(text.partition(".")[2])
    return f"${text}" if decimals > 1 else f"${price:.2f}"


def _dimension_as_json(item: Dimension) -> dict[str, Any]:
    listing = item.listing and dict(vars(item.listing))
    if listing and not listing["attributes"]:
        del listing["attributes"]
    if listing and listing["scale"] == 1:
        del listing["scale"]
    return {"service": item.service, "unit": item.unit, "per": int(item.per), "listing": listing}


def _price_as_json(row: Price) -> dict[str, Any]:
    built: dict[str, Any] = {"dimension": row.dimension, "region": row.region}
    if len(row.tiers) == 1:
        built["price"] = row.tiers[0].price
    elif row.tiers:
        built["tiers"] = [{"from": tier.start, "price": tier.price} for tier in row.tiers]
    built |= {"source": row.source, "as_of": row.as_of}
    if row.status in (Standing.STALE, Standing.MISSING):
        built["status"] = row.status.value
    if row.note:
        built["note"] = row.note
    return built


def require_region(book: Book, region: str) -> None:
    """Raise `InputError` when the book has no row at all for a region."""
    if region not in book.regions():
        raise InputError(
            f"{book.file} has no prices for {region}; it covers {', '.join(book.regions())}.",
            next_step="Add rows for the region, or estimate for one of these.",
        )
