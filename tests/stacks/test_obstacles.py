"""What keeps a stack from resting is named for the operator, and in AWS's own form for AWS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lib.errors import InputError
from lib.stacks import obstacles
from lib.stacks.obstacles import Obstacle
from lib.stacks.stacks import StackResource
from lib.stacks.statuses import Status
from tests.support.aws_fakes import (
    START,
    Happening,
    client,
    event_entry,
    intercept,
    name_of,
    own,
    stack_entry,
    stack_id,
)

STACK = "AWS::CloudFormation::Stack"
FUNCTION = "AWS::Lambda::Function"
STUCK = Status.UPDATE_ROLLBACK_FAILED


def failed(
    path: str, kind: str = FUNCTION, reason: str = "why", status: str = "UPDATE_FAILED"
) -> StackResource:
    above, _, name = path.rpartition("/")
    owner = stack_id(f"app-{above.replace('/', '-')}-1ABC") if above else stack_id("app")
    return StackResource(path, name, f"{name}-id", kind, status, reason, owner)


def names(*resources: StackResource, status: Status = STUCK) -> list[str]:
    return [one.name for one in obstacles.find(resources, status)]


def test_a_nested_stack_is_in_the_way_only_where_nothing_inside_says_more() -> None:
    assert names(
        failed("Outer", STACK),
        failed("Outer/Inner", STACK),
        failed("Outer/Inner/Function"),
        failed("Alone", STACK),
    ) == ["Inner.Function", "Alone"]


def test_two_resources_of_one_short_name_are_told_apart_by_the_whole_path() -> None:
    assert names(failed("A/Data/Jobs"), failed("B/Data/Jobs"), failed("Data/Users")) == [
        "A.Data.Jobs",
        "B.Data.Jobs",
        "Data.Users",
    ]


def test_aws_is_given_the_nested_stack_s_own_name_and_a_root_s_resource_alone() -> None:
    found = obstacles.find([failed("Data/Jobs"), failed("Topic")], STUCK)
    assert [one.wire_name for one in found] == ["app-Data-1ABC.Jobs", "Topic"]


def test_each_state_is_held_by_its_own_kind_of_failure() -> None:
    resources = (failed("Table"), failed("Bucket", status="DELETE_FAILED"))
    assert names(*resources) == ["Table"]
    assert names(*resources, status=Status.DELETE_FAILED) == ["Bucket"]


def obstacle(path: str, *, passable: bool = True) -> Obstacle:
    [found] = obstacles.find([failed(path)], STUCK)
    return Obstacle(**{**vars(found), "passable": passable})


@pytest.mark.parametrize("written", ["Data.Jobs", "Data/Jobs", "app-Data-1ABC.Jobs"])
def test_an_obstacle_is_chosen_by_whichever_of_its_names_was_at_hand(written: str) -> None:
    found = [obstacle("Data/Jobs"), obstacle("Data/Users")]
    assert obstacles.choose(found, [written], "--skip", command="inv rollback") == (found[0],)


def test_all_leaves_out_what_aws_does_not_let_go() -> None:
    found = [obstacle("Data/Jobs"), obstacle("Data/Users", passable=False)]
    assert obstacles.choose(found, ["all"], "--skip", command="inv rollback") == (found[0],)


def test_a_name_that_is_not_in_the_way_is_bad_input_and_the_right_ones_are_told() -> None:
    found = [obstacle("Data/Jobs"), obstacle("Data/Users", passable=False)]
    with pytest.raises(InputError, match=r"Data\.Users, Topic did not, or cannot") as caught:
        obstacles.choose(found, ["Topic", "Data.Users"], "--skip", command="inv rollback")
    assert caught.value.next_step == "inv rollback --skip Data.Jobs"
    assert len(caught.value.problems) == 2


class Tree:
    """A root with a nested stack, as CloudFormation answers of it."""

    def __init__(self, *history: Happening, child: str = "UPDATE_ROLLBACK_FAILED") -> None:
        self.history, self.child = history, child
        self.inside = True
        self.client = client("cloudformation")
        intercept(self.client, self.answer)

    def answer(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        name = name_of(arguments["StackName"])
        if operation == "DescribeStacks":
            return {"Stacks": [stack_entry(name, self.child)]}
        if operation == "DescribeStackEvents":
            return {"StackEvents": [event_entry(name, one) for one in reversed(self.history)]}
        row = {"LastUpdatedTimestamp": START, "ResourceStatus": "UPDATE_FAILED"}
        if name == "app":
            child = {"LogicalResourceId": "Data", "PhysicalResourceId": stack_id("data")}
            return {"StackResourceSummaries": [{**child, **row, "ResourceType": STACK}]}
        inner = {"LogicalResourceId": "Jobs", **row, "ResourceType": FUNCTION}
        return {"StackResourceSummaries": [inner] if self.inside else []}

    def look(self, status: Status = STUCK) -> list[tuple[str, bool]]:
        found = obstacles.look(self.client, stack_id("app"), status)
        return [(one.name, one.passable) for one in found]


BEGUN = own("1", 1, "data", "UPDATE_IN_PROGRESS")
BACK = own("3", 3, "data", "UPDATE_ROLLBACK_IN_PROGRESS")


def test_what_failed_on_the_way_back_can_be_skipped() -> None:
    late = Happening("4", 4, "Jobs", "UPDATE_FAILED")
    assert Tree(BEGUN, BACK, late).look() == [("Data.Jobs", True)]


def test_what_failed_on_the_way_forth_only_cannot_as_aws_refuses_it() -> None:
    early = Happening("2", 2, "Jobs", "UPDATE_FAILED")
    assert Tree(BEGUN, early, BACK).look() == [("Data.Jobs", False)]


def test_where_the_history_does_not_tell_aws_is_left_to_say() -> None:
    assert Tree(BEGUN).look() == [("Data.Jobs", True)]


@pytest.mark.parametrize(
    ("child", "passable"), [("UPDATE_ROLLBACK_FAILED", False), ("DELETE_FAILED", True)]
)
def test_a_nested_stack_as_a_whole_can_be_skipped_only_when_it_is_going(
    child: str, passable: bool
) -> None:
    tree = Tree(child=child)
    tree.inside = False
    assert tree.look() == [("Data", passable)]


def test_a_stack_at_rest_is_asked_nothing() -> None:
    assert Tree().look(Status.UPDATE_COMPLETE) == []


def test_a_reason_that_the_listing_leaves_out_is_taken_from_the_events() -> None:
    late = Happening("4", 4, "Jobs", "UPDATE_FAILED", reason="no such key")
    tree = Tree(BEGUN, BACK, late)
    [found] = obstacles.look(tree.client, stack_id("app"), STUCK)
    assert found.reason == "no such key"
