"""The arithmetic agrees with AWS's own examples to the cent, and says what it leaves out."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal

import pytest

from lib.costs import pricing
from lib.costs.book import Price, Tier
from lib.costs.charges import BASELINE, USAGE
from lib.costs.pricing import dollars
from lib.costs.usage import Range
from lib.document import as_document
from tests.support.pricing import (
    DYNAMODB,
    FARGATE,
    REGION,
    TABLE,
    TABLE_USAGE,
    TASK,
    estimate,
    make_book,
    make_tree,
    make_usage,
    price_application,
    price_of,
    price_of_line,
)


def test_the_example_of_the_fargate_page_comes_out_to_the_cent() -> None:
    # Ten pods of a quarter vCPU and 1 GB, an hour a day for thirty days.
    found = estimate(
        make_tree(TASK), make_usage({"Task": {"task_hours": 300}}), make_book(**FARGATE)
    )
    assert price_of(found, "fargate.vcpu_hour") == "$3.04"
    assert price_of(found, "fargate.gb_hour") == "$1.33"
    assert dollars(found.monthly().typical) == "$4.37"
    assert found.complete


def test_the_example_of_the_lambda_page_comes_out_to_the_cent() -> None:
    text = """
    Resources:
      Function: {Type: AWS::Lambda::Function, Properties: {MemorySize: 1536}}
    """
    book = make_book(
        {"lambda.request": 1_000_000, "lambda.gb_second": 400_000},
        lambda__request=("0.20", 1_000_000),
        lambda__gb_second="0.0000166667",
    )
    used = make_usage({"Function": {"requests": 3_000_000, "milliseconds": 120}})
    found = estimate(make_tree(text), used, book)
    seconds = next(line for line in found.lines if line.dimension == "lambda.gb_second")
    assert seconds.quantity is not None
    assert seconds.quantity.typical == 540_000
    assert dollars(found.monthly().typical) == "$2.73"
    assert dollars(estimate(make_tree(text), used, book, free_tier=False).monthly().max) == "$9.60"


def test_infracosts_dynamodb_figures_come_out_to_the_cent() -> None:
    used = make_usage({"Table": {**TABLE_USAGE, "pitr_gb": 2300}})
    found = estimate(make_tree(TABLE), used, make_book(**DYNAMODB))
    assert price_of(found, "dynamodb.write") == "$1.88"
    assert price_of(found, "dynamodb.read") == "$1.00"
    assert price_of(found, "dynamodb.storage") == "$57.50"
    assert price_of(found, "dynamodb.pitr") == "$460.00"
    assert dollars(found.monthly().typical) == "$520.38"


def test_a_nat_gateway_costs_its_hours_and_its_gigabytes() -> None:
    tree = make_tree("Resources: {Nat: {Type: AWS::EC2::NatGateway}}")
    book = make_book(nat__hour="0.045", nat__gb="0.045")
    found = estimate(tree, make_usage({"Nat": {"data_gb": 100}}), book)
    assert dollars(found.monthly().typical) == "$37.35"
    assert dollars(found.monthly(BASELINE).typical) == "$32.85"
    assert dollars(found.monthly(USAGE).typical) == "$4.50"


BUCKETS = """
Resources:
  A: {Type: AWS::S3::Bucket}
  B: {Type: AWS::S3::Bucket}
"""
BUCKET_USAGE = {"storage_gb": 40_000, "put_requests": 0, "get_requests": 0, "egress_gb": 0}


def test_tiers_run_through_all_resources_of_a_dimension() -> None:
    book = make_book(
        s3__storage=[(0, "0.023"), (51_200, "0.022")], s3__put="0", s3__get="0", egress__gb="0"
    )
    found = estimate(make_tree(BUCKETS), make_usage({"AWS::S3::Bucket": BUCKET_USAGE}), book)
    # 51,200 GB at the first price and 28,800 GB at the second.
    assert found.monthly().typical == Decimal("1811.20")
    first, second = (line for line in found.lines if line.dimension == "s3.storage")
    assert first.monthly is not None
    assert first.monthly.typical == 920
    assert second.unit_price == "0.02228"


def test_money_is_rounded_once_at_the_end() -> None:
    # Two lines of 0.4 cents each are a cent together; rounded one by one they would vanish.
    book = make_book(s3__storage="0.004", s3__put="0", s3__get="0", egress__gb="0")
    used = make_usage({"AWS::S3::Bucket": {**BUCKET_USAGE, "storage_gb": 1}})
    found = estimate(make_tree(BUCKETS), used, book)
    assert [price_of_line(line) for line in found.lines if line.dimension == "s3.storage"] == [
        "$0.00",
        "$0.00",
    ]
    assert dollars(found.monthly().typical) == "$0.01"


def test_half_a_cent_is_rounded_up() -> None:
    assert dollars(Decimal("0.005")) == "$0.01"
    assert dollars(Decimal("-1234.565")) == "-$1,234.57"


def test_the_three_amounts_are_computed_apart() -> None:
    used = make_usage({"Nat": {"data_gb": (10, 100, 1000)}})
    tree = make_tree("Resources: {Nat: {Type: AWS::EC2::NatGateway}}")
    found = estimate(tree, used, make_book(nat__hour="0.01", nat__gb="0.10"))
    assert found.monthly() == Range(Decimal("8.30"), Decimal("17.30"), Decimal("107.30"))


def test_a_free_tier_is_a_line_of_its_own_shared_by_the_account() -> None:
    tree = make_tree(BUCKETS)
    book = make_book({"egress.gb": 100}, s3__storage="0", s3__put="0", s3__get="0", egress__gb="1")
    used = make_usage({"AWS::S3::Bucket": {**BUCKET_USAGE, "egress_gb": (20, 60, 500)}})
    found = estimate(tree, used, book)
    credit = next(line for line in found.lines if line.kind == pricing.FREE_TIER)
    # Two buckets of 20, 60 and 500 GB: at most 100 GB of it are free.
    assert credit.monthly == Range(Decimal(-40), Decimal(-100), Decimal(-100))
    assert found.monthly() == Range(Decimal(0), Decimal(20), Decimal(900))
    assert estimate(tree, used, book, free_tier=False).monthly().typical == 120


def test_a_dimension_without_a_price_makes_the_total_a_lower_bound() -> None:
    rows = {name: price for name, price in DYNAMODB.items() if name != "dynamodb__read"}
    found = estimate(make_tree(TABLE), make_usage({"Table": TABLE_USAGE}), make_book(**rows))
    assert not found.complete
    assert found.problems == ("Table: no price was found for dynamodb.read in us-east-1",)
    line = next(line for line in found.lines if line.dimension == "dynamodb.read")
    assert (line.status, line.monthly) == ("missing", None)


def test_a_resource_without_assumed_usage_is_not_counted_as_nothing() -> None:
    found = estimate(make_tree(TABLE), make_usage({}), make_book(**DYNAMODB))
    assert not found.complete
    assert "usage.json has no write_units for Table or AWS::DynamoDB::Table" in found.problems[0]
    assert {line.status for line in found.lines} == {"no-quantity"}


def test_a_type_nobody_priced_is_listed_and_never_nothing() -> None:
    tree = make_tree("Resources: {Cache: {Type: AWS::ElastiCache::CacheCluster}}")
    found = estimate(tree, make_usage({}), make_book(x="1"))
    assert found.unknown_types == {"AWS::ElastiCache::CacheCluster": ("Cache",)}
    assert not found.complete


def test_a_resource_that_only_aws_can_decide_on_is_counted_and_named() -> None:
    text = """
    Conditions: {IsSunny: !Equals [!GetAtt Other.Mood, sunny]}
    Resources:
      Other: {Type: AWS::EC2::VPC}
      Alarm: {Type: AWS::CloudWatch::Alarm, Condition: IsSunny}
    """
    found = estimate(make_tree(text), make_usage({}), make_book(alarm="0.10"))
    assert found.undecided == ("Alarm (IsSunny)",)
    assert dollars(found.monthly().typical) == "$0.10"


def test_a_price_of_another_region_is_never_taken() -> None:
    row = Price("alarm", "us-west-2", (Tier(Decimal(0), Decimal(1)),), "this test", "2026-10")
    book = make_book(x="1", alarm="0.10")
    elsewhere = dataclasses.replace(
        book, prices={("x", REGION): book.prices["x", REGION], ("alarm", "us-west-2"): row}
    )
    tree = make_tree("Resources: {Alarm: {Type: AWS::CloudWatch::Alarm}}")
    found = estimate(tree, make_usage({}), elsewhere)
    assert not found.complete
    assert found.monthly().typical == 0


# The application's own templates


def test_ap_southeast_1_shows_its_missing_rows_and_says_at_least() -> None:
    found = price_application("production", "ap-southeast-1")
    missing = {line.dimension for line in found.lines if line.status == "missing"}
    assert missing == {
        "dynamodb.write", "dynamodb.read", "dynamodb.storage", "dynamodb.pitr", "sns.request",
    }  # fmt: skip
    assert not found.complete
    assert any(
        "no price was found for dynamodb.write in ap-southeast-1" in p for p in found.problems
    )


@pytest.mark.parametrize("region", ["us-east-1", "us-west-2", "eu-west-1"])
def test_every_other_region_is_priced_to_the_last_line(region: str) -> None:
    for environment in ("development", "staging", "production"):
        assert price_application(environment, region).problems == ()


def test_the_budget_is_read_from_the_templates() -> None:
    assert price_application("production").budget == 100
    assert price_application("production", DeployBudget="false").budget is None


def test_the_document_keeps_the_contract() -> None:
    found = price_application("production", free_tier=True)
    document = json.loads(json.dumps(as_document(found)))
    assert document["currency"] == "USD"
    assert set(document["monthly"]) == {"min", "typical", "max"}
    keys = {"resource", "dimension", "quantity", "unit", "unit_price", "monthly"}
    for line in document["lines"]:
        assert keys | {"source", "as_of", "status"} <= set(line)
        if line["status"] == "book":
            expected = Decimal(line["quantity"]) * Decimal(line["unit_price"])
            assert abs(expected - Decimal(line["monthly"])) < Decimal("0.0000001")
    total = sum(Decimal(line["monthly"]) for line in document["lines"])
    assert abs(total - Decimal(str(document["monthly"]["typical"]))) <= Decimal("0.005")
    assert {line["kind"] for line in document["lines"]} == {"usage", "free tier"}
    assert {line["kind"] for line in document["ceiling"]} == {"ceiling"}
    assert document["ceiling_monthly"] == {"min": 0.49, "typical": 2.47, "max": 7.41}
    assert document["prices"]["age_days"] > 0
