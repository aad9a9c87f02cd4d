"""What a restore leaves out is applied again, or named as missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lib.data import settings
from lib.data.settings import TableSettings
from lib.data.sources import Source
from tests.support.aws_fakes import FakeTime, refusal
from tests.support.dynamodb_wire import NOW, Wire, reply
from tests.support.tables import create_table, make_backup, restore, turn_on_everything

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234"


@pytest.mark.parametrize("by_time", [False, True])
def test_what_dynamodb_leaves_out_is_applied_again(
    dynamodb: Any, passing: FakeTime, by_time: bool
) -> None:
    create_table(dynamodb)
    turn_on_everything(dynamodb)
    source = Source("jobs", point_in_time=NOW) if by_time else Source("jobs", make_backup(dynamodb))
    restored = restore(dynamodb, passing, source)
    before = settings.read_settings(dynamodb, "jobs", passing.clock)
    after = settings.read_settings(dynamodb, "copy", passing.clock)
    assert before
    assert after
    # moto restores no billing mode.
    assert after == replace(before, table="copy", arn=after.arn, is_on_demand=after.is_on_demand)
    assert after.tags == {"Environment": "staging"}
    assert after.recovery_days == 7
    assert restored.reapplied == (
        "tags",
        "point-in-time recovery",
        "deletion protection",
        "TTL on expires_at",
    )


def test_nothing_is_applied_that_the_original_does_not_have(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    wire.calls.clear()
    restored = restore(dynamodb, passing, Source("jobs", make_backup(dynamodb)))
    assert restored.reapplied == ()
    assert not {"TagResource", "UpdateTable", "UpdateContinuousBackups"} & {*wire.names}


def test_streams_keys_and_scaling_are_named_as_missing(dynamodb: Any, passing: FakeTime) -> None:
    create_table(
        dynamodb,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY},
    )
    read = settings.read_settings(dynamodb, "jobs", passing.clock)
    assert read
    assert (read.stream, read.encryption) == ("NEW_IMAGE", KEY)
    missing = "\n".join(restore(dynamodb, passing, Source("jobs", make_backup(dynamodb))).missing)
    assert "StreamEnabled=true,StreamViewType=NEW_IMAGE" in missing
    assert f"KMSMasterKeyId={KEY}" in missing
    assert "auto scaling policies" in missing


def test_a_setting_that_aws_refuses_does_not_lose_the_restore(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    turn_on_everything(dynamodb)
    wire.always("TagResource", refusal("AccessDeniedException", "not allowed"))
    restored = restore(dynamodb, passing, Source("jobs", make_backup(dynamodb)))
    assert restored.status == "ACTIVE"
    assert "tags: AccessDeniedException: not allowed" in restored.missing
    assert "deletion protection" in restored.reapplied


def test_ttl_that_is_on_after_a_lost_answer_is_as_good(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    turn_on_everything(dynamodb)
    arn = make_backup(dynamodb)
    wire.answer("UpdateTimeToLive", refusal("ValidationException", "TimeToLive is active"))
    on = {"TimeToLiveStatus": "ENABLING", "AttributeName": "expires_at"}
    wire.always("DescribeTimeToLive", reply(TimeToLiveDescription=on), table="copy")
    assert "TTL on expires_at" in restore(dynamodb, passing, Source("jobs", arn)).reapplied


def test_ttl_that_stays_off_is_missing(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    create_table(dynamodb)
    turn_on_everything(dynamodb)
    arn = make_backup(dynamodb)
    wire.always("UpdateTimeToLive", refusal("ValidationException", "too soon"))
    missing = restore(dynamodb, passing, Source("jobs", arn)).missing
    assert "TTL on expires_at: ValidationException: too soon" in missing


# What a template says of a table that is gone

DECLARED = {
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [
        {"AttributeName": "id", "KeyType": "HASH"},
        {"AttributeName": "at", "KeyType": "RANGE"},
    ],
    "PointInTimeRecoverySpecification": {
        "PointInTimeRecoveryEnabled": "true",
        "RecoveryPeriodInDays": "7",
    },
    "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "expires_at"},
    "Tags": [{"Key": "Environment", "Value": "own"}],
    "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
    "DeletionProtectionEnabled": "True",
}


def test_a_table_that_is_gone_is_what_its_template_says() -> None:
    tags = {"Environment": "staging", "Project": "plot-palette"}
    assert settings.read_declared("jobs", DECLARED, tags) == TableSettings(
        table="jobs",
        ttl_attribute="expires_at",
        is_pitr_on=True,
        recovery_days=7,
        tags={"Environment": "own", "Project": "plot-palette"},
        is_protected=True,
        stream="NEW_IMAGE",
        keys=("id", "at"),
        is_on_demand=True,
        is_gone=True,
    )


def test_what_a_template_leaves_out_a_table_that_is_gone_did_not_have() -> None:
    nothing = TableSettings(table="jobs", is_gone=True)
    assert settings.read_declared("jobs", {}, {}) == nothing
    off = {
        "BillingMode": "PROVISIONED",
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False},
        "TimeToLiveSpecification": {"Enabled": False, "AttributeName": "expires_at"},
        "StreamSpecification": {},
    }
    assert settings.read_declared("jobs", off, {}) == nothing
    bare = {"TimeToLiveSpecification": {"Enabled": True}}
    assert settings.read_declared("jobs", bare, {}) == nothing


# What a table has


def test_a_table_s_settings_are_read_whole(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb)
    turn_on_everything(dynamodb)
    read = settings.read_settings(dynamodb, "jobs", passing.clock)
    assert read is not None
    assert read == TableSettings(
        table="jobs",
        arn=read.arn,
        ttl_attribute="expires_at",
        is_pitr_on=True,
        recovery_days=7,
        tags={"Environment": "staging"},
        is_protected=True,
        keys=("id",),
        is_on_demand=True,
    )
    assert read.arn.endswith(":table/jobs")


def test_a_table_that_has_nothing_on_is_read_as_such(dynamodb: Any, passing: FakeTime) -> None:
    rates = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    create_table(dynamodb, BillingMode="PROVISIONED", ProvisionedThroughput=rates)
    read = settings.read_settings(dynamodb, "jobs", passing.clock)
    assert read is not None
    assert read == TableSettings(table="jobs", arn=read.arn, keys=("id",))


def test_a_stream_that_is_off_is_none(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    create_table(dynamodb)
    table = dynamodb.describe_table(TableName="jobs")["Table"]
    off = {"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"}
    wire.always("DescribeTable", reply(Table={**table, "StreamSpecification": off}))
    read = settings.read_settings(dynamodb, "jobs", passing.clock)
    assert read is not None
    assert read.stream == ""


def test_a_table_that_is_gone_has_no_settings(dynamodb: Any, passing: FakeTime) -> None:
    assert settings.read_settings(dynamodb, "gone", passing.clock) is None


@pytest.mark.parametrize(
    "operation", ["DescribeTimeToLive", "ListTagsOfResource", "DescribeContinuousBackups"]
)
def test_each_look_at_a_table_is_repeated_while_aws_is_busy(
    dynamodb: Any, wire: Wire, passing: FakeTime, operation: str
) -> None:
    create_table(dynamodb)
    wire.answer(operation, refusal("ThrottlingException"))
    assert settings.read_settings(dynamodb, "jobs", passing.clock)
    assert len(passing.slept) == 1


# Applying again


def reapply(dynamodb: Any, passing: FakeTime, wanted: TableSettings) -> tuple[Any, Any]:
    table = dynamodb.describe_table(TableName="jobs")["Table"]
    return settings.reapply(dynamodb, table, wanted, passing.clock)


def test_tags_are_applied_in_their_order_to_the_new_table(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    wanted = TableSettings("jobs", tags={"b": "2", "a": "1"})
    assert reapply(dynamodb, passing, wanted) == (["tags"], [])
    [asked] = wire.asked("TagResource")
    assert asked["ResourceArn"].endswith(":table/jobs")
    assert asked["Tags"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]


@pytest.mark.parametrize(("days", "asked"), [(None, {}), (3, {"RecoveryPeriodInDays": 3})])
def test_recovery_reaches_back_as_far_as_the_original_s(
    dynamodb: Any, wire: Wire, passing: FakeTime, days: int | None, asked: dict[str, int]
) -> None:
    create_table(dynamodb)
    wanted = TableSettings("jobs", is_pitr_on=True, recovery_days=days)
    assert reapply(dynamodb, passing, wanted) == (["point-in-time recovery"], [])
    [call] = wire.asked("UpdateContinuousBackups")
    assert call == {
        "TableName": "jobs",
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True, **asked},
    }


def test_a_change_is_repeated_while_the_table_is_busy(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    wire.answer("UpdateTable", refusal("ResourceInUseException"))
    wanted = TableSettings("jobs", is_protected=True)
    assert reapply(dynamodb, passing, wanted) == (["deletion protection"], [])
    assert len(passing.slept) == 1


def test_ttl_is_turned_on_where_the_original_has_it(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    assert settings.reapply_ttl(dynamodb, "jobs", "", passing.clock) == ([], [])
    assert wire.asked("UpdateTimeToLive") == []
    done = settings.reapply_ttl(dynamodb, "jobs", "expires_at", passing.clock)
    assert done == (["TTL on expires_at"], [])
    [asked] = wire.asked("UpdateTimeToLive")
    assert asked["TimeToLiveSpecification"] == {"Enabled": True, "AttributeName": "expires_at"}


def test_ttl_that_aws_denies_is_missing_without_another_look(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    wire.always("UpdateTimeToLive", refusal("AccessDeniedException", "not you"))
    done = settings.reapply_ttl(dynamodb, "jobs", "expires_at", passing.clock)
    assert done == ([], ["TTL on expires_at: AccessDeniedException: not you"])
    assert wire.asked("DescribeTimeToLive") == []


def test_ttl_on_another_attribute_is_missing(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    create_table(dynamodb)
    wire.always("UpdateTimeToLive", refusal("ValidationException", "TimeToLive is active"))
    on = {"TimeToLiveStatus": "ENABLED", "AttributeName": "other"}
    wire.always("DescribeTimeToLive", reply(TimeToLiveDescription=on))
    done = settings.reapply_ttl(dynamodb, "jobs", "expires_at", passing.clock)
    assert done == ([], ["TTL on expires_at: ValidationException: TimeToLive is active"])


# What nothing applies again

RESTORED: Any = {"TableName": "copy", "SSEDescription": {"KMSMasterKeyArn": KEY}}


def test_of_a_table_without_an_original_even_its_tags_are_missing() -> None:
    first, *rest = settings.name_unrestored(RESTORED, None)
    assert first.startswith("tags, point-in-time recovery and deletion protection:")
    assert rest == ["auto scaling policies", "CloudWatch alarms", "policies that name the table"]


@pytest.mark.parametrize(
    ("original", "restored", "named"),
    [
        (TableSettings("jobs", encryption=KEY), RESTORED, False),
        (TableSettings("jobs", encryption=KEY), {"TableName": "copy"}, True),
        # What the original had no key for is under DynamoDB's own, which no command can name.
        (TableSettings("jobs"), RESTORED, False),
        (TableSettings("jobs"), {"TableName": "copy"}, False),
        (TableSettings("jobs", is_gone=True), RESTORED, False),
    ],
)
def test_a_key_is_named_where_the_new_table_has_another(
    original: TableSettings, restored: Any, named: bool
) -> None:
    lacking = settings.name_unrestored(restored, original)
    assert len(lacking) == 3 + named
    assert any(f"KMSMasterKeyId={original.encryption}`" in one for one in lacking) is named


def test_the_command_that_turns_a_stream_on_names_the_new_table() -> None:
    *_, stream = settings.name_unrestored({"TableName": "copy"}, TableSettings("a", stream="KEYS"))
    assert "--table-name copy --stream-specification" in stream
    assert stream.endswith("StreamEnabled=true,StreamViewType=KEYS`")
