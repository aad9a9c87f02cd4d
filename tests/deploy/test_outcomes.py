"""What became of an operation is told truly, to people and to programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lib.deploy import outcomes
from lib.document import as_document
from lib.stacks.events import Ending, Failure
from lib.stacks.statuses import Status
from lib.templates.changes import Cause, Change
from tests.support import factories

FAILURE = Failure(
    "DatabaseStack/JobsTable", "JobsTable", "AWS::DynamoDB::Table", "CREATE_FAILED", "Too many"
)
CHANGE = Change(
    "DatabaseStack/JobsTable",
    "AWS::DynamoDB::Table",
    "Modify",
    "True",
    "jobs",
    (
        Cause("KeySchema", "a", "b", "Always"),
        Cause("KeySchema", "a", "b", "Always"),
        Cause("Tags"),
    ),
    data_loss="certain",
    verdict="the table is deleted",
)
#: The keys that the command line contract promises.
PROMISED = {
    *("action", "stack", "stack_id", "region", "environment", "status", "release", "outputs"),
    *("changes", "backups", "retained", "failure", "seconds"),
}
PROMISED_OF_A_CHANGE = {
    *("path", "type", "action", "replacement", "physical_id", "causes", "data_loss"),
}


def test_an_operation_that_ended_well_is_what_was_asked_for() -> None:
    ending = factories.ending(Status.CREATE_COMPLETE, outputs={"Url": "https://x"})
    outcome = outcomes.conclude(factories.job(), "created", factories.STACK_ID, ending)
    assert outcome.action == "created"
    assert not outcome.failed
    assert outcome.outputs == {"Url": "https://x"}
    assert (outcome.failure, outcome.next_step) == (None, "")


def test_a_failed_operation_carries_its_cause_and_the_next_command() -> None:
    ending = factories.ending(Status.UPDATE_ROLLBACK_COMPLETE, failure=FAILURE)
    outcome = outcomes.conclude(factories.job(), "updated", factories.STACK_ID, ending)
    assert outcome.failed
    assert outcome.failure == FAILURE
    assert outcome.next_step == "mend the cause, then inv deploy --env staging --region eu-west-1"


def test_a_failure_without_an_event_is_told_in_the_stacks_own_words() -> None:
    ending = factories.ending(Status.ROLLBACK_COMPLETE, reason="Nobody knows")
    outcome = outcomes.conclude(factories.job(), "created", factories.STACK_ID, ending)
    assert outcome.failure is not None
    assert outcome.failure.reason == "Nobody knows"
    gone = Ending(Status.ROLLBACK_FAILED, None, (), None)
    silent = outcomes.conclude(factories.job(), "created", factories.STACK_ID, gone)
    assert silent.failure is not None
    assert silent.failure.reason == "AWS gives no reason"


@pytest.mark.parametrize(
    ("action", "status"),
    [
        # Somebody deletes a stack while it is being created.
        ("created", Status.DELETE_COMPLETE),
        # An export in use stops a deletion, and the stack is what it was before.
        ("deleted", Status.UPDATE_COMPLETE),
        ("deleted", Status.DELETE_FAILED),
        ("created", Status.CREATE_FAILED),
        ("updated", Status.UPDATE_ROLLBACK_FAILED),
    ],
)
def test_an_operation_that_ended_elsewhere_has_failed(action: str, status: Status) -> None:
    ending = factories.ending(status)
    outcome = outcomes.conclude(factories.job(), action, factories.STACK_ID, ending)
    assert outcome.failed
    assert outcome.failure is not None


def test_a_deleted_stack_is_told_with_what_it_left_behind() -> None:
    kept = factories.event("Table", "DELETE_SKIPPED", physical_id="jobs")
    gone = factories.event("Topic", "DELETE_COMPLETE", physical_id="topic")
    ending = factories.ending(Status.DELETE_COMPLETE, events=[kept, gone, kept])
    outcome = outcomes.conclude(factories.job(), "deleted", factories.STACK_ID, ending)
    assert (outcome.action, outcome.retained) == ("deleted", ("jobs",))


def test_a_document_has_the_promised_keys_and_is_json() -> None:
    outcome = factories.outcome(
        "failed", status=Status.ROLLBACK_COMPLETE, failure=FAILURE, changes=(CHANGE,)
    )
    document = json.loads(json.dumps(as_document(outcome)))
    assert set(document) >= PROMISED
    assert document["status"] == "ROLLBACK_COMPLETE"
    assert document["failure"]["logical_id"] == "JobsTable"
    assert document["failure"]["reason"] == "Too many"
    assert list(document["failure"]) == ["logical_id", "reason", "path", "type"]
    (change,) = document["changes"]
    assert set(change) >= PROMISED_OF_A_CHANGE
    assert change["causes"] == ["KeySchema", "Tags"]
    assert list(change)[-3:] == ["data_loss", "policy_action", "verdict"]
    assert as_document(factories.outcome())["failure"] is None


def test_paths_in_a_job_do_not_reach_the_outcome() -> None:
    job = factories.job(folder=Path("/somewhere"))
    ending = factories.ending(Status.UPDATE_COMPLETE)
    outcome = outcomes.conclude(job, "updated", factories.STACK_ID, ending)
    assert "/somewhere" not in json.dumps(as_document(outcome))


def test_only_a_stack_that_stands_is_verified_and_also_when_nothing_had_to_be_changed() -> None:
    previewed = [factories.outcome(action, preview=True) for action in ("created", "unchanged")]
    gone = outcomes.unchanged(factories.job(), None)
    for nothing in (*previewed, gone, factories.outcome("failed"), factories.outcome("deleted")):
        assert not nothing.is_deployed
    assert factories.outcome("unchanged").is_deployed
    assert factories.outcome("created").is_deployed
    assert factories.outcome("rolled-back").is_deployed
