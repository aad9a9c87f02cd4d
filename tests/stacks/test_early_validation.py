"""What early validation found is read from DescribeEvents, where an endpoint has it."""

from __future__ import annotations

from typing import Any

import pytest

from lib.stacks import early_validation
from tests.support.aws_fakes import client, intercept, refusal


def finding(operation: str, logical_id: str, mode: str = "FAIL", **more: Any) -> dict[str, Any]:
    return {
        "EventId": f"{operation}-{logical_id}-{mode}",
        "OperationId": operation,
        "EventType": "VALIDATION_ERROR",
        "LogicalResourceId": logical_id,
        "ResourceType": "AWS::S3::Bucket",
        "ValidationFailureMode": mode,
        "ValidationName": "NAME_CONFLICT_VALIDATION",
        "ValidationStatus": "FAILED",
        "ValidationStatusReason": "a resource of this name exists",
        "ValidationPath": "/Resources/Bucket/Properties/BucketName",
        **more,
    }


def answering(*events: dict[str, Any]) -> tuple[Any, list[Any]]:
    cfn = client("cloudformation")
    calls = intercept(cfn, lambda _operation, _arguments: {"OperationEvents": list(events)})
    return cfn, calls


def test_a_nested_stacks_failed_validation_names_resource_reason_and_property() -> None:
    cfn, calls = answering(finding("two", "Bucket"))
    found = early_validation.read(cfn, "StorageStack", stack="arn:child")
    assert [str(one) for one in found] == [
        (
            "StorageStack/Bucket (AWS::S3::Bucket): a resource of this name exists "
            "at /Resources/Bucket/Properties/BucketName"
        ),
    ]
    assert calls[0].arguments["StackName"] == "arn:child"
    assert calls[0].arguments["Filters"] == {"FailedEvents": True}


def test_only_the_latest_operation_of_a_stack_is_told() -> None:
    cfn, _ = answering(finding("two", "Bucket"), finding("one", "Older"))
    assert [one.path for one in early_validation.read(cfn, "", stack="app")] == ["Bucket"]


def test_warnings_and_failures_are_told_apart() -> None:
    cfn, _ = answering(finding("two", "Full", "WARN"), finding("two", "Taken"))
    failures = early_validation.read(cfn, "", change_set="arn:set")
    warnings = early_validation.read(cfn, "", change_set="arn:set", failing=False)
    assert [one.path for one in (*failures, *warnings)] == ["Taken", "Full"]


@pytest.mark.parametrize("code", ["InvalidAction", "AccessDenied", "400"])
def test_an_endpoint_that_does_not_tell_leaves_the_reason_given_elsewhere(code: str) -> None:
    cfn = client("cloudformation")

    def refuse(_operation: str, _arguments: Any) -> dict[str, Any]:
        raise refusal(code)

    intercept(cfn, refuse)
    assert early_validation.read(cfn, "", stack="app") == ()
