"""The arithmetic agrees with AWS's own examples to the cent, and says what it leaves out."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal

import pytest

from lib.costs import pricing
from lib.costs.book import Price, Standing, Tier
from lib.costs.charges import BASELINE, USAGE
from lib.costs.pricing import dollars
from lib.costs.usage import Range
from lib.document import as_document
from lib.errors import InputError
from tests.support.pricing import (
    DYNAMODB,
    FARGATE,
    REGION,
    TABLE,
    TABLE_USAGE,
    TASK,
    TODAY,
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
    assert found.problems == ()


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


def test_the_tiers_of_one_dimension_are_not_used_up_by_another() -> None:
    tiers = [(0, "10"), (100, "1")]
    book = make_book(fargate__vcpu_hour=tiers, fargate__gb_hour=tiers)
    used = make_usage({"Task": {"task_hours": 100}})
    found = estimate(make_tree(TASK), used, book)
    # 25 vCPU hours, then 100 GB hours, each from its own first hour on.
    assert price_of(found, "fargate.vcpu_hour") == "$250.00"
    assert price_of(found, "fargate.gb_hour") == "$1,000.00"


def test_what_use_would_cost_at_most_has_tiers_of_its_own() -> None:
    text = """
    Resources:
      Cluster:
        Type: AWS::ECS::Cluster
        Properties:
          DefaultCapacityProviderStrategy:
            - {CapacityProvider: FARGATE_SPOT, Weight: 1}
            - {CapacityProvider: FARGATE, Weight: 1}
      Task: {Type: AWS::ECS::TaskDefinition, Properties: {Cpu: "1024", Memory: "1024"}}
    """
    book = make_book(
        fargate__vcpu_hour=[(0, "10"), (50, "1")], fargate__gb_hour="0", ipv4__hour="0",
        fargate_spot__vcpu_hour="1", fargate_spot__gb_hour="0",
    )  # fmt: skip
    found = estimate(make_tree(text), make_usage({"Task": {"task_hours": 100}}), book)
    assert price_of(found, "fargate.vcpu_hour", USAGE) == "$500.00"
    # The Spot half on demand: the first fifty hours again, not the fifty-first to hundredth.
    ceiling = next(line for line in found.ceiling if line.dimension == "fargate.vcpu_hour")
    assert price_of_line(ceiling) == "$500.00"
    assert ceiling.note == "what these Spot hours cost on demand"


def test_a_price_of_one_tier_is_stated_for_a_single_unit() -> None:
    found = estimate(make_tree(TABLE), make_usage({"Table": TABLE_USAGE}), make_book(**DYNAMODB))
    prices = {line.dimension: line.unit_price for line in found.lines}
    assert prices["dynamodb.write"] == "0.000000625"
    book = make_book(s3__put="0", s3__get="0", egress__gb="0", s3__storage=[(0, "1"), (10, "2")])
    used = make_usage({"AWS::S3::Bucket": {**BUCKET_USAGE, "storage_gb": 0}})
    unused = estimate(make_tree(BUCKETS), used, book)
    assert {x.unit_price for x in unused.lines if x.dimension == "s3.storage"} == {"1"}


def test_a_line_tells_resource_stack_service_unit_and_part() -> None:
    text = TABLE + "      GlobalSecondaryIndexes: [{IndexName: by-state}]\n"
    usage = {"Table": TABLE_USAGE, "Table.by-state": TABLE_USAGE}
    found = estimate(make_tree(text), make_usage(usage), make_book(**DYNAMODB))
    line = next(line for line in found.lines if line.dimension == "dynamodb.storage")
    assert (line.resource, line.stack, line.service, line.unit) == ("Table", "", "dynamodb", "unit")
    assert line.basis == (("storage_gb", "230 (230 to 230) units"),)
    assert dataclasses.replace(line, resource="DataStack/Table").stack == "DataStack"
    assert len({(line.dimension, line.part) for line in found.lines}) == len(found.lines)


def test_no_amount_is_too_large_for_the_cent() -> None:
    assert pricing.to_cents(Decimal(10) ** 40) == Decimal(10) ** 40


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
    assert credit.quantity == Range(Decimal(-40), Decimal(-100), Decimal(-100))
    assert (credit.resource, credit.stack, credit.status) == (pricing.ACCOUNT, "", "book")
    assert credit.basis == (("free a month", "100"),)
    assert credit.note == "100 a month are free, once for the whole account"
    assert found.complete
    assert found.totals["free_tier"] == credit.monthly
    assert found.monthly() == Range(Decimal(0), Decimal(20), Decimal(900))
    assert estimate(tree, used, book, free_tier=False).monthly().typical == 120


def test_what_has_no_price_or_no_use_has_no_free_tier_either() -> None:
    free = {"egress.gb": 100, "fargate.vcpu_hour": 10}
    used = make_usage({"AWS::S3::Bucket": {**BUCKET_USAGE, "egress_gb": 20}})
    book = make_book(free, s3__storage="0", s3__put="0", s3__get="0", egress__gb=[])
    found = estimate(make_tree(BUCKETS), used, book)
    assert [line for line in found.lines if line.kind == pricing.FREE_TIER] == []


def test_a_free_tier_takes_the_first_tiers_of_all_that_a_region_uses() -> None:
    free = {"egress.gb": 30}
    tiers = [(0, "1"), (20, "3")]
    book = make_book(free, s3__storage="0", s3__put="0", s3__get="0", egress__gb=tiers)
    used = make_usage({"AWS::S3::Bucket": {**BUCKET_USAGE, "egress_gb": 20}})
    found = estimate(make_tree(BUCKETS), used, book)
    credit = next(line for line in found.lines if line.kind == pricing.FREE_TIER)
    assert price_of_line(credit) == "-$50.00"


def test_a_region_that_the_book_does_not_know_is_refused() -> None:
    with pytest.raises(InputError, match="has no prices for mars-north-1"):
        pricing.estimate(
            make_tree(TABLE), make_usage({}), make_book(**DYNAMODB),
            environment="test", region="mars-north-1", today=TODAY,
        )  # fmt: skip


def test_an_estimate_says_what_it_is_of_and_how_old_its_prices_are() -> None:
    book = make_book(nat__hour="0.045", nat__gb="0.045")
    older = dataclasses.replace(book.prices["nat.gb", REGION], as_of="2026-09-30")
    used = make_usage({"Nat": {"data_gb": 100, "unheard_of": 1}, "Elsewhere": {"data_gb": 1}})
    tree = make_tree("Resources: {Nat: {Type: AWS::EC2::NatGateway}, Vpc: {Type: AWS::EC2::VPC}}")
    found = estimate(tree, used, book.replacing([older]))
    assert (found.environment, found.region) == ("test", REGION)
    assert found.prices == pricing.PricesUsed("book.json", "2026-09-30", 53)
    assert [one.scope for one in found.assumptions] == ["Nat"]
    assert found.unused == ("Nat.unheard_of", "Elsewhere.data_gb")
    assert list(found.free_types) == ["AWS::EC2::VPC"]
    nothing = estimate(make_tree("Resources: {Vpc: {Type: AWS::EC2::VPC}}"), make_usage({}), book)
    assert nothing.prices == pricing.PricesUsed("book.json", "", None)


def test_a_missing_price_says_what_the_book_says_of_it() -> None:
    rows = make_book(**DYNAMODB)
    gone = Price("dynamodb.read", REGION, (), "", "", Standing.MISSING, note="not sold here")
    used = make_usage({"Table": TABLE_USAGE})
    found = estimate(make_tree(TABLE), used, rows.replacing([gone]))
    assert found.problems == (
        "Table: no price was found for dynamodb.read in us-east-1 (not sold here)",
    )


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
    assert missing == {"dynamodb.storage", "dynamodb.pitr", "sns.request"}
    stale = {line.dimension for line in found.lines if line.status == "stale"}
    assert stale == {"dynamodb.read", "dynamodb.write"}
    assert not found.complete
    assert any(
        "no price was found for dynamodb.storage in ap-southeast-1" in p for p in found.problems
    )


@pytest.mark.parametrize("region", ["us-east-1", "us-west-2", "eu-west-1"])
def test_every_other_region_is_priced_to_the_last_line(region: str) -> None:
    for environment in ("development", "staging", "production"):
        assert price_application(environment, region).problems == ()


def test_the_budget_is_read_from_the_templates() -> None:
    assert price_application("production").budget == 100
    assert price_application("production", DeployBudget="false").budget is None


@pytest.mark.parametrize(
    ("amount", "budget"),
    [
        ("100", Decimal(100)),
        ("99.50", Decimal("99.50")),
        ("'1.2.3'", None),
        ("lots", None),
        ("!GetAtt Other.Mood", None),
    ],
)
def test_a_budget_that_is_no_number_is_none(amount: str, budget: Decimal | None) -> None:
    text = f"""
    Resources:
      Other: {{Type: AWS::EC2::VPC}}
      Budget:
        Type: AWS::Budgets::Budget
        Properties: {{Budget: {{BudgetLimit: {{Amount: {amount}, Unit: USD}}}}}}
    """
    found = estimate(make_tree(text), make_usage({}), make_book(x="1"))
    assert found.budget == budget
    assert found.stated_budget == (None if budget is None else float(budget))


def test_templates_without_a_limit_have_no_budget() -> None:
    text = "Resources: {Budget: {Type: AWS::Budgets::Budget, Properties: {Budget: {}}}}"
    assert estimate(make_tree(text), make_usage({}), make_book(x="1")).budget is None


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
