"""Describe what an update would do to one resource, and keep secrets out of the description.

Pure: the words that change sets, template comparison and the data guard share.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

#: From harmless to harmful, for the three scales on which two opinions may differ.
REPLACEMENTS = ("False", "Conditional", "True")
RECREATIONS = ("", "Never", "Conditionally", "Always")
LOSSES = ("none", "possible", "certain")


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

    KEYS: ClassVar = {
        **{name: name for name in ("path", "type", "action", "replacement", "physical_id")},
        "causes": "properties",
        **{name: name for name in ("data_loss", "policy_action", "verdict")},
    }

    @property
    def properties(self) -> tuple[str, ...]:
        """Return the properties that differ, each once; their values may be secret."""
        return tuple(dict.fromkeys(cause.property for cause in self.causes))


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
