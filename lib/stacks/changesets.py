"""Create, read, execute and discard change sets, nested ones included.

A change set of a root stack with nested stacks is a tree: each nested stack's row carries
the `ChangeSetId` of a change set of its own. Only the root may be executed or deleted.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/change-sets-for-nested-stacks.html
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from lib import polling
from lib.errors import Refused, StateForbids
from lib.refusals import error_code, error_message
from lib.stacks import stacks
from lib.stacks.previews import GONE_CODES, stale
from lib.stacks.statuses import Status

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ChangeSetSummaryTypeDef

    from lib.polling import Clock
    from lib.stacks.stacks import Request, Stack

Answer = TypeVar("Answer")


#: Seconds for which a change set is tried to be deleted while AWS or the network is at fault.
DISCARD_PATIENCE = 30.0

#: Seconds that a declined create waits for its change set to go, so that the empty stack can.
LONGEST_DELETION = 60.0

_TAKEN_CODES = frozenset({"AlreadyExistsException", stacks.REPEATED_CODE})
_STALE_CODES = GONE_CODES | {"InvalidChangeSetStatus", "InvalidChangeSetStatusException"}


@dataclass(frozen=True)
class Proposal:
    """A change set that was asked for, and its stack, by their ARNs; `kind` as it was asked.

    A change set of the kind CREATE has made an empty stack for itself (REVIEW_IN_PROGRESS).
    """

    change_set_id: str
    stack_id: str
    kind: str


def name_for(now: datetime, release: str, token: str) -> str:
    """Return a change set's name, which tells people when it was made and of which release.

    It ends with a part of the request's token: two operators, or one who is fast, may well
    make change sets of one release in the same second.
    """
    return f"update-{now:%Y%m%d-%H%M%S}-{release}-{token[-6:]}"


def create(
    cfn: CloudFormationClient,
    request: Request,
    *,
    name: str,
    kind: str,
    revert_drift: bool = False,
    nested: bool = True,
    import_existing: bool = False,
) -> Proposal:
    """Ask for a change set of a stack and everything nested in it, which AWS then computes.

    `kind` is CREATE or UPDATE. Without `nested` only the outer stack is looked into. The
    request's token stands in the description, by which `find_own` knows the change set.
    `revert_drift` asks for a drift-aware change set. With `import_existing` a new resource whose
    literal name exists already is taken over instead of created: "For nested stacks, create the
    change set from the root stack" (the user guide). Raises `Refused` when somebody else's has
    the name, and `StateForbids` when somebody was quicker than this.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
    """
    asked: dict[str, Any] = {
        **request.as_arguments(),
        "ChangeSetName": name,
        "ChangeSetType": kind,
        "Description": _describe(request),
        "IncludeNestedStacks": nested,
        **({"DeploymentMode": "REVERT_DRIFT"} if revert_drift else {}),
        **({"ImportExistingResources": True} if import_existing else {}),
    }
    try:
        answer = cfn.create_change_set(ClientToken=request.token, **asked)
    except ClientError as exc:
        if done := _tell_rival(exc):
            raise _forbid_second(request, done, cfn.meta.region_name) from None
        if error_code(exc) not in _TAKEN_CODES:
            raise
    else:
        return Proposal(answer["Id"], answer["StackId"], kind)
    return _take_own(cfn, request, name, kind)


def _forbid_second(request: Request, done: str, region: str) -> StateForbids:
    return StateForbids(
        f"Somebody else has {done} stack {request.stack} in {region}.",
        next_step="run the same command again, to change it as it is now.",
    )


def _take_own(cfn: CloudFormationClient, request: Request, name: str, kind: str) -> Proposal:
    """Return the change set that has a request's name already, or raise `Refused`.

    A retry after a connection that broke meets the change set that the first try made.
    """
    ours = find_own(cfn, request, name=name, kind=kind)
    if ours:
        return ours
    raise Refused(
        f"Somebody else has just made the change set {name} of stack {request.stack}.",
        next_step="run the same command again in a moment.",
    )


def _tell_rival(exc: ClientError) -> str:
    """Return what somebody else has done since the stack was looked at, "" where it is not that.

    The code is only ValidationError. "Stack [arn:…] already exists and cannot be created again with
    the changeSet [name]." (recorded); a shell in REVIEW_IN_PROGRESS takes any number of such change
    sets. "Stack:arn:… is in … state and can not be updated." (quoted, of ROLLBACK_COMPLETE)
    https://github.com/compose-x/ecs_composex/issues/785
    https://github.com/rails-lambda/lamby/issues/132
    """
    said = error_message(exc)
    if "already exists and cannot be created again" in said:
        return "just created"
    return "begun to change" if "_IN_PROGRESS state and can not be updated" in said else ""


def find_own(
    cfn: CloudFormationClient, request: Request, *, name: str, kind: str
) -> Proposal | None:
    """Return the change set that a request has made, if it has."""
    try:
        found = cfn.describe_change_set(StackName=request.stack, ChangeSetName=name)
    except ClientError as exc:
        if error_code(exc) in GONE_CODES or stacks.is_missing(exc):
            return None
        raise
    if found.get("Description") != _describe(request):
        return None
    return Proposal(found.get("ChangeSetId", ""), found.get("StackId", ""), kind)


def _describe(request: Request) -> str:
    """Return the description of a change set; AWS does not tell by which token it was made."""
    return f"Request {request.token}" + (f", {request.kept}" if request.kept else "")


class Purpose(enum.Enum):
    """What a change set is made for."""

    PLAN = "plan"
    PREVIEW = "preview"
    DEPLOYMENT = "deployment"


#: For how long a change set is of use to whoever made it: a preview's until AWS has made it and it
#: was read, a deployment's until somebody has answered its question. Whoever takes longer finds it
#: gone, and another one is made. What stays longer was left by a process that was killed.
LIFETIMES = {Purpose.PREVIEW: timedelta(hours=2), Purpose.DEPLOYMENT: timedelta(hours=24)}


def say_kept(purpose: Purpose, until: datetime) -> str:
    """Return what a change set is kept for and until when, as its description says it."""
    return f"a {purpose.value} until {until.isoformat(timespec='seconds')}"


#: A change set of an earlier edition does not say for what it was made, unless for a plan.
_OWN = re.compile(r"Request plot-palette-\S+?(?:, a (plan|preview|deployment) until (\S+))?")
_OWN_NAME = re.compile(r"update-\d{8}-\d{6}-([0-9a-f]{12})-\w+")


@dataclass(frozen=True)
class OwnChangeSet:
    """A change set that this tool has made: of which release, what for, and until when."""

    proposal: Proposal
    release: str
    purpose: Purpose
    expires: datetime


def list_own(cfn: CloudFormationClient, stack: Stack) -> tuple[OwnChangeSet, ...]:
    """Return the change sets of a stack that this tool has made and nobody executed.

    Nobody else's are among them, and none that AWS executes or that does not say how old it is.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListChangeSets.html
    """
    kind = "CREATE" if stack.status is Status.REVIEW_IN_PROGRESS else "UPDATE"
    pages = cfn.get_paginator("list_change_sets").paginate(StackName=stack.id)
    try:
        listed = [one for page in pages for one in page.get("Summaries", [])]
    except ClientError as exc:
        if stacks.is_missing(exc):
            return ()  # The shell of a creation goes with its last change set.
        raise
    found = []
    for summary in listed:
        name = _OWN_NAME.fullmatch(summary.get("ChangeSetName", ""))
        lasts = _read_kept(summary)
        if name and lasts and not summary.get("ExecutionStatus", "").startswith("EXECUTE_"):
            proposal = Proposal(summary.get("ChangeSetId", ""), stack.id, kind)
            found.append(OwnChangeSet(proposal, name[1], *lasts))
    return tuple(found)


def _read_kept(summary: ChangeSetSummaryTypeDef) -> tuple[Purpose, datetime] | None:
    """Return what a change set is kept for and until when, None where it is not ours."""
    said = _OWN.fullmatch(summary.get("Description", ""))
    if said is None:
        return None
    if said[1]:
        return Purpose(said[1]), datetime.fromisoformat(said[2])
    made = summary.get("CreationTime")
    return (Purpose.DEPLOYMENT, made + LIFETIMES[Purpose.DEPLOYMENT]) if made else None


def discard_expired(
    cfn: CloudFormationClient, stack: Stack, clock: Clock
) -> tuple[OwnChangeSet, ...]:
    """Delete what this tool's expired plans, and its killed processes, left; return the rest."""
    left = []
    for one in list_own(cfn, stack):
        if one.expires > clock.now():
            left.append(one)
        else:
            discard(cfn, one.proposal, clock)
    return tuple(left)


def execute(
    cfn: CloudFormationClient,
    proposal: Proposal,
    *,
    token: str,
    disable_rollback: bool = False,
    express: bool = False,
) -> None:
    """Start to carry out a change set, by the ARN under which it was shown.

    A repeated call finds the change set executed already; the token among the stack's events
    tells that it was this very request. `disable_rollback` is said either way, since AWS's
    documents disagree on the default; in express mode the change set has said it.

    Raises `ChangeSetStale` when the stack was changed or the change set removed in between.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ExecuteChangeSet.html
    """
    extra: dict[str, Any] = {} if express else {"DisableRollback": disable_rollback}
    try:
        cfn.execute_change_set(
            ChangeSetName=proposal.change_set_id, ClientRequestToken=token, **extra
        )
    except ClientError as exc:
        if error_code(exc) in _STALE_CODES or stacks.is_missing(exc):
            if stacks.has_begun(cfn, proposal.stack_id, token):
                return
            raise stale(proposal.change_set_id, error_message(exc)) from None
        if error_code(exc) != stacks.REPEATED_CODE:
            raise


def discard(cfn: CloudFormationClient, proposal: Proposal, clock: Clock) -> None:
    """Delete a change set that is not going to be executed, and the empty stack of a create.

    Deleting the root deletes the nested ones, in AWS's own time. The stack goes only when this
    create made it and no other change set waits in it. What is gone already is fine.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteChangeSet.html
    """
    try:
        _insist(lambda: cfn.delete_change_set(ChangeSetName=proposal.change_set_id), clock)
    except ClientError as exc:
        if error_code(exc) not in GONE_CODES and not stacks.is_missing(exc):
            raise
    if proposal.kind == "CREATE":
        _discard_shell(cfn, proposal, clock)


def _insist(call: Callable[[], Answer], clock: Clock) -> Answer:
    """Repeat a call that tidies up, for as long as somebody may be kept waiting for it."""
    return polling.ask_patiently(call, clock, DISCARD_PATIENCE)


def _discard_shell(cfn: CloudFormationClient, proposal: Proposal, clock: Clock) -> None:
    """Delete the stack that a create was going to fill, unless somebody else needs it."""
    stack = _insist(lambda: stacks.describe(cfn, proposal.stack_id), clock)
    if stack is None or stack.status != "REVIEW_IN_PROGRESS":
        return
    if _wait_until_alone(cfn, proposal, clock):
        _insist(lambda: cfn.delete_stack(StackName=proposal.stack_id), clock)


def _wait_until_alone(cfn: CloudFormationClient, proposal: Proposal, clock: Clock) -> bool:
    """Wait until a deleted change set is gone; tell whether the stack has no other.

    Nested stacks made for the change set go with it, but not at once; deleting the stack
    above them before that would leave them behind.
    """
    listing = cfn.get_paginator("list_change_sets")

    def look(_waited: float) -> bool | None:
        pages = _insist(lambda: list(listing.paginate(StackName=proposal.stack_id)), clock)
        left = {
            summary.get("ChangeSetId"): summary.get("Status")
            for page in pages
            for summary in page.get("Summaries", [])
        }
        own = left.pop(proposal.change_set_id, None)
        if left:
            return False
        return True if own in (None, "DELETE_FAILED") else None

    # One that is not gone by then holds nobody up: the stack is deleted all the same.
    return polling.until(look, clock, longest=LONGEST_DELETION) is not False
