"""Backups carry names that tell them apart, and a listing shows all of them."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import pytest
from botocore.stub import Stubber

from lib.data import catalogue
from lib.data.catalogue import Backup
from tests.support.dynamodb_wire import NOW, SESSION, STAMP


def test_a_name_carries_environment_stamp_and_table() -> None:
    name = catalogue.name_for("staging", "jobs", NOW)
    assert name == f"plot-palette-staging-{STAMP}-jobs"


def test_the_stamp_is_utc() -> None:
    local = NOW.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    assert STAMP in catalogue.name_for("staging", "jobs", local)


@pytest.mark.parametrize("length", [1, 217, 218, 219, 255])
def test_a_long_name_is_cut_to_255_characters_and_keeps_its_stamp(length: int) -> None:
    name = catalogue.name_for("staging", "t" * length, NOW)
    assert len(name) <= 255
    assert name.startswith(f"plot-palette-staging-{STAMP}-t")


def test_long_tables_that_differ_only_at_their_end_get_different_names() -> None:
    first, second = (catalogue.name_for("staging", "t" * 254 + end, NOW) for end in "ab")
    assert first != second


@pytest.mark.parametrize(
    ("name", "table", "own"),
    [
        (f"plot-palette-staging-{STAMP}-jobs", "jobs", True),
        (catalogue.name_for("staging", "t" * 255, NOW), "t" * 255, True),
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
    assert catalogue.is_own(backup, "staging") is own


def test_listing_follows_every_page_and_passes_its_limits_on() -> None:
    client = SESSION.client("dynamodb")
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
        found = catalogue.list_backups(client, table="jobs", since=since, every_type=True)
        stubber.assert_no_pending_responses()
    assert [backup.arn for backup in found] == arns
    assert {backup.bytes for backup in found} == {7}


def test_without_limits_only_on_demand_backups_of_the_region_are_listed() -> None:
    client = SESSION.client("dynamodb")
    with Stubber(client) as stubber:
        stubber.add_response(
            "list_backups", {"BackupSummaries": [{"TableName": "jobs"}]}, {"BackupType": "USER"}
        )
        stubber.add_response("list_backups", {}, {"BackupType": "USER"})
        (found,) = catalogue.list_backups(client)
        assert found == Backup("jobs", "", "", 0, "", None)
        assert catalogue.list_backups(client) == []


def test_what_dynamodb_says_of_a_backup_is_read_whole() -> None:
    entry = {
        "BackupArn": "arn",
        "BackupName": "name",
        "BackupSizeBytes": 7,
        "BackupStatus": "AVAILABLE",
        "BackupCreationDateTime": NOW,
    }
    assert catalogue.read_backup(entry, "jobs") == Backup(
        "jobs", "arn", "name", 7, "AVAILABLE", NOW
    )
    assert catalogue.read_backup({}, "jobs") == Backup("jobs", "", "", 0, "", None)


def test_the_newest_backup_comes_first_and_one_without_a_time_last() -> None:
    def made(arn: str, minutes: int | None) -> Backup:
        when = None if minutes is None else NOW + timedelta(minutes=minutes)
        return Backup("jobs", arn, "name", 0, "AVAILABLE", when)

    backups = [made("b", 1), made("none", None), made("a", 2), made("c", 1)]
    assert [one.arn for one in catalogue.newest_first(backups)] == ["a", "c", "b", "none"]


@pytest.mark.parametrize(("length", "cut"), [(218, False), (219, True)])
def test_a_table_s_name_is_cut_only_where_it_has_to_be(length: int, cut: bool) -> None:
    table = "t" * length
    name = catalogue.name_for("staging", table, NOW)
    assert len(name) == 255
    assert name.endswith(table) is not cut
    if cut:
        digest = hashlib.sha256(table.encode()).hexdigest()[:8]
        assert name.endswith(f"t-{digest}")


def test_an_environment_s_name_is_no_pattern() -> None:
    name = catalogue.name_for("stagXing", "jobs", NOW)
    assert not catalogue.is_own(Backup("jobs", "arn", name, 0, "AVAILABLE"), "stag.ing")
