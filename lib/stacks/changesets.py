"""Create, read, execute and discard change sets, nested ones included.

A change set of a root stack with nested stacks is a tree: each nested stack's row carries
the `ChangeSetId` of a change set of its own. Only the root may be executed or deleted.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/change-sets-for-nested-stacks.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from lib import polling
from lib.errors import Refused
from lib.refusals import error_code, error_message
from lib.stacks import stacks
from lib.stacks.previews import GONE_CODES, stale

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_cloudformation.client import CloudFormationClient

    from lib.polling import Clock

Answer = TypeVar("Answer")


#: Seconds for which a change set is tried to be deleted while AWS or the network is at fault.
DISCARD_PATIENCE = 30.0

#: Seconds that a declined create waits for its change set to go, so that the empty stack can.
LONGEST_DELETION = 60.0

_TAKEN_CODES = frozenset({"AlreadyExistsException", stacks.REPEATED_CODE})
_STALE_CODES = GONE_CODES | {"InvalidChangeSetStatus", "InvalidChangeSetStatusException"}


def name_for(now: datetime, release: str, token: str) -> str:
    """Return a change set's name, which tells people when it was made and of which release.

    It ends with a part of the request's token: two operators, or one who is fast, may well
    make change sets of one release in the same second.
    """
    return f"update-{now:%Y%m%d-%H%M%S}-{release}-{token[-6:]}"


def create(
    cfn: CloudFormationClient,
    stack: str,
    *,
    name: str,
    template_url: str,
    parameters: Mapping[str, str],
    capabilities: Sequence[str],
    tags: Mapping[str, str],
    kind: str,
    token: str,
    revert_drift: bool = False,
    express: bool = False,
    previous: frozenset[str] = frozenset(),
) -> tuple[str, str]:
    """Ask for a change set of a stack and everything nested in it.

    `kind` is CREATE or UPDATE. `previous` names the parameters that keep their deployed
    value. `token` makes a repeated call harmless, and stands in the description by which
    `find_own` knows the change set. `revert_drift` asks for a drift-aware change set,
    `express` for express mode. Returns the ARNs of the change set, which AWS is still
    computing, and of the stack. Raises `Refused` when somebody else's has the name.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
    """
    extra: dict[str, Any] = {}
    if revert_drift:
        extra["DeploymentMode"] = "REVERT_DRIFT"
    if express:
        extra["DeploymentConfig"] = {"Mode": "EXPRESS"}
    given = {key: value for key, value in parameters.items() if key not in previous}
    kept: list[Any] = [{"ParameterKey": key, "UsePreviousValue": True} for key in sorted(previous)]
    ask = functools.partial(
        cfn.create_change_set,
        StackName=stack,
        ChangeSetName=name,
        ChangeSetType=kind,  # type: ignore[arg-type]  # literals at run time only
        TemplateURL=template_url,
        Parameters=[*stacks.as_parameters(given), *kept],
        Capabilities=list(capabilities),  # type: ignore[arg-type]  # literals at run time only
        Tags=stacks.as_tags(tags),
        ClientToken=token,
        Description=_describe_request(token),
        IncludeNestedStacks=True,
        **extra,
    )
    try:
        answer = ask()
    except ClientError as exc:
        if error_code(exc) not in _TAKEN_CODES:
            raise
    else:
        return answer["Id"], answer["StackId"]
    # A retry after a connection that broke meets the change set that the first try made.
    ours = find_own(cfn, stack, name=name, token=token)
    if ours:
        return ours
    raise Refused(
        f"Somebody else has just made the change set {name} of stack {stack}.",
        next_step="run the same command again in a moment.",
    )


def find_own(
    cfn: CloudFormationClient, stack: str, *, name: str, token: str
) -> tuple[str, str] | None:
    """Return the ARNs of the change set that a request made, and of its stack, if it did."""
    try:
        found = cfn.describe_change_set(StackName=stack, ChangeSetName=name)
    except ClientError as exc:
        if error_code(exc) in GONE_CODES or stacks.is_missing(exc):
            return None
        raise
    if found.get("Description") != _describe_request(token):
        return None
    return found.get("ChangeSetId", ""), found.get("StackId", "")


def _describe_request(token: str) -> str:
    """Return the description of a change set; AWS does not tell by which token it was made."""
    return f"Request {token}"


def execute(
    cfn: CloudFormationClient,
    change_set_id: str,
    *,
    stack_id: str,
    token: str,
    disable_rollback: bool = False,
) -> None:
    """Start to carry out a change set, by the ARN under which it was shown.

    A repeated call finds the change set executed already; the token among the stack's events
    tells that it was this very request.

    Raises `ChangeSetStale` when the stack was changed or the change set removed in between.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ExecuteChangeSet.html
    """
    extra: dict[str, Any] = {"DisableRollback": True} if disable_rollback else {}
    try:
        cfn.execute_change_set(ChangeSetName=change_set_id, ClientRequestToken=token, **extra)
    except ClientError as exc:
        if error_code(exc) in _STALE_CODES or stacks.is_missing(exc):
            if stacks.has_begun(cfn, stack_id, token):
                return
            raise stale(change_set_id, error_message(exc)) from None
        if error_code(exc) != stacks.REPEATED_CODE:
            raise


def discard(
    cfn: CloudFormationClient, change_set_id: str, *, stack_id: str, kind: str, clock: Clock
) -> None:
    """Delete a change set that is not going to be executed, and the empty stack of a create.

    `change_set_id` and `stack_id` are ARNs, `kind` is CREATE or UPDATE. Deleting the root
    deletes the nested ones, in AWS's own time. The stack goes only when this create made it
    (REVIEW_IN_PROGRESS) and no other change set waits in it. What is gone already is fine.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteChangeSet.html
    """
    try:
        _insist(lambda: cfn.delete_change_set(ChangeSetName=change_set_id), clock)
    except ClientError as exc:
        if error_code(exc) not in GONE_CODES and not stacks.is_missing(exc):
            raise
    if kind == "CREATE":
        _discard_shell(cfn, change_set_id, stack_id, clock)


def _insist(call: Callable[[], Answer], clock: Clock) -> Answer:
    """Repeat a call that tidies up, for as long as somebody may be kept waiting for it."""
    return polling.ask_patiently(call, clock, DISCARD_PATIENCE)


def _discard_shell(
    cfn: CloudFormationClient, change_set_id: str, stack_id: str, clock: Clock
) -> None:
    """Delete the stack that a create was going to fill, unless somebody else needs it."""
    stack = _insist(lambda: stacks.describe(cfn, stack_id), clock)
    if stack is None or stack.status != "REVIEW_IN_PROGRESS":
        return
    if _wait_until_alone(cfn, change_set_id, stack_id, clock):
        _insist(lambda: cfn.delete_stack(StackName=stack_id), clock)


def _wait_until_alone(
    cfn: CloudFormationClient, change_set_id: str, stack_id: str, clock: Clock
) -> bool:
    """Wait until a deleted change set is gone; tell whether the stack has no other.

    Nested stacks made for the change set go with it, but not at once; deleting the stack
    above them before that would leave them behind.
    """
    started = clock.monotonic()
    listing = cfn.get_paginator("list_change_sets")
    while True:
        others = False
        pending = False
        for page in _insist(lambda: list(listing.paginate(StackName=stack_id)), clock):
            for summary in page.get("Summaries", []):
                own = summary.get("ChangeSetId") == change_set_id
                others = others or not own
                pending = pending or (own and summary.get("Status") != "DELETE_FAILED")
        waited = clock.monotonic() - started
        if others or not pending or waited > LONGEST_DELETION:
            return not others
        clock.sleep(polling.pause_after(waited))
