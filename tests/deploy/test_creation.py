"""A creation is recorded, protected where it counts, and nothing is deleted without a word."""

from __future__ import annotations

from typing import Any

import pytest

from lib.deploy import change
from lib.deploy.outcomes import Outcome
from lib.errors import AwsUnavailable
from lib.stacks import statuses
from lib.stacks.statuses import Operation, Status, decide
from tests.deploy.world import World
from tests.support.aws_fakes import refusal

PRODUCTION = "production"


def create(world: World, **options: Any) -> Outcome:
    world.status, world.ending = "CREATE_IN_PROGRESS", "CREATE_COMPLETE"
    return change.carry_out(world.run(**options), None, decide(Operation.DEPLOY, Status.ABSENT))


def test_production_is_protected_from_deletion_once_it_stands() -> None:
    world = World(environment=PRODUCTION)
    assert create(world).action == "created"
    assert world.changes == ["CreateStack", "UpdateTerminationProtection"]
    assert world.arguments("UpdateTerminationProtection")[0]["EnableTerminationProtection"] is True


def test_nothing_else_is_protected() -> None:
    world = World()
    create(world)
    assert world.changes == ["CreateStack"]


def test_a_creation_that_failed_is_not_protected() -> None:
    world = World(environment=PRODUCTION)
    world.status, world.ending = "CREATE_IN_PROGRESS", "ROLLBACK_COMPLETE"
    decision = decide(Operation.DEPLOY, Status.ABSENT)
    assert change.carry_out(world.run(), None, decision).failed
    assert world.changes == ["CreateStack"]


def test_a_missing_right_to_protect_is_a_warning_and_no_failure() -> None:
    world = World(environment=PRODUCTION)
    denied = refusal("AccessDenied", "not you", "UpdateTerminationProtection")
    world.refusals["UpdateTerminationProtection"] = denied
    assert create(world).action == "created"
    assert any("could not be switched on: not you" in text for text in world.notes)


def test_a_refused_creation_completes_its_record_with_what_aws_said() -> None:
    world = World()
    world.refusals["CreateStack"] = refusal("AccessDenied", "not you", "CreateStack")
    with pytest.raises(AwsUnavailable, match="not you"):
        create(world)
    assert [record["status"] for record in world.records] == ["started", "REFUSED"]
    assert world.records[-1]["reason"] == "AccessDenied: not you"


def test_why_a_failed_stack_is_deleted_is_said_even_where_nothing_is_asked() -> None:
    world = World("ROLLBACK_COMPLETE")
    world.ending = "CREATE_COMPLETE"
    decision = decide(Operation.DEPLOY, Status.ROLLBACK_COMPLETE)
    change.carry_out(world.run(), world.stack, decision)
    assert any("such a stack can only be deleted" in text for text in world.notes)
    assert world.changes == ["DeleteStack", "CreateStack"]


def test_the_preview_of_a_creation_says_that_nested_stacks_were_not_read() -> None:
    world = World()
    world.rows = [
        {
            "Action": "Add",
            "LogicalResourceId": "Data",
            "ResourceType": "AWS::CloudFormation::Stack",
            "Details": [],
        }
    ]
    create(world, preview=True)
    assert any("inside nested stacks could not be read" in text for text in world.notes)


def test_what_was_created_is_not_said_to_be_left_because_rollback_was_disabled() -> None:
    assert "disabled" not in statuses.describe_ending(Status.CREATE_FAILED)
