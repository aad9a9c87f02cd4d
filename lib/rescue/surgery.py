"""Edit deployed templates for the time of a switch: leave a resource out, give it a name.

Pure. CloudFormation imports only what a template adds, under a name that stands there as it is:
"The resource must have a static custom name defined in your template. Dynamic names (using !Ref or
other functions) are not currently supported." So what is there leaves its stack first, while all
that reads it is given its successor's name, and the successor comes in afterwards.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lib.errors import Refused
from lib.templates.changes import join
from lib.templates.naming import Naming
from lib.templates.templates import Template

#: DeletionPolicies with which a resource outlives its removal from a template.
KEEPING = frozenset({"Retain", "RetainExceptOnCreate"})

#: What belongs to a resource so closely that it is identified by it, with the property that says
#: so: it leaves and comes with the resource. "The bucket policy already exists on bucket" is what
#: a second one meets.
COMPANIONS: Mapping[str, Mapping[str, str]] = {
    "AWS::S3::Bucket": {"AWS::S3::BucketPolicy": "Bucket"},
}

#: What stands in a template that nothing else is left in; it makes an address and nothing more.
PLACEHOLDER, _NOTHING = "NothingForNow", "AWS::CloudFormation::WaitConditionHandle"

#: What is put beside a resource to see whether its successor could be imported.
REHEARSED = "Rehearsed"


@dataclass(frozen=True)
class Seat:
    """A resource's place in the templates, and what is to take it.

    `successor` is the physical name, `arn` its ARN, which stands for whatever reads it meanwhile.
    """

    naming: Naming
    successor: str
    arn: str

    @property
    def path(self) -> str:
        """Return the path of the place."""
        return self.naming.path


def require_kept(folder: Mapping[str, Template], seats: Iterable[Seat]) -> None:
    """Refuse seats whose holders CloudFormation would delete when they leave the template."""
    for seat in seats:
        template = folder[seat.naming.file]
        names = (seat.naming.logical_id, *_list_companions(template.body, seat))
        for name in names:
            policy = template.resources[name].get("DeletionPolicy", "Delete")
            if policy in KEEPING:
                continue
            path = join(seat.path.rpartition("/")[0], name)
            raise Refused(
                f"{path} has the DeletionPolicy {policy}: CloudFormation would delete it when "
                "another takes its place, and imports nothing that is not retained. Nothing was "
                "changed.",
                next_step="give it DeletionPolicy and UpdateReplacePolicy Retain and run "
                "inv update first",
            )


def leave_out(folder: Mapping[str, Template], seats: Collection[Seat]) -> dict[str, str]:
    """Return the templates' new texts without the seats' resources.

    Whatever reads one is given its successor's name or ARN. Raises `Refused` for what reads an
    attribute that only CloudFormation knows.
    """
    edited = _edit(folder, seats, _leave_out_one)
    return {file: _fill(text) for file, text in edited.items()}


def _fill(text: str) -> str:
    """Return a template with a resource that does nothing where none is left: it needs one."""
    body = json.loads(text)
    if body["Resources"]:
        return text
    return json.dumps({**body, "Resources": {PLACEHOLDER: {"Type": _NOTHING}}}, indent=1)


def take_in(folder: Mapping[str, Template], seats: Collection[Seat]) -> dict[str, str]:
    """Return the texts of `leave_out` with each seat's resource under its successor's name.

    All that reads one stays as `leave_out` has it: the import is then the only change, and no
    output is modified, which an import of its own kind may not do either.
    """

    def take(body: dict[str, Any], seat: Seat) -> None:
        logical_id = seat.naming.logical_id
        resource = _name(body["Resources"][logical_id], seat)
        following = {
            name: _follow(body["Resources"][name], seat) for name in _list_companions(body, seat)
        }
        _leave_out_one(body, seat)
        body["Resources"] |= {logical_id: resource, **following}

    return _edit(folder, seats, take)


def give_names(folder: Mapping[str, Template], seats: Collection[Seat]) -> dict[str, str]:
    """Return the texts with each seat's resource named as its successor, and nothing else changed.

    This is what a stack is created with over resources that are there already.
    """

    def name(body: dict[str, Any], seat: Seat) -> None:
        resources = body["Resources"]
        following = {name: _follow(resources[name], seat) for name in _list_companions(body, seat)}
        _name(resources[seat.naming.logical_id], seat)
        resources |= following

    return _edit(folder, seats, name)


def put_beside(folder: Mapping[str, Template], seats: Collection[Seat]) -> dict[str, str]:
    """Return the texts with each seat's successor beside what holds the seat now.

    Only to be proposed, never executed: whether AWS would import it is seen before anything is
    changed.
    """

    def put(body: dict[str, Any], seat: Seat) -> None:
        held = copy.deepcopy(body["Resources"][seat.naming.logical_id])
        body["Resources"][rehearsed_id(seat)] = _name(held, seat)

    return _edit(folder, seats, put)


def rehearsed_id(seat: Seat) -> str:
    """Return the logical ID under which a seat's successor is put beside it."""
    return f"{seat.naming.logical_id}{REHEARSED}"


def _edit(folder: Mapping[str, Template], seats: Collection[Seat], change: Any) -> dict[str, str]:
    """Return the texts of those templates that a change of each seat alters, as JSON."""
    bodies: dict[str, dict[str, Any]] = {}
    for seat in seats:
        file = seat.naming.file
        body = bodies.setdefault(file, copy.deepcopy(dict(folder[file].body)))
        change(body, seat)
    return {file: json.dumps(body, indent=1) for file, body in bodies.items()}


def _name(resource: dict[str, Any], seat: Seat) -> dict[str, Any]:
    """Write a successor's name into a resource, as text; return the resource."""
    resource.setdefault("Properties", {})[seat.naming.name_property] = seat.successor
    return resource


def _list_companions(body: Mapping[str, Any], seat: Seat) -> tuple[str, ...]:
    """Return the logical IDs of what a template identifies by the resource of a seat."""
    kinds = COMPANIONS.get(seat.naming.type, {})
    reference = {"Ref": seat.naming.logical_id}
    return tuple(
        logical_id
        for logical_id, resource in body["Resources"].items()
        if resource["Type"] in kinds
        and (resource.get("Properties") or {}).get(kinds[resource["Type"]]) == reference
    )


def _follow(resource: Mapping[str, Any], seat: Seat) -> dict[str, Any]:
    """Return a companion that names the seat's successor as text, and still comes after it."""
    written: dict[str, Any] = _read_successor(resource, seat)
    named = written.get("DependsOn") or []
    others = [named] if isinstance(named, str) else list(named)
    return {**written, "DependsOn": [*others, seat.naming.logical_id]}


def _leave_out_one(body: dict[str, Any], seat: Seat) -> None:
    """Take one resource out of a template and let its readers read its successor."""
    logical_id = seat.naming.logical_id
    for companion in _list_companions(body, seat):
        del body["Resources"][companion]
    del body["Resources"][logical_id]
    for resource in body["Resources"].values():
        _drop_dependency(resource, logical_id)
    for section in ("Resources", "Outputs"):
        if section in body:
            body[section] = _read_successor(body[section], seat)


def _drop_dependency(resource: dict[str, Any], logical_id: str) -> None:
    """Take one resource out of another's DependsOn."""
    named = resource.get("DependsOn")
    if named is None:
        return
    left = [one for one in ([named] if isinstance(named, str) else named) if one != logical_id]
    if left:
        resource["DependsOn"] = left
    else:
        del resource["DependsOn"]


def _read_successor(node: Any, seat: Seat) -> Any:
    """Return a part of a template with every reference to a resource as its successor's value."""
    if isinstance(node, list):
        return [_read_successor(item, seat) for item in node]
    if not isinstance(node, Mapping):
        return node
    if node == {"Ref": seat.naming.logical_id}:
        return seat.successor
    target = node.get("Fn::GetAtt")
    if isinstance(target, str):
        target = target.split(".", 1)
    if isinstance(target, list) and target and target[0] == seat.naming.logical_id:
        return _value_of(seat, str(target[1]))
    changed = {key: _read_successor(value, seat) for key, value in node.items()}
    if "Fn::Sub" in changed:
        changed["Fn::Sub"] = _substitute(changed["Fn::Sub"], seat)
    return changed


def _value_of(seat: Seat, attribute: str) -> str:
    """Return an attribute of a successor, as far as it is known without CloudFormation."""
    if attribute == "Arn" and seat.arn:
        return seat.arn
    raise Refused(
        f"Something reads {seat.path}.{attribute}, which only CloudFormation knows of a resource "
        "that it manages; so another cannot take its place. Nothing was changed.",
        next_step=f"take {attribute} out of what reads it, run inv update, then try again",
    )


def _substitute(value: Any, seat: Seat) -> Any:
    """Return the text of an `Fn::Sub` with a successor's values written in."""
    text = value[0] if isinstance(value, list) and value else value
    if not isinstance(text, str):
        return value
    own = value[1] if isinstance(value, list) and len(value) > 1 else {}
    if seat.naming.logical_id in own:
        return value
    pattern = re.compile(rf"\$\{{{re.escape(seat.naming.logical_id)}(?:\.(\w+))?\}}")

    def write(found: re.Match[str]) -> str:
        return _value_of(seat, found[1]) if found[1] else seat.successor

    written = pattern.sub(write, text)
    return [written, *value[1:]] if isinstance(value, list) else written
