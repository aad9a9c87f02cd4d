"""Replay answers about stacks, their events and what AWS refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from lib import refusals
from lib.stacks import events, previews, stacks
from lib.stacks.statuses import Status
from tests.recorded.recordings import SOME_TIME, Json, find, fit
from tests.recorded.verdicts import Row
from tests.support.aws_fakes import client, intercept, refusal

#: What a stack's events say when nothing is wrong.
_ORDINARY = ("User Initiated", "Resource creation Initiated", "resource-status-reason")

#: What a refusal of CloudFormation means, by AWS's literal words, as its recordings have them.
_MEANINGS = (
    (r"^Stack (\[.*\]|with id .*) does not exist$", "no such stack"),
    (r"^No updates are to be performed\.$", "no changes"),
)


def judge(case: str, content: Any) -> Iterator[Row]:
    """Yield the rows of one snapshot that the stacks wing and the ground can read."""
    for answer in find(content, "Stacks"):
        yield from _judge_stacks(case, answer)
    for listed in find_events(content):
        yield from judge_events(case, listed)
    for answer in find(content, "Error"):
        if isinstance(answer["Error"], dict) and answer["Error"].get("Code"):
            yield judge_error(case, answer)


def _judge_stacks(case: str, answer: Json) -> Iterator[Row]:
    """Hold what DescribeStacks is read as against its own words."""
    if not isinstance(answer["Stacks"], list):
        return
    for told in answer["Stacks"]:
        if not isinstance(told, dict) or told.get("StackStatus") not in tuple(Status):
            continue
        entry = {"CreationTime": "", "StackName": "recorded", **told}
        aws = client("cloudformation")
        fitted = fit("cloudformation", "DescribeStacks", {"Stacks": [entry]})
        intercept(aws, lambda _operation, _arguments, fitted=fitted: fitted)
        read = stacks.describe(aws, "recorded")
        ours = f"{read.status} protected={read.protected}" if read else "no stack"
        outputs = sorted(read.outputs.items()) if read else []
        wanted = sorted((o["OutputKey"], str(o["OutputValue"])) for o in told.get("Outputs", []))
        protected = told.get("EnableTerminationProtection", False)
        yield Row(
            "stacks",
            case,
            str(told["StackStatus"]),
            f"{told['StackStatus']} protected={protected} {wanted}",
            f"{ours} {outputs}",
        )


def find_events(content: Any) -> Iterator[list[Json]]:
    """Yield every list of a stack's events, newest first, and every event kept alone."""
    if isinstance(content, list):
        found = [one for one in content if _is_event(one)]
        if found:
            yield found
            return
    if _is_event(content):
        yield [content]
        return
    inside = content.values() if isinstance(content, dict) else content
    for one in inside if isinstance(content, dict | list) else ():
        yield from find_events(one)


def _is_event(value: Any) -> bool:
    return isinstance(value, dict) and {"EventId", "ResourceStatus", "StackId"} <= set(value)


def judge_events(case: str, listed: list[Json]) -> Iterator[Row]:
    """Hold the cause that is found against the first reason that AWS itself gives."""
    oldest_first = listed[::-1]
    reasons = [reason for one in oldest_first if (reason := _reason_of_failure(one))]
    failed = bool(reasons) or any(_has_failed(one) for one in oldest_first)
    found = events.find_cause(_read(oldest_first))
    aws = next((r for r in reasons if r not in _ORDINARY), "a failure" if failed else "no failure")
    ours = "no failure" if found is None else found.reason if aws != "a failure" else "a failure"
    yield Row("events", case, str(listed[0].get("StackName", "")), aws, ours)


def _has_failed(entry: Json) -> bool:
    return "FAILED" in entry["ResourceStatus"] or "ROLLBACK" in entry["ResourceStatus"]


def _reason_of_failure(entry: Json) -> str:
    """Return what an event says of a failure: of a hook's, which stands apart, or of its own."""
    hook = entry.get("HookStatus", "").endswith("FAILED") and entry.get("HookFailureMode") == "FAIL"
    if hook:
        return f"{entry['HookType']}: {entry['HookStatusReason']}"
    return str(entry.get("ResourceStatusReason", "")) if _has_failed(entry) else ""


def _read(oldest_first: list[Json]) -> list[stacks.Event]:
    """Pass events through the reader, their order for the times that a recording left out."""
    entries = [
        {
            "StackId": "recorded",
            "StackName": "recorded",
            **one,
            "EventId": str(number),
            "Timestamp": (SOME_TIME + timedelta(seconds=number)).isoformat(),
        }
        for number, one in enumerate(oldest_first)
    ]
    fitted = fit("cloudformation", "DescribeStackEvents", {"StackEvents": entries[::-1]})
    aws = client("cloudformation")
    intercept(aws, lambda _operation, _arguments: fitted)
    return stacks.read_events(aws, "recorded")


def judge_error(case: str, answer: Json) -> Row:
    """Hold what a refusal is taken for against what its words mean."""
    error = answer["Error"]
    code, message = str(error["Code"]), str(error.get("Message", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 400))
    # Only an answer without a body, a HEAD's, has a number for its code.
    exc = refusal(code, message, "HeadBucket" if code.isdecimal() else "Op", status)
    meant = next((m for pattern, m in _MEANINGS if re.search(pattern, message)), "")
    if status >= 500:
        # 501 is no fault that passes: the endpoint has no such thing.
        meant = "not available" if status == 501 else "passing"
    return Row("errors", case, f"{code}: {message[:60]}", meant or "refused", _take(exc))


def _take(exc: Any) -> str:
    """Return what our rooms take a refusal for."""
    if refusals.is_unsupported(exc):
        return "not available"
    if refusals.is_passing(exc):
        return "passing"
    if stacks.is_missing(exc):
        return "no such stack"
    if previews.says_no_changes(refusals.error_message(exc)):
        return "no changes"
    return "refused"
