"""A rollback does what the stack's state asks for, and skips only what is stuck."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import pytest

from lib import session
from lib.access import Access
from lib.deploy import report, rollbacks
from lib.deploy.outcomes import Outcome
from lib.errors import Declined, InputError, OperationFailed, StateForbids
from lib.operators import Listing, Note, OnInterrupt, Operator, Progress
from tests.support.aws_fakes import (
    START,
    FakeTime,
    Happening,
    event_entry,
    intercept,
    name_of,
    no_such_stack,
    operations,
    own,
    refusal,
    stack_entry,
    stack_id,
)
from tests.support.factories import job

APP = "app"


class World:
    """A stack that goes from one state to another when it is told to roll back."""

    def __init__(self, before: str, after: str = "UPDATE_ROLLBACK_COMPLETE") -> None:
        self.status, self.after = before, after
        self.agrees = True
        self.told: list[Progress] = []
        self.asked: list[str] = []
        self.reason = "no such key"
        self.records: list[dict[str, Any]] = []
        self.locking: list[str] = []
        self.table: dict[str, Any] = {"TableName": "jobs"}
        self.items: list[dict[str, Any]] = []
        self.refusal: Exception | None = None
        self.more: dict[str, Any] = {}
        self.aws = session.connect("us-east-1")
        self.calls = intercept(self.aws.client("cloudformation"), self.answer)
        intercept(self.aws.client("s3"), self.answer_s3)
        intercept(self.aws.client("dynamodb"), self.answer_dynamodb)
        intercept(
            self.aws.client("sts"),
            lambda *_: {"Account": "1" * 12, "Arn": "arn:aws:iam::1:user/ann"},
        )
        operator = Operator(self.told.append, self.confirm, lambda _: OnInterrupt.DETACH)
        self.access = Access(self.aws, operator, FakeTime().clock)

    def confirm(self, question: str, _word: str) -> bool:
        self.asked.append(question)
        return self.agrees

    def answer(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if operation == "DescribeStacks":
            if self.status == "ABSENT":
                raise no_such_stack(APP)
            if name_of(arguments.get("StackName", APP)) != APP:
                return {"Stacks": [stack_entry("api", "UPDATE_ROLLBACK_FAILED")]}
            return {"Stacks": [stack_entry(APP, self.status, **self.more)]}
        if operation == "DescribeStackEvents":
            events: list[Happening] = [own("before", 0, APP, "UPDATE_FAILED")]
            if self.status == self.after:
                events.insert(0, own("after", 5, APP, self.after))
            return {"StackEvents": [event_entry(APP, event) for event in events]}
        if operation == "ListStackResources":
            return {"StackResourceSummaries": self.resources(arguments["StackName"])}
        if self.refusal:
            raise self.refusal
        self.status = self.after
        return {"StackId": stack_id(APP)} if operation == "RollbackStack" else {}

    def answer_s3(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if arguments.get("Key") == f"locks/{APP}.json":
            self.locking.append(operation)
            return {"ETag": '"1"'} if operation == "PutObject" else {}
        if operation == "GetObject":
            record = self.records[int(arguments["Key"].rsplit("-", 1)[1].split(".")[0])]
            return {"Body": io.BytesIO(json.dumps(record).encode())}
        keys = [f"deployments/{APP}/{n}-{n}.json" for n in range(len(self.records))]
        return {"Contents": [{"Key": key, "LastModified": START} for key in keys]}

    def answer_dynamodb(self, operation: str, _arguments: dict[str, Any]) -> Mapping[str, Any]:
        return {"Items": self.items} if operation == "Scan" else {"Table": self.table}

    def resources(self, stack: str) -> list[dict[str, Any]]:
        failed = {
            "LastUpdatedTimestamp": START,
            "ResourceStatus": "UPDATE_FAILED",
            "ResourceStatusReason": self.reason,
        }
        if self.status == "CREATE_FAILED":
            table = {"LogicalResourceId": "Jobs", "PhysicalResourceId": "jobs"}
            done = {**failed, "ResourceStatus": "CREATE_COMPLETE"}
            return [{**table, **done, "ResourceType": "AWS::DynamoDB::Table"}]
        if stack == stack_id(APP):
            nested = {"LogicalResourceId": "APIStack", "PhysicalResourceId": stack_id("api")}
            return [{**nested, **failed, "ResourceType": "AWS::CloudFormation::Stack"}]
        return [
            {"LogicalResourceId": "Function", "ResourceType": "AWS::Lambda::Function", **failed}
        ]

    def roll_back(self, *skip: str, **given: Any) -> Outcome:
        return rollbacks.roll_back(
            job(stack_name=APP, region="us-east-1", **given), self.access, skip=frozenset(skip)
        )

    def call(self, operation: str) -> Mapping[str, Any]:
        [found] = [call.arguments for call in self.calls if call.operation == operation]
        return found

    def changes(self) -> list[str]:
        reads = ("Describe", "List", "Get")
        return [name for name in operations(self.calls) if not name.startswith(reads)]


@pytest.mark.parametrize(
    ("before", "call"),
    [
        ("UPDATE_FAILED", "RollbackStack"),
        ("UPDATE_ROLLBACK_FAILED", "ContinueUpdateRollback"),
        ("UPDATE_IN_PROGRESS", "CancelUpdateStack"),
    ],
)
def test_each_state_has_its_own_way_back(before: str, call: str) -> None:
    world = World(before)
    outcome = world.roll_back()
    assert world.changes() == [call]
    assert (outcome.action, outcome.status) == ("rolled-back", "UPDATE_ROLLBACK_COMPLETE")
    assert outcome.failure is None
    assert len(world.asked) == 1


def test_a_creation_without_rollback_is_removed() -> None:
    outcome = World("CREATE_FAILED", "ROLLBACK_COMPLETE").roll_back()
    assert (outcome.action, outcome.status) == ("rolled-back", "ROLLBACK_COMPLETE")


def test_a_rollback_that_fails_again_is_a_failure_with_the_next_command() -> None:
    outcome = World("UPDATE_FAILED", "UPDATE_ROLLBACK_FAILED").roll_back()
    assert outcome.action == "failed"
    assert outcome.next_step.startswith("inv rollback")


def test_an_operator_who_says_no_changes_nothing() -> None:
    world = World("UPDATE_FAILED")
    world.agrees = False
    with pytest.raises(Declined, match="Nothing was done"):
        world.roll_back()
    assert world.changes() == []


def test_what_is_stuck_is_named_by_its_logical_ids_and_skipped_by_the_child_s_own_name() -> None:
    world = World("UPDATE_ROLLBACK_FAILED")
    world.roll_back("APIStack.Function")
    [listing] = [told for told in world.told if isinstance(told, Listing)]
    assert [row[0] for row in listing.rows] == ["APIStack.Function"]
    # "Don't confuse a child stack's name with its corresponding logical ID".
    assert world.call("ContinueUpdateRollback")["ResourcesToSkip"] == ["api.Function"]


def test_all_stands_for_everything_that_is_stuck() -> None:
    world = World("UPDATE_ROLLBACK_FAILED")
    world.roll_back("all")
    assert world.call("ContinueUpdateRollback")["ResourcesToSkip"] == ["api.Function"]


def test_after_skipping_only_what_helps_is_advised() -> None:
    world = World("UPDATE_ROLLBACK_FAILED")
    world.roll_back("all")
    [warning] = [note.text for note in world.told if isinstance(note, Note)]
    assert "NOT_CHECKED" in warning
    assert "--revert-drift" not in warning
    assert "change of the property" in warning
    assert "import" in warning


def test_a_rollback_that_fails_again_names_what_holds_it_up_and_the_command_that_frees_it() -> None:
    world = World("UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED")
    outcome = world.roll_back()
    assert "  In the way: APIStack.Function (AWS::Lambda::Function): no such key" in (
        report.describe_failure(outcome).splitlines()
    )
    assert outcome.next_step.endswith(f"inv rollback {job().flags} --skip APIStack.Function")


def test_what_was_only_cancelled_is_not_offered_to_be_skipped() -> None:
    world = World("UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED")
    world.reason = "Resource update cancelled"
    outcome = world.roll_back()
    assert "--skip" not in outcome.next_step


RECORD = {
    **dict.fromkeys(("time", "by", "stack", "stack_id"), ""),
    "release": "0123456789ab",
    "action": "update",
    "parameters": {},
}


@pytest.mark.parametrize("by", ["aws", "record"])
def test_after_express_mode_the_rollback_says_so_and_a_refusal_names_another_way_back(
    by: str,
) -> None:
    world = World("UPDATE_FAILED")
    if by == "aws":
        world.more = {"DeploymentConfig": {"Mode": "EXPRESS"}}
    good = {**RECORD, "status": "UPDATE_COMPLETE"}
    failed = {**RECORD, "status": "UPDATE_FAILED", "release": "ffffffffffff"}
    world.records = [good, {**failed, "express": by == "record"}]
    world.refusal = refusal("ValidationError", "not for express", "RollbackStack")
    with pytest.raises(StateForbids) as caught:
        world.roll_back()
    assert world.call("RollbackStack")["DeploymentConfig"] == {"Mode": "EXPRESS"}
    assert "not for express" in caught.value.message
    assert caught.value.next_step.startswith("inv rollback --to 0123456789ab ")


def test_where_aws_does_roll_express_mode_back_that_is_all() -> None:
    world = World("UPDATE_FAILED")
    world.more = {"DeploymentConfig": {"Mode": "EXPRESS"}}
    assert world.roll_back().action == "rolled-back"


def test_without_express_mode_the_rollback_does_not_mention_it() -> None:
    world = World("UPDATE_FAILED")
    world.roll_back()
    assert "DeploymentConfig" not in world.call("RollbackStack")


def test_a_refused_rollback_is_told_in_aws_s_words() -> None:
    world = World("UPDATE_FAILED")
    world.refusal = refusal("ValidationError", "something else", "RollbackStack")
    with pytest.raises(OperationFailed, match="something else"):
        world.roll_back()


@pytest.mark.parametrize(
    ("table", "items", "goes"),
    [
        ({}, [], True),
        ({"DeletionProtectionEnabled": True}, [], False),
        ({}, [{"id": {"S": "1"}}], False),
    ],
)
def test_a_failed_creation_takes_its_tables_with_it_only_when_they_are_free_to_go(
    table: dict[str, Any], items: list[dict[str, Any]], goes: bool
) -> None:
    world = World("CREATE_FAILED", "ROLLBACK_COMPLETE")
    world.table |= table
    world.items = items
    world.roll_back()
    assert world.call("RollbackStack").get("RetainExceptOnCreate", False) is goes
    assert ("its empty tables" in world.asked[0]) is goes


def test_a_failed_creation_may_be_gone_after_its_rollback() -> None:
    # "This operation will delete a stack if it doesn't contain a last known stable state."
    outcome = World("CREATE_FAILED", "DELETE_COMPLETE").roll_back()
    assert (outcome.action, outcome.failure) == ("rolled-back", None)


def test_what_is_not_stuck_cannot_be_skipped() -> None:
    world = World("UPDATE_ROLLBACK_FAILED")
    with pytest.raises(InputError, match=r"DatabaseStack\.JobsTable did not"):
        world.roll_back("DatabaseStack.JobsTable")
    assert world.changes() == []


def test_skipping_needs_a_rollback_that_failed() -> None:
    with pytest.raises(StateForbids, match="--skip only helps"):
        World("UPDATE_FAILED").roll_back("APIStack.Function")


def test_a_rollback_that_is_done_already_is_nothing_to_do() -> None:
    world = World("UPDATE_ROLLBACK_COMPLETE")
    assert world.roll_back().action == "unchanged"
    assert world.changes() == []


def test_a_stack_that_is_not_there_cannot_be_rolled_back() -> None:
    with pytest.raises(StateForbids, match="there is no such stack"):
        World("ABSENT").roll_back()


@pytest.mark.parametrize(
    ("status", "after", "operation"),
    [
        ("UPDATE_FAILED", "UPDATE_ROLLBACK_COMPLETE", "RollbackStack"),
        ("UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_COMPLETE", "ContinueUpdateRollback"),
    ],
)
def test_a_rollback_hands_cloudformation_the_service_role(
    status: str, after: str, operation: str
) -> None:
    world = World(status, after)
    world.roll_back(role_arn="arn:aws:iam::123456789012:role/service")
    [call] = [call for call in world.calls if call.operation == operation]
    assert call.arguments["RoleARN"] == "arn:aws:iam::123456789012:role/service"
