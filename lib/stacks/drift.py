"""Find out where a stack no longer is what its templates say, in the whole tree.

DetectStackDrift looks at one stack and not into those nested in it, so each is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError

from lib.errors import OperationFailed
from lib.polling import ask_patiently, until
from lib.refusals import error_message, is_passing, is_unsupported
from lib.stacks import stacks
from lib.templates.templates import STACK_TYPE
from lib.values import show_value

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import (
        DescribeStackResourceDriftsOutputTypeDef,
        StackResourceDriftTypeDef,
    )

    from lib.polling import Clock

#: A detection looks at every resource; large stacks take minutes.
LONGEST_DETECTION = 1800.0


@dataclass(frozen=True)
class Drift:
    """One difference: a property and its two values, or a resource that is gone."""

    path: str
    type: str
    status: str
    property: str
    expected: str
    actual: str


def detect(cfn: CloudFormationClient, stack_id: str, clock: Clock) -> tuple[Drift, ...]:
    """Detect drift in a stack and everything nested in it.

    Starts all detections, then waits for each, since AWS works on them side by side. Raises
    `OperationFailed` where AWS cannot detect drift.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DetectStackDrift.html
    """
    tree = {"": stack_id} | {
        resource.path: resource.physical_id
        for resource in stacks.walk(cfn, stack_id)
        if resource.type == STACK_TYPE and resource.physical_id
    }
    try:
        started = {path: _start(cfn, one, clock) for path, one in tree.items()}
    except ClientError as exc:
        if is_unsupported(exc):
            raise OperationFailed("Drift detection is not available at this endpoint.") from None
        raise
    for detection in started.values():
        _wait(cfn, detection, clock)
    return tuple(drift for path, one in tree.items() for drift in _read(cfn, one, path, clock))


def _start(cfn: CloudFormationClient, stack_id: str, clock: Clock) -> str:
    """Start a detection in one stack and return its ID.

    A tree has many stacks, and AWS throttles. A detection that is under way already, somebody
    else's or one whose answer was lost, is waited for.
    """
    return ask_patiently(
        lambda: cfn.detect_stack_drift(StackName=stack_id)["StackDriftDetectionId"],
        clock,
        passes=lambda exc: is_passing(exc) or _is_under_way(exc),
    )


def _is_under_way(exc: Exception) -> bool:
    """Recognise by its message, for want of a code, that a stack's drift is being detected.

    "Drift detection is already in progress for stack [arn:…]", a ValidationError; nobody has
    recorded it, and AWS's pages do not show it.
    """
    return "already in progress" in error_message(exc)


def _wait(cfn: CloudFormationClient, detection: str, clock: Clock) -> None:
    """Wait until one detection has ended."""

    def look(waited: float) -> Literal[True] | None:
        answer = ask_patiently(
            lambda: cfn.describe_stack_drift_detection_status(StackDriftDetectionId=detection),
            clock,
        )
        state: str = answer["DetectionStatus"]
        # A failed detection still holds what could be looked at, unless it holds nothing.
        if state == "DETECTION_COMPLETE" or (
            state == "DETECTION_FAILED" and "StackDriftStatus" in answer
        ):
            return True
        if state == "DETECTION_FAILED" or waited > LONGEST_DETECTION:
            reason = answer.get("DetectionStatusReason", "it takes too long")
            raise OperationFailed(f"Drift of {answer.get('StackId', '')} is not known: {reason}")
        return None

    until(look, clock)


def _read_page(
    cfn: CloudFormationClient, stack_id: str, token: str
) -> DescribeStackResourceDriftsOutputTypeDef:
    """Return one page of what differs in one stack."""
    more = {"NextToken": token} if token else {}
    return cfn.describe_stack_resource_drifts(
        StackName=stack_id,
        StackResourceDriftStatusFilters=["MODIFIED", "DELETED"],
        **more,  # type: ignore[arg-type]  # one optional key
    )


def _read(cfn: CloudFormationClient, stack_id: str, path: str, clock: Clock) -> Iterator[Drift]:
    """Yield what differs in one stack."""
    prefix = f"{path}/" if path else ""
    token = ""
    while True:
        try:
            answer = ask_patiently(partial(_read_page, cfn, stack_id, token), clock)
        except ClientError as exc:
            raise OperationFailed(f"Drift cannot be read: {error_message(exc)}") from exc
        for entry in answer["StackResourceDrifts"]:
            yield from _differences(entry, prefix)
        token = answer.get("NextToken", "")
        if not token:
            return


def _differences(entry: StackResourceDriftTypeDef, prefix: str) -> Iterator[Drift]:
    """Yield one drift per property, or one for the resource as a whole."""
    path = f"{prefix}{entry['LogicalResourceId']}"
    kind, status = entry["ResourceType"], str(entry["StackResourceDriftStatus"])
    differences = entry.get("PropertyDifferences", [])
    if not differences:
        yield Drift(path, kind, status, "", "", "")
    for one in differences:
        name = one["PropertyPath"].lstrip("/")
        expected, actual = (
            show_value(name, _decode(value)) for value in (one["ExpectedValue"], one["ActualValue"])
        )
        yield Drift(path, kind, status, name, expected, actual)


def _decode(value: str) -> object:
    """Return a value that AWS gives as JSON text, or the text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def as_rows(found: Sequence[Drift]) -> list[tuple[str, ...]]:
    """Return drifts as rows of a table."""
    return [(d.path, d.type, d.status, d.property, d.expected, d.actual) for d in found]
