"""Stacks are read whole, page after page, and absent is told from refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib.errors import StateForbids
from lib.inputs.jobs import Job
from lib.stacks import stacks
from lib.stacks.stacks import Request
from lib.stacks.statuses import Status
from tests.support import factories
from tests.support.aws_fakes import (
    STACK,
    START,
    FakeTime,
    FakeTree,
    Happening,
    client,
    event_entry,
    intercept,
    nested,
    no_such_stack,
    operations,
    own,
    refusal,
    stack_entry,
    stack_id,
)

REFUSED = [
    refusal("Throttling", "Rate exceeded"),
    refusal("ExpiredToken", "The security token included in the request is expired"),
    refusal("AccessDenied", "not authorized; the role does not exist"),
    refusal("ValidationError", "S3 error: The specified key does not exist."),
    refusal("ValidationError", "Template format error: unsupported value"),
    refusal("ValidationError", "Role arn:aws:iam::123456789012:role/x does not exist"),
]


def failing(error: Exception) -> Any:
    made = client("cloudformation")

    def answer(_operation: str, _arguments: Mapping[str, Any]) -> None:
        raise error

    intercept(made, answer)
    return made


def answering(*answers: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    made = client("cloudformation")
    waiting = list(answers)
    return made, intercept(made, lambda _operation, _arguments: waiting.pop(0))


def job() -> Job:
    return Job(
        "staging", "us-east-1", "app", Path(), Path(), {}, {}, "--env staging --region us-east-1"
    )


@pytest.mark.parametrize(
    "message", ["Stack with id app does not exist", "Stack [app] does not exist"]
)
def test_both_of_awss_sentences_for_an_absent_stack_are_known(message: str) -> None:
    assert stacks.is_missing(refusal("ValidationError", message))
    assert stacks.describe(failing(refusal("ValidationError", message)), "app") is None


@pytest.mark.parametrize("error", REFUSED, ids=str)
def test_no_other_refusal_is_taken_for_an_absent_stack(error: ClientError) -> None:
    assert not stacks.is_missing(error)
    with pytest.raises(ClientError):
        stacks.describe(failing(error), "app")
    with pytest.raises(ClientError):
        stacks.walk(failing(error), "app")


def test_a_stack_is_read_with_all_that_it_says() -> None:
    cfn, _ = answering(
        {
            "Stacks": [
                stack_entry(
                    "app",
                    "UPDATE_COMPLETE",
                    StackStatusReason="fine",
                    Outputs=[{"OutputKey": "Url", "OutputValue": "https://x"}],
                    Parameters=[{"ParameterKey": "Env", "ParameterValue": "staging"}],
                    Tags=[{"Key": "Project", "Value": "plot-palette"}],
                    LastUpdatedTime=START + timedelta(hours=1),
                    EnableTerminationProtection=True,
                    ParentId=stack_id("parent"),
                    RootId=stack_id("root"),
                    DriftInformation={"StackDriftStatus": "IN_SYNC"},
                )
            ]
        }
    )
    assert stacks.describe(cfn, "app") == stacks.Stack(
        name="app",
        id=stack_id("app"),
        status=Status.UPDATE_COMPLETE,
        reason="fine",
        outputs={"Url": "https://x"},
        parameters={"Env": "staging"},
        tags={"Project": "plot-palette"},
        created=START,
        updated=START + timedelta(hours=1),
        protected=True,
        parent_id=stack_id("parent"),
        drift="IN_SYNC",
        root_id=stack_id("root"),
    )


def test_a_stack_that_says_little_is_read_too() -> None:
    cfn, _ = answering({"Stacks": [stack_entry("app", "CREATE_IN_PROGRESS")]})
    found = stacks.describe(cfn, "app")
    assert found is not None
    assert (found.outputs, found.updated, found.protected, found.drift) == ({}, None, False, "")


def test_an_empty_answer_is_no_stack() -> None:
    cfn, _ = answering({"Stacks": []})
    assert stacks.describe(cfn, "app") is None


def test_a_stack_that_has_to_be_there_and_is_not_names_the_command_that_makes_it() -> None:
    with pytest.raises(StateForbids, match="There is no stack app in us-east-1") as caught:
        stacks.require(failing(no_such_stack("app")), job())
    assert caught.value.next_step == "inv deploy --env staging --region us-east-1"


def test_a_stack_that_has_to_be_there_and_is_comes_back() -> None:
    cfn, _ = answering({"Stacks": [stack_entry("app", "CREATE_COMPLETE")]})
    assert stacks.require(cfn, job()).id == stack_id("app")


def test_every_page_of_the_regions_stacks_is_read() -> None:
    cfn, calls = answering(
        {"Stacks": [stack_entry("a", "CREATE_COMPLETE")], "NextToken": "more"},
        {"Stacks": [stack_entry("b", "CREATE_COMPLETE")]},
    )
    assert [stack.name for stack in stacks.list_live(cfn)] == ["a", "b"]
    assert [dict(call.arguments) for call in calls] == [{}, {"NextToken": "more"}]


# Changing


def test_a_request_has_sorted_values_and_what_the_stack_may_do() -> None:
    request = Request(
        "app",
        "https://s3/master.yaml",
        parameters={"B": "2", "A": "1"},
        capabilities=("CAPABILITY_NAMED_IAM",),
        tags={"Project": "plot-palette"},
        token="t-1",
    )
    assert request.as_arguments() == {
        "StackName": "app",
        "TemplateURL": "https://s3/master.yaml",
        "Parameters": [
            {"ParameterKey": "A", "ParameterValue": "1"},
            {"ParameterKey": "B", "ParameterValue": "2"},
        ],
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Tags": [{"Key": "Project", "Value": "plot-palette"}],
    }


@pytest.mark.parametrize("disabled", [False, True])
def test_express_mode_says_whether_it_rolls_back_because_aws_would_not(disabled: bool) -> None:
    request = Request(
        "app", "https://s3/m.yaml", {}, (), {}, "t", express=True, disable_rollback=disabled
    )
    assert request.as_arguments()["DeploymentConfig"] == {
        "Mode": "EXPRESS",
        "DisableRollback": disabled,
    }


def test_express_mode_is_asked_for_only_on_demand() -> None:
    assert "DeploymentConfig" not in Request("app", "https://s3/m", {}, (), {}, "t").as_arguments()


def test_what_a_deletion_lets_go_of_is_said_only_when_asked_for() -> None:
    cfn, calls = answering({}, {})
    stacks.delete(cfn, stack_id("app"), token="t-1", retain=("Bucket",))
    stacks.delete(cfn, stack_id("app"), token="t-2", force=True)
    assert calls[0].arguments["RetainResources"] == ["Bucket"]
    assert "DeletionMode" not in calls[0].arguments
    assert calls[1].arguments["DeletionMode"] == "FORCE_DELETE_STACK"
    assert "RetainResources" not in calls[1].arguments


def test_a_stack_tells_that_its_last_operation_was_in_express_mode() -> None:
    config = {"Mode": "EXPRESS"}
    answer = {"Stacks": [stack_entry("app", "UPDATE_FAILED", DeploymentConfig=config)]}
    cfn, _ = answering(answer)
    found = stacks.describe(cfn, "app")
    assert found
    assert found.express


@pytest.mark.parametrize("name", ["app-DataStack-1ABC", stack_id("app-DataStack-1ABC")])
def test_a_nested_stack_has_its_name_from_whatever_its_physical_id_is(name: str) -> None:
    assert stacks.name_of(name) == "app-DataStack-1ABC"


ROLE = "arn:aws:iam::123456789012:role/plot-palette-service-role"


def test_a_service_role_goes_to_every_operation_that_takes_one_and_only_when_there_is_one() -> None:
    cfn, calls = answering({}, {}, {})
    request = Request("app", "https://s3/master.yaml", {}, (), {}, "t", role_arn=ROLE)
    assert request.as_arguments()["RoleARN"] == ROLE
    stacks.delete(cfn, stack_id("app"), token="t-1", role_arn=ROLE)
    stacks.roll_back(cfn, stack_id("app"), token="t-2", role_arn=ROLE)
    stacks.continue_rollback(cfn, stack_id("app"), skip=(), token="t-3", role_arn=ROLE)
    assert [call.arguments["RoleARN"] for call in calls] == [ROLE] * 3
    assert "RoleARN" not in Request("app", "https://s3/m", {}, (), {}, "t").as_arguments()


def test_deleting_and_cancelling_carry_the_token() -> None:
    cfn, calls = answering({}, {})
    stacks.delete(cfn, stack_id("app"), token="t-1")
    stacks.cancel_update(cfn, stack_id("app"), token="t-2")
    assert operations(calls) == ["DeleteStack", "CancelUpdateStack"]
    assert [call.arguments for call in calls] == [
        {"StackName": stack_id("app"), "ClientRequestToken": "t-1"},
        {"StackName": stack_id("app"), "ClientRequestToken": "t-2"},
    ]


def test_rolling_back_and_going_on_with_a_rollback_carry_the_token_and_what_to_skip() -> None:
    cfn, calls = answering({}, {})
    stacks.roll_back(cfn, stack_id("app"), token="t-1")
    stacks.continue_rollback(cfn, stack_id("app"), skip=("Data.Jobs",), token="t-2")
    assert operations(calls) == ["RollbackStack", "ContinueUpdateRollback"]
    assert calls[0].arguments == {"StackName": stack_id("app"), "ClientRequestToken": "t-1"}
    assert calls[1].arguments == {
        "StackName": stack_id("app"),
        "ResourcesToSkip": ["Data.Jobs"],
        "ClientRequestToken": "t-2",
    }


@pytest.mark.parametrize(("token", "found"), [("t-1", True), ("t-2", False)])
def test_a_stack_that_a_lost_answer_started_is_known_by_its_token(token: str, found: bool) -> None:
    event = event_entry("app", own("a", 0, "app", "CREATE_IN_PROGRESS"))
    cfn, _ = answering({"StackEvents": [{**event, "ClientRequestToken": "t-1"}]})
    assert stacks.has_begun(cfn, stack_id("app"), token) is found


def test_a_stack_that_is_absent_was_not_started() -> None:
    assert not stacks.has_begun(failing(no_such_stack("app")), "app", "t-1")


STARTS: dict[str, Callable[[Any], None]] = {
    "RollbackStack": lambda cfn: stacks.roll_back(cfn, stack_id("app"), token="t-1"),
    "CancelUpdateStack": lambda cfn: stacks.cancel_update(cfn, stack_id("app"), token="t-1"),
    "ContinueUpdateRollback": lambda cfn: stacks.continue_rollback(
        cfn, stack_id("app"), skip=(), token="t-1"
    ),
}


def refusing(code: str, begun_by: str) -> Any:
    """Return a client whose requests are refused, of a stack that somebody's has moved."""
    made = client("cloudformation")
    event = event_entry("app", own("a", 0, "app", "UPDATE_ROLLBACK_IN_PROGRESS"))

    def answer(operation: str, _arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "DescribeStackEvents":
            return {"StackEvents": [{**event, "ClientRequestToken": begun_by}]}
        raise refusal(code, "cannot be called from current stack status", operation)

    intercept(made, answer)
    return made


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_request_repeated_after_a_lost_answer_is_no_failure(start: Callable[[Any], None]) -> None:
    start(refusing("ValidationError", begun_by="t-1"))
    start(refusing(stacks.REPEATED_CODE, begun_by="t-2"))
    with pytest.raises(ClientError, match="ValidationError"):
        start(refusing("ValidationError", begun_by="t-2"))


# Walking


def resource(logical: str, kind: str, physical: str, status: str = "CREATE_COMPLETE") -> Any:
    return {
        "LogicalResourceId": logical,
        "PhysicalResourceId": physical,
        "ResourceType": kind,
        "ResourceStatus": status,
        "LastUpdatedTimestamp": START,
    }


TREE: dict[str, list[list[dict[str, Any]]]] = {
    "app": [
        [resource("Data", STACK, stack_id("data"))],
        [resource("Net", STACK, "net-by-name"), resource("Old", STACK, "x", "DELETE_COMPLETE")],
    ],
    stack_id("data"): [[resource("Table", "AWS::DynamoDB::Table", "jobs")]],
    "net-by-name": [[resource("Deep", STACK, stack_id("deep")), resource("Coming", STACK, "")]],
    stack_id("deep"): [[resource("Vpc", "AWS::EC2::VPC", "vpc-1")]],
}


def walking(tree: Mapping[str, list[list[dict[str, Any]]]]) -> Any:
    made = client("cloudformation")

    def answer(operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        assert operation == "ListStackResources"
        pages = tree.get(arguments["StackName"])
        if pages is None:
            raise no_such_stack(arguments["StackName"], operation)
        at = int(arguments.get("NextToken", "0"))
        more = {"NextToken": str(at + 1)} if at + 1 < len(pages) else {}
        return {"StackResourceSummaries": pages[at], **more}

    intercept(made, answer)
    return made


def test_a_tree_is_walked_to_its_leaves_whether_children_are_known_by_arn_or_name() -> None:
    found = stacks.walk(walking(TREE), "app")
    assert [(r.path, r.physical_id, r.stack_id) for r in found] == [
        ("Data", stack_id("data"), "app"),
        ("Net", "net-by-name", "app"),
        ("Data/Table", "jobs", stack_id("data")),
        ("Net/Deep", stack_id("deep"), "net-by-name"),
        ("Net/Coming", "", "net-by-name"),
        ("Net/Deep/Vpc", "vpc-1", stack_id("deep")),
    ]


def test_a_child_that_goes_while_the_tree_is_walked_is_left_out() -> None:
    tree = {key: pages for key, pages in TREE.items() if key != stack_id("deep")}
    assert "Net/Deep/Vpc" not in [r.path for r in stacks.walk(walking(tree), "app")]


# Events


def many(count: int) -> list[Happening]:
    return [Happening(f"e{n}", n, f"R{n}", "CREATE_COMPLETE") for n in range(count)]


def ids(found: list[stacks.Event]) -> list[str]:
    return [event.id for event in found]


def test_all_pages_of_events_come_back_oldest_first_under_the_stacks_path() -> None:
    tree = FakeTree(FakeTime(1000), {"data": many(250)})
    found = stacks.read_events(tree.client(), stack_id("data"), prefix="Data/")
    assert ids(found) == [f"e{n}" for n in range(250)]
    assert found[7].path == "Data/R7"
    assert len(tree.calls) == 3


def test_reading_stops_at_the_first_page_with_an_event_that_is_known() -> None:
    tree = FakeTree(FakeTime(1000), {"data": many(250)})
    found = stacks.read_events(tree.client(), "data", seen={f"e{n}" for n in range(200)})
    assert ids(found) == [f"e{n}" for n in range(200, 250)]
    assert len(tree.calls) == 1


def test_reading_stops_at_the_first_page_older_than_what_matters() -> None:
    tree = FakeTree(FakeTime(1000), {"data": many(250)})
    found = stacks.read_events(tree.client(), "data", since=START + timedelta(seconds=240))
    assert ids(found) == [f"e{n}" for n in range(240, 250)]
    assert len(tree.calls) == 1


def test_an_event_that_turns_up_behind_a_later_one_is_not_lost() -> None:
    tree = FakeTree(FakeTime(1000), {"data": many(5)})
    found = stacks.read_events(tree.client(), "data", seen={"e0", "e1", "e2", "e4"})
    assert ids(found) == ["e3"]


def test_an_event_that_two_pages_list_because_newer_ones_came_is_read_once() -> None:
    happened = many(150)
    tree = FakeTree(FakeTime(1000), {"data": happened})

    def arrive(start: int) -> None:
        if start:
            happened.extend(
                Happening(f"n{n}", 200 + n, f"N{n}", "CREATE_COMPLETE") for n in range(3)
            )

    tree.on_page = arrive
    found = ids(stacks.read_events(tree.client(), "data"))
    assert len(found) == len(set(found))
    assert set(found) == {f"e{n}" for n in range(150)}


def test_a_stacks_own_events_are_told_from_those_about_the_stacks_in_it() -> None:
    tree = FakeTree(
        FakeTime(9),
        {
            "data": [
                own("a", 0, "data", "CREATE_IN_PROGRESS"),
                nested("b", 1, "inner", "CREATE_IN_PROGRESS"),
            ]
        },
    )
    itself, inner = stacks.read_events(tree.client(), "data", prefix="Data/")
    assert (itself.is_own, itself.path) == (True, "Data")
    assert (inner.is_own, inner.path) == (False, "Data/inner")


# Templates


def test_a_yaml_template_comes_back_as_the_text_it_was() -> None:
    text = "Resources:\n  T: {Type: AWS::SNS::Topic}  # a comment\n"
    cfn, calls = answering({"TemplateBody": text})
    assert stacks.read_template(cfn, stack_id("app")) == text
    assert calls[0].arguments == {"StackName": stack_id("app"), "TemplateStage": "Original"}


def test_a_json_template_that_botocore_has_decoded_comes_back_as_json() -> None:
    body = {"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}
    made = client("cloudformation")
    # botocore decodes the text after the call, as it does for an answer from the network.
    intercept(made, lambda _operation, _arguments: {"TemplateBody": json.dumps(body)})
    assert json.loads(stacks.read_template(made, "app")) == body


def test_a_stack_that_only_has_a_change_set_has_no_template_yet() -> None:
    cfn, _ = answering({"StagesAvailable": ["Original"]})
    assert stacks.read_template(cfn, "app") == ""


def test_a_stack_that_was_never_created_counts_as_not_deployed() -> None:
    entry = stack_entry("app", "REVIEW_IN_PROGRESS")
    cfn, _ = answering({"Stacks": [entry]})
    with pytest.raises(StateForbids, match="was never executed") as caught:
        stacks.require_created(cfn, factories.job())
    assert caught.value.next_step.startswith("inv deploy")


def test_each_character_beyond_ascii_comes_back_as_one_question_mark() -> None:
    # As recorded: https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1220
    assert stacks.mangle("Hello\u3053\u3093\u306b\u3061\u306f\u263a\r\n") == "Hello??????\r\n"
    assert stacks.mangle("plain: yes?") == "plain: yes?"
