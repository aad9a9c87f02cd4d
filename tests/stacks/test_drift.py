"""Drift is detected in every stack of the tree, and told property by property."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lib.errors import OperationFailed
from lib.stacks import drift
from tests.support.aws_fakes import (
    START,
    FakeTime,
    client,
    intercept,
    operations,
    refusal,
    stack_id,
)

ROOT, CHILD = stack_id("app"), stack_id("child")


def resources(stack: str) -> list[dict[str, Any]]:
    nested = {"LogicalResourceId": "DatabaseStack", "PhysicalResourceId": CHILD}
    summary = {
        "ResourceType": "AWS::CloudFormation::Stack",
        "LastUpdatedTimestamp": START,
        "ResourceStatus": "CREATE_COMPLETE",
    }
    return [{**nested, **summary}] if stack == ROOT else []


class World:
    """A root with one child whose table has lost a tag."""

    def __init__(self, *states: Mapping[str, Any]) -> None:
        self.states = list(states or ({"DetectionStatus": "DETECTION_COMPLETE"},))
        self.refused: dict[str, Exception] = {}
        self.faults: dict[str, list[Exception]] = {}
        self.time = FakeTime()
        self.cfn = client("cloudformation")
        self.calls = intercept(self.cfn, self.answer)

    def answer(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if operation in self.refused:
            raise self.refused[operation]
        if self.faults.get(operation):
            raise self.faults[operation].pop(0)
        if operation == "ListStackResources":
            return {"StackResourceSummaries": resources(arguments["StackName"])}
        if operation == "DetectStackDrift":
            return {"StackDriftDetectionId": f"detection of {arguments['StackName']}"}
        if operation == "DescribeStackDriftDetectionStatus":
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            detection = arguments["StackDriftDetectionId"]
            base = {"StackId": ROOT, "StackDriftDetectionId": detection, "Timestamp": START}
            return {**base, **state}
        return self.drifts(arguments)

    def drifts(self, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if arguments["StackName"] == ROOT:
            return {"StackResourceDrifts": []}
        entry = {
            "StackId": CHILD,
            "LogicalResourceId": "JobsTable",
            "ResourceType": "AWS::DynamoDB::Table",
            "StackResourceDriftStatus": "MODIFIED",
            "Timestamp": START,
            "PropertyDifferences": [
                {
                    "PropertyPath": "/Tags/0",
                    "ExpectedValue": '{"Key":"Component"}',
                    "ActualValue": "null",
                    "DifferenceType": "REMOVE",
                }
            ],
        }
        if "NextToken" not in arguments:
            return {"StackResourceDrifts": [entry], "NextToken": "more"}
        gone = {**entry, "LogicalResourceId": "Queue", "StackResourceDriftStatus": "DELETED"}
        gone.pop("PropertyDifferences")
        return {"StackResourceDrifts": [gone]}

    def detect(self) -> tuple[drift.Drift, ...]:
        return drift.detect(self.cfn, ROOT, self.time.clock)


def test_every_page_of_every_stack_in_the_tree_is_told_by_path() -> None:
    world = World()
    changed, gone = world.detect()
    assert (changed.path, changed.status, changed.property) == (
        "DatabaseStack/JobsTable",
        "MODIFIED",
        "Tags/0",
    )
    assert "Component" in changed.expected
    assert (gone.path, gone.status, gone.property) == ("DatabaseStack/Queue", "DELETED", "")
    started = [c.arguments["StackName"] for c in world.calls if c.operation == "DetectStackDrift"]
    assert started == [ROOT, CHILD]
    assert drift.as_rows([gone]) == [
        ("DatabaseStack/Queue", "AWS::DynamoDB::Table", "DELETED", "", "", "")
    ]


def test_all_detections_are_started_before_the_first_is_waited_for() -> None:
    world = World(
        {"DetectionStatus": "DETECTION_IN_PROGRESS"}, {"DetectionStatus": "DETECTION_COMPLETE"}
    )
    world.detect()
    made = operations(world.calls)
    assert made.index("DescribeStackDriftDetectionStatus") > made.index("DetectStackDrift") + 1
    assert len(world.time.slept) == 1


def test_a_detection_that_failed_on_some_resources_still_tells_the_others() -> None:
    world = World({"DetectionStatus": "DETECTION_FAILED", "StackDriftStatus": "DRIFTED"})
    assert len(world.detect()) == 2


def test_a_detection_that_knows_nothing_is_an_error_in_awss_words() -> None:
    world = World({"DetectionStatus": "DETECTION_FAILED", "DetectionStatusReason": "no access"})
    with pytest.raises(OperationFailed, match="no access"):
        world.detect()


def test_a_detection_that_never_ends_is_given_up() -> None:
    world = World({"DetectionStatus": "DETECTION_IN_PROGRESS"})
    with pytest.raises(OperationFailed, match="takes too long"):
        world.detect()
    assert world.time.seconds > drift.LONGEST_DETECTION


def test_an_endpoint_without_drift_detection_says_so() -> None:
    world = World()
    world.refused["DetectStackDrift"] = refusal("InvalidAction")
    with pytest.raises(OperationFailed, match="not available at this endpoint"):
        world.detect()


def test_a_denied_detection_keeps_awss_error() -> None:
    world = World()
    world.refused["DetectStackDrift"] = refusal("AccessDenied")
    with pytest.raises(Exception, match="AccessDenied"):
        world.detect()


def test_drift_that_was_detected_but_cannot_be_read_is_an_error() -> None:
    world = World()
    world.refused["DescribeStackResourceDrifts"] = refusal("AccessDenied", "not you")
    with pytest.raises(OperationFailed, match="not you"):
        world.detect()


@pytest.mark.parametrize("operation", ["DetectStackDrift", "DescribeStackResourceDrifts"])
def test_one_throttled_call_does_not_end_the_detection(operation: str) -> None:
    world = World()
    world.faults[operation] = [refusal("Throttling", "Rate exceeded", operation)]
    assert len(world.detect()) == 2
    assert world.time.slept == [1.0]


def test_a_detection_that_is_under_way_already_is_waited_for() -> None:
    world = World()
    words = f"Drift detection is already in progress for stack [{ROOT}]"
    world.faults["DetectStackDrift"] = [refusal("ValidationError", words)]
    assert len(world.detect()) == 2
    assert world.time.slept == [1.0]
