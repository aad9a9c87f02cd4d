"""Refuse, remember and answer as CloudFormation does before any resource is touched.

The amendments of emulator/amendments.py put what stands here in place and say why; the literal
texts are AWS's own, and emulator/sources.py says where each was seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import ministack.services.cloudformation as cf
from ministack.services import iam
from ministack.services.cloudformation import changesets, engine, handlers, provisioners

from emulator import wire
from emulator.wire import Json, Response

# States from which CloudFormation starts an update.
STABLE = frozenset(
    {
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
    }
)
# States of a failed operation without rollback; an update may go on from there.
PAUSED = frozenset({"CREATE_FAILED", "UPDATE_FAILED"})
UNDER_REVIEW = "REVIEW_IN_PROGRESS"
DELETED = "DELETE_COMPLETE"
WITH_ROLE = (
    "CreateStack",
    "UpdateStack",
    "CreateChangeSet",
    "DeleteStack",
    "ContinueUpdateRollback",
    "RollbackStack",
)


def _names(names: list[str]) -> str:
    return f"[{', '.join(names)}]"


def check_parameters() -> None:
    """Refuse parameters that a template does not declare, and missing ones, in AWS's words."""
    upstream = engine._resolve_parameters

    def resolve(template: Json, provided: list[Json], previous: Json | None = None) -> Json:
        declared = template.get("Parameters") or {}
        values = {entry["Key"]: entry for entry in provided if "Key" in entry}
        unknown = [name for name in values if name not in declared]
        if unknown and not declared:
            raise ValueError(
                "Parameter values specified for a template which does not require them."
            )
        if unknown:
            raise ValueError(f"Parameters: {_names(unknown)} do not exist in the template")

        def has_value(name: str) -> bool:
            entry = values.get(name)
            if entry is None or entry.get("UsePreviousValue"):
                return "Default" in declared[name] or (entry is not None and name in before)
            return True

        before = previous or {}
        missing = [name for name in declared if not has_value(name)]
        if missing:
            raise ValueError(f"Parameters: {_names(missing)} must have values")
        resolved: Json = upstream(template, provided, previous)
        return resolved

    for module in (engine, changesets, handlers, provisioners):
        module._resolve_parameters = resolve


def _busy(stack: Json) -> Response | None:
    """Refuse an update of a stack whose state allows none."""
    status = stack["StackStatus"]
    if status in STABLE | PAUSED:
        return None
    return wire.refuse(f"Stack:{stack['StackId']} is in {status} state and can not be updated.")


def _may_update(params: Json) -> Response | None:
    stack = wire.stack_of(params)
    return _busy(stack) if stack else None


def _may_propose(params: Json) -> Response | None:
    stack, kind = wire.stack_of(params), wire.given(params, "ChangeSetType") or "UPDATE"
    if stack is None or kind == "IMPORT":
        return None
    if kind == "UPDATE":
        return _busy(stack)
    if stack["StackStatus"] == UNDER_REVIEW:
        return None
    return wire.refuse(
        f"Stack [{wire.given(params, 'StackName')}] already exists and cannot be created again "
        f"with the changeSet [{wire.given(params, 'ChangeSetName')}]."
    )


def _may_create(params: Json) -> Response | None:
    stack = wire.stack_of(params)
    if stack is None:
        return None
    return wire.refuse(
        f"Stack [{wire.given(params, 'StackName')}] already exists", "AlreadyExistsException"
    )


def change_set_of(params: Json) -> Json | None:
    """Return the change set that a request names, if there is one."""
    stack = wire.stack_of(params)
    name = stack["StackName"] if stack else wire.given(params, "StackName")
    found: Json | None = changesets._find_change_set(wire.given(params, "ChangeSetName"), name)[1]
    return found


def _may_execute(params: Json) -> Response | None:
    change_set = change_set_of(params)
    stack = cf._stacks.get(change_set["StackName"]) if change_set else None
    if change_set is None or stack is None or change_set["ExecutionStatus"] != "AVAILABLE":
        return None
    return None if stack["StackStatus"] == UNDER_REVIEW else _busy(stack)


def guard_states() -> None:
    """Refuse creations over a stack that exists and updates of one that is not at rest."""
    wire.before(["CreateStack"], _may_create)
    wire.before(["UpdateStack"], _may_update)
    wire.before(["CreateChangeSet"], _may_propose)
    wire.before(["ExecuteChangeSet"], _may_execute)


def keep_deleted_stacks() -> None:
    """Find a deleted stack by its ARN only, and still do so when its name is in use again."""
    by_name_or_id = handlers._resolve_stack

    def resolve(name: str) -> Json | None:
        found: Json | None = by_name_or_id(name)
        if found and found["StackStatus"] == DELETED and name != found["StackId"]:
            return None
        return found

    def wrap(upstream: wire.Handler) -> wire.Handler:
        def create(params: Json) -> Response:
            name = wire.given(params, "StackName")
            earlier = cf._stacks.get(name)
            response = upstream(params)
            if earlier and earlier["StackStatus"] == DELETED and cf._stacks.get(name) != earlier:
                cf._stacks[earlier["StackId"]] = earlier
            return response

        return create

    handlers._resolve_stack = resolve
    for action in ("CreateStack", "CreateChangeSet"):
        wire.around(action, wrap)


def find_owners() -> None:
    """Answer DescribeStackResources by the physical ID of a resource."""

    def wrap(upstream: wire.Handler) -> wire.Handler:
        def describe(params: Json) -> Response:
            physical_id = wire.given(params, "PhysicalResourceId")
            if wire.given(params, "StackName") or not physical_id:
                return upstream(params)
            owner = next((s for s in cf._stacks.values() if _holds(s, physical_id)), None)
            if owner is None:
                return wire.refuse(f"Stack for {physical_id} does not exist")
            return upstream({**params, "StackName": [owner["StackId"]]})

        return describe

    wire.around("DescribeStackResources", wrap)


def _holds(stack: Json, physical_id: str) -> bool:
    held = (record.get("PhysicalResourceId") for record in stack.get("_resources", {}).values())
    return stack["StackStatus"] != DELETED and physical_id in held


def remember_roles() -> None:
    """Keep the service role of a stack for all later operations, and refuse one nobody has."""

    def check(params: Json) -> Response | None:
        arn = wire.given(params, "RoleARN")
        if not arn or arn in {role["Arn"] for role in iam._roles.values()}:
            return None
        return wire.refuse(f"Role {arn} is invalid or cannot be assumed")

    def remember(params: Json) -> None:
        stack, arn = wire.stack_of(params), wire.given(params, "RoleARN")
        if stack and arn:
            stack["RoleARN"] = arn

    def propose(params: Json) -> None:
        change_set = change_set_of(params)
        if change_set:
            change_set["RoleARN"] = wire.given(params, "RoleARN")

    def execute(params: Json) -> None:
        change_set = change_set_of(params) or {}
        if change_set.get("RoleARN"):
            cf._stacks[change_set["StackName"]]["RoleARN"] = change_set["RoleARN"]

    wire.before(WITH_ROLE, check)
    wire.after([action for action in WITH_ROLE if action != "CreateChangeSet"], remember)
    wire.after(["CreateChangeSet"], propose)
    wire.after(["ExecuteChangeSet"], execute)


def root_of(stack: Json) -> Json:
    """Return the root of the tree that `stack` is in, itself when it is not nested."""
    root_id = stack.get("RootId")
    return next((s for s in cf._stacks.values() if s["StackId"] == root_id), stack)


def describe_whole() -> None:
    """Add to DescribeStacks what upstream keeps and does not tell."""

    def wrap(upstream: wire.Handler) -> wire.Handler:
        def describe(params: Json) -> Response:
            response = upstream(params)
            if response[0] != wire.OK:
                return response

            def add(result: Any) -> None:
                for shown in wire.member(result, "Stacks"):
                    stack = handlers._resolve_stack(wire.member(shown, "StackId").text)
                    told = {**stack, "DeploymentConfig": root_of(stack).get("DeploymentConfig")}
                    wire.put(shown, told, "ParentId", "RootId", "RoleARN", "DeploymentConfig")

            return wire.amend(response, add)

        return describe

    wire.around("DescribeStacks", wrap)


def mangle(text: str) -> str:
    """Return `text` as GetTemplate gives it back: each character beyond ASCII is a `?`."""
    return re.sub(r"[^\x00-\x7f]", "?", text)


def _rewritten(rewrite: Callable[[Json, str], str]) -> Callable[[wire.Handler], wire.Handler]:
    def wrap(upstream: wire.Handler) -> wire.Handler:
        def get(params: Json) -> Response:
            status, headers, body = upstream(params)
            if status == wire.OK:
                body = rewrite(params, body.decode()).encode()
            return status, headers, body

        return get

    return wrap


def mangle_templates() -> None:
    """Let GetTemplate answer `?` for each character beyond ASCII."""
    wire.around("GetTemplate", _rewritten(lambda _params, text: mangle(text)))


def keep_shells() -> None:
    """Let a second change set of a creation join the stack that the first one made."""

    def wrap(upstream: wire.Handler) -> wire.Handler:
        def create(params: Json) -> Response:
            before = wire.stack_of(params)
            status, headers, body = upstream(params)
            after = wire.stack_of(params)
            if status != wire.OK or not before or not after or after is before:
                return status, headers, body
            if before["StackStatus"] != UNDER_REVIEW:
                return status, headers, body
            old, new = before["StackId"], after["StackId"]
            cf._stacks[after["StackName"]] = before
            cf._stack_events.pop(new, None)
            for change_set in cf._change_sets.values():
                if change_set["StackId"] == new:
                    change_set["StackId"] = old
            return status, headers, body.replace(new.encode(), old.encode())

        return create

    wire.around("CreateChangeSet", wrap)


def hide_templates_under_review() -> None:
    """Leave TemplateBody out for a stack that only has a change set so far."""

    def hide(params: Json, text: str) -> str:
        stack = wire.stack_of(params)
        if wire.given(params, "ChangeSetName") or not stack or stack["StackStatus"] != UNDER_REVIEW:
            return text
        return re.sub(r"<TemplateBody>.*?</TemplateBody>", "", text, flags=re.DOTALL)

    def refuse_summary(params: Json) -> Response | None:
        stack = wire.stack_of(params)
        if stack and stack["StackStatus"] == UNDER_REVIEW:
            return wire.refuse("GetTemplateSummary cannot be called on REVIEW_IN_PROGRESS stacks.")
        return None

    wire.around("GetTemplate", _rewritten(hide))
    wire.before(["GetTemplateSummary"], refuse_summary)
