"""Whatever changes a stack does it in its turn, and what only looks asks for none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lib.deploy import change, deployments
from lib.errors import Locked
from lib.inputs.jobs import Options
from lib.stacks.statuses import Decision, Move
from tests.deploy.test_rollbacks import World as Paused
from tests.deploy.world import World
from tests.support.aws_fakes import operations
from tests.support.factories import stack

TURN = ["PutObject", "DeleteObject"]
ROW = {
    "Action": "Modify",
    "LogicalResourceId": "Table",
    "ResourceType": "AWS::SSM::Parameter",
    "Replacement": "False",
    "Scope": ["Properties"],
    "Details": [],
}


def update(world: World, **options: Any) -> Any:
    return change.carry_out(world.run(**options), stack(), Decision(Move.UPDATE))


def test_an_update_is_made_in_one_turn() -> None:
    world = World()
    world.rows = [ROW]
    assert update(world).action == "updated"
    assert world.locking == TURN


def test_an_update_that_changes_nothing_asks_for_no_turn() -> None:
    world = World()
    assert update(world).action == "unchanged"
    assert world.locking == []


@pytest.mark.parametrize("waits", [False, True])
def test_a_preview_asks_for_no_turn(waits: bool) -> None:
    world = World()
    world.rows = [ROW]
    world.job = replace(world.job, waits=waits)
    update(world, preview=True)
    assert world.locking == []


def test_a_change_set_whose_turn_does_not_come_is_discarded() -> None:
    world = World()
    world.rows = [ROW]

    def refuse() -> bool:
        raise Locked("ann is changing it")

    world.access = replace(world.access, claim=refuse)
    with pytest.raises(Locked) as caught:
        update(world)
    assert caught.value.details["changes"]
    assert "ExecuteChangeSet" not in operations(world.calls)
    assert "DeleteChangeSet" in operations(world.calls)
    assert world.asked == []
    assert world.records == []


def test_a_lock_that_is_lost_over_the_question_is_recorded_as_a_refusal() -> None:
    world = World()
    world.rows = [ROW]
    claims: list[bool] = []

    def lose() -> bool:
        claims.append(True)
        if len(claims) > 1:
            raise Locked("bob has taken it over")
        return False

    world.access = replace(world.access, claim=lose)
    with pytest.raises(Locked):
        update(world)
    assert "ExecuteChangeSet" not in operations(world.calls)
    assert [record["status"] for record in world.records] == ["started", "REFUSED"]
    assert world.records[-1]["reason"] == "bob has taken it over"


def test_what_was_planned_before_somebody_else_s_turn_is_planned_again() -> None:
    world = World()
    world.rows = [ROW]
    answers = [True]
    world.access = replace(world.access, claim=lambda: bool(answers and answers.pop()))
    assert update(world).action == "updated"
    made = operations(world.calls)
    assert made.count("CreateChangeSet") == 2
    assert made.count("ExecuteChangeSet") == 1
    assert made.index("DeleteChangeSet") < made.index("ExecuteChangeSet")


def test_a_deletion_is_made_in_one_turn() -> None:
    world = World()
    outcome = deployments.delete(world.job, world.access, Options())
    assert outcome.action == "deleted"
    assert world.locking == TURN


def test_a_rollback_is_made_in_one_turn() -> None:
    world = Paused("UPDATE_ROLLBACK_FAILED")
    world.roll_back("all")
    assert world.locking == TURN


def test_an_update_that_runs_is_cancelled_whoever_holds_the_lock() -> None:
    world = Paused("UPDATE_IN_PROGRESS")
    world.roll_back()
    assert "CancelUpdateStack" in operations(world.calls)
    assert world.locking == []
