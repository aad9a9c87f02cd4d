"""A stack at a glance, as a document and as text."""

from __future__ import annotations

import pytest

from lib.deploy import status
from lib.deploy.status import View
from lib.document import as_document
from lib.stacks.drift import Drift
from lib.stacks.statuses import Status
from tests.deploy.world import World
from tests.support import factories
from tests.support.aws_fakes import START

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
