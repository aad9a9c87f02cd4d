"""Prices are asked for exactly: one SKU or none, and a row keeps its price when nobody answers.

moto and ministack do not answer for prices, so the API's side is Stubber, which holds every
call against botocore's model, and the offer files come from a server on the loopback.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import botocore.session
import pytest
from botocore.stub import Stubber

from lib.costs import offers, renewal
from lib.costs.book import Book, Dimension, Listing, Price, Status, Tier
from lib.errors import OperationFailed
from lib.polling import Clock

TODAY = date(2026, 11, 22)
NAT = Dimension(
    "nat.hour",
    "NAT gateway",
    "hour",
    Decimal(1),
    Listing(
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
    Listing("AmazonBedrock", "X-input-tokens", {"feature": "On-demand"}, Decimal(1000)),
)
EGRESS = Dimension(
    "egress.gb",
    "Egress",
    "GB",
    Decimal(1),
    Listing("AWSDataTransfer", "DataTransfer-Out-Bytes", {"fromRegionCode": "{region}"}),
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
    assert (price.status, price.as_of) == (Status.LIVE, "2026-11-22")
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
    assert row is not None
    assert (row.status, row.tiers[0].price) == (Status.BOOK, Decimal("0.5"))
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
    assert row is not None
    assert row.status is Status.LIVE


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
    assert row is not None
    assert row.status is Status.LIVE


# Offer files

HEADER = (
    '"SKU","OfferTermCode","TermType","StartingRange","EndingRange","Unit","PricePerUnit",'
    '"Currency","Product Family","usageType","operation","Region Code"'
)


def offer_file(*rows: str) -> str:
    about = ["FormatVersion", "Disclaimer", "Publication Date", "Version", "OfferCode"]
    return "\n".join([*(f'"{name}","x"' for name in about), HEADER, *rows, ""])


def offer_row(
    sku: str, usagetype: str, price: str, *, start: str = "0", term: str = "OnDemand",
    region: str = "us-east-1", currency: str = "USD",
) -> str:  # fmt: skip
    cells = (
        sku, "T", term, start, "Inf", "Hrs", price, currency, "NAT Gateway", usagetype,
        "NatGateway", region,
    )  # fmt: skip
    return ",".join(f'"{cell}"' for cell in cells)


INDEX = "/offers/v1.0/aws/AmazonEC2/current/region_index.json"


def index_of(*regions: str) -> str:
    return json.dumps(
        {
            "regions": {
                region: {
                    "regionCode": region,
                    "currentVersionUrl": f"/offers/v1.0/aws/AmazonEC2/1/{region}/index.json",
                }
                for region in regions
            }
        }
    )


def file_of(region: str) -> str:
    return f"/offers/v1.0/aws/AmazonEC2/1/{region}/index.csv"


@contextmanager
def serving(pages: dict[str, str], cut: str = "") -> Iterator[str]:
    """Serve pages on the loopback; the page `cut` breaks off half way."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path, "").encode()
            self.send_response(200 if self.path in pages else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if self.path == cut else body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def refresh(book: Book, pages: dict[str, str], cut: str = "") -> renewal.Refreshed:
    with serving(pages, cut) as url:
        return renewal.refresh(
            book, lambda address: urlopen(address, timeout=60), TODAY, base_url=url
        )


def test_a_row_is_rewritten_from_its_own_regions_file_and_the_difference_is_told() -> None:
    rows = [
        offer_row("R", "RegionalNatGateway-Hours", "9"),
        offer_row("N", "NatGateway-Hours", "0.0450000000"),
        offer_row("N", "NatGateway-Hours", "0.01", term="Reserved"),
        offer_row("O", "NatGateway-Bytes", "7"),
    ]
    pages = {INDEX: index_of("us-east-1"), file_of("us-east-1"): offer_file(*rows)}
    refreshed = refresh(make_book(NAT, SPOT), pages)
    row = refreshed.book.find("nat.hour", "us-east-1")
    assert row is not None
    assert row.tiers == (Tier(Decimal(0), Decimal("0.0450000000")),)
    assert (row.as_of, row.status) == ("2026-11-22", Status.BOOK)
    assert row.source == "AWS offer file of AmazonEC2 for us-east-1"
    assert refreshed.changes == (renewal.Change("nat.hour", "us-east-1", "$0.50", "$0.045"),)
    assert refreshed.kept == ()
    assert refreshed.read_again == 1
    assert refreshed.book.find("spot", "us-east-1") == make_book(SPOT).find("spot", "us-east-1")


def test_tiers_of_one_sku_are_read_together() -> None:
    rows = [
        offer_row("N", "NatGateway-Hours", "0.04", start="100"),
        offer_row("N", "NatGateway-Hours", "0.05"),
    ]
    pages = {INDEX: index_of("us-east-1"), file_of("us-east-1"): offer_file(*rows)}
    row = refresh(make_book(NAT), pages).book.find("nat.hour", "us-east-1")
    assert row is not None
    assert row.tiers == (Tier(Decimal(0), Decimal("0.05")), Tier(Decimal(100), Decimal("0.04")))


GOOD = offer_file(offer_row("N", "NatGateway-Hours", "0.045"))
TWO = offer_file(
    offer_row("A", "NatGateway-Hours", "1"), offer_row("B", "USE1-NatGateway-Hours", "1")
)


@pytest.mark.parametrize(
    ("pages", "cut", "problem"),
    [
        ({}, "", "404"),
        ({INDEX: "no json"}, "", "region_index.json"),
        ({INDEX: "[]"}, "", "region_index.json"),
        ({INDEX: index_of("eu-west-1")}, "", "no offer file for us-east-1"),
        ({INDEX: index_of("us-east-1")}, "", "404"),
        ({INDEX: index_of("us-east-1"), file_of("us-east-1"): "nothing"}, "", "no header line"),
        (
            {INDEX: index_of("us-east-1"), file_of("us-east-1"): offer_file()},
            "",
            "no SKUs instead of one",
        ),
        ({INDEX: index_of("us-east-1"), file_of("us-east-1"): TWO}, "", "2 SKUs instead of one"),
        (
            {INDEX: index_of("us-east-1"), file_of("us-east-1"): GOOD + "\n" * 5000},
            file_of("us-east-1"),
            "the file was cut off",
        ),
        (
            {
                INDEX: index_of("us-east-1"),
                file_of("us-east-1"): offer_file(offer_row("N", "NatGateway-Hours", "much")),
            },
            "",
            "index.csv",
        ),
    ],
)
def test_a_row_whose_source_fails_keeps_its_price_and_is_marked_stale(
    pages: dict[str, str], cut: str, problem: str
) -> None:
    refreshed = refresh(make_book(NAT), pages, cut)
    row = refreshed.book.find("nat.hour", "us-east-1")
    assert row is not None
    assert (row.status, row.tiers[0].price) == (Status.STALE, Decimal("0.5"))
    assert (row.source, row.as_of) == ("a page", "2026-10-01")
    assert problem in refreshed.kept[0].reason
    assert refreshed.read_again == 0
    assert refreshed.changes[0].after == "$0.50 (stale)"


def test_a_stale_row_recovers_when_its_source_does() -> None:
    stale = refresh(make_book(NAT), {}).book
    pages = {INDEX: index_of("us-east-1"), file_of("us-east-1"): GOOD}
    row = refresh(stale, pages).book.find("nat.hour", "us-east-1")
    assert row is not None
    assert row.status is Status.BOOK


def test_a_missing_row_is_never_filled_from_another_region() -> None:
    missing = Price("nat.hour", "us-west-2", (), "looked for", "2026-11", Status.MISSING)
    book = make_book(NAT).replacing([missing])
    wrong = offer_file(offer_row("N", "USW2-NatGateway-Hours", "1", region="us-east-1"))
    pages = {
        INDEX: index_of("us-east-1", "us-west-2"),
        file_of("us-east-1"): GOOD,
        file_of("us-west-2"): wrong,
    }
    refreshed = refresh(book, pages)
    assert refreshed.book.find("nat.hour", "us-west-2") == missing
    right = offer_file(offer_row("N", "USW2-NatGateway-Hours", "0.046", region="us-west-2"))
    filled = refresh(book, {**pages, file_of("us-west-2"): right}).book.find(
        "nat.hour", "us-west-2"
    )
    assert filled is not None
    assert filled.tiers[0].price == Decimal("0.046")


def test_a_row_for_everywhere_is_left_alone() -> None:
    everywhere = make_book(NAT, region="*").prices
    book = Book("b", {"nat.hour": NAT}, {**everywhere, **make_book(SPOT).prices}, {})
    refreshed = refresh(book, {})
    assert refreshed.book == book
    assert refreshed.kept == ()
