"""Describe what an update would do to one resource, and keep secrets out of the description.

Pure: the words that change sets, template comparison and the data guard share.
"""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lib.templates import templates

__all__ = ["MASK", "Cause", "Change", "join", "merge_causes", "pick_worst", "show_value"]

#: What CloudFormation itself shows instead of the value of a NoEcho parameter.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
MASK = "****"

#: Longer values are cut: a table of changes is read by people.
LONGEST_VALUE = 240

#: From harmless to harmful, for the three scales on which two opinions may differ.
REPLACEMENTS = ("False", "Conditional", "True")
RECREATIONS = ("", "Never", "Conditionally", "Always")
LOSSES = ("none", "possible", "certain")

_SECRET = re.compile(
    r"password|passphrase|secret|token|credential|(?:key.?material|private.?key|api.?key|access.?key)",
    re.IGNORECASE,
)
_HARMLESS = frozenset({"", "true", "false", "null"})


@dataclass(frozen=True)
class Cause:
    """One property that differs.

    `property` is its path, parts joined by "/" (`KeySchema`, `Environment/Variables/STAGE`);
    lists count as one value. `before` and `after` are masked text, "" where AWS gives none.
    `requires_recreation` is Never, Conditionally, Always or "". `source` says where the
    difference comes from, in AWS's words where it has any.
    """

    property: str
    before: str = ""
    after: str = ""
    requires_recreation: str = ""
    source: str = ""

    @builtins.property  # the field above hides the plain name from this class
    def name(self) -> str:
        """Return the name of the property at the top: `Environment`."""
        return self.property.split("/", 1)[0]


@dataclass(frozen=True)
class Change:
    """What would happen to one resource.

    `path` names it from the root stack (`DatabaseStack/JobsTable`). `action` is AWS's: Add,
    Modify, Remove, Import, Dynamic or SyncWithActual. `replacement` is True, False or
    Conditional; where an endpoint leaves it out, it is what the details allow to conclude,
    and Conditional when they allow nothing. `policy_action` is AWS's verdict (Delete, Retain,
    ReplaceAndDelete and so on), `drift` its ResourceDriftStatus, "" where not given. `source`
    is "change set", "templates" or "both". `data_loss` and `verdict` are filled in by
    `lib.data.loss.judge`.
    """

    path: str
    type: str
    action: str
    replacement: str = "False"
    physical_id: str = ""
    causes: tuple[Cause, ...] = ()
    policy_action: str = ""
    drift: str = ""
    source: str = "change set"
    data_loss: str = "none"
    verdict: str = ""


def pick_worst(scale: Sequence[str], *values: str) -> str:
    """Return the value that stands furthest on a scale; unknown values count as the worst."""
    return max(values, key=lambda v: scale.index(v) if v in scale else len(scale))


def merge_causes(causes: Sequence[Cause]) -> tuple[Cause, ...]:
    """Merge causes about one property and pair of values into one, keeping the first's place."""
    merged: dict[tuple[str, str, str], Cause] = {}
    for cause in causes:
        key = (cause.property, cause.before, cause.after)
        known = merged.get(key, cause)
        sources = dict.fromkeys(s for s in (known.source, cause.source) if s)
        worst = pick_worst(RECREATIONS, known.requires_recreation, cause.requires_recreation)
        merged[key] = Cause(*key, worst, ", ".join(sources))
    return tuple(merged.values())


def join(*parts: str) -> str:
    """Return a path out of its parts, leaving out empty ones."""
    return "/".join(part for part in parts if part)


def show_value(path: str, value: object, *, contexts: Sequence[object] = ()) -> str:
    """Return a property's value as text that may be shown, masked where it looks secret.

    `path` is the property's path with every list index in it. `contexts` are whole sets of
    properties around it: they tell that `Environment/2/Value` belongs to a variable named
    DB_PASSWORD.
    """
    text = _text(value)
    if text in _HARMLESS:
        return text
    if _SECRET.search(path) or any(_names_secret(path, context) for context in contexts):
        return MASK
    return _shorten(_mask_inside(value, text))


def _text(value: object) -> str:
    """Return a value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list | tuple):
        return templates.canonical(value)
    return "" if value is None else str(value)


def _shorten(text: str) -> str:
    """Cut a long text."""
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _names_secret(path: str, context: object) -> bool:
    """Tell whether a list item on the way to a property has a name that looks secret."""
    for part in path.split("/"):
        if isinstance(context, list) and part.isdecimal() and int(part) < len(context):
            context = context[int(part)]
        elif isinstance(context, Mapping) and part in context:
            context = context[part]
        else:
            return False
        if _is_secret_pair(context):
            return True
    return False


def _is_secret_pair(value: object) -> bool:
    """Recognise `{"Name": "DB_PASSWORD", "Value": …}` and its like."""
    if not isinstance(value, Mapping):
        return False
    names = (value.get(key) for key in ("Name", "Key", "name", "key", "ParameterKey"))
    return any(isinstance(name, str) and _SECRET.search(name) for name in names)


def _mask_inside(value: object, text: str) -> str:
    """Mask what is secret inside a structure, given as such or as its JSON text."""
    if isinstance(value, str):
        if value[:1] not in ("{", "["):
            return text
        try:
            value = json.loads(value)
        except ValueError:
            # A cut structure cannot be searched; if anything in it looks secret, all is.
            return MASK if _SECRET.search(text) else text
    if not isinstance(value, Mapping | list | tuple):
        return text
    return templates.canonical(_mask_structure(value))


def _mask_structure(value: Any) -> Any:
    """Return a structure with every secret-looking member masked."""
    if isinstance(value, list | tuple):
        return [_mask_structure(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if _is_secret_pair(value):
        named = ("Name", "Key", "name", "key", "ParameterKey")
        return {key: item if key in named else MASK for key, item in value.items()}
    return {key: _mask_member(str(key), item) for key, item in value.items()}


def _mask_member(key: str, value: Any) -> Any:
    """Return one member of a structure, masked when its key looks secret."""
    if _SECRET.search(key) and _text(value) not in _HARMLESS:
        return MASK
    return _mask_structure(value)
