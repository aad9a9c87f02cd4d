"""Every table is backed up and proven, whatever AWS answers, and only own backups are pruned."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.stub import Stubber
from moto import mock_aws

from lib.data import backups
from lib.data.backups import Backup, BackupRun, Failed
from lib.errors import BackupFailed, InputError, Interrupted
from lib.operators import Level, Note, Progress
from lib.polling import PATIENCE
from lib.stacks.stacks import StackResource
from tests.support.dynamodb_wire import NOW, REGION, SESSION, FakeTime, Wire, cut, refusal, reply

STAMP = "20261122-093005"


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        yield connect()


def connect() -> Any:
    return SESSION.client("dynamodb")


@pytest.fixture
def wire(dynamodb: Any) -> Wire:
    return Wire(dynamodb)


@pytest.fixture
def passing() -> FakeTime:
    return FakeTime()


def create_table(dynamodb: Any, name: str) -> str:
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    return name


def back_up(
    dynamodb: Any, passing: FakeTime, *tables: str, said: list[Progress] | None = None
) -> BackupRun:
    return backups.back_up(
        dynamodb,
        tables,
        environment="staging",
        clock=passing.clock,
        report=(said if said is not None else []).append,
    )


def texts(said: list[Progress]) -> list[str]:
    return [note.text for note in said if isinstance(note, Note)]


def resource(path: str, kind: str, physical: str, status: str = "CREATE_COMPLETE") -> StackResource:
    return StackResource(
        path=path,
        logical_id=path.rsplit("/", 1)[-1],
        physical_id=physical,
        type=kind,
        status=status,
        reason="",
        stack_id="stack",
    )


# Names


def test_a_name_carries_environment_stamp_and_table() -> None:
    name = backups.name_for("staging", "jobs", NOW)
    assert name == f"plot-palette-staging-{STAMP}-jobs"


def test_the_stamp_is_utc() -> None:
    local = NOW.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    assert STAMP in backups.name_for("staging", "jobs", local)


@pytest.mark.parametrize("length", [1, 217, 218, 219, 255])
def test_a_long_name_is_cut_to_255_characters_and_keeps_its_stamp(length: int) -> None:
    name = backups.name_for("staging", "t" * length, NOW)
    assert len(name) <= 255
    assert name.startswith(f"plot-palette-staging-{STAMP}-t")


def test_long_tables_that_differ_only_at_their_end_get_different_names() -> None:
    first, second = (backups.name_for("staging", "t" * 254 + end, NOW) for end in "ab")
    assert first != second


@pytest.mark.parametrize(
    ("name", "table", "own"),
    [
        (f"plot-palette-staging-{STAMP}-jobs", "jobs", True),
        (backups.name_for("staging", "t" * 255, NOW), "t" * 255, True),
        (f"plot-palette-staging-{STAMP}-jobs", "queue", False),
        (f"plot-palette-staging-{STAMP}-jobs-copy", "jobs", False),
        (f"plot-palette-production-{STAMP}-jobs", "jobs", False),
        (f"plot-palette-staging-2-{STAMP}-jobs", "jobs", False),
        ("plot-palette-staging-20261399-093005-jobs", "jobs", False),
        ("plot-palette-staging-before-migration-jobs", "jobs", False),
        ("nightly", "jobs", False),
    ],
)
def test_only_the_exact_name_makes_a_backup_our_own(name: str, table: str, own: bool) -> None:
    backup = Backup(table, "arn", name, 0, "AVAILABLE")
    assert backups.is_own(backup, "staging") is own


# Tables of a stack


def test_tables_are_found_anywhere_in_the_tree() -> None:
    found = backups.find_tables(
        [
            resource("DatabaseStack", "AWS::CloudFormation::Stack", "arn:child"),
            resource("Bucket", "AWS::S3::Bucket", "bucket"),
            resource("DatabaseStack/JobsTable", "AWS::DynamoDB::Table", "jobs"),
            resource("A/B/World", "AWS::DynamoDB::GlobalTable", "world"),
            resource("DatabaseStack/Same", "AWS::DynamoDB::Table", "jobs"),
        ]
    )
    assert found == ("jobs", "world")


def test_tables_that_were_never_created_are_left_out() -> None:
    found = backups.find_tables(
        [
            resource("A", "AWS::DynamoDB::Table", "", "CREATE_IN_PROGRESS"),
            resource("B", "AWS::DynamoDB::Table", "b", "CREATE_FAILED"),
            resource("C", "AWS::DynamoDB::Table", "c", "UPDATE_FAILED"),
        ]
    )
    assert found == ("c",)


def test_a_tree_without_tables_is_an_error_that_names_stack_and_region() -> None:
    with pytest.raises(
        BackupFailed, match=r"stack plot in eu-west-1.*nothing was backed up"
    ) as error:
        backups.require_tables([resource("B", "AWS::S3::Bucket", "b")], "plot", REGION)
    assert error.value.exit_code == 1


def test_the_tables_of_a_tree_that_has_some_are_returned() -> None:
    tables = [resource("DatabaseStack/JobsTable", "AWS::DynamoDB::Table", "jobs")]
    assert backups.require_tables(tables, "plot", REGION) == ("jobs",)


# A run


def test_every_backup_is_available_and_described(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    tables = [create_table(dynamodb, name) for name in ("jobs", "queue", "costs")]
    run = back_up(dynamodb, passing, *tables)
    assert [backup.table for backup in run.backups] == tables
    assert run.failed == run.duplicates == ()
    for backup in run.backups:
        held = dynamodb.describe_backup(BackupArn=backup.arn)["BackupDescription"]["BackupDetails"]
        assert held["BackupName"] == backup.name == f"plot-palette-staging-{STAMP}-{backup.table}"
        assert (backup.bytes, backup.status) == (held["BackupSizeBytes"], "AVAILABLE")
    assert passing.sleeps == []


def test_a_document_has_the_promised_keys() -> None:
    backup = Backup("jobs", "arn:1", "name", 12, "AVAILABLE")
    assert backups.as_document(backup) == {
        "table": "jobs",
        "arn": "arn:1",
        "name": "name",
        "bytes": 12,
    }


def test_no_table_makes_no_call(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    assert back_up(dynamodb, passing) == BackupRun(())
    assert wire.calls == []


def test_a_table_named_twice_is_backed_up_once(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    assert len(back_up(dynamodb, passing, "jobs", "jobs").backups) == 1
    assert wire.count("CreateBackup") == 1


def test_150_tables_take_few_listings_and_stay_under_the_limit(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    tables = [create_table(dynamodb, f"table-{number:03}") for number in range(150)]
    wire.calls.clear()
    run = back_up(dynamodb, passing, *tables)
    assert passing.seconds < 5
    assert [backup.table for backup in run.backups] == tables
    calls = Counter(name for name, _ in wire.calls)
    assert calls == {"CreateBackup": 150, "DescribeBackup": 150, "ListBackups": 3}
    in_flight = highest = 0
    for name, _ in wire.calls:
        in_flight += {"CreateBackup": 1, "DescribeBackup": -1}.get(name, 0)
        highest = max(highest, in_flight)
    assert highest <= backups.BACKUPS_IN_FLIGHT


def test_calls_are_made_on_a_bounded_number_of_threads(dynamodb: Any, passing: FakeTime) -> None:
    tables = [create_table(dynamodb, f"table-{number}") for number in range(30)]
    busy: list[int] = []
    highest: list[int] = []

    def hold_on(**_: Any) -> None:
        busy.append(1)
        highest.append(len(busy))
        time.sleep(0.02)
        busy.pop()

    dynamodb.meta.events.register("before-call.dynamodb.CreateBackup", hold_on)
    back_up(dynamodb, passing, *tables)
    assert 1 < max(highest) <= backups.PARALLEL_CALLS


def make_slow(dynamodb: Any, looks: int) -> None:
    """Let every backup be CREATING for that many listings."""
    seen = Counter[str]()

    def listed(parsed: dict[str, Any], **_: Any) -> None:
        for entry in parsed.get("BackupSummaries", []):
            seen[entry["BackupArn"]] += 1
            if seen[entry["BackupArn"]] <= looks:
                entry["BackupStatus"] = "CREATING"

    dynamodb.meta.events.register("after-call.dynamodb.ListBackups", listed)


def test_a_backup_that_is_creating_is_waited_for_with_growing_pauses(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    make_slow(dynamodb, looks=40)
    said: list[Progress] = []
    run = back_up(dynamodb, passing, "jobs", said=said)
    assert len(run.backups) == 1
    assert wire.count("ListBackups") == 41
    assert wire.count("DescribeBackup") == 1
    assert passing.sleeps == sorted(passing.sleeps)
    assert passing.sleeps[0] == pytest.approx(0.1)
    assert passing.sleeps[-1] > 0.1
    assert texts(said)[0] == "0 of 1 tables are backed up."
    assert texts(said)[-1] == "1 of 1 tables are backed up."


def test_backups_that_take_long_are_started_only_as_others_end(
    dynamodb: Any, wire: Wire, passing: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "BACKUPS_IN_FLIGHT", 5)
    tables = [create_table(dynamodb, f"table-{number}") for number in range(12)]
    make_slow(dynamodb, looks=3)
    assert len(back_up(dynamodb, passing, *tables).backups) == 12
    in_flight = highest = 0
    for name, _ in wire.calls:
        in_flight += {"CreateBackup": 1, "DescribeBackup": -1}.get(name, 0)
        highest = max(highest, in_flight)
    assert highest == 5


def test_a_backup_listed_as_complete_counts_only_once_described_as_such(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    states = iter(["CREATING", "CREATING", "AVAILABLE"])

    def described(parsed: dict[str, Any], **_: Any) -> None:
        parsed["BackupDescription"]["BackupDetails"]["BackupStatus"] = next(states)

    dynamodb.meta.events.register("after-call.dynamodb.DescribeBackup", described)
    assert back_up(dynamodb, passing, "jobs").backups[0].status == "AVAILABLE"
    assert wire.count("DescribeBackup") == 3


def test_a_backup_that_never_completes_is_given_up_and_named(
    dynamodb: Any, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    make_slow(dynamodb, looks=10**6)
    run = back_up(dynamodb, passing, "jobs")
    assert run.backups == ()
    assert "still not AVAILABLE after 60 minutes" in run.failed[0].reason
    assert "backup/" in run.failed[0].reason


def test_a_backup_deleted_meanwhile_is_a_failure(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")

    def described(parsed: dict[str, Any], **_: Any) -> None:
        parsed["BackupDescription"]["BackupDetails"]["BackupStatus"] = "DELETED"

    dynamodb.meta.events.register("after-call.dynamodb.DescribeBackup", described)
    assert "was deleted" in back_up(dynamodb, passing, "jobs").failed[0].reason


def test_a_backup_not_found_at_first_is_asked_for_again(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    wire.answer("ListBackups", reply(BackupSummaries=[]))
    wire.answer("DescribeBackup", refusal("BackupNotFoundException"))
    assert len(back_up(dynamodb, passing, "jobs").backups) == 1


def test_a_backup_that_stays_unknown_is_a_failure(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    wire.always("DescribeBackup", refusal("BackupNotFoundException", "Backup not found"))
    reason = back_up(dynamodb, passing, "jobs").failed[0].reason
    assert "BackupNotFoundException: Backup not found" in reason
    assert backups.SETTLING < passing.seconds < 2 * backups.SETTLING


PASSING = {
    "throttled": refusal("ThrottlingException"),
    "aws-fault": refusal("InternalServerError", status=500),
    "cut": cut(),
}
BUSY = {
    "limit": refusal("LimitExceededException"),
    "table-in-use": refusal("TableInUseException"),
    "backup-in-use": refusal("BackupInUseException"),
    "new-table": refusal("ContinuousBackupsUnavailableException"),
}


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        *(pytest.param("CreateBackup", answer, id=name) for name, answer in BUSY.items()),
        *(
            pytest.param(operation, answer, id=f"{operation}-{name}")
            for operation in ("CreateBackup", "ListBackups", "DescribeBackup")
            for name, answer in PASSING.items()
        ),
    ],
)
def test_a_passing_refusal_is_waited_out(
    dynamodb: Any, wire: Wire, passing: FakeTime, operation: str, answer: Any
) -> None:
    for name in ("jobs", "queue"):
        create_table(dynamodb, name)
    wire.answer(operation, answer, answer)
    run = back_up(dynamodb, passing, "jobs", "queue")
    assert [backup.table for backup in run.backups] == ["jobs", "queue"]
    assert len(dynamodb.list_backups()["BackupSummaries"]) == 2
    assert passing.sleeps


def test_a_throttled_table_does_not_hold_up_the_others(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    for name in ("jobs", "queue"):
        create_table(dynamodb, name)
    wire.answer("CreateBackup", *[refusal("ThrottlingException")] * 3, table="jobs")
    assert len(back_up(dynamodb, passing, "jobs", "queue").backups) == 2
    order = [asked.get("TableName") for name, asked in wire.calls if name == "CreateBackup"]
    assert order[-1] == "jobs"
    assert passing.sleeps == [1.0, 2.0, 4.0]


def test_a_refusal_that_does_not_pass_ends_in_a_failure_after_all_patience(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    wire.always("CreateBackup", refusal("LimitExceededException", "Too many backups"))
    run = back_up(dynamodb, passing, "jobs")
    assert run.failed == (Failed("jobs", "LimitExceededException: Too many backups"),)
    assert PATIENCE <= passing.seconds < PATIENCE + 60


def test_one_failure_backs_up_the_rest_and_names_the_failed(
    dynamodb: Any, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    create_table(dynamodb, "queue")
    said: list[Progress] = []
    run = back_up(dynamodb, passing, "jobs", "gone", "queue", said=said)
    assert [backup.table for backup in run.backups] == ["jobs", "queue"]
    assert [failed.table for failed in run.failed] == ["gone"]
    assert "TableNotFoundException" in run.failed[0].reason
    assert any(note.level is Level.WARNING for note in said if isinstance(note, Note))
    with pytest.raises(BackupFailed, match=r"1 of 3 tables.*\n  - gone: TableNotFound") as error:
        backups.require_complete(run)
    assert [one["table"] for one in error.value.details["backups"]] == ["jobs", "queue"]  # type: ignore[attr-defined]


def test_a_complete_run_raises_nothing(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb, "jobs")
    backups.require_complete(back_up(dynamodb, passing, "jobs"))


# Lost answers


def reach_then_cut(wire: Wire, times: int = 1) -> None:
    """Let CreateBackup reach the server and lose its answer."""
    other = connect()
    left = [None] * times

    def rule(name: str, asked: dict[str, Any]) -> Any:
        if name == "CreateBackup" and left:
            left.pop()
            other.create_backup(**asked)
            return cut()
        return None

    wire.rule(rule)


def test_a_lost_answer_does_not_make_a_second_backup(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    reach_then_cut(wire)
    run = back_up(dynamodb, passing, "jobs")
    held = dynamodb.list_backups()["BackupSummaries"]
    assert [entry["BackupArn"] for entry in held] == [run.backups[0].arn]
    assert wire.count("CreateBackup") == 1


def test_a_request_that_never_arrived_is_made_again(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    wire.answer("CreateBackup", cut())
    assert len(back_up(dynamodb, passing, "jobs").backups) == 1
    assert wire.count("CreateBackup") == 2


def test_a_second_backup_made_below_us_is_named(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb, "jobs")
    # As when botocore repeats a CreateBackup by itself whose answer it did not get.
    first = dynamodb.create_backup(
        TableName="jobs", BackupName=backups.name_for("staging", "jobs", NOW)
    )["BackupDetails"]["BackupArn"]
    said: list[Progress] = []
    run = back_up(dynamodb, passing, "jobs", said=said)
    assert run.duplicates == (first,)
    assert run.backups[0].arn != first
    assert any(first in text for text in texts(said))


# Credentials


def test_expired_credentials_are_raised_as_they_are_when_nothing_was_started(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    tables = [create_table(dynamodb, f"table-{number}") for number in range(60)]
    wire.always("CreateBackup", refusal("ExpiredTokenException", "The token has expired"))
    with pytest.raises(ClientError, match="The token has expired"):
        back_up(dynamodb, passing, *tables)
    assert wire.count("CreateBackup") <= backups.BACKUPS_IN_FLIGHT


def test_absent_credentials_are_raised_as_they_are(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    wire.always("CreateBackup", NoCredentialsError())
    with pytest.raises(NoCredentialsError):
        back_up(dynamodb, passing, "jobs")


def test_credentials_that_expire_half_way_end_the_run_with_what_is_proven(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    tables = [create_table(dynamodb, f"table-{number:03}") for number in range(120)]
    created: list[str] = []

    def rule(name: str, asked: dict[str, Any]) -> Any:
        if name != "CreateBackup":
            return None
        created.append(asked["TableName"])
        expired = refusal("ExpiredTokenException", "The token has expired")
        return expired if len(created) > 70 else None

    wire.rule(rule)
    said: list[Progress] = []
    run = back_up(dynamodb, passing, *tables, said=said)
    assert len(run.backups) == 70
    assert len(run.failed) == 50
    assert all("The token has expired" in failed.reason for failed in run.failed)
    assert len(created) <= 100
    assert sum("expired" in text for text in texts(said)) == 1


def test_credentials_that_expire_while_waiting_name_what_was_started(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    wire.always("ListBackups", refusal("ExpiredTokenException", "The token has expired"))
    run = back_up(dynamodb, passing, "jobs")
    assert run.backups == ()
    assert "/backup/" in run.failed[0].reason
    assert "The token has expired" in run.failed[0].reason


def test_one_denied_table_is_a_failure_of_that_table(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    for name in ("jobs", "queue"):
        create_table(dynamodb, name)
    wire.always("CreateBackup", refusal("AccessDeniedException", "not allowed"), table="jobs")
    run = back_up(dynamodb, passing, "jobs", "queue")
    assert [backup.table for backup in run.backups] == ["queue"]
    assert run.failed == (Failed("jobs", "AccessDeniedException: not allowed"),)


def test_a_permission_missing_for_every_table_is_raised_once(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    wire.always("CreateBackup", refusal("AccessDeniedException", "not allowed"))
    with pytest.raises(ClientError, match="not allowed"):
        back_up(dynamodb, passing, "jobs", "queue")


# Interruption


def test_interrupting_a_wait_names_what_dynamodb_goes_on_with(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    tables = [create_table(dynamodb, f"table-{number:03}") for number in range(60)]
    make_slow(dynamodb, looks=10**6)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    clock = replace(passing.clock, sleep=interrupt)
    with pytest.raises(Interrupted) as error:
        backups.back_up(dynamodb, tables, environment="staging", clock=clock, report=print)
    held = {entry["BackupArn"] for entry in dynamodb.list_backups()["BackupSummaries"]}
    assert set(error.value.details["backups"]) == held  # type: ignore[call-overload]
    assert len(held) == backups.BACKUPS_IN_FLIGHT
    assert all(arn in error.value.message for arn in held)
    assert "not begun: 10 tables" in error.value.message
    assert error.value.exit_code == 130


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Press Ctrl-C, which a shell that runs the tests in the background has switched off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_interrupting_calls_under_way_does_not_wait_for_one_that_hangs(
    dynamodb: Any,
    passing: FakeTime,
    monkeypatch: pytest.MonkeyPatch,
    ctrl_c: Callable[[], None],
) -> None:
    release = threading.Event()
    daemons: list[bool] = []

    def hang(**_: Any) -> None:
        daemons.append(threading.current_thread().daemon)
        ctrl_c()
        release.wait(60)

    monkeypatch.setattr(backups, "GRACE", 0.05)
    create_table(dynamodb, "jobs")
    dynamodb.meta.events.register("before-call.dynamodb.CreateBackup", hang)
    with pytest.raises(Interrupted, match="answer not awaited: jobs"):
        back_up(dynamodb, passing, "jobs")
    assert not release.is_set(), "the call still hangs"
    assert daemons == [True], "a thread that is no daemon keeps the process alive"
    release.set()


def test_interrupting_calls_under_way_names_what_they_started_and_starts_no_more(
    dynamodb: Any,
    wire: Wire,
    passing: FakeTime,
    monkeypatch: pytest.MonkeyPatch,
    ctrl_c: Callable[[], None],
) -> None:
    tables = [create_table(dynamodb, f"table-{number}") for number in range(20)]
    under_way = threading.Barrier(backups.PARALLEL_CALLS, action=ctrl_c)
    slowest = threading.Lock()

    def begin_together(**_: Any) -> None:
        under_way.wait(60)
        # One after the other, so that the last ends well after the first.
        with slowest:
            time.sleep(0.05)

    monkeypatch.setattr(backups, "GRACE", 60.0)
    dynamodb.meta.events.register("before-call.dynamodb.CreateBackup", begin_together)
    with pytest.raises(Interrupted) as error:
        back_up(dynamodb, passing, *tables)
    assert wire.count("CreateBackup") == backups.PARALLEL_CALLS
    assert set(error.value.details["backups"]) == held_arns(dynamodb)  # type: ignore[call-overload]


def test_a_bug_in_a_thread_reaches_the_caller(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    wire.answer("CreateBackup", ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        back_up(dynamodb, passing, "jobs")


# Listing


def test_listing_follows_every_page_and_passes_its_limits_on() -> None:
    client = connect()
    arns = [f"arn:aws:dynamodb:eu-west-1:123456789012:table/jobs/backup/{n}" for n in (1, 2, 3)]
    since = NOW - timedelta(minutes=10)
    asked = {"BackupType": "ALL", "TableName": "jobs", "TimeRangeLowerBound": since}
    with Stubber(client) as stubber:
        for number, arn in enumerate(arns):
            before = {"ExclusiveStartBackupArn": arns[number - 1]} if number else {}
            after = {"LastEvaluatedBackupArn": arn} if number < 2 else {}
            stubber.add_response(
                "list_backups",
                {"BackupSummaries": [{"BackupArn": arn, "BackupSizeBytes": 7}], **after},
                {**asked, **before},
            )
        found = list(backups.list_backups(client, table="jobs", since=since, every_type=True))
        stubber.assert_no_pending_responses()
    assert [backup.arn for backup in found] == arns
    assert {backup.bytes for backup in found} == {7}


# Pruning


def hold(dynamodb: Any, table: str, *names: str) -> list[str]:
    """Create backups, the oldest first."""
    arns = []
    for name in names:
        answer = dynamodb.create_backup(TableName=table, BackupName=name)
        arns.append(answer["BackupDetails"]["BackupArn"])
        time.sleep(0.002)  # moto's creation times are the order
    return arns


def own_names(table: str, count: int) -> list[str]:
    return [
        backups.name_for("staging", table, NOW - timedelta(days=count - n)) for n in range(count)
    ]


def held_arns(dynamodb: Any) -> set[str]:
    return {entry["BackupArn"] for entry in dynamodb.list_backups()["BackupSummaries"]}


def prune(dynamodb: Any, passing: FakeTime, run: BackupRun, keep: int) -> BackupRun:
    return backups.prune(
        dynamodb,
        run,
        environment="staging",
        keep=keep,
        clock=passing.clock,
        report=lambda _: None,
    )


def test_the_newest_of_each_table_stay(dynamodb: Any, passing: FakeTime) -> None:
    for name in ("jobs", "queue"):
        create_table(dynamodb, name)
    jobs = hold(dynamodb, "jobs", *own_names("jobs", 3))
    queue = hold(dynamodb, "queue", *own_names("queue", 1))
    run = back_up(dynamodb, passing, "jobs", "queue")
    pruned = prune(dynamodb, passing, run, keep=2)
    assert set(pruned.pruned) == set(jobs[:2])
    fresh = {backup.arn for backup in run.backups}
    assert held_arns(dynamodb) == {jobs[2], *queue, *fresh}
    assert pruned.backups == run.backups


def test_nothing_but_own_complete_on_demand_backups_is_deleted(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    create_table(dynamodb, "other")
    kept = hold(
        dynamodb,
        "jobs",
        "nightly",
        f"plot-palette-production-{STAMP}-jobs",
        "plot-palette-staging-before-migration-jobs",
    )
    kept += hold(dynamodb, "other", *own_names("other", 2))
    creating = hold(dynamodb, "jobs", *own_names("jobs", 2))[0]

    def listed(parsed: dict[str, Any], **_: Any) -> None:
        for entry in parsed["BackupSummaries"]:
            if entry["BackupArn"] == creating:
                entry["BackupStatus"] = "CREATING"

    run = back_up(dynamodb, passing, "jobs")
    dynamodb.meta.events.register("after-call.dynamodb.ListBackups", listed)
    pruned = prune(dynamodb, passing, run, keep=1).pruned
    assert len(pruned) == 1
    assert {*kept, creating, run.backups[0].arn} <= held_arns(dynamodb)
    assert wire.asked("ListBackups")[-2]["BackupType"] == "USER"


def test_a_table_that_failed_keeps_all_its_backups(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb, "jobs")
    held = hold(dynamodb, "jobs", *own_names("jobs", 3))
    run = BackupRun((), failed=(Failed("jobs", "no"),))
    assert prune(dynamodb, passing, run, keep=1).pruned == ()
    assert held_arns(dynamodb) == set(held)


def test_what_the_run_just_made_is_never_deleted(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb, "jobs")
    run = back_up(dynamodb, passing, "jobs")
    # A clock that ran ahead made a backup that looks newer.
    later = hold(dynamodb, "jobs", *own_names("jobs", 2))
    prune(dynamodb, passing, run, keep=1)
    assert held_arns(dynamodb) == {run.backups[0].arn, later[1]}


@pytest.mark.parametrize("keep", [0, -1])
def test_keeping_none_is_refused_before_any_call(
    dynamodb: Any, wire: Wire, passing: FakeTime, keep: int
) -> None:
    with pytest.raises(InputError):
        prune(dynamodb, passing, BackupRun(()), keep)
    assert wire.calls == []


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "LimitExceededException", "BackupInUseException"]
)
def test_a_deletion_is_repeated_until_it_is_made(
    dynamodb: Any, wire: Wire, passing: FakeTime, code: str
) -> None:
    create_table(dynamodb, "jobs")
    older = hold(dynamodb, "jobs", *own_names("jobs", 1))
    run = back_up(dynamodb, passing, "jobs")
    wire.answer("DeleteBackup", refusal(code))
    assert prune(dynamodb, passing, run, keep=1).pruned == tuple(older)
    assert passing.sleeps == [1.0]


def test_a_backup_that_somebody_else_deleted_is_no_error(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    older = hold(dynamodb, "jobs", *own_names("jobs", 1))
    run = back_up(dynamodb, passing, "jobs")
    wire.answer("DeleteBackup", refusal("BackupNotFoundException"))
    assert prune(dynamodb, passing, run, keep=1).pruned == tuple(older)


def test_a_denied_deletion_is_raised(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    create_table(dynamodb, "jobs")
    hold(dynamodb, "jobs", *own_names("jobs", 1))
    run = back_up(dynamodb, passing, "jobs")
    wire.answer("DeleteBackup", refusal("AccessDeniedException", "not allowed"))
    with pytest.raises(ClientError, match="not allowed"):
        prune(dynamodb, passing, run, keep=1)


def test_many_tables_are_listed_together(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    tables = [create_table(dynamodb, f"table-{number}") for number in range(30)]
    older = [arn for table in tables for arn in hold(dynamodb, table, *own_names(table, 1))]
    run = back_up(dynamodb, passing, *tables)
    wire.calls.clear()
    assert set(prune(dynamodb, passing, run, keep=1).pruned) == set(older)
    assert wire.count("ListBackups") == 1


# Point-in-time recovery


def test_tables_without_point_in_time_recovery_are_named(dynamodb: Any, passing: FakeTime) -> None:
    for name in ("jobs", "queue"):
        create_table(dynamodb, name)
    dynamodb.update_continuous_backups(
        TableName="jobs", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    found = backups.check_pitr(dynamodb, ("jobs", "queue", "gone"), clock=passing.clock)
    assert found == ("queue",)


def test_a_window_that_cannot_be_read_is_an_error(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    wire.always("DescribeContinuousBackups", refusal("AccessDeniedException", "not allowed"))
    with pytest.raises(ClientError, match="not allowed"):
        backups.check_pitr(dynamodb, ("jobs",), clock=passing.clock)
