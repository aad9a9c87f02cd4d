"""A stack at a glance, as a document and as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from lib.deploy import status
from lib.deploy.status import View
from lib.document import as_document
from lib.inputs import jobs
from lib.releases import locks, releases, store
from lib.session import Aws, connect
from lib.stacks import stacks
from lib.stacks.drift import Drift
from lib.stacks.statuses import Status
from tests.deploy.world import World
from tests.support import factories
from tests.support.aws_fakes import ACCOUNT, START, intercept, refusal, stack_entry
from tests.support.people import Person

BUCKET = jobs.bucket_name(ACCOUNT, factories.REGION)

DRIFT = Drift("Data/Jobs", "AWS::DynamoDB::Table", "MODIFIED", "Tags", "[]", "[1]")


def test_a_view_as_a_document_has_its_age_in_whole_seconds() -> None:
    view = View(
        "app", "eu-west-1", "staging", Status.UPDATE_COMPLETE, "", "0123456789ab", "DRIFTED",
        factories.NOON, 61.5, (DRIFT,),
    )  # fmt: skip
    assert list(as_document(view).items()) == [
        ("stack", "app"),
        ("region", "eu-west-1"),
        ("environment", "staging"),
        ("status", "UPDATE_COMPLETE"),
        ("reason", ""),
        ("release", "0123456789ab"),
        ("drift", "DRIFTED"),
        ("changed", "2026-10-01T12:00:00+00:00"),
        ("age_seconds", 62),
        (
            "drifts",
            [
                {
                    "path": "Data/Jobs",
                    "type": "AWS::DynamoDB::Table",
                    "status": "MODIFIED",
                    "property": "Tags",
                    "expected": "[]",
                    "actual": "[1]",
                }
            ],
        ),
        ("obstacles", []),
        ("next_step", ""),
        ("lock", None),
    ]


def test_a_stack_that_is_not_there_has_no_time_of_change() -> None:
    absent = View("app", "eu-west-1", "staging", Status.ABSENT, "", "", "", None, 0)
    document = as_document(absent)
    assert (document["changed"], document["age_seconds"], document["drifts"]) == (None, 0, None)
    assert status.draw(absent).splitlines()[-1] == "Status   ABSENT"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (90_000, "1 d 1 h"), (-5, "0 s")],
)
def test_an_age_is_told_in_the_largest_two_units_that_it_fills(seconds: float, told: str) -> None:
    assert status.draw_age(seconds) == told


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mock_aws():
        aws = connect(factories.REGION)
        where: Any = {"LocationConstraint": factories.REGION}
        aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        yield aws


def look(aws: Aws, state: str, template: str | None) -> tuple[View, Person]:
    """Look at a stack of which CloudFormation gives this template."""
    person = Person()
    answers = {
        "DescribeStacks": {"Stacks": [stack_entry(factories.STACK, state)]},
        "GetTemplate": {} if template is None else {"TemplateBody": template},
    }
    intercept(aws.client("cloudformation"), lambda operation, _arguments: answers[operation])
    return status.look(factories.job(), person.access(aws)), person


def test_a_stack_that_only_has_a_change_set_runs_no_release(aws: Aws) -> None:
    view, _ = look(aws, "REVIEW_IN_PROGRESS", None)
    assert (view.status, view.release) == ("REVIEW_IN_PROGRESS", "")
    assert "Release" not in status.draw(view)


def test_a_release_whose_master_came_back_with_question_marks_is_named_by_what_was_published(
    aws: Aws,
) -> None:
    text = "Description: a \u2013 b\nResources: {}\n"
    name = releases.name_of(text)
    for key in (f"releases/{name}/master-stack.yaml", "releases/0123456789ab/master-stack.yaml"):
        body = text if name in key else "Resources: {}"
        aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body.encode())
    view, _ = look(aws, "CREATE_COMPLETE", stacks.mangle(text))
    assert view.release == name


def test_a_bucket_that_cannot_be_read_leaves_the_release_open_and_the_rest_told(aws: Aws) -> None:
    intercept(aws.client("s3"), deny)
    view, person = look(aws, "CREATE_COMPLETE", "# what?\nResources: {}")
    assert (view.status, view.release) == ("CREATE_COMPLETE", "")
    lock, release = person.notes
    assert release.startswith(f"Which release runs cannot be told: The bucket {BUCKET}")
    assert lock == "Who holds the lock cannot be told: no"


def deny(operation: str, _arguments: object) -> dict[str, Any]:
    raise refusal("AccessDenied", "no", operation, 403)


def test_a_stuck_stack_says_what_it_is_stuck_at_and_how_it_is_freed() -> None:
    world = World("UPDATE_ROLLBACK_FAILED")
    row = {"LastUpdatedTimestamp": START, "ResourceStatus": "UPDATE_FAILED"}
    why = {"ResourceStatusReason": "no such key", "ResourceType": "AWS::Lambda::Function"}
    world.resources = [{"LogicalResourceId": "Function", **row, **why}]
    view = status.look(world.job, world.access)
    [obstacle] = as_document(view)["obstacles"]
    assert (obstacle["name"], obstacle["reason"]) == ("Function", "no such key")
    drawn = status.draw(view).splitlines()
    assert "Function" in drawn[-2]
    assert drawn[-1].endswith(f"inv rollback {world.job.flags} --skip Function")


def hold(aws: Aws, until: str) -> None:
    """Put down a lock as another operator's run writes it."""
    lock = locks.Lock(
        *("token", factories.STACK, "update", f"arn:aws:sts::{ACCOUNT}:assumed-role/x/ann"),
        *("2026-11-20T09:00:00.000Z", until, "another machine", "4711"),
    )
    assert locks.write(store.Bucket(aws.client("s3"), BUCKET, ACCOUNT), lock)


@pytest.mark.parametrize("template", ["Resources: {}", None])
def test_who_holds_the_lock_is_told_in_one_line_and_in_the_document(
    aws: Aws, template: str | None
) -> None:
    hold(aws, "2026-11-20T09:05:00.000Z")
    view, person = look(aws, "UPDATE_IN_PROGRESS", template)
    told = [line for line in status.draw(view).splitlines() if line.startswith("Lock")]
    who = "ann (update since 2026-11-20 09:00:00 UTC)"
    assert told == [f"Lock     {who}, until 09:05:00"]
    assert len(told[0]) <= 80
    assert as_document(view)["lock"] == {
        "by": f"arn:aws:sts::{ACCOUNT}:assumed-role/x/ann",
        "task": "update",
        "since": "2026-11-20T09:00:00.000Z",
        "until": "2026-11-20T09:05:00.000Z",
        "holds": True,
    }
    assert person.notes == []


def test_a_lock_that_nobody_has_renewed_is_told_as_left(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(aws, "2026-11-20T09:05:00.000Z")
    monkeypatch.setattr(locks.Found, "has_expired", property(lambda _: True))
    view, _ = look(aws, "UPDATE_COMPLETE", None)
    assert view.lock
    assert not view.lock.holds
    assert "left by ann (update since" in status.draw(view)


def test_the_lock_of_a_stack_that_is_about_to_be_created_is_told(aws: Aws) -> None:
    hold(aws, "2026-11-20T09:05:00.000Z")
    intercept(aws.client("cloudformation"), lambda *_: {"Stacks": []})
    view = status.look(factories.job(), Person().access(aws))
    assert (view.status, view.lock is not None) == (Status.ABSENT, True)


def test_status_asks_once_for_the_lock_and_says_nothing_where_there_is_no_bucket(aws: Aws) -> None:
    asked: list[str] = []

    def count(operation: str, arguments: Any) -> None:
        if arguments.get("Key", "").startswith("locks/"):
            asked.append(operation)
            raise refusal("NoSuchBucket", "no bucket", operation, 404)

    intercept(aws.client("s3"), count)
    view, person = look(aws, "UPDATE_COMPLETE", None)
    assert (asked, view.lock, person.notes) == (["GetObject"], None, [])
