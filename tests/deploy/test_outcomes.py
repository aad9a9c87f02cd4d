"""What became of an operation is told truly, to people and to programs."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from lib.deploy import outcomes
from lib.errors import InputError
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


def test_a_failure_is_described_cause_first_then_what_aws_did() -> None:
    failed = factories.outcome("failed", status="ROLLBACK_COMPLETE", failure=FAILURE)
    assert outcomes.describe_failure(failed).splitlines() == [
        "Stack plot-palette-staging in eu-west-1 failed (ROLLBACK_COMPLETE).",
        "  Cause: DatabaseStack/JobsTable (AWS::DynamoDB::Table): Too many",
        "  CloudFormation removed what it had created.",
    ]


def test_a_failure_of_the_stack_itself_names_no_resource() -> None:
    failure = Failure("", "", "AWS::CloudFormation::Stack", "DELETE_COMPLETE", "")
    failed = factories.outcome("failed", status="DELETE_COMPLETE", failure=failure)
    assert outcomes.describe_failure(failed).splitlines()[1:] == ["  Cause: DELETE_COMPLETE"]
    bare = factories.outcome("failed", status="DELETE_COMPLETE")
    assert len(outcomes.describe_failure(bare).splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"action": "created", "seconds": 1.26}, "was created in 1.3 s (release 0123456789ab)."),
        ({"action": "deleted", "release": ""}, "was deleted in 0.0 s."),
        ({"action": "unchanged"}, "is up to date (release 0123456789ab)."),
        ({"action": "unchanged", "status": "ABSENT"}, "does not exist."),
        ({"preview": True}, "is up to date (release 0123456789ab)."),
        ({"preview": True, "changes": (CHANGE,), "release": ""}, "previewed, nothing executed."),
        ({"action": "declined", "release": ""}, "declined in 0.0 s."),
    ],
)
def test_a_success_says_what_was_done(given: dict[str, object], told: str) -> None:
    text = outcomes.describe_success(factories.outcome(**{"action": "updated", **given}))
    assert text.startswith("Stack plot-palette-staging in eu-west-1")
    assert text.endswith(told)


def test_a_document_has_the_promised_keys_and_is_json() -> None:
    outcome = factories.outcome(
        "failed", status=Status.ROLLBACK_COMPLETE, failure=FAILURE, changes=(CHANGE,)
    )
    document = json.loads(json.dumps(outcomes.as_document(outcome)))
    assert set(document) >= PROMISED
    assert document["status"] == "ROLLBACK_COMPLETE"
    assert document["failure"]["logical_id"] == "JobsTable"
    assert document["failure"]["reason"] == "Too many"
    (change,) = document["changes"]
    assert set(change) >= PROMISED_OF_A_CHANGE
    assert change["causes"] == ["KeySchema", "Tags"]
    assert outcomes.as_document(factories.outcome())["failure"] is None


def test_changes_are_listed_with_their_causes_and_what_happens_to_data() -> None:
    added = Change("Topic", "AWS::SNS::Topic", "Add")
    risky = Change("Table", "AWS::DynamoDB::Table", "Modify", data_loss="possible", verdict="kept")
    listing = outcomes.list_changes("Changes", [CHANGE, added, risky])
    assert [len(row) for row in listing.rows] == [len(listing.columns)] * 3
    first, second, third = listing.rows
    assert first[:4] == ("DatabaseStack/JobsTable", "DynamoDB::Table", "Modify", "True")
    assert first[4] == "KeySchema: a → b; KeySchema: a → b; Tags"
    assert first[5] == "the table is deleted"
    assert (second[3], second[5]) == ("", "")
    assert third[5] == "kept"


def test_a_deletion_is_listed_with_what_happens_to_each() -> None:
    listing = outcomes.list_deletion("Deleted", [CHANGE])
    assert listing.rows == [
        ("DatabaseStack/JobsTable", "AWS::DynamoDB::Table", "jobs", "the table is deleted")
    ]


def test_a_cause_is_cut_to_what_a_table_holds() -> None:
    text = outcomes.describe_cause(Cause("Policy", "x" * 500, ""))
    assert text == f"Policy: {'x' * 40}… → -"


def test_two_long_values_are_cut_to_where_they_differ() -> None:
    start = "arn:aws:lambda:us-east-1:123456789012:function:"
    text = outcomes.describe_cause(Cause("Uri", f"{start}one", f"{start}two"))
    before, after = text.removeprefix("Uri: ").split(" → ")
    assert before.endswith("one")
    assert after.endswith("two")
    assert before.startswith("…")


def test_outputs_are_drawn_as_a_table_or_not_at_all() -> None:
    assert outcomes.draw_outputs({}) == ""
    lines = outcomes.draw_outputs({"Url": "https://x", "Id": "007"}).splitlines()
    assert [line.split() for line in lines[2:]] == [["Id", "007"], ["Url", "https://x"]]


def test_outputs_as_variables_mean_the_same_to_a_shell() -> None:
    value = 'it\'s $(id) `id`\n"x"'
    text = outcomes.choose_format("env")({"Url": value})
    assert shlex.split(text) == [f"Url={value}"]


def test_outputs_as_json_are_one_flat_object() -> None:
    assert json.loads(outcomes.choose_format("json")({"B": "2", "A": "1"})) == {"A": "1", "B": "2"}


def test_an_unknown_format_is_refused() -> None:
    assert outcomes.choose_format("table") is outcomes.draw_outputs
    with pytest.raises(InputError, match="takes table, json, env, not 'xml'"):
        outcomes.choose_format("xml")


def test_paths_in_a_job_do_not_reach_the_outcome() -> None:
    job = factories.job(folder=Path("/somewhere"))
    ending = factories.ending(Status.UPDATE_COMPLETE)
    outcome = outcomes.conclude(job, "updated", factories.STACK_ID, ending)
    assert "/somewhere" not in json.dumps(outcomes.as_document(outcome))


def test_only_a_stack_that_was_changed_and_stands_is_deployed() -> None:
    previewed = factories.outcome("created", preview=True)
    for nothing in (factories.outcome("unchanged"), previewed, factories.outcome("failed")):
        assert not nothing.is_deployed
    assert factories.outcome("created").is_deployed
    assert factories.outcome("rolled-back").is_deployed
