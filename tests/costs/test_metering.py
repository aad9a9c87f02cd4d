"""Every type of the templates is metered as what it is, free with a reason, or named as unknown."""

from __future__ import annotations

import contextlib
import json
import textwrap
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.costs import metering
from lib.costs.charges import CEILING, USAGE, Charge
from lib.costs.metering import FREE
from lib.costs.pricing import dollars
from lib.costs.usage import Range
from lib.document import as_document
from lib.errors import TemplateError
from lib.templates import resolution, templates
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
from tests.support.shapes import tried


def test_continuous_backups_follow_the_size_of_the_table_unless_told_otherwise() -> None:
    found = estimate(make_tree(TABLE), make_usage({"Table": TABLE_USAGE}), make_book(**DYNAMODB))
    assert price_of(found, "dynamodb.pitr") == "$46.00"


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
    assert [(line.dimension, price_of_line(line)) for line in found.ceiling] == [
        ("fargate.vcpu_hour", "$300.00"),
        ("fargate.gb_hour", "$0.00"),
    ]
    assert price_of(found, "ipv4.hour") == "$0.50"
    assert dollars(found.monthly().typical) == "$175.50"


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


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
def test_every_type_of_the_application_is_either_metered_or_free_with_a_reason(
    environment: str,
) -> None:
    application: dict[str, Any] = {"LambdaCodeBucket": "code-bucket", "LambdaCodeKey": "app.zip"}
    found = price_application(environment, EnableNatGateway="true", **application)
    assert found.unknown_types == {}
    assert found.undecided == ()
    assert {line.status for line in found.lines} <= {"book", "missing"}
    assert all(FREE.values())


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


# Each type, dimension by dimension


def charges(kind: str, properties: str, usage: Mapping[str, Any]) -> list[Charge]:
    """Return what one resource is metered as."""
    tree = make_tree(f"Resources: {{R: {{Type: {kind}, Properties: {properties}}}}}")
    found, free, unknown = metering.meter(tree, make_usage({"R": usage} if usage else {}))
    assert (free, unknown) == ({}, {})
    return found


TABLE_ON_DEMAND = "BillingMode: PAY_PER_REQUEST"
RECOVERED = "PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}"
CAPACITY = {"write_units": 2, "read_units": 3, "storage_gb": 5}


@pytest.mark.parametrize(
    ("kind", "properties", "usage", "metered"),
    [
        (
            "AWS::Amplify::App", "{}", {"build_minutes": 5, "stored_gb": 2, "served_gb": 3},
            ["amplify.build_minute 5", "amplify.stored_gb 2", "amplify.served_gb 3"],
        ),
        ("AWS::ECR::Repository", "{}", {"storage_gb": 7}, ["ecr.storage 7"]),
        ("AWS::KMS::Key", "{}", {"requests": 9}, ["kms.key 1 baseline", "kms.request 9"]),
        ("AWS::SNS::Topic", "{}", {"requests": 11}, ["sns.request 11"]),
        ("AWS::EC2::NatGateway", "{}", {"data_gb": 13}, ["nat.hour 730 baseline", "nat.gb 13"]),
        ("AWS::EC2::EIP", "{}", {}, ["ipv4.hour 730 baseline"]),
        ("AWS::CloudWatch::Alarm", "{}", {}, ["alarm 1 baseline"]),
        (
            "AWS::EC2::VPCEndpoint", "{VpcEndpointType: Interface}", {},
            ["vpc.endpoint_hour 730 baseline"],
        ),
        (
            "AWS::EC2::VPCEndpoint", "{VpcEndpointType: Interface, SubnetIds: [a, b]}", {},
            ["vpc.endpoint_hour 1460 baseline"],
        ),
        (
            "AWS::S3::Bucket", "{}",
            {"storage_gb": 1, "put_requests": 2, "get_requests": 3, "egress_gb": 4},
            ["s3.storage 1", "s3.put 2", "s3.get 3", "egress.gb 4"],
        ),
        ("AWS::DynamoDB::Table", "{}", {}, ["dynamodb.provisioned 730 baseline"]),
        (
            "AWS::DynamoDB::Table",
            (f"{{{TABLE_ON_DEMAND}, TableClass: STANDARD_INFREQUENT_ACCESS, {RECOVERED}, "
            "GlobalSecondaryIndexes: [{}, {}], SSESpecification: {SSEEnabled: true}}"),
            {**CAPACITY, "kms_requests": 7},
            [
                "dynamodb.standard_infrequent_access.write 2",
                "dynamodb.standard_infrequent_access.read 3",
                "dynamodb.standard_infrequent_access.storage 5",
                "dynamodb.standard_infrequent_access.write 4 usage indexes",
                "dynamodb.standard_infrequent_access.storage 10 usage indexes",
                "dynamodb.pitr 5", "kms.request 7",
            ],
        ),
        (
            "AWS::DynamoDB::Table", f"{{{TABLE_ON_DEMAND}, {RECOVERED}}}",
            {**CAPACITY, "pitr_gb": 7},
            ["dynamodb.write 2", "dynamodb.read 3", "dynamodb.storage 5", "dynamodb.pitr 7"],
        ),
        (
            "AWS::DynamoDB::Table",
            (f"{{{TABLE_ON_DEMAND}, SSESpecification: {{SSEEnabled: false}}, "
            "PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: false}}"),
            CAPACITY,
            ["dynamodb.write 2", "dynamodb.read 3", "dynamodb.storage 5"],
        ),
        (
            "AWS::Lambda::Function", "{}", {"requests": 1000, "milliseconds": 200},
            ["lambda.request 1000", "lambda.gb_second 25"],
        ),
        (
            "AWS::Lambda::Function", "{Architectures: [arm64], MemorySize: 2048}",
            {"requests": 1000, "milliseconds": 200},
            ["lambda.request 1000", "lambda.gb_second.arm 400"],
        ),
        (
            "AWS::ApiGatewayV2::Api", "{}", {"requests": 10, "request_kb": 1025},
            ["api.http.request 30"],
        ),
        ("AWS::Cognito::UserPool", "{}", {"monthly_active_users": 10}, ["cognito.essentials 10"]),
        (
            "AWS::Logs::LogGroup", "{RetentionInDays: 73}", {"ingest_gb": 5, "stored_share": 0.5},
            ["logs.ingest 5", "logs.storage 6"],
        ),
        (
            "AWS::ECS::TaskDefinition", "{}", {"task_hours": 100},
            ["fargate.vcpu_hour 25", "fargate.gb_hour 50", "ipv4.hour 100"],
        ),
        (
            "AWS::ECS::TaskDefinition",
            ("{Cpu: '2048', Memory: '4096', EphemeralStorage: {}, "
            "RuntimePlatform: {CpuArchitecture: ARM64, OperatingSystemFamily: LINUX}}"),
            {"task_hours": 100},
            [
                "fargate.arm.vcpu_hour 200", "fargate.arm.gb_hour 400",
                "fargate.storage_gb_hour 2100", "ipv4.hour 100",
            ],
        ),
        (
            "AWS::ECS::TaskDefinition",
            ("{EphemeralStorage: {SizeInGiB: 50}, "
            "RuntimePlatform: {OperatingSystemFamily: WINDOWS_SERVER_2022_CORE}}"),
            {"task_hours": 10},
            [
                "fargate.windows_server_2022_core.vcpu_hour 2.5",
                "fargate.windows_server_2022_core.gb_hour 5",
                "fargate.storage_gb_hour 500", "ipv4.hour 10",
            ],
        ),
        (
            "AWS::StepFunctions::StateMachine", "{}", {"transitions": 10},
            ["stepfunctions.transition 10"],
        ),
        (
            "AWS::ECS::Cluster",
            ("{ClusterSettings: [{Name: other, Value: on}, 1, "
            "{Name: containerInsights, Value: enhanced}]}"),
            {"insight_metrics": 4},
            ["metric.custom 4"],
        ),
        ("AWS::ECS::Cluster", "{ClusterSettings: enhanced}", {}, []),
    ],
)  # fmt: skip
def test_a_resource_is_metered_by_these_dimensions_and_no_other(
    kind: str, properties: str, usage: Mapping[str, Any], metered: list[str]
) -> None:
    found = []
    for charge in charges(kind, properties, usage):
        assert charge.resource == "R"
        assert charge.quantity.problem == ""
        assert charge.quantity.amount is not None
        # A month's share of days never ends; a millionth of a unit costs nobody a cent.
        amount = round(charge.quantity.amount.typical, 6).normalize()
        part = f" {charge.kind} {charge.part}".rstrip().removesuffix(" usage")
        found.append(f"{charge.dimension} {amount:f}{part}")
    assert found == metered


def test_a_quantity_remembers_what_it_was_computed_from() -> None:
    usage = {"requests": 1000, "milliseconds": (100, 200, 300)}
    _, seconds = charges("AWS::Lambda::Function", "{MemorySize: 512}", usage)
    assert seconds.quantity.basis == (
        ("requests", "1000 (1000 to 1000) units"),
        ("milliseconds", "200 (100 to 300) units"),
        ("MemorySize", "512"),
    )
    assert [one.measure for one in seconds.quantity.assumptions] == ["requests", "milliseconds"]
    assert seconds.quantity.amount == Range(Decimal(50), Decimal(100), Decimal(150))
    for kind, properties in (
        ("AWS::EC2::EIP", "{}"),
        ("AWS::EC2::VPCEndpoint", "{VpcEndpointType: Interface, SubnetIds: [a, b]}"),
    ):
        (hours,) = charges(kind, properties, {})
        assert hours.quantity.basis == (("hours a month", "730"),)
    table = f"{{{TABLE_ON_DEMAND}, GlobalSecondaryIndexes: [{{}}]}}"
    index = charges("AWS::DynamoDB::Table", table, CAPACITY)[3]
    assert index.quantity.basis[1] == ("GlobalSecondaryIndexes", "1")


@pytest.mark.parametrize(
    ("size", "known"), [("0", True), ("1000000000000", True), ("1000000000001", False)]
)
def test_a_size_from_nothing_to_a_million_millions_is_taken(size: str, known: bool) -> None:
    properties = f"{{EphemeralStorage: {{SizeInGiB: '{size}'}}}}"
    found = charges("AWS::ECS::TaskDefinition", properties, {"task_hours": 2})
    storage = next(one for one in found if one.dimension == "fargate.storage_gb_hour")
    assert storage.quantity.basis[1] == ("EphemeralStorage.SizeInGiB", size)
    if known:
        assert storage.quantity.amount is not None
        assert storage.quantity.amount.typical == 2 * Decimal(size)
    else:
        assert storage.quantity.problem == (
            f"EphemeralStorage.SizeInGiB is {size}, which is not a number"
        )


def test_a_quantity_that_lacks_an_assumption_names_the_measure_and_where_it_belongs() -> None:
    (requests, seconds) = charges("AWS::Lambda::Function", "{}", {"milliseconds": 200})
    problem = "usage.json has no requests for R or AWS::Lambda::Function"
    assert (requests.quantity.amount, requests.quantity.problem) == (None, problem)
    assert requests.quantity.basis == (("requests", "not assumed"),)
    assert (seconds.quantity.amount, seconds.quantity.problem) == (None, problem)


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ("{LifecycleConfiguration: {Rules: [{Transitions: []}]}}", "all at the Standard price"),
        ("{LifecycleConfiguration: {Rules: [{ExpirationInDays: 1}]}}", ""),
    ],
)
def test_a_bucket_s_storage_says_that_its_rules_move_it(properties: str, says: str) -> None:
    storage, *others = charges("AWS::S3::Bucket", properties, {})
    assert storage.note.startswith(says)
    assert bool(storage.note) is bool(says)
    assert {charge.note for charge in others} == {""}


def test_what_a_charge_follows_from_is_noted() -> None:
    table = f"{{{TABLE_ON_DEMAND}, {RECOVERED}, GlobalSecondaryIndexes: [{{}}], "
    table += "SSESpecification: {SSEEnabled: true}}"
    notes = [charge.note for charge in charges("AWS::DynamoDB::Table", table, CAPACITY)]
    index = "every write also writes, and every item is also stored in, each secondary index"
    assert notes == ["", "", "", index, index, "follows the size of the table",
                     "KMS encrypts the table"]  # fmt: skip
    (address,) = charges("AWS::EC2::EIP", "{}", {})
    assert address.note == "billed whether it is used or not"
    settings = "{ClusterSettings: [{Name: containerInsights, Value: enhanced}]}"
    (metrics,) = charges("AWS::ECS::Cluster", settings, {})
    assert metrics.note == "container insights are enhanced"
    *_, public = charges("AWS::ECS::TaskDefinition", "{}", {})
    assert public.note == "a running task in a public subnet has an address of its own"


@pytest.mark.parametrize(("properties", "endless"), [("{}", True), ("{RetentionInDays: 9}", False)])
def test_logs_that_are_kept_for_ever_are_noted_as_such(properties: str, endless: bool) -> None:
    _, storage = charges("AWS::Logs::LogGroup", properties, {})
    assert storage.note.startswith("kept for ever") is endless


@pytest.mark.parametrize(
    ("strategy", "spot", "on_demand"),
    [
        ("[{CapacityProvider: FARGATE_SPOT, Weight: 1}]", 100, 0),
        ("[{CapacityProvider: FARGATE, Weight: 1}]", 0, 100),
        ("[{CapacityProvider: FARGATE_SPOT}]", 0, 100),
        ("[{CapacityProvider: FARGATE_SPOT, Weight: many}]", 0, 100),
        (
            (
                "[1, {CapacityProvider: FARGATE_SPOT, Weight: 1}, "
                "{CapacityProvider: FARGATE_SPOT, Weight: 2}, "
                "{CapacityProvider: FARGATE, Weight: 1}]"
            ),
            75,
            25,
        ),
        ("spot", 0, 100),
    ],
)
def test_the_weights_of_a_strategy_share_out_spot_and_on_demand(
    strategy: str, spot: int, on_demand: int
) -> None:
    text = f"""
    Resources:
      Cluster:
        Type: AWS::ECS::Cluster
        Properties: {{DefaultCapacityProviderStrategy: {strategy}}}
      Task: {{Type: AWS::ECS::TaskDefinition, Properties: {{Cpu: "1024", Memory: "1024"}}}}
    """
    found, _, _ = metering.meter(make_tree(text), make_usage({"Task": {"task_hours": 100}}))
    hours: dict[tuple[str, str], Decimal] = {}
    for charge in found:
        assert charge.quantity.amount is not None
        hours[charge.dimension, charge.kind] = charge.quantity.amount.typical
    for unit in ("vcpu_hour", "gb_hour"):
        assert hours.get((f"fargate_spot.{unit}", USAGE), 0) == spot
        assert hours.get((f"fargate.{unit}", USAGE), 0) == on_demand
        assert hours.get((f"fargate.{unit}", CEILING), 0) == spot


def test_only_a_cluster_of_the_task_s_own_stack_says_how_it_is_started() -> None:
    text = """
    Resources:
      Task: {Type: AWS::ECS::TaskDefinition}
      Child: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: child.yaml}}
    """
    child = """
    Resources:
      Cluster:
        Type: AWS::ECS::Cluster
        Properties: {DefaultCapacityProviderStrategy: [{CapacityProvider: FARGATE_SPOT, Weight: 1}]}
    """
    folder = {
        name: templates.parse(name, textwrap.dedent(body))
        for name, body in (("master-stack.yaml", text), ("child.yaml", child))
    }
    tree = resolution.resolve(folder, {}, region=REGION, account="", stack_name="s")
    found, _, _ = metering.meter(tree, make_usage({}))
    assert not any("spot" in charge.dimension for charge in found)


@pytest.mark.parametrize(("value", "addresses"), [("DISABLED", 0), ("ENABLED", 1)])
def test_a_task_has_an_address_where_its_stack_gives_it_one(value: str, addresses: int) -> None:
    found, _, _ = metering.meter(make_tree(TASK, AssignPublicIp=value), make_usage({}))
    assert sum(charge.dimension == "ipv4.hour" for charge in found) == addresses


def test_what_is_free_says_why_and_what_nobody_knows_where_it_is() -> None:
    text = """
    Resources:
      Vpc: {Type: AWS::EC2::VPC}
      One: {Type: AWS::ElastiCache::CacheCluster}
      Two: {Type: AWS::ElastiCache::CacheCluster}
      Topic: {Type: AWS::SNS::Topic}
    """
    found, free, unknown = metering.meter(make_tree(text), make_usage({}))
    assert [charge.resource for charge in found] == ["Topic"]
    assert free == {"AWS::EC2::VPC": FREE["AWS::EC2::VPC"]}
    assert unknown == {"AWS::ElastiCache::CacheCluster": ["One", "Two"]}


def test_tokens_are_assumed_by_model_or_for_any() -> None:
    used = make_usage(
        {
            "anthropic.claude-haiku-4-5": {"input_tokens": 10, "output_tokens": 20},
            "Bedrock model": {"input_tokens": 1, "output_tokens": 2},
        }
    )
    found, _, _ = metering.meter(make_tree(MODELS), used)
    tokens = {}
    for charge in found:
        if charge.dimension.startswith("bedrock"):
            assert charge.quantity.amount is not None
            tokens[charge.dimension] = charge.quantity.amount.typical
    assert tokens == {
        "bedrock.anthropic.claude-haiku-4-5.global.input": 10,
        "bedrock.anthropic.claude-haiku-4-5.global.output": 20,
        "bedrock.amazon.nova-lite.geo.input": 1,
        "bedrock.amazon.nova-lite.geo.output": 2,
        "bedrock.a.plain.regional.input": 1,
        "bedrock.a.plain.regional.output": 2,
    }


@pytest.mark.parametrize(
    "containers",
    [
        "none",
        [1, {"Environment": "none"}, {}],
        [{"Environment": [1, {"Name": "OTHER", "Value": "a.b"}]}],
        [{"Environment": [{"Name": "BEDROCK_MODEL_IDS", "Value": " , "}]}],
        [{"Environment": [{"Name": "BEDROCK_MODEL_IDS"}]}],
    ],
)
def test_a_task_that_names_no_model_calls_none(containers: Any) -> None:
    assert metering.called_models(containers) == []


def test_models_are_told_apart_by_id_and_profile_and_named_without_version() -> None:
    def listed(name: str, value: str) -> dict[str, Any]:
        return {"Environment": [{"Name": name, "Value": value}]}

    found = metering.called_models(
        [
            listed("BEDROCK_MODEL_IDS", "a.one-v1:0, a.two-20250101-v2:0"),
            listed("BEDROCK_INFERENCE_PROFILE_IDS", "eu.a.one-v1:0,global.a.three-v1:0:8k"),
        ]
    )
    assert found == [("a.one", "geo"), ("a.three", "global"), ("a.two", "regional")]
