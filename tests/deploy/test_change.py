"""A change is carried out as it was shown, and what cannot succeed is not begun."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from lib.deploy import change
from lib.deploy.outcomes import Outcome
from lib.errors import AwsUnavailable, OperationFailed, Refused, StateForbids
from lib.operators import Expected, ResourceProgress
from lib.stacks.statuses import Operation, Status, decide
from tests.deploy.world import World
from tests.support.aws_fakes import START, refusal
from tests.support.factories import REGION

REPLACED = {
    "Action": "Modify",
    "LogicalResourceId": "Table",
    "PhysicalResourceId": "table",
    "ResourceType": "AWS::Lambda::Function",
    "Replacement": "True",
    "Scope": ["Properties"],
    "Details": [
        {
            "Target": {
                "Attribute": "Properties",
                "Name": "FunctionName",
                "RequiresRecreation": "Always",
            },
            "Evaluation": "Static",
            "ChangeSource": "DirectModification",
        }
    ],
}
TOUCHED = {
    **REPLACED,
    "Replacement": "False",
    "Details": [
        {
            "Target": {"Attribute": "Properties", "Name": "Timeout", "RequiresRecreation": "Never"},
            "Evaluation": "Static",
            "ChangeSource": "DirectModification",
        }
    ],
}


def carry_out(world: World, **options: Any) -> Outcome:
    return change.carry_out(
        world.run(**options), world.stack, decide(Operation.DEPLOY, Status(world.status))
    )


@pytest.mark.parametrize(
    ("status", "way_out"),
    [("CREATE_FAILED", "removes what was created"), ("UPDATE_FAILED", "last stable state")],
)
def test_a_failed_stack_is_not_up_to_date_because_nothing_would_change(
    status: str, way_out: str
) -> None:
    world = World(status)
    world.events = {"Import": ("CREATE_FAILED", "No export named no-such-export found.")}
    outcome = carry_out(world)
    assert (outcome.action, outcome.status) == ("failed", status)
    assert outcome.failure
    assert outcome.failure.reason == "No export named no-such-export found."
    assert outcome.next_step.startswith("inv rollback ")
    assert way_out in outcome.next_step
    assert world.changes == ["CreateChangeSet", "DeleteChangeSet"]


def test_a_stack_that_was_rolled_back_is_up_to_date_when_nothing_would_change() -> None:
    assert carry_out(World("UPDATE_ROLLBACK_COMPLETE")).action == "unchanged"


@pytest.mark.parametrize(
    ("status", "options", "next_step"),
    [
        ("UPDATE_FAILED", {}, "inv rollback "),
        ("CREATE_FAILED", {}, "inv rollback "),
        ("CREATE_COMPLETE", {"disable_rollback": True}, "inv deploy "),
    ],
)
def test_a_replacement_without_rollback_is_refused_before_it_fails(
    status: str, options: dict[str, Any], next_step: str
) -> None:
    world = World(status)
    world.rows = [REPLACED]
    with pytest.raises(StateForbids, match=r"would replace Table \(FunctionName\)") as caught:
        carry_out(world, **options)
    assert caught.value.exit_code == 3
    assert caught.value.next_step.startswith(next_step)
    # That is when a program needs to know what would have changed.
    [told] = caught.value.details["changes"]  # type: ignore[misc]
    assert (told["path"], told["causes"]) == ("Table", ["FunctionName"])
    assert "ExecuteChangeSet" not in world.changes
    assert "DeleteChangeSet" in world.changes


@pytest.mark.parametrize(
    ("status", "row", "disabled"),
    [("CREATE_COMPLETE", REPLACED, False), ("UPDATE_FAILED", TOUCHED, True)],
)
def test_what_can_succeed_is_carried_out_and_says_whether_it_rolls_back(
    status: str, row: dict[str, Any], disabled: bool
) -> None:
    world = World(status)
    world.rows = [row]
    assert carry_out(world).action == "updated"
    [executed] = world.arguments("ExecuteChangeSet")
    assert executed["DisableRollback"] is disabled


@pytest.mark.parametrize(("said", "asked"), [(True, 1), (False, 2)])
def test_the_change_set_s_age_tells_where_its_events_begin(said: bool, asked: int) -> None:
    world = World()
    world.rows = [TOUCHED]
    if said:
        world.made["CreationTime"] = START + timedelta(seconds=5)
    assert carry_out(world).action == "updated"
    assert len(world.arguments("DescribeStackEvents")) == asked
    shown = [one.status for one in world.told if isinstance(one, ResourceProgress)]
    # The history has an older event, which nobody wants to see again.
    assert shown == ["UPDATE_COMPLETE"]


@pytest.mark.parametrize(("told", "shown"), [("Cost: $1.00 a month, as before.", 1), ("", 0)])
def test_what_a_change_does_to_the_months_cost_stands_below_it_before_anything_is_asked(
    told: str, shown: int
) -> None:
    world = World()
    world.rows = [TOUCHED]
    asked: list[Any] = []

    def price(*given: Any) -> str:
        asked.append(given)
        return told

    run = replace(world.run(), price=price)
    decision = decide(Operation.DEPLOY, Status(world.status))
    assert change.carry_out(run, world.stack, decision).action == "updated"
    [(job, live)] = asked
    assert (job, live.parameters) == (run.job, world.parameters)
    said = [getattr(one, "text", type(one).__name__) for one in world.told]
    assert said.count("Cost: $1.00 a month, as before.") == shown
    if shown:
        assert said.index(told) == said.index("Drawing") + 1


class Remembering(World):
    """A stack with one earlier update in its history, which somebody may be kept from reading."""

    def __init__(self) -> None:
        super().__init__()
        self.readable = True
        self.asked_of_s3: list[str] = []

    def keep(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        self.asked_of_s3.append(operation)
        if not self.readable:
            raise refusal("AccessDenied", status=403)
        if operation == "ListObjectsV2":
            listed = {"Key": f"deployments/{self.job.stack_name}/1.json", "LastModified": START}
            return {"Contents": [listed]}
        if operation == "GetObject":
            return {"Body": io.BytesIO(json.dumps(EARLIER).encode())}
        return super().keep(operation, arguments)


EARLIER = {
    **dict.fromkeys(("release", "by", "stack", "stack_id"), ""),
    "time": "2026-11-20T09:00:00.000Z",
    "action": "update",
    "seconds": 400.0,
    "status": "UPDATE_COMPLETE",
    "parameters": {},
}


def test_how_long_an_update_usually_takes_is_read_from_the_history_once_somebody_asks() -> None:
    world = Remembering()
    world.rows = [TOUCHED]
    assert carry_out(world).action == "updated"
    assert "ListObjectsV2" not in world.asked_of_s3
    [expected] = [one for one in world.told if isinstance(one, Expected)]
    assert expected.usually is not None
    assert expected.usually() == 400.0
    assert world.asked_of_s3[-2:] == ["ListObjectsV2", "GetObject"]
    world.readable = False
    assert expected.usually() is None


def test_a_preview_says_what_would_be_refused_and_refuses_nothing() -> None:
    world = World()
    world.rows = [REPLACED]
    assert carry_out(world, disable_rollback=True, preview=True).preview
    assert any("would be refused" in text for text in world.notes)


def test_a_preview_that_is_interrupted_as_it_tidies_up_tries_once_more() -> None:
    world = World()
    world.rows = [REPLACED]
    world.interrupted_at = {"DeleteChangeSet"}
    with pytest.raises(KeyboardInterrupt):
        carry_out(world, preview=True)
    assert world.changes == ["CreateChangeSet", "DeleteChangeSet", "DeleteChangeSet"]


def test_a_preview_removes_what_a_killed_one_left_and_is_none_the_worse_if_it_may_not() -> None:
    world = World()
    world.rows = [TOUCHED]
    left = {
        "ChangeSetName": "update-20260101-000000-0123456789ab-1a2b3c",
        "ChangeSetId": "left",
        "Description": "Request plot-palette-1, a preview until 2026-01-01T02:00:00+00:00",
    }
    answer = world.reply
    world.reply = lambda operation, arguments: (
        {"Summaries": [left]} if operation == "ListChangeSets" else answer(operation, arguments)
    )
    assert carry_out(world, preview=True).preview
    assert [one["ChangeSetName"] for one in world.arguments("DeleteChangeSet")] == [
        f"arn:aws:cloudformation:{REGION}:1:changeSet/c/1",
        "left",
    ]
    world.refusals["ListChangeSets"] = refusal("AccessDenied", "no", "ListChangeSets")
    world.reply = answer
    assert carry_out(world, preview=True).preview
    assert any("may be left" in text for text in world.notes)


def test_going_back_to_what_was_last_stable_is_no_replacement_whatever_is_shown() -> None:
    world = World("UPDATE_FAILED")
    world.rows = [REPLACED]
    run = replace(world.run(), replays=True)
    decision = decide(Operation.UPDATE, Status.UPDATE_FAILED)
    assert change.carry_out(run, world.stack, decision).action == "updated"


def test_express_mode_rolls_back_and_what_still_comes_up_is_told() -> None:
    world = World()
    world.rows = [TOUCHED]
    said = "Resource operation completed using Express Mode. It may continue becoming available."
    world.events = {
        "Table": ("UPDATE_COMPLETE", said),
        "Other": ("UPDATE_COMPLETE", ""),
        "Old": ("DELETE_COMPLETE", said),
    }
    carry_out(world, express=True)
    [created] = world.arguments("CreateChangeSet")
    assert created["DeploymentConfig"] == {"Mode": "EXPRESS", "DisableRollback": False}
    [executed] = world.arguments("ExecuteChangeSet")
    assert "DisableRollback" not in executed
    assert any(text.endswith("still coming up: Table") for text in world.notes)
    assert {record["express"] for record in world.records} == {True}


def test_a_refused_execution_leaves_no_change_set_and_a_record_of_what_aws_said() -> None:
    world = World()
    world.rows = [TOUCHED]
    message = "User: ann is not authorized to perform: cloudformation:ExecuteChangeSet"
    world.refusals["ExecuteChangeSet"] = refusal("AccessDenied", message, "ExecuteChangeSet")
    with pytest.raises(AwsUnavailable, match="not authorized"):
        carry_out(world)
    assert world.changes[-1] == "DeleteChangeSet"
    assert [record["status"] for record in world.records] == ["started", "REFUSED"]
    assert world.records[-1]["reason"] == f"AccessDenied: {message}"


def test_an_execution_that_may_have_begun_keeps_its_change_set_and_its_open_record() -> None:
    world = World()
    world.rows = [TOUCHED]
    fault = refusal("InternalFailure", "", "ExecuteChangeSet", status=500)
    world.refusals["ExecuteChangeSet"] = fault
    with pytest.raises(OperationFailed, match="CloudFormation goes on"):
        carry_out(world)
    assert "DeleteChangeSet" not in world.changes
    assert [record["status"] for record in world.records] == ["started"]


@pytest.mark.parametrize("status", ["UPDATE_FAILED", "CREATE_FAILED"])
def test_a_stack_that_failed_in_express_mode_goes_on_in_it(status: str) -> None:
    # "Follow-up operations must use the same DeploymentConfig (mode=EXPRESS)".
    world = World(status)
    world.more = {"DeploymentConfig": {"Mode": "EXPRESS"}}
    world.rows = [TOUCHED]
    carry_out(world)
    [created] = world.arguments("CreateChangeSet")
    assert created["DeploymentConfig"] == {"Mode": "EXPRESS", "DisableRollback": True}
    assert any("express mode only" in text for text in world.notes)


def go_back(world: World, **options: Any) -> Outcome:
    """Return to what was last stable."""
    run = replace(world.run(**options), replays=True, action="rolled-back")
    return change.carry_out(run, world.stack, decide(Operation.UPDATE, Status(world.status)))


def test_going_back_to_what_was_last_stable_needs_no_change_set() -> None:
    world = World("UPDATE_FAILED")
    outcome = go_back(world)
    assert (outcome.action, outcome.status) == ("rolled-back", "UPDATE_COMPLETE")
    assert world.changes == ["CreateChangeSet", "DeleteChangeSet", "UpdateStack"]
    assert world.arguments("UpdateStack")[0]["DisableRollback"] is True
    assert [record["status"] for record in world.records] == ["started", "UPDATE_COMPLETE"]


def test_a_preview_of_it_updates_nothing() -> None:
    world = World("UPDATE_FAILED")
    go_back(world, preview=True)
    assert "UpdateStack" not in world.changes


def test_where_aws_finds_nothing_to_go_back_to_it_is_said_what_is_left() -> None:
    world = World("UPDATE_FAILED")
    message = "No updates are to be performed."
    world.refusals["UpdateStack"] = refusal("ValidationError", message, "UpdateStack")
    with pytest.raises(StateForbids, match="No updates") as caught:
        go_back(world)
    assert "inv deploy --delete" in caught.value.next_step
    assert world.records[-1]["status"] == "REFUSED"


VPC = {**REPLACED, "LogicalResourceId": "Vpc", "ResourceType": "AWS::EC2::VPC"}
GATEWAY = {
    "LogicalResourceId": "NatGateway",
    "ResourceType": "AWS::EC2::NatGateway",
    "LastUpdatedTimestamp": START,
    "ResourceStatus": "CREATE_COMPLETE",
}


def test_another_range_behind_a_nat_gateway_is_refused_by_name() -> None:
    world = World()
    world.rows, world.resources = [VPC], [GATEWAY]
    world.parameters = {"VpcCidr": "10.9.0.0/16"}
    with pytest.raises(StateForbids, match=r"VpcCidr \(10.9.0.0/16 to 10.0.0.0/16\)") as caught:
        carry_out(world)
    assert "NatGateway" in caught.value.message
    assert "put VpcCidr back to 10.9.0.0/16" in caught.value.next_step
    assert "ExecuteChangeSet" not in world.changes


@pytest.mark.parametrize(
    ("before", "resources"), [("10.9.0.0/16", []), ("10.0.0.0/16", [GATEWAY]), ("", [GATEWAY])]
)
def test_no_other_change_of_a_network_is_refused(
    before: str, resources: list[dict[str, Any]]
) -> None:
    world = World()
    world.rows, world.resources = [VPC], resources
    world.parameters = {"VpcCidr": before} if before else {}
    assert carry_out(world).action == "updated"


def drifted(world: World, kind: str = "MODIFIED") -> None:
    """Have AWS find one drifted property."""
    difference = {
        "PropertyPath": "/BillingMode",
        "ExpectedValue": "PAY_PER_REQUEST",
        "ActualValue": "PROVISIONED",
        "DifferenceType": "NOT_EQUAL",
    }
    entry = {
        "StackId": "s",
        "LogicalResourceId": "Table",
        "ResourceType": "AWS::DynamoDB::Table",
        "StackResourceDriftStatus": kind,
        "Timestamp": START,
        "PropertyDifferences": [difference] if kind == "MODIFIED" else [],
    }
    known = world.answer
    answers: dict[str, dict[str, Any]] = {
        "DetectStackDrift": {"StackDriftDetectionId": "d"},
        "DescribeStackDriftDetectionStatus": {
            "StackId": "s",
            "StackDriftDetectionId": "d",
            "DetectionStatus": "DETECTION_COMPLETE",
            "Timestamp": START,
        },
        "DescribeStackResourceDrifts": {"StackResourceDrifts": [entry]},
    }
    world.reply = lambda operation, given: answers.get(operation) or known(operation, given)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("MODIFIED", "BillingMode is PROVISIONED, expected PAY_PER_REQUEST"),
        ("DELETED", "is gone: take it out of its template"),
    ],
)
def test_drift_that_aws_does_not_take_back_is_named_with_what_does(kind: str, told: str) -> None:
    world = World()
    drifted(world, kind)
    world.refusals["CreateChangeSet"] = refusal(
        "ValidationError", "Some words that nobody has seen.", "CreateChangeSet"
    )
    with pytest.raises(Refused) as caught:
        carry_out(world, revert_drift=True)
    assert caught.value.exit_code == 3
    assert "Some words that nobody has seen." in caught.value.message
    assert told in caught.value.message
    assert caught.value.details["drifted"] == ["Table"]
    assert "by hand" in caught.value.next_step


def test_drift_that_aws_does_take_back_is_a_change_like_any_other() -> None:
    world = World()
    world.rows = [TOUCHED]
    assert carry_out(world, revert_drift=True).action == "updated"
    assert world.arguments("CreateChangeSet")[0]["DeploymentMode"] == "REVERT_DRIFT"


def test_any_other_refusal_of_a_change_set_is_told_as_it_is() -> None:
    world = World()
    denied = refusal("InsufficientCapabilitiesException", "no", "CreateChangeSet")
    world.refusals = {"CreateChangeSet": denied}
    with pytest.raises(type(denied)):
        carry_out(world, revert_drift=True)
