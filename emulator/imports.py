"""Let an import reach into nested stacks, and refuse what AWS refuses of it.

Upstream (ministack 1.5.33) knows ImportExistingResources and ResourcesToImport, with AWS's own
refusals measured, but of the one stack that the request names. AWS: "For nested stacks, create the
change set from the root stack" (user guide, "Import AWS resources into a CloudFormation stack
automatically"), and "IncludeNestedStacks is not supported for changeSet type: IMPORT."

Inferred: a nested stack's resources are imported only by a change set that includes nested stacks;
in it, the nested change set's row says Import, as the root's own does.
"""

from __future__ import annotations

from typing import Any

import ministack.services.cloudformation as cf
from ministack.services.cloudformation import changesets, handlers, helpers, stacks

from emulator import wire
from emulator.wire import Handler, Json, Response

_ASKED = "_imports_asked"
_FOUND = "_import_existing"

NOT_NESTED = "IncludeNestedStacks is not supported for changeSet type: IMPORT."


def note(change_set: Json, params: Json) -> None:
    """Remember on a root change set whether it was to take over what exists."""
    change_set[_ASKED] = wire.is_true(params, "ImportExistingResources")


def hand_on(parent: Json, change_set: Json) -> None:
    """Give a nested change set the wish of the one above it."""
    change_set[_ASKED] = parent.get(_ASKED, False)


def take_over(change_set: Json) -> str:
    """Turn the additions of a nested change set that exist already into imports.

    Return the reason, in AWS's words, for which the change set fails; empty when it does not.
    """
    if not change_set.get(_ASKED):
        return ""
    template = change_set["_template"]
    found = changesets._existing_resources(change_set["Changes"], template)
    reason = changesets._unretained_import_reason(found, template)
    reason = reason or changesets._import_owner(found)
    if reason is not None:
        change_set["Changes"] = []
        return str(reason)
    rows = {one["LogicalResourceId"]: changesets._import_change(one) for one in found}
    change_set["Changes"] = [
        rows.get(change["ResourceChange"]["LogicalResourceId"], change)
        for change in change_set["Changes"]
    ]
    change_set[_FOUND] = {one["LogicalResourceId"]: one["ResourceIdentifier"] for one in found}
    return ""


def _execute(upstream: Handler) -> Handler:
    def execute(params: Json) -> Response:
        root = changesets._find_change_set(
            helpers._p(params, "ChangeSetName"), helpers._p(params, "StackName")
        )[1]
        for one in list(cf._change_sets.values()) if root else []:
            stack = cf._stacks.get(one["StackName"])
            ours = root and root["ChangeSetId"] in (one["ChangeSetId"], one.get("RootChangeSetId"))
            if stack and ours:
                # A nested stack takes them when its turn comes; see `nested_stacks`.
                stack["_imports"] = one.get(_FOUND) or {}
        return upstream(params)

    return execute


def _create(upstream: Handler) -> Handler:
    def create(params: Json) -> Response:
        is_import = helpers._p(params, "ChangeSetType") == "IMPORT"
        if is_import and wire.is_true(params, "IncludeNestedStacks"):
            refusal: Response = helpers._error("ValidationError", NOT_NESTED)
            return refusal
        return upstream(params)

    return create


def _spare_imports() -> None:
    """Let a bucket's name be taken where the bucket that has it is to be imported."""
    upstream = stacks._validation_errors

    def find_errors(*arguments: Any) -> list[Any]:
        stack = cf._stacks.get(arguments[5]) or {}
        imported = stack.get("_imports") or {}
        return [error for error in upstream(*arguments) if error[0] not in imported]

    stacks._validation_errors = find_errors


def install() -> None:
    """Put the nested imports around the change sets."""
    _spare_imports()
    actions = handlers._ACTION_HANDLERS
    actions["CreateChangeSet"] = _create(actions["CreateChangeSet"])
    actions["ExecuteChangeSet"] = _execute(actions["ExecuteChangeSet"])
