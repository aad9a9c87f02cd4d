"""Deploy nested stacks with the engine of root stacks, all of it undone when the root fails.

Upstream (ministack 1.5.33) has a second, smaller engine for AWS::CloudFormation::Stack. It
loses the attributes of unchanged resources on update, ignores DeletionPolicy when a parent is
deleted, leaves a half-created child behind and deletes replaced resources before the parent
has succeeded. AWS runs the same workflow for every stack of a tree, rolls the whole tree back
together, and deletes replaced or removed resources only after the root has been updated
(CloudFormation User Guide, "Understand stack creation events" and "Embed stacks within other
stacks using nested stacks": UPDATE_COMPLETE_CLEANUP_IN_PROGRESS).

A tree is worked through one nested stack after the other; AWS creates independent ones at
the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import secrets
import string
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import ministack.services.cloudformation as cf
from ministack.core.concurrency import run_reentrant
from ministack.core.responses import get_account_id, get_region, new_uuid, now_iso
from ministack.services.cloudformation import (
    changesets,
    engine,
    handlers,
    helpers,
    provisioners,
    stacks,
)

TYPE = "AWS::CloudFormation::Stack"
MAX_NAME = 128

Json = dict[str, Any]
Resolved = tuple[str, Json]
Response = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class _Options:
    """What the caller of the root operation asked for, which every nested stack obeys."""

    disable_rollback: bool = False
    retain_except_on_create: bool = False


_DEFAULTS = _Options()
_options: contextvars.ContextVar[_Options] = contextvars.ContextVar("options", default=_DEFAULTS)
_nested: contextvars.ContextVar[bool] = contextvars.ContextVar("nested", default=False)
_undoing: contextvars.ContextVar[bool] = contextvars.ContextVar("undoing", default=False)
# While a nested stack is updated, deletions wait here until the root has succeeded.
_cleanup: contextvars.ContextVar[list[Callable[[], None]] | None] = contextvars.ContextVar(
    "cleanup", default=None
)
_cleanups: dict[str, list[Callable[[], None]]] = {}
# What says, in AWS's words, why a nested stack may not be deleted; empty when it may.
_objections: list[Callable[[Json], str]] = []


@contextlib.contextmanager
def _setting(variable: contextvars.ContextVar[Any], value: object) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def without_rollback() -> bool:
    """Return whether the running operation leaves a failure where it is, at every level."""
    return _options.get().disable_rollback and not _undoing.get()


def undoing() -> bool:
    """Return whether the root of the running operation is rolling back."""
    return _undoing.get()


def ask_before_deleting(objection: Callable[[Json], str]) -> None:
    """Let `objection` fail the deletion of a nested stack by returning why."""
    _objections.append(objection)


def child_of(parent: Json, logical_id: str) -> Json | None:
    """Return the nested stack made for `logical_id` of `parent` that is not deleted, if any."""
    return next(
        (
            stack
            for stack in cf._stacks.values()
            if stack.get("ParentId") == parent["StackId"]
            and stack.get("_logical_id") == logical_id
            and stack["StackStatus"] != "DELETE_COMPLETE"
        ),
        None,
    )


def by_id(physical_id: str) -> Json | None:
    """Return the stack with this ARN or name in the request's account and region, if any."""
    stack: Json | None = handlers._resolve_stack(physical_id)
    return stack


def suffixed(name: str) -> str:
    """Return `name` with a random end, cut to the 128 characters that a stack's name may have."""
    letters = string.ascii_uppercase + string.digits
    return name[: MAX_NAME - 13] + "-" + "".join(secrets.choice(letters) for _ in range(12))


def reserve(parent: Json, logical_id: str) -> Json:
    """Return a new nested stack of `parent` in REVIEW_IN_PROGRESS, recorded and empty."""
    name = suffixed(f"{parent['StackName']}-{logical_id}")
    region, account = get_region(), get_account_id()
    stack: Json = {
        "StackName": name,
        "StackId": f"arn:aws:cloudformation:{region}:{account}:stack/{name}/{new_uuid()}",
        "StackStatus": "REVIEW_IN_PROGRESS",
        "StackStatusReason": "",
        "CreationTime": now_iso(),
        "LastUpdatedTime": now_iso(),
        "Description": "",
        "Parameters": [],
        "Tags": [],
        "Outputs": [],
        "Capabilities": list(parent.get("Capabilities", [])),
        "DisableRollback": False,
        "ParentId": parent["StackId"],
        "RootId": parent.get("RootId") or parent["StackId"],
        "_region": region,
        "_logical_id": logical_id,
        "_parent_stack_name": parent["StackName"],
        "_resources": {},
        "_template": {},
        "_template_body": "",
        "_resolved_params": {},
        "_conditions": {},
    }
    cf._stacks[name] = stack
    cf._stack_events[stack["StackId"]] = []
    return stack


def read_template(url: str) -> tuple[str, Json]:
    """Return body and parsed content of the template at `url`.

    Raise ValueError, worded as CloudFormation's own failure, when it cannot be read.
    """
    if not url:
        raise ValueError("Property TemplateURL cannot be empty.")
    body, problem = helpers._resolve_template({"TemplateURL": [url]})
    if problem is not None or not body:
        raise ValueError(f"S3 error: The specified key does not exist. ({url})")
    return body, engine._parse_template(body)


def given_parameters(props: Json) -> list[Json]:
    """Return the Parameters of a nested stack's properties in the form of an API request."""
    given = props.get("Parameters") or {}
    if any(isinstance(value, list | dict) for value in given.values()):
        raise ValueError(
            "Value of property Parameters must be an object with String (or simple type) properties"
        )
    texts = {key: value if isinstance(value, str) else _text(value) for key, value in given.items()}
    return [{"Key": key, "Value": value} for key, value in texts.items()]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run the engine for one nested stack; the caller is on a worker thread of its own."""
    with _setting(_nested, True):
        asyncio.run(work)


def _event(stack: Json, status: str, reason: str = "") -> None:
    name, stack_id = stack["StackName"], stack["StackId"]
    stacks._add_event(stack_id, name, name, TYPE, status, reason, stack_id)


def _begin(stack: Json, status: str, props: Json, body: str, template: Json) -> Json:
    """Put what is to be deployed on the stack's record; return the resolved parameters."""
    provisioners._check_nested_stack_capabilities(stack["_parent_stack_name"], template)
    values: Json = engine._resolve_parameters(template, given_parameters(props))
    tags = provisioners._tag_map(props.get("Tags"))
    stack.update(
        StackStatus=status,
        StackStatusReason="",
        LastUpdatedTime=now_iso(),
        Description=template.get("Description", ""),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value["Value"], "NoEcho": value["NoEcho"]}
            for key, value in values.items()
        ],
        Tags=[{"Key": k, "Value": v} for k, v in tags.items() if not k.startswith("aws:")],
        _template_body=body,
        _conditions=engine._evaluate_conditions(template, values),
    )
    engine.validate_template_support(template, stack["_conditions"], params=values)
    _event(stack, status)
    return values


def _outcome(stack: Json, verb: str, before: int) -> Resolved:
    """Return what the parent records for the stack, or raise with AWS's words for a failure.

    `before` is the number of events the stack had before the operation.
    """
    good = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"}
    if verb == "reverted":
        good.add("UPDATE_ROLLBACK_COMPLETE")
    if stack["StackStatus"] in good:
        outputs = stack.get("Outputs", [])
        return stack["StackId"], {f"Outputs.{o['OutputKey']}": o["OutputValue"] for o in outputs}
    events = cf._stack_events[stack["StackId"]][before:]
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    own = [event for event in failed if event["LogicalResourceId"] != stack["StackName"]]
    told = failed or [
        event for event in events if event["ResourceStatus"].endswith("ROLLBACK_IN_PROGRESS")
    ]
    reason = told[-1]["ResourceStatusReason"] if told else stack["StackStatus"]
    if own:
        did = {"created": "create", "deleted": "delete"}.get(verb, "update")
        names = ", ".join(dict.fromkeys(event["LogicalResourceId"] for event in own))
        reason = f"The following resource(s) failed to {did}: [{names}]. "
    stack["StackStatusReason"] = reason
    raise ValueError(f"Embedded stack {stack['StackId']} was not successfully {verb}: {reason}")


def _in_creation(logical_id: str, stack: Json) -> Json:
    """Return the parent's record of a child that is not ready, so that it can be found."""
    return {
        "PhysicalResourceId": stack["StackId"],
        "ResourceType": TYPE,
        "ResourceStatus": "CREATE_IN_PROGRESS",
        "LogicalResourceId": logical_id,
        "Properties": {},
        "Attributes": {},
        "Timestamp": now_iso(),
    }


def _create(logical_id: str, props: Json, parent_name: str) -> Resolved:
    """Create the nested stack; reuse the one that a change set has put under review."""
    parent = cf._stacks[parent_name]
    stack = child_of(parent, logical_id)
    if stack is None or stack["StackStatus"] != "REVIEW_IN_PROGRESS":
        stack = reserve(parent, logical_id)
    before = len(cf._stack_events[stack["StackId"]])
    options = _options.get()
    parent["_resources"][logical_id] = _in_creation(logical_id, stack)
    stacks._add_event(
        parent["StackId"],
        parent_name,
        logical_id,
        TYPE,
        "CREATE_IN_PROGRESS",
        "Resource creation Initiated",
        stack["StackId"],
    )
    try:
        body, template = read_template(props.get("TemplateURL", ""))
        values = _begin(stack, "CREATE_IN_PROGRESS", props, body, template)
    except ValueError as problem:
        stack["StackStatus"] = "CREATE_FAILED"
        stack["StackStatusReason"] = str(problem)
        raise
    stack.update(
        _template=template, _resolved_params=values, DisableRollback=options.disable_rollback
    )
    _deploy(stack, template, values)
    return _outcome(stack, "created", before)


def _deploy(stack: Json, template: Json, values: Json, **update: Any) -> None:
    """Bring a nested stack to its template, with the options of the operation on its root."""
    options = _options.get()
    _run(
        stacks._deploy_stack_async(
            stack["StackName"],
            stack["StackId"],
            template,
            values,
            options.disable_rollback,
            stack["Tags"],
            retain_except_on_create=options.retain_except_on_create,
            imports=stack.get("_imports"),
            **update,
        )
    )


_SNAPSHOT = (
    "_resources",
    "_template",
    "_template_body",
    "_resolved_params",
    "_conditions",
    "Parameters",
    "Tags",
    "Outputs",
)


def _update(physical_id: str, old_props: Json, new_props: Json, parent_name: str) -> Resolved:
    """Update the nested stack, or, while its parent rolls back, bring back what it was."""
    stack = by_id(physical_id)
    if stack is None:
        raise ValueError(f"Stack [{physical_id}] does not exist")
    before = len(cf._stack_events[stack["StackId"]])
    body, template = read_template(new_props.get("TemplateURL", ""))
    if _undoing.get():
        _undo(stack)
        return _outcome(stack, "reverted", before)
    previous = {key: copy.deepcopy(stack[key]) for key in _SNAPSHOT}
    values = _begin(stack, "UPDATE_IN_PROGRESS", new_props, body, template)
    options = _options.get()
    queue: list[Callable[[], None]] = []
    with _setting(_cleanup, queue):
        _deploy(stack, template, values, is_update=True, previous_stack=previous)
    if stack["StackStatus"] == "UPDATE_COMPLETE":
        stack["_undo"] = stacks._failed_operation(
            True,
            previous,
            list(stack["_resources"]),
            None,
            None,
            [],
            False,
            template,
            values,
            options.retain_except_on_create,
            stack["Tags"],
            previous["Tags"],
            stack.get("_imports"),
        )
        stack.pop("_imports", None)
        if queue:
            _cleanups.setdefault(stack["StackId"], []).extend(queue)
            stack["StackStatus"] = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
            cf._stack_events[stack["StackId"]].pop()
            _event(stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    return _outcome(stack, "updated", before)


def _undo(stack: Json) -> None:
    """Return the stack to what it was before the operation its root is rolling back."""
    name, stack_id = stack["StackName"], stack["StackId"]
    _cleanups.pop(stack_id, None)
    operation = stack.pop("_undo", None) or stack.get("_failed_operation")
    if operation:
        _run(stacks._roll_back_operation(name, stack_id, stack, operation))
    elif stack["StackStatus"] == "UPDATE_ROLLBACK_FAILED":
        skip = frozenset(stack.pop("_skip", []))
        _run(stacks._continue_update_rollback_async(name, stack_id, skip))


def _delete(physical_id: str, _props: Json) -> None:
    """Delete the nested stack as DeleteStack would: policies, protection and events included."""
    stack = by_id(physical_id)
    if stack is None or stack["StackStatus"] == "DELETE_COMPLETE":
        return
    for objection in _objections:
        if words := objection(stack):
            raise ValueError(words)
    before = len(cf._stack_events[stack["StackId"]])
    for change_set_id, change_set in cf._change_sets.items():
        if change_set["StackId"] == stack["StackId"]:
            cf._change_sets.pop(change_set_id, None)
    _run(stacks._delete_stack_async(stack["StackName"], stack["StackId"]))
    if stack["StackStatus"] != "DELETE_COMPLETE":
        _outcome(stack, "deleted", before)


def descendants(root: Json) -> list[Json]:
    """Return the nested stacks of a root, of whatever depth."""
    return [s for s in cf._stacks.values() if s.get("RootId") == root["StackId"]]


async def _finish(root: Json) -> None:
    """Delete what the update of the nested stacks replaced or removed, now that it counts."""
    waiting = [s for s in descendants(root) if s.get("_undo") or s["StackId"] in _cleanups]
    queued = any(s["StackId"] in _cleanups for s in waiting)
    if queued:
        # The engine has just reported success: take that back until the cleanup is done.
        root["StackStatus"] = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
        cf._stack_events[root["StackId"]].pop()
        _event(root, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    for stack in waiting:
        stack.pop("_undo", None)
        for delete in _cleanups.pop(stack["StackId"], []):
            await run_reentrant(delete)
        if stack["StackStatus"] == "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS":
            stack["StackStatus"] = "UPDATE_COMPLETE"
            _event(stack, "UPDATE_COMPLETE")
    if queued:
        root["StackStatus"] = "UPDATE_COMPLETE"
        _event(root, "UPDATE_COMPLETE")


def patch(name: str, replacement: object) -> None:
    """Replace `name` in every module of the CloudFormation service that imported it."""
    for module in (provisioners, stacks, changesets, handlers):
        if hasattr(module, name):
            setattr(module, name, replacement)


def _cancel_inside(upstream: Callable[[Json], Response]) -> Callable[[Json], Response]:
    """Let CancelUpdateStack of a root stop the nested stack that is being updated, too."""

    def cancel(params: Json) -> Response:
        response = upstream(params)
        root = handlers._resolve_stack(helpers._p(params, "StackName"))
        if response[0] == 200 and root:
            for stack in descendants(root):
                stack["_cancel_requested"] = stack["StackStatus"] == "UPDATE_IN_PROGRESS"
        return response

    return cancel


def _operate_on_whole_trees() -> None:
    """Let deployments and rollbacks of a root reach and finish its nested stacks."""
    deploy, roll_back = stacks._deploy_stack_async, stacks._roll_back_operation

    async def deploy_whole_tree(
        name: str,
        stack_id: str,
        template: Json,
        values: Json,
        disable_rollback: bool,
        tags: list[Json],
        **more: Any,
    ) -> None:
        _options.set(_Options(disable_rollback, more.get("retain_except_on_create", False)))
        await deploy(name, stack_id, template, values, disable_rollback, tags, **more)
        stack = cf._stacks.get(name)
        if stack and not stack.get("ParentId") and stack["StackStatus"] == "UPDATE_COMPLETE":
            await _finish(stack)

    async def roll_back_whole_tree(
        name: str, stack_id: str, stack: Json, operation: Json, reason_override: str = ""
    ) -> None:
        logical_id = operation.get("failed_logical_id") or ""
        half_made = child_of(stack, logical_id)
        known = operation["failed_update"] is not None or logical_id in operation["created"]
        if half_made and not known:
            # Upstream forgets the child that failed; listed, it is deleted with the others.
            stack["_resources"].setdefault(logical_id, _in_creation(logical_id, half_made))
            operation["created"].append(logical_id)
        with _setting(_undoing, True), _setting(_cleanup, None):
            await roll_back(name, stack_id, stack, operation, reason_override)

    patch("_deploy_stack_async", deploy_whole_tree)
    patch("_roll_back_operation", roll_back_whole_tree)


def _resume_whole_trees() -> None:
    """Let a continued rollback reach the nested stacks, and settle what it skips."""
    resume = stacks._continue_update_rollback_async

    async def resume_whole_tree(name: str, stack_id: str, skip: frozenset[str]) -> None:
        for logical_id in skip:
            cf._stacks[name]["_resources"].get(logical_id, {}).update(_HEALTHY)
        with _setting(_undoing, True):
            await resume(name, stack_id, skip)

    patch("_continue_update_rollback_async", resume_whole_tree)


_HEALTHY = {"ResourceStatus": "UPDATE_COMPLETE", "ResourceStatusReason": ""}


def _show_what_is_stuck() -> None:
    """Leave what could not be rolled back UPDATE_FAILED on its stack's list of resources."""
    revert = stacks._revert_update

    async def revert_on_record(*arguments: Any) -> None:
        record: Json = arguments[8] if len(arguments) > 8 and arguments[8] else {}
        try:
            await revert(*arguments)
        except Exception as problem:  # a handler may raise anything
            record.update(ResourceStatus="UPDATE_FAILED", ResourceStatusReason=str(problem))
            raise
        record.update(_HEALTHY)

    patch("_revert_update", revert_on_record)


def _later(arguments: tuple[str, str, str | None, str], physical_id: str, delete: Any) -> Any:
    """Return a deletion to be done, and told, once the root has succeeded."""
    context = contextvars.copy_context()
    context.run(_cleanup.set, None)

    def later() -> None:
        stacks._add_event(*arguments, "DELETE_IN_PROGRESS", physical_id=physical_id)
        try:
            context.run(delete)
        except Exception as problem:  # a handler may raise anything; AWS reports and goes on
            stacks._add_event(*arguments, "DELETE_FAILED", str(problem), physical_id)
        else:
            stacks._add_event(*arguments, "DELETE_COMPLETE", physical_id=physical_id)

    return later


def _delete_after_success() -> None:
    """Put off what the update of a nested stack deletes until its root has succeeded."""
    remove, predecessor = stacks._delete_resource, provisioners._delete_predecessor

    def delete_resource(
        kind: str,
        physical_id: str,
        props: Json,
        name: str,
        logical_id: str | None = None,
    ) -> None:
        def delete() -> None:
            remove(kind, physical_id, props, name, logical_id)

        queue = _cleanup.get()
        if queue is None:
            delete()
            return
        arguments = (cf._stacks[name]["StackId"], name, logical_id, kind)
        queue.append(_later(arguments, physical_id, delete))

    def delete_predecessor(delete: Callable[..., None], *args: Any, **more: Any) -> None:
        queue = _cleanup.get()
        if queue is None or provisioners._RETAIN_REPLACED.get():
            predecessor(delete, *args, **more)
            return
        queue.append(lambda: delete(*args, **more))
        # The engine recognises a replacement under an unchanged id by a queued deletion.
        provisioners._DEFERRED_PREDECESSOR_DELETES.get().append((lambda: None, (), {}))

    stacks._delete_resource = delete_resource
    patch("_delete_predecessor", delete_predecessor)


def _heed_retain_except_on_create() -> None:
    """Delete what a rolled-back operation has just created, RetainExceptOnCreate or not."""
    policy = stacks._resource_policy

    def resource_policy(definition: Json, attribute: str, *more: Any) -> str:
        value: str = policy(definition, attribute, *more)
        created_now = attribute == "DeletionPolicy" and _undoing.get()
        if created_now and (
            value == "RetainExceptOnCreate"
            or (value == "Retain" and _options.get().retain_except_on_create)
        ):
            return "Delete"
        return value

    patch("_resource_policy", resource_policy)


def install() -> None:
    """Make nested stacks part of their root's operation."""
    actions, on_thread = handlers._ACTION_HANDLERS, stacks._runs_on_worker_thread
    actions["CancelUpdateStack"] = _cancel_inside(actions["CancelUpdateStack"])
    provisioners._RESOURCE_HANDLERS[TYPE] = {
        "create": _create,
        "update": _update,
        "delete": _delete,
    }
    _operate_on_whole_trees()
    _resume_whole_trees()
    _show_what_is_stuck()
    _delete_after_success()
    _heed_retain_except_on_create()
    # Provisioners written for a thread without an event loop must not meet the child's.
    patch("_runs_on_worker_thread", lambda kind: _nested.get() or on_thread(kind))
