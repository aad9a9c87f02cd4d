"""A creation asks nothing, tells what AWS warns of, leaves no shell, is recorded and protected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lib.deploy import change, publishing
from lib.deploy.outcomes import Outcome
from lib.deploy.publishing import Run
from lib.errors import AwsUnavailable, OperationFailed, StateForbids
from lib.operators import Expected, Level, Note
from lib.stacks import statuses
from lib.stacks.statuses import Operation, Status, decide
from tests.deploy.world import World
from tests.support import factories
from tests.support.aws_fakes import refusal
from tests.support.factories import STACK

PRODUCTION = "production"

ADD = {"Action": "Add", "LogicalResourceId": "Table", "ResourceType": "AWS::DynamoDB::Table"}
CREATED = ["CreateChangeSet", "ExecuteChangeSet"]


def create(world: World, ending: str = "CREATE_COMPLETE", **options: Any) -> Outcome:
    world.status, world.ending = "REVIEW_IN_PROGRESS", ending
    world.rows = world.rows or [ADD]
    return change.carry_out(world.run(**options), None, decide(Operation.DEPLOY, Status.ABSENT))


def test_production_is_protected_from_deletion_once_it_stands() -> None:
    world = World(environment=PRODUCTION)
    assert create(world).action == "created"
    assert world.changes == [*CREATED, "UpdateTerminationProtection"]
    assert world.arguments("UpdateTerminationProtection")[0]["EnableTerminationProtection"] is True


def test_nothing_else_is_protected() -> None:
    world = World()
    create(world)
    assert world.changes == CREATED


def test_a_creation_that_failed_is_not_protected() -> None:
    world = World(environment=PRODUCTION)
    assert create(world, "ROLLBACK_COMPLETE").failed
    assert world.changes == CREATED


def test_a_missing_right_to_protect_is_a_warning_and_no_failure() -> None:
    world = World(environment=PRODUCTION)
    denied = refusal("AccessDenied", "not you", "UpdateTerminationProtection")
    world.refusals["UpdateTerminationProtection"] = denied
    assert create(world).action == "created"
    assert any("could not be switched on: not you" in text for text in world.notes)


def test_a_refused_creation_completes_its_record_with_what_aws_said() -> None:
    world = World()
    world.refusals["ExecuteChangeSet"] = refusal("AccessDenied", "not you", "ExecuteChangeSet")
    with pytest.raises(AwsUnavailable, match="not you"):
        create(world)
    assert [record["status"] for record in world.records] == ["started", "REFUSED"]
    assert world.records[-1]["reason"] == "AccessDenied: not you"


def test_why_a_failed_stack_is_deleted_is_said_even_where_nothing_is_asked() -> None:
    world = World("ROLLBACK_COMPLETE")
    world.ending, world.rows = "CREATE_COMPLETE", [ADD]
    decision = decide(Operation.DEPLOY, Status.ROLLBACK_COMPLETE)
    change.carry_out(world.run(), world.stack, decision)
    assert any("such a stack can only be deleted" in text for text in world.notes)
    assert world.changes == ["DeleteStack", *CREATED]


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


# Through a change set


def test_a_first_creation_shows_and_asks_nothing() -> None:
    world = World()
    outcome = create(world)
    assert (outcome.action, outcome.status) == ("created", "CREATE_COMPLETE")
    assert (world.asked, world.drawn) == ([], [])


FULL = {
    "EventId": "1",
    "EventType": "VALIDATION_ERROR",
    "LogicalResourceId": "Table",
    "ResourceType": "AWS::DynamoDB::Table",
    "ValidationFailureMode": "WARN",
    "ValidationStatusReason": "2500 of 2500 tables are in use",
}


def test_what_only_the_validation_of_a_change_set_warns_of_is_told_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()

    def warn(_: World) -> Mapping[str, Any]:
        return {"OperationEvents": [FULL]}

    monkeypatch.setattr(World, "_DescribeEvents", warn, raising=False)
    create(world)
    warnings = [n.text for n in world.told if isinstance(n, Note) and n.level is Level.WARNING]
    assert len(warnings) == 1
    assert "2500 of 2500 tables are in use" in warnings[0]
    asked = [call.operation for call in world.calls]
    assert asked.index("DescribeEvents") < asked.index("ExecuteChangeSet")


def test_what_is_created_inside_nested_stacks_is_counted_before_it_comes() -> None:
    world = World()
    folder = {
        "master-stack.yaml": "One: {Type: 'AWS::CloudFormation::Stack', Properties: {TemplateURL: "
        "'https://x/one.yaml'}}",
        "one.yaml": "Note: {Type: 'AWS::SSM::Parameter', Properties: {Type: String, Value: x}}",
    }
    made = {name: factories.template(f"Resources: {{{t}}}", name) for name, t in folder.items()}
    world.job = replace(world.job, templates=made, values={})
    world.rows = [{**ADD, "LogicalResourceId": "One", "ResourceType": "AWS::CloudFormation::Stack"}]
    create(world)
    [expected] = [one.paths for one in world.told if isinstance(one, Expected)]
    assert "One/Note" in expected


def test_a_stack_that_waits_for_review_is_asked_about() -> None:
    world = World("REVIEW_IN_PROGRESS")
    world.ending, world.rows = "CREATE_COMPLETE", [ADD]
    decision = decide(Operation.DEPLOY, Status.REVIEW_IN_PROGRESS)
    assert change.carry_out(world.run(), world.stack, decision).action == "created"
    assert len(world.asked) == 1
    assert len(world.drawn) == 1


@pytest.mark.parametrize("disabled", [True, False])
def test_whether_a_failed_creation_is_rolled_back_is_said_with_the_execution(
    disabled: bool,
) -> None:
    world = World()
    create(world, disable_rollback=disabled)
    assert world.arguments("ExecuteChangeSet")[0]["DisableRollback"] is disabled
    # The two exclude each other.
    assert "OnStackFailure" not in world.arguments("CreateChangeSet")[0]


def test_what_aws_cannot_create_leaves_neither_a_change_set_nor_a_shell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = {"ChangeSetId": "arn:c", "Status": "FAILED", "StatusReason": "Table exists"}
    monkeypatch.setattr(World, "_DescribeChangeSet", lambda _: failed)
    world = World()
    with pytest.raises(OperationFailed, match="Table exists"):
        create(world)
    assert world.changes == ["CreateChangeSet", "DeleteChangeSet", "DeleteStack"]


def test_ctrl_c_before_the_execution_leaves_no_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    def press(_run: Run, _unloaded: frozenset[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(publishing, "require_intact", press)
    world = World()
    with pytest.raises(KeyboardInterrupt):
        create(world)
    assert world.changes == ["CreateChangeSet", "DeleteChangeSet", "DeleteStack"]
    assert world.records == []


def test_a_stack_that_somebody_has_created_meanwhile_is_left_alone() -> None:
    world = World()
    said = f"Stack [{STACK}] already exists and cannot be created again with the changeSet [x]."
    world.refusals["CreateChangeSet"] = refusal("ValidationError", said, "CreateChangeSet")
    with pytest.raises(StateForbids, match=f"Somebody else has just created stack {STACK} in"):
        create(world)
    assert world.changes == ["CreateChangeSet"]


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ("REVIEW_IN_PROGRESS", "keeps being changed by others"),
        ("CREATE_IN_PROGRESS", "it is CREATE_IN_PROGRESS now"),
        ("CREATE_COMPLETE", "it is CREATE_COMPLETE now"),
    ],
)
def test_a_creation_that_somebody_overtook_is_not_made_an_update_of_theirs(
    left: str, said: str
) -> None:
    world = World()
    world.refusals["ExecuteChangeSet"] = refusal("InvalidChangeSetStatus", "no", "ExecuteChangeSet")
    answer = world.answer

    def reply(operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if operation == "ExecuteChangeSet":
            world.status = left
        return answer(operation, arguments)

    world.reply = reply
    with pytest.raises(StateForbids, match=said):
        create(world)
    # A shell has no template to compare with.
    assert world.arguments("GetTemplate") == []
    assert all(record["status"] in ("started", "OVERTAKEN") for record in world.records)
