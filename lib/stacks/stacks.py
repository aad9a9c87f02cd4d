"""Read, create, update, delete and follow CloudFormation stacks.

Every call takes the client it uses. A stack that was created is addressed by its ID
from then on, because a deleted stack is found by nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.exceptions import ClientError

from lib.errors import StateForbids
from lib.refusals import error_code, error_message
from lib.stacks.statuses import Status
from lib.templates.templates import STACK_TYPE

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, StackTypeDef, TagTypeDef

    from lib.inputs.jobs import Job

_EVENT_PAGES_AT_MOST = 200

#: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeploymentConfig.html
_EXPRESS = {"Mode": "EXPRESS"}

#: What AWS answers to a request that it has carried out already, known by its token.
REPEATED_CODE = "TokenAlreadyExistsException"


@dataclass(frozen=True)
class Stack:
    """A stack as DescribeStacks shows it.

    `express` is true where AWS says that its last operation was one in express mode; `role_arn`
    is the service role that CloudFormation takes for it, "" for the caller's own rights.
    """

    name: str
    id: str
    status: Status
    reason: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    created: datetime
    updated: datetime | None
    protected: bool
    parent_id: str
    drift: str
    express: bool = False
    role_arn: str = ""
    root_id: str = ""


@dataclass(frozen=True)
class StackResource:
    """One resource of a tree of stacks. `path` names it from the root, `stack_id` its owner."""

    path: str
    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str
    stack_id: str
    drift: str = ""


@dataclass(frozen=True)
class Event:
    """One event of one stack in a tree; `path` is "" for the root stack itself.

    `properties` are the resource's, as JSON, where AWS tells them. What a hook says stands apart
    from `reason`, on an event whose status is still in progress:
    `HookStatus: HOOK_COMPLETE_FAILED` beside `ResourceStatus: CREATE_IN_PROGRESS` (recorded).
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackEvent.html
    """

    KEYS: ClassVar = {
        name: name
        for name in (
            *("time", "path", "type", "status", "reason", "physical_id"),
            *("hook_type", "hook_status", "hook_mode", "hook_reason"),
        )
    }

    id: str
    stack_id: str
    time: datetime
    path: str
    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str
    token: str
    hook_type: str = ""
    hook_status: str = ""
    hook_mode: str = ""
    hook_reason: str = ""
    hook_id: str = ""
    properties: str = ""

    @property
    def is_own(self) -> bool:
        """Tell whether the event is about the stack that lists it, not one of its resources."""
        return self.type == STACK_TYPE and self.physical_id == self.stack_id

    @property
    def hook_stops(self) -> bool:
        """Tell whether a hook failed whose mode, FAIL, stops the operation."""
        return self._hook_failed and self.hook_mode == "FAIL"

    @property
    def hook_warns(self) -> bool:
        """Tell whether a hook failed whose mode, WARN, lets the operation go on."""
        return self._hook_failed and self.hook_mode == "WARN"

    @property
    def _hook_failed(self) -> bool:
        # HOOK_COMPLETE_FAILED: it said no. HOOK_FAILED: it could not be run.
        return self.hook_status in ("HOOK_COMPLETE_FAILED", "HOOK_FAILED")

    @property
    def told(self) -> str:
        """Return what the event says: its reason, and of a hook which one and what it says."""
        if not self.hook_type:
            return self.reason
        hook = f"{self.hook_type}: {self.hook_reason or self.hook_status}"
        return f"{self.reason} {hook}".lstrip()


def is_missing(exc: BaseException) -> bool:
    """Recognise the one ValidationError by which CloudFormation says that a stack is absent.

    DescribeStacks has no error code of its own for it; this is the only place that reads
    the message. https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
    """
    message = error_message(exc)
    # Absent keys, buckets and roles are reported in the same words, but not as a stack.
    about_a_stack = message.startswith("Stack ") and "does not exist" in message
    return error_code(exc) == "ValidationError" and about_a_stack


def describe(cfn: CloudFormationClient, stack: str) -> Stack | None:
    """Return a stack by name or ID, or None when there is none.

    A deleted stack is only found by its ID, with the status DELETE_COMPLETE.
    """
    try:
        answer = cfn.describe_stacks(StackName=stack)
    except ClientError as exc:
        if is_missing(exc):
            return None
        raise
    return _read_stack(answer["Stacks"][0]) if answer["Stacks"] else None


def require(cfn: CloudFormationClient, job: Job) -> Stack:
    """Return a job's stack, or raise `StateForbids` when there is none."""
    stack = describe(cfn, job.stack_name)
    if stack is None:
        raise StateForbids(
            f"There is no stack {job.stack_name} in {job.region}.",
            next_step=f"inv deploy {job.flags}",
        )
    return stack


def require_created(cfn: CloudFormationClient, job: Job) -> Stack:
    """Return a job's stack, or raise `StateForbids` when there is none, or only its name yet.

    A stack in REVIEW_IN_PROGRESS has a change set that nobody executed, and "no template or
    resources".
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
    """
    stack = require(cfn, job)
    if stack.status is Status.REVIEW_IN_PROGRESS:
        raise StateForbids(
            f"Stack {stack.name} in {job.region} is {stack.status}: its change set was never "
            "executed, so nothing is deployed.",
            next_step=f"inv deploy {job.flags}",
        )
    return stack


def list_live(cfn: CloudFormationClient) -> Iterator[Stack]:
    """Yield every root and nested stack of the region that is not deleted."""
    for page in cfn.get_paginator("describe_stacks").paginate():
        for stack in page["Stacks"]:
            yield _read_stack(stack)


def _read_stack(answer: StackTypeDef) -> Stack:
    """Turn one entry of DescribeStacks into a `Stack`."""
    return Stack(
        name=answer["StackName"],
        id=answer.get("StackId", ""),
        status=Status(answer["StackStatus"]),
        reason=answer.get("StackStatusReason", ""),
        outputs={
            o.get("OutputKey", ""): o.get("OutputValue", "") for o in answer.get("Outputs", [])
        },
        parameters={
            p.get("ParameterKey", ""): p.get("ParameterValue", "")
            for p in answer.get("Parameters", [])
        },
        tags={tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])},
        created=answer["CreationTime"],
        updated=answer.get("LastUpdatedTime"),
        protected=answer.get("EnableTerminationProtection", False),
        parent_id=answer.get("ParentId", ""),
        drift=str(answer.get("DriftInformation", {}).get("StackDriftStatus", "")),
        express=answer.get("DeploymentConfig", {}).get("Mode") == _EXPRESS["Mode"],
        role_arn=answer.get("RoleARN", ""),
        root_id=answer.get("RootId", ""),
    )


def name_of(stack_id: str) -> str:
    """Return a stack's name from its ARN; a nested stack's physical ID may be the name itself."""
    return stack_id.split("/")[1] if stack_id.startswith("arn:") else stack_id


@dataclass(frozen=True)
class Request:
    """What a stack is to become, as CreateChangeSet takes it.

    `token` makes a repeated request harmless, and every event of the operation carries it.
    `previous` names the parameters that keep their deployed value. `express` asks for
    express mode, `disable_rollback` that a failure is left as it is.
    `role_arn` is the service role that CloudFormation takes, then and for every
    later operation; "" leaves it with the role that the stack has, or the caller's own rights.
    `kept` says what its change set is kept for and until when, as `lib.stacks.changesets` writes
    and reads it.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-servicerole.html
    """

    stack: str
    template_url: str
    parameters: Mapping[str, str]
    capabilities: Sequence[str]
    tags: Mapping[str, str]
    token: str
    express: bool = False
    previous: frozenset[str] = frozenset()
    disable_rollback: bool = False
    role_arn: str = ""
    kept: str = ""

    def as_arguments(self) -> dict[str, Any]:
        """Return the arguments that say what the stack is to become.

        In express mode rollback is off unless the configuration says otherwise: "rollback is
        disabled by default" (the guide), against the API reference's "Default: false". Said
        explicitly it is right by both.
        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-express-mode.html
        """
        config = {**_EXPRESS, "DisableRollback": self.disable_rollback}
        given = {key: value for key, value in self.parameters.items() if key not in self.previous}
        kept = [{"ParameterKey": key, "UsePreviousValue": True} for key in sorted(self.previous)]
        return {
            "StackName": self.stack,
            "TemplateURL": self.template_url,
            "Parameters": [*as_parameters(given), *kept],
            "Capabilities": list(self.capabilities),
            "Tags": as_tags(self.tags),
            **({"DeploymentConfig": config} if self.express else {}),
            **as_role(self.role_arn),
        }


def update(cfn: CloudFormationClient, stack_id: str, request: Request) -> None:
    """Start to update a stack without a change set, which shows nothing beforehand.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_UpdateStack.html
    """
    plain: dict[str, Any] = {} if request.express else {"DisableRollback": request.disable_rollback}
    arguments = request.as_arguments() | plain
    del arguments["StackName"]
    _start_once(cfn, cfn.update_stack, stack_id, request.token, **arguments)


def has_begun(cfn: CloudFormationClient, stack_id: str, token: str) -> bool:
    """Tell whether a stack has begun what a request with this token asked for."""
    try:
        return any(event.token == token for event in read_events(cfn, stack_id))
    except ClientError as exc:
        if is_missing(exc):
            return False
        raise


def as_role(arn: str) -> dict[str, str]:
    """Return the argument that hands CloudFormation a service role, none for ""."""
    return {"RoleARN": arn} if arn else {}


def delete(
    cfn: CloudFormationClient,
    stack_id: str,
    *,
    token: str,
    retain: Sequence[str] = (),
    force: bool = False,
    role_arn: str = "",
) -> None:
    """Start to delete a stack; resources with a Retain policy stay.

    `retain` names resources of this very stack, not of one nested in it, that stay although
    no policy says so; `force` lets go of whatever cannot be deleted. AWS takes either only for
    a stack in DELETE_FAILED.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html
    """
    more: dict[str, Any] = as_role(role_arn)
    if retain:
        more["RetainResources"] = list(retain)
    if force:
        more["DeletionMode"] = "FORCE_DELETE_STACK"
    cfn.delete_stack(StackName=stack_id, ClientRequestToken=token, **more)


def protect(cfn: CloudFormationClient, stack_id: str, *, on: bool) -> None:
    """Switch a root stack's termination protection on or off.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_UpdateTerminationProtection.html
    """
    cfn.update_termination_protection(StackName=stack_id, EnableTerminationProtection=on)


def cancel_update(cfn: CloudFormationClient, stack_id: str, *, token: str) -> None:
    """Stop a running update; CloudFormation then rolls it back.

    It takes no role: the rollback goes on with the one that the update has.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CancelUpdateStack.html
    """
    _start_once(cfn, cfn.cancel_update_stack, stack_id, token)


def roll_back(
    cfn: CloudFormationClient,
    stack_id: str,
    *,
    token: str,
    remove_new: bool = False,
    express: bool = False,
    role_arn: str = "",
) -> None:
    """Return a stack whose rollback was disabled to its last stable state.

    `remove_new` also deletes what the failed operation created under a Retain policy.
    `express` says that the failed operation was one in express mode.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackStack.html
    """
    more: dict[str, Any] = as_role(role_arn)
    if remove_new:
        more["RetainExceptOnCreate"] = True
    if express:
        more["DeploymentConfig"] = dict(_EXPRESS)
    _start_once(cfn, cfn.rollback_stack, stack_id, token, **more)


def continue_rollback(
    cfn: CloudFormationClient,
    stack_id: str,
    *,
    skip: Sequence[str],
    token: str,
    role_arn: str = "",
) -> None:
    """Go on with a rollback that failed, on the root stack only.

    `skip` names resources to give up on. Inside a nested stack AWS wants the stack's *name*
    before the dot, `plot-palette-…-DatabaseStack-1ABC.JobsTable`: "Don't confuse a child
    stack's name with its corresponding logical ID defined in the parent stack."
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ContinueUpdateRollback.html
    """
    more = {"ResourcesToSkip": list(skip), **as_role(role_arn)}
    _start_once(cfn, cfn.continue_update_rollback, stack_id, token, **more)


def _start_once(
    cfn: CloudFormationClient,
    start: Callable[..., object],
    stack_id: str,
    token: str,
    **more: Any,
) -> None:
    """Ask for an operation; a refusal because this very request has begun is none.

    A request that is repeated after a lost answer meets the stack in the state that the
    first one put it in.
    """
    try:
        start(StackName=stack_id, ClientRequestToken=token, **more)
    except ClientError as exc:
        begun = error_code(exc) == "ValidationError" and has_begun(cfn, stack_id, token)
        if not begun and error_code(exc) != REPEATED_CODE:
            raise


def as_parameters(values: Mapping[str, str]) -> list[ParameterTypeDef]:
    """Return parameters in the form that CloudFormation's calls take."""
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in sorted(values.items())]


def as_tags(tags: Mapping[str, str]) -> list[TagTypeDef]:
    """Return tags in the form that CloudFormation's calls take."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def walk(cfn: CloudFormationClient, stack_id: str) -> tuple[StackResource, ...]:
    """List every resource of a stack and of all stacks nested in it, parents first.

    Children are found through the resources of their parents: a stack's ParentId is only
    known from the child. Deleted resources are left out.
    """
    found: list[StackResource] = []
    waiting = [(stack_id, "")]
    while waiting:
        owner, prefix = waiting.pop(0)
        for resource in list_resources(cfn, owner, prefix):
            found.append(resource)
            if resource.type == STACK_TYPE and resource.physical_id:
                waiting.append((resource.physical_id, f"{resource.path}/"))
    return tuple(found)


def list_resources(
    cfn: CloudFormationClient, stack_id: str, prefix: str = ""
) -> Iterator[StackResource]:
    """Yield the resources of one stack, nothing where it is gone; `prefix` is before each path.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStackResources.html
    """
    try:
        for page in cfn.get_paginator("list_stack_resources").paginate(StackName=stack_id):
            for entry in page["StackResourceSummaries"]:
                if entry["ResourceStatus"] == "DELETE_COMPLETE":
                    continue
                yield StackResource(
                    path=f"{prefix}{entry['LogicalResourceId']}",
                    logical_id=entry["LogicalResourceId"],
                    physical_id=entry.get("PhysicalResourceId", ""),
                    type=entry["ResourceType"],
                    status=entry["ResourceStatus"],
                    reason=entry.get("ResourceStatusReason", ""),
                    stack_id=stack_id,
                    drift=str(
                        entry.get("DriftInformation", {}).get("StackResourceDriftStatus", "")
                    ),
                )
    except ClientError as exc:
        # A child can go between the listing of its parent and its own.
        if not is_missing(exc):
            raise


def read_events(
    cfn: CloudFormationClient,
    stack_id: str,
    *,
    prefix: str = "",
    seen: Iterable[str] = (),
    since: datetime | None = None,
    until: Callable[[Event], bool] = lambda _event: False,
) -> list[Event]:
    """Return a stack's events that are new, oldest first.

    `prefix` is the stack's own path with a trailing slash, "" for the root. `seen` holds
    the IDs already known, `since` a time before which nothing matters and `until` knows the
    event before which nothing does. AWS lists the newest first, so reading stops there; a page
    that has been fetched is read to its end, because an event can turn up behind a later one.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackEvents.html
    """
    known = frozenset(seen)
    fresh: dict[str, Event] = {}
    pages = cfn.get_paginator("describe_stack_events").paginate(
        StackName=stack_id, PaginationConfig={"MaxItems": 100 * _EVENT_PAGES_AT_MOST}
    )
    for page in pages:
        entries = page["StackEvents"]
        new = [entry for entry in entries if entry["EventId"] not in known]
        read = [
            _read_event(entry, prefix)
            for entry in new
            if since is None or entry["Timestamp"] >= since
        ]
        fresh.update((event.id, event) for event in read)
        if len(read) < len(entries) or any(map(until, read)):
            break
    return list(fresh.values())[::-1]


def _read_event(entry: Mapping[str, Any], prefix: str) -> Event:
    """Turn one entry of DescribeStackEvents into an `Event`."""
    logical_id = entry.get("LogicalResourceId", "")
    physical_id = entry.get("PhysicalResourceId", "")
    own = physical_id == entry["StackId"]
    return Event(
        id=entry["EventId"],
        stack_id=entry["StackId"],
        time=entry["Timestamp"],
        path=prefix.rstrip("/") if own else f"{prefix}{logical_id}",
        logical_id=logical_id,
        physical_id=physical_id,
        type=entry.get("ResourceType", ""),
        status=str(entry.get("ResourceStatus", "")),
        reason=entry.get("ResourceStatusReason", ""),
        token=entry.get("ClientRequestToken", ""),
        hook_type=entry.get("HookType", ""),
        hook_status=str(entry.get("HookStatus", "")),
        hook_mode=str(entry.get("HookFailureMode", "")),
        hook_reason=entry.get("HookStatusReason", ""),
        hook_id=entry.get("HookInvocationId", ""),
        properties=entry.get("ResourceProperties", ""),
    )


def read_template(cfn: CloudFormationClient, stack_id: str) -> str:
    """Return the template text that a stack was deployed with, "" where there is none yet.

    For a stack in REVIEW_IN_PROGRESS the answer has no TemplateBody, which the API reference
    does not say: `KeyError: 'TemplateBody'` of a tool that expected one.
    https://github.com/cdklabs/awscdk-v1-stack-finder/issues/273

    Every character beyond ASCII comes back as `?`; see `mangle`.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_GetTemplate.html
    """
    answer = cfn.get_template(StackName=stack_id, TemplateStage="Original")
    body: object = answer.get("TemplateBody", "")
    # botocore decodes a JSON template; a YAML one comes as the text it was.
    return body if isinstance(body, str) else json.dumps(body, indent=2)


def mangle(text: str) -> str:
    """Return a template as GetTemplate gives it back, to compare with what it gave.

    "The non-ASCII characters in the template are converted to question marks", one for each
    character; what was deployed is whole all the same.
    https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1220
    """
    return "".join(char if char.isascii() else "?" for char in text)
