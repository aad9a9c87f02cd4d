"""Prove from two evaluated trees that a resource stays which AWS says may be replaced.

Pure. AWS calls a change Dynamic when a value comes from another resource that changes, and
lists it although the value may well stay the same; across nested stacks it cannot tell at all,
and shows replacements that never come. Both trees together often can: where the expression is
the same and every resource in it keeps its ID, so does the value.
https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/759
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChangeDetail.html

What AWS is certain of (Static) is never settled here, with one exception: Conditionally, of a
property for which AWS documents the condition and both trees show that it does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lib.templates import comparison, schemas
from lib.templates.changes import Cause, Change, replacement_by
from lib.templates.resolution import Resource, Tree
from lib.templates.templates import STACK_TYPE
from lib.templates.unknowns import Unknown, has_unknown
from lib.values import MASK, as_text, walk

#: Functions that come to the same whenever what they are given does. What is missing here asks
#: somebody else (`Fn::ImportValue`, `Fn::GetAZs`, a macro) or a table that may have changed.
_FAITHFUL = frozenset(
    f"Fn::{name}"
    for name in (
        *("And", "Base64", "Equals", "If", "Join", "Length"),
        *("Not", "Or", "Select", "Split", "ToJsonString"),
    )
)

#: What a nested stack keeps as long as it lives; CloudFormation never replaces one.
_OF_A_STACK = frozenset({"", "StackName"})

#: Types of which a function of somebody's own decides at each update what their ID is.
_CUSTOM = ("Custom::", "AWS::CloudFormation::CustomResource")

#: What CloudFormation looks up elsewhere at each update.
_DYNAMIC_REFERENCE = "{{resolve:"

_INNERMOST = re.compile(r"\$\{([^${}]*)\}")
_FUNCTION = re.compile(r"(Fn::\w+)\(")
_REPLACING = ("Always", "Conditionally")
_NAMES_AT_MOST = 3


def settle(
    changes: Sequence[Change], before: Tree, after: Tree, *, region: str
) -> tuple[Change, ...]:
    """Return changes with every replacement settled that can be proven not to happen.

    `changes` are all that happens from one tree to the other, by AWS's word and by comparison.
    A settled one has `replacement` False and says why in `proof`; one that was going to replace
    nothing says so when it is proven not to change at all. What only the comparison expected to
    follow another, and provably does not, is left out.
    """
    deployed = {resource.path: resource for resource in before.resources}
    wanted = {resource.path: resource for resource in after.resources}
    settled = tuple(changes)
    unchanged: frozenset[str] = frozenset()
    while True:
        proofs = _Proofs(settled, deployed, wanted, region, unchanged)
        found = tuple(map(proofs.settle, settled))
        still = unchanged | {change.path for change in found if proofs.is_unchanged(change)}
        if (found, still) == (settled, unchanged):
            break
        settled, unchanged = found, still
    return tuple(
        change
        for change in settled
        if not (change.path in unchanged and change.source == comparison.SOURCE)
    )


@dataclass(frozen=True)
class _Proofs:
    """What is known of two trees and of all that happens between them.

    `unchanged` holds the paths of resources that have a change and provably do not change.
    """

    changes: tuple[Change, ...]
    deployed: Mapping[str, Resource]
    wanted: Mapping[str, Resource]
    region: str
    unchanged: frozenset[str]

    def settle(self, change: Change) -> Change:
        """Return one change, settled if each cause that may replace it is disproven."""
        if change.proof or change.action != "Modify":
            return change
        if change.replacement == "False":
            if not self.is_unchanged(change):
                return change
            return replace(change, proof=self._explain(change, change.causes))
        risky = [c for c in change.causes if c.requires_recreation in _REPLACING]
        # A verdict that its causes do not explain has reasons that nobody told us.
        if replacement_by(risky) == "False" or not all(self._disprove(change, c) for c in risky):
            return change
        if change.replacement == "True" and replacement_by(risky) != "True":
            return change
        return replace(change, replacement="False", proof=self._explain(change, risky))

    def is_unchanged(self, change: Change) -> bool:
        """Tell whether nothing at all comes of a change that AWS cannot rule out."""
        if change.action != "Modify" or not change.causes:
            return False
        return all(
            cause.evaluation == "Dynamic" and self._find_sources(change, cause) is not None
            for cause in change.causes
        )

    def _disprove(self, change: Change, cause: Cause) -> bool:
        """Tell whether a cause provably replaces nothing."""
        if self._spares_items(change, cause):
            return True
        return cause.evaluation == "Dynamic" and self._find_sources(change, cause) is not None

    def _explain(self, change: Change, causes: Sequence[Cause]) -> str:
        """Return the proof in words."""
        spared = {c.property for c in causes if self._spares_items(change, c)}
        reasons = [f"no item of {name} that stays is edited" for name in sorted(spared)]
        sources: dict[str, str] = {}
        for cause in causes:
            sources |= self._find_sources(change, cause) or {}
        followed = [cause.property for cause in causes if cause.property not in spared]
        if followed:
            whole = len(causes) == len(change.causes)
            what = "" if whole else f"{', '.join(dict.fromkeys(followed))} "
            reasons.append(f"{what}unchanged, because {_name_sources(sources, change.path)}")
        return f"AWS cannot rule it out; {'; '.join(reasons)}"

    def _spares_items(self, change: Change, cause: Cause) -> bool:
        """Tell whether a list is left as it is but for items that come or go.

        Of a few lists AWS documents that only an item that is edited matters, and says
        Conditionally of any change: "Replacement if you edit an existing AttributeDefinition."
        """
        if cause.requires_recreation != "Conditionally":
            return False
        pair = self._pair(change.path)
        if pair is None or cause.property not in schemas.list_keys(change.type):
            return False
        lists = [resource.properties.get(cause.property) for resource in pair]
        if not all(isinstance(one, list) and not _is_opaque(one) for one in lists):
            return False
        return not comparison.edits_an_item(change.type, cause.property, *lists)

    def _pair(self, path: str) -> tuple[Resource, Resource] | None:
        """Return a resource before and after, None unless it is sure to be the same in both."""
        old, new = self.deployed.get(path), self.wanted.get(path)
        if old is None or new is None or old.type != new.type or old.condition or new.condition:
            return None
        return old, new

    def _find_sources(self, change: Change, cause: Cause) -> Mapping[str, str] | None:
        """Return whence a property's value comes, None unless it provably stays the same.

        By the path of each resource in it, with what the resource keeps.
        """
        pair = self._pair(change.path)
        if pair is None:
            return None
        old, new = (comparison.pick(one.properties, cause.property) for one in pair)
        texts = [as_text(value) for value in walk([old, new]) if not isinstance(value, list)]
        outside = any(MASK in text or _DYNAMIC_REFERENCE in text for text in texts)
        if not old or outside or not comparison.same(old, new):
            return None
        found: dict[str, str] = {}
        for value in walk(new):
            if isinstance(value, Unknown):
                sources = self._follow(value.expression)
                if sources is None:
                    return None
                found |= sources
        return found

    def _follow(self, expression: str) -> Mapping[str, str] | None:
        """Return what an expression refers to, None unless all of it provably stays."""
        found: dict[str, str] = {}
        while match := _INNERMOST.search(expression):
            function = _FUNCTION.match(match[1])
            if function is None:
                path, kept = self._keep(match[1])
                if not kept:
                    return None
                found[path] = kept
            elif function[1] not in _FAITHFUL:
                return None
            expression = expression[: match.start()] + expression[match.end() :]
        return None if "${" in expression else found

    def _keep(self, reference: str) -> tuple[str, str]:
        """Return the resource that a reference means and what it provably keeps, or ""."""
        if reference == "AWS::AccountId":
            return "the account", "ID"
        path, _, attribute = reference.partition(".")
        pair = self._pair(path)
        if pair is None:
            return path, ""
        if pair[1].type == STACK_TYPE:
            gone = any(c.path == path and c.action != "Modify" for c in self.changes)
            return path, "ID" if attribute in _OF_A_STACK and not gone else ""
        rows = [c for c in self.changes if c.path == path and path not in self.unchanged]
        identity = not attribute or self._identifies(pair[1].type, attribute)
        what = "ID" if identity else attribute
        if not rows:
            return path, what
        stays = all((c.action, c.replacement) == ("Modify", "False") for c in rows)
        if not stays or pair[1].type.startswith(_CUSTOM):
            return path, ""
        return path, what if identity or _keeps_property(pair, attribute, rows) else ""

    def _identifies(self, type_name: str, attribute: str) -> bool:
        """Tell whether an attribute lasts as long as the resource: its ID or its ARN."""
        own = type_name.rsplit("::", 1)[-1].casefold()
        by_name = attribute.casefold() in ("arn", "id", f"{own}arn", f"{own}id")
        return by_name or attribute in schemas.identifiers(type_name, self.region)


def _is_opaque(value: Any) -> bool:
    """Tell whether something in a value is not known, or not shown."""
    return has_unknown(value) or any(MASK in as_text(inside) for inside in walk(value))


def _keeps_property(pair: tuple[Resource, Resource], name: str, rows: Sequence[Change]) -> bool:
    """Tell whether an attribute is a property that both trees set to the same known value."""
    old, new = (resource.properties.get(name) for resource in pair)
    touched = any(cause.name == name for change in rows for cause in change.causes)
    return old is not None and not touched and not _is_opaque([old]) and comparison.same(old, new)


def _name_sources(sources: Mapping[str, str], path: str) -> str:
    """Return what keeps what, resources of the same stack by their logical IDs."""
    if not sources:
        return "both templates give the same value"
    stack = f"{path.rpartition('/')[0]}/" if "/" in path else ""
    told = [f"{one.removeprefix(stack)} keeps its {what}" for one, what in sources.items()]
    rest = len(told) - _NAMES_AT_MOST
    more = [f"{rest} more stay"] if rest > 0 else []
    return " and ".join([*told[:_NAMES_AT_MOST], *more])
