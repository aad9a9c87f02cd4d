"""Ask CloudFormation for a stack refactor, read what it would do, and carry it out.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-refactoring.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from lib.polling import Clock, ask_patiently, until
from lib.stacks import stacks
from lib.stacks.statuses import Status

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient

#: "a maximum of 5 stacks (using the AWS CLI)"
MOST_STACKS = 5

#: What a template may be in a request; a larger one has to lie in a bucket.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
MOST_BYTES = 51_200

#: "The following resources aren't supported for stack refactoring", as far as an application of
#: this kind has them; AWS says of others itself that it does not.
UNSUPPORTED = frozenset(
    {
        "AWS::ApiGateway::Method",
        "AWS::CertificateManager::Certificate",
        "AWS::CloudFormation::CustomResource",
        "AWS::CloudFormation::Macro",
        "AWS::CloudFormation::WaitCondition",
        "AWS::CloudFormation::WaitConditionHandle",
        "AWS::Cognito::UserPoolRiskConfigurationAttachment",
        "AWS::Cognito::UserPoolUICustomizationAttachment",
        "AWS::Cognito::UserPoolUserToGroupAttachment",
        "AWS::DynamoDB::GlobalTable",
        "AWS::EC2::EIP",
        "AWS::EC2::LaunchTemplate",
        "AWS::IAM::AccessKey",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Route53::RecordSet",
        "AWS::Route53::RecordSetGroup",
    }
)

_MAKING = ("CREATE_IN_PROGRESS",)
_EXECUTED = "EXECUTE_COMPLETE"
#: What AWS says only once it was asked to execute.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackRefactor.html
_BEGUN = (
    *("EXECUTE_IN_PROGRESS", _EXECUTED, "EXECUTE_FAILED"),
    *("ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"),
)
_EXECUTING = ("AVAILABLE", "EXECUTE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")

#: Seconds for which a refactor that was executed may still say that it is available.
_SLOW_START = 60.0


@dataclass(frozen=True)
class Location:
    """A resource as a refactor names it: its stack's name, and its logical ID there."""

    stack: str
    logical_id: str


@dataclass(frozen=True)
class Action:
    """What a refactor would do to one resource or stack; `kind` is MOVE or CREATE.

    `tagged` are the tags that come with it.
    """

    kind: str
    entity: str
    physical_id: str
    source: Location
    destination: Location
    tagged: tuple[str, ...]


@dataclass(frozen=True)
class State:
    """How far a refactor is: whether it could be made, whether it was executed, and AWS's why."""

    status: str
    execution: str
    reason: str

    @property
    def is_made(self) -> bool:
        """Tell whether it may be executed."""
        return self.status == "CREATE_COMPLETE"

    @property
    def is_done(self) -> bool:
        """Tell whether everything has moved."""
        return self.execution == _EXECUTED


def create(
    cfn: CloudFormationClient,
    templates: Mapping[str, str],
    moves: Iterable[tuple[Location, Location]],
    *,
    description: str,
) -> str:
    """Ask for a refactor and return its ID; AWS then validates it.

    `templates` has, by a stack's name, what each stack that takes part is to be.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStackRefactor.html
    """
    answer = cfn.create_stack_refactor(
        Description=description,
        EnableStackCreation=False,
        StackDefinitions=[
            {"StackName": name, "TemplateBody": text} for name, text in templates.items()
        ],
        ResourceMappings=[
            {"Source": _as_location(source), "Destination": _as_location(destination)}
            for source, destination in moves
        ],
    )
    return answer["StackRefactorId"]


def _as_location(place: Location) -> Any:
    return {"StackName": place.stack, "LogicalResourceId": place.logical_id}


def wait_made(cfn: CloudFormationClient, refactor_id: str, clock: Clock) -> State:
    """Wait until AWS has validated a refactor."""

    def look(_waited: float) -> State | None:
        state = _describe(cfn, refactor_id, clock)
        return None if state.status in _MAKING else state

    return until(look, clock)


def wait_executed(cfn: CloudFormationClient, refactor_id: str, clock: Clock) -> State:
    """Wait until a refactor that is being executed has ended, or was rolled back."""

    def look(waited: float) -> State | None:
        state = _describe(cfn, refactor_id, clock)
        waits = state.execution == "AVAILABLE" and waited > _SLOW_START
        return None if state.execution in _EXECUTING and not waits else state

    return until(look, clock)


def wait_at_rest(cfn: CloudFormationClient, stack_ids: Sequence[str], clock: Clock) -> None:
    """Wait until stacks rest: they go on for seconds after their refactor says it is complete.

    https://github.com/aws/aws-cdk-cli/issues/1804
    """

    def look(_waited: float) -> bool | None:
        found = [
            ask_patiently(lambda one=one: stacks.describe(cfn, one), clock)  # type: ignore[misc]  # its own
            for one in stack_ids
        ]
        busy = any(stack and Status(stack.status).is_running for stack in found)
        return None if busy else True

    until(look, clock)


def _describe(cfn: CloudFormationClient, refactor_id: str, clock: Clock) -> State:
    """Look at a refactor.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackRefactor.html
    """
    answer = ask_patiently(lambda: cfn.describe_stack_refactor(StackRefactorId=refactor_id), clock)
    reasons = (answer.get("StatusReason"), answer.get("ExecutionStatusReason"))
    return State(
        answer.get("Status", ""),
        answer.get("ExecutionStatus", ""),
        "; ".join(reason for reason in reasons if reason),
    )


def list_actions(cfn: CloudFormationClient, refactor_id: str) -> tuple[Action, ...]:
    """Return all that a refactor would do.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStackRefactorActions.html
    """
    pages = cfn.get_paginator("list_stack_refactor_actions").paginate(StackRefactorId=refactor_id)
    return tuple(_read_action(one) for page in pages for one in page["StackRefactorActions"])


def _read_action(answer: Mapping[str, Any]) -> Action:
    mapping = answer.get("ResourceMapping", {})
    return Action(
        str(answer.get("Action", "")),
        str(answer.get("Entity", "")),
        str(answer.get("PhysicalResourceId", "")),
        _read_place(mapping.get("Source", {})),
        _read_place(mapping.get("Destination", {})),
        tuple(f"{tag['Key']}={tag['Value']}" for tag in answer.get("TagResources", [])),
    )


def _read_place(answer: Mapping[str, Any]) -> Location:
    """Read a place; AWS answers with a stack's ARN where it was given a name."""
    return Location(
        stacks.name_of(answer.get("StackName", "")), answer.get("LogicalResourceId", "")
    )


def execute(cfn: CloudFormationClient, refactor_id: str, clock: Clock) -> None:
    """Start to carry a refactor out, or find that this request has started it already.

    An answer that is lost makes botocore ask again, and AWS refuses what it is doing then. The
    request takes no token, but nobody beside this run has a refactor's ID from it: one that is
    under way, or done, was started by it. Raises botocore's errors where it was not.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ExecuteStackRefactor.html
    """
    try:
        cfn.execute_stack_refactor(StackRefactorId=refactor_id)
    except (BotoCoreError, ClientError):
        if not _has_begun(cfn, refactor_id, clock):
            raise


def _has_begun(cfn: CloudFormationClient, refactor_id: str, clock: Clock) -> bool:
    """Tell whether a refactor is being executed, or was; False where AWS does not say."""
    try:
        return _describe(cfn, refactor_id, clock).execution in _BEGUN
    except (BotoCoreError, ClientError):
        return False
