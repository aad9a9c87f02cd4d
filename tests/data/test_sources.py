"""The backup or moment that an operator means is found, or it is said why not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib.data import catalogue, sources
from lib.data.sources import Source
from lib.errors import InputError, Refused
from lib.operators import Level, Note, Progress
from tests.support import factories
from tests.support.aws_fakes import FakeTime, refusal
from tests.support.dynamodb_wire import NOW, Wire, reply
from tests.support.tables import ARN, access_to, create_table, make_backup, resource, texts

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
    switched: str = "",
) -> Source:
    return sources.choose_source(
        factories.job(),
        access_to(dynamodb, passing.clock, said),
        RESOURCES,
        backup=backup,
        table=table,
        point_in_time=point_in_time,
        switched=switched,
    )


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
    assert sources.physical_name(RESOURCES, asked) == found


def test_a_logical_id_of_several_tables_lists_their_paths() -> None:
    with pytest.raises(InputError) as error:
        sources.physical_name(RESOURCES, "QueueTable")
    assert error.value.problems == (
        "DatabaseStack/QueueTable (queue)",
        "OtherStack/QueueTable (other-queue)",
    )


def test_a_name_that_no_table_can_have_lists_the_tables() -> None:
    with pytest.raises(InputError) as error:
        sources.physical_name(RESOURCES, "NoStack/JobsTable")
    assert "DatabaseStack/JobsTable (jobs)" in error.value.problems


def test_neither_backup_nor_table_is_refused(dynamodb: Any, passing: FakeTime) -> None:
    with pytest.raises(InputError, match="--backup ARN_OR_NAME"):
        choose(dynamodb, passing)


def test_a_backup_and_a_time_exclude_each_other(dynamodb: Any, passing: FakeTime) -> None:
    with pytest.raises(InputError, match="exclude each other"):
        choose(dynamodb, passing, backup=ARN, point_in_time="2026-11-22")


def test_a_backup_is_chosen_by_arn_or_name(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb)
    arn = make_backup(dynamodb)
    by_arn = choose(dynamodb, passing, backup=arn)
    by_name = choose(dynamodb, passing, backup=catalogue.name_for("staging", "jobs", NOW))
    assert by_arn == by_name
    assert (by_arn.table, by_arn.backup_arn, str(by_arn)) == ("jobs", arn, arn)


def test_a_name_of_several_backups_lists_their_arns(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb)
    arns = [make_backup(dynamodb), make_backup(dynamodb)]
    with pytest.raises(InputError) as error:
        choose(dynamodb, passing, backup=catalogue.name_for("staging", "jobs", NOW))
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
        choose(dynamodb, passing, backup=make_backup(dynamodb), table="other")


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
    make_backup(dynamodb, days_ago=2)
    newest = make_backup(dynamodb, days_ago=1)
    dynamodb.create_backup(TableName="jobs", BackupName="nightly")
    assert choose(dynamodb, passing, table="JobsTable").backup_arn == newest


def test_a_replaced_table_offers_the_backups_of_its_predecessor(
    dynamodb: Any, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    create_table(dynamodb, "plot-Database-1X-JobsTable-9Z")
    create_table(dynamodb, "plot-Database-1X-OldJobsTable-9Z")
    before = make_backup(dynamodb, "plot-Database-1X-JobsTable-9Z")
    make_backup(dynamodb, "plot-Database-1X-OldJobsTable-9Z")
    with pytest.raises(InputError, match="no complete backup of jobs for staging") as error:
        choose(dynamodb, passing, table="JobsTable")
    assert len(error.value.problems) == 1
    assert before in error.value.problems[0]


@pytest.mark.parametrize(
    "text", ["2026-11-22T10:30:00+01:00", "2026-11-22T09:30:00Z", " 2026-11-22T09:30:00.75Z "]
)
def test_a_time_with_a_zone_is_read_as_it_stands(text: str, said: list[Progress]) -> None:
    assert sources.read_moment(text, said.append) == datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    assert said == []


def test_a_time_without_a_zone_is_utc_and_that_is_said(said: list[Progress]) -> None:
    moment = sources.read_moment("2026-11-22T09:30:00", said.append)
    assert moment == datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    assert "taken as UTC" in "\n".join(texts(said))


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
    arn = make_backup(dynamodb)
    dynamodb.delete_table(TableName="jobs")
    with pytest.raises(InputError, match="give --backup") as error:
        choose(dynamodb, passing, table="jobs", point_in_time="2026-11-22T09:00:00Z")
    assert arn in error.value.message


# What a refusal leads to


def refused(dynamodb: Any, passing: FakeTime, **asked: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        choose(dynamodb, passing, **asked)
    return caught.value


def test_each_refusal_names_what_to_give_instead(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    both = refused(dynamodb, passing, backup=ARN, point_in_time="2026-11-22")
    assert both.next_step == "Give --backup alone, or --table with --point-in-time."
    none = refused(dynamodb, passing)
    assert none.next_step.endswith("--table NAME with or without --point-in-time ISO8601.")
    several = refused(dynamodb, passing, table="QueueTable")
    assert several.message.startswith("QueueTable stands for several tables.")
    assert several.next_step == "Give one of these paths as --table."
    assert wire.calls == []
    strange = refused(dynamodb, passing, table="No/Table")
    assert strange.problems == (
        "DatabaseStack/JobsTable (jobs)",
        "DatabaseStack/QueueTable (queue)",
        "OtherStack/QueueTable (other-queue)",
    )
    assert strange.next_step.startswith("Give --table with a logical ID")
    unreadable = refused(dynamodb, passing, table="jobs", point_in_time="soon")
    assert "2026-11-22T08:30:00Z" in unreadable.next_step


def test_a_resource_that_is_no_table_or_was_never_made_is_not_found() -> None:
    others = (
        resource("JobsTable", "bucket", "AWS::S3::Bucket"),
        resource("Data/JobsTable", "", "AWS::DynamoDB::Table"),
    )
    assert sources.physical_name(others, "JobsTable") == "JobsTable"


def test_a_physical_name_goes_before_a_logical_id() -> None:
    confusing = (resource("A", "B"), resource("B", "A"))
    assert sources.physical_name(confusing, "A") == "A"


def test_a_path_is_found_although_its_end_stands_for_several() -> None:
    nested = (resource("Queue", "one"), resource("Data/Queue", "two"))
    assert sources.physical_name(nested, "Queue") == "one"
    assert sources.physical_name(nested, "Data/Queue") == "two"


def test_a_backup_by_name_is_looked_for_among_those_of_its_table_and_of_every_type(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    make_backup(dynamodb)
    name = catalogue.name_for("staging", "jobs", NOW)
    choose(dynamodb, passing, backup=name, table="JobsTable")
    choose(dynamodb, passing, backup=name)
    first, second = wire.asked("ListBackups")
    assert (first["TableName"], first["BackupType"]) == ("jobs", "ALL")
    assert "TableName" not in second


def test_a_deleted_backup_is_not_found_by_its_name(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    gone = {"BackupArn": ARN, "BackupName": "nightly", "BackupStatus": "DELETED"}
    wire.always("ListBackups", reply(BackupSummaries=[gone]))
    found = refused(dynamodb, passing, backup="nightly")
    assert found.message == "There is no backup named nightly in eu-west-1."
    assert "aws dynamodb list-backups --backup-type ALL" in found.next_step


def test_backups_of_one_name_are_told_apart_by_arn_table_and_time(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    rows = [
        {"BackupArn": f"arn:{n}", "BackupName": "nightly", "TableName": n, "BackupStatus": "X"}
        for n in ("a", "b")
    ]
    wire.always("ListBackups", reply(BackupSummaries=rows))
    found = refused(dynamodb, passing, backup="nightly")
    assert found.message.startswith("2 backups are named nightly in eu-west-1.")
    assert found.problems == ("arn:a (a, None)", "arn:b (b, None)")
    assert found.next_step == "Give the ARN of one as --backup."


def test_what_stands_in_the_way_of_a_backup_is_told_with_its_way_out(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    elsewhere = ARN.replace("eu-west-1", "us-east-1")
    found = refused(dynamodb, passing, backup=elsewhere)
    assert found.message == f"Backup {elsewhere} lies in us-east-1, not in eu-west-1."
    gone = refused(dynamodb, passing, backup=ARN)
    assert gone.message.startswith(f"There is no backup {ARN}: ")
    assert "list-backups" in gone.next_step
    create_table(dynamodb)
    other = refused(dynamodb, passing, backup=make_backup(dynamodb), table="other")
    assert other.next_step == "Leave --table out, or choose a backup of that table."
    wire.always("DescribeBackup", reply(BackupDescription={}))
    with pytest.raises(Refused) as caught:
        choose(dynamodb, passing, backup=ARN)
    assert caught.value.message == (
        f"Backup {ARN} is in no known state; only an AVAILABLE one restores."
    )
    assert f"describe-backup --backup-arn {ARN}" in caught.value.next_step


@pytest.mark.parametrize("operation", ["DescribeBackup", "ListBackups"])
def test_each_look_for_a_backup_is_repeated_while_aws_is_busy(
    dynamodb: Any, wire: Wire, passing: FakeTime, operation: str
) -> None:
    create_table(dynamodb)
    arn = make_backup(dynamodb)
    wire.answer(operation, refusal("ThrottlingException"))
    assert choose(dynamodb, passing, table="jobs").backup_arn == arn
    name = catalogue.name_for("staging", "jobs", NOW)
    wire.answer("ListBackups", refusal("ThrottlingException"))
    assert choose(dynamodb, passing, backup=name).backup_arn == arn


def test_a_table_s_own_backup_counts_only_when_it_is_complete_and_of_this_environment(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    older, newer = make_backup(dynamodb, days_ago=2), make_backup(dynamodb, days_ago=1)

    def listed(parsed: dict[str, Any], **_: Any) -> None:
        for entry in parsed["BackupSummaries"]:
            if entry["BackupArn"] == newer:
                entry["BackupStatus"] = "CREATING"

    dynamodb.meta.events.register("after-call.dynamodb.ListBackups", listed)
    assert choose(dynamodb, passing, table="jobs").backup_arn == older
    assert wire.asked("ListBackups")[0] == {"BackupType": "USER", "TableName": "jobs"}


def test_where_there_is_no_own_backup_the_five_newest_that_may_be_meant_are_offered(
    dynamodb: Any, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    create_table(dynamodb, "other")
    dynamodb.create_backup(TableName="other", BackupName="theirs")
    arns = []
    for number in range(7):
        made = dynamodb.create_backup(TableName="jobs", BackupName=f"nightly-{number}")
        arns.append(made["BackupDetails"]["BackupArn"])
    found = refused(dynamodb, passing, table="DatabaseStack/JobsTable")
    assert len(found.problems) == 5
    assert {one.rpartition(": ")[2] for one in found.problems} <= set(arns)
    assert all(one.startswith("of jobs, ") for one in found.problems)
    flags = factories.job().flags
    newest = found.problems[0].rpartition(": ")[2]
    assert found.next_step == f"inv restore --backup {newest} {flags}"
    switched = refused(dynamodb, passing, table="jobs", switched="DatabaseStack/JobsTable")
    assert switched.next_step == (
        f"inv restore --switch --table DatabaseStack/JobsTable --backup {newest} {flags}"
    )


def test_a_table_that_was_switched_in_offers_the_backups_of_the_one_before(
    dynamodb: Any, passing: FakeTime
) -> None:
    old = "plot-Database-1X-JobsTable-9Z"
    create_table(dynamodb, "jobs-2")
    create_table(dynamodb, old)
    arn = dynamodb.create_backup(TableName=old, BackupName="nightly")["BackupDetails"]["BackupArn"]
    found = refused(dynamodb, passing, table="jobs-2", switched="DatabaseStack/JobsTable")
    assert [one.rpartition(": ")[2] for one in found.problems] == [arn]
    assert f"--switch --table DatabaseStack/JobsTable --backup {arn}" in found.next_step


@pytest.mark.parametrize(
    ("switched", "command"),
    [("", "inv restore --table jobs"), ("A/Jobs", "inv restore --switch --table A/Jobs")],
)
def test_without_any_backup_the_latest_moment_is_offered_or_a_backup_made_now(
    dynamodb: Any, wire: Wire, passing: FakeTime, switched: str, command: str
) -> None:
    create_table(dynamodb, "jobs")
    flags = factories.job().flags
    found = refused(dynamodb, passing, table="jobs", switched=switched)
    assert found.next_step == f"inv backup {flags} makes one of the table as it is now"
    set_window(wire, NOW - timedelta(days=1), NOW)
    found = refused(dynamodb, passing, table="jobs", switched=switched)
    assert found.next_step == f"{command} --point-in-time 2026-11-22T09:30:05Z {flags}"


def test_a_window_that_is_empty_as_yet_offers_no_moment(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    set_window(wire, NOW, NOW - timedelta(seconds=1))
    assert refused(dynamodb, passing, table="jobs").next_step.startswith("inv backup ")


def test_of_a_table_that_is_gone_without_a_backup_the_backups_there_are_can_be_listed(
    dynamodb: Any, passing: FakeTime
) -> None:
    found = refused(dynamodb, passing, table="jobs")
    assert found.next_step == (
        "aws dynamodb list-backups --backup-type ALL --region eu-west-1 shows those that exist"
    )


def test_the_ways_out_of_a_moment_that_cannot_be_had_are_told(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    gone = refused(dynamodb, passing, table="jobs", point_in_time="2026-11-22T09:00:00Z")
    assert gone.message.startswith("There is no table jobs in eu-west-1 to go back in time with.")
    assert gone.next_step.endswith("kept for 35 days.")
    create_table(dynamodb)
    off = refused(dynamodb, passing, table="jobs", point_in_time="2026-11-22T09:00:00Z")
    assert off.next_step == "Restore a backup: `inv restore --table jobs`."
    set_window(wire, NOW - timedelta(hours=2), NOW - timedelta(hours=1))
    late = refused(dynamodb, passing, table="jobs", point_in_time=NOW.isoformat())
    assert late.message.startswith(
        "2026-11-22T09:30:05Z lies outside the times that jobs can go back to: "
    )
    assert late.next_step == "Give a --point-in-time within them."


def test_a_time_without_a_zone_is_warned_of(said: list[Progress]) -> None:
    sources.read_moment("2026-11-22T09:30:00", said.append)
    assert said == [
        Note("2026-11-22T09:30:00 names no time zone and is taken as UTC.", Level.WARNING)
    ]


def test_a_source_says_its_time_in_utc() -> None:
    local = NOW.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    assert str(Source("jobs", point_in_time=local)) == f"jobs at {NOW.isoformat()}"
