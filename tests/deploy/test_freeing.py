"""Whatever is stuck is named with the way out, also where the stack itself rests."""

from __future__ import annotations

from typing import Any

import pytest

from lib.deploy import rollbacks
from lib.deploy.outcomes import Outcome
from lib.errors import OperationFailed, StateForbids
from lib.operators import Level
from tests.support import factories
from tests.support.aws_fakes import (
    START,
    FakeTime,
    event_entry,
    name_of,
    own,
    refusal,
    stack_entry,
    stack_id,
)
from tests.support.factories import STACK, job
from tests.support.many_clients import Account
from tests.support.people import Person

CHILD = f"{STACK}-ExtraStack-1ABC"


class World:
    """A root in one state, and a nested stack in another that the root may not list."""

    def __init__(self, root: str, child: str = "", **answers: Any) -> None:
        self.status = {STACK: root, **({CHILD: child} if child else {})}
        said: dict[str, Any] = {
            "DescribeStacks": self.describe,
            "ListStackResources": self.list,
            "DescribeStackEvents": self.events,
            "ContinueUpdateRollback": self.go_on,
            # The lock.
            "PutObject": {"ETag": '"1"'},
            "DeleteObject": {},
        }
        self.account = Account("us-east-1", **said | answers)
        self.person = Person()

    def describe(self, asked: dict[str, Any]) -> dict[str, Any]:
        names = [name_of(asked["StackName"])] if "StackName" in asked else list(self.status)
        parents = {CHILD: {"ParentId": stack_id(STACK), "RootId": stack_id(STACK)}}
        return {"Stacks": [stack_entry(n, self.status[n], **parents.get(n, {})) for n in names]}

    def list(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = name_of(asked["StackName"])
        failed = {
            "UPDATE_ROLLBACK_FAILED": "UPDATE_FAILED",
            "IMPORT_ROLLBACK_FAILED": "IMPORT_ROLLBACK_FAILED",
        }.get(self.status[name], "DELETE_FAILED")
        entry = {
            "LogicalResourceId": "Heap",
            "PhysicalResourceId": "heap-1",
            "ResourceType": "AWS::S3::Bucket",
            "LastUpdatedTimestamp": START,
            "ResourceStatus": failed,
            "ResourceStatusReason": "not empty",
        }
        stuck = self.status[name].endswith("_FAILED")
        return {"StackResourceSummaries": [entry] if stuck else []}

    def events(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = name_of(asked["StackName"])
        return {
            "StackEvents": [event_entry(name, own(self.status[name], 1, name, self.status[name]))]
        }

    def go_on(self, asked: dict[str, Any]) -> dict[str, Any]:
        before = self.status[name_of(asked["StackName"])]
        self.status[name_of(asked["StackName"])] = before.replace("FAILED", "COMPLETE")
        return {}

    def roll_back(self, *skip: str) -> Outcome:
        access = self.person.access(self.account, FakeTime().clock)  # type: ignore[arg-type]  # stands in
        return rollbacks.roll_back(job(region="us-east-1"), access, skip=frozenset(skip))

    def refused(self, *skip: str) -> StateForbids:
        with pytest.raises(StateForbids) as caught:
            self.roll_back(*skip)
        return caught.value


@pytest.mark.parametrize("status", ["DELETE_FAILED", "ROLLBACK_FAILED"])
def test_what_no_rollback_frees_is_named_with_everything_in_its_way(status: str) -> None:
    world = World(status)
    error = world.refused()
    assert "heap-1" in world.person.drawn[0]
    assert "not empty" in world.person.drawn[0]
    assert error.next_step.startswith("inv deploy --delete --env staging")
    assert ("--retain Heap" in error.next_step) is (status == "DELETE_FAILED")


@pytest.mark.parametrize("root", ["UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"])
def test_a_nested_stack_that_could_not_go_is_deleted_by_the_command_that_is_named(
    root: str,
) -> None:
    world = World(root, "DELETE_FAILED")
    error = world.refused()
    assert f"{CHILD} (DELETE_FAILED)" in error.message
    assert error.next_step == (
        f"inv deploy --delete --env staging --region eu-west-1 --stack-name {CHILD} --retain Heap"
    )
    assert not world.account.asked("ContinueUpdateRollback")


def test_a_nested_stack_that_is_not_rolled_back_is_rolled_back_by_itself() -> None:
    world = World("UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED")
    outcome = world.roll_back("all")
    assert (outcome.action, outcome.status) == ("rolled-back", "UPDATE_ROLLBACK_COMPLETE")
    [asked] = world.account.asked("ContinueUpdateRollback")
    assert name_of(asked["StackName"]) == CHILD
    assert asked["ResourcesToSkip"] == ["Heap"]


def test_where_aws_wants_the_root_the_other_way_is_named() -> None:
    words = "RollbackUpdatedStack cannot be invoked on child stacks"
    world = World(
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_FAILED",
        ContinueUpdateRollback=refusal("ValidationError", words, "ContinueUpdateRollback"),
        DescribeStackEvents=World("UPDATE_COMPLETE", "UPDATE_ROLLBACK_FAILED").events,
    )
    error = world.refused()
    assert words in error.message
    assert "master-stack.yaml" in error.next_step
    assert "rescue.adopt" in error.next_step


def test_an_import_that_is_stuck_is_rolled_back_where_aws_takes_that() -> None:
    outcome = World("IMPORT_ROLLBACK_FAILED").roll_back()
    assert (outcome.action, outcome.status) == ("rolled-back", "IMPORT_ROLLBACK_COMPLETE")


def test_an_import_that_aws_does_not_roll_back_keeps_its_data_in_another_way() -> None:
    words = "RollbackUpdatedStack cannot be called from current stack status"
    world = World(
        "IMPORT_ROLLBACK_FAILED",
        ContinueUpdateRollback=refusal("ValidationError", words, "ContinueUpdateRollback"),
    )
    error = world.refused()
    assert words in error.message
    assert error.next_step.startswith("inv deploy --delete --env staging")
    assert "keeps what was imported" in error.next_step


def test_a_root_whose_rollback_is_refused_is_a_failure_in_aws_s_words() -> None:
    world = World(
        "UPDATE_ROLLBACK_FAILED",
        ContinueUpdateRollback=refusal("ValidationError", "something", "ContinueUpdateRollback"),
    )
    with pytest.raises(OperationFailed, match="something"):
        world.roll_back()


def test_an_empty_shell_is_refused_with_both_ways_out() -> None:
    error = World("REVIEW_IN_PROGRESS").refused()
    assert "inv deploy --env staging" in error.next_step
    assert "inv deploy --delete --env staging" in error.next_step


def test_a_stack_at_rest_that_left_nothing_behind_is_refused_as_before() -> None:
    error = World("UPDATE_COMPLETE", "UPDATE_COMPLETE").refused()
    assert "nothing has failed" in error.message


def test_an_update_that_left_a_nested_stack_behind_says_so() -> None:
    from lib.deploy import freeing

    person = Person()
    gone = factories.event(
        "ExtraStack",
        "DELETE_FAILED",
        type="AWS::CloudFormation::Stack",
        physical_id=stack_id(CHILD),
    )
    access = person.access(Account("us-east-1"), FakeTime().clock)  # type: ignore[arg-type]  # stands in
    freeing.warn_left_behind(job(), access, (gone,))
    [note] = person.told
    assert note.level is Level.WARNING  # type: ignore[union-attr]  # a note
    assert CHILD in person.notes[0]
    assert "`inv rollback --env staging" in person.notes[0]
