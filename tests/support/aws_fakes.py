"""Real clients whose calls are recorded and, where a test says so, answered or refused.

A call passes botocore's own validation first, and what a test answers is held against the
service model too, so that neither our arguments nor the answers can drift from AWS.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.validate import validate_parameters

from lib.polling import Clock

ACCOUNT = "123456789012"
START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)

#: Gets an operation and its arguments; returns the answer, or None to let the call pass.
Answer = Callable[[str, dict[str, Any]], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Call:
    """One call that was made."""

    operation: str
    arguments: Mapping[str, Any]


def client(service: str, region: str = "us-east-1") -> Any:
    """Return a client with throw-away keys that sends each request once."""
    return _session().client(
        service,  # type: ignore[call-overload]  # any service name
        region_name=region,
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
    )


@functools.cache
def _session() -> boto3.Session:
    """Read each service's model once for all tests."""
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test")


def intercept(aws_client: Any, answer: Answer = lambda _operation, _arguments: None) -> list[Call]:
    """Record every call of a client, and answer those that `answer` answers."""
    calls: list[Call] = []

    def remember(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["test_arguments"] = dict(params)

    def give(model: Any, context: dict[str, Any], **_: Any) -> tuple[AWSResponse, Any] | None:
        arguments = context["test_arguments"]
        calls.append(Call(model.name, arguments))
        answered = answer(model.name, arguments)
        if answered is None:
            return None
        if model.output_shape:
            validate_parameters(answered, model.output_shape)
        return AWSResponse("", 200, HTTPHeaders(), None), dict(answered)

    name = aws_client.meta.service_model.service_id.hyphenize()
    aws_client.meta.events.register_last(f"before-parameter-build.{name}.*", remember)
    aws_client.meta.events.register_first(f"before-call.{name}.*", give)
    return calls


def refusal(code: str, message: str = "", operation: str = "Op", status: int = 400) -> ClientError:
    """Return an error as AWS answers it."""
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, operation)


def no_such_stack(name: str, operation: str = "DescribeStacks") -> ClientError:
    """Return what CloudFormation says of a stack that it does not know."""
    return refusal("ValidationError", f"Stack with id {name} does not exist", operation)


@dataclass
class FakeTime:
    """A clock that moves only when somebody sleeps; `one_sleeper` lets the main thread alone."""

    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)
    start: datetime = START
    one_sleeper: bool = False

    def sleep(self, seconds: float) -> None:
        alone = threading.current_thread() is threading.main_thread()
        assert alone or not self.one_sleeper, "only the caller waits"
        self.slept.append(seconds)
        self.seconds += seconds

    @property
    def clock(self) -> Clock:
        return Clock(
            monotonic=lambda: self.seconds,
            now=lambda: self.start + timedelta(seconds=self.seconds),
            sleep=self.sleep,
        )


def stack_id(name: str, region: str = "us-east-1") -> str:
    """Return an ARN of the form that CloudFormation gives stacks."""
    return f"arn:aws:cloudformation:{region}:{ACCOUNT}:stack/{name}/0f0f0f0f"


@dataclass(frozen=True)
class Happening:
    """One event of a stack, `at` seconds after `START`, seen from `seen_at` on."""

    id: str
    at: float
    logical_id: str
    status: str
    type: str = "AWS::S3::Bucket"
    physical_id: str = ""
    reason: str = ""
    seen_at: float | None = None
    hook: Mapping[str, str] = field(default_factory=dict)


STACK = "AWS::CloudFormation::Stack"


def own(event_id: str, at: float, stack: str, status: str, reason: str = "") -> Happening:
    """Return an event about the stack itself."""
    return Happening(event_id, at, stack, status, STACK, stack_id(stack), reason)


def nested(event_id: str, at: float, logical: str, status: str, reason: str = "") -> Happening:
    """Return a parent's event about a nested stack."""
    return Happening(event_id, at, logical, status, STACK, stack_id(logical), reason)


@dataclass
class FakeTree:
    """A tree of stacks whose events appear as time passes.

    `events` has each stack's own list by its name, `states` the (second, status) pairs of
    the root. Pages hold `page_size` events. `faults` are raised by the first calls.
    """

    time: FakeTime
    events: dict[str, list[Happening]]
    states: list[tuple[float, str]] = field(default_factory=list)
    page_size: int = 100
    faults: list[Exception] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    on_page: Callable[[int], None] = lambda _page: None

    def client(self) -> Any:
        made = client("cloudformation")
        self.calls = intercept(made, self._answer)
        return made

    def asked(self, operation: str = "DescribeStackEvents") -> list[str]:
        """Return the names of the stacks that were asked about, call by call."""
        return [
            name_of(str(call.arguments["StackName"]))
            for call in self.calls
            if call.operation == operation
        ]

    def _answer(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if self.faults:
            raise self.faults.pop(0)
        name = name_of(str(arguments["StackName"]))
        if operation == "DescribeStacks":
            if name in self.gone:
                raise no_such_stack(name)
            reached = [status for at, status in self.states if at <= self.time.seconds]
            return {"Stacks": [stack_entry(name, reached[-1])]}
        assert operation == "DescribeStackEvents", operation
        if name in self.gone or name not in self.events:
            raise no_such_stack(name, operation)
        start = int(arguments.get("NextToken", "0"))
        self.on_page(start)
        happened = [
            event
            for event in self.events[name]
            if (event.at if event.seen_at is None else event.seen_at) <= self.time.seconds
        ]
        newest_first = sorted(happened, key=lambda event: event.at)[::-1]
        page = newest_first[start : start + self.page_size]
        answer: dict[str, Any] = {"StackEvents": [event_entry(name, event) for event in page]}
        if start + self.page_size < len(newest_first):
            answer["NextToken"] = str(start + self.page_size)
        return answer


def name_of(stack: str) -> str:
    """Return a stack's name from its name or ARN."""
    return stack.split("/")[1] if stack.startswith("arn:") else stack


def stack_entry(name: str, status: str, **more: Any) -> dict[str, Any]:
    """Return a stack as DescribeStacks answers it."""
    return {
        "StackName": name,
        "StackId": stack_id(name),
        "StackStatus": status,
        "CreationTime": START,
        **more,
    }


def event_entry(name: str, event: Happening) -> dict[str, Any]:
    """Return an event as DescribeStackEvents answers it."""
    entry = {
        "StackId": stack_id(name),
        "StackName": name,
        "EventId": event.id,
        "LogicalResourceId": event.logical_id,
        "PhysicalResourceId": event.physical_id,
        "ResourceType": event.type,
        "Timestamp": START + timedelta(seconds=event.at),
        "ResourceStatus": event.status,
        **event.hook,
    }
    return {**entry, "ResourceStatusReason": event.reason} if event.reason else entry


def operations(calls: Iterable[Call]) -> list[str]:
    """Return the names of the operations that were called."""
    return [call.operation for call in calls]
