"""Honour exports at every level of a tree. Sources of the texts: emulator/sources.py."""

from __future__ import annotations

from typing import Any

import ministack.services.cloudformation as cf
from ministack.services.cloudformation import handlers, stacks

from emulator import nested_stacks, wire
from emulator.wire import Json, Response

GONE = frozenset({"DELETE_COMPLETE", "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE"})


def _importer(name: str, exporter_id: str) -> str:
    """Return the name of a stack that imports the export `name`, empty when none does."""
    for stack in list(cf._stacks.values()):
        if stack["StackId"] == exporter_id or stack["StackStatus"] in GONE:
            continue
        if name in handlers._imported_export_names(stack, stack["StackName"]):
            return str(stack["StackName"])
    return ""


def _of(stack_id: str) -> dict[str, str]:
    """Return the exports of one stack, name to value."""
    return {
        name: export["Value"]
        for name, export in cf._exports.items()
        if export["StackId"] == stack_id
    }


def _check(stack_id: str, wanted: Json) -> None:
    """Raise ValueError for an export that another stack has, or still imports as it was."""
    for name in wanted:
        owner = cf._exports.get(name)
        if owner and owner["StackId"] != stack_id:
            holder = owner["StackId"].split("/")[1]
            raise ValueError(f"Export with name {name} is already exported by stack {holder}")
    for name, value in _of(stack_id).items():
        kept = name in wanted
        if kept and wanted[name]["Value"] == value:
            continue
        importer = _importer(name, stack_id)
        if importer:
            verb = "updated" if kept else "deleted"
            raise ValueError(f"Export {name} cannot be {verb} as it is in use by {importer}")


def refuse_deletion(stack: Json) -> str:
    """Return AWS's words when another stack imports what `stack` exports, empty otherwise."""
    for name in _of(stack["StackId"]):
        importer = _importer(name, stack["StackId"])
        if importer:
            return f"Export {name} cannot be deleted as it is in use by {importer}"
    return ""


def _settle(name: str) -> None:
    """Let the table of exports follow the outputs that a stack now has."""
    stack = cf._stacks.get(name)
    if stack is None or stack["StackStatus"] == "DELETE_COMPLETE":
        return
    outputs = {o["ExportName"]: o for o in stack.get("Outputs", []) if o.get("ExportName")}
    for gone in _of(stack["StackId"]).keys() - outputs.keys():
        cf._exports.pop(gone, None)
    for export, output in outputs.items():
        cf._exports[export] = {
            "StackId": stack["StackId"],
            "Name": export,
            "Value": output["OutputValue"],
        }


def install() -> None:
    """Check exports before an operation succeeds, and settle them after it."""
    resolve, deploy = stacks._resolve_stack_outputs, stacks._deploy_stack_async
    roll_back = stacks._roll_back_operation

    def resolve_outputs(*arguments: Any) -> tuple[list[Json], Json]:
        outputs, wanted = resolve(*arguments)
        _check(arguments[-1], wanted)
        return outputs, wanted

    async def deploy_and_settle(name: str, *more: Any, **named: Any) -> None:
        await deploy(name, *more, **named)
        _settle(name)

    async def roll_back_and_settle(name: str, *more: Any, **named: Any) -> None:
        await roll_back(name, *more, **named)
        _settle(name)

    def check(params: Json) -> Response | None:
        stack = wire.stack_of(params)
        words = refuse_deletion(stack) if stack else ""
        return wire.refuse(words) if words else None

    stacks._resolve_stack_outputs = resolve_outputs
    nested_stacks.patch("_deploy_stack_async", deploy_and_settle)
    nested_stacks.patch("_roll_back_operation", roll_back_and_settle)
    wire.before(["DeleteStack"], check)
    nested_stacks.ask_before_deleting(refuse_deletion)
