"""The price book keeps a source and a date for every row, and tells what it does not know."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lib.costs import book
from lib.costs.book import Book, Standing, Tier
from lib.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "infrastructure" / "prices.json"
REGIONS = ("ap-southeast-1", "eu-west-1", "us-east-1", "us-west-2")

DIMENSION = {"service": "S3", "unit": "GB-month", "per": 1, "listing": None}
ROW = {"dimension": "s3", "region": "r", "price": "0.023", "source": "a page", "as_of": "2026-10"}


def document(**changes: Any) -> str:
    base = {"currency": "USD", "dimensions": {"s3": DIMENSION}, "free_tiers": [], "rows": [ROW]}
    return json.dumps({**base, **changes})


@pytest.fixture(scope="module")
def shipped() -> Book:
    return book.parse(SHIPPED.read_text(), "prices.json")


def test_every_shipped_row_has_a_source_and_a_date(shipped: Book) -> None:
    assert len(shipped.prices) > 150
    for row in shipped.prices.values():
        assert row.source.strip()
        read = date.fromisoformat(f"{row.as_of}-01"[:10])
        # What is older is marked, so that every estimate with it warns.
        assert read >= date(2026, 6, 1) or (
            row.status is Standing.STALE and read >= date(2025, 5, 1)
        )
        assert read <= date(2026, 12, 1)
        assert row.dimension in shipped.dimensions


def test_every_dimension_has_a_row_in_every_region_even_if_it_is_missing(
    shipped: Book,
) -> None:
    assert shipped.regions() == REGIONS
    for name in shipped.dimensions:
        for region in REGIONS:
            assert shipped.find(name, region).source, (name, region)


def test_a_missing_row_has_no_price_and_is_not_filled_from_elsewhere(shipped: Book) -> None:
    row = shipped.find("dynamodb.storage", "ap-southeast-1")
    assert row.status is Standing.MISSING
    assert row.tiers == ()


def test_a_models_row_follows_from_the_profile_that_serves_its_region(shipped: Book) -> None:
    rows = {
        region: shipped.find("bedrock.amazon.nova-lite.geo.input", region) for region in REGIONS
    }
    assert {region: str(row.tiers[0].price) for region, row in rows.items()} == {
        "ap-southeast-1": "0.063",
        "eu-west-1": "0.078",
        "us-east-1": "0.06",
        "us-west-2": "0.06",
    }
    assert (rows["eu-west-1"].source, rows["eu-west-1"].as_of) == ("LiteLLM 1.110.2", "2026-11-25")
    unserved = shipped.find("bedrock.meta.llama3-1-8b-instruct.geo.input", "eu-west-1")
    assert unserved.status is Standing.MISSING
    assert "no inference profile" in unserved.note


def test_the_free_tiers_are_those_that_never_end(shipped: Book) -> None:
    quantities = {name: tier.quantity for name, tier in shipped.free.items()}
    assert quantities["lambda.gb_second"] == 400_000
    assert quantities["egress.gb"] == 100
    assert not any(name.startswith("fargate") for name in quantities)


def test_a_book_is_written_as_it_was_read(shipped: Book) -> None:
    text = SHIPPED.read_text()
    assert book.dump(shipped) == text


TIERS = (Tier(Decimal(0), Decimal("0.023")), Tier(Decimal(51_200), Decimal("0.022")))


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [("0", "0"), ("100", "2.300"), ("51200", "1177.600"), ("51300", "1179.800")],
)
def test_each_tier_is_charged_at_its_own_price(quantity: str, expected: str) -> None:
    assert book.cost_of(TIERS, Decimal(quantity), Decimal(1)) == Decimal(expected)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"currency": "EUR"}, "currency is 'EUR'"),
        ({"rows": {}}, "rows is not a list"),
        ({"rows": [{**ROW, "source": ""}]}, r"rows\[0\]\.source is empty"),
        ({"rows": [{**ROW, "as_of": "yesterday"}]}, r"rows\[0\]\.as_of is"),
        ({"rows": [{**ROW, "price": "free"}]}, r"rows\[0\]\.price is not a number"),
        ({"rows": [{**ROW, "price": -1}]}, r"rows\[0\]\.price is -1"),
        ({"rows": [{**ROW, "dimension": "s4"}]}, r"rows\[0\]\.dimension is 's4'"),
        ({"rows": [{**ROW, "status": "live"}]}, r"rows\[0\]\.status is 'live'"),
        ({"rows": [{**ROW, "status": "missing"}]}, "has a price although it is missing"),
        ({"rows": [{**ROW, "price": None}]}, r"rows\[0\] has no price"),
        ({"rows": [ROW, ROW]}, r"rows\[1\] repeats s3 in r"),
        ({"rows": [{**ROW, "tiers": [{"from": 0, "price": 1}]}]}, "both price and tiers"),
        (
            {"rows": [{**ROW, "price": None, "tiers": [{"from": 1, "price": 1}]}]},
            r"rows\[0\]\.tiers do not rise from zero",
        ),
        ({"dimensions": {"s3": {**DIMENSION, "per": 0}}}, r"dimensions\.s3\.per is zero"),
        ({"dimensions": {"s3": {**DIMENSION, "listing": {}}}}, "listing has no service_code"),
        ({"dimensions": []}, "dimensions is not an object"),
        ({"more": 1}, "more is not known here"),
        ({"free_tiers": [{"dimension": "x"}]}, r"free_tiers\[0\]\.dimension is 'x'"),
    ],
)
def test_a_book_that_cannot_be_used_names_the_key(changes: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        book.parse(document(**changes), "p.json")
    assert "p.json" in str(caught.value)


def test_a_row_for_everywhere_stands_behind_a_regions_own() -> None:
    everywhere = {**ROW, "region": "*", "price": "9"}
    found = book.parse(document(rows=[ROW, everywhere]), "p.json")
    own, other = found.find("s3", "r"), found.find("s3", "q")
    assert own.tiers[0].price == Decimal("0.023")
    assert other.tiers[0].price == 9
    assert found.regions() == ("r",)


def test_a_region_without_any_row_is_an_input_error() -> None:
    with pytest.raises(InputError, match="no prices for mars-1; it covers r"):
        book.require_region(book.parse(document(), "p.json"), "mars-1")


def test_the_age_of_a_month_counts_from_its_first_day() -> None:
    assert book.age_days("2026-10-31", date(2026, 11, 1)) == 1
    assert book.age_days("2026-10", date(2026, 11, 1)) == 31
