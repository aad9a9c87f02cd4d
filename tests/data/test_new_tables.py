"""A restore makes a new, complete table and touches no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib.data import new_tables, switching, tables
from lib.data.sources import Source
from lib.errors import BackupFailed, InputError, Interrupted, Refused
from lib.operators import Level, Note, Progress
from tests.support.aws_fakes import FakeTime, refusal
from tests.support.dynamodb_wire import NOW, SESSION, Wire, cut, reply
from tests.support.tables import (
    ARN,
    access_to,
    create_table,
    make_backup,
    restore,
    texts,
    turn_on_everything,
)


def test_all_items_come_back_into_a_new_table(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb, items=5)
    source = Source("jobs", make_backup(dynamodb))
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


def test_ttl_is_turned_on_only_after_the_count(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    turn_on_everything(dynamodb)
    wire.calls.clear()
    restore(dynamodb, passing, Source("jobs", make_backup(dynamodb)))
    assert wire.names.index("UpdateTimeToLive") > wire.names.index("Scan")


def test_a_backup_whose_table_is_gone_is_restored_with_what_it_remembers(
    dynamodb: Any, passing: FakeTime
) -> None:
    create_table(dynamodb, items=2)
    arn = make_backup(dynamodb)
    dynamodb.delete_table(TableName="jobs")
    source = Source("jobs", arn, recorded_items=2, ttl_attribute="expires_at")
    restored = restore(dynamodb, passing, source)
    assert (restored.items, restored.expected_items) == (2, None)
    assert restored.reapplied == ("TTL on expires_at",)
    assert "the original is gone" in restored.missing[0]
    assert "recorded with about 2" in switching.explain_counts(restored, source)


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
    arn = make_backup(dynamodb)
    wire.answer(operation, refusal(code), refusal(code))
    restored = restore(dynamodb, passing, Source("jobs", arn))
    assert restored.items == 3
    assert len(restored.reapplied) == 4
    assert passing.slept == [1.0, 2.0]


def test_an_existing_table_is_never_written_over(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    create_table(dynamodb, "copy", items=1)
    source = Source("jobs", make_backup(dynamodb))
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
    arn = make_backup(dynamodb)
    wire.answer("DescribeTable", refusal("ResourceNotFoundException"), table="copy")
    with pytest.raises(Refused, match="somebody else"):
        restore(dynamodb, passing, Source("jobs", arn))


def test_the_default_name_carries_the_time(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb)
    restored = restore(dynamodb, passing, Source("jobs", make_backup(dynamodb)), target="")
    assert restored.table == "jobs-restored-20261122-093005"
    assert len(new_tables.name_target("t" * 255, NOW)) == 255


@pytest.mark.parametrize("name", ["ab", "a b c", "x" * 256, "a/b/c"])
def test_a_name_that_no_table_can_have_is_refused_before_any_call(
    dynamodb: Any, wire: Wire, passing: FakeTime, name: str
) -> None:
    with pytest.raises(InputError):
        new_tables.create_from(
            Source("jobs", ARN),
            access_to(dynamodb, passing.clock),
            target_table=name,
            original=None,
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
    arn = make_backup(dynamodb)
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
        restore(dynamodb, passing, Source("jobs", make_backup(dynamodb)))


def test_a_long_restore_is_waited_for_with_growing_pauses_and_progress(
    dynamodb: Any, wire: Wire, passing: FakeTime, said: list[Progress]
) -> None:
    create_table(dynamodb)
    arn = make_backup(dynamodb)
    creating = restoring("CREATING", SourceBackupArn=arn)
    wire.answer(
        "DescribeTable", refusal("ResourceNotFoundException"), *[creating] * 60, table="copy"
    )
    assert restore(dynamodb, passing, Source("jobs", arn), said=said).status == "ACTIVE"
    assert passing.slept == sorted(passing.slept)
    assert passing.slept[-1] == 5.0
    assert "DynamoDB is restoring copy" in "\n".join(texts(said))


@pytest.mark.parametrize("status", ["DELETING", "INACCESSIBLE_ENCRYPTION_CREDENTIALS"])
def test_a_restore_that_ends_badly_fails(
    dynamodb: Any, wire: Wire, passing: FakeTime, status: str
) -> None:
    create_table(dynamodb)
    arn = make_backup(dynamodb)
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
    arn = make_backup(dynamodb)
    wire.always("DescribeTable", refusal("ResourceNotFoundException"), table="copy")
    with pytest.raises(BackupFailed, match="the table is gone"):
        restore(dynamodb, passing, Source("jobs", arn))
    assert passing.seconds > tables.SETTLING


def test_interrupting_a_wait_names_the_table_and_how_to_go_on(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    arn = make_backup(dynamodb)
    creating = restoring("CREATING", SourceBackupArn=arn)
    wire.answer("DescribeTable", refusal("ResourceNotFoundException"), creating, table="copy")

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    clock = replace(passing.clock, sleep=interrupt)
    with pytest.raises(Interrupted, match="goes on restoring into copy") as error:
        restore(dynamodb, passing, Source("jobs", arn), clock=clock)
    assert "--target-table copy" in error.value.next_step
    assert dynamodb.describe_table(TableName="copy")["Table"]["TableStatus"] == "ACTIVE"


def test_every_page_is_counted(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    create_table(dynamodb)
    arn = make_backup(dynamodb)
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
    arn = make_backup(dynamodb)
    wire.always("Scan", reply(Count=2, LastEvaluatedKey={"id": {"S": "x"}}), table="copy")
    source = Source("jobs", arn)
    restored = restore(dynamodb, passing, source, said=said)
    assert restored.items is None
    assert "copy holds more than 6 items" in "\n".join(texts(said))
    assert switching.explain_counts(restored, source) == "The items of copy were not counted."


def test_a_provisioned_original_is_not_read(
    dynamodb: Any, wire: Wire, passing: FakeTime, said: list[Progress]
) -> None:
    create_table(
        dynamodb,
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    )
    restored = restore(dynamodb, passing, Source("jobs", make_backup(dynamodb)), said=said)
    assert (restored.items, restored.expected_items) == (3, None)
    assert {scan["TableName"] for scan in wire.asked("Scan")} == {"copy"}
    assert "slow its users down" in "\n".join(texts(said))


def test_an_original_that_cannot_be_read_is_no_failure(
    dynamodb: Any, wire: Wire, passing: FakeTime, said: list[Progress]
) -> None:
    create_table(dynamodb)
    wire.always("Scan", refusal("AccessDeniedException", "not allowed"), table="jobs")
    restored = restore(dynamodb, passing, Source("jobs", make_backup(dynamodb)), said=said)
    assert (restored.items, restored.expected_items) == (3, None)
    assert "jobs could not be counted: not allowed" in "\n".join(texts(said))


# Boundaries, and what is told


@pytest.mark.parametrize(
    ("summary", "picked_up"),
    [
        ({"RestoreDateTime": NOW + timedelta(milliseconds=999)}, True),
        ({"RestoreDateTime": NOW - timedelta(milliseconds=999)}, True),
        ({"RestoreDateTime": NOW + timedelta(seconds=1)}, False),
        ({"RestoreDateTime": NOW - timedelta(seconds=1)}, False),
        ({"SourceTableArn": "arn:aws:dynamodb:eu-west-1:123456789012:table/other"}, False),
    ],
)
def test_a_restore_to_another_moment_or_of_another_table_is_not_picked_up(
    dynamodb: Any, wire: Wire, passing: FakeTime, summary: dict[str, Any], picked_up: bool
) -> None:
    create_table(dynamodb)
    create_table(dynamodb, "copy", items=2)
    own = {"SourceTableArn": "arn:aws:dynamodb:eu-west-1:123456789012:table/jobs", **summary}
    wire.answer("DescribeTable", restoring("CREATING", **own), table="copy")
    source = Source("jobs", point_in_time=NOW)
    if picked_up:
        assert restore(dynamodb, passing, source).items == 2
    else:
        with pytest.raises(Refused, match="exists already"):
            restore(dynamodb, passing, source)


def test_a_backup_is_no_moment_and_a_table_without_a_summary_comes_from_nowhere(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    plain = restoring("CREATING")
    del plain[1]["Table"]["RestoreSummary"]
    wire.always("DescribeTable", plain, table="copy")
    for source in (Source("jobs", ARN), Source("jobs", point_in_time=NOW)):
        with pytest.raises(Refused) as caught:
            restore(dynamodb, passing, source)
        assert caught.value.message == (
            "Table copy exists already in eu-west-1; a restore never writes over a table."
        )
        assert caught.value.next_step == (
            "Give another --target-table, or leave it out for a new name."
        )


@pytest.mark.parametrize(("minutes", "ours"), [(5, True), (5.02, False), (-1, True)])
def test_a_table_counts_as_this_run_s_when_it_is_no_older_than_clocks_may_differ(
    dynamodb: Any, wire: Wire, passing: FakeTime, minutes: float, ours: bool
) -> None:
    create_table(dynamodb, "copy", items=1)
    made = restoring("ACTIVE", SourceBackupArn=ARN)
    made[1]["Table"]["CreationDateTime"] = NOW - timedelta(minutes=minutes)
    wire.answer("DescribeTable", refusal("ResourceNotFoundException"), made, table="copy")
    wire.always("RestoreTableFromBackup", refusal("TableAlreadyExistsException"))
    if ours:
        assert restore(dynamodb, passing, Source("jobs", ARN)).items == 1
    else:
        with pytest.raises(Refused) as caught:
            restore(dynamodb, passing, Source("jobs", ARN))
        assert caught.value.next_step == "Give another --target-table."


def test_a_table_of_another_source_is_not_taken_for_a_lost_answer(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    other = restoring("ACTIVE", SourceBackupArn=ARN + "0")
    wire.answer("DescribeTable", refusal("ResourceNotFoundException"), other, table="copy")
    wire.always("RestoreTableFromBackup", refusal("TableAlreadyExistsException"))
    with pytest.raises(Refused, match="copy was created by somebody else meanwhile"):
        restore(dynamodb, passing, Source("jobs", ARN))


def test_a_restore_says_what_goes_where_before_it_begins(
    dynamodb: Any, passing: FakeTime, said: list[Progress]
) -> None:
    create_table(dynamodb)
    arn = make_backup(dynamodb)
    restored = restore(dynamodb, passing, Source("jobs", arn), said=said)
    assert texts(said)[0] == f"Restoring {arn} into the new table copy."
    assert restored.source == arn


def test_progress_is_told_every_thirty_seconds(
    dynamodb: Any, wire: Wire, passing: FakeTime, said: list[Progress]
) -> None:
    create_table(dynamodb)
    arn = make_backup(dynamodb)
    creating = restoring("CREATING", SourceBackupArn=arn)
    missing = refusal("ResourceNotFoundException")
    wire.answer("DescribeTable", missing, *[creating] * 60, table="copy")
    restore(dynamodb, passing, Source("jobs", arn), said=said)
    told = [text for text in texts(said) if "is restoring" in text]
    # At the first look after thirty seconds, and at the first after thirty more.
    assert told == [f"DynamoDB is restoring copy, {seconds} s so far." for seconds in (31, 65)]


def test_a_table_that_appears_late_is_waited_for(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    arn = make_backup(dynamodb)
    wire.answer("DescribeTable", *[refusal("ResourceNotFoundException")] * 10, table="copy")
    assert restore(dynamodb, passing, Source("jobs", arn)).status == "ACTIVE"


@pytest.mark.parametrize("status", ["DELETING", "gone"])
def test_a_restore_that_fails_says_how_to_begin_again(
    dynamodb: Any, wire: Wire, passing: FakeTime, status: str
) -> None:
    create_table(dynamodb)
    arn = make_backup(dynamodb)
    missing = refusal("ResourceNotFoundException")
    answers = [missing, restoring(status)] if status != "gone" else [missing] * 1000
    wire.answer("DescribeTable", *answers, table="copy")
    with pytest.raises(BackupFailed) as caught:
        restore(dynamodb, passing, Source("jobs", arn))
    assert caught.value.message == f"The restore into copy failed: the table is {status}."
    assert caught.value.next_step == "Start the restore again with another --target-table."


def test_the_original_is_counted_as_cheaply_as_can_be(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb)
    restore(dynamodb, passing, Source("jobs", make_backup(dynamodb)))
    asked = {scan["TableName"]: scan["ConsistentRead"] for scan in wire.asked("Scan")}
    assert asked == {"copy": True, "jobs": False}


def test_a_long_count_is_told_and_a_count_given_up_is_a_warning(
    dynamodb: Any, wire: Wire, passing: FakeTime, said: list[Progress]
) -> None:
    create_table(dynamodb)
    arn = make_backup(dynamodb)

    def slow(name: str, asked: dict[str, Any]) -> Any:
        if name == "Scan" and asked["TableName"] == "copy":
            passing.seconds += 20
            return (
                reply(Count=2, LastEvaluatedKey={"id": {"S": "x"}})
                if passing.seconds < 130
                else (reply(Count=1))
            )
        return None

    wire.rule(slow)
    restore(dynamodb, passing, Source("jobs", arn), said=said)
    told = [text for text in texts(said) if text.startswith("Counting")]
    assert told[0] == "Counting copy: 4 items so far."
    assert len(told) == 3
    wire.always("Scan", refusal("AccessDeniedException", "no"), table="jobs")
    restore(dynamodb, passing, Source("jobs", arn), target="another", said=said)
    assert Note("jobs could not be counted: no", Level.WARNING) in said


def test_ctrl_c_says_where_dynamodb_goes_on_and_what_may_be_missing() -> None:
    error = new_tables._describe_interruption("copy", "eu-west-1")
    assert error.message == (
        "Interrupted: DynamoDB goes on restoring into copy in eu-west-1. Its TTL, tags, "
        "point-in-time recovery and deletion protection may be missing."
    )
    assert "--table-name copy --region eu-west-1" in error.next_step
    assert error.details == {"table": "copy", "region": "eu-west-1"}


@pytest.mark.parametrize("code", ["InvalidRestoreTimeException", "BackupNotFoundException"])
def test_a_source_that_is_not_accepted_is_named_with_what_to_choose(
    dynamodb: Any, wire: Wire, passing: FakeTime, code: str
) -> None:
    wire.always("RestoreTableFromBackup", refusal(code, "not that one"))
    with pytest.raises(InputError) as caught:
        restore(dynamodb, passing, Source("jobs", ARN))
    assert caught.value.message == f"DynamoDB cannot restore {ARN}: not that one"
    assert caught.value.next_step == "Choose another --point-in-time or --backup."


def test_a_strange_name_says_what_a_name_is_made_of(dynamodb: Any, passing: FakeTime) -> None:
    with pytest.raises(InputError) as caught:
        restore(dynamodb, passing, Source("jobs", ARN), target="a b c")
    assert caught.value.message.startswith("'a b c' cannot be a table's name.")
    assert "3 to 255 letters" in caught.value.next_step


def test_a_name_is_cut_so_that_the_time_stays() -> None:
    assert new_tables.name_target("t" * 230, NOW) == "t" * 230 + "-restored-20261122-093005"
    assert new_tables.name_target("t" * 300, NOW).endswith("tt-restored-20261122-093005")
    local = NOW.astimezone(timezone(timedelta(hours=5)))
    assert new_tables.name_target("jobs", local) == "jobs-restored-20261122-093005"
