"""Read what CloudFormation's early validation found, where only DescribeEvents tells.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from lib.templates.changes import join

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient


@dataclass(frozen=True)
class Finding:
    """One failed validation: the resource by path, why, and the property's path or ""."""

    path: str
    type: str
    reason: str
    property: str

    def __str__(self) -> str:
        """Return one sentence."""
        kind = f" ({self.type})" if self.type else ""
        place = f" at {self.property}" if self.property else ""
        return f"{self.path}{kind}: {self.reason}{place}"


def read(
    cfn: CloudFormationClient,
    path: str,
    *,
    change_set: str = "",
    stack: str = "",
    failing: bool = True,
) -> tuple[Finding, ...]:
    """Return what failed validation, in the order that AWS lists it.

    Of a change set by its ARN, or of a stack's latest operation by the stack's ID; `path`
    is that stack's own path from the root. `failing` asks for what stops an operation, else
    for the warnings. Not every endpoint and not every identity may call DescribeEvents; then
    nothing is returned, and the reason given elsewhere is all there is.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeEvents.html
    """
    of_what: dict[str, Any] = {"ChangeSetName": change_set} if change_set else {"StackName": stack}
    try:
        pages = cfn.get_paginator("describe_events").paginate(
            **of_what, Filters={"FailedEvents": True}
        )
        events = [event for page in pages for event in page.get("OperationEvents", [])]
    except (ClientError, ResponseParserError):
        return ()
    # AWS lists a stack's newest operation first.
    latest = events[0].get("OperationId") if events and stack else None
    wanted = [
        event
        for event in events
        if event.get("EventType") == "VALIDATION_ERROR"
        and (event.get("ValidationFailureMode") != "WARN") is failing
        and (latest is None or event.get("OperationId") == latest)
    ]
    return tuple(dict.fromkeys(_read(event, path) for event in wanted))


def _read(event: Mapping[str, Any], path: str) -> Finding:
    """Turn one event into a `Finding`."""
    return Finding(
        join(path, event.get("LogicalResourceId", "")),
        event.get("ResourceType") or "",
        event.get("ValidationStatusReason") or event.get("ValidationName") or "not valid",
        str(event.get("ValidationPath") or ""),
    )
