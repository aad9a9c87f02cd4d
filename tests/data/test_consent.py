"""Nothing that costs data goes through without being named, and nothing is asked twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from lib import session
from lib.access import Access
from lib.data import consent, proving, tables
from lib.data.catalogue import Backup
from lib.data.proving import BackupRun, Failed
from lib.errors import BackupFailed, DataLossRefused, Declined, InputError, Refused
from lib.operators import Level, Note, OnInterrupt, Operator
from lib.stacks.deployed import Deployed
from lib.stacks.stacks import StackResource
from lib.templates.changes import Change
from tests.support.aws_fakes import START, FakeTime, intercept, refusal
from tests.support.factories import job

REGIONS = ("us-east-1", "us-west-2", "eu-west-1")

RISK = Change(
    "DatabaseStack/JobsTable",
    "AWS::DynamoDB::Table",
    "Remove",
    physical_id="jobs",
    data_loss="certain",
    verdict="destroyed (DeletionPolicy Delete)",
)


class Person:
    """Somebody who types one answer to everything, or cannot be asked."""

    def __init__(self, answer: str | None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []
        self.told: list[str] = []
        self.levels: list[Level] = []

    def confirm(self, question: str, word: str) -> bool:
        self.asked.append((question, word))
        if self.answer is None:
            raise Refused("nobody can be asked")
        return self.answer == word

    def report(self, progress: Any) -> None:
        assert isinstance(progress, Note)
        self.told.append(progress.text)
        self.levels.append(progress.level)

    def access(self, aws: session.Aws | None = None) -> Access:
        operator = Operator(self.report, self.confirm, lambda _: OnInterrupt.DETACH)
        aws = aws or session.connect("eu-west-1")
        return Access(aws, operator, FakeTime().clock)


UNCOUNTED = replace(RISK, verdict=f"{RISK.verdict}; it may hold items")


def count(answer: Any) -> tuple[list[str], list[Any]]:
    """Return the verdicts on a change at risk and on one that is not, and the calls made."""
    aws = session.connect("eu-west-1")
    calls = intercept(aws.client("dynamodb"), answer)
    harmless = replace(RISK, data_loss="none", verdict="", physical_id="other")
    counted = consent.count_items(Person(None).access(aws), [UNCOUNTED, harmless])
    return [change.verdict for change in counted], calls


@pytest.mark.parametrize(
    ("items", "held"),
    [(1_234_567, "it holds some 1,234,567 items"), (0, "no items at DynamoDB's last count")],
)
def test_a_table_at_risk_is_shown_with_what_it_holds(items: int, held: str) -> None:
    verdicts, calls = count(lambda *_: {"Table": {"ItemCount": items}})
    assert verdicts == [f"{RISK.verdict}; {held}", ""]
    assert [(call.operation, call.arguments) for call in calls] == [
        ("DescribeTable", {"TableName": "jobs"})
    ]


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "AccessDeniedException"])
def test_a_table_that_cannot_be_looked_at_may_hold_items(code: str) -> None:
    def refuse(*_: Any) -> None:
        raise refusal(code, operation="DescribeTable")

    assert count(refuse)[0] == [UNCOUNTED.verdict, ""]
    assert count(lambda *_: {"Table": {}})[0] == [UNCOUNTED.verdict, ""]


def test_a_path_that_was_allowed_is_not_asked_about() -> None:
    person = Person(None)
    consent.require_consent(job(), person.access(), [RISK], frozenset({RISK.path}))
    assert person.asked == []


def test_the_operator_agrees_by_typing_the_path() -> None:
    person = Person(RISK.path)
    consent.require_consent(job(), person.access(), [RISK], frozenset())
    [(question, word)] = person.asked
    assert word == RISK.path
    assert "destroyed (DeletionPolicy Delete)" in question


def test_each_path_that_no_flag_names_is_asked_about_in_its_turn() -> None:
    person = Person("DatabaseStack/QueueTable")
    risks = [RISK, replace(RISK, path="DatabaseStack/QueueTable")]
    consent.require_consent(job(), person.access(), risks, frozenset({RISK.path}))
    [(question, _)] = person.asked
    assert question == (
        "DatabaseStack/QueueTable (AWS::DynamoDB::Table): destroyed (DeletionPolicy Delete). Agree?"
    )


def test_after_a_no_nothing_more_is_asked() -> None:
    person = Person("n")
    risks = [RISK, replace(RISK, path="DatabaseStack/QueueTable")]
    with pytest.raises(Declined, match=r"plot-palette-staging in eu-west-1 was not changed\."):
        consent.require_consent(job(), person.access(), risks, frozenset())
    assert len(person.asked) == 1


def test_y_is_not_consent_to_a_loss_of_data() -> None:
    with pytest.raises(Declined, match="was not changed"):
        consent.require_consent(job(), Person("y").access(), [RISK], frozenset())


def test_where_nobody_can_be_asked_every_path_is_named_with_its_flag() -> None:
    with pytest.raises(DataLossRefused) as caught:
        consent.require_consent(job(), Person(None).access(), [RISK], frozenset({"Other"}))
    assert RISK.path in caught.value.message
    assert f"--allow-data-loss {RISK.path}" in caught.value.next_step
    assert "in stack plot-palette-staging in eu-west-1; nothing was changed" in caught.value.message


def test_where_nobody_can_be_asked_in_several_regions_the_flag_names_the_region() -> None:
    access, path = Person(None).access(), f"eu-west-1:{RISK.path}"
    with pytest.raises(DataLossRefused) as caught:
        consent.require_consent(job(), access, [RISK], frozenset(), prefix="eu-west-1:")
    assert caught.value.message == (
        f"Data would be lost; nothing was changed. {path} ({RISK.type}): {RISK.verdict}"
    )
    assert caught.value.next_step == f"to accept it, add `--allow-data-loss {path}`"
    assert caught.value.details == {"at_risk": [path]}


def test_consent_counts_only_for_the_region_it_names() -> None:
    consents = consent.read_by_region(frozenset({"us-west-2:A/B", "us-west-2:C"}), REGIONS)
    assert consents["us-west-2"] == {"A/B", "C"}
    assert consents["us-east-1"] == frozenset()


@pytest.mark.parametrize(
    "one", ["A/B", "eu-north-1:A/B", "us-east-1:", ":A/B", "us-east-1", "eu-north-1"]
)
def test_consent_without_a_region_of_the_rollout_is_bad_input(one: str) -> None:
    with pytest.raises(InputError, match="REGION:PATH") as caught:
        consent.read_by_region(frozenset({one}), REGIONS)
    assert caught.value.message.endswith(
        f"with one of us-east-1, us-west-2, eu-west-1, not {one!r}."
    )
    assert caught.value.next_step == "--allow-data-loss us-east-1:DatabaseStack/JobsTable"


def test_one_of_several_regions_is_typed_in_front_of_the_path() -> None:
    person = Person(f"eu-west-1:{RISK.path}")
    access = person.access()
    consent.require_consent(job(), access, [RISK], frozenset(), prefix="eu-west-1:")
    [(question, word)] = person.asked
    assert word == f"eu-west-1:{RISK.path}"
    assert question == f"{word} ({RISK.type}) will be {RISK.verdict}. Agree?"
    with pytest.raises(Declined, match="No region was changed"):
        consent.require_consent(
            job(), Person(RISK.path).access(), [RISK], frozenset(), prefix="eu-west-1:"
        )


def test_no_backup_has_to_be_said_and_is_repeated() -> None:
    person = Person("y")
    assert consent.back_up(job(), person.access(), ["jobs"], wanted=False) == ()
    assert person.told == ["No backup is taken, as --no-backup says."]


@pytest.mark.parametrize(
    ("endpoint", "waited"),
    [(None, 60), ("https://dynamodb.eu-west-1.api.aws", 60), ("http://127.0.0.1:4566", 0)],
    ids=["AWS", "AWS by its dual-stack name", "an emulator on this machine"],
)
def test_a_backup_before_a_loss_is_asked_for_when_it_holds_all_that_was_written(
    monkeypatch: pytest.MonkeyPatch, endpoint: str | None, waited: float
) -> None:
    person, time = Person("y"), FakeTime()
    access = replace(
        person.access(session.connect("eu-west-1", endpoint_url=endpoint)), clock=time.clock
    )
    asked: list[float] = []
    given: list[tuple[object, ...]] = []

    def take(*said: object) -> BackupRun:
        asked.append(time.seconds)
        given.append(said)
        return BackupRun(())

    monkeypatch.setattr(proving, "take_backups", take)
    monkeypatch.setattr(tables, "describe_table", lambda *_: {"TableStatus": "ACTIVE"})
    consent.back_up(job(), access, ["jobs", "users"], wanted=True)
    assert given == [(job(), access, ("jobs", "users"))]
    [at] = asked
    assert waited <= at <= waited + 5
    assert [text.startswith("Stop what writes to jobs, users now.") for text in person.told] == (
        [True] if waited else []
    )


def test_a_backup_that_is_not_proven_stops_what_would_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = BackupRun((), failed=(Failed("jobs", "no room"),))
    monkeypatch.setattr(proving, "take_backups", lambda *_: run)
    monkeypatch.setattr(tables, "describe_table", lambda *_: {"TableStatus": "ACTIVE"})
    with pytest.raises(BackupFailed, match="jobs"):
        consent.back_up(job(), Person("y").access(), ["jobs"], wanted=True)


def test_the_proven_backups_are_named_by_their_arns(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Backup("jobs", "arn:backup", "name", 1, "AVAILABLE", START)
    monkeypatch.setattr(proving, "take_backups", lambda *_: BackupRun((made,)))
    monkeypatch.setattr(tables, "describe_table", lambda *_: {"TableStatus": "ACTIVE"})
    assert consent.back_up(job(), Person("y").access(), ["jobs"], wanted=True) == ("arn:backup",)


def test_ctrl_c_in_the_minute_before_a_backup_asks_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def press(_seconds: float) -> None:
        raise KeyboardInterrupt

    asked: list[object] = []
    monkeypatch.setattr(proving, "take_backups", lambda *given: asked.append(given))
    monkeypatch.setattr(tables, "describe_table", lambda *_: {"TableStatus": "ACTIVE"})
    access = Person("y").access()
    with pytest.raises(KeyboardInterrupt):
        consent.back_up(
            job(), replace(access, clock=replace(access.clock, sleep=press)), ["jobs"], wanted=True
        )
    assert asked == []


def test_a_table_that_is_gone_is_left_out_of_the_backups_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person = Person("y")
    taken: list[Sequence[str]] = []

    def take(_job: object, _access: object, names: Sequence[str]) -> BackupRun:
        taken.append(names)
        return BackupRun(())

    monkeypatch.setattr(proving, "take_backups", take)
    monkeypatch.setattr(
        tables, "describe_table", lambda _client, name, _clock: None if name == "jobs" else {"a": 1}
    )
    access = person.access(session.connect("eu-west-1", endpoint_url="http://127.0.0.1:1"))
    assert consent.back_up(job(), access, ["jobs", "users"], wanted=True) == ()
    assert taken == [("users",)]
    assert person.told == ["jobs is gone already; no backup of it can be taken."]
    assert consent.back_up(job(), access, ["jobs"], wanted=True) == ()
    assert taken == [("users",)]


def test_nothing_at_risk_needs_no_backup() -> None:
    person = Person("y")
    assert consent.back_up(job(), person.access(), [], wanted=True) == ()
    assert person.told == []


def table(drift: str = "") -> StackResource:
    return StackResource(
        RISK.path, "JobsTable", "jobs", RISK.type, "CREATE_COMPLETE", "", "stack", drift
    )


@mock_aws
def test_only_production_is_warned_of_tables_without_recovery() -> None:
    person = Person("y")
    access = person.access()
    access.aws.client("dynamodb").create_table(
        TableName="jobs",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    before = Deployed({}, {}, {}, (table(),))
    consent.warn_without_pitr(job(), access, before)
    assert person.told == []
    production = job(environment="production")
    consent.warn_without_pitr(production, access, None)
    assert person.told == []
    consent.warn_without_pitr(production, access, before)
    assert person.told == ["Point-in-time recovery is off for table jobs."]
    assert person.levels == [Level.WARNING]
    access.aws.client("dynamodb").update_continuous_backups(
        TableName="jobs", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    consent.warn_without_pitr(production, access, before)
    assert len(person.told) == 1


@mock_aws
def test_a_table_that_is_gone_has_no_recovery_to_warn_of() -> None:
    person = Person("y")
    before = Deployed({}, {}, {}, (table(),))
    consent.warn_without_pitr(job(environment="production"), person.access(), before)
    assert person.told == []


@pytest.mark.parametrize(
    ("known", "found", "warned"),
    [("MODIFIED", "", True), ("", "DELETED", True), ("IN_SYNC", "IN_SYNC", False)],
)
def test_a_change_to_a_drifted_table_is_warned_of(known: str, found: str, warned: bool) -> None:
    person = Person("y")
    change = Change(RISK.path, RISK.type, "Modify", drift=found)
    consent.warn_of_drift(person.access(), [change], Deployed({}, {}, {}, (table(known),)))
    assert bool(person.told) is warned
    assert person.levels == ([Level.WARNING] if warned else [])


def test_drift_that_the_change_set_found_is_warned_of_although_nothing_could_be_read() -> None:
    person = Person("y")
    change = Change(RISK.path, RISK.type, "Modify", drift="MODIFIED")
    consent.warn_of_drift(person.access(), [change], None)
    assert person.told == [
        f"{RISK.path} has drifted from its template; `inv status --drift` shows how."
    ]


def test_drift_of_what_holds_no_data_is_not_warned_of() -> None:
    person = Person("y")
    change = Change("Api/Function", "AWS::Lambda::Function", "Modify", drift="MODIFIED")
    consent.warn_of_drift(person.access(), [change], Deployed({}, {}, {}, (table(),)))
    assert person.told == []
