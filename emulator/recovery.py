"""Leave a failed operation where it stopped, and continue a stuck rollback, as AWS does.

Sources of the literal texts: emulator/sources.py.
"""

from __future__ import annotations

import re
from typing import Any

import ministack.services.cloudformation as cf
from ministack.services.cloudformation import (
    changesets,
    handlers,
    helpers,
    provisioners,
    stacks,
)

from emulator import nested_stacks, requests, resource_types, wire
from emulator.wire import Handler, Json, Response

EXPRESS = "EXPRESS"
EXPRESS_REASON = (
    "Resource operation completed using Express Mode. "
    "It may continue becoming available in the background."
)
NO_REPLACEMENT = "Replacement type updates not supported on stack with disable-rollback."
# The service model's pattern of ResourceToSkip.
SKIPPABLE = re.compile(r"[a-zA-Z0-9]+|[a-zA-Z][-a-zA-Z0-9]*\.[a-zA-Z0-9]+")
GOING = frozenset({"DELETE_IN_PROGRESS", "DELETE_COMPLETE", "DELETE_FAILED"})


def _config(params: Json) -> Json:
    """Return the DeploymentConfig of a request, empty when it has none."""
    found: Json = {}
    mode = wire.given(params, "DeploymentConfig.Mode")
    rollback = wire.given(params, "DeploymentConfig.DisableRollback")
    if mode:
        found["Mode"] = mode
    if rollback:
        found["DisableRollback"] = rollback.lower() == "true"
    return found


def _without_rollback(config: Json) -> bool:
    """Return whether this DeploymentConfig leaves a failed operation where it is."""
    disabled: bool = config.get("DisableRollback", config.get("Mode") == EXPRESS)
    return disabled


def _asked(params: Json, config: Json) -> Json:
    """Return the request with its DeploymentConfig in the words that upstream knows."""
    if not config:
        return params
    return {**params, "DisableRollback": [str(_without_rollback(config)).lower()]}


def _said_twice(params: Json) -> Response | None:
    if _config(params) and any(name in params for name in ("DisableRollback", "OnFailure")):
        return wire.refuse("DisableRollback and OnFailure can't be specified with DeploymentConfig")
    return None


def _remember(stack: Json | None, config: Json) -> None:
    """Keep the DeploymentConfig of the last operation on its stack."""
    if stack:
        stack.pop("DeploymentConfig", None)
        if config:
            stack["DeploymentConfig"] = config


def _deploy(upstream: Handler) -> Handler:
    def deploy(params: Json) -> Response:
        config = _config(params)
        response = _said_twice(params) or upstream(_asked(params, config))
        if response[0] == wire.OK:
            _remember(wire.stack_of(params), config)
        return response

    return deploy


def _propose(upstream: Handler) -> Handler:
    def propose(params: Json) -> Response:
        response = upstream(params)
        change_set = requests.change_set_of(params)
        if response[0] == wire.OK and change_set:
            change_set["DeploymentConfig"] = _config(params)
        return response

    return propose


def _execute(upstream: Handler) -> Handler:
    def execute(params: Json) -> Response:
        change_set = requests.change_set_of(params) or {}
        config = change_set.get("DeploymentConfig") or {}
        given = "DisableRollback" in params or change_set.get("OnStackFailure")
        response = upstream(params if given else _asked(params, config))
        if response[0] == wire.OK:
            _remember(cf._stacks.get(change_set["StackName"]), config)
        return response

    return execute


def _no_way_back(params: Json) -> Response | None:
    """Refuse RollbackStack where the last operation was in express mode."""
    stack = wire.stack_of(params)
    if stack and (stack.get("DeploymentConfig") or {}).get("Mode") == EXPRESS:
        return wire.refuse("RollbackStack is not supported for stacks last updated in EXPRESS mode")
    return None


def _say_what_still_settles() -> None:
    """Give the completed resources of an express operation the reason that AWS gives them."""
    add_event = stacks._add_event

    def event(
        stack_id: str,
        stack_name: str,
        logical_id: str,
        kind: str,
        status: str,
        reason: str = "",
        *more: Any,
        **named: Any,
    ) -> None:
        if kind != nested_stacks.TYPE and status.endswith("_COMPLETE") and not reason:
            root = requests.root_of(cf._stacks.get(stack_name) or {})
            if (root.get("DeploymentConfig") or {}).get("Mode") == EXPRESS:
                reason = EXPRESS_REASON
        add_event(stack_id, stack_name, logical_id, kind, status, reason, *more, **named)

    for module in (stacks, changesets, handlers):
        module._add_event = event


def heed_deployment_configs() -> None:
    """Switch rollback off in express mode, unless the request switches it on."""
    wire.around("CreateStack", _deploy)
    wire.around("UpdateStack", _deploy)
    wire.around("CreateChangeSet", _propose)
    wire.around("ExecuteChangeSet", _execute)
    wire.before(["RollbackStack"], _no_way_back)
    _say_what_still_settles()


def _not_terminal(stack: Json, params: Json, config: Json) -> Response | None:
    """Refuse an update that could roll back from where there is nothing to roll back to."""
    status = stack["StackStatus"]
    if status not in requests.PAUSED or wire.is_true(_asked(params, config), "DisableRollback"):
        return None
    return wire.refuse(
        f"This stack is currently in a non-terminal [{status}] state. To update the stack from "
        "this state, please use the disable-rollback parameter with update-stack API. To rollback "
        "to the last known good state, use the rollback-stack API"
    )


def pause_after_failure() -> None:
    """Let a failed update be followed by one without rollback, and by no other."""

    def check(params: Json) -> Response | None:
        change_set = requests.change_set_of(params)
        stack = cf._stacks.get(change_set["StackName"]) if change_set else None
        if change_set is None or stack is None:
            return None
        return _not_terminal(stack, params, change_set.get("DeploymentConfig") or {})

    def wrap(upstream: Handler) -> Handler:
        def update(params: Json) -> Response:
            stack = wire.stack_of(params)
            if stack is None or stack["StackStatus"] not in requests.PAUSED:
                return upstream(params)
            refusal = _not_terminal(stack, params, _config(params))
            if refusal:
                return refusal
            status = stack["StackStatus"]
            stack["StackStatus"] = "UPDATE_COMPLETE"  # upstream updates from a stable state only
            response = upstream(params)
            if response[0] != wire.OK:
                stack["StackStatus"] = status
            return response

        return update

    wire.before(["ExecuteChangeSet"], check)
    wire.around("UpdateStack", wrap)


def refuse_replacements_without_rollback() -> None:
    """Fail the update of a resource that would replace it while rollback is disabled."""
    upstream = stacks._update_resource

    def update(kind: str, physical_id: str, old: Json, new: Json, *more: Any) -> Any:
        if nested_stacks.without_rollback() and resource_types.replaces(kind, old, new):
            raise ValueError(NO_REPLACEMENT)
        return upstream(kind, physical_id, old, new, *more)

    for module in (provisioners, stacks):
        module._update_resource = update


def _find(root: Json, name: str) -> tuple[Json | None, str]:
    """Return the stack of the tree and the logical ID that an entry of ResourcesToSkip means."""
    nested, dot, logical_id = name.partition(".")
    if not dot:
        return root, name
    tree = nested_stacks.descendants(root)
    return next((stack for stack in tree if stack["StackName"] == nested), None), logical_id


def _cannot_skip(root: Json, name: str) -> str:
    """Return AWS's words for an entry of ResourcesToSkip that it refuses, empty for a good one."""
    stack, logical_id = _find(root, name)
    if stack is None:
        return f"Stack [{name.partition('.')[0]}] does not exist"
    resource = stack["_resources"].get(logical_id)
    if resource is None:
        return f"Resource [{logical_id}] does not belong to stack {stack['StackName']}"
    if resource["ResourceType"] == nested_stacks.TYPE:
        embedded = nested_stacks.by_id(resource["PhysicalResourceId"])
        return (
            ""
            if embedded is None or embedded["StackStatus"] in GOING
            else "Nested stacks could not be skipped"
        )
    if "RevertTo" not in stack.get("_rollback_failed", {}).get(logical_id, {}):
        return "Only the resources failed during UpdateRollback are allowed to be skipped"
    return ""


def _may_continue(params: Json, given: list[str]) -> Response | None:
    stack = wire.stack_of(params)
    if stack is None:
        return None
    if stack.get("ParentId"):
        return wire.refuse("RollbackUpdatedStack cannot be invoked on child stacks")
    if stack["StackStatus"] != "UPDATE_ROLLBACK_FAILED":
        return wire.refuse("RollbackUpdatedStack cannot be called from current stack status")
    for name in given:
        if not SKIPPABLE.fullmatch(name):
            return wire.refuse(
                f"1 validation error detected: Value '{_listed(given)}' at 'resourcesToSkip' "
                "failed to satisfy constraint: Member must satisfy constraint: [Member must "
                f"satisfy regular expression pattern: {SKIPPABLE.pattern}]"
            )
    problems = [problem for name in given if (problem := _cannot_skip(stack, name))]
    return wire.refuse(problems[0]) if problems else None


def _listed(names: list[str]) -> str:
    return f"[{', '.join(names)}]"


def skip_by_stack_name() -> None:
    """Let ContinueUpdateRollback skip NestedStackName.ResourceLogicalID, at any depth."""

    def wrap(upstream: Handler) -> Handler:
        def resume(params: Json) -> Response:
            given = helpers._extract_string_members(params, "ResourcesToSkip")
            refusal = _may_continue(params, given)
            root = wire.stack_of(params)
            if refusal or root is None:
                return refusal or upstream(params)
            for name in given:
                stack, logical_id = _find(root, name)
                if stack and stack is not root:
                    stack.setdefault("_skip", []).append(logical_id)
            own = [name for name in given if "." not in name]
            others = {k: v for k, v in params.items() if not k.startswith("ResourcesToSkip")}
            listed = {f"ResourcesToSkip.member.{n}": [name] for n, name in enumerate(own, 1)}
            return upstream({**others, **listed})

        return resume

    wire.around("ContinueUpdateRollback", wrap)


def tell_failed_outputs_by_rollback() -> None:
    """Give the reason of failed outputs on the rollback's own event; AWS has no `*_FAILED` one."""
    upstream = stacks._roll_back_operation

    async def roll_back(
        name: str, stack_id: str, stack: Json, operation: Json, reason_override: str = ""
    ) -> None:
        last = cf._stack_events[stack_id][-1]
        own = last["LogicalResourceId"] == name and last["ResourceStatus"].endswith("_FAILED")
        if own and not reason_override and not nested_stacks.undoing():
            cf._stack_events[stack_id].pop()
            reason_override = f"{last['ResourceStatusReason']}. Rollback requested by user."
        await upstream(name, stack_id, stack, operation, reason_override)

    nested_stacks.patch("_roll_back_operation", roll_back)
