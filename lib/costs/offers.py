"""Ask AWS for prices: the Price List API, and the public offer files it is made from.

Both answer with products; a dimension's listing has to match exactly one of them, or the
row stays as the book has it. The first hit is never taken: `NatGateway-Hours` is also the
end of `RegionalNatGateway-Hours`, and some products are listed twice.

https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-the-aws-price-list-bulk-api.html
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lib import polling, refusals
from lib.costs.book import Book, Dimension, Price, PriceListing, Standing, Tier, dump, parse
from lib.errors import AwsUnavailable, InputError, OperationFailed
from lib.inputs import documents
from lib.polling import Clock

#: The API answers in three regions only, whatever region is priced.
#: https://docs.aws.amazon.com/general/latest/gr/billing.html
API_REGION = "us-east-1"

#: Seconds to go on asking for one price while the API throttles: it grants ten calls at once
#: and five a second after that, for the whole account.
PATIENCE = 15.0

#: AWS lists US dollars everywhere outside China.
CURRENCY = "USD"


@dataclass(frozen=True)
class Product:
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
    listing = _listing_of(dimension)
    filters = [
        {"Type": "TERM_MATCH", "Field": field, "Value": value}
        for field, value in _wanted(listing, region).items()
    ]
    filters.append({"Type": "CONTAINS", "Field": "usagetype", "Value": listing.usagetype})
    pages = pricing.get_paginator("get_products").paginate(
        ServiceCode=listing.service_code, Filters=filters, FormatVersion="aws_v1"
    )
    products = [_read_item(item) for page in pages for item in page.get("PriceList", [])]
    source = f"AWS Price List API, {listing.service_code}, SKU {{sku}}"
    return choose_price(products, dimension, region, source, today, Standing.LIVE)


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
        asking = partial(ask, pricing, book.dimensions[name], region, today)
        try:
            rows.append(
                polling.ask_patiently(asking, clock, PATIENCE, passes=refusals.is_throttled)
            )
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
        _write_cache(cache, dataclasses.replace(book, prices=known, free={}).replacing(rows))
    return Asked(book.replacing(rows), tuple(problems))


def _wanted(listing: PriceListing, region: str) -> dict[str, str]:
    """Return the attributes a product has to have, the region among them."""
    wanted = {name: value.format(region=region) for name, value in listing.attributes.items()}
    # Products between two places carry a region at each end instead of one.
    return wanted if region in wanted.values() else {"regionCode": region, **wanted}


def _listing_of(dimension: Dimension) -> PriceListing:
    """Return how the price list names a dimension, or raise `OperationFailed`."""
    if dimension.listing is None:
        raise OperationFailed(f"the price list does not carry {dimension.name}")
    return dimension.listing


def choose_price(
    products: Sequence[Product],
    dimension: Dimension,
    region: str,
    source: str,
    today: date,
    standing: Standing,
) -> Price:
    """Return the price, in a dimension's units, of the one product that it means in a region.

    `source` may name the product by `{sku}`. Raises `OperationFailed` where there is not
    exactly one such product or it has no price.
    """
    listing = _listing_of(dimension)
    product = _choose_one(products, listing, region)
    if not product.tiers or product.tiers[0].start != 0:
        raise OperationFailed(f"SKU {product.sku} has no on-demand price from the first unit on")
    tiers = tuple(
        Tier(tier.start * listing.scale, tier.price * dimension.per / listing.scale)
        for tier in product.tiers
    )
    source = source.format(sku=product.sku)
    return Price(dimension.name, region, tiers, source, today.isoformat(), standing)


def _choose_one(products: Sequence[Product], listing: PriceListing, region: str) -> Product:
    # The prefix is USE1-, EU-, the region's own name, or nothing at all.
    shape = re.compile(
        rf"(?:(?:[A-Z]{{2,4}}\d?|{re.escape(region)})-)?{re.escape(listing.usagetype)}"
    )
    wanted = {plain_name(name): value for name, value in _wanted(listing, region).items()}
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


def plain_name(name: str) -> str:
    """Return an attribute's name as both the API (`storageClass`) and the files have it."""
    return name.replace(" ", "").lower()


def _read_item(text: object) -> Product:
    """Read one item of the API's answer, which is JSON inside a string."""
    try:
        item: Any = json.loads(text) if isinstance(text, str) else text
        product = item["product"]
        attributes = {plain_name(name): str(value) for name, value in product["attributes"].items()}
        terms = list(item["terms"].get("OnDemand", {}).values())
        entries = [entry for term in terms for entry in term["priceDimensions"].values()]
        tiers = read_tiers(
            [(entry["beginRange"], entry["pricePerUnit"][CURRENCY]) for entry in entries]
        )
        return Product(str(product["sku"]), attributes, tiers)
    except (
        KeyError, TypeError, AttributeError, ValueError, RecursionError, InvalidOperation,
    ) as exc:  # fmt: skip
        raise OperationFailed(f"the Price List API answered in another shape ({exc!r})") from None


def read_tiers(entries: Sequence[tuple[str, str]]) -> tuple[Tier, ...]:
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


def _read_cache(cache: Path, today: date) -> dict[tuple[str, str], Price]:
    """Return today's answers. A cache that cannot be read is no cache."""
    try:
        stored = parse(cache.read_text(encoding="utf-8"), str(cache))
    except (OSError, UnicodeDecodeError, InputError):
        return {}
    return {
        key: dataclasses.replace(row, status=Standing.LIVE)
        for key, row in stored.prices.items()
        if row.as_of == today.isoformat()
    }


def _write_cache(cache: Path, answers: Book) -> None:
    """Keep today's answers as a price book. What cannot be written is done without."""
    with contextlib.suppress(OSError, InputError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        documents.write_text(cache, dump(answers))
