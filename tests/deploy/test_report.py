"""What a change would do, and what became of it, is told to people in their words."""

from __future__ import annotations

import json
import shlex

import pytest

from lib.deploy import report
from lib.errors import InputError
from lib.stacks.events import Failure
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


def test_a_failure_is_described_cause_first_then_what_aws_did() -> None:
    failed = factories.outcome("failed", status="ROLLBACK_COMPLETE", failure=FAILURE)
    assert report.describe_failure(failed).splitlines() == [
        "Stack plot-palette-staging in eu-west-1 failed (ROLLBACK_COMPLETE).",
        "  Cause: DatabaseStack/JobsTable (AWS::DynamoDB::Table): Too many",
        "  CloudFormation removed what it had created.",
    ]


def test_a_failure_of_the_stack_itself_names_no_resource() -> None:
    failure = Failure("", "", "AWS::CloudFormation::Stack", "DELETE_COMPLETE", "")
    failed = factories.outcome("failed", status="DELETE_COMPLETE", failure=failure)
    assert report.describe_failure(failed).splitlines()[1:] == ["  Cause: DELETE_COMPLETE"]
    bare = factories.outcome("failed", status="DELETE_COMPLETE")
    assert len(report.describe_failure(bare).splitlines()) == 1


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
    text = report.describe_success(factories.outcome(**{"action": "updated", **given}))
    assert text.startswith("Stack plot-palette-staging in eu-west-1")
    assert text.endswith(told)


def test_outputs_are_drawn_as_a_table_or_not_at_all() -> None:
    assert report.draw_outputs({}) == ""
    lines = report.draw_outputs({"Url": "https://x", "Id": "007"}).splitlines()
    assert [line.split() for line in lines[2:]] == [["Id", "007"], ["Url", "https://x"]]


def test_outputs_as_variables_mean_the_same_to_a_shell() -> None:
    value = 'it\'s $(id) `id`\n"x"'
    text = report.choose_format("env")({"Url": value})
    assert shlex.split(text) == [f"Url={value}"]


def test_outputs_as_json_are_one_flat_object() -> None:
    assert json.loads(report.choose_format("json")({"B": "2", "A": "1"})) == {"A": "1", "B": "2"}


def test_an_unknown_format_is_refused() -> None:
    assert report.choose_format("table") is report.draw_outputs
    with pytest.raises(InputError, match="takes table, json, env, not 'xml'"):
        report.choose_format("xml")
