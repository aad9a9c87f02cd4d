"""Refactor stacks: move resources between stacks, or rename them, without touching them.

Upstream has no such operation. A refactor is validated at once, where AWS takes a while; it is
forgotten when the emulator stops. Sources of the literal texts: emulator/sources.py.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from ministack.core.responses import new_uuid, now_iso
from ministack.services.cloudformation import engine, handlers, helpers, provisioners, stacks

from emulator import nested_stacks, requests, wire
from emulator.wire import Json, Response

#: Of AWS's list, the types that the application has or may come to have.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-refactoring.html
UNSUPPORTED = frozenset(
    {
        "AWS::CertificateManager::Certificate",
        "AWS::CloudFormation::CustomResource",
        "AWS::CloudFormation::WaitCondition",
        "AWS::CloudFormation::WaitConditionHandle",
        "AWS::Cognito::UserPoolUserToGroupAttachment",
        "AWS::DynamoDB::GlobalTable",
        "AWS::EC2::EIP",
        "AWS::EC2::LaunchTemplate",
        "AWS::Lambda::EventInvokeConfig",
    }
)
MOST_STACKS = 5
_FIXED = ("Parameters", "Conditions", "Mappings")

Place = tuple[str, str]


@dataclass
class _Refactor:
    """One refactor: the stacks it is about, with the templates they are to have, and its moves."""

    id: str
    description: str
    definitions: dict[str, tuple[str, Json]]
    moves: dict[Place, Place]
    stamps: dict[str, str] = field(default_factory=dict)
    status: str = "CREATE_COMPLETE"
    reason: str = ""
    execution: str = "AVAILABLE"
    execution_reason: str = ""


_refactors: dict[str, _Refactor] = {}


def _members(params: Json, name: str) -> Iterator[str]:
    """Yield the prefix of each member of a list in a request."""
    number = 1
    while any(key.startswith(f"{name}.member.{number}.") for key in params):
        yield f"{name}.member.{number}"
        number += 1


def _stack(name: str) -> Json | None:
    stack: Json | None = handlers._resolve_stack(name)
    return stack


def _create(params: Json) -> Response:
    """Take a refactor, and validate it: what is wrong makes it CREATE_FAILED."""
    definitions: dict[str, tuple[str, Json]] = {}
    for prefix in _members(params, "StackDefinitions"):
        name = wire.given(params, f"{prefix}.StackName")
        stack = _stack(name)
        if stack is None:
            return wire.refuse(f"Stack [{name}] does not exist")
        body, problem = helpers._resolve_template(
            {key: params.get(f"{prefix}.{key}", [""]) for key in ("TemplateBody", "TemplateURL")}
        )
        if problem is not None:
            refused: Response = problem
            return refused
        definitions[stack["StackName"]] = (body, engine._parse_template(body))
    if not definitions:
        return wire.refuse("StackDefinitions must have length greater than or equal to 1")
    made = _Refactor(
        new_uuid(), wire.given(params, "Description"), definitions, _read_mappings(params)
    )
    made.stamps = {name: _stamp(name) for name in definitions}
    made.reason = _find_fault(made)
    if made.reason:
        made.status, made.execution = "CREATE_FAILED", "UNAVAILABLE"
    _refactors[made.id] = made
    return _answer("CreateStackRefactor", _tag("StackRefactorId", made.id))


def _read_mappings(params: Json) -> dict[Place, Place]:
    """Return the moves that a request spells out."""

    def read(prefix: str) -> Place:
        name = wire.given(params, f"{prefix}.StackName")
        stack = _stack(name)
        return stack["StackName"] if stack else name, wire.given(
            params, f"{prefix}.LogicalResourceId"
        )

    return {
        read(f"{prefix}.Source"): read(f"{prefix}.Destination")
        for prefix in _members(params, "ResourceMappings")
    }


def _stamp(name: str) -> str:
    """Return what tells whether a stack was updated since."""
    stack = _stack(name) or {}
    return f"{stack.get('LastUpdatedTime')} {stack.get('_template_body')}"


def _find_fault(made: _Refactor) -> str:
    """Return, in AWS's words where they are known, what keeps a refactor from being made."""
    if len(made.definitions) > MOST_STACKS:
        return f"A stack refactor takes at most {MOST_STACKS} stacks."
    for name, (_, template) in made.definitions.items():
        stack = _stack(name) or {}
        if fault := _find_fault_of(stack, template):
            return f"{stack['StackId']}: {fault}"
    for (source, logical_id), destination in made.moves.items():
        before, after = _definition(made, source, logical_id), _definition(made, *destination)
        if logical_id not in (_stack(source) or {}).get("_resources", {}):
            return f"The resource {logical_id} does not exist in stack {source}."
        if (source, logical_id) != destination and (before is not None or after is None):
            return (
                f"The resource {logical_id} defined in the resources mapping did no move from its "
                f"original stack {source}. Review your stack template desired state."
            )
    return _find_other_change(made)


def _find_fault_of(stack: Json, template: Json) -> str:
    """Return what is wrong with one stack of a refactor, or with the template it is to have."""
    if stack["StackStatus"] not in requests.STABLE:
        return f"is in {stack['StackStatus']} state and can not be refactored."
    if stack.get("_stack_policy"):
        return "Stack Refactor does not support stacks with a stack policy."
    if not template.get("Resources"):
        return "Stack Refactor does not support empty stacks."
    for section in _FIXED:
        if (template.get(section) or {}) != (stack["_template"].get(section) or {}):
            return f"{section} cannot be changed during refactor operations."
    return ""


def _definition(made: _Refactor, name: str, logical_id: str) -> Json | None:
    """Return what a stack's new template says of a resource, None for nothing."""
    if name not in made.definitions:
        return None
    found: Json | None = made.definitions[name][1]["Resources"].get(logical_id)
    return found


def _find_other_change(made: _Refactor) -> str:
    """Return what a refactor would do beside moving: nothing of that is permitted."""
    back = {destination: source for source, destination in made.moves.items()}
    gone = {
        (name, logical_id)
        for name in made.definitions
        for logical_id in (_stack(name) or {})["_resources"]
        if _definition(made, name, logical_id) is None
    }
    for name, (_, template) in made.definitions.items():
        for logical_id, definition in template["Resources"].items():
            place = (name, logical_id)
            owner = (_stack(name) or {})["_resources"]
            if place not in back and logical_id not in owner:
                origin = _detect(definition, logical_id, gone)
                if origin is None:
                    if not _exists(name, template, definition):
                        continue
                    return _not_permitted("Add")
                made.moves[origin] = place
                back[place] = origin
            source = back.get(place, place)
            record = (_stack(source[0]) or {})["_resources"][source[1]]
            if fault := _compare(made, place, definition, record, moved=place in back):
                return fault
    return _not_permitted("Remove") if gone - set(made.moves) else ""


def _exists(name: str, template: Json, definition: Json) -> bool:
    """Tell whether a resource's condition holds."""
    stack = _stack(name) or {}
    conditions = engine._evaluate_conditions(template, stack["_resolved_params"])
    return "Condition" not in definition or bool(conditions.get(definition["Condition"]))


def _detect(definition: Json, logical_id: str, gone: set[Place]) -> Place | None:
    """Return where a resource without a mapping comes from: one of its name and type has gone."""
    for source, name in sorted(gone):
        record = (_stack(source) or {})["_resources"][name]
        if name == logical_id and record["ResourceType"] == definition["Type"]:
            return source, name
    return None


def _not_permitted(action: str) -> str:
    return f"Found an action type that is not permitted during refactor operations: {action}"


def _compare(made: _Refactor, place: Place, definition: Json, record: Json, *, moved: bool) -> str:
    """Return why a resource cannot be where it is to be: of no type for it, or not the same."""
    kind = definition["Type"]
    if moved and (kind in UNSUPPORTED or kind == nested_stacks.TYPE or kind.startswith("Custom::")):
        stack = _stack(place[0]) or {}
        return f"{stack['StackId']}: Stack Refactor does not support {kind}."
    if kind != record["ResourceType"]:
        return _not_permitted("Modify")
    try:
        wanted = _resolve(made, place[0], definition.get("Properties") or {})
    except (KeyError, TypeError, ValueError) as problem:
        return str(problem)
    return "" if wanted == record["Properties"] else _not_permitted("Modify")


def _resolve(made: _Refactor, name: str, raw: Any) -> Any:
    """Return a value as it comes to in a stack once everything has moved."""
    stack, template = _stack(name) or {}, made.definitions[name][1]
    return engine._resolve_refs(
        copy.deepcopy(raw),
        _moved_resources(made, name),
        stack["_resolved_params"],
        stack["_conditions"],
        template.get("Mappings", {}),
        name,
        stack["StackId"],
    )


def _moved_resources(made: _Refactor, name: str) -> Json:
    """Return the resources of a stack as they are once everything has moved."""
    left = {logical_id for source, logical_id in made.moves if source == name}
    kept = {k: v for k, v in (_stack(name) or {})["_resources"].items() if k not in left}
    come = {
        logical_id: (_stack(source) or {})["_resources"][old]
        for (source, old), (owner, logical_id) in made.moves.items()
        if owner == name
    }
    return {**kept, **come}


def _execute(params: Json) -> Response:
    """Carry a refactor out: records and templates change hands, no resource is touched."""
    made = _refactors.get(wire.given(params, "StackRefactorId"))
    if made is None:
        return _unknown(params)
    stale = next((n for n, stamp in made.stamps.items() if _stamp(n) != stamp), "")
    if stale and made.execution == "AVAILABLE":
        stack = _stack(stale) or {}
        made.execution = "OBSOLETE"
        made.execution_reason = f"{stack.get('StackId', stale)}: Stack was updated."
    if made.execution != "AVAILABLE":
        return wire.refuse(
            f"Stack refactor {made.id} cannot be executed in its current status of "
            f"[{made.execution}]"
        )
    resources = {name: _moved_resources(made, name) for name in made.definitions}
    for source, destination in made.moves.items():
        _retag(source, destination)
    for name, found in resources.items():
        _settle(made, name, found)
    made.execution = "EXECUTE_COMPLETE"
    return _answer("ExecuteStackRefactor", "")


def _tagged(place: Place, record: Json) -> Json:
    """Return a resource's properties with the tags that its stack at this place gives it."""
    stack = _stack(place[0]) or {}
    props: Json = provisioners._with_stack_tags(
        record["ResourceType"],
        record["Properties"],
        stack.get("Tags") or [],
        place[0],
        stack["StackId"],
        place[1],
    )
    return props


def _retag(source: Place, destination: Place) -> None:
    """Give a resource the tags of its new stack in the place of those of its old one."""
    record = (_stack(source[0]) or {})["_resources"][source[1]]
    before, after = _tagged(source, record), _tagged(destination, record)
    if before == after:
        return
    # By its old place: upstream derives a name from that, and makes anew what has another.
    token = provisioners._NAME_SEED.set(record.get("_name_seed", ""))
    try:
        provisioners._update_resource(
            record["ResourceType"], record["PhysicalResourceId"], before, after, *source, None
        )
    finally:
        provisioners._NAME_SEED.reset(token)


def _settle(made: _Refactor, name: str, resources: Json) -> None:
    """Give a stack its new template and the resources that it now has, and tell of it."""
    stack, (body, template) = _stack(name) or {}, made.definitions[name]
    stack_id = stack["StackId"]
    stacks._add_event(stack_id, name, name, nested_stacks.TYPE, "UPDATE_IN_PROGRESS", "", stack_id)
    for logical_id, record in resources.items():
        if stack["_resources"].get(logical_id) is record:
            continue
        record["LogicalResourceId"] = logical_id
        keep_name(stack, logical_id, record)
        record["ResourceStatus"] = "UPDATE_COMPLETE"
        arguments = (stack_id, name, logical_id, record["ResourceType"])
        stacks._add_event(*arguments, "IMPORT_COMPLETE", "", record["PhysicalResourceId"])
    stack.update(
        _template=template,
        _template_body=body,
        _resources=resources,
        LastUpdatedTime=now_iso(),
        StackStatus="UPDATE_COMPLETE",
        StackStatusReason="",
    )
    stack.pop("_undo", None)
    stack["Outputs"] = _outputs(stack, template, resources)
    stacks._add_event(stack_id, name, name, nested_stacks.TYPE, "UPDATE_COMPLETE", "", stack_id)


def keep_name(stack: Json, logical_id: str, record: Json) -> None:
    """Have a resource keep its name in a stack that would have given it another.

    Upstream derives the name of a resource without one from its stack and its logical ID, and an
    update that finds another makes it anew. The seed changes with a replacement that is one.
    """
    stack.setdefault("_kept_names", {})[logical_id] = {
        "seed": record.get("_name_seed", ""),
        "name": record["PhysicalResourceId"],
    }


def _honour_kept_names() -> None:
    upstream = provisioners._physical_name

    def physical_name(stack_name: str, logical_id: str, **more: Any) -> str:
        kept = ((_stack(stack_name) or {}).get("_kept_names") or {}).get(logical_id)
        if kept and kept["seed"] == provisioners._NAME_SEED.get():
            name: str = kept["name"]
            return name
        derived: str = upstream(stack_name, logical_id, **more)
        return derived

    nested_stacks.patch("_physical_name", physical_name)


def _outputs(stack: Json, template: Json, resources: Json) -> list[Json]:
    found: list[Json]
    found, _exports = stacks._resolve_stack_outputs(
        template.get("Outputs", {}),
        stack["_conditions"],
        resources,
        stack["_resolved_params"],
        template.get("Mappings", {}),
        stack["StackName"],
        stack["StackId"],
    )
    return found


def _describe(params: Json) -> Response:
    made = _refactors.get(wire.given(params, "StackRefactorId"))
    if made is None:
        return _unknown(params)
    ids = "".join(_tag("member", (_stack(name) or {}).get("StackId", name)) for name in made.stamps)
    shown = [
        _tag("StackRefactorId", made.id),
        f"<StackIds>{ids}</StackIds>",
        *([_tag("Description", made.description)] if made.description else []),
        _tag("Status", made.status),
        *([_tag("StatusReason", made.reason)] if made.reason else []),
        _tag("ExecutionStatus", made.execution),
        *([_tag("ExecutionStatusReason", made.execution_reason)] if made.execution_reason else []),
    ]
    return _answer("DescribeStackRefactor", "".join(shown))


def _list_actions(params: Json) -> Response:
    """List one MOVE for each resource, as AWS does before and after the execution."""
    made = _refactors.get(wire.given(params, "StackRefactorId"))
    if made is None:
        return _unknown(params)
    moves = made.moves.items() if made.status == "CREATE_COMPLETE" else ()
    rows = "".join(_draw_action(source, destination) for source, destination in moves)
    return _answer(
        "ListStackRefactorActions", f"<StackRefactorActions>{rows}</StackRefactorActions>"
    )


def _draw_action(source: Place, destination: Place) -> str:
    def draw(kind: str, place: Place) -> str:
        stack_id = (_stack(place[0]) or {})["StackId"]
        inner = _tag("StackName", stack_id) + _tag("LogicalResourceId", place[1])
        return f"<{kind}>{inner}</{kind}>"

    owner = (_stack(source[0]) or {})["_resources"].get(source[1])
    record = owner or (_stack(destination[0]) or {})["_resources"][destination[1]]
    return (
        "<member>"
        + _tag("Action", "MOVE")
        + _tag("Entity", "RESOURCE")
        + _tag("PhysicalResourceId", record["PhysicalResourceId"])
        + _tag("Description", "No configuration changes detected.")
        + _tag("Detection", "MANUAL")
        + _draw_tags(source, destination, record)
        + f"<ResourceMapping>{draw('Source', source)}{draw('Destination', destination)}"
        "</ResourceMapping></member>"
    )


def _draw_tags(source: Place, destination: Place, record: Json) -> str:
    """Return the tags that a move brings and takes: those of the stacks, and AWS's own."""
    kind = record["ResourceType"]
    spec = provisioners._STACK_TAG_PROPERTY.get(kind)
    if spec is None:
        return ""
    here, there = (
        provisioners._tag_map(_tagged(place, record).get(spec[0]))
        for place in (source, destination)
    )
    comes = {key: value for key, value in there.items() if here.get(key) != value}
    added = "".join(
        f"<member>{_tag('Key', key)}{_tag('Value', value)}</member>" for key, value in comes.items()
    )
    gone = "".join(_tag("member", key) for key in here if here[key] != there.get(key))
    return f"<TagResources>{added}</TagResources><UntagResources>{gone}</UntagResources>"


def _tag(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _answer(action: str, inner: str) -> Response:
    answer: Response = helpers._xml(
        wire.OK, f"{action}Response", f"<{action}Result>{inner}</{action}Result>"
    )
    return answer


def _unknown(params: Json) -> Response:
    name = wire.given(params, "StackRefactorId")
    return wire.refuse(f"Stack refactor {name} not found", "StackRefactorNotFoundException")


def install() -> None:
    """Answer the four operations that upstream does not know."""
    _honour_kept_names()
    handlers._ACTION_HANDLERS.update(
        CreateStackRefactor=_create,
        DescribeStackRefactor=_describe,
        ExecuteStackRefactor=_execute,
        ListStackRefactorActions=_list_actions,
    )
