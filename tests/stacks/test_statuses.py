"""Each operation does the documented thing in each of the states a stack can be in."""

from __future__ import annotations

import re

import botocore.session
import pytest

from lib.stacks import statuses
from lib.stacks.statuses import Move, Operation, Status

#: Deploy, update, rollback and delete in each state. From AWS: UpdateStack and change sets
#: work on *_COMPLETE states and, with rollback disabled, on CREATE_FAILED and UPDATE_FAILED;
#: RollbackStack on those two; ContinueUpdateRollback on UPDATE_ROLLBACK_FAILED;
#: CancelUpdateStack on UPDATE_IN_PROGRESS; DeleteStack in every state but those in the middle
#: of an update or import.
EXPECTED = """
ABSENT                                       CREATE               REFUSE REFUSE            NOTHING
CREATE_IN_PROGRESS                           REFUSE               REFUSE REFUSE            DELETE
CREATE_FAILED                                UPDATE               UPDATE ROLL_BACK         DELETE
CREATE_COMPLETE                              UPDATE               UPDATE REFUSE            DELETE
ROLLBACK_IN_PROGRESS                         REFUSE               REFUSE WAIT              DELETE
ROLLBACK_FAILED                              REPLACE              REFUSE REFUSE            DELETE
ROLLBACK_COMPLETE                            REPLACE              REFUSE REFUSE            DELETE
DELETE_IN_PROGRESS                           REFUSE               REFUSE REFUSE            WAIT
DELETE_FAILED                                REFUSE               REFUSE REFUSE            DELETE
DELETE_COMPLETE                              CREATE               REFUSE REFUSE            NOTHING
UPDATE_IN_PROGRESS                           REFUSE               REFUSE CANCEL_UPDATE     REFUSE
UPDATE_COMPLETE_CLEANUP_IN_PROGRESS          WAIT                 WAIT   WAIT              REFUSE
UPDATE_COMPLETE                              UPDATE               UPDATE REFUSE            DELETE
UPDATE_FAILED                                UPDATE               UPDATE ROLL_BACK         DELETE
UPDATE_ROLLBACK_IN_PROGRESS                  REFUSE               REFUSE WAIT              REFUSE
UPDATE_ROLLBACK_FAILED                       REFUSE               REFUSE CONTINUE_ROLLBACK DELETE
UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS WAIT                 WAIT   WAIT              REFUSE
UPDATE_ROLLBACK_COMPLETE                     UPDATE               UPDATE NOTHING           DELETE
REVIEW_IN_PROGRESS                           CREATE_BY_CHANGE_SET REFUSE REFUSE            DELETE
IMPORT_IN_PROGRESS                           REFUSE               REFUSE REFUSE            REFUSE
IMPORT_COMPLETE                              UPDATE               UPDATE REFUSE            DELETE
IMPORT_ROLLBACK_IN_PROGRESS                  REFUSE               REFUSE WAIT              REFUSE
IMPORT_ROLLBACK_FAILED                       REFUSE               REFUSE CONTINUE_ROLLBACK DELETE
IMPORT_ROLLBACK_COMPLETE                     UPDATE               UPDATE REFUSE            DELETE
"""
CELLS = [
    pytest.param(operation, Status(row.split()[0]), Move[move], id=f"{operation}-{row.split()[0]}")
    for row in EXPECTED.strip().splitlines()
    for operation, move in zip(Operation, row.split()[1:], strict=True)
]
DECISIONS = [
    pytest.param(statuses.decide(operation, status), id=f"{operation}-{status}")
    for status in Status
    for operation in Operation
]
COMMAND = re.compile(r"inv ([a-z-]+)")
#: Every task that a message may send an operator to, from the contract.
TASKS = {"deploy", "update", "rollback", "events", "history", "status"}


def test_the_states_are_those_of_botocore_and_the_lack_of_one() -> None:
    loader = botocore.session.get_session().get_component("data_loader")
    model = loader.load_service_model("cloudformation", "service-2")
    assert {*model["shapes"]["StackStatus"]["enum"], "ABSENT"} == {str(s) for s in Status}


def test_every_state_has_a_cell_for_every_operation() -> None:
    assert set(statuses.TABLE) == set(Status)
    assert all(set(row) == set(Operation) for row in statuses.TABLE.values())
    assert len(CELLS) == len(Status) * len(Operation)


@pytest.mark.parametrize(("operation", "status", "move"), CELLS)
def test_an_operation_makes_the_documented_move(
    operation: Operation, status: Status, move: Move
) -> None:
    assert statuses.decide(operation, status).move is move


@pytest.mark.parametrize("decision", DECISIONS)
def test_a_refusal_says_why_and_what_to_type_next(decision: statuses.Decision) -> None:
    if decision.move is Move.REFUSE:
        assert decision.why
        assert decision.next_step
    assert set(COMMAND.findall(decision.next_step)) <= TASKS
    named = decision.next_step.format(target="--env staging", stack="plot-palette-staging")
    assert "{" not in named


def test_nothing_but_a_move_that_waits_or_refuses_meets_a_running_operation() -> None:
    for status in Status:
        if status.is_running:
            for operation in (Operation.DEPLOY, Operation.UPDATE):
                assert statuses.decide(operation, status).move in (Move.WAIT, Move.REFUSE)


def test_a_stack_under_review_is_not_running() -> None:
    assert not Status.REVIEW_IN_PROGRESS.is_running
    assert Status.UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS.is_running
    assert not Status.UPDATE_COMPLETE.is_running


def test_a_rolled_back_stack_is_not_healthy() -> None:
    assert Status.UPDATE_COMPLETE.is_healthy
    assert not Status.UPDATE_ROLLBACK_COMPLETE.is_healthy
    assert not any(s.is_healthy for s in Status if "FAILED" in s or "ROLLBACK" in s)


def test_only_a_stack_whose_rollback_was_disabled_is_paused() -> None:
    paused = [status for status in Status if status.is_paused]
    assert paused == [Status.CREATE_FAILED, Status.UPDATE_FAILED]


@pytest.mark.parametrize("status", [s for s in Status if s.endswith(("_FAILED", "_COMPLETE"))])
def test_every_ending_leads_to_a_next_command(status: Status) -> None:
    step = statuses.next_after(status).format(target="--env staging")
    assert set(COMMAND.findall(step)) <= TASKS
    assert "--env staging" in step


@pytest.mark.parametrize(
    "status",
    [s for s in Status if s.endswith("_FAILED") and not s.startswith("IMPORT")]
    + [Status.ROLLBACK_COMPLETE, Status.UPDATE_ROLLBACK_COMPLETE],
)
def test_a_failed_ending_says_what_cloudformation_did(status: Status) -> None:
    assert statuses.describe_ending(status).endswith(".")


def test_an_ending_that_says_it_all_needs_no_words() -> None:
    assert statuses.describe_ending(Status.UPDATE_COMPLETE) == ""
