"""Say what AWS meters for each resource type, and how much of it a template asks for.

Pure: a resolved tree and assumed usage in, charges without prices out. Every type of the
templates is either metered here or on the list of those that cost nothing; anything else is
unknown, and an estimate says so.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from lib.costs.charges import (
    ANY_MODEL,
    BASELINE,
    CEILING,
    DAYS_A_MONTH,
    HOURS_A_MONTH,
    USAGE,
    Charge,
    Place,
    Quantity,
)
from lib.costs.usage import Range, Usage, constant
from lib.templates.resolution import Tree
from lib.templates.unknowns import Unknown


def meter(tree: Tree, usage: Usage) -> tuple[list[Charge], dict[str, str], dict[str, list[str]]]:
    """List the charges of a tree.

    Returns the charges in the order of the templates, the types present that cost nothing
    with the reason, and the unknown types with the paths of their resources.
    """
    charges: list[Charge] = []
    free: dict[str, str] = {}
    unknown: dict[str, list[str]] = {}
    for resource in tree.resources:
        if resource.type in FREE:
            free[resource.type] = FREE[resource.type]
        elif resource.type in _METERS:
            charges += _METERS[resource.type](Place(resource, tree, usage))
        else:
            unknown.setdefault(resource.type, []).append(resource.path)
    return charges, free, unknown


def _hours(count: int) -> Quantity:
    return Quantity(constant(HOURS_A_MONTH * count), (("hours a month", str(HOURS_A_MONTH)),))


# What is metered of each type. The dimension names are those of the price book.

_BY_THE_HOUR: Final = _hours(1)
_EACH: Final = Quantity(constant(1))

#: Types of which every resource is metered alike: what it costs by merely existing, or the
#: measure that is assumed of it.
_ALIKE: Mapping[str, Mapping[str, Quantity | str]] = {
    "AWS::Amplify::App": {
        "amplify.build_minute": "build_minutes",
        "amplify.stored_gb": "stored_gb",
        "amplify.served_gb": "served_gb",
    },
    "AWS::CloudWatch::Alarm": {"alarm": _EACH},
    "AWS::EC2::NatGateway": {"nat.hour": _BY_THE_HOUR, "nat.gb": "data_gb"},
    "AWS::ECR::Repository": {"ecr.storage": "storage_gb"},
    "AWS::KMS::Key": {"kms.key": _EACH, "kms.request": "requests"},
    "AWS::SNS::Topic": {"sns.request": "requests"},
}


def _meter_alike(place: Place) -> Iterator[Charge]:
    for dimension, metered in _ALIKE[place.resource.type].items():
        if isinstance(metered, Quantity):
            yield place.charge(dimension, metered, BASELINE)
        else:
            yield place.charge(dimension, place.assumed(metered))


def _meter_address(place: Place) -> Iterator[Charge]:
    yield place.charge("ipv4.hour", _BY_THE_HOUR, BASELINE, "billed whether it is used or not")


def _meter_endpoint(place: Place) -> Iterator[Charge]:
    if place.says("VpcEndpointType", default="Gateway") != "Gateway":
        zones = place.property("SubnetIds")
        count = len(zones) if isinstance(zones, list) else 1
        yield place.charge("vpc.endpoint_hour", _hours(count), BASELINE)


def _meter_bucket(place: Place) -> Iterator[Charge]:
    cheaper = "all at the Standard price, though its rules move old outputs to cheaper classes"
    note = cheaper if "Transitions" in str(place.property("LifecycleConfiguration")) else ""
    yield place.charge("s3.storage", place.assumed("storage_gb"), USAGE, note)
    yield place.charge("s3.put", place.assumed("put_requests"))
    yield place.charge("s3.get", place.assumed("get_requests"))
    yield place.charge("egress.gb", place.assumed("egress_gb"))


def _meter_table(place: Place) -> Iterator[Charge]:
    # CloudFormation creates a table in provisioned mode unless it is told otherwise.
    if place.says("BillingMode", default="PROVISIONED") != "PAY_PER_REQUEST":
        yield place.charge("dynamodb.provisioned", _BY_THE_HOUR, BASELINE)
        return
    table_class = place.says("TableClass", default="STANDARD")
    family = "dynamodb" if table_class == "STANDARD" else f"dynamodb.{table_class.lower()}"
    writes, stored = place.assumed("write_units"), place.assumed("storage_gb")
    yield place.charge(f"{family}.write", writes)
    yield place.charge(f"{family}.read", place.assumed("read_units"))
    yield place.charge(f"{family}.storage", stored)
    indexes = place.property("GlobalSecondaryIndexes")
    if indexes:
        count = _count(indexes, "GlobalSecondaryIndexes")
        note = "every write also writes, and every item is also stored in, each secondary index"
        yield place.charge(f"{family}.write", writes * count, USAGE, note, "indexes")
        yield place.charge(f"{family}.storage", stored * count, USAGE, note, "indexes")
    if place.says("PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled") == "True":
        # Continuous backups are billed by the size of the table, without its global indexes:
        # https://aws.amazon.com/dynamodb/pricing/on-demand/
        larger = place.usage.find(place.resource.path, place.resource.type, "pitr_gb")
        backed_up = place.assumed("pitr_gb") if larger else stored
        yield place.charge("dynamodb.pitr", backed_up, USAGE, "follows the size of the table")
    if place.says("SSESpecification", "SSEEnabled") == "True":
        requests = place.assumed("kms_requests")
        yield place.charge("kms.request", requests, USAGE, "KMS encrypts the table")


def _count(items: Any, name: str) -> Quantity:
    if isinstance(items, Sequence) and not isinstance(items, str):
        return Quantity(constant(len(items)), ((name, str(len(items))),))
    return Quantity(None, ((name, str(items)),), f"{name} is known only to AWS")


def _meter_function(place: Place) -> Iterator[Charge]:
    requests = place.assumed("requests")
    architectures = place.property("Architectures") or ["x86_64"]
    chip = ".arm" if "arm64" in str(architectures) else ""
    gigabytes = place.number("MemorySize", default="128") * (Decimal(1) / 1024)
    seconds = place.assumed("milliseconds") * Decimal("0.001")
    yield place.charge("lambda.request", requests)
    yield place.charge(f"lambda.gb_second{chip}", requests * seconds * gigabytes)


def _meter_api(place: Place) -> Iterator[Charge]:
    protocol = place.says("ProtocolType", default="HTTP").lower()
    # An HTTP API bills a request once for every 512 KB of it:
    # https://aws.amazon.com/api-gateway/pricing/
    size = place.assumed("request_kb")
    if size.amount:
        size = dataclasses.replace(size, amount=Range(*(_ceiling(kb / 512) for kb in size.amount)))
    yield place.charge(f"api.{protocol}.request", place.assumed("requests") * size)


def _ceiling(number: Decimal) -> Decimal:
    return max(number.to_integral_value(ROUND_CEILING), Decimal(1))


def _meter_user_pool(place: Place) -> Iterator[Charge]:
    tier = place.says("UserPoolTier", default="ESSENTIALS").lower()
    yield place.charge(f"cognito.{tier}", place.assumed("monthly_active_users"))


def _meter_log_group(place: Place) -> Iterator[Charge]:
    log_class = place.says("LogGroupClass", default="STANDARD")
    family = "logs" if log_class == "STANDARD" else f"logs.{log_class.lower()}"
    ingested = place.assumed("ingest_gb")
    yield place.charge(f"{family}.ingest", ingested)
    # Twelve decimals of a month are a few microseconds; the fraction itself never ends.
    months = (Decimal(1) / DAYS_A_MONTH).quantize(Decimal("1e-12"))
    kept = place.number("RetentionInDays", default="365") * months
    is_endless = place.property("RetentionInDays") is None
    note = "kept for ever, so it grows; counted as a year" if is_endless else ""
    stored = ingested * kept * place.assumed("stored_share")
    yield place.charge(f"{family}.storage", stored, USAGE, note)


def _meter_cluster(place: Place) -> Iterator[Charge]:
    settings = place.property("ClusterSettings")
    for setting in settings if isinstance(settings, list) else []:
        named = isinstance(setting, Mapping) and setting.get("Name") == "containerInsights"
        if named and setting.get("Value") != "disabled":
            note = f"container insights are {setting.get('Value')}"
            yield place.charge("metric.custom", place.assumed("insight_metrics"), USAGE, note)


def _meter_task(place: Place) -> Iterator[Charge]:
    hours = place.assumed("task_hours")
    cpus = place.number("Cpu", default="256") * (Decimal(1) / 1024)
    gigabytes = place.number("Memory", default="512") * (Decimal(1) / 1024)
    chip = ".arm" if place.says("RuntimePlatform", "CpuArchitecture") == "ARM64" else ""
    system = place.says("RuntimePlatform", "OperatingSystemFamily", default="LINUX")
    chip = chip if system == "LINUX" else f".{system.lower()}"
    spot = _spot_share(place)
    shares = ((f"fargate{chip}", 1 - spot, USAGE), (f"fargate_spot{chip}", spot, USAGE))
    for family, share, kind in (*shares, (f"fargate{chip}", spot, CEILING)):
        if share:
            note = "what these Spot hours cost on demand" if kind == CEILING else ""
            yield place.charge(f"{family}.vcpu_hour", hours * cpus * share, kind, note)
            yield place.charge(f"{family}.gb_hour", hours * gigabytes * share, kind, note)
    if place.property("EphemeralStorage") is not None:
        size = place.number("EphemeralStorage", "SizeInGiB", default="21")
        yield place.charge("fargate.storage_gb_hour", hours * size)
    parameters = place.tree.parameters.get(place.stack, {})
    if parameters.get("AssignPublicIp") != "DISABLED":
        note = "a running task in a public subnet has an address of its own"
        yield place.charge("ipv4.hour", hours, USAGE, note)
    yield from _meter_models(place)


def _spot_share(place: Place) -> Decimal:
    """Return the part of tasks that the stack's cluster starts on Spot, by its weights."""
    weights: dict[str, Decimal] = {}
    for cluster in place.neighbours("AWS::ECS::Cluster"):
        strategy = cluster.property("DefaultCapacityProviderStrategy")
        items = strategy if isinstance(strategy, list) else []
        for item in (entry for entry in items if isinstance(entry, Mapping)):
            provider = str(item.get("CapacityProvider"))
            weights[provider] = weights.get(provider, Decimal(0)) + _weight(item.get("Weight"))
    total = sum(weights.values(), Decimal(0))
    spot = weights.get("FARGATE_SPOT", Decimal(0))
    return (spot / total).quantize(Decimal("1e-6")) if total else Decimal(0)


def _weight(value: Any) -> Decimal:
    # A weight that is not stated counts 0:
    # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CapacityProviderStrategyItem.html
    return Decimal(str(value)) if str(value).isdecimal() else Decimal(0)


def _meter_models(place: Place) -> Iterator[Charge]:
    """Yield the tokens of every model that a task is told it may call."""
    containers = place.property("ContainerDefinitions")
    if any(isinstance(value, Unknown) for _, value in _model_variables(containers)):
        problem = "which models it calls is known only to AWS"
        yield place.charge("bedrock", Quantity(None, (), problem))
    for model, profile in called_models(containers):
        for direction in ("input", "output"):
            tokens = place.assumed(f"{direction}_tokens", model, ANY_MODEL)
            dimension = f"bedrock.{model}.{profile}.{direction}"
            yield place.charge(dimension, tokens)


_MODEL_VARIABLES: Final = ("BEDROCK_MODEL_IDS", "BEDROCK_INFERENCE_PROFILE_IDS")


def _model_variables(containers: Any) -> Iterator[tuple[str, Any]]:
    """Yield the environment variables of a task that list models."""
    for container in containers if isinstance(containers, list) else []:
        variables = container.get("Environment") if isinstance(container, Mapping) else None
        for variable in variables if isinstance(variables, list) else []:
            if isinstance(variable, Mapping) and variable.get("Name") in _MODEL_VARIABLES:
                yield variable["Name"], variable.get("Value")


def called_models(containers: Any) -> list[tuple[str, str]]:
    """Return (model, profile) of each model named in a task's environment.

    The model is the id without version and date (`anthropic.claude-haiku-4-5`). The profile
    is `global`, `geo` for a continental one, or `regional` for a model called directly. A
    foundation model that is also reached through a profile is billed through the profile:
    its own id is in the task's rights because a profile needs it.
    """
    listed: dict[str, list[str]] = {name: [] for name in _MODEL_VARIABLES}
    for name, value in _model_variables(containers):
        listed[name] += _listed(value)
    direct, profiles = listed.values()
    split = [profile.partition(".") for profile in profiles]
    reached = {model for _, _, model in split}
    found = [(model, "regional") for model in direct if model not in reached]
    found += [(model, "global" if prefix == "global" else "geo") for prefix, _, model in split]
    return sorted({(without_version(model), profile) for model, profile in found})


def _listed(value: Any) -> list[str]:
    items = value.split(",") if isinstance(value, str) else ()
    return [item.strip() for item in items if item.strip()]


def without_version(model: str) -> str:
    """Return a model's id without `-20251001`, `-v1` and `:0` at its end."""
    return re.sub(r"(-(v[0-9]+|[0-9]{8}))+$", "", model.partition(":")[0])


def _meter_state_machine(place: Place) -> Iterator[Charge]:
    kind = place.says("StateMachineType", default="STANDARD").lower()
    family = "stepfunctions" if kind == "standard" else f"stepfunctions.{kind}"
    yield place.charge(f"{family}.transition", place.assumed("transitions"))


_METERS: Mapping[str, Callable[[Place], Iterator[Charge]]] = {
    **dict.fromkeys(_ALIKE, _meter_alike),
    "AWS::ApiGatewayV2::Api": _meter_api,
    "AWS::Cognito::UserPool": _meter_user_pool,
    "AWS::DynamoDB::Table": _meter_table,
    "AWS::EC2::EIP": _meter_address,
    "AWS::EC2::VPCEndpoint": _meter_endpoint,
    "AWS::ECS::Cluster": _meter_cluster,
    "AWS::ECS::TaskDefinition": _meter_task,
    "AWS::Lambda::Function": _meter_function,
    "AWS::Logs::LogGroup": _meter_log_group,
    "AWS::S3::Bucket": _meter_bucket,
    "AWS::StepFunctions::StateMachine": _meter_state_machine,
}

_IAM = "IAM is free of charge"
_NETWORK = "the parts of a VPC are free; addresses, gateways and traffic are priced apart"
_API = "part of an HTTP API, which is billed by the request"
_COGNITO = "part of a user pool, which is billed by the active user"

#: Types that cost nothing, each with the reason.
FREE: Mapping[str, str] = {
    "AWS::Amplify::Branch": "part of an Amplify app, which is billed by build, storage and traffic",
    "AWS::ApiGatewayV2::Authorizer": _API,
    "AWS::ApiGatewayV2::Integration": _API,
    "AWS::ApiGatewayV2::Route": _API,
    "AWS::ApiGatewayV2::Stage": _API,
    "AWS::Bedrock::ApplicationInferenceProfile": "a name for calls, which are billed by the token",
    "AWS::Budgets::Budget": "monitoring and alerts are free; only budget actions are billed",
    "AWS::CloudFormation::Stack": "CloudFormation is free for AWS's own resource types",
    "AWS::Cognito::UserPoolClient": _COGNITO,
    "AWS::Cognito::UserPoolGroup": _COGNITO,
    "AWS::Cognito::UserPoolUser": _COGNITO,
    "AWS::Cognito::UserPoolUserToGroupAttachment": _COGNITO,
    "AWS::EC2::FlowLog": "billed as what its log group takes in",
    "AWS::EC2::InternetGateway": _NETWORK,
    "AWS::EC2::Route": _NETWORK,
    "AWS::EC2::RouteTable": _NETWORK,
    "AWS::EC2::SecurityGroup": _NETWORK,
    "AWS::EC2::Subnet": _NETWORK,
    "AWS::EC2::SubnetRouteTableAssociation": _NETWORK,
    "AWS::EC2::VPC": _NETWORK,
    "AWS::EC2::VPCGatewayAttachment": _NETWORK,
    "AWS::ECS::ClusterCapacityProviderAssociations": "a setting; tasks are billed by the second",
    "AWS::Events::Rule": "events of AWS's own services are free; targets are billed themselves",
    "AWS::IAM::ManagedPolicy": _IAM,
    "AWS::IAM::Policy": _IAM,
    "AWS::IAM::Role": _IAM,
    "AWS::KMS::Alias": "a name of a key, which is billed itself",
    "AWS::Lambda::Permission": "a right, which costs nothing",
    "AWS::S3::BucketPolicy": "a right, which costs nothing",
    "AWS::SNS::Subscription": "deliveries to Lambda are free; the first 1,000 e-mails a month too",
    "AWS::SNS::TopicPolicy": "a right, which costs nothing",
}
