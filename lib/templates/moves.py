"""Find what two trees of templates have moved: a resource that left one place and came to another.

CloudFormation knows a resource by its stack and its logical ID; under others it is removed and
made new. A refactor tells it that it is the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lib.errors import InputError
from lib.templates import comparison
from lib.templates.changes import Change
from lib.templates.resolution import Resource, Tree
from lib.templates.templates import STACK_TYPE
from lib.templates.unknowns import Unknown


@dataclass(frozen=True)
class Relocation:
    """A resource that is to be at another path: in another nested stack, by another name."""

    source: str
    destination: str

    def __str__(self) -> str:
        """Return it as an operator writes it."""
        return f"{self.source}={self.destination}"


def read(text: str) -> tuple[Relocation, ...]:
    """Return the moves that an operator names, `FROM=TO` by comma.

    Raises `InputError` for anything else, and for a path that stands twice on one side.
    """
    found = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        source, equals, destination = (piece.strip() for piece in part.partition("="))
        if not equals or not source or not destination or source == destination:
            raise InputError(
                f"--move takes FROM=TO, two paths, not {part!r}.",
                next_step="--move DatabaseStack/JobsTable=StorageStack/JobsTable",
            )
        found.append(Relocation(source.strip("/"), destination.strip("/")))
    for side in ([one.source for one in found], [one.destination for one in found]):
        if twice := sorted({path for path in side if side.count(path) > 1}):
            raise InputError(f"--move names {', '.join(twice)} twice; a resource moves once.")
    if not found:
        raise InputError("--move names nothing; it takes FROM=TO, two paths.")
    return tuple(found)


def name(moves: Iterable[Relocation]) -> str:
    """Return moves as an operator writes them."""
    return ",".join(map(str, moves))


def find(before: Tree, after: Tree, *, region: str) -> tuple[Relocation, ...]:
    """Return what looks moved: gone here and come there, of one type, with the same properties.

    Of several that it could be, the one of the same logical ID is taken, and none where that
    does not tell.
    """
    old = {one.path: one for one in before.resources}
    new = {one.path: one for one in after.resources}
    gone = [one for path, one in old.items() if path not in new and one.type != STACK_TYPE]
    come = [one for path, one in new.items() if path not in old and one.type != STACK_TYPE]
    found = []
    for resource in gone:
        alike = [
            other
            for other in come
            if other.type == resource.type and not differ(resource, other, (), region=region)
        ]
        named = [other for other in alike if other.logical_id == resource.logical_id] or alike
        if len(named) == 1:
            found.append(Relocation(resource.path, named[0].path))
    taken = [move.destination for move in found]
    return tuple(move for move in found if taken.count(move.destination) == 1)


def differ(
    before: Resource, after: Resource, moves: Sequence[Relocation], *, region: str
) -> tuple[Change, ...]:
    """Return what differs between a resource and the one it is to be, wherever both stand.

    What moves with it, and is referred to, counts as the same.
    """
    here = replace(before, path=after.path, properties=follow(before.properties, moves))
    there = replace(after, deletion_policy=before.deletion_policy)
    there = replace(there, update_replace_policy=before.update_replace_policy)
    trees = [Tree((one,), {}, {}) for one in (here, there)]
    return comparison.compare(trees[0], trees[1], region=region)


def follow(value: Any, moves: Sequence[Relocation]) -> Any:
    """Return a resolved value in which references to what moves name the place it moves to."""
    if isinstance(value, Mapping):
        return {key: follow(item, moves) for key, item in value.items()}
    if isinstance(value, list):
        return [follow(item, moves) for item in value]
    if not isinstance(value, Unknown):
        return value
    text = value.expression
    for move in moves:
        for end in ("}", "."):
            text = text.replace(f"${{{move.source}{end}", f"${{{move.destination}{end}")
    return replace(value, expression=text)


def split(path: str) -> tuple[str, str]:
    """Return the stack that a path is in, "" for the root, and the logical ID."""
    above, _, logical_id = path.rpartition("/")
    return above, logical_id
