"""Read one row of a change set: a ResourceChange, with its details and values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lib.templates.changes import REPLACEMENTS, Cause, Change, merge_causes, pick_worst
from lib.templates.templates import STACK_TYPE
from lib.values import show_difference

_RECREATION_TO_REPLACEMENT = {"Always": "True", "Conditionally": "Conditional", "Never": "False"}

#: Where a difference comes from when it is another resource's.
_OTHERS = frozenset({"ResourceReference", "ResourceAttribute"})

#: What a change set shows where a value is not known yet: "{{changeSet:KNOWN_AFTER_APPLY}}",
#: and in a nested stack "{{IntrinsicFunction:my-stack/Auth.Outputs.PoolArn/Fn::GetAtt}}" for the
#: output of another that is still to come.
#: https://github.com/aws/serverless-application-model/pull/3824
_PLACEHOLDER = re.compile(r"\{\{(?:changeSet:KNOWN_AFTER_APPLY|IntrinsicFunction:[^{}]*)\}\}")
_NOT_KNOWN_YET = "(known after the update)"

#: How a value begins that AWS shows only a digest of, with what that means.
_TOO_LONG = ("(Truncated-Signature):", "(too long to show)")

Row = Mapping[str, Any]


def merge(plain: Sequence[Row], valued: Iterable[Row]) -> tuple[Row, ...]:
    """Return the rows of two descriptions of one change set, the second one's with values.

    No row and no detail of either is lost. What the two say differently of one resource is told
    by the worse of both.
    """
    others = {(row.get("LogicalResourceId"), row.get("Action")): row for row in valued}
    merged = [
        _unite(row, others.pop((row.get("LogicalResourceId"), row.get("Action")), {}))
        for row in plain
    ]
    return (*merged, *others.values())


def _unite(plain: Row, valued: Row) -> Row:
    """Return two descriptions of one resource's change as one."""
    told = [row["Replacement"] for row in (plain, valued) if row.get("Replacement")]
    details = list(valued.get("Details") or ())
    shown = {_target(detail) for detail in details}
    details += [one for one in plain.get("Details") or () if _target(one) not in shown]
    united = {**plain, **valued, "Details": details}
    if told:
        united["Replacement"] = pick_worst(REPLACEMENTS, *told)
    return united


def _target(detail: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a detail is about and where it comes from."""
    target = detail.get("Target") or {}
    about = (target.get("Attribute"), target.get("Name"))
    return tuple(str(part or "") for part in (*about, *map(detail.get, _ORIGIN)))


_ORIGIN = ("ChangeSource", "CausingEntity", "Evaluation")


def read(row: Mapping[str, Any], path: str) -> Change:
    """Turn one ResourceChange into the `Change` of the resource at a path.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html
    """
    contexts = {
        "BeforeValue": _read_context(row.get("BeforeContext")),
        "AfterValue": _read_context(row.get("AfterContext")),
    }
    details = row.get("Details") or ()
    # The nested stack itself is never replaced; AWS's Replacement on it means nothing.
    is_stack = row.get("ResourceType") == STACK_TYPE
    return Change(
        path=path,
        type=row.get("ResourceType", ""),
        action=row.get("Action", ""),
        replacement="False" if is_stack else _read_replacement(row),
        physical_id=row.get("PhysicalResourceId") or "",
        causes=merge_causes([_read_cause(detail, contexts) for detail in details]),
        policy_action=row.get("PolicyAction") or "",
        drift=row.get("ResourceDriftStatus") or "",
    )


def _read_context(text: str | None) -> object:
    """Return the properties of a resource as a change set encodes them, {} when it does not."""
    try:
        context = json.loads(text or "{}")
    except ValueError:
        return {}
    return context.get("Properties", {}) if isinstance(context, dict) else {}


def _read_replacement(row: Mapping[str, Any]) -> str:
    """Return whether a resource is replaced; worked out where an endpoint does not say.

    AWS's rule: Always is True when the value is known and Conditional when it is not. No
    detail at all means that nobody knows.
    """
    if row.get("Action") not in ("Modify", "Dynamic"):
        # AWS says "Replacement: True" of resources that it adds, too, where it shows values.
        return "False"
    if row.get("Replacement"):
        return str(row["Replacement"])
    details = row.get("Details") or ()
    if not details:
        harmless = set(row.get("Scope") or ("Properties",)) - {"Properties"}
        return "False" if harmless == set(row.get("Scope") or ()) and harmless else "Conditional"
    return pick_worst(REPLACEMENTS, *map(_detail_replacement, details))


def _detail_replacement(detail: Mapping[str, Any]) -> str:
    """Return what one detail of a change means for the resource."""
    target = detail.get("Target") or {}
    if target.get("Attribute", "Properties") != "Properties":
        return "False"
    verdict = _RECREATION_TO_REPLACEMENT.get(target.get("RequiresRecreation", ""), "Conditional")
    return "Conditional" if verdict == "True" and detail.get("Evaluation") == "Dynamic" else verdict


def _read_cause(detail: Mapping[str, Any], contexts: Mapping[str, object]) -> Cause:
    """Turn one detail of a change into a `Cause`."""
    target = detail.get("Target") or {}
    path = str(target.get("Path") or "").strip("/").removeprefix("Properties/")
    name = str(target.get("Name") or target.get("Attribute") or "")
    texts = [_put_into_words(target.get(key)) for key in ("BeforeValue", "AfterValue")]
    before, after = show_difference(
        path or name, *texts, contexts=[contexts["BeforeValue"], contexts["AfterValue"]]
    )
    evaluation = detail.get("Evaluation") or ""
    origin = detail.get("ChangeSource") or ""
    return Cause(
        property=_stop_at_list(path) or name,
        before=before,
        after=after,
        requires_recreation=target.get("RequiresRecreation") or "",
        source=" ".join(part for part in (origin, detail.get("CausingEntity")) if part),
        evaluation=evaluation,
        # Beside the cause itself AWS lists "DirectModification" once more, as Dynamic.
        follows=origin in _OTHERS or evaluation == "Dynamic",
    )


def _stop_at_list(path: str) -> str:
    """Return a property path up to its first list index: KeySchema for `KeySchema/0/KeyType`."""
    parts = path.split("/")
    for position, part in enumerate(parts):
        if part.isdecimal() and position:
            return "/".join(parts[:position])
    return path


def _put_into_words(value: str | None) -> str:
    """Return a value of a change set with words where AWS shows none."""
    if value and value.startswith(_TOO_LONG[0]):
        return _TOO_LONG[1]
    return _PLACEHOLDER.sub(_NOT_KNOWN_YET, value or "")
