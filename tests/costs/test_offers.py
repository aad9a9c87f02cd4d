"""Prices are asked for exactly: one SKU or none, and a row keeps its price when nobody answers.

moto and ministack do not answer for prices: Stubber does, and holds every call against
botocore's model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber

from lib.costs import offers
from lib.costs.book import Book, Dimension, Price, PriceListing, Standing, Tier
from lib.errors import OperationFailed
from lib.polling import Clock

TODAY = date(2026, 11, 22)
NAT = Dimension(
    "nat.hour",
    "NAT gateway",
    "hour",
    Decimal(1),
    PriceListing(
        "AmazonEC2",
        "NatGateway-Hours",
        {"productFamily": "NAT Gateway", "operation": "NatGateway"},
    ),
)
TOKENS = Dimension(
    "bedrock.x",
    "Bedrock",
    "token",
    Decimal(1_000_000),
    PriceListing("AmazonBedrock", "X-input-tokens", {"feature": "On-demand"}, Decimal(1000)),
)
EGRESS = Dimension(
    "egress.gb",
    "Egress",
    "GB",
    Decimal(1),
    PriceListing("AWSDataTransfer", "DataTransfer-Out-Bytes", {"fromRegionCode": "{region}"}),
)
SPOT = Dimension("spot", "Spot", "hour", Decimal(1), None)


def item(sku: str, usagetype: str, tiers: Any, attributes: dict[str, str] | None = None) -> str:
    """Build one product as the API sends it: JSON inside a string."""
    dimensions = {
        f"{sku}.T.{number}": {
            "beginRange": start,
            "endRange": "Inf",
            "unit": "Hrs",
            "pricePerUnit": {"USD": price},
            "appliesTo": [],
        }
        for number, (start, price) in enumerate(tiers)
    }
    known = {"regionCode": "us-east-1", "productFamily": "NAT Gateway", "operation": "NatGateway"}
    return json.dumps(
        {
            "product": {
                "sku": sku,
                "attributes": {"usagetype": usagetype, **known, **(attributes or {})},
            },
            "serviceCode": "AmazonEC2",
            "terms": {"OnDemand": {f"{sku}.T": {"priceDimensions": dimensions, "sku": sku}}},
            "version": "20261101",
        }
    )


@pytest.fixture
def pricing() -> Any:
    return botocore.session.Session().create_client(
        "pricing", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


NAT_FILTERS = [
    {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "us-east-1"},
    {"Type": "TERM_MATCH", "Field": "productFamily", "Value": "NAT Gateway"},
    {"Type": "TERM_MATCH", "Field": "operation", "Value": "NatGateway"},
    {"Type": "CONTAINS", "Field": "usagetype", "Value": "NatGateway-Hours"},
]


@contextmanager
def answering(pricing: Any, *pages: list[str], filters: Any = None) -> Iterator[Stubber]:
    with Stubber(pricing) as stub:
        token: dict[str, str] = {}
        for number, page in enumerate(pages, start=1):
            more = {"NextToken": str(number)} if number < len(pages) else {}
            asked = {"ServiceCode": "AmazonEC2", "Filters": filters, "FormatVersion": "aws_v1"}
            expected = {**asked, **token} if filters is not None else None
            stub.add_response("get_products", {"PriceList": page, **more}, expected)
            token = more
        yield stub
        stub.assert_no_pending_responses()


def test_one_sku_becomes_a_dated_price_whatever_else_ends_alike(pricing: Any) -> None:
    regional = item("REGIONAL", "RegionalNatGateway-Hours", [("0", "9")])
    wanted = item("WANTED", "NatGateway-Hours", [("0", "0.0450000000")])
    with answering(pricing, [regional], [wanted], filters=NAT_FILTERS):
        price = offers.ask(pricing, NAT, "us-east-1", TODAY)
    assert price.tiers == (Tier(Decimal(0), Decimal("0.045")),)
    assert (price.status, price.as_of) == (Standing.LIVE, "2026-11-22")
    assert price.source == "AWS Price List API, AmazonEC2, SKU WANTED"


@pytest.mark.parametrize(
    ("products", "problem"),
    [
        ([], "no SKUs instead of one"),
        (
            [
                item("A", "NatGateway-Hours", [("0", "1")]),
                item("B", "USE1-NatGateway-Hours", [("0", "1")]),
            ],
            "2 SKUs instead of one .*: A, B",
        ),
        ([item("A", "NatGateway-Hours", [("0", "1")], {"operation": "Other"})], "no SKUs"),
        (["{}"], "answered in another shape"),
        (["not json"], "answered in another shape"),
        ([item("A", "NatGateway-Hours", [("0", "free")])], "answered in another shape"),
        ([item("A", "NatGateway-Hours", [])], "has no on-demand price"),
        ([item("A", "NatGateway-Hours", [("5", "1")])], "has no on-demand price"),
    ],
)
def test_anything_but_exactly_one_usable_sku_is_an_error(
    pricing: Any, products: list[str], problem: str
) -> None:
    with (
        answering(pricing, products),
        pytest.raises(OperationFailed, match=problem),
    ):
        offers.ask(pricing, NAT, "us-east-1", TODAY)


def test_the_error_names_the_filter(pricing: Any) -> None:
    with answering(pricing, []), pytest.raises(OperationFailed) as caught:
        offers.ask(pricing, NAT, "us-east-1", TODAY)
    assert "AmazonEC2 usagetype=NatGateway-Hours, regionCode=us-east-1" in str(caught.value)


def test_a_list_unit_of_a_thousand_is_turned_into_ours(pricing: Any) -> None:
    product = item(
        "T", "USE1-X-input-tokens", [("0", "0.00006"), ("10", "0.00005")], {"feature": "On-demand"}
    )
    with answering(pricing, [product]):
        price = offers.ask(pricing, TOKENS, "us-east-1", TODAY)
    assert price.tiers == (
        Tier(Decimal(0), Decimal("0.06")),
        Tier(Decimal(10_000), Decimal("0.05")),
    )


def test_a_free_first_tier_of_the_list_gives_way_to_the_list_price(pricing: Any) -> None:
    product = item(
        "E",
        "DataTransfer-Out-Bytes",
        [("100", "0.09"), ("0", "0.0"), ("10240", "0.085")],
        {"fromRegionCode": "us-east-1"},
    )
    with answering(pricing, [product]):
        price = offers.ask(pricing, EGRESS, "us-east-1", TODAY)
    assert price.tiers == (
        Tier(Decimal(0), Decimal("0.09")),
        Tier(Decimal(10_240), Decimal("0.085")),
    )


def make_book(*dimensions: Dimension, region: str = "us-east-1") -> Book:
    rows = {
        (d.name, region): Price(
            d.name, region, (Tier(Decimal(0), Decimal("0.5")),), "a page", "2026-10-01"
        )
        for d in dimensions
    }
    return Book("book.json", {d.name: d for d in dimensions}, rows, {})


class Pauses:
    """A clock that remembers for how long it was asked to sleep."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.clock = Clock(lambda: 0.0, lambda: datetime.now(UTC), self.taken.append)


def ask_all(pricing: Any, book: Book, cache: Path, day: date = TODAY) -> offers.Asked:
    clock = Pauses().clock
    return offers.ask_all(pricing, book, list(book.dimensions), "us-east-1", day, cache, clock)


def test_a_row_that_the_api_does_not_give_keeps_the_books_price(
    pricing: Any, tmp_path: Path
) -> None:
    with answering(pricing, []):
        asked = ask_all(pricing, make_book(NAT, SPOT), tmp_path / "c")
    row = asked.book.find("nat.hour", "us-east-1")
    assert (row.status, row.tiers[0].price) == (Standing.BOOK, Decimal("0.5"))
    assert len(asked.problems) == 2
    assert "spot: the price list does not carry spot; the book's price is used" in asked.problems


def test_answers_are_kept_for_the_day_and_asked_anew_the_next(pricing: Any, tmp_path: Path) -> None:
    cache = tmp_path / "below" / "cache.json"
    product = item("W", "NatGateway-Hours", [("0", "0.045")])
    with answering(pricing, [product]):
        first = ask_all(pricing, make_book(NAT), cache)
    with answering(pricing):
        second = ask_all(pricing, make_book(NAT), cache)
    assert first == second
    with answering(pricing, [product]):
        ask_all(pricing, make_book(NAT), cache, date(2026, 11, 23))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"day": "2026-11-22", "rows": [{}]}'])
def test_a_broken_cache_is_no_cache(pricing: Any, tmp_path: Path, text: str) -> None:
    cache = tmp_path / "cache.json"
    cache.write_text(text)
    with answering(pricing, [item("W", "NatGateway-Hours", [("0", "0.045")])]):
        asked = ask_all(pricing, make_book(NAT), cache)
    row = asked.book.find("nat.hour", "us-east-1")
    assert row.status is Standing.LIVE


def test_throttling_is_waited_out_longer_each_time(pricing: Any) -> None:
    pauses = Pauses()
    with Stubber(pricing) as stub:
        for _ in range(3):
            stub.add_client_error("get_products", "ThrottlingException")
        product = item("W", "NatGateway-Hours", [("0", "0.045")])
        stub.add_response("get_products", {"PriceList": [product]})
        asked = offers.ask_all(
            pricing, make_book(NAT), ["nat.hour"], "us-east-1", TODAY, Path("/dev/null/x"),
            pauses.clock,
        )  # fmt: skip
    assert asked.problems == ()
    assert pauses.taken == sorted(pauses.taken)
    assert len(pauses.taken) == 3


def test_without_permission_the_api_is_asked_once_and_everything_comes_from_the_book(
    pricing: Any, tmp_path: Path
) -> None:
    with Stubber(pricing) as stub:
        stub.add_client_error("get_products", "AccessDeniedException", "no pricing:GetProducts")
        asked = ask_all(pricing, make_book(NAT, TOKENS, EGRESS), tmp_path / "c")
    assert len(asked.problems) == 1
    assert "no pricing:GetProducts" in asked.problems[0]
    assert not (tmp_path / "c").exists()


def test_an_endpoint_without_prices_is_named_as_such(pricing: Any, tmp_path: Path) -> None:
    with Stubber(pricing) as stub:
        stub.add_client_error("get_products", "400", "")
        asked = ask_all(pricing, make_book(NAT), tmp_path / "c")
    assert asked.problems == ("the book's are used, since not available at this endpoint",)


def test_one_failing_row_does_not_stop_the_others(pricing: Any, tmp_path: Path) -> None:
    with Stubber(pricing) as stub:
        stub.add_client_error("get_products", "InvalidParameterException", "no such field")
        product = item("W", "NatGateway-Hours", [("0", "0.045")])
        stub.add_response("get_products", {"PriceList": [product]})
        asked = ask_all(pricing, make_book(EGRESS, NAT), tmp_path / "c")
    assert [problem.split(":")[0] for problem in asked.problems] == ["egress.gb"]
    row = asked.book.find("nat.hour", "us-east-1")
    assert row.status is Standing.LIVE
