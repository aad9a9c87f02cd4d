"""Make change sets reach into nested stacks and show values, as CloudFormation documents.

From the user guide, "Change sets for nested stacks": with IncludeNestedStacks every nested
stack of a changing root is listed (ChangeSource Automatic, Evaluation Dynamic) with the
ChangeSetId of a change set of its own, which carries ParentChangeSetId and RootChangeSetId, is
CREATE_COMPLETE, and UNAVAILABLE with the reason "Executable from root change set". Only the
root is executed or deleted, the children with it, and nested stacks that the change set put
into REVIEW_IN_PROGRESS are deleted with it. API_ResourceTargetDefinition and
API_DescribeChangeSet give Path, BeforeValue, AfterValue, AttributeChangeType and the contexts.

Inferred, for AWS documents it nowhere: a child without changes is FAILED with the reason of a
root without changes while its parent stays executable; a removed nested stack has no change set
of its own; outputs of a nested stack that changes are only known after it, so whatever reads
them is a Dynamic change (reported as cloudformation-coverage-roadmap#759); executing or
deleting a child is refused with InvalidChangeSetStatus, the error both operations declare.
"""

from __future__ import annotations

import contextvars
import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

import ministack.services.cloudformation as cf
from ministack.core.responses import get_account_id, get_region, new_uuid, now_iso
from ministack.services.cloudformation import changesets, engine, handlers, helpers, stacks

from emulator import imports, nested_stacks, wire
from emulator.wire import Handler, Json, Response

KNOWN_AFTER_APPLY = "{{changeSet:KNOWN_AFTER_APPLY}}"
NO_CHANGES = (
    "The submitted information didn't contain changes. "
    "Submit different information to create a change set."
)
FROM_ROOT = "Executable from root change set"
FAMILY = ("IncludeNestedStacks", "ParentChangeSetId", "RootChangeSetId")
SHOWN_ATTRIBUTES = (
    "CreationPolicy",
    "DeletionPolicy",
    "Metadata",
    "UpdatePolicy",
    "UpdateReplacePolicy",
)


# Parameters of the nested stack under comparison whose values only the deployment will tell.
_unknown: contextvars.ContextVar[frozenset[str]] = contextvars.ContextVar(
    "unknown", default=frozenset()
)


@dataclass
class Foresight:
    """What can be known of a template's values before it is deployed."""

    template: Json
    params: Json
    conditions: Mapping[str, bool]
    resources: Json
    stack_name: str
    stack_id: str
    changes: Mapping[str, Json] = field(default_factory=dict)

    def knows(self, name: str, attribute: str | None) -> bool:
        """Return whether a reference to `name`, or to its `attribute`, keeps its value."""
        if name not in self.template.get("Resources", {}):
            return True
        change = self.changes.get(name, {})
        if attribute:
            matters = bool(change) and change.get("_matters", True)
        else:
            matters = change.get("Replacement", "False") != "False"
        return name in self.resources and not matters

    def value(self, raw: Any) -> Any:
        """Return `raw` with its intrinsic functions resolved as far as that is possible."""
        if isinstance(raw, list):
            items = [self.value(item) for item in raw]
            return [item for item in items if item is not engine._NO_VALUE]
        if not isinstance(raw, dict):
            return raw
        key = next(iter(raw), "")
        if len(raw) == 1 and (key == "Ref" or key.startswith("Fn::")):
            return self._of_function(key, raw)
        values = {name: self.value(item) for name, item in raw.items()}
        return {name: item for name, item in values.items() if item is not engine._NO_VALUE}

    def _of_function(self, key: str, raw: Json) -> Any:
        if key == "Fn::If":
            name, then, otherwise = raw[key]
            return self.value(then if self.conditions.get(name) else otherwise)
        if not all(self.knows(*reference) for reference in engine._intrinsic_references(raw)):
            return KNOWN_AFTER_APPLY
        try:
            return engine._resolve_refs(
                copy.deepcopy(raw),
                self.resources,
                self.params,
                self.conditions,
                self.template.get("Mappings", {}),
                self.stack_name,
                self.stack_id,
            )
        except (ValueError, KeyError, TypeError):
            # An attribute the record lacks, or a Select or Split over a placeholder.
            return KNOWN_AFTER_APPLY


def _shown(template: Json, params: Json, stack_name: str, stack_id: str) -> Json:
    """Return the resources of a template as a change set shows them, NoEcho values masked."""
    stack = cf._stacks.get(stack_name) or {}
    masked = {
        name: {**param, "Value": "****"} if param.get("NoEcho") else param
        for name, param in params.items()
    }
    foresight = Foresight(
        template,
        masked,
        engine._evaluate_conditions(template, params),
        stack.get("_resources", {}),
        stack_name,
        stack_id,
    )
    return {
        logical_id: {
            "Properties": foresight.value(definition.get("Properties") or {}),
            **{key: definition[key] for key in SHOWN_ATTRIBUTES if key in definition},
        }
        for logical_id, definition in template.get("Resources", {}).items()
    }


def _text(value: Any) -> str:
    """Return a value as change sets print it: text as it is, all else as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _add_values(target: Json, before: Json, after: Json) -> None:
    """Add path, kind of change and both values to the Target of one detail."""
    attribute, name = target["Attribute"], target.get("Name")
    if attribute in ("Properties", "Tags"):
        name = name or ("Tags" if attribute == "Tags" else None)
        if name is None:
            return
        path = f"/Properties/{name}"
        old, new = before["Properties"].get(name), after["Properties"].get(name)
    else:
        path, old, new = f"/{attribute}", before.get(attribute), after.get(attribute)
    target["Path"] = path
    target["AttributeChangeType"] = "Add" if old is None else "Remove" if new is None else "Modify"
    if old is not None:
        target["BeforeValue"] = _text(old)
    if new is not None:
        target["AfterValue"] = _text(new)


def _complete(change: Json, before: Json | None, after: Json | None) -> None:
    """Bring one ResourceChange into AWS's form: tags, nested stacks, contexts and values."""
    if before:
        change["BeforeContext"] = json.dumps(before, separators=(",", ":"))
    if after:
        change["AfterContext"] = json.dumps(after, separators=(",", ":"))
    if change["Action"] != "Modify":
        return
    for detail in change["Details"]:
        target = detail["Target"]
        if target["Attribute"] == "Properties" and target.get("Name") == "Tags":
            del target["Name"]
            target.update(Attribute="Tags", RequiresRecreation="Never")
        if change["ResourceType"] == nested_stacks.TYPE:
            target["RequiresRecreation"] = "Never"
        if before and after:
            _add_values(target, before, after)
    kept_type = change.get("Replacement") != "True" or any(
        detail["Target"]["RequiresRecreation"] == "Always" for detail in change["Details"]
    )
    change["Replacement"] = stacks._replacement(
        [d for d in change["Details"] if "RequiresRecreation" in d["Target"]], not kept_type
    )
    if change["ResourceType"] == nested_stacks.TYPE:
        change["Replacement"] = "False"
    if change["Replacement"] != "True":
        change.pop("PolicyAction", None)
    change["Scope"] = list(dict.fromkeys(d["Target"]["Attribute"] for d in change["Details"]))


def _automatic(logical_id: str, physical_id: str) -> Json:
    """Return the row every nested stack of a changing parent gets, whatever is inside."""
    return {
        "Action": "Modify",
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": physical_id,
        "ResourceType": nested_stacks.TYPE,
        "Replacement": "False",
        "Scope": ["Properties"],
        "Details": [],
    }


AUTOMATIC_DETAIL: Json = {
    "Target": {"Attribute": "Properties", "RequiresRecreation": "Never"},
    "Evaluation": "Dynamic",
    "ChangeSource": "Automatic",
}


def _fail(change_set: Json, reason: str) -> None:
    change_set.update(Status="FAILED", ExecutionStatus="UNAVAILABLE", StatusReason=reason)


def _list_nested_stacks(change_set: Json, *, include: bool) -> None:
    """Add a row for every nested stack of a changing stack, with `include` its change set too."""
    if change_set["Status"] == "FAILED":
        return
    stack = cf._stacks[change_set["StackName"]]
    template, params = change_set["_template"], change_set["_resolved_params"]
    conditions = engine._evaluate_conditions(template, params)
    rows = {
        c["ResourceChange"]["LogicalResourceId"]: c["ResourceChange"] for c in change_set["Changes"]
    }
    foresight = Foresight(
        template,
        params,
        conditions,
        stack["_resources"],
        stack["StackName"],
        stack["StackId"],
        rows,
    )
    for logical_id in engine._topological_sort(template.get("Resources", {}), conditions):
        definition = template["Resources"][logical_id]
        if definition.get("Type") != nested_stacks.TYPE:
            continue
        record = stack["_resources"].get(logical_id)
        if record:
            _touch(rows, logical_id, record["PhysicalResourceId"])
        row = rows[logical_id]
        if not include:
            continue
        child = _nested_change_set(change_set, row, foresight, definition, record)
        _join(change_set, row, child)
    change_set["Changes"] = [{"ResourceChange": rows[key]} for key in sorted(rows)]


def _touch(rows: Json, logical_id: str, physical_id: str) -> None:
    """Note on the row of a nested stack that it is looked into, whether it changes or not."""
    if rows.get(logical_id, {}).get("Action") == "Add":
        # Made by an update that failed after it and was not rolled back.
        del rows[logical_id]
    row = rows.setdefault(logical_id, _automatic(logical_id, physical_id))
    row["Details"].append(copy.deepcopy(AUTOMATIC_DETAIL))
    row["Scope"] = list(dict.fromkeys([*row["Scope"], "Properties"]))


def _join(change_set: Json, row: Json, child: Json) -> None:
    """Note a nested change set on its row; one that failed fails the change set above it."""
    row["ChangeSetId"] = child["ChangeSetId"]
    row["_matters"] = bool(child["Changes"]) or child["_outputs_change"]
    if child["Status"] == "FAILED" and child["StatusReason"] != NO_CHANGES:
        _fail(
            change_set,
            f"Nested change set {child['ChangeSetId']} was not successfully "
            "created: Currently in FAILED.",
        )


def _nested_change_set(
    parent: Json, row: Json, foresight: Foresight, definition: Json, record: Json | None
) -> Json:
    """Create and return the change set of one nested stack, those below it included."""
    stack = nested_stacks.by_id(record["PhysicalResourceId"]) if record else None
    kind = "UPDATE" if stack else "CREATE"
    if stack is None:
        owner, logical_id = cf._stacks[parent["StackName"]], row["LogicalResourceId"]
        reserved = nested_stacks.child_of(owner, logical_id)
        stack = reserved or nested_stacks.reserve(owner, logical_id)
    change_set = _empty(parent, row, stack, kind)
    imports.hand_on(parent, change_set)
    cf._change_sets[change_set["ChangeSetId"]] = change_set
    props = foresight.value(definition.get("Properties") or {})
    try:
        unknown = _read(change_set, props)
    except ValueError as problem:
        _fail(change_set, str(problem))
        return change_set
    retagged = "Tags" in row.get("Scope", []) and kind == "UPDATE"
    _compare(change_set, stack, unknown, retagged=retagged)
    if objection := imports.take_over(change_set):
        _fail(change_set, objection)
    elif not change_set["Changes"] and not change_set["_outputs_change"]:
        _fail(change_set, NO_CHANGES)
    _list_nested_stacks(change_set, include=True)
    return change_set


def _empty(parent: Json, row: Json, stack: Json, kind: str) -> Json:
    """Return a nested change set as it is before its template has been read."""
    name = nested_stacks.suffixed(f"{parent['ChangeSetName']}-{row['LogicalResourceId']}")
    return {
        "ChangeSetId": f"arn:aws:cloudformation:{get_region()}:{get_account_id()}:"
        f"changeSet/{name}/{new_uuid()}",
        "ChangeSetName": name,
        "StackId": stack["StackId"],
        "StackName": stack["StackName"],
        "Status": "CREATE_COMPLETE",
        "ExecutionStatus": "UNAVAILABLE",
        "StatusReason": FROM_ROOT,
        "CreationTime": now_iso(),
        "Description": parent["Description"],
        "ChangeSetType": kind,
        "Changes": [],
        "Parameters": [],
        "Tags": list(stack["Tags"]),
        "Capabilities": list(parent["Capabilities"]),
        "IncludeNestedStacks": True,
        "ParentChangeSetId": parent["ChangeSetId"],
        "RootChangeSetId": parent.get("RootChangeSetId") or parent["ChangeSetId"],
        "_template": {},
        "_template_body": "",
        "_resolved_params": {},
        "_outputs_change": kind == "CREATE",
    }


def _read(change_set: Json, props: Json) -> frozenset[str]:
    """Put template and parameters on a nested change set; return the parameters not known yet.

    Raise ValueError, in CloudFormation's words, for what would fail the nested stack.
    """
    body, template = nested_stacks.read_template(props.get("TemplateURL", ""))
    required = handlers._required_iam_capabilities(template)
    missing = handlers._missing_capabilities(set(change_set["Capabilities"]), required)
    if missing and handlers._capabilities_enforced():
        raise ValueError(handlers._insufficient_capabilities_message(missing))
    params, unknown = _parameters(template, props)
    conditions = engine._evaluate_conditions(template, params)
    engine.validate_template_support(template, conditions, params=params)
    change_set.update(
        _template=template,
        _template_body=body,
        _resolved_params=params,
        Parameters=[
            {"ParameterKey": key, "ParameterValue": param["Value"]} for key, param in params.items()
        ],
    )
    return unknown


def _compare(change_set: Json, stack: Json, unknown: frozenset[str], *, retagged: bool) -> None:
    """Put on a nested change set how its template differs from what is deployed."""
    template, params = change_set["_template"], change_set["_resolved_params"]
    deployed, current = stack["_template"], stack["_resolved_params"]
    where = (stack["StackName"], stack["StackId"])
    token = _unknown.set(unknown)
    try:
        change_set["Changes"] = changesets._diff_resources(
            changesets._resolve_props_for_diff(deployed, current, *where),
            changesets._resolve_props_for_diff(template, params, *where),
            stack["_resources"],
            template,
            _changed(params, current),
            stack["_resources"] if retagged else (),
        )
    finally:
        _unknown.reset(token)
    if outputs_differ(stack, template, params):
        change_set["_outputs_change"] = True


def _changed(params: Json, current: Json) -> set[str]:
    """Return the names of the parameters whose values differ from the deployed ones."""
    return {
        key for key, param in params.items() if current.get(key, {}).get("Value") != param["Value"]
    }


def outputs_differ(stack: Json, template: Json, params: Json) -> bool:
    """Return whether the Outputs of a template, exports included, differ from the deployed."""
    outputs = template.get("Outputs") or {}
    if outputs != (stack["_template"].get("Outputs") or {}):
        return True
    changed = _changed(params, stack["_resolved_params"])
    return any(name in changed for name, _ in engine._intrinsic_references(outputs))


def _parameters(template: Json, props: Json) -> tuple[Json, frozenset[str]]:
    """Return a nested stack's parameters and the names of those that are not known yet.

    A value that is not known cannot be held against constraints, so they are left out.
    """
    given = nested_stacks.given_parameters(props)
    unknown = frozenset(p["Key"] for p in given if KNOWN_AFTER_APPLY in p["Value"])
    declared = template.get("Parameters", {})
    relaxed = {
        name: {"Type": "String", "NoEcho": definition.get("NoEcho", "false")}
        if name in unknown
        else definition
        for name, definition in declared.items()
    }
    params: Json = engine._resolve_parameters({**template, "Parameters": relaxed}, given)
    for name in unknown & params.keys():
        params[name]["Type"] = declared[name].get("Type", "String")
    return params, unknown


def _sweep() -> None:
    """Drop the nested change sets, and the stacks under review, whose root is gone."""
    for change_set_id, change_set in cf._change_sets.items():
        root = change_set.get("RootChangeSetId")
        if not root or root in cf._change_sets:
            continue
        cf._change_sets.pop(change_set_id, None)
        stack = cf._stacks.get(change_set["StackName"])
        others = {one["StackName"] for one in cf._change_sets.values()}
        if change_set["StackName"] in others:
            continue  # Another change set of the same root is going to fill it.
        if stack and stack["StackStatus"] == "REVIEW_IN_PROGRESS":
            cf._stacks.pop(change_set["StackName"], None)
            cf._stack_events.pop(change_set["StackId"], None)


def _by_name(params: Json) -> Json:
    """Return `params` with a stack's ARN replaced by its name, under which upstream looks."""
    stack = handlers._resolve_stack(helpers._p(params, "StackName"))
    return {**params, "StackName": [stack["StackName"]]} if stack else params


def _find(params: Json) -> Json | None:
    found: Json | None = changesets._find_change_set(
        helpers._p(params, "ChangeSetName"), helpers._p(params, "StackName")
    )[1]
    return found


def _show_change(member: ET.Element, shown: Json, *, with_values: bool) -> None:
    """Add to one change what upstream keeps and does not tell."""
    element = wire.member(member, "ResourceChange")
    wire.put(element, shown, "ChangeSetId")
    if not with_values:
        return
    wire.put(element, shown, "BeforeContext", "AfterContext")
    details = zip(wire.member(element, "Details"), shown.get("Details", []), strict=True)
    for line, detail in details:
        target = wire.member(line, "Target")
        names = ("Path", "BeforeValue", "AfterValue", "AttributeChangeType")
        wire.put(target, detail["Target"], *names)


#: Where AWS begins another page.
_PAGE = 1024 * 1024  # bytes


def _cut_to_page(result: ET.Element, members: ET.Element, start: int) -> None:
    """Leave one page of changes, the one that begins with number `start`, and name the next."""
    size = 0
    for number, one in enumerate(list(members)):
        size += len(ET.tostring(one)) if number >= start else 0
        if number < start or (size > _PAGE and number > start):
            members.remove(one)
        if number > start and size > _PAGE and result.find("{*}NextToken") is None:
            wire.put(result, {"NextToken": str(number)}, "NextToken")


def _describe(upstream: Handler) -> Handler:
    def describe(params: Json) -> Response:
        params = _by_name(params)
        response = upstream(params)
        change_set = _find(params)
        if response[0] != wire.OK or change_set is None:
            return response
        with_values = wire.is_true(params, "IncludePropertyValues")

        def amend(result: ET.Element) -> None:
            wire.put(result, change_set, *FAMILY)
            if change_set.get("DeploymentConfig"):
                wire.put(result, change_set, "DeploymentConfig")
            members = wire.member(result, "Changes")
            for member, change in zip(members, change_set["Changes"], strict=True):
                _show_change(member, change["ResourceChange"], with_values=with_values)
            _cut_to_page(result, members, int(wire.given(params, "NextToken") or 0))

        return wire.amend(response, amend)

    return describe


def _list(upstream: Handler) -> Handler:
    def list_all(params: Json) -> Response:
        response = upstream(_by_name(params))
        if response[0] != 200:
            return response

        def amend(result: ET.Element) -> None:
            for member in wire.member(result, "Summaries"):
                change_set = cf._change_sets[wire.member(member, "ChangeSetId").text]
                wire.put(member, change_set, *FAMILY)

        return wire.amend(response, amend)

    return list_all


def allow_outputs_alone() -> None:
    """Make a change set executable that changes outputs and no resource: it lists no rows."""

    def allow(params: Json) -> None:
        change_set = _find(_by_name(params)) or {}
        if change_set.get("StatusReason") != NO_CHANGES or change_set["ChangeSetType"] != "UPDATE":
            return
        stack = cf._stacks[change_set["StackName"]]
        if outputs_differ(stack, change_set["_template"], change_set["_resolved_params"]):
            change_set.update(
                Status="CREATE_COMPLETE", ExecutionStatus="AVAILABLE", StatusReason=""
            )

    wire.after(["CreateChangeSet"], allow)


def _create(upstream: Handler) -> Handler:
    def create(params: Json) -> Response:
        response = upstream(params)
        found = re.search(rb"<Id>(.*?)</Id>", response[2])
        if response[0] != 200 or found is None:
            return response
        change_set = cf._change_sets[found[1].decode()]
        include = helpers._p(params, "IncludeNestedStacks", "false").lower() == "true"
        change_set["IncludeNestedStacks"] = include
        imports.note(change_set, params)
        if change_set["ChangeSetType"] != "IMPORT":
            _list_nested_stacks(change_set, include=include)
        return response

    return create


def _from_root_only(upstream: Handler, verb: str) -> Handler:
    def act(params: Json) -> Response:
        params = _by_name(params)
        change_set = _find(params)
        if change_set and change_set.get("RootChangeSetId"):
            refusal: Response = helpers._error(
                "InvalidChangeSetStatus",
                f"ChangeSet [{change_set['ChangeSetId']}] is a nested change set and can only be "
                f"{verb} from its root change set [{change_set['RootChangeSetId']}]",
            )
            return refusal
        response = upstream(params)
        _sweep()
        return response

    return act


def _swept(upstream: Handler) -> Handler:
    def act(params: Json) -> Response:
        response = upstream(params)
        _sweep()
        return response

    return act


def _compare_what_is_active() -> None:
    """Compare only what Conditions leave, show values, and know which are not known."""
    resolve, diff = changesets._resolve_props_for_diff, changesets._diff_resources
    reference_details = stacks._reference_details

    def resolve_active(template: Json, params: Json, stack_name: str, stack_id: str) -> Json:
        resolved: Json = resolve(template, params, stack_name, stack_id)
        if not template:
            return resolved
        conditions = engine._evaluate_conditions(template, params)
        resolved["Resources"] = {
            logical_id: definition
            for logical_id, definition in resolved["Resources"].items()
            if conditions.get(definition.get("Condition"), True)
        }
        resolved["_shown"] = _shown(template, params, stack_name, stack_id)
        return resolved

    def diff_with_values(old: Json, new: Json, *more: Any) -> list[Json]:
        changes: list[Json] = diff(old, new, *more)
        for change in changes:
            row = change["ResourceChange"]
            logical_id, action = row["LogicalResourceId"], row["Action"]
            before = old.get("_shown", {}).get(logical_id) if action != "Add" else None
            after = new.get("_shown", {}).get(logical_id) if action != "Remove" else None
            _complete(row, before, after)
        return changes

    def details_with_unknowns(definition: Json, *more: Any) -> Json:
        found: Json = reference_details(definition, *more)
        for detail in [detail for details in found.values() for detail in details]:
            if detail["CausingEntity"] in _unknown.get():
                detail["Evaluation"] = "Dynamic"
        return found

    changesets._resolve_props_for_diff = resolve_active
    changesets._diff_resources = diff_with_values
    stacks._reference_details = details_with_unknowns


def install() -> None:
    """Put the nested behaviour around upstream's change sets."""
    track = changesets._track_change_set_execution

    async def track_whole_tree(change_set: Json, stack: Json, deploy: Any) -> None:
        await track(change_set, stack, deploy)
        for nested in cf._change_sets.values():
            if nested.get("RootChangeSetId") == change_set["ChangeSetId"]:
                nested["ExecutionStatus"] = change_set["ExecutionStatus"]

    _compare_what_is_active()
    changesets._track_change_set_execution = track_whole_tree
    actions = handlers._ACTION_HANDLERS
    actions["CreateChangeSet"] = _create(actions["CreateChangeSet"])
    actions["DescribeChangeSet"] = _describe(actions["DescribeChangeSet"])
    actions["ListChangeSets"] = _list(actions["ListChangeSets"])
    actions["ExecuteChangeSet"] = _from_root_only(actions["ExecuteChangeSet"], "executed")
    actions["DeleteChangeSet"] = _from_root_only(actions["DeleteChangeSet"], "deleted")
    actions["DeleteStack"] = _swept(actions["DeleteStack"])
