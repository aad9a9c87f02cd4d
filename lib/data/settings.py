"""Read what a restore leaves out of a table, and apply it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.data.tables import Window, describe_table, is_busy, read_ttl, read_window
from lib.polling import Clock, ask_patiently
from lib.refusals import error_code, error_message

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        PointInTimeRecoverySpecificationTypeDef,
        TableDescriptionTypeDef,
        TagTypeDef,
    )

#: What no restore brings back and nothing here can apply again, because it lies outside
#: the table or begins anew with it.
_NEVER_RESTORED = ("auto scaling policies", "CloudWatch alarms", "policies that name the table")


@dataclass(frozen=True)
class TableSettings:
    """What a restore may leave out of a table, as the table has it now.

    `ttl_attribute`, `stream` (the view type) and `encryption` (the KMS key's ARN) are ""
    and `recovery_days` is None where the table has none. `keys` are the attributes of the
    primary key. Of a table that `is_gone` they are what its template says, or what its
    backup remembers.
    """

    table: str
    arn: str = ""
    ttl_attribute: str = ""
    is_pitr_on: bool = False
    recovery_days: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    is_protected: bool = False
    stream: str = ""
    encryption: str = ""
    keys: tuple[str, ...] = ()
    is_on_demand: bool = False
    is_gone: bool = False


def read_settings(dynamodb: DynamoDBClient, table: str, clock: Clock) -> TableSettings | None:
    """Return a table's settings that a restore may leave out, or None when it is gone.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeTable.html
    """
    found = describe_table(dynamodb, table, clock)
    if found is None:
        return None
    arn = found["TableArn"]
    ttl = ask_patiently(lambda: dynamodb.describe_time_to_live(TableName=table), clock)
    window = read_window(dynamodb, table, clock) or Window(is_on=False)
    stream: Mapping[str, Any] = found.get("StreamSpecification") or {}
    return TableSettings(
        table=table,
        arn=arn,
        ttl_attribute=read_ttl(ttl["TimeToLiveDescription"]),
        is_pitr_on=window.is_on,
        recovery_days=window.days,
        tags=ask_patiently(lambda: _read_tags(dynamodb, arn), clock),
        is_protected=found.get("DeletionProtectionEnabled", False),
        stream=str(stream.get("StreamViewType", "")) if stream.get("StreamEnabled") else "",
        encryption=(found.get("SSEDescription") or {}).get("KMSMasterKeyArn", ""),
        keys=tuple(key["AttributeName"] for key in found["KeySchema"]),
        is_on_demand=_is_on_demand(found),
    )


def _is_on_demand(found: TableDescriptionTypeDef) -> bool:
    """Tell whether a table is paid by request; one that never was has no summary."""
    return (found.get("BillingModeSummary") or {}).get("BillingMode") == "PAY_PER_REQUEST"


def _read_tags(dynamodb: DynamoDBClient, arn: str) -> dict[str, str]:
    """Return a table's tags without those that only AWS may set."""
    pages = dynamodb.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn)
    tags = {tag["Key"]: tag["Value"] for page in pages for tag in page.get("Tags", [])}
    return {key: value for key, value in tags.items() if not key.startswith("aws:")}


def read_declared(
    table: str, properties: Mapping[str, Any], tags: Mapping[str, str]
) -> TableSettings:
    """Return the settings that a template declares for a table that is gone.

    `properties` are those of the AWS::DynamoDB::Table, `tags` the stack's, which
    CloudFormation gives to every resource.
    """
    recovery = properties.get("PointInTimeRecoverySpecification") or {}
    ttl = properties.get("TimeToLiveSpecification") or {}
    own = {str(tag["Key"]): str(tag["Value"]) for tag in properties.get("Tags") or []}
    stream = properties.get("StreamSpecification") or {}
    return TableSettings(
        table=table,
        ttl_attribute=str(ttl.get("AttributeName", "")) if _is_true(ttl.get("Enabled")) else "",
        is_pitr_on=_is_true(recovery.get("PointInTimeRecoveryEnabled")),
        recovery_days=int(days) if (days := recovery.get("RecoveryPeriodInDays")) else None,
        tags={**tags, **own},
        is_protected=_is_true(properties.get("DeletionProtectionEnabled")),
        stream=str(stream.get("StreamViewType", "")),
        keys=tuple(str(key["AttributeName"]) for key in properties.get("KeySchema") or []),
        is_on_demand=properties.get("BillingMode") == "PAY_PER_REQUEST",
        is_gone=True,
    )


def _is_true(value: object) -> bool:
    """Read a Boolean of a template, which may be text."""
    return str(value).lower() == "true"


def reapply(
    dynamodb: DynamoDBClient, restored: TableDescriptionTypeDef, wanted: TableSettings, clock: Clock
) -> tuple[list[str], list[str]]:
    """Apply tags, point-in-time recovery and deletion protection.

    Returns the names of what was applied, and of what was not with AWS's reason: a
    restored table without a tag is worth more than none.
    """
    table, arn = restored.get("TableName", ""), restored.get("TableArn", "")
    tags: list[TagTypeDef] = [{"Key": k, "Value": v} for k, v in sorted(wanted.tags.items())]
    calls: dict[str, Callable[[], object]] = {}
    if tags:
        calls["tags"] = lambda: dynamodb.tag_resource(ResourceArn=arn, Tags=tags)
    if wanted.is_pitr_on:
        days = wanted.recovery_days
        calls["point-in-time recovery"] = lambda: _turn_on_pitr(dynamodb, table, days)
    if wanted.is_protected:
        calls["deletion protection"] = lambda: dynamodb.update_table(
            TableName=table, DeletionProtectionEnabled=True
        )
    return _apply(calls, clock)


def _turn_on_pitr(dynamodb: DynamoDBClient, table: str, days: int | None) -> None:
    """Turn point-in-time recovery on, reaching back as far as the original's.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateContinuousBackups.html
    """
    wanted: PointInTimeRecoverySpecificationTypeDef = {"PointInTimeRecoveryEnabled": True}
    if days is not None:
        wanted["RecoveryPeriodInDays"] = days
    dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=wanted)


def reapply_ttl(
    dynamodb: DynamoDBClient, table: str, attribute: str, clock: Clock
) -> tuple[list[str], list[str]]:
    """Turn TTL on where the original has it; return as `reapply`."""
    if not attribute:
        return [], []
    return _apply({f"TTL on {attribute}": lambda: _turn_on_ttl(dynamodb, table, attribute)}, clock)


def _turn_on_ttl(dynamodb: DynamoDBClient, table: str, attribute: str) -> None:
    """Turn TTL on; that it is on already, after an answer that was lost, is as good.

    A second change within the hour is a ValidationException.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTimeToLive.html
    """
    try:
        dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": attribute}
        )
    except ClientError as exc:
        if error_code(exc) != "ValidationException":
            raise
        now = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if read_ttl(now) != attribute:
            raise


def _apply(calls: Mapping[str, Callable[[], object]], clock: Clock) -> tuple[list[str], list[str]]:
    """Make each change, patiently, and sort their names into done and not done."""
    done: list[str] = []
    missing: list[str] = []
    for name, call in calls.items():
        try:
            ask_patiently(call, clock, passes=is_busy)
        except ClientError as exc:
            missing.append(f"{name}: {error_code(exc)}: {error_message(exc)}")
        else:
            done.append(name)
    return done, missing


def name_unrestored(
    restored: TableDescriptionTypeDef, original: TableSettings | None
) -> tuple[str, ...]:
    """Name what the new table lacks and nothing here applies, with the command that does."""
    table = restored.get("TableName", "")
    lacking = [*_NEVER_RESTORED]
    if original is None:
        return (
            "tags, point-in-time recovery and deletion protection: the original is gone",
            *lacking,
        )
    if original.stream:
        lacking.append(
            f"the stream: `aws dynamodb update-table --table-name {table} --stream-specification "
            f"StreamEnabled=true,StreamViewType={original.stream}`"
        )
    # A backup is restored under DynamoDB's own key unless another is named, and whether a
    # key is AWS's or the operator's only KMS can tell.
    key = (restored.get("SSEDescription") or {}).get("KMSMasterKeyArn", "")
    if not original.is_gone and original.encryption not in ("", key):
        lacking.append(
            f"encryption with {original.encryption}: `aws dynamodb update-table --table-name "
            f"{table} --sse-specification Enabled=true,SSEType=KMS,"
            f"KMSMasterKeyId={original.encryption}`; without KMSMasterKeyId for the AWS managed key"
        )
    return tuple(lacking)
