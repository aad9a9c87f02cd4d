"""Ask CloudFormation StackSets: read sets and their instances, start and follow operations.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/what-is-cfnstacksets.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.errors import Refused
from lib.operators import Level, Note, Operator
from lib.polling import Clock, ask_patiently, until
from lib.refusals import error_code, error_message
from lib.releases import releases
from lib.stacks import stacks, watching

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient

#: The names that StackSets expects unless it is told others, and the page that says so.
ROLES = ("AWSCloudFormationStackSetAdministrationRole", "AWSCloudFormationStackSetExecutionRole")
_ROLES_PAGE = (
    "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/"
    "stacksets-prereqs-self-managed.html"
)

_RUNNING = frozenset({"QUEUED", "RUNNING", "STOPPING"})


@dataclass(frozen=True)
class Instance:
    """One region's part of a stack set: its stack, its state, what it overrides."""

    region: str
    stack_id: str
    status: str
    overrides: Mapping[str, str]

    @property
    def is_current(self) -> bool:
        """Tell whether the region runs what the stack set says."""
        return self.status == "CURRENT"


@dataclass(frozen=True)
class StackSet:
    """A stack set as it is: the release it holds, its parameters, its instances by region."""

    release: str
    parameters: Mapping[str, str]
    instances: Mapping[str, Instance]


@dataclass(frozen=True)
class Step:
    """One operation: `action` on some regions. `overrides` is None where they stay."""

    action: str
    regions: tuple[str, ...]
    overrides: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Result:
    """What an operation came to in one region."""

    region: str
    status: str
    reason: str


def require_roles(iam: Any, operator: Operator) -> None:
    """Refuse an account without the two roles of self-managed permissions.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html
    """
    missing = []
    for role in ROLES:
        try:
            iam.get_role(RoleName=role)
        except ClientError as exc:
            if error_code(exc) == "NoSuchEntity":
                missing.append(role)
            else:
                text = f"{role} could not be looked up: {error_message(exc)}"
                operator.report(Note(text, Level.WARNING))
    if missing:
        raise Refused(
            f"StackSets needs roles that this account does not have: {', '.join(missing)}.",
            next_step=f"create them as {_ROLES_PAGE} says, then run the same command",
        )


def read(cfn: CloudFormationClient, name: str) -> StackSet | None:
    """Return a stack set with its instances, or None when there is none.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackSet.html
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStackInstances.html
    """
    try:
        answer = cfn.describe_stack_set(StackSetName=name)["StackSet"]
    except ClientError as exc:
        if error_code(exc) == "StackSetNotFoundException":
            return None
        raise
    return StackSet(
        releases.name_of(answer.get("TemplateBody", "")),
        _values_of(answer.get("Parameters", [])),
        {instance.region: instance for instance in _read_instances(cfn, name)},
    )


def _read_instances(cfn: CloudFormationClient, name: str) -> Iterator[Instance]:
    """Yield a stack set's instances; the overrides are only known to each one's description."""
    for page in cfn.get_paginator("list_stack_instances").paginate(StackSetName=name):
        for entry in page.get("Summaries", []):
            region, account = entry.get("Region", ""), entry.get("Account", "")
            full = cfn.describe_stack_instance(
                StackSetName=name, StackInstanceAccount=account, StackInstanceRegion=region
            )["StackInstance"]
            yield Instance(
                region,
                entry.get("StackId", ""),
                str(entry.get("Status", "")),
                _values_of(full.get("ParameterOverrides", [])),
            )


def _values_of(entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {e["ParameterKey"]: e.get("ParameterValue", "") for e in entries}


def create(cfn: CloudFormationClient, definition: Mapping[str, Any]) -> None:
    """Create a stack set; it has no instances yet.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStackSet.html
    """
    cfn.create_stack_set(**definition, ClientRequestToken=watching.new_token())


def start(
    cfn: CloudFormationClient,
    step: Step,
    definition: Mapping[str, Any],
    preferences: Mapping[str, Any],
    account: str,
) -> str:
    """Start an operation on the stack set that `definition` describes, and return its ID."""
    place: dict[str, Any] = {
        "OperationPreferences": preferences,
        "OperationId": watching.new_token(),
    }
    if step.regions:
        place |= {"Accounts": [account], "Regions": list(step.regions)}
    if step.action == "update set":
        return cfn.update_stack_set(**definition, **place)["OperationId"]
    if step.overrides is not None:
        place["ParameterOverrides"] = stacks.as_parameters(step.overrides)
    place["StackSetName"] = definition["StackSetName"]
    if step.action == "create":
        return cfn.create_stack_instances(**place)["OperationId"]
    return cfn.update_stack_instances(**place)["OperationId"]


def follow(
    cfn: CloudFormationClient,
    name: str,
    operation: str,
    *,
    clock: Clock,
    report: Callable[[Result], None],
) -> None:
    """Watch an operation to its end; `report` is called when a region's state changes.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStackSetOperationResults.html
    """
    shown: dict[str, str] = {}

    def look(_waited: float) -> bool | None:
        status = ask_patiently(
            lambda: cfn.describe_stack_set_operation(StackSetName=name, OperationId=operation),
            clock,
        )["StackSetOperation"].get("Status", "")
        for result in ask_patiently(lambda: _read_results(cfn, name, operation), clock):
            if shown.get(result.region) != result.status:
                shown[result.region] = result.status
                report(result)
        return None if status in _RUNNING else True

    until(look, clock)


def _read_results(cfn: CloudFormationClient, name: str, operation: str) -> tuple[Result, ...]:
    pages = cfn.get_paginator("list_stack_set_operation_results").paginate(
        StackSetName=name, OperationId=operation
    )
    return tuple(
        Result(entry.get("Region", ""), str(entry.get("Status", "")), entry.get("StatusReason", ""))
        for page in pages
        for entry in page.get("Summaries", [])
    )
