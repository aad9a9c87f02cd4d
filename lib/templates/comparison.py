"""Compare two evaluated trees of templates: what an update would do, as far as text tells.

Pure, and independent of CloudFormation's own answer: a second opinion on AWS, and the only
one where an endpoint has no nested change sets. Replacement is decided from the resource
schemas. What only AWS will know counts as equal when it is the same expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lib.templates import schemas, templates
from lib.templates.changes import (
    RECREATIONS,
    REPLACEMENTS,
    Cause,
    Change,
    join,
    pick_worst,
    replacement_by,
)
from lib.templates.resolution import Resource, Tree
from lib.templates.unknowns import Unknown, has_unknown
from lib.values import MASK, as_text, show_difference, walk

SOURCE = "templates"

_ABSENT = object()


def compare(
    before: Tree,
    after: Tree,
    *,
    region: str,
    physical_ids: Mapping[str, str] | None = None,
) -> tuple[Change, ...]:
    """Return what differs between the deployed tree and the new one.

    `physical_ids` maps paths of deployed resources to their physical IDs, for display.
    Resources come in the order of the new templates, removed ones last. A nested stack is a
    row of its own only when it comes or goes, beside one row for each resource in it; a
    resource of which nothing differs is no row. A resource that refers to one that is replaced,
    or to a property that changes, changes with it; in a create-only property, it may be
    replaced too.
    """
    deployed = {resource.path: resource for resource in before.resources}
    wanted = {resource.path: resource for resource in after.resources}
    ids = physical_ids or {}
    changes: dict[tuple[str, str], Change] = {}
    for path, resource in wanted.items():
        known = deployed.get(path)
        if known is not None and known.type == resource.type:
            change = _modify(known, resource, region, ids)
            if change is not None:
                changes[path, "Modify"] = change
        else:
            changes[path, "Add"] = Change(path, resource.type, "Add", source=SOURCE)
    for path, resource in deployed.items():
        if path not in wanted or wanted[path].type != resource.type:
            changes[path, "Remove"] = Change(
                path, resource.type, "Remove", physical_id=ids.get(path, ""), source=SOURCE
            )
    kept = [(deployed[path], wanted[path]) for path in wanted if path in deployed]
    _spread(changes, kept, region, ids)
    return tuple(changes.values())


def _modify(
    before: Resource, after: Resource, region: str, ids: Mapping[str, str]
) -> Change | None:
    """Return the change between two states of one resource, None when there is none.

    Only then is its physical ID looked up, which may cost a call.
    """
    if after.type == templates.STACK_TYPE:
        return None
    behaviour = _Behaviour.of(after.type, region)
    moved = behaviour.find_moved(before.properties, after.properties)
    contexts = [before.properties, after.properties]
    causes = [
        Cause(
            path,
            *show_difference(path, old, new, contexts=contexts),
            behaviour.judge(path, moved),
            SOURCE,
            yields=behaviour.may_err(path, moved),
        )
        for path, old, new in _differences(before.properties, after.properties)
    ]
    causes += _policy_causes(before, after)
    if not causes:
        return None
    return Change(
        path=after.path,
        type=after.type,
        action="Modify",
        replacement=replacement_by(causes),
        physical_id=ids.get(after.path, ""),
        causes=tuple(causes),
        source=SOURCE,
    )


def _policy_causes(before: Resource, after: Resource) -> Iterator[Cause]:
    """Yield the policies that differ: they never touch the resource, only its fate."""
    pairs = (
        ("DeletionPolicy", before.deletion_policy, after.deletion_policy),
        ("UpdateReplacePolicy", before.update_replace_policy, after.update_replace_policy),
    )
    for name, old, new in pairs:
        if old != new:
            yield Cause(name, old, new, "Never", SOURCE)


def _differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield path and both values of every property that differs; lists are one value."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            old, new = before.get(key, _ABSENT), after.get(key, _ABSENT)
            yield from _differences(old, new, join(path, str(key)))
    elif not same(before, after):
        yield path, _present(before), _present(after)


def _present(value: Any) -> Any:
    """Return a value, or None for one that is not there."""
    return None if value is _ABSENT else value


def same(before: Any, after: Any) -> bool:
    """Tell whether two values mean the same to CloudFormation.

    Numbers and truth values are text there. A deployed value that came back masked is not
    known; it is taken for unchanged, since AWS's own change set sees the real one.
    """
    if before is _ABSENT or after is _ABSENT:
        return before is after
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return before.keys() == after.keys() and all(same(before[k], after[k]) for k in before)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(same, before, after))
    if not (_is_plain(before) and _is_plain(after)):
        return bool(before == after)
    old, new = as_text(before), as_text(after)
    return old == new or (MASK in old and _fits_mask(old, new))


def _is_plain(value: Any) -> bool:
    return value is not None and not isinstance(value, Mapping | list)


def _fits_mask(masked: str, text: str) -> bool:
    """Tell whether a text may be what stands behind a masked one."""
    pattern = ".*".join(re.escape(part) for part in masked.split(MASK))
    return re.fullmatch(pattern, text, re.DOTALL) is not None


@dataclass(frozen=True)
class _Behaviour:
    """How a type behaves when its properties change: paths of its create-only properties."""

    is_known: bool
    always: frozenset[str]
    sometimes: frozenset[str]
    documented: frozenset[str]
    list_keys: Mapping[str, str]

    @classmethod
    def of(cls, type_name: str, region: str) -> _Behaviour:
        """Read a type's behaviour from its schema."""
        return cls(
            schemas.known(type_name, region),
            schemas.create_only(type_name, region),
            schemas.conditional_create_only(type_name, region),
            schemas.documented(type_name),
            schemas.list_keys(type_name),
        )

    def find_moved(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the create-only properties that differ, with what that requires."""
        moved: dict[str, str] = {}
        for path in self.always | self.sometimes:
            old, new = pick(before, path), pick(after, path)
            if same(old, new) or not self.counts(path, old, new):
                continue
            sure = path in self.always and not (has_unknown(old) or has_unknown(new))
            moved[path] = "Always" if sure else "Conditionally"
        return moved

    def counts(self, path: str, old: list[Any], new: list[Any]) -> bool:
        """Tell whether a difference in a list is one that may replace the resource."""
        key = self.list_keys.get(path)
        return key is None or _edits_an_item(key, old, new)

    def judge(self, path: str, moved: Mapping[str, str]) -> str:
        """Return what a difference at a path requires, given the create-only ones that differ."""
        if not self.is_known:
            return "Conditionally"
        related = [requires for other, requires in moved.items() if _overlap(path, other)]
        return pick_worst(RECREATIONS, "Never", *related)

    def may_err(self, path: str, moved: Mapping[str, str]) -> bool:
        """Tell whether a replacement is a guess: nobody knows the type, or the condition.

        A schema lists a property that may replace the resource without saying when. AWS knows:
        it says Never of an RDS instance's BackupRetentionPeriod, which the schema lists.
        """
        certain = self.always | self.documented
        return not any(_overlap(path, other) and other in certain for other in moved)


def edits_an_item(type_name: str, path: str, before: Any, after: Any) -> bool:
    """Tell whether a list of a type that names its items has one edited, not added or removed."""
    return _edits_an_item(schemas.list_keys(type_name)[path], [before], [after])


def _edits_an_item(key: str, old: list[Any], new: list[Any]) -> bool:
    was, now = _by_key(old, key), _by_key(new, key)
    if was is None or now is None:
        return True
    return any(name in now and not same(item, now[name]) for name, item in was.items())


def _by_key(found: list[Any], key: str) -> Mapping[str, Any] | None:
    """Return the items of a list property by their key, None when it is not such a list."""
    items = [] if not found else found[0]
    if not isinstance(items, list) or not all(
        isinstance(item, Mapping) and isinstance(item.get(key), str) for item in items
    ):
        return None
    return {item[key]: item for item in items}


def pick(value: Any, path: str) -> list[Any]:
    """Return every value at a schema path, `*` standing for each item of a list."""
    found = [value]
    for part in path.split("/"):
        step: list[Any] = []
        for item in found:
            # Some schemas leave the "*" out and name the member of a list's items directly.
            members = item if isinstance(item, list) else [item]
            if part == "*":
                step += members
            else:
                step += [m[part] for m in members if isinstance(m, Mapping) and part in m]
                step += [m for m in members if isinstance(m, Unknown)]
        found = step
    return found


def _overlap(path: str, other: str) -> bool:
    """Tell whether one of two property paths lies within the other."""
    pairs = zip(path.split("/"), other.split("/"), strict=False)
    return all(a == b or "*" in (a, b) for a, b in pairs)


@dataclass(frozen=True)
class _User:
    """A property that refers to something, with all its expressions and what moving it means."""

    resource: Resource
    property: str
    expressions: str
    requires_recreation: str


#: What came to mean something else: a resource by its path, or one property of it.
_Moved = tuple[str, str]

_ALL = ""


def _spread(
    changes: dict[tuple[str, str], Change],
    kept: list[tuple[Resource, Resource]],
    region: str,
    ids: Mapping[str, str],
) -> None:
    """Mark what changes because something it refers to does, until nothing more is.

    AWS lists what reads a property that changes, too: `!GetAtt Topic.DisplayName`.
    """
    users = [
        user
        for _, resource in kept
        if resource.type != templates.STACK_TYPE
        for user in _find_users(resource, region)
    ]
    moved = {fact for (_path, _), change in changes.items() for fact in _find_moved(change)}
    fresh = moved
    while fresh:
        found: set[_Moved] = set()
        for user in users:
            cited = sorted({path for path, name in fresh if _cites(user.expressions, path, name)})
            if cited and user.resource.path not in cited:
                change = _mark(changes, user, cited, ids)
                found |= set(_find_moved(change)) if change else set()
        fresh = found - moved
        moved |= found


def _find_moved(change: Change) -> Iterator[_Moved]:
    """Yield what may come to mean something else to those who refer to a resource."""
    if change.action == "Remove" or change.replacement != "False":
        yield change.path, _ALL
    if change.action == "Modify":
        for cause in change.causes:
            yield change.path, cause.name


def _find_users(resource: Resource, region: str) -> Iterator[_User]:
    """Yield each property that refers to something; of create-only ones, the part that is."""
    paths = schemas.create_only(resource.type, region) | schemas.conditional_create_only(
        resource.type, region
    )
    within = {path.split("/")[0] for path in paths}
    places = [(path, "Conditionally") for path in paths]
    places += [(name, "Never") for name in resource.properties if name not in within]
    for path, requires in sorted(places):
        inside = walk(pick(resource.properties, path))
        expressions = " ".join(v.expression for v in inside if isinstance(v, Unknown))
        if expressions:
            yield _User(resource, path, expressions, requires)


def _cites(expressions: str, path: str, name: str) -> bool:
    """Tell whether expressions refer to a resource, or to one property of it."""
    if name:
        return f"${{{path}.{name}}}" in expressions
    return f"${{{path}}}" in expressions or f"${{{path}." in expressions


def _mark(
    changes: dict[tuple[str, str], Change],
    user: _User,
    cited: list[str],
    ids: Mapping[str, str],
) -> Change | None:
    """Note on a resource that it may change because of those it refers to; return its change."""
    resource = user.resource
    key = (resource.path, "Modify")
    if (resource.path, "Add") in changes:
        return None
    known = changes.get(key) or Change(
        resource.path,
        resource.type,
        "Modify",
        physical_id=ids.get(resource.path, ""),
        source=SOURCE,
    )
    recreation = user.requires_recreation
    told = [c for c in known.causes if c.property == user.property]
    if any(c.requires_recreation in ("Always", recreation) for c in told):
        return known
    source = f"refers to {', '.join(cited)}"
    cause = Cause(user.property, "", "", recreation, source, "Dynamic", follows=True)
    replacement = replacement_by([cause])
    changes[key] = replace(
        known,
        replacement=pick_worst(REPLACEMENTS, known.replacement, replacement),
        causes=(*known.causes, cause),
    )
    return changes[key]
