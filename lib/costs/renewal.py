"""Renew the price book from AWS's offer files."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import InvalidOperation
from http.client import HTTPException
from typing import ClassVar

from lib.costs import crosscheck
from lib.costs.book import EVERYWHERE, Book, Dimension, Price, Standing, draw_price, dump
from lib.costs.crosscheck import Open
from lib.costs.estimates import Report, Terms, read_book
from lib.costs.offers import CURRENCY, Product, choose_price, plain_name, read_tiers
from lib.document import as_document, keys
from lib.drawing import draw_table
from lib.errors import AwsUnavailable, InputError, OperationFailed
from lib.inputs import documents
from lib.operators import Answer, Level, Note

#: Where the offer files are; they need no credentials.
OFFERS = "https://pricing.us-east-1.amazonaws.com"


@dataclass(frozen=True)
class PriceChange:
    """One row that a refresh changed, as prices for people to read."""

    dimension: str
    region: str
    before: str
    after: str


@dataclass(frozen=True)
class Kept:
    """One row that a refresh could not renew, and why."""

    dimension: str
    region: str
    reason: str


@dataclass(frozen=True)
class Refreshed:
    """A rewritten book, what changed in it, why rows were kept, and how many are fresh."""

    book: Book
    changes: tuple[PriceChange, ...]
    kept: tuple[Kept, ...]
    read_again: int

    KEYS: ClassVar = keys("file=book.file read_again changes kept")


def refresh_book(
    terms: Terms, open_url: Open, base_url: str | None, report: Report, second: str | None = None
) -> Answer:
    """Rewrite the price book from the public offer files, or hold it against a second source.

    `base_url` is where the offer files are, `open_url` opens an address as a stream of bytes.
    `second` is a table of model prices, by address or file; with it the book is renewed only if
    there is a `base_url`, and never from that table. Raises `InputError` for an address that is
    not on the web, and for a book or a table that cannot be used.
    """
    if second is None:
        return _renew(terms, open_url, base_url or OFFERS, report)
    table = crosscheck.read_table(second, open_url)
    renewed = _renew(terms, open_url, base_url, report) if base_url else None
    book = read_book(terms)
    checked = crosscheck.check(book, table, second)
    renewed = renewed or Answer(as_document(Refreshed(book, (), (), 0)), "")
    return Answer(
        renewed.document | {"cross_check": as_document(checked)},
        "\n\n".join(text for text in (renewed.text, crosscheck.draw(checked)) if text),
        renewed.exit_code,
    )


def _renew(terms: Terms, open_url: Open, base_url: str, report: Report) -> Answer:
    """Rewrite the price book from the public offer files and tell what changed."""
    if not base_url.startswith(("https://", "http://")):
        raise InputError(f"--source takes an http or https address, not {base_url!r}.")
    fresh = refresh(read_book(terms), open_url, terms.today, base_url=base_url)
    documents.write_text(terms.book_path, dump(fresh.book))
    grouped: dict[str, list[str]] = {}  # one file's failure concerns many rows
    for row in fresh.kept:
        grouped.setdefault(row.reason, []).append(f"{row.dimension} in {row.region}")
    for reason, rows in grouped.items():
        report(Note(f"Kept as it was: {', '.join(rows)}: {reason}.", Level.WARNING))
    failed = bool(fresh.kept) and not fresh.read_again
    if failed:
        text = "Nothing was renewed: no price could be read again. The book's are marked stale."
        report(Note(text, Level.ERROR))
    changes = [dataclasses.astuple(change) for change in fresh.changes]
    table = draw_table(("Dimension", "Region", "Before", "After"), changes)
    return Answer(
        as_document(fresh),
        table if changes else f"{fresh.book.file}: no price changed.",
        AwsUnavailable.exit_code if failed else 0,
    )


def refresh(book: Book, open_url: Open, today: date, *, base_url: str = OFFERS) -> Refreshed:
    """Rewrite a book from the public offer files.

    `open_url` opens a URL as a stream of bytes, like `urllib.request.urlopen`. Every row of
    a listed dimension is looked for in its own region's file. A row whose source fails
    keeps its price and is marked stale; a missing row stays missing. Rows for everywhere
    and dimensions that the price list does not carry are left alone.
    """
    rows: list[Price] = []
    kept: list[Kept] = []
    by_service: dict[str, list[Dimension]] = {}
    for dimension in book.dimensions.values():
        if dimension.listing and (dimension.name, EVERYWHERE) not in book.prices:
            by_service.setdefault(dimension.listing.service_code, []).append(dimension)
    for service, asked in by_service.items():
        files = _list_files(service, open_url, base_url)
        for region in book.regions():
            outcome = _read_region(files, asked, region, open_url, base_url)
            for dimension in asked:
                row, reason = _settle(book, dimension, region, service, outcome, today)
                rows += [row] if row else []
                kept += [Kept(dimension.name, region, reason)] if reason else []
    fresh = book.replacing(rows)
    stale = [row for row in rows if row.status is Standing.STALE]
    return Refreshed(fresh, tuple(_changes(book, fresh)), tuple(kept), len(rows) - len(stale))


class _Unreadable(OperationFailed):
    """Why a source could not be read."""


def _list_files(service: str, open_url: Open, base_url: str) -> Mapping[str, str] | _Unreadable:
    """Return the path of each region's file of one service."""
    url = f"{base_url}/offers/v1.0/aws/{service}/current/region_index.json"
    try:
        with open_url(url) as stream:
            index = json.loads(stream.read())
        files = {
            str(region): str(entry["currentVersionUrl"])
            for region, entry in index["regions"].items()
        }
    except (
        OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError, RecursionError,
    ) as exc:  # fmt: skip
        return _Unreadable(f"{url}: {exc!r}")
    return {region: path for region, path in files.items() if path.startswith("/")}


def _read_region(
    files: Mapping[str, str] | _Unreadable,
    dimensions: Sequence[Dimension],
    region: str,
    open_url: Open,
    base_url: str,
) -> list[Product] | _Unreadable:
    """Return the products of one region that any of the dimensions may mean."""
    if isinstance(files, _Unreadable):
        return files
    if region not in files:
        return _Unreadable(f"the service has no offer file for {region}")
    # EC2's file has hundreds of megabytes: read line by line, keeping a handful.
    url = base_url + files[region].removesuffix(".json").removesuffix(".csv") + ".csv"
    endings = tuple(d.listing.usagetype for d in dimensions if d.listing)
    try:
        with open_url(url) as stream, io.TextIOWrapper(stream, "utf-8", newline="") as text:
            products = list(_read_offer(text, endings))
            # http.client ends a body that was cut off as if it were whole, when it is read
            # through a text wrapper; what is left of its length gives it away.
            if getattr(stream, "length", None):
                raise ValueError("the file was cut off")
            return products
    except (OSError, HTTPException, ValueError, csv.Error, InvalidOperation) as exc:
        return _Unreadable(f"{url}: {exc!r}")


def _read_offer(text: Iterable[str], endings: tuple[str, ...]) -> Iterator[Product]:
    """Yield the products of an offer file whose usage type has one of the endings.

    A file begins with five lines about itself; a product has one line for each tier.
    """
    lines = csv.reader(text)
    header = next((line for line in lines if line[:1] == ["SKU"]), None)
    if header is None:
        raise ValueError("the file has no header line")
    names = [plain_name(name) for name in header]
    attributes: dict[str, dict[str, str]] = {}
    tiers: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        row = dict(zip(names, line, strict=False))
        listed = row.get("termtype") == "OnDemand" and row.get("currency", CURRENCY) == CURRENCY
        if listed and row.get("usagetype", "").endswith(endings):
            sku = row.get("sku", "")
            attributes[sku] = row
            tiers.setdefault(sku, []).append(
                (row.get("startingrange") or "0", row.get("priceperunit", ""))
            )
    for sku, entries in tiers.items():
        yield Product(sku, attributes[sku], read_tiers(entries))


def _settle(
    book: Book,
    dimension: Dimension,
    region: str,
    service: str,
    outcome: list[Product] | _Unreadable,
    today: date,
) -> tuple[Price | None, str]:
    """Return the new row of a dimension in a region, if it changes, and what went wrong."""
    old = book.prices.get((dimension.name, region))
    source = f"AWS offer file of {service} for {region}"
    try:
        if isinstance(outcome, _Unreadable):
            raise outcome
        return choose_price(outcome, dimension, region, source, today, Standing.BOOK), ""
    except OperationFailed as exc:
        stale = dataclasses.replace(old, status=Standing.STALE) if old and old.tiers else None
        return stale, exc.message


def _changes(before: Book, after: Book) -> Iterator[PriceChange]:
    for key, row in after.prices.items():
        old = before.prices.get(key)
        was, now = _draw(old), _draw(row)
        if was != now:
            yield PriceChange(row.dimension, row.region, was, now)


def _draw(row: Price | None) -> str:
    if row is None or not row.tiers:
        return "missing"
    drawn = " / ".join(draw_price(tier.price) for tier in row.tiers)
    return f"{drawn} (stale)" if row.status is Standing.STALE else drawn
