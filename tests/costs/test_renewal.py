"""The book is renewed from each region's own offer file, and a row whose source fails is kept.

The offer files come from a server on the loopback.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from lib.costs import renewal
from lib.costs.book import Book, Dimension, Price, PriceListing, Standing, Tier
from lib.costs.estimates import Terms
from lib.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
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
SPOT = Dimension("spot", "Spot", "hour", Decimal(1), None)


def make_book(*dimensions: Dimension, region: str = "us-east-1") -> Book:
    rows = {
        (d.name, region): Price(
            d.name, region, (Tier(Decimal(0), Decimal("0.5")),), "a page", "2026-10-01"
        )
        for d in dimensions
    }
    return Book("book.json", {d.name: d for d in dimensions}, rows, {})


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
    assert row.tiers == (Tier(Decimal(0), Decimal("0.0450000000")),)
    assert (row.as_of, row.status) == ("2026-11-22", Standing.BOOK)
    assert row.source == "AWS offer file of AmazonEC2 for us-east-1"
    assert refreshed.changes == (renewal.PriceChange("nat.hour", "us-east-1", "$0.50", "$0.045"),)
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
    assert (row.status, row.tiers[0].price) == (Standing.STALE, Decimal("0.5"))
    assert (row.source, row.as_of) == ("a page", "2026-10-01")
    assert problem in refreshed.kept[0].reason
    assert refreshed.read_again == 0
    assert refreshed.changes[0].after == "$0.50 (stale)"


def test_a_stale_row_recovers_when_its_source_does() -> None:
    stale = refresh(make_book(NAT), {}).book
    pages = {INDEX: index_of("us-east-1"), file_of("us-east-1"): GOOD}
    row = refresh(stale, pages).book.find("nat.hour", "us-east-1")
    assert row.status is Standing.BOOK


def test_a_missing_row_is_never_filled_from_another_region() -> None:
    missing = Price("nat.hour", "us-west-2", (), "looked for", "2026-11", Standing.MISSING)
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
    assert filled.tiers[0].price == Decimal("0.046")


def test_a_row_for_everywhere_is_left_alone() -> None:
    everywhere = make_book(NAT, region="*").prices
    book = Book("b", {"nat.hour": NAT}, {**everywhere, **make_book(SPOT).prices}, {})
    refreshed = refresh(book, {})
    assert refreshed.book == book
    assert refreshed.kept == ()


def test_a_refresh_takes_only_web_addresses() -> None:
    with pytest.raises(InputError, match="takes an http or https address"):
        renewal.refresh_book(
            Terms(ROOT, TODAY), lambda _: pytest.fail("opened"), "file:///etc", print
        )
