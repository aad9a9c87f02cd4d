"""Look at everything there is, past the wire: stacks, tables, backups, change sets, objects."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.sequences.world import every

Json = dict[str, Any]

#: A change set that can still be executed, or is being made.
_OPEN = ("AVAILABLE", "UNAVAILABLE", "")


@dataclass(frozen=True)
class Resource:
    """One resource of a stack."""

    physical: str
    type: str
    properties: str


@dataclass(frozen=True)
class Root:
    """A stack that is nested in none, with everything in it by path."""

    name: str
    id: str
    region: str
    status: str
    parameters: dict[str, str]
    tree: dict[str, Resource]
    #: The text of each template by the nested stack's path, "" for its own.
    bodies: dict[str, str]

    def tables(self) -> dict[str, str]:
        """Return physical names by path."""
        kind = "AWS::DynamoDB::Table"
        return {path: one.physical for path, one in self.tree.items() if one.type == kind}


@dataclass(frozen=True)
class Backup:
    """A backup; `items` are the names of what is in it."""

    arn: str
    table: str
    status: str
    items: frozenset[str]


@dataclass(frozen=True)
class ChangeSet:
    """A change set of a root stack that nobody executed."""

    id: str
    stack: str
    region: str


@dataclass(frozen=True)
class View:
    """Everything there was at one moment."""

    roots: dict[tuple[str, str], Root] = field(default_factory=dict)
    tables: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    backups: dict[str, Backup] = field(default_factory=dict)
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    objects: dict[tuple[str, str], str] = field(default_factory=dict)

    def lost(self, written: set[str]) -> set[str]:
        """Return what is in no table and in no complete backup."""
        held: set[str] = set()
        for items in self.tables.values():
            held |= items
        for backup in self.backups.values():
            if backup.status == "AVAILABLE":
                held |= backup.items
        return written - held

    def path_of(self, region: str, table: str) -> str:
        """Return where a table stands in a stack, "" for nowhere."""
        for (where, _), root in self.roots.items():
            for path, physical in root.tables().items():
                if where == region and physical == table:
                    return path
        return ""

    def loose(self) -> list[str]:
        """Return the names of the tables that are no stack's."""
        return sorted(name for place, name in self.tables if not self.path_of(place, name))


def look() -> View:
    """Look at everything."""
    return View(
        {(root.region, root.name): root for root in _roots()},
        dict(_tables()),
        {backup.arn: backup for backup in _backups()},
        {one.id: one for one in _change_sets()},
        {place: digest for place, digest, _ in objects()},
    )


def _roots() -> Iterator[Root]:
    import ministack.services.cloudformation as cf

    alive = [s for s in every(cf._stacks) if s["StackStatus"] != "DELETE_COMPLETE"]
    by_id = {stack["StackId"]: stack for stack in alive}
    for stack in alive:
        if stack.get("ParentId") or stack.get("_parent_stack_name"):
            continue
        tree: dict[str, Resource] = {}
        bodies: dict[str, str] = {}
        _walk(stack, "", by_id, tree, bodies)
        given = stack.get("Parameters", [])
        values = {p["ParameterKey"]: str(p.get("ParameterValue", "")) for p in given}
        yield Root(
            stack["StackName"], stack["StackId"], stack["_region"], stack["StackStatus"],
            values, tree, bodies,
        )  # fmt: skip


def _walk(
    stack: Json, path: str, by_id: dict[str, Json], tree: dict[str, Resource], bodies: Json
) -> None:
    body = stack.get("_template_body") or json.dumps(stack.get("_template", {}))
    bodies[path.rstrip("/")] = body
    for logical, one in stack.get("_resources", {}).items():
        if one.get("ResourceStatus") in ("DELETE_COMPLETE", "DELETE_SKIPPED"):
            continue
        physical = str(one.get("PhysicalResourceId") or "")
        properties = json.dumps(one.get("Properties", {}), sort_keys=True, default=str)
        tree[path + logical] = Resource(physical, one["ResourceType"], properties)
        if physical in by_id:
            _walk(by_id[physical], f"{path}{logical}/", by_id, tree, bodies)


def _tables() -> Iterator[tuple[tuple[str, str], frozenset[str]]]:
    from ministack.services import dynamodb

    for (_account, region, name), table in dynamodb._tables._data.items():
        yield (region, name), frozenset(_names(table.get("items", {})))


def _names(found: Any) -> Iterator[str]:
    """Yield the names of items, which each item has in its attribute `what`."""
    if isinstance(found, dict):
        if isinstance(found.get("what"), dict) and "S" in found["what"]:
            yield found["what"]["S"]
            return
        for inner in found.values():
            yield from _names(inner)


def _backups() -> Iterator[Backup]:
    from ministack.services import dynamodb

    for one in dynamodb._backups._data.values():
        yield Backup(
            one["BackupDetails"]["BackupArn"],
            one["SourceTableDetails"]["TableName"],
            one["BackupDetails"]["BackupStatus"],
            frozenset(_names(one.get("_items_snapshot", {}))),
        )


def _change_sets() -> Iterator[ChangeSet]:
    import ministack.services.cloudformation as cf

    stacks = {s["StackId"]: s for s in every(cf._stacks)}
    for one in every(cf._change_sets):
        stack = stacks.get(one["StackId"])
        if stack is None or stack.get("_parent_stack_name") or stack.get("ParentId"):
            continue
        if stack["StackStatus"] == "DELETE_COMPLETE":
            continue
        if one.get("ExecutionStatus") in _OPEN:
            yield ChangeSet(one["ChangeSetId"], one["StackName"], stack["_region"])


def objects() -> Iterator[tuple[tuple[str, str], str, bytes]]:
    """Yield each object of the templates buckets: bucket and key, digest, content."""
    s3 = sys.modules.get("ministack.services.s3")
    if s3 is None:
        return
    for (_account, bucket), held in s3._buckets._data.items():
        if not bucket.startswith("plot-palette-cfn-"):
            continue
        for key, one in held["objects"].items():
            body = one["body"]
            yield (bucket, key), hashlib.sha256(body).hexdigest(), body
