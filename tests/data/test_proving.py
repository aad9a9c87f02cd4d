"""Every table is backed up and proven, whatever AWS answers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from lib import parallel
from lib.data import catalogue, proving
from lib.data.proving import BackupRun, Failed
from lib.data.tables import SETTLING
from lib.errors import AwsUnavailable, BackupFailed, Interrupted
from lib.operators import Level, Note, Progress
from lib.polling import PATIENCE
from tests.support.aws_fakes import FakeTime, refusal
from tests.support.dynamodb_wire import NOW, SESSION, STAMP, Wire, cut, reply
from tests.support.tables import back_up, create_table, held_arns, texts


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
    assert passing.slept == []


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
    assert highest <= proving.BACKUPS_IN_FLIGHT


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
    assert 1 < max(highest) <= proving.PARALLEL_CALLS


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
    assert passing.slept == sorted(passing.slept)
    assert passing.slept[0] == pytest.approx(0.1)
    assert passing.slept[-1] > 0.1
    assert texts(said)[0] == "0 of 1 tables are backed up."
    assert texts(said)[-1] == "1 of 1 tables are backed up."


def test_backups_that_take_long_are_started_only_as_others_end(
    dynamodb: Any, wire: Wire, passing: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "BACKUPS_IN_FLIGHT", 5)
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
    assert SETTLING < passing.seconds < 2 * SETTLING


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
    assert passing.slept


def test_a_throttled_table_does_not_hold_up_the_others(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    for name in ("jobs", "queue"):
        create_table(dynamodb, name)
    wire.answer("CreateBackup", *[refusal("ThrottlingException")] * 3, table="jobs")
    assert len(back_up(dynamodb, passing, "jobs", "queue").backups) == 2
    order = [asked.get("TableName") for name, asked in wire.calls if name == "CreateBackup"]
    assert order[-1] == "jobs"
    assert passing.slept == [1.0, 2.0, 4.0]


def test_a_table_that_is_throttled_for_long_says_so_once(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    wire.answer("CreateBackup", *[refusal("ThrottlingException", operation="CreateBackup")] * 6)
    said: list[Progress] = []
    back_up(dynamodb, passing, "jobs", said=said)
    assert sum("does not answer CreateBackup" in text for text in texts(said)) == 1


def test_an_endpoint_without_backups_says_so_at_once(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    words = "API action 'CreateBackup' for service 'dynamodb' not yet implemented"
    wire.always("CreateBackup", refusal("InternalFailure", words, "CreateBackup", 501))
    with pytest.raises(ClientError, match="not yet implemented"):
        back_up(dynamodb, passing, "jobs")
    assert passing.seconds < 5


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
        proving.require_complete(run)
    assert [one["table"] for one in error.value.details["backups"]] == ["jobs", "queue"]  # type: ignore[attr-defined]


def test_a_complete_run_raises_nothing(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb, "jobs")
    proving.require_complete(back_up(dynamodb, passing, "jobs"))


def reach_then_cut(wire: Wire, times: int = 1) -> None:
    """Let CreateBackup reach the server and lose its answer."""
    other = SESSION.client("dynamodb")
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
        TableName="jobs", BackupName=catalogue.name_for("staging", "jobs", NOW)
    )["BackupDetails"]["BackupArn"]
    said: list[Progress] = []
    run = back_up(dynamodb, passing, "jobs", said=said)
    assert run.duplicates == (first,)
    assert run.backups[0].arn != first
    assert any(first in text for text in texts(said))


def test_expired_credentials_are_raised_as_they_are_when_nothing_was_started(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    tables = [create_table(dynamodb, f"table-{number}") for number in range(60)]
    wire.always("CreateBackup", refusal("ExpiredTokenException", "The token has expired"))
    with pytest.raises(ClientError, match="The token has expired"):
        back_up(dynamodb, passing, *tables)
    assert wire.count("CreateBackup") <= proving.BACKUPS_IN_FLIGHT


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
    with pytest.raises(AwsUnavailable, match="50 of 120 tables could not") as caught:
        proving.require_complete(run)
    assert caught.value.exit_code == 4
    assert "the finished backups stay" in caught.value.next_step
    assert len(caught.value.details["backups"]) == 70


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


def test_interrupting_a_wait_names_what_dynamodb_goes_on_with(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    tables = [create_table(dynamodb, f"table-{number:03}") for number in range(60)]
    make_slow(dynamodb, looks=10**6)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    clock = replace(passing.clock, sleep=interrupt)
    with pytest.raises(Interrupted) as error:
        back_up(dynamodb, passing, *tables, clock=clock)
    held = {entry["BackupArn"] for entry in dynamodb.list_backups()["BackupSummaries"]}
    assert set(error.value.details["backups"]) == held  # type: ignore[call-overload]
    assert len(held) == proving.BACKUPS_IN_FLIGHT
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

    monkeypatch.setattr(parallel, "GRACE", 0.05)
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
    under_way = threading.Barrier(proving.PARALLEL_CALLS, action=ctrl_c)
    slowest = threading.Lock()

    def begin_together(**_: Any) -> None:
        under_way.wait(60)
        # One after the other, so that the last ends well after the first.
        with slowest:
            time.sleep(0.05)

    monkeypatch.setattr(parallel, "GRACE", 60.0)
    dynamodb.meta.events.register("before-call.dynamodb.CreateBackup", begin_together)
    with pytest.raises(Interrupted) as error:
        back_up(dynamodb, passing, *tables)
    assert wire.count("CreateBackup") == proving.PARALLEL_CALLS
    assert set(error.value.details["backups"]) == held_arns(dynamodb)  # type: ignore[call-overload]


def test_a_bug_in_a_thread_reaches_the_caller(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    wire.answer("CreateBackup", ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        back_up(dynamodb, passing, "jobs")
