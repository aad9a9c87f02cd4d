"""Only this tool's own older backups are deleted, and never the last ones."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib.data import catalogue, pruning
from lib.data.proving import BackupRun, Failed
from lib.errors import InputError
from lib.operators import Progress
from tests.support import factories
from tests.support.aws_fakes import FakeTime, refusal
from tests.support.dynamodb_wire import NOW, STAMP, Wire
from tests.support.tables import access_to, back_up, create_table, held_arns, texts


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
        catalogue.name_for("staging", table, NOW - timedelta(days=count - n)) for n in range(count)
    ]


def prune(dynamodb: Any, passing: FakeTime, run: BackupRun, keep: int) -> tuple[str, ...]:
    access = access_to(dynamodb, passing.clock)
    return pruning.prune(factories.job(), access, run.backups, keep=keep)


def test_the_newest_of_each_table_stay(dynamodb: Any, passing: FakeTime) -> None:
    for name in ("jobs", "queue"):
        create_table(dynamodb, name)
    jobs = hold(dynamodb, "jobs", *own_names("jobs", 3))
    queue = hold(dynamodb, "queue", *own_names("queue", 1))
    run = back_up(dynamodb, passing, "jobs", "queue")
    pruned = prune(dynamodb, passing, run, keep=2)
    assert set(pruned) == set(jobs[:2])
    fresh = {backup.arn for backup in run.backups}
    assert held_arns(dynamodb) == {jobs[2], *queue, *fresh}


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
    pruned = prune(dynamodb, passing, run, keep=1)
    assert len(pruned) == 1
    assert {*kept, creating, run.backups[0].arn} <= held_arns(dynamodb)
    assert wire.asked("ListBackups")[-2]["BackupType"] == "USER"


def test_a_table_that_failed_keeps_all_its_backups(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb, "jobs")
    held = hold(dynamodb, "jobs", *own_names("jobs", 3))
    run = BackupRun((), failed=(Failed("jobs", "no"),))
    assert prune(dynamodb, passing, run, keep=1) == ()
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
    assert prune(dynamodb, passing, run, keep=1) == tuple(older)
    assert passing.slept == [1.0]


def test_a_backup_that_somebody_else_deleted_is_no_error(
    dynamodb: Any, wire: Wire, passing: FakeTime
) -> None:
    create_table(dynamodb, "jobs")
    older = hold(dynamodb, "jobs", *own_names("jobs", 1))
    run = back_up(dynamodb, passing, "jobs")
    wire.answer("DeleteBackup", refusal("BackupNotFoundException"))
    assert prune(dynamodb, passing, run, keep=1) == tuple(older)


def test_a_denied_deletion_is_raised(dynamodb: Any, wire: Wire, passing: FakeTime) -> None:
    create_table(dynamodb, "jobs")
    hold(dynamodb, "jobs", *own_names("jobs", 1))
    run = back_up(dynamodb, passing, "jobs")
    wire.answer("DeleteBackup", refusal("AccessDeniedException", "not allowed"))
    with pytest.raises(ClientError, match="not allowed"):
        prune(dynamodb, passing, run, keep=1)


def test_each_deletion_is_told_by_the_backup_s_name(dynamodb: Any, passing: FakeTime) -> None:
    create_table(dynamodb, "jobs")
    (name,) = own_names("jobs", 1)
    hold(dynamodb, "jobs", name)
    run = back_up(dynamodb, passing, "jobs")
    said: list[Progress] = []
    access = access_to(dynamodb, passing.clock, said)
    pruning.prune(factories.job(), access, run.backups, keep=1)
    assert texts(said) == [f"Deleted the older backup {name}."]


@pytest.mark.parametrize(
    ("tables", "listings"),
    [(pruning.TABLES_LISTED_APART - 1, pruning.TABLES_LISTED_APART - 1), (25, 1)],
)
def test_many_tables_are_listed_together_and_only_theirs_are_deleted(
    dynamodb: Any, wire: Wire, passing: FakeTime, tables: int, listings: int
) -> None:
    names = [create_table(dynamodb, f"table-{n}", items=0) for n in range(tables)]
    older = [arn for table in names for arn in hold(dynamodb, table, *own_names(table, 1))]
    other = hold(dynamodb, create_table(dynamodb, "other"), *own_names("other", 2))
    made = [catalogue.list_backups(dynamodb, table=table)[0] for table in names]
    fresh = [arn for table in names for arn in hold(dynamodb, table, *own_names(table, 1))]
    wire.calls.clear()
    access = access_to(dynamodb, passing.clock)
    made = [replace(one, arn=arn) for one, arn in zip(made, fresh, strict=True)]
    assert set(pruning.prune(factories.job(), access, made, keep=1)) == set(older)
    assert wire.count("ListBackups") == listings
    assert held_arns(dynamodb) == {*fresh, *other}
