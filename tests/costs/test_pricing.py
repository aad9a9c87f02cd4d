"""The arithmetic agrees with AWS's own examples to the cent, and says what it leaves out."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import textwrap
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.costs import differences, metering, pricing, usage
from lib.costs.book import Book, Dimension, FreeTier, Price, Tier, parse
from lib.costs.charges import BASELINE, CEILING, USAGE
from lib.costs.metering import FREE
from lib.costs.pricing import Estimate, Line, dollars
from lib.costs.usage import Range, Usage
from lib.document import as_document
from lib.errors import TemplateError
from lib.inputs import environments
from lib.templates import resolution, templates
from lib.templates.resolution import Tree
from tests.support.shapes import tried

ROOT = Path(__file__).resolve().parents[2]
INFRASTRUCTURE = ROOT / "infrastructure"
REGION = "us-east-1"
TODAY = date(2026, 11, 22)


def make_tree(text: str, **values: str) -> Tree:
    master = templates.parse("master-stack.yaml", textwrap.dedent(text))
    return resolution.resolve(
        {master.name: master}, values, region=REGION, account="", stack_name="s"
    )


def make_usage(scopes: Mapping[str, Mapping[str, Any]]) -> Usage:
    """Build usage from plain numbers, or (min, typical, max)."""

    def entry(amount: Any) -> dict[str, Any]:
        low, usual, high = amount if isinstance(amount, tuple) else (amount,) * 3
        return {"min": low, "typical": usual, "max": high, "unit": "units", "reason": "a test"}

    document = {s: {m: entry(a) for m, a in measures.items()} for s, measures in scopes.items()}
    return usage.parse(json.dumps({"usage": document}), "usage.json")


def make_book(free: Mapping[str, int] | None = None, /, **rows: Any) -> Book:
    """Build a book from `dimension__name=price`, `(price, per)` or a list of tiers."""
    dimensions: dict[str, Dimension] = {}
    found: dict[tuple[str, str], Price] = {}
    for key, value in rows.items():
        name = key.replace("__", ".")
        price, per = value if isinstance(value, tuple) else (value, 1)
        listed = price if isinstance(price, list) else [(0, price)]
        tiers = tuple(Tier(Decimal(start), Decimal(amount)) for start, amount in listed)
        dimensions[name] = Dimension(name, name.partition(".")[0], "unit", Decimal(per), None)
        found[name, REGION] = Price(name, REGION, tiers, "this test", "2026-10-01")
    allowances = {
        name: FreeTier(name, Decimal(quantity), "this test", "2026-10-01")
        for name, quantity in (free or {}).items()
    }
    return Book("book.json", dimensions, found, allowances)


def estimate(tree: Tree, used: Usage, book: Book, **options: Any) -> Estimate:
    return pricing.estimate(
        tree, used, book, environment="test", region=REGION, today=TODAY, **options
    )


def price_of(found: Estimate, dimension: str, kind: str | None = None) -> str:
    lines = [
        line
        for line in found.lines
        if line.dimension == dimension and (kind is None or line.kind == kind)
    ]
    assert len(lines) == 1, lines
    assert lines[0].monthly is not None
    return dollars(lines[0].monthly.typical)


TASK = """
Parameters: {AssignPublicIp: {Type: String, Default: DISABLED}}
Resources:
  Task:
    Type: AWS::ECS::TaskDefinition
    Properties: {Cpu: "256", Memory: "1024"}
"""
FARGATE: dict[str, Any] = {"fargate__vcpu_hour": "0.04048", "fargate__gb_hour": "0.004445"}


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


TABLE = """
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}
"""
DYNAMODB: dict[str, Any] = {
    "dynamodb__write": ("0.625", 1_000_000),
    "dynamodb__read": ("0.125", 1_000_000),
    "dynamodb__storage": "0.25",
    "dynamodb__pitr": "0.20",
}
TABLE_USAGE = {"write_units": 3_000_000, "read_units": 8_000_000, "storage_gb": 230}


def test_infracosts_dynamodb_figures_come_out_to_the_cent() -> None:
    used = make_usage({"Table": {**TABLE_USAGE, "pitr_gb": 2300}})
    found = estimate(make_tree(TABLE), used, make_book(**DYNAMODB))
    assert price_of(found, "dynamodb.write") == "$1.88"
    assert price_of(found, "dynamodb.read") == "$1.00"
    assert price_of(found, "dynamodb.storage") == "$57.50"
    assert price_of(found, "dynamodb.pitr") == "$460.00"
    assert dollars(found.monthly().typical) == "$520.38"


def test_continuous_backups_follow_the_size_of_the_table_unless_told_otherwise() -> None:
    found = estimate(make_tree(TABLE), make_usage({"Table": TABLE_USAGE}), make_book(**DYNAMODB))
    assert price_of(found, "dynamodb.pitr") == "$46.00"


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
    assert second.unit_price == Decimal("0.02228")


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


def price_of_line(line: Line) -> str:
    assert line.monthly is not None
    return dollars(line.monthly.typical)


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


SPOT = """
Resources:
  Cluster:
    Type: AWS::ECS::Cluster
    Properties:
      DefaultCapacityProviderStrategy:
        - {CapacityProvider: FARGATE_SPOT, Weight: 3}
        - {CapacityProvider: FARGATE, Weight: 1}
  Task:
    Type: AWS::ECS::TaskDefinition
    Properties: {Cpu: "1024", Memory: "2048"}
"""


def test_spot_is_priced_by_its_share_beside_an_on_demand_ceiling_that_does_not_count() -> None:
    book = make_book(
        fargate__vcpu_hour="4", fargate__gb_hour="0", fargate_spot__vcpu_hour="1",
        fargate_spot__gb_hour="0", ipv4__hour="0.005",
    )  # fmt: skip
    found = estimate(make_tree(SPOT), make_usage({"Task": {"task_hours": 100}}), book)
    assert price_of(found, "fargate_spot.vcpu_hour") == "$75.00"
    assert price_of(found, "fargate.vcpu_hour", USAGE) == "$100.00"
    assert price_of(found, "fargate.vcpu_hour", CEILING) == "$300.00"
    assert price_of(found, "ipv4.hour") == "$0.50"
    assert dollars(found.monthly().typical) == "$175.50"


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


@pytest.mark.parametrize("cpu", ["NaN", "Infinity", "-1", "1 vCPU", "true", "1e99", "[1]"])
def test_a_property_that_is_no_number_leaves_the_quantity_open(cpu: str) -> None:
    tree = make_tree(TASK.replace('"256"', cpu))
    found = estimate(tree, make_usage({"Task": {"task_hours": 1}}), make_book(**FARGATE))
    assert "which is not a number" in found.problems[0]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just({"Ref": "Other"}),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Name", "Value", "Weight", "CapacityProvider", "Environment", "Rules",
                    "SizeInGiB", "CpuArchitecture", "BudgetLimit", "Amount", "Fn::GetAtt",
                    "Fn::If", "Fn::Sub", "Fn::Join", "Fn::Select", "Ref", "Condition",
                ]
            ),
            inner,
            max_size=2,
        )
    ),
    max_leaves=8,
)  # fmt: skip
PROPERTIES = st.dictionaries(
    st.sampled_from(
        [
            "Cpu", "Memory", "MemorySize", "ClusterSettings", "DefaultCapacityProviderStrategy",
            "ContainerDefinitions", "GlobalSecondaryIndexes", "BillingMode", "SSESpecification",
            "Architectures", "RetentionInDays", "LifecycleConfiguration", "RuntimePlatform",
            "VpcEndpointType", "SubnetIds", "EphemeralStorage", "Budget", "ProtocolType",
        ]
    ),
    VALUES,
    max_size=4,
)  # fmt: skip


@tried
@given(st.sampled_from([*sorted(metering._METERS), "AWS::Budgets::Budget"]), PROPERTIES)
def test_whatever_a_property_holds_it_is_priced_or_named(kind: str, properties: Any) -> None:
    body = {
        "Resources": {
            "Other": {"Type": "AWS::S3::Bucket"},
            "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": properties},
            "R": {"Type": kind, "Properties": properties},
        }
    }
    master = templates.Template("master-stack.yaml", "", body)
    with contextlib.suppress(TemplateError):
        tree = resolution.resolve(
            {master.name: master}, {}, region=REGION, account="", stack_name="s"
        )
        found = estimate(tree, make_usage({"R": {"task_hours": 1}}), make_book(x="1", **FARGATE))
        json.dumps(as_document(found))


def test_a_property_that_only_aws_knows_leaves_the_quantity_open() -> None:
    text = """
    Resources:
      Bucket: {Type: AWS::S3::Bucket}
      Function: {Type: AWS::Lambda::Function, Properties: {MemorySize: !GetAtt Bucket.Size}}
    """
    used = make_usage({"Function": {"requests": 1, "milliseconds": 1}})
    found = estimate(make_tree(text), used, make_book(lambda__request="1", lambda__gb_second="1"))
    line = next(line for line in found.lines if line.dimension == "lambda.gb_second")
    assert "MemorySize is ${Bucket.Size}, known only to AWS" in line.problem


@pytest.mark.parametrize(
    ("resource", "dimension"),
    [
        ("{Type: AWS::DynamoDB::Table}", "dynamodb.provisioned"),
        (
            (
                "{Type: AWS::DynamoDB::Table, Properties: {BillingMode: PAY_PER_REQUEST, "
                "TableClass: IA}}"
            ),
            "dynamodb.ia.write",
        ),
        (
            "{Type: AWS::Lambda::Function, Properties: {Architectures: [arm64]}}",
            "lambda.gb_second.arm",
        ),
        ("{Type: AWS::ApiGatewayV2::Api, Properties: {ProtocolType: WEBSOCKET}}", "api.websocket"),
        ("{Type: AWS::Cognito::UserPool, Properties: {UserPoolTier: PLUS}}", "cognito.plus"),
        ("{Type: AWS::EC2::VPCEndpoint, Properties: {VpcEndpointType: Interface}}", "vpc.endpoint"),
        (
            "{Type: AWS::Logs::LogGroup, Properties: {LogGroupClass: INFREQUENT_ACCESS}}",
            "logs.infrequent_access.ingest",
        ),
        (
            (
                "{Type: AWS::ECS::TaskDefinition, "
                "Properties: {RuntimePlatform: {CpuArchitecture: ARM64}}}"
            ),
            "fargate.arm.vcpu_hour",
        ),
        (
            "{Type: AWS::ECS::TaskDefinition, Properties: {EphemeralStorage: {SizeInGiB: 50}}}",
            "fargate.storage_gb_hour",
        ),
        (
            "{Type: AWS::StepFunctions::StateMachine, Properties: {StateMachineType: EXPRESS}}",
            "stepfunctions.express",
        ),
        ("{Type: AWS::KMS::Key}", "kms.key"),
        ("{Type: AWS::CloudWatch::Alarm}", "alarm"),
        ("{Type: AWS::EC2::EIP}", "ipv4.hour"),
    ],
)
def test_a_variant_is_priced_as_what_it_is_not_as_the_usual_one(
    resource: str, dimension: str
) -> None:
    found = estimate(make_tree(f"Resources: {{R: {resource}}}"), make_usage({}), make_book(x="1"))
    assert [line for line in found.lines if line.dimension.startswith(dimension)]
    assert not found.complete


def test_a_gateway_endpoint_costs_nothing() -> None:
    found = estimate(
        make_tree("Resources: {E: {Type: AWS::EC2::VPCEndpoint}}"), make_usage({}), make_book(x="1")
    )
    assert found.lines == ()
    assert found.complete


def test_a_request_to_the_api_is_billed_for_each_512_kilobytes() -> None:
    tree = make_tree("Resources: {Api: {Type: AWS::ApiGatewayV2::Api}}")
    used = make_usage({"Api": {"requests": 1_000_000, "request_kb": (0, 512, 513)}})
    found = estimate(tree, used, make_book(api__http__request=("1.00", 1_000_000)))
    assert found.monthly() == Range(Decimal("1.00"), Decimal("1.00"), Decimal("2.00"))


MODELS = """
Resources:
  Task:
    Type: AWS::ECS::TaskDefinition
    Properties:
      ContainerDefinitions:
        - Environment:
            - Name: BEDROCK_MODEL_IDS
              Value: anthropic.claude-haiku-4-5-20251001-v1:0,amazon.nova-lite-v1:0,a.plain-v2:0
            - Name: BEDROCK_INFERENCE_PROFILE_IDS
              Value: global.anthropic.claude-haiku-4-5-20251001-v1:0,eu.amazon.nova-lite-v1:0
"""


def test_models_are_priced_by_model_and_by_the_profile_they_are_reached_through() -> None:
    found = estimate(make_tree(MODELS), make_usage({}), make_book(x="1"))
    models = {line.dimension for line in found.lines if line.dimension.startswith("bedrock")}
    assert models == {
        f"bedrock.{model}.{direction}"
        for model in (
            "anthropic.claude-haiku-4-5.global",
            "amazon.nova-lite.geo",
            "a.plain.regional",
        )
        for direction in ("input", "output")
    }


def test_models_known_only_to_aws_are_a_gap_and_not_nothing() -> None:
    text = MODELS.replace(
        "Value: global.anthropic.claude-haiku-4-5-20251001-v1:0,eu.amazon.nova-lite-v1:0",
        "Value: !GetAtt Other.Models",
    )
    text += "  Other: {Type: AWS::S3::Bucket}\n"
    found = estimate(make_tree(text), make_usage({}), make_book(x="1"))
    assert "Task: which models it calls is known only to AWS" in found.problems


# The application's own templates


@pytest.fixture(scope="module")
def shipped_book() -> Book:
    return parse((INFRASTRUCTURE / "prices.json").read_text(), "prices.json")


def price_application(
    book: Book, environment: str, region: str = REGION, *, free_tier: bool = False, **values: Any
) -> Estimate:
    chosen = environments.read_environment(environment, INFRASTRUCTURE / "parameters")
    place = environments.read_regions(INFRASTRUCTURE / "regions.json")[region]
    tree = resolution.resolve(
        templates.read_folder(INFRASTRUCTURE / "cloudformation"),
        {**environments.merge(chosen, place), **values},
        region=region,
        account="",
        stack_name="s",
    )
    path = INFRASTRUCTURE / "usage" / f"{environment}.json"
    used = usage.parse(path.read_text(), path.name)
    return pricing.estimate(
        tree, used, book, environment=environment, region=region, today=TODAY, free_tier=free_tier
    )


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
def test_every_type_of_the_application_is_either_metered_or_free_with_a_reason(
    shipped_book: Book, environment: str
) -> None:
    application: dict[str, Any] = {"LambdaCodeBucket": "code-bucket", "LambdaCodeKey": "app.zip"}
    found = price_application(shipped_book, environment, EnableNatGateway="true", **application)
    assert found.unknown_types == {}
    assert found.undecided == ()
    assert {line.status for line in found.lines} <= {"book", "missing"}
    assert all(FREE.values())


def test_ap_southeast_1_shows_its_missing_rows_and_says_at_least(shipped_book: Book) -> None:
    found = price_application(shipped_book, "production", "ap-southeast-1")
    missing = {line.dimension for line in found.lines if line.status == "missing"}
    assert {"dynamodb.write", "dynamodb.read", "fargate_spot.vcpu_hour"} <= missing
    assert not found.complete
    assert any(
        "no price was found for dynamodb.write in ap-southeast-1" in p for p in found.problems
    )


@pytest.mark.parametrize(
    ("values", "dimensions"),
    [
        ({"EnableNatGateway": "true"}, {"nat.hour", "nat.gb", "ipv4.hour"}),
        ({"LogRetentionDays": "365"}, {"logs.storage"}),
        ({"DeployFrontend": "false"}, {"amplify.served_gb", "amplify.stored_gb"}),
        (
            {"DeployBudget": "false"},
            {"lambda.request", "lambda.gb_second", "logs.ingest", "logs.storage", "sns.request"},
        ),
        (
            {"LambdaCodeBucket": "code-bucket", "LambdaCodeKey": "app.zip"},
            {"lambda.request", "lambda.gb_second", "logs.ingest", "logs.storage"},
        ),
    ],
)
def test_switching_a_parameter_moves_the_total_by_exactly_its_lines(
    shipped_book: Book, values: dict[str, Any], dimensions: set[str]
) -> None:
    before = price_application(shipped_book, "production")
    after = price_application(shipped_book, "production", **values)
    found = differences.compare(before, after).lines
    assert {difference.dimension for difference in found} >= dimensions - {"sns.request"}
    assert {difference.dimension for difference in found} <= dimensions | {"amplify.build_minute"}
    moved = sum((difference.monthly for difference in found), usage.ZERO)
    assert moved == after.exact() - before.exact()
    assert moved != usage.ZERO


def test_removing_a_resource_moves_the_total_by_exactly_its_lines(shipped_book: Book) -> None:
    whole = price_application(shipped_book, "production")
    gone = "DatabaseStack/JobsTable"
    own = [line.monthly for line in whole.lines if line.resource == gone and line.monthly]
    text = (INFRASTRUCTURE / "cloudformation" / "database-stack.yaml").read_text()
    table = templates.parse("database-stack.yaml", text)
    body = json.loads(json.dumps(table.body))
    del body["Resources"]["JobsTable"]
    body["Outputs"] = {}
    database = dataclasses.replace(table, body=body)
    used = usage.parse((INFRASTRUCTURE / "usage" / "production.json").read_text(), "p.json")

    def price_alone(template: templates.Template) -> Estimate:
        tree = resolution.resolve(
            {template.name: template},
            {"EnvironmentName": "production"},
            region=REGION,
            account="",
            stack_name="s",
            master=template.name,
        )
        return pricing.estimate(
            tree,
            used,
            shipped_book,
            environment="production",
            region=REGION,
            today=TODAY,
            free_tier=False,
        )

    before, after = price_alone(table), price_alone(database)
    assert len(own) > 4
    assert before.exact() - after.exact() == sum(own, usage.ZERO)
    assert {difference.reason for difference in differences.compare(before, after).lines} == {
        "the resource is gone"
    }


def test_with_the_free_tier_the_differences_still_add_up(shipped_book: Book) -> None:
    before = price_application(shipped_book, "production", free_tier=True)
    after = price_application(
        shipped_book, "production", free_tier=True, LogRetentionDays="90", DeployBudget="false"
    )
    moved = sum((d.monthly for d in differences.compare(before, after).lines), usage.ZERO)
    assert moved == after.exact() - before.exact()


# Reasons of a difference


def reasons(before: Estimate, after: Estimate) -> dict[str, str]:
    return {d.dimension: d.reason for d in differences.compare(before, after).lines}


def test_a_difference_names_the_property_the_usage_or_the_price_behind_it() -> None:
    used = make_usage({"Task": {"task_hours": 300}})
    base = estimate(make_tree(TASK), used, make_book(**FARGATE))
    larger = estimate(make_tree(TASK.replace('"256"', '"512"')), used, make_book(**FARGATE))
    assert reasons(base, larger) == {"fargate.vcpu_hour": "Cpu: 256 → 512"}
    busier = estimate(
        make_tree(TASK), make_usage({"Task": {"task_hours": 600}}), make_book(**FARGATE)
    )
    assert reasons(base, busier)["fargate.gb_hour"] == (
        "task_hours: 300 (300 to 300) units → 600 (600 to 600) units"
    )
    dearer = estimate(make_tree(TASK), used, make_book(**{**FARGATE, "fargate__gb_hour": "1"}))
    assert reasons(base, dearer) == {"fargate.gb_hour": "price: $0.004445 → $1.00"}
    public = estimate(
        make_tree(TASK, AssignPublicIp="ENABLED"), used, make_book(ipv4__hour="1", **FARGATE)
    )
    assert reasons(base, public) == {"ipv4.hour": "this charge is new"}
    assert reasons(base, base) == {}


def test_a_difference_without_a_price_is_listed_all_the_same() -> None:
    used = make_usage({"Task": {"task_hours": 300}})
    base = estimate(make_tree(TASK), used, make_book(**FARGATE))
    public = estimate(make_tree(TASK, AssignPublicIp="ENABLED"), used, make_book(**FARGATE))
    assert "this charge is new, but it is not priced" in reasons(base, public)["ipv4.hour"]


def test_the_budget_is_read_from_the_templates(shipped_book: Book) -> None:
    assert price_application(shipped_book, "production").budget == 100
    assert price_application(shipped_book, "production", DeployBudget="false").budget is None


def test_the_document_keeps_the_contract(shipped_book: Book) -> None:
    found = price_application(shipped_book, "production", free_tier=True)
    document = json.loads(json.dumps(as_document(found)))
    assert document["currency"] == "USD"
    assert set(document["monthly"]) == {"min", "typical", "max"}
    keys = {"resource", "dimension", "quantity", "unit", "unit_price", "monthly"}
    for line in document["lines"]:
        assert keys | {"source", "as_of", "status"} <= set(line)
        if line["status"] == "book":
            expected = Decimal(line["quantity"]) * Decimal(line["unit_price"])
            assert abs(expected - Decimal(line["monthly"])) < Decimal("0.0000001")
    counted = [line for line in document["lines"] if line["kind"] != "ceiling" and line["monthly"]]
    total = sum(Decimal(line["monthly"]) for line in counted)
    assert abs(total - Decimal(str(document["monthly"]["typical"]))) <= Decimal("0.005")
    assert document["prices"]["age_days"] > 0


def test_each_secondary_index_is_written_and_stored_again_but_not_backed_up() -> None:
    text = TABLE + "      GlobalSecondaryIndexes: [{IndexName: a}, {IndexName: b}]\n"
    found = estimate(make_tree(text), make_usage({"Table": TABLE_USAGE}), make_book(**DYNAMODB))
    indexes = {line.dimension: line for line in found.lines if line.part == "indexes"}
    assert price_of_line(indexes["dynamodb.write"]) == "$3.75"
    assert price_of_line(indexes["dynamodb.storage"]) == "$115.00"
    assert price_of(found, "dynamodb.pitr") == "$46.00"


def test_indexes_known_only_to_aws_leave_their_cost_open() -> None:
    text = TABLE + "      GlobalSecondaryIndexes: !GetAtt Table.Indexes\n"
    found = estimate(make_tree(text), make_usage({"Table": TABLE_USAGE}), make_book(**DYNAMODB))
    assert found.problems == ("Table: GlobalSecondaryIndexes is known only to AWS",)


@pytest.mark.parametrize(
    ("properties", "gigabytes"), [("{RetentionInDays: 10}", "12"), ("{}", "438")]
)
def test_stored_logs_grow_with_the_days_they_are_kept(properties: str, gigabytes: str) -> None:
    tree = make_tree(
        f"Resources: {{Logs: {{Type: AWS::Logs::LogGroup, Properties: {properties}}}}}"
    )
    used = make_usage({"Logs": {"ingest_gb": 73, "stored_share": 0.5}})
    found = estimate(tree, used, make_book(logs__ingest="0", logs__storage="1"))
    assert found.monthly().typical == Decimal(gigabytes).quantize(Decimal("0.01"))


def test_an_encrypted_table_asks_kms_and_a_watched_cluster_writes_metrics() -> None:
    text = """
    Resources:
      Table:
        Type: AWS::DynamoDB::Table
        Properties: {BillingMode: PAY_PER_REQUEST, SSESpecification: {SSEEnabled: true}}
      Cluster:
        Type: AWS::ECS::Cluster
        Properties: {ClusterSettings: [{Name: containerInsights, Value: enabled}]}
      Quiet:
        Type: AWS::ECS::Cluster
        Properties: {ClusterSettings: [{Name: containerInsights, Value: disabled}]}
    """
    used = make_usage(
        {"Table": {**TABLE_USAGE, "kms_requests": 10_000}, "Cluster": {"insight_metrics": 4}}
    )
    book = make_book(kms__request=("0.03", 10_000), metric__custom="0.30", **DYNAMODB)
    found = estimate(make_tree(text), used, book)
    assert price_of(found, "kms.request") == "$0.03"
    assert price_of(found, "metric.custom") == "$1.20"


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
