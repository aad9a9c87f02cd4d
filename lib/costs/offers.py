"""Ask AWS for prices: the Price List API, and the public offer files it is made from.

Both answer with products; a dimension's listing has to match exactly one of them, or the
row stays as the book has it. The first hit is never taken: `NatGateway-Hours` is also the
end of `RegionalNatGateway-Hours`, and some products are listed twice.

https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-the-aws-price-list-bulk-api.html
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError

from lib import polling, refusals
from lib.costs.book import EVERYWHERE, Book, Dimension, Listing, Price, Status, Tier, amount, plain
from lib.errors import AwsUnavailable, OperationFailed
from lib.polling import Clock

__all__ = [
    "API_REGION",
    "OFFERS",
    "Asked",
    "Change",
    "Kept",
    "Refreshed",
    "ask",
    "ask_all",
    "refresh",
]

#: The API answers in three regions only, whatever region is priced.
#: https://docs.aws.amazon.com/general/latest/gr/billing.html
API_REGION = "us-east-1"

#: Where the offer files are; they need no credentials.
OFFERS = "https://pricing.us-east-1.amazonaws.com"

#: Attempts at one price while the API throttles, each after a longer pause.
PATIENT_ATTEMPTS = 5

#: AWS lists US dollars everywhere outside China.
_CURRENCY = "USD"

Open = Callable[[str], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True)
class _Product:
    """One SKU: its attributes by lower-case names without spaces, and its price tiers."""

    sku: str
    attributes: Mapping[str, str]
    tiers: tuple[Tier, ...]


@dataclass(frozen=True)
class Asked:
    """A book with what the API answered, and why it did not answer for the rest."""

    book: Book
    problems: tuple[str, ...]


def ask(pricing: Any, dimension: Dimension, region: str, today: date) -> Price:
    """Ask the Price List API for one price.

    `pricing` is a client of `API_REGION`. Raises `OperationFailed` naming the filter when
    it does not come to exactly one SKU; errors of AWS pass through.
    """
    listing = dimension.listing
    if listing is None:
        raise OperationFailed(f"the price list does not carry {dimension.name}")
    filters = [
        {"Type": "TERM_MATCH", "Field": field, "Value": value}
        for field, value in _wanted(listing, region).items()
    ]
    filters.append({"Type": "CONTAINS", "Field": "usagetype", "Value": listing.usagetype})
    pages = pricing.get_paginator("get_products").paginate(
        ServiceCode=listing.service_code, Filters=filters, FormatVersion="aws_v1"
    )
    products = [_read_item(item) for page in pages for item in page.get("PriceList", [])]
    chosen = _choose_one(products, listing, region)
    source = f"AWS Price List API, {listing.service_code}, SKU {chosen.sku}"
    return _as_price(chosen, dimension, listing, region, source, today, Status.LIVE)


def ask_all(
    pricing: Any,
    book: Book,
    dimensions: Iterable[str],
    region: str,
    today: date,
    cache: Path,
    clock: Clock,
) -> Asked:
    """Replace the rows of a region by what the API answers, keeping the book's for the rest.

    Answers are kept in the file `cache` for the day. Returns the book and one sentence for
    each row that stays as it is. A failure that no further call would mend (credentials,
    permission, no connection) is reported once.
    """
    known = _read_cache(cache, today)
    rows: list[Price] = []
    problems: list[str] = []
    for name in sorted(set(dimensions) & set(book.dimensions)):
        if (name, region) in known:
            rows.append(known[name, region])
            continue
        try:
            rows.append(_ask_patiently(pricing, book.dimensions[name], region, today, clock))
        except OperationFailed as exc:
            problems.append(f"{name}: {exc.message}; the book's price is used")
        except (ClientError, BotoCoreError) as exc:
            explained = refusals.explain(exc, API_REGION)
            unsupported = refusals.is_unsupported(exc)
            if unsupported or isinstance(explained, AwsUnavailable):
                reason = "not available at this endpoint" if unsupported else explained.message
                problems.append(f"the book's are used, since {reason}")
                break
            problems.append(f"{name}: {explained.message}; the book's price is used")
    if rows:
        _write_cache(cache, today, {**known, **{(r.dimension, r.region): r for r in rows}})
    return Asked(book.replacing(rows), tuple(problems))


def _ask_patiently(
    pricing: Any, dimension: Dimension, region: str, today: date, clock: Clock
) -> Price:
    """Ask again, later and later, while the API says that it is asked too often.

    It grants ten calls at once and five a second after that, for the whole account.
    """
    for failures in range(1, PATIENT_ATTEMPTS):
        try:
            return ask(pricing, dimension, region, today)
        except ClientError as exc:
            if not refusals.is_throttled(exc):
                raise
            clock.sleep(polling.backoff_after(failures))
    return ask(pricing, dimension, region, today)


def _wanted(listing: Listing, region: str) -> dict[str, str]:
    """Return the attributes a product has to have, the region among them."""
    wanted = {name: value.format(region=region) for name, value in listing.attributes.items()}
    # Products between two places carry a region at each end instead of one.
    return wanted if region in wanted.values() else {"regionCode": region, **wanted}


def _choose_one(products: Sequence[_Product], listing: Listing, region: str) -> _Product:
    """Return the one product that a listing means in a region, or raise `OperationFailed`."""
    # The prefix is USE1-, EU-, the region's own name, or nothing at all.
    shape = re.compile(
        rf"(?:(?:[A-Z]{{2,4}}\d?|{re.escape(region)})-)?{re.escape(listing.usagetype)}"
    )
    wanted = {_plain_name(name): value for name, value in _wanted(listing, region).items()}
    found = [
        product
        for product in products
        if shape.fullmatch(product.attributes.get("usagetype", ""))
        and all(product.attributes.get(name) == value for name, value in wanted.items())
    ]
    if len(found) != 1:
        described = ", ".join(f"{name}={value}" for name, value in _wanted(listing, region).items())
        raise OperationFailed(
            f"{len(found) or 'no'} SKUs instead of one for {listing.service_code} "
            f"usagetype={listing.usagetype}, {described}"
            f"{': ' + ', '.join(product.sku for product in found) if found else ''}"
        )
    return found[0]


def _plain_name(name: str) -> str:
    """Return an attribute's name as both the API (`storageClass`) and the files have it."""
    return name.replace(" ", "").lower()


def _read_item(text: object) -> _Product:
    """Read one item of the API's answer, which is JSON inside a string."""
    try:
        item: Any = json.loads(text) if isinstance(text, str) else text
        product = item["product"]
        attributes = {
            _plain_name(name): str(value) for name, value in product["attributes"].items()
        }
        terms = list(item["terms"].get("OnDemand", {}).values())
        entries = [entry for term in terms for entry in term["priceDimensions"].values()]
        tiers = _read_tiers(
            [(entry["beginRange"], entry["pricePerUnit"][_CURRENCY]) for entry in entries]
        )
        return _Product(str(product["sku"]), attributes, tiers)
    except (
        KeyError,
        TypeError,
        AttributeError,
        ValueError,
        RecursionError,
        InvalidOperation,
    ) as exc:
        raise OperationFailed(f"the Price List API answered in another shape ({exc!r})") from None


def _read_tiers(entries: Sequence[tuple[str, str]]) -> tuple[Tier, ...]:
    """Build tiers from pairs of start and price.

    A first tier at no price is a free tier that the list includes for some products. Free
    tiers are lines of their own here, so the next price takes its place.
    """
    tiers = sorted(
        (Tier(Decimal(start), Decimal(price)) for start, price in entries),
        key=lambda tier: tier.start,
    )
    while len(tiers) > 1 and not tiers[0].price:
        tiers = [Tier(Decimal(0), tiers[1].price), *tiers[2:]]
    starts = [tier.start for tier in tiers]
    numbers = [number for tier in tiers for number in (tier.start, tier.price)]
    if not all(number.is_finite() for number in numbers) or starts != sorted(set(starts)):
        raise ValueError("tiers overlap")
    return tuple(tiers)


def _as_price(
    product: _Product,
    dimension: Dimension,
    listing: Listing,
    region: str,
    source: str,
    today: date,
    status: Status,
) -> Price:
    """Return a product's price in the units of a dimension."""
    if not product.tiers or product.tiers[0].start != 0:
        raise OperationFailed(f"SKU {product.sku} has no on-demand price from the first unit on")
    tiers = tuple(
        Tier(tier.start * listing.scale, tier.price * dimension.per / listing.scale)
        for tier in product.tiers
    )
    return Price(dimension.name, region, tiers, source, today.isoformat(), status)


def _read_cache(cache: Path, today: date) -> dict[tuple[str, str], Price]:
    """Return today's answers. A cache that cannot be read is no cache."""
    try:
        stored = json.loads(cache.read_text(encoding="utf-8"))
        if stored["day"] != today.isoformat():
            return {}
        rows = [
            Price(
                row["dimension"],
                row["region"],
                tuple(Tier(Decimal(start), Decimal(price)) for start, price in row["tiers"]),
                row["source"],
                today.isoformat(),
                Status.LIVE,
            )
            for row in stored["rows"]
        ]
    except (OSError, KeyError, TypeError, ValueError, RecursionError, InvalidOperation):
        return {}
    return {(row.dimension, row.region): row for row in rows}


def _write_cache(cache: Path, today: date, rows: Mapping[tuple[str, str], Price]) -> None:
    """Keep today's answers. A cache that cannot be written is done without."""
    document = {
        "day": today.isoformat(),
        "rows": [
            {
                "dimension": row.dimension,
                "region": row.region,
                "tiers": [[plain(tier.start), plain(tier.price)] for tier in row.tiers],
                "source": row.source,
            }
            for row in rows.values()
        ],
    }
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        fresh = cache.with_suffix(".new")
        fresh.write_text(json.dumps(document), encoding="utf-8")
        fresh.replace(cache)
    except OSError:
        return


@dataclass(frozen=True)
class Change:
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
    changes: tuple[Change, ...]
    kept: tuple[Kept, ...]
    read_again: int


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
        if dimension.listing:
            by_service.setdefault(dimension.listing.service_code, []).append(dimension)
    for service, dimensions in by_service.items():
        asked = [d for d in dimensions if (d.name, EVERYWHERE) not in book.prices]
        files = (
            _Failure("no row to look for")
            if not asked
            else _list_files(service, open_url, base_url)
        )
        for region in book.regions() if asked else ():
            outcome = _read_region(files, asked, region, open_url, base_url)
            for dimension in asked:
                row, reason = _settle(book, dimension, region, service, outcome, today)
                rows += [row] if row else []
                kept += [Kept(dimension.name, region, reason)] if reason else []
    fresh = book.replacing(rows)
    stale = [row for row in rows if row.status is Status.STALE]
    return Refreshed(fresh, tuple(_changes(book, fresh)), tuple(kept), len(rows) - len(stale))


@dataclass(frozen=True)
class _Failure:
    """Why a source could not be read."""

    reason: str


def _list_files(service: str, open_url: Open, base_url: str) -> Mapping[str, str] | _Failure:
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
        OSError,
        HTTPException,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as exc:
        return _Failure(f"{url}: {exc!r}")
    return {region: path for region, path in files.items() if path.startswith("/")}


def _read_region(
    files: Mapping[str, str] | _Failure,
    dimensions: Sequence[Dimension],
    region: str,
    open_url: Open,
    base_url: str,
) -> list[_Product] | _Failure:
    """Return the products of one region that any of the dimensions may mean."""
    if isinstance(files, _Failure):
        return files
    if region not in files:
        return _Failure(f"the service has no offer file for {region}")
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
        return _Failure(f"{url}: {exc!r}")


def _read_offer(text: Iterable[str], endings: tuple[str, ...]) -> Iterator[_Product]:
    """Yield the products of an offer file whose usage type has one of the endings.

    A file begins with five lines about itself; a product has one line for each tier.
    """
    lines = csv.reader(text)
    header = next((line for line in lines if line[:1] == ["SKU"]), None)
    if header is None:
        raise ValueError("the file has no header line")
    names = [_plain_name(name) for name in header]
    attributes: dict[str, dict[str, str]] = {}
    tiers: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        row = dict(zip(names, line, strict=False))
        listed = row.get("termtype") == "OnDemand" and row.get("currency", _CURRENCY) == _CURRENCY
        if listed and row.get("usagetype", "").endswith(endings):
            sku = row.get("sku", "")
            attributes[sku] = row
            tiers.setdefault(sku, []).append(
                (row.get("startingrange") or "0", row.get("priceperunit", ""))
            )
    for sku, entries in tiers.items():
        yield _Product(sku, attributes[sku], _read_tiers(entries))


def _settle(
    book: Book,
    dimension: Dimension,
    region: str,
    service: str,
    outcome: list[_Product] | _Failure,
    today: date,
) -> tuple[Price | None, str]:
    """Return the new row of a dimension in a region, if it changes, and what went wrong."""
    old = book.prices.get((dimension.name, region))
    reason = outcome.reason if isinstance(outcome, _Failure) else ""
    if not isinstance(outcome, _Failure) and dimension.listing:
        source = f"AWS offer file of {service} for {region}"
        try:
            product = _choose_one(outcome, dimension.listing, region)
            price = _as_price(
                product, dimension, dimension.listing, region, source, today, Status.BOOK
            )
        except OperationFailed as exc:
            reason = exc.message
        else:
            return price, ""
    if old is None or not old.tiers:
        return None, reason
    return dataclasses.replace(old, status=Status.STALE), reason


def _changes(before: Book, after: Book) -> Iterator[Change]:
    """Yield the rows whose price or standing differs."""
    for key, row in after.prices.items():
        old = before.prices.get(key)
        was, now = _draw(old), _draw(row)
        if was != now:
            yield Change(row.dimension, row.region, was, now)


def _draw(row: Price | None) -> str:
    if row is None or not row.tiers:
        return "missing"
    drawn = " / ".join(amount(tier.price) for tier in row.tiers)
    return f"{drawn} (stale)" if row.status is Status.STALE else drawn
