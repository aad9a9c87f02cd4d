"""Describe what an update would do to one resource, and keep secrets out of the description.

Pure: the words that change sets, template comparison and the data guard share.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

#: From harmless to harmful, for the three scales on which two opinions may differ.
REPLACEMENTS = ("False", "Conditional", "True")
RECREATIONS = ("", "Never", "Conditionally", "Always")
EVALUATIONS = ("Dynamic", "", "Static")
LOSSES = ("none", "possible", "certain")


@dataclass(frozen=True)
class Cause:
    """One property that differs.

    `property` is its path, parts joined by "/" (`KeySchema`, `Environment/Variables/STAGE`);
    lists count as one value. `before` and `after` are masked text, "" where AWS gives none.
    `requires_recreation` is Never, Conditionally, Always or "". `source` says where the
    difference comes from, in AWS's words where it has any. `evaluation` is AWS's Static or
    Dynamic, or ours; "" where nobody says. `follows` is True of a difference that is there only
    because another resource changes. `yields` is True of an opinion of ours that AWS's own
    word, once certain, overrules.
    """

    KEYS: ClassVar = {name: name for name in ("property", "before", "after")}

    property: str
    before: str = ""
    after: str = ""
    requires_recreation: str = ""
    source: str = ""
    evaluation: str = ""
    follows: bool = False
    yields: bool = False

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
    is "change set", "templates" or "both". `proof` says why a replacement that AWS cannot rule
    out does not happen, None where nothing had to be proven; `lib.templates.proofs` fills it
    in. `data_loss` and `verdict` are filled in by `lib.data.loss.judge`.
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
    proof: str | None = None
    data_loss: str = "none"
    verdict: str = ""

    KEYS: ClassVar = {
        **{name: name for name in ("path", "type", "action", "replacement", "physical_id")},
        "causes": "properties",
        "details": "causes",
        **{name: name for name in ("follows", "proof", "data_loss", "policy_action", "verdict")},
    }

    @property
    def properties(self) -> tuple[str, ...]:
        """Return the properties that differ, each once; their values may be secret."""
        return tuple(dict.fromkeys(cause.property for cause in self.causes))

    @property
    def follows(self) -> bool:
        """Tell whether the resource changes only because another one does."""
        return bool(self.causes) and all(cause.follows for cause in self.causes)

    @property
    def is_phantom(self) -> bool:
        """Tell whether nothing comes of it: AWS could only not rule it out."""
        return self.follows and bool(self.proof)


def pick_worst(scale: Sequence[str], *values: str) -> str:
    """Return the value that stands furthest on a scale; unknown values count as the worst."""
    return max(values, key=lambda v: scale.index(v) if v in scale else len(scale))


def merge_causes(causes: Sequence[Cause]) -> tuple[Cause, ...]:
    """Merge causes about one property and pair of values into one, keeping the first's place.

    One that is certain outweighs one that is not: AWS lists a parameter that changes as Static,
    and once more as Dynamic.
    """
    merged: dict[tuple[str, str, str], Cause] = {}
    valued = {c.property: (c.property, c.before, c.after) for c in causes if c.before or c.after}
    for cause in causes:
        key = (cause.property, cause.before, cause.after)
        if not (cause.before or cause.after):
            key = valued.get(cause.property, key)
        known = merged.get(key)
        merged[key] = cause if known is None else unite(known, cause)
    return tuple(merged.values())


def replacement_by(causes: Iterable[Cause]) -> str:
    """Return whether causes replace their resource: True, False or Conditional."""
    worst = pick_worst(RECREATIONS, "", *(cause.requires_recreation for cause in causes))
    return {"Always": "True", "Conditionally": "Conditional"}.get(worst, "False")


def unite(first: Cause, second: Cause) -> Cause:
    """Return two opinions on one property as one: the first one's values, the worse effect."""
    shown = first if first.before or first.after else second
    sources = dict.fromkeys(source for source in (first.source, second.source) if source)
    return Cause(
        first.property,
        shown.before,
        shown.after,
        pick_worst(RECREATIONS, first.requires_recreation, second.requires_recreation),
        ", ".join(sources),
        pick_worst(EVALUATIONS, first.evaluation, second.evaluation),
        first.follows and second.follows,
        first.yields and second.yields,
    )


def join(*parts: str) -> str:
    """Return a path out of its parts, leaving out empty ones."""
    return "/".join(part for part in parts if part)
