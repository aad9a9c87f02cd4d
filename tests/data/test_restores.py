"""A restore makes a new, complete table, touches no other, and says what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lib.data import backups, new_tables, settings, sources, switching
from lib.data.settings import TableSettings
from lib.data.sources import Source
from lib.data.switching import Restored
from lib.errors import BackupFailed, InputError, Interrupted, Refused
from lib.operators import Note, Progress
from lib.polling import Clock
from lib.stacks.stacks import StackResource
from tests.support.dynamodb_wire import NOW, REGION, SESSION, FakeTime, Wire, cut, refusal, reply

ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/jobs/backup/01795342714054-61401ec1"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234"


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        yield SESSION.client("dynamodb")


@pytest.fixture
def wire(dynamodb: Any) -> Wire:
    return Wire(dynamodb)


@pytest.fixture
def passing() -> FakeTime:
    return FakeTime()


@pytest.fixture
def said() -> list[Progress]:
    return []


def texts(said: list[Progress]) -> str:
    return "\n".join(note.text for note in said if isinstance(note, Note))


def create_table(dynamodb: Any, name: str = "jobs", items: int = 3, **extra: Any) -> str:
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        **({"BillingMode": "PAY_PER_REQUEST"} | extra),
    )
    for number in range(items):
        dynamodb.put_item(TableName=name, Item={"id": {"S": str(number)}, "n": {"N": "1"}})
    return name


def turn_on_everything(dynamodb: Any, table: str = "jobs") -> None:
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    dynamodb.update_time_to_live(
        TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
    )
    dynamodb.update_continuous_backups(
        TableName=table,
        PointInTimeRecoverySpecification={
            "PointInTimeRecoveryEnabled": True,
            "RecoveryPeriodInDays": 7,
        },
    )
    dynamodb.tag_resource(
        ResourceArn=arn,
        Tags=[
            {"Key": "Environment", "Value": "staging"},
            {"Key": "aws:cloudformation:stack-name", "Value": "plot"},
        ],
    )
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)


def back_up(dynamodb: Any, table: str = "jobs", days_ago: int = 0) -> str:
    answer = dynamodb.create_backup(
        TableName=table,
        BackupName=backups.name_for("staging", table, NOW - timedelta(days=days_ago)),
    )
    return str(answer["BackupDetails"]["BackupArn"])


def resource(path: str, physical: str, kind: str = "AWS::DynamoDB::Table") -> StackResource:
    return StackResource(
        path=path,
        logical_id=path.rsplit("/", 1)[-1],
        physical_id=physical,
        type=kind,
        status="CREATE_COMPLETE",
        reason="",
        stack_id="stack",
    )


RESOURCES = (
    resource("DatabaseStack", "arn:child", "AWS::CloudFormation::Stack"),
    resource("DatabaseStack/JobsTable", "jobs"),
    resource("DatabaseStack/QueueTable", "queue"),
    resource("OtherStack/QueueTable", "other-queue"),
)


def choose(
    dynamodb: Any,
    passing: FakeTime,
    *,
    backup: str | None = None,
    table: str | None = None,
    point_in_time: str | None = None,
    said: list[Progress] | None = None,
) -> Source:
    return sources.choose_source(
        dynamodb,
        RESOURCES,
        backup=backup,
        table=table,
        point_in_time=point_in_time,
        environment="staging",
        clock=passing.clock,
        report=(said if said is not None else []).append,
    )


def restore(
    dynamodb: Any,
    passing: FakeTime,
    source: Source,
    target: str = "copy",
    *,
    said: list[Progress] | None = None,
    clock: Clock | None = None,
) -> Restored:
    return new_tables.restore(
        dynamodb,
        source,
        target_table=target,
        original=settings.read_settings(dynamodb, source.table, passing.clock),
        clock=clock or passing.clock,
        report=(said if said is not None else []).append,
    )


# Choosing a table


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("JobsTable", "jobs"),
        ("DatabaseStack/JobsTable", "jobs"),
        ("jobs", "jobs"),
        ("OtherStack/QueueTable", "other-queue"),
        ("plot-jobs-of-last-year", "plot-jobs-of-last-year"),
    ],
)
def test_a_table_is_found_by_logical_id_path_or_physical_name(asked: str, found: str) -> None:
    assert sources.find_table(RESOURCES, asked) == found


def test_a_logical_id_of_several_tables_lists_their_paths() -> None:
    with pytest.raises(InputError) as error:
        sources.find_table(RESOURCES, "QueueTable")
    assert error.value.problems == (
        "DatabaseStack/QueueTable (queue)",
        "OtherStack/QueueTable (other-queue)",
    )


def test_a_name_that_no_table_can_have_lists_the_tables() -> None:
    with pytest.raises(InputError) as error:
        sources.find_table(RESOURCES, "NoStack/JobsTable")
    assert "DatabaseStack/JobsTable (jobs)" in error.value.problems


# Choosing a source


def test_neither_backup_nor_table_is_refused(dynamodb: Any, passing: FakeTime) -> None:
    with pytest.raises(InputError, match="--backup ARN_OR_NAME"):
        choose(dynamodb, passing)


def test_a_backup_and_a_time_exclude_each_other(dynamodb: Any, passing: FakeTime) -> None:
    with pytest.raises(InputError, match="exclude each other"):
        choose(dynamodb, passing, backup=ARN, point_in_time="2026-11-22")


def test_a_backup_is_chosen_by_arn_or_name(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb)
    arn = back_up(dynamodb)
    by_arn = choose(dynamodb, passing, backup=arn)
    by_name = choose(dynamodb, passing, backup=backups.name_for("staging", "jobs", NOW))
    assert by_arn == by_name
    assert (by_arn.table, by_arn.backup_arn, str(by_arn)) == ("jobs", arn, arn)


def test_a_name_of_several_backups_lists_their_arns(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb)
    arns = [back_up(dynamodb), back_up(dynamodb)]
    with pytest.raises(InputError) as error:
        choose(dynamodb, passing, backup=backups.name_for("staging", "jobs", NOW))
    assert all(arn in error.value.message for arn in arns)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("nightly", "no backup named nightly in eu-west-1"),
        (ARN, "There is no backup arn"),
        (ARN.replace("eu-west-1", "us-east-1"), "Add --region us-east-1"),
        ("arn:aws:backup:eu-west-1:123456789012:recovery-point:1", "start-restore-job"),
    ],
)
def test_a_backup_that_cannot_be_used_says_why_and_what_to_do(
    dynamodb: Any, passing: FakeTime, asked: str, words: str
) -> None:
    with pytest.raises(InputError, match=words) as error:
        choose(dynamodb, passing, backup=asked)
    assert error.value.exit_code == 2


def test_a_backup_of_another_table_than_the_one_named_is_refused(
    dynamodb: Any, passing: FakeTime
) -> None:
    create_table(dynamodb)
    with pytest.raises(InputError, match="was made of jobs, not of other"):
        choose(dynamodb, passing, backup=back_up(dynamodb), table="other")


def test_a_backup_that_is_not_complete_is_refused(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    details = {"BackupArn": ARN, "BackupStatus": "CREATING"}
    wire.always("DescribeBackup", reply(BackupDescription={"BackupDetails": details}))
    with pytest.raises(Refused, match="is CREATING"):
        choose(dynamodb, passing, backup=ARN)


def test_a_backup_remembers_count_and_ttl(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    wire.always(
        "DescribeBackup",
        reply(
            BackupDescription={
                "BackupDetails": {"BackupArn": ARN, "BackupStatus": "AVAILABLE"},
                "SourceTableDetails": {"TableName": "jobs", "ItemCount": 7},
                "SourceTableFeatureDetails": {
                    "TimeToLiveDescription": {
                        "TimeToLiveStatus": "ENABLED",
                        "AttributeName": "expires_at",
                    }
                },
            }
        ),
    )
    assert choose(dynamodb, passing, backup=ARN) == Source("jobs", ARN, None, 7, "expires_at")


def test_a_denied_look_at_a_backup_is_raised(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    wire.always("DescribeBackup", refusal("AccessDeniedException", "not allowed"))
    with pytest.raises(ClientError, match="not allowed"):
        choose(dynamodb, passing, backup=ARN)


def test_a_table_means_its_newest_own_backup(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb)
    back_up(dynamodb, days_ago=2)
    newest = back_up(dynamodb, days_ago=1)
    dynamodb.create_backup(TableName="jobs", BackupName="nightly")
    assert choose(dynamodb, passing, table="JobsTable").backup_arn == newest


def test_a_replaced_table_offers_the_backups_of_its_predecessor(
    dynamodb: Any, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    create_table(dynamodb, "plot-Database-1X-JobsTable-9Z")
    create_table(dynamodb, "plot-Database-1X-OldJobsTable-9Z")
    before = back_up(dynamodb, "plot-Database-1X-JobsTable-9Z")
    back_up(dynamodb, "plot-Database-1X-OldJobsTable-9Z")
    with pytest.raises(InputError, match="no complete backup of jobs for staging") as error:
        choose(dynamodb, passing, table="JobsTable")
    assert len(error.value.problems) == 1
    assert before in error.value.problems[0]


# Choosing a time


@pytest.mark.parametrize(
    "text", ["2026-11-22T10:30:00+01:00", "2026-11-22T09:30:00Z", " 2026-11-22T09:30:00.75Z "]
)
def test_a_time_with_a_zone_is_read_as_it_stands(text: str, said: list[Progress]) -> None:
    assert sources.read_moment(text, said.append) == datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    assert said == []


def test_a_time_without_a_zone_is_utc_and_that_is_said(said: list[Progress]) -> None:
    moment = sources.read_moment("2026-11-22T09:30:00", said.append)
    assert moment == datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    assert "taken as UTC" in texts(said)


@pytest.mark.parametrize("text", ["yesterday", "", "22.11.2026", "2026-13-01T00:00:00Z"])
def test_anything_else_is_no_time(text: str, said: list[Progress]) -> None:
    with pytest.raises(InputError, match="ISO 8601"):
        sources.read_moment(text, said.append)


def set_window(wire: Wire, earliest: datetime, latest: datetime) -> None:
    wire.always(
        "DescribeContinuousBackups",
        reply(
            ContinuousBackupsDescription={
                "ContinuousBackupsStatus": "ENABLED",
                "PointInTimeRecoveryDescription": {
                    "PointInTimeRecoveryStatus": "ENABLED",
                    "EarliestRestorableDateTime": earliest,
                    "LatestRestorableDateTime": latest,
                },
            }
        ),
    )


@pytest.mark.parametrize("seconds", [0, 1, 3599, 3600])
def test_a_time_within_the_window_is_taken(
    dynamodb: Any, wire: Wire, passing: FakeTime, seconds: int
) -> None:
    earliest = NOW.replace(microsecond=400_000) - timedelta(hours=2)
    set_window(wire, earliest, earliest + timedelta(hours=1))
    moment = earliest.replace(microsecond=0) + timedelta(seconds=seconds)
    source = choose(dynamodb, passing, table="jobs", point_in_time=moment.isoformat())
    assert source == Source("jobs", point_in_time=moment)
    assert str(source) == f"jobs at {moment.isoformat()}"


@pytest.mark.parametrize("seconds", [-1, 3601])
def test_a_time_outside_the_window_shows_the_window(
    dynamodb: Any, wire: Wire, passing: FakeTime, seconds: int
) -> None:
    earliest = NOW - timedelta(hours=2)
    set_window(wire, earliest, earliest + timedelta(hours=1))
    moment = earliest + timedelta(seconds=seconds)
    with pytest.raises(InputError) as error:
        choose(dynamodb, passing, table="jobs", point_in_time=moment.isoformat())
    assert "2026-11-22T07:30:05Z to 2026-11-22T08:30:05Z" in error.value.message


@pytest.mark.parametrize(("days", "accepted"), [(-36, False), (-1, True), (1, False)])
def test_a_window_that_has_just_opened_leaves_the_decision_to_dynamodb(
    dynamodb: Any, wire: Wire, passing: FakeTime, days: int, accepted: bool
) -> None:
    set_window(wire, NOW, NOW)
    moment = (NOW + timedelta(days=days)).isoformat()
    if accepted:
        assert choose(dynamodb, passing, table="jobs", point_in_time=moment).point_in_time
    else:
        with pytest.raises(InputError, match="outside the times"):
            choose(dynamodb, passing, table="jobs", point_in_time=moment)


def test_a_table_without_point_in_time_recovery_is_refused(
    dynamodb: Any, passing: FakeTime
) -> None:
    create_table(dynamodb)
    with pytest.raises(InputError, match="is off for jobs"):
        choose(dynamodb, passing, table="jobs", point_in_time="2026-11-22T09:00:00Z")


def test_a_deleted_table_has_no_time_to_go_back_to(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb)
    arn = back_up(dynamodb)
    dynamodb.delete_table(TableName="jobs")
    with pytest.raises(InputError, match="give --backup") as error:
        choose(dynamodb, passing, table="jobs", point_in_time="2026-11-22T09:00:00Z")
    assert arn in error.value.message


# Restoring


def test_all_items_come_back_into_a_new_table(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb, items=5)
    source = Source("jobs", back_up(dynamodb))
    dynamodb.delete_item(TableName="jobs", Key={"id": {"S": "0"}})
    restored = restore(dynamodb, passing, source)
    assert (restored.table, restored.status, restored.items) == ("copy", "ACTIVE", 5)
    assert restored.expected_items == 4
    assert dynamodb.scan(TableName="copy")["Count"] == 5
    assert switching.explain_counts(restored, source) == "copy holds 5 items; jobs holds 4 now."


def test_a_point_in_time_comes_back_into_a_new_table(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, items=5)
    turn_on_everything(dynamodb)
    restored = restore(dynamodb, passing, Source("jobs", point_in_time=NOW))
    assert restored.items == 5
    assert wire.asked("RestoreTableToPointInTime") == [
        {
            "SourceTableName": "jobs",
            "TargetTableName": "copy",
            "RestoreDateTime": int(NOW.timestamp()),
        }
    ]


@pytest.mark.parametrize("by_time", [False, True])
def test_what_dynamodb_leaves_out_is_applied_again(
    dynamodb: Any, passing: FakeTime, by_time: bool
) -> None:
    create_table(dynamodb)
    turn_on_everything(dynamodb)
    source = Source("jobs", point_in_time=NOW) if by_time else Source("jobs", back_up(dynamodb))
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


def test_ttl_is_turned_on_only_after_the_count(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    turn_on_everything(dynamodb)
    wire.calls.clear()
    restore(dynamodb, passing, Source("jobs", back_up(dynamodb)))
    assert wire.names.index("UpdateTimeToLive") > wire.names.index("Scan")


def test_nothing_is_applied_that_the_original_does_not_have(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    wire.calls.clear()
    restored = restore(dynamodb, passing, Source("jobs", back_up(dynamodb)))
    assert restored.reapplied == ()
    assert not {"TagResource", "UpdateTable", "UpdateContinuousBackups"} & {*wire.names}


def test_a_backup_whose_table_is_gone_is_restored_with_what_it_remembers(
    dynamodb: Any, passing: FakeTime
) -> None:
    create_table(dynamodb, items=2)
    arn = back_up(dynamodb)
    dynamodb.delete_table(TableName="jobs")
    source = Source("jobs", arn, recorded_items=2, ttl_attribute="expires_at")
    restored = restore(dynamodb, passing, source)
    assert (restored.items, restored.expected_items) == (2, None)
    assert restored.reapplied == ("TTL on expires_at",)
    assert "the original is gone" in restored.missing[0]
    assert "recorded with about 2" in switching.explain_counts(restored, source)


def test_streams_keys_and_scaling_are_named_as_missing(dynamodb: Any, passing: FakeTime) -> None:
    create_table(
        dynamodb,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY},
    )
    read = settings.read_settings(dynamodb, "jobs", passing.clock)
    assert read
    assert (read.stream, read.encryption) == ("NEW_IMAGE", KEY)
    missing = "\n".join(restore(dynamodb, passing, Source("jobs", back_up(dynamodb))).missing)
    assert "StreamEnabled=true,StreamViewType=NEW_IMAGE" in missing
    assert f"KMSMasterKeyId={KEY}" in missing
    assert "auto scaling policies" in missing


def test_a_setting_that_aws_refuses_does_not_lose_the_restore(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    turn_on_everything(dynamodb)
    wire.always("TagResource", refusal("AccessDeniedException", "not allowed"))
    restored = restore(dynamodb, passing, Source("jobs", back_up(dynamodb)))
    assert restored.status == "ACTIVE"
    assert "tags: AccessDeniedException: not allowed" in restored.missing
    assert "deletion protection" in restored.reapplied


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("RestoreTableFromBackup", "LimitExceededException"),
        ("RestoreTableFromBackup", "ThrottlingException"),
        ("RestoreTableFromBackup", "BackupInUseException"),
        ("DescribeTable", "ThrottlingException"),
        ("UpdateContinuousBackups", "ContinuousBackupsUnavailableException"),
        ("UpdateTimeToLive", "ResourceInUseException"),
        ("TagResource", "LimitExceededException"),
        ("Scan", "ProvisionedThroughputExceededException"),
    ],
)
def test_a_passing_refusal_is_waited_out(
    dynamodb: Any, wire: Wire, passing: FakeTime, operation: str, code: str
) -> None:
    create_table(dynamodb)
    turn_on_everything(dynamodb)
    arn = back_up(dynamodb)
    wire.answer(operation, refusal(code), refusal(code))
    restored = restore(dynamodb, passing, Source("jobs", arn))
    assert restored.items == 3
    assert len(restored.reapplied) == 4
    assert passing.sleeps == [1.0, 2.0]


def test_ttl_that_is_on_after_a_lost_answer_is_as_good(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    turn_on_everything(dynamodb)
    arn = back_up(dynamodb)
    wire.answer("UpdateTimeToLive", refusal("ValidationException", "TimeToLive is active"))
    on = {"TimeToLiveStatus": "ENABLING", "AttributeName": "expires_at"}
    wire.always("DescribeTimeToLive", reply(TimeToLiveDescription=on), table="copy")
    assert "TTL on expires_at" in restore(dynamodb, passing, Source("jobs", arn)).reapplied


def test_ttl_that_stays_off_is_missing(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    create_table(dynamodb)
    turn_on_everything(dynamodb)
    arn = back_up(dynamodb)
    wire.always("UpdateTimeToLive", refusal("ValidationException", "too soon"))
    missing = restore(dynamodb, passing, Source("jobs", arn)).missing
    assert "TTL on expires_at: ValidationException: too soon" in missing


# The target


def test_an_existing_table_is_never_written_over(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    create_table(dynamodb, "copy", items=1)
    source = Source("jobs", back_up(dynamodb))
    wire.calls.clear()
    with pytest.raises(Refused, match="copy exists already in eu-west-1") as error:
        restore(dynamodb, passing, source)
    assert error.value.exit_code == 3
    assert all(name.startswith(("Describe", "List")) for name in wire.names)
    assert dynamodb.scan(TableName="copy")["Count"] == 1


def test_a_target_made_by_somebody_else_meanwhile_is_refused(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    create_table(dynamodb, "copy", items=1)
    arn = back_up(dynamodb)
    wire.answer("DescribeTable", refusal("ResourceNotFoundException"), table="copy")
    with pytest.raises(Refused, match="somebody else"):
        restore(dynamodb, passing, Source("jobs", arn))


def test_the_default_name_carries_the_time(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb)
    restored = restore(dynamodb, passing, Source("jobs", back_up(dynamodb)), target="")
    assert restored.table == "jobs-restored-20261122-093005"
    assert len(new_tables.name_target("t" * 255, NOW)) == 255


@pytest.mark.parametrize("name", ["ab", "a b c", "x" * 256, "a/b/c"])
def test_a_name_that_no_table_can_have_is_refused_before_any_call(
    dynamodb: Any, wire: Wire, passing: FakeTime, name: str
) -> None:
    with pytest.raises(InputError):
        new_tables.restore(
            dynamodb,
            Source("jobs", ARN),
            target_table=name,
            original=None,
            clock=passing.clock,
            report=lambda _: None,
        )
    assert wire.calls == []


def restoring(status: str, **summary: Any) -> Any:
    """Answer DescribeTable as during a restore."""
    return reply(
        Table={
            "TableName": "copy",
            "TableArn": "arn:aws:dynamodb:eu-west-1:123456789012:table/copy",
            "TableStatus": status,
            "CreationDateTime": NOW,
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "RestoreSummary": {"RestoreDateTime": NOW, "RestoreInProgress": True, **summary},
        }
    )


def test_a_lost_answer_is_recognised_by_the_table_it_left(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    arn = back_up(dynamodb)
    missing = refusal("ResourceNotFoundException")
    wire.answer("DescribeTable", missing, restoring("CREATING", SourceBackupArn=arn), table="copy")
    other = SESSION.client("dynamodb")
    lost = [True]

    def rule(name: str, asked: dict[str, Any]) -> Any:
        if name == "RestoreTableFromBackup" and lost:
            lost.pop()
            other.restore_table_from_backup(**asked)
            return cut()
        return None

    wire.rule(rule)
    assert restore(dynamodb, passing, Source("jobs", arn)).items == 3
    assert len(wire.asked("RestoreTableFromBackup")) == 2


@pytest.mark.parametrize("by_time", [False, True])
def test_an_unfinished_restore_of_the_same_source_is_picked_up(
    dynamodb: Any, wire: Wire, passing: FakeTime, by_time: bool
) -> None:
    create_table(dynamodb)
    create_table(dynamodb, "copy", items=2)
    origin = {"SourceTableArn": "arn:aws:dynamodb:eu-west-1:123456789012:table/jobs"}
    if by_time:
        source = Source("jobs", point_in_time=NOW)
    else:
        source, origin = Source("jobs", ARN), {"SourceBackupArn": ARN}
    wire.answer("DescribeTable", *[restoring("CREATING", **origin)] * 3, table="copy")
    assert restore(dynamodb, passing, source).items == 2
    assert not any(name.startswith("Restore") for name in wire.names)


def test_an_unfinished_restore_of_another_source_is_refused(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    wire.always("DescribeTable", restoring("CREATING", SourceBackupArn=ARN + "0"), table="copy")
    with pytest.raises(Refused):
        restore(dynamodb, passing, Source("jobs", ARN))


def test_a_finished_restore_of_the_same_source_is_not_touched_again(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    wire.always("DescribeTable", restoring("ACTIVE", SourceBackupArn=ARN), table="copy")
    with pytest.raises(Refused, match="restored from this very source"):
        restore(dynamodb, passing, Source("jobs", ARN))


def test_an_older_table_from_the_same_source_is_not_taken_for_a_lost_answer(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    older = restoring("ACTIVE", SourceBackupArn=ARN)
    older[1]["Table"]["CreationDateTime"] = NOW - timedelta(hours=1)
    wire.answer("DescribeTable", refusal("ResourceNotFoundException"), older, table="copy")
    wire.always("RestoreTableFromBackup", refusal("TableAlreadyExistsException"))
    with pytest.raises(Refused, match="somebody else"):
        restore(dynamodb, passing, Source("jobs", ARN))


@pytest.mark.parametrize("code", ["InvalidRestoreTimeException", "BackupNotFoundException"])
def test_a_source_that_dynamodb_does_not_accept_is_bad_input(
    dynamodb: Any, wire: Wire, passing: FakeTime, code: str
) -> None:
    create_table(dynamodb)
    for operation in ("RestoreTableToPointInTime", "RestoreTableFromBackup"):
        wire.always(operation, refusal(code, "not that one"))
    with pytest.raises(InputError, match="not that one"):
        restore(dynamodb, passing, Source("jobs", point_in_time=NOW))


def test_a_denied_restore_is_raised(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    create_table(dynamodb)
    wire.always("RestoreTableFromBackup", refusal("AccessDeniedException", "not allowed"))
    with pytest.raises(ClientError, match="not allowed"):
        restore(dynamodb, passing, Source("jobs", back_up(dynamodb)))


# Waiting


def test_a_long_restore_is_waited_for_with_growing_pauses_and_progress(
    dynamodb: Any, wire: Wire, passing: FakeTime, said: list[Progress]
) -> None:
    create_table(dynamodb)
    arn = back_up(dynamodb)
    creating = restoring("CREATING", SourceBackupArn=arn)
    wire.answer(
        "DescribeTable", refusal("ResourceNotFoundException"), *[creating] * 60, table="copy"
    )
    assert restore(dynamodb, passing, Source("jobs", arn), said=said).status == "ACTIVE"
    assert passing.sleeps == sorted(passing.sleeps)
    assert passing.sleeps[-1] == 5.0
    assert "DynamoDB is restoring copy" in texts(said)


@pytest.mark.parametrize("status", ["DELETING", "INACCESSIBLE_ENCRYPTION_CREDENTIALS"])
def test_a_restore_that_ends_badly_fails(
    dynamodb: Any, wire: Wire, passing: FakeTime, status: str
) -> None:
    create_table(dynamodb)
    arn = back_up(dynamodb)
    wire.answer(
        "DescribeTable", refusal("ResourceNotFoundException"), restoring(status), table="copy"
    )
    with pytest.raises(BackupFailed, match=f"the table is {status}") as error:
        restore(dynamodb, passing, Source("jobs", arn))
    assert error.value.exit_code == 1


def test_a_table_that_never_appears_is_a_failure(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    arn = back_up(dynamodb)
    wire.always("DescribeTable", refusal("ResourceNotFoundException"), table="copy")
    with pytest.raises(BackupFailed, match="the table is gone"):
        restore(dynamodb, passing, Source("jobs", arn))
    assert passing.seconds > backups.SETTLING


def test_interrupting_a_wait_names_the_table_and_how_to_go_on(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    arn = back_up(dynamodb)
    creating = restoring("CREATING", SourceBackupArn=arn)
    wire.answer("DescribeTable", refusal("ResourceNotFoundException"), creating, table="copy")

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    clock = replace(passing.clock, sleep=interrupt)
    with pytest.raises(Interrupted, match="goes on restoring into copy") as error:
        restore(dynamodb, passing, Source("jobs", arn), clock=clock)
    assert "--target-table copy" in error.value.next_step
    assert dynamodb.describe_table(TableName="copy")["Table"]["TableStatus"] == "ACTIVE"


# Counting


def test_every_page_is_counted(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    create_table(dynamodb)
    arn = back_up(dynamodb)
    pages = [reply(Count=2, LastEvaluatedKey={"id": {"S": str(n)}}) for n in range(3)]
    wire.answer("Scan", *pages, reply(Count=1), table="copy")
    assert restore(dynamodb, passing, Source("jobs", arn)).items == 7
    asked = [scan for scan in wire.asked("Scan") if scan["TableName"] == "copy"]
    assert [scan.get("ExclusiveStartKey") for scan in asked] == [
        None,
        {"id": {"S": "0"}},
        {"id": {"S": "1"}},
        {"id": {"S": "2"}},
    ]
    assert all(scan["Select"] == "COUNT" and scan["ConsistentRead"] for scan in asked)


def test_a_table_too_large_to_count_says_so(
    dynamodb: Any,
    wire: Wire,
    passing: FakeTime,
    said: list[Progress],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(new_tables, "PAGES_COUNTED_AT_MOST", 3)
    create_table(dynamodb)
    arn = back_up(dynamodb)
    wire.always("Scan", reply(Count=2, LastEvaluatedKey={"id": {"S": "x"}}), table="copy")
    source = Source("jobs", arn)
    restored = restore(dynamodb, passing, source, said=said)
    assert restored.items is None
    assert "copy holds more than 6 items" in texts(said)
    assert switching.explain_counts(restored, source) == "The items of copy were not counted."


def test_a_provisioned_original_is_not_read(
    dynamodb: Any, wire: Wire, passing: FakeTime, said: list[Progress]
) -> None:
    create_table(
        dynamodb,
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    )
    restored = restore(dynamodb, passing, Source("jobs", back_up(dynamodb)), said=said)
    assert (restored.items, restored.expected_items) == (3, None)
    assert {scan["TableName"] for scan in wire.asked("Scan")} == {"copy"}
    assert "slow its users down" in texts(said)


def test_an_original_that_cannot_be_read_is_no_failure(
    dynamodb: Any, wire: Wire, passing: FakeTime, said: list[Progress]
) -> None:
    create_table(dynamodb)
    wire.always("Scan", refusal("AccessDeniedException", "not allowed"), table="jobs")
    restored = restore(dynamodb, passing, Source("jobs", back_up(dynamodb)), said=said)
    assert (restored.items, restored.expected_items) == (3, None)
    assert "jobs could not be counted: not allowed" in texts(said)


# Switching over


def explain(restored: Restored, current: TableSettings | None) -> str:
    return "\n".join(
        switching.explain_switch_over(restored, current, stack="plot-palette-test", region=REGION)
    )


def test_the_steps_name_both_tables_the_stack_and_the_import(
    dynamodb: Any, passing: FakeTime
) -> None:
    create_table(dynamodb)
    restored = restore(dynamodb, passing, Source("jobs", back_up(dynamodb)))
    steps = explain(restored, settings.read_settings(dynamodb, "jobs", passing.clock))
    assert "copy the items into jobs" in steps
    assert "Every item needs id;" in steps
    assert "--import-existing-resources" in steps
    assert "--stack-name plot-palette-test" in steps
    assert steps.index("--no-deletion-protection-enabled") < steps.index("delete-table")


def test_a_table_restored_under_its_old_name_gets_what_its_template_declares(
    dynamodb: Any, passing: FakeTime
) -> None:
    create_table(dynamodb)
    arn = back_up(dynamodb)
    dynamodb.delete_table(TableName="jobs")
    declared = settings.read_declared(
        "jobs",
        {
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": "true"},
            "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
            "DeletionProtectionEnabled": True,
            "Tags": [{"Key": "Component", "Value": "Database"}],
        },
        {"Project": "plot-palette"},
    )
    restored = new_tables.restore(
        dynamodb,
        Source("jobs", arn),
        target_table="jobs",
        original=declared,
        clock=passing.clock,
        report=lambda _progress: None,
    )
    now = settings.read_settings(dynamodb, "jobs", passing.clock)
    assert now is not None
    assert now.is_pitr_on
    assert now.is_protected
    assert now.ttl_attribute == "expires_at"
    assert now.tags == {"Project": "plot-palette", "Component": "Database"}
    assert (restored.items, restored.expected_items) == (3, None)
    steps = "\n".join(
        switching.explain_switch_over(restored, declared, stack="plot-palette-test", region=REGION)
    )
    assert "nothing is to switch" in steps


def test_the_printed_commands_reach_the_same_aws(dynamodb: Any) -> None:
    lines = switching.explain_switch_over(
        Restored("arn", "copy", "ACTIVE", 1, None),
        None,
        stack="plot-palette-test",
        region=REGION,
        shell="AWS_PROFILE=blue ",
    )
    assert any("AWS_PROFILE=blue .venv/bin/python -c" in line for line in lines)
    assert any("AWS_PROFILE=blue aws dynamodb delete-table" in line for line in lines)


def test_without_a_table_in_the_stack_the_steps_begin_with_creating_it() -> None:
    steps = explain(Restored("arn", "copy", "ACTIVE", 1, None), None)
    assert "let the stack create its table" in steps


def test_the_printed_command_copies_every_item(
    dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_table(dynamodb, "copy", items=60)
    create_table(dynamodb, "jobs", items=0)
    command = switching.copy_command("copy", "jobs", REGION)
    program = command.split("'", 1)[1].rstrip("'")
    assert "'" not in program
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", SESSION)
    exec(program, {})  # the very text that an operator pastes
    assert dynamodb.scan(TableName="jobs")["Items"] == dynamodb.scan(TableName="copy")["Items"]
