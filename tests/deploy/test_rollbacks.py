"""A rollback does what the stack's state asks for, and skips only what is stuck."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lib import session
from lib.deploy import rollbacks
from lib.deploy.outcomes import Outcome
from lib.errors import Declined, InputError, StateForbids
from lib.operators import Listing
from lib.stacks.stacks import StackResource
from tests.support.aws_fakes import (
    START,
    FakeTime,
    Happening,
    event_entry,
    intercept,
    no_such_stack,
    operations,
    own,
    stack_entry,
    stack_id,
)
from tests.support.factories import job
from tests.support.people import Person

APP = "app"


class World:
    """A stack that goes from one state to another when it is told to roll back."""

    def __init__(self, before: str, after: str = "UPDATE_ROLLBACK_COMPLETE") -> None:
        self.status, self.after = before, after
        self.person = Person()
        self.aws = session.connect("us-east-1")
        self.calls = intercept(self.aws.client("cloudformation"), self.answer)
        self.access = self.person.access(self.aws, FakeTime().clock)

    def answer(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if operation == "DescribeStacks":
            if self.status == "ABSENT":
                raise no_such_stack(APP)
            return {"Stacks": [stack_entry(APP, self.status)]}
        if operation == "DescribeStackEvents":
            events: list[Happening] = [own("before", 0, APP, "UPDATE_FAILED")]
            if self.status == self.after:
                events.insert(0, own("after", 5, APP, self.after))
            return {"StackEvents": [event_entry(APP, event) for event in events]}
        if operation == "ListStackResources":
            return {"StackResourceSummaries": self.resources(arguments["StackName"])}
        self.status = self.after
        return {"StackId": stack_id(APP)} if operation == "RollbackStack" else {}

    def resources(self, stack: str) -> list[dict[str, Any]]:
        failed = {
            "LastUpdatedTimestamp": START,
            "ResourceStatus": "UPDATE_FAILED",
            "ResourceStatusReason": "no such key",
        }
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
    assert len(world.person.asked) == 1


def test_a_creation_without_rollback_is_removed() -> None:
    outcome = World("CREATE_FAILED", "ROLLBACK_COMPLETE").roll_back()
    assert (outcome.action, outcome.status) == ("rolled-back", "ROLLBACK_COMPLETE")


def test_a_rollback_that_fails_again_is_a_failure_with_the_next_command() -> None:
    outcome = World("UPDATE_FAILED", "UPDATE_ROLLBACK_FAILED").roll_back()
    assert outcome.action == "failed"
    assert outcome.next_step.startswith("inv rollback")


def test_an_operator_who_says_no_changes_nothing() -> None:
    world = World("UPDATE_FAILED")
    world.person.answers = [False]
    with pytest.raises(Declined, match="Nothing was done"):
        world.roll_back()
    assert world.changes() == []


def test_what_is_stuck_is_shown_by_the_name_that_skip_takes() -> None:
    world = World("UPDATE_ROLLBACK_FAILED")
    world.roll_back("APIStack.Function")
    [listing] = [told for told in world.person.told if isinstance(told, Listing)]
    assert [row[0] for row in listing.rows] == ["APIStack.Function"]
    [call] = [c for c in world.calls if c.operation == "ContinueUpdateRollback"]
    assert call.arguments["ResourcesToSkip"] == ["APIStack.Function"]


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


def test_a_nested_stack_is_stuck_only_where_nothing_inside_says_more() -> None:
    def failed(path: str, kind: str) -> StackResource:
        name = path.rsplit("/", maxsplit=1)[-1]
        return StackResource(path, name, "", kind, "UPDATE_FAILED", "why", "s")

    stack_type = "AWS::CloudFormation::Stack"
    found = rollbacks.find_stuck(
        [
            failed("Outer", stack_type),
            failed("Outer/Inner", stack_type),
            failed("Outer/Inner/Function", "AWS::Lambda::Function"),
            failed("Alone", stack_type),
        ]
    )
    assert [one.name for one in found] == ["Inner.Function", "Alone"]


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
