"""What a killed run left unended is settled by whoever looks next, as AWS tells that it ended."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from moto import mock_aws

from lib import session
from lib.access import Access
from lib.inputs import jobs
from lib.polling import Clock
from lib.releases import history, settling
from lib.releases.history import Record
from tests.support.aws_fakes import ACCOUNT, START, event_entry, intercept, operations, own, refusal
from tests.support.factories import STACK, bucket, job
from tests.support.people import Person

REGION = "us-east-1"
TOKEN = "plot-palette-1"
ANOTHER = "plot-palette-2"
RECORD = Record(
    *("0123456789ab", history.stamp(START), "update", history.STARTED, "ann", STACK, "arn:stack"),
    {},
    request=TOKEN,
)


class World:
    """A record in a bucket, and what the stack's events tell, oldest first, by whose request."""

    def __init__(self) -> None:
        self.aws = session.connect(REGION)
        self.s3 = self.aws.client("s3")
        self.s3.create_bucket(Bucket=jobs.bucket_name(ACCOUNT, REGION))
        self.told: list[tuple[str, str]] = []
        self.refused = False
        self.after = timedelta(minutes=5)
        self.calls = intercept(self.aws.client("cloudformation"), self.answer)

    def answer(self, operation: str, _arguments: dict[str, Any]) -> Mapping[str, Any]:
        if self.refused:
            raise refusal("AccessDenied", "no", operation)
        events = [
            {**event_entry(STACK, own(str(i), i, STACK, status)), "ClientRequestToken": token}
            for i, (status, token) in enumerate(self.told)
        ]
        return {"StackEvents": events[::-1]}

    def look(self, record: Record = RECORD) -> Record:
        """Write a record down, read the history, and return what it says."""
        history.write(bucket(self.s3), record)
        clock = Clock(now=lambda: START + self.after)
        access = Access(self.aws, Person().operator, clock)
        (found,) = settling.read(job(region=REGION), access, newest=1)
        return found

    @property
    def kept(self) -> str:
        """The status that the record in the bucket has."""
        name = jobs.bucket_name(ACCOUNT, REGION)
        content = self.s3.get_object(Bucket=name, Key=RECORD.key)["Body"].read()
        return str(json.loads(content)["status"])


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ([("UPDATE_IN_PROGRESS", TOKEN), ("UPDATE_COMPLETE", TOKEN)], "UPDATE_COMPLETE"),
        # What somebody did later is another operation's end.
        (
            [
                ("UPDATE_IN_PROGRESS", TOKEN),
                ("UPDATE_COMPLETE", TOKEN),
                ("UPDATE_IN_PROGRESS", ANOTHER),
                ("UPDATE_ROLLBACK_COMPLETE", ANOTHER),
            ],
            "UPDATE_COMPLETE",
        ),
        # Cancelled by somebody, whose token the end has.
        (
            [
                ("UPDATE_IN_PROGRESS", TOKEN),
                ("UPDATE_ROLLBACK_IN_PROGRESS", ANOTHER),
                ("UPDATE_ROLLBACK_COMPLETE", ANOTHER),
            ],
            "UPDATE_ROLLBACK_COMPLETE",
        ),
        # A failure on the way is not the end.
        (
            [
                ("UPDATE_IN_PROGRESS", TOKEN),
                ("UPDATE_FAILED", TOKEN),
                ("UPDATE_ROLLBACK_IN_PROGRESS", TOKEN),
                ("UPDATE_ROLLBACK_COMPLETE", TOKEN),
            ],
            "UPDATE_ROLLBACK_COMPLETE",
        ),
        ([("CREATE_IN_PROGRESS", TOKEN), ("CREATE_FAILED", TOKEN)], "CREATE_FAILED"),
    ],
)
def test_an_operation_ended_as_its_events_tell(
    world: World, told: list[tuple[str, str]], status: str
) -> None:
    world.told = [("CREATE_COMPLETE", "before"), *told]
    assert world.look().status == status
    assert world.kept == status


@pytest.mark.parametrize(
    "told",
    [
        [("UPDATE_IN_PROGRESS", TOKEN)],
        [("UPDATE_IN_PROGRESS", TOKEN), ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", TOKEN)],
        # AWS has not been asked yet, or shows it late.
        [("CREATE_COMPLETE", "before")],
    ],
)
def test_what_goes_on_is_left_as_it_is(world: World, told: list[tuple[str, str]]) -> None:
    world.told = told
    assert world.look() == RECORD
    assert world.kept == history.STARTED


def test_what_never_began_is_told_after_a_while_and_is_no_success(world: World) -> None:
    world.told = [("UPDATE_COMPLETE", ANOTHER)]
    world.after = timedelta(hours=2)
    found = world.look()
    assert found.status == world.kept == history.NOT_BEGUN
    assert not found.succeeded


def test_nothing_is_told_of_what_aws_has_forgotten(world: World) -> None:
    world.after = timedelta(days=91)
    assert world.look() == RECORD
    assert world.calls == []


@pytest.mark.parametrize(
    "record",
    [
        replace(RECORD, status="UPDATE_COMPLETE"),
        replace(RECORD, status=history.REFUSED),
        # Of an earlier edition.
        replace(RECORD, request=""),
    ],
)
def test_what_is_settled_or_cannot_be_costs_no_call(world: World, record: Record) -> None:
    assert world.look(record) == record
    assert world.calls == []


def test_who_may_not_read_events_sees_the_record_as_it_is(world: World) -> None:
    world.refused = True
    assert world.look() == RECORD
    assert operations(world.calls) == ["DescribeStackEvents"]


def test_who_may_not_write_sees_how_it_ended_all_the_same(world: World) -> None:
    history.write(bucket(world.s3), RECORD)
    world.told = [("UPDATE_COMPLETE", TOKEN)]

    def answer(operation: str, _arguments: Mapping[str, Any]) -> None:
        if operation == "PutObject":
            raise refusal("AccessDenied", "no", operation, 403)

    access = Access(world.aws, Person().operator, Clock(now=lambda: START + world.after))
    intercept(world.s3, answer)
    (found,) = settling.read(job(region=REGION), access)
    assert found.status == "UPDATE_COMPLETE"
    assert world.kept == history.STARTED
