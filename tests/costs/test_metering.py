"""Every type of the templates is metered as what it is, free with a reason, or named as unknown."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.costs import metering
from lib.costs.charges import USAGE
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
