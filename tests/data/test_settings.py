"""What a restore leaves out is applied again, or named as missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lib.data import settings
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
