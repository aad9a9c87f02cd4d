"""AWS may refuse a refactor before or while it is made, and then nothing has been replaced."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lib.errors import (
    Declined,
    DeploymentError,
    Locked,
    OperationFailed,
    Refused,
    StateForbids,
)
from lib.inputs.jobs import Options
from lib.releases import turns
from lib.rescue import refactoring
from lib.rescue.refactoring import Moved, Refactoring
from lib.templates.moves import Relocation
from tests.support import factories
from tests.support.aws_fakes import START, FakeTime, refusal, stack_entry, stack_id
from tests.support.lock_store import LockStore
from tests.support.many_clients import Account
from tests.support.people import Person

MOVE = Relocation("One/Jobs", "Two/Table")
PLAN = Refactoring(
    (MOVE,),
    (),
    (Moved("One/Jobs", "Two/Table", "AWS::DynamoDB::Table", "app-jobs"),),
    names={"One": "app-One-1", "Two": "app-Two-1"},
    texts={"One": '{"Resources":{}}', "Two": '{"Resources":{}}'},
)
WHERE = "stack app in eu-west-1"


def action(**given: Any) -> dict[str, Any]:
    return {
        "Action": "MOVE",
        "Entity": "RESOURCE",
        "PhysicalResourceId": "app-jobs",
        "TagResources": [
            {"Key": "Component", "Value": "Two"},
            {"Key": "aws:cloudformation:stack-name", "Value": "app-Two-1"},
        ],
        "UntagResources": ["Component"],
        "ResourceMapping": {
            "Source": {"StackName": stack_id("app-One-1"), "LogicalResourceId": "Jobs"},
            "Destination": {"StackName": stack_id("app-Two-1"), "LogicalResourceId": "Table"},
        },
        **given,
    }


class World:
    """An AWS that makes and executes a refactor as a test says."""

    def __init__(self, **answers: Any) -> None:
        self.states = [
            {"Status": "CREATE_IN_PROGRESS"},
            {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE"},
            {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE"},
            {"Status": "CREATE_COMPLETE", "ExecutionStatus": "EXECUTE_IN_PROGRESS"},
            {"Status": "CREATE_COMPLETE", "ExecutionStatus": "EXECUTE_COMPLETE"},
        ]
        self.stacks = ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"]
        self.place = "Table"
        said: dict[str, Any] = {
            "CreateStackRefactor": {"StackRefactorId": "r-1"},
            "DescribeStackRefactor": lambda _: self.next(self.states),
            "ListStackRefactorActions": {"StackRefactorActions": [action()]},
            "ExecuteStackRefactor": {},
            "DescribeStacks": lambda asked: {
                "Stacks": [stack_entry(asked["StackName"], self.next(self.stacks))]
            },
            "ListStackResources": lambda asked: {
                "StackResourceSummaries": self.resources(asked["StackName"])
            },
        }
        nothing = refusal("NoSuchKey", "The specified key does not exist.", "GetObject", 404)
        said |= {"GetObject": nothing, "PutObject": {}}
        self.account = Account("eu-west-1", **said | answers)
        self.person = Person()

    def next(self, answers: list[Any]) -> Any:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def resources(self, stack: str) -> list[dict[str, Any]]:
        if stack != "app-Two-1":
            return []
        return [
            {
                "LogicalResourceId": self.place,
                "PhysicalResourceId": "app-jobs",
                "ResourceType": "AWS::DynamoDB::Table",
                "LastUpdatedTimestamp": START,
                "ResourceStatus": "UPDATE_COMPLETE",
            }
        ]

    def carry_out(self) -> str:
        access = self.person.access(self.account, FakeTime().clock)  # type: ignore[arg-type]  # stands in
        return refactoring._carry_out(factories.job(), access, PLAN, WHERE)

    @property
    def was_executed(self) -> bool:
        return bool(self.account.asked("ExecuteStackRefactor"))


def test_a_refactor_names_each_stack_by_its_own_name_and_is_followed_until_all_rest() -> None:
    world = World()
    assert world.carry_out() == "r-1"
    [asked] = world.account.asked("CreateStackRefactor")
    assert asked["EnableStackCreation"] is False
    assert [one["StackName"] for one in asked["StackDefinitions"]] == ["app-One-1", "app-Two-1"]
    assert asked["ResourceMappings"] == [
        {
            "Source": {"StackName": "app-One-1", "LogicalResourceId": "Jobs"},
            "Destination": {"StackName": "app-Two-1", "LogicalResourceId": "Table"},
        }
    ]
    assert world.was_executed
    operations = [call.operation for call in world.account.calls]
    # Whoever is killed in between leaves word of what may have moved.
    assert operations.index("PutObject") < operations.index("ExecuteStackRefactor")
    [noted] = world.account.asked("PutObject")
    assert json.loads(noted["Body"]) == {"Two/Table": "One/Jobs"}
    assert world.stacks == ["UPDATE_COMPLETE"]
    assert "Component=Two" in world.person.notes[0]
    assert "aws:cloudformation" not in world.person.notes[0]


def failing(world: World) -> DeploymentError:
    with pytest.raises(DeploymentError) as caught:
        world.carry_out()
    assert caught.value.next_step
    return caught.value


def test_a_refactor_that_aws_does_not_make_is_told_in_its_words_and_not_executed() -> None:
    world = World()
    reason = "Stack Refactor does not support AWS::DynamoDB::Table."
    world.states = [{"Status": "CREATE_FAILED", "StatusReason": reason}]
    error = failing(world)
    assert isinstance(error, OperationFailed)
    assert reason in error.message
    assert "Nothing was changed" in error.message
    assert not world.was_executed


def test_a_refactor_that_aws_takes_back_while_it_is_at_it_is_a_failure() -> None:
    world = World()
    words = "the resource type defines an unsupported tag schema."
    world.states[-1] = {
        "Status": "CREATE_COMPLETE",
        "ExecutionStatus": "ROLLBACK_COMPLETE",
        "ExecutionStatusReason": words,
    }
    error = failing(world)
    assert isinstance(error, OperationFailed)
    assert "ROLLBACK_COMPLETE" in error.message
    assert words in error.message


def test_an_endpoint_without_refactors_stops_before_anything_is_changed() -> None:
    missing = refusal("InvalidAction", "no such action", "CreateStackRefactor")
    error = failing(World(CreateStackRefactor=missing))
    assert isinstance(error, StateForbids)
    assert "This endpoint has no stack refactors" in error.message


@pytest.mark.parametrize(
    "actions",
    [
        [],
        [action(), action(PhysicalResourceId="other")],
        [action(PhysicalResourceId="other")],
        [action(Action="CREATE", Entity="STACK")],
    ],
)
def test_a_refactor_that_would_do_anything_else_is_not_executed(actions: list[Any]) -> None:
    world = World(ListStackRefactorActions={"StackRefactorActions": actions})
    assert "more or less" in failing(world).message
    assert not world.was_executed


def test_an_operator_who_says_no_moves_nothing() -> None:
    world = World()
    world.person = Person(False)
    with pytest.raises(Declined, match="Nothing was moved"):
        world.carry_out()
    assert not world.was_executed


def test_what_aws_says_it_moved_is_looked_for() -> None:
    world = World()
    world.place = "Elsewhere"
    assert "does not show Two/Table (app-jobs) there" in failing(world).message


def test_while_somebody_else_holds_the_lock_nothing_is_refactored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refactoring, "work_out", lambda *_: PLAN)
    store = LockStore()
    options = Options()
    with turns.take_turn(factories.job(), store.access(Person(), "bob"), "update") as held:
        held.claim()
        with pytest.raises(Locked, match="bob"):
            refactoring.refactor(factories.job(), store.access(Person()), options, ())
        preview = replace(options, preview=True)
        seen = refactoring.refactor(factories.job(), store.access(Person()), preview, ())
    assert seen.action == "previewed"


def test_what_has_moved_is_told_where_the_update_after_it_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_given: Any) -> None:
        raise Refused("Data would be lost in stack app.", next_step="name it")

    monkeypatch.setattr(refactoring.deployments, "deploy", refuse)
    job, access = factories.job(), Person().access(Account("eu-west-1"), FakeTime().clock)  # type: ignore[arg-type]  # stands in
    with pytest.raises(OperationFailed, match="Data would be lost") as failed:
        refactoring._follow_up(job, access, Options(), PLAN, "r-1")
    assert failed.value.exit_code == 1, "3 would say that nothing was changed"
    assert "inv rescue.refactor --move One/Jobs=Two/Table" in failed.value.next_step
    assert failed.value.details["moves"]

    moved_before = replace(PLAN, moves=(), moved=(), done=PLAN.moves)
    with pytest.raises(Refused, match="Data would be lost"):
        refactoring._follow_up(job, access, Options(), moved_before, "")


_REFUSED = refusal(
    "ValidationError",
    "Stack refactor r-1 cannot be executed in its current status of [EXECUTE_IN_PROGRESS]",
    "ExecuteStackRefactor",
)


def test_an_execution_whose_answer_was_lost_is_found_to_have_begun() -> None:
    world = World(ExecuteStackRefactor=_REFUSED)
    del world.states[2]
    assert world.carry_out() == "r-1"
    assert world.stacks == ["UPDATE_COMPLETE"]


def test_an_execution_that_aws_refuses_has_not_begun() -> None:
    world = World(ExecuteStackRefactor=_REFUSED)
    world.states[2:] = [{"Status": "CREATE_COMPLETE", "ExecutionStatus": "OBSOLETE"}]
    assert "ExecuteStackRefactor" in failing(world).message
