"""Tasks of a cluster are shown, stopped when that is agreed to, and waited for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib import session
from lib.access import Access
from lib.deploy import running_tasks
from lib.errors import Declined, OperationFailed
from lib.operators import Listing, OnInterrupt, Operator, Progress
from lib.stacks.stacks import StackResource
from tests.support.aws_fakes import START, FakeTime, intercept, operations, refusal
from tests.support.factories import job


class World:
    """A cluster with tasks, each of which takes some looks to stop."""

    def __init__(self, *tasks: str, looks: int = 2) -> None:
        self.left = dict.fromkeys(tasks, looks)
        self.told: list[Progress] = []
        self.agrees = True
        self.refuses: dict[str, ClientError] = {}
        self.stopping = False
        aws = session.connect("us-east-1")
        self.calls = intercept(aws.client("ecs"), self.answer)
        operator = Operator(self.told.append, self.confirm, lambda _: OnInterrupt.DETACH)
        self.access = Access(aws, operator, FakeTime().clock)

    def confirm(self, _question: str, word: str) -> bool:
        return self.agrees and word == "y"

    def answer(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if operation in self.refuses:
            raise self.refuses[operation]
        if operation == "ListTasks":
            return {"taskArns": list(self.left)}
        if operation == "DescribeTasks":
            tasks = [self.describe(arn) for arn in arguments["tasks"]]
            if self.stopping:
                self.left = {arn: n - 1 for arn, n in self.left.items() if n > 1}
            return {"tasks": tasks}
        self.stopping = True
        return {}

    def describe(self, arn: str) -> dict[str, Any]:
        return {"taskArn": arn, "lastStatus": "RUNNING", "createdAt": START}

    def stop(self) -> None:
        running_tasks.stop(job(), self.access, ["cluster"])


def test_what_runs_is_shown_and_told_to_stop_and_waited_for() -> None:
    world = World("task/cluster/1", "task/cluster/2")
    world.stop()
    [listing] = [told for told in world.told if isinstance(told, Listing)]
    assert listing.rows[0] == ("1", "", "RUNNING", "2026-11-20 09:00")
    assert operations(world.calls).count("StopTask") == 2
    assert world.left == {}
    reasons = {c.arguments["reason"] for c in world.calls if c.operation == "StopTask"}
    assert reasons == {running_tasks.DELETION.reason}


def test_nobody_is_asked_where_nothing_runs() -> None:
    world = World()
    world.agrees = False
    world.stop()
    assert world.told == []


def test_an_operator_who_says_no_leaves_the_tasks_and_the_stack() -> None:
    world = World("task/cluster/1")
    world.agrees = False
    with pytest.raises(Declined, match="run on"):
        world.stop()
    assert "StopTask" not in operations(world.calls)


def test_more_tasks_than_fit_one_question_are_described_in_turns() -> None:
    world = World(*(f"task/cluster/{n}" for n in range(130)))
    world.stop()
    asked = [len(c.arguments["tasks"]) for c in world.calls if c.operation == "DescribeTasks"]
    assert asked[:2] == [100, 30]


def test_a_task_that_does_not_stop_ends_the_wait_with_the_same_command_again() -> None:
    world = World("task/cluster/1", looks=10_000)
    with pytest.raises(OperationFailed, match="have not stopped in 10 minutes") as caught:
        world.stop()
    assert caught.value.next_step == f"inv deploy --delete {job().flags}"


@pytest.mark.parametrize(
    "error",
    [
        refusal("ClusterNotFoundException", "Cluster not found.", "ListTasks"),
        refusal("501", "", "ListTasks", status=501),
    ],
)
def test_a_cluster_that_is_gone_has_no_tasks(error: ClientError) -> None:
    world = World("task/cluster/1")
    world.refuses["ListTasks"] = error
    world.stop()
    assert world.told == []


def test_a_missing_right_to_list_stops_the_deletion() -> None:
    world = World("task/cluster/1")
    world.refuses["ListTasks"] = refusal("AccessDeniedException", "not you", "ListTasks")
    with pytest.raises(ClientError, match="not you"):
        world.stop()


def test_a_task_that_ended_meanwhile_is_fine() -> None:
    world = World("task/cluster/1")
    message = "The referenced task was not found."
    world.refuses["StopTask"] = refusal("InvalidParameterException", message, "StopTask")
    world.stopping = True
    world.stop()
    assert world.left == {}


def test_clusters_are_found_anywhere_in_the_tree() -> None:
    row = StackResource("Compute/Cluster", "Cluster", "c", "AWS::ECS::Cluster", "", "", "s")
    unborn = StackResource("Other", "Other", "", "AWS::ECS::Cluster", "CREATE_FAILED", "", "s")
    assert running_tasks.find_clusters([row, unborn]) == ("c",)
