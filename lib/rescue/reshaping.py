"""Work out what the templates of stacks have to be for resources to change hands, and no more.

Pure. A refactor may change nothing beside the moves, and of nested stacks not even what their
parent passes them: "Found an action type that is not permitted during refactor operations:
Modify". So what is deployed is taken, not the checkout; the definition goes over, and what still
refers to it in the stack that it leaves gets the value that it has now. The update that follows
brings the checkout's own references.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lib.errors import InputError
from lib.templates import moves as moving
from lib.templates.moves import Relocation
from lib.templates.resolution import Resource
from lib.templates.unknowns import Unknown
from lib.values import MASK

_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")


@dataclass(frozen=True)
class Known:
    """What is known of a live tree: physical IDs by path, and attributes that an output shows.

    `attributes` maps `PATH.ATTRIBUTE` to the value that it has now.
    """

    physical_ids: Mapping[str, str]
    attributes: Mapping[str, str]

    @property
    def values(self) -> dict[str, str]:
        """Return all that is known, by what an expression refers to."""
        return {**self.physical_ids, **self.attributes}

    def value(self, path: str, attribute: str = "") -> str | None:
        """Return what Ref or GetAtt of a resource comes to now, None where nobody says.

        Ref is the physical ID of all types that hold data.
        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
        """
        if not attribute:
            return self.physical_ids.get(path)
        return self.attributes.get(f"{path}.{attribute}")


class Unresolvable(InputError):
    """Something refers to a resource that moves by a value that nobody knows."""


def find_attributes(
    path: str, body: Mapping[str, Any], outputs: Mapping[str, str]
) -> dict[str, str]:
    """Return the attributes of a stack's resources that its outputs show as they are."""
    found = {}
    for name, output in (body.get("Outputs") or {}).items():
        target = output.get("Value")
        target = target.get("Fn::GetAtt") if isinstance(target, Mapping) else None
        parts = target.split(".", 1) if isinstance(target, str) else target
        if isinstance(parts, list) and len(parts) == 2 and name in outputs:
            here = f"{path}/{parts[0]}" if path else str(parts[0])
            found[f"{here}.{parts[1]}"] = outputs[name]
    return found


def reshape(
    bodies: Mapping[str, Mapping[str, Any]],
    moves: Sequence[Relocation],
    known: Known,
    *,
    pinned: Mapping[str, Resource] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the bodies of the stacks that take part, as they are to be, by path.

    `bodies` are the deployed ones. `pinned` has, by the path it moves to, what a definition comes
    to that must not be taken over as it is written, because it refers to what its new stack does
    not have. Raises `Unresolvable`.
    """
    shaped = {path: copy.deepcopy(dict(body)) for path, body in bodies.items()}
    taken = {}
    for move in moves:
        stack, logical_id = moving.split(move.source)
        taken[move] = shaped[stack]["Resources"].pop(logical_id)
    for path, body in shaped.items():
        _redirect(path, body, moves, known)
    for move in moves:
        stack, logical_id = moving.split(move.destination)
        shaped[stack]["Resources"][logical_id] = _settle(
            move, taken[move], moves, known, (pinned or {}).get(move.destination)
        )
    return shaped


def _settle(
    move: Relocation,
    definition: Mapping[str, Any],
    moves: Sequence[Relocation],
    known: Known,
    resolved: Resource | None,
) -> dict[str, Any]:
    """Return a definition as it stands in its new stack."""
    here, there = moving.split(move.source)[0], moving.split(move.destination)[0]
    settled: dict[str, Any] = dict(definition)
    if resolved is not None:
        settled["Properties"] = pin(resolved.properties, known, move.destination)
        settled.pop("Condition", None)
    settled = _rewrite(settled, _Names(here, there, moves, known, strict=False))
    if here == there:
        _drop_dependency(settled, _Names(here, there, moves, known))
    else:
        # What it waited for in its old stack is there already.
        settled.pop("DependsOn", None)
    return settled


def pin(value: Any, known: Known, about: str) -> Any:
    """Return a resolved value with what only AWS knew filled in; raises `Unresolvable`."""
    if isinstance(value, Mapping):
        return {key: pin(item, known, about) for key, item in value.items()}
    if isinstance(value, list):
        return [pin(item, known, about) for item in value]
    if isinstance(value, str) and MASK in value:
        raise Unresolvable(
            f"{about} holds the value of a NoEcho parameter, which AWS tells nobody; its new stack "
            "has to have a parameter of that name and value first.",
            next_step="give it to that stack, deploy, then run this again",
        )
    if not isinstance(value, Unknown):
        return value

    def fill(match: re.Match[str]) -> str:
        path, dot, attribute = match[1].partition(".")
        found = known.value(path, attribute if dot else "")
        if found is None:
            raise Unresolvable(
                f"{about} refers to {match[1]}, whose value no output of its stack tells.",
                next_step="give that stack an output with it, deploy, then run this again",
            )
        return found

    return _VARIABLE.sub(fill, value.expression)


@dataclass(frozen=True)
class _Names:
    """What names mean in the stack `here`, of what stands in the stack `there` from now on.

    `strict` raises where a value is wanted that nobody knows, else it is left as it is written.
    """

    here: str
    there: str
    moves: Sequence[Relocation]
    known: Known
    strict: bool = True

    def find(self, logical_id: str, attribute: str = "") -> tuple[str, str | None] | None:
        """Return the new logical ID of what moved, or its value; None for what did not."""
        path = f"{self.here}/{logical_id}" if self.here else logical_id
        move = next((one for one in self.moves if one.source == path), None)
        if move is None:
            return None
        stack, name = moving.split(move.destination)
        if stack == self.there:
            return name, None
        value = self.known.value(path, attribute)
        if value is None and self.strict:
            wanted = f"{logical_id}.{attribute}" if attribute else logical_id
            raise Unresolvable(
                f"Stack {self.there or 'the root'} goes on to refer to {wanted}, whose value no "
                "output of it tells.",
                next_step=f"give it an output with {wanted}, deploy, then run this again",
            )
        return "", value


def _redirect(path: str, body: dict[str, Any], moves: Sequence[Relocation], known: Known) -> None:
    """Have what stays in a stack refer to what left it by its value, by its new name if renamed."""
    names = _Names(path, path, moves, known)
    for section in ("Resources", "Outputs"):
        if section in body:
            body[section] = _rewrite(body[section], names)
    for definition in body.get("Resources", {}).values():
        _drop_dependency(definition, names)


def _drop_dependency(definition: dict[str, Any], names: _Names) -> None:
    """Have a resource wait for what was renamed by its new name, and not for what left."""
    waits = definition.get("DependsOn")
    if waits is None:
        return
    found = [waits] if isinstance(waits, str) else list(waits)
    kept = [
        moved[0] if moved else one
        for one in found
        if (moved := names.find(one, "")) is None or moved[0]
    ]
    definition.pop("DependsOn")
    if kept:
        definition["DependsOn"] = kept


def _rewrite(value: Any, names: _Names) -> Any:
    """Return a part of a template whose references follow what moved."""
    if isinstance(value, list):
        return [_rewrite(item, names) for item in value]
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1:
        (function, argument), *_ = value.items()
        if function == "Ref" and isinstance(argument, str):
            return _refer(value, names.find(argument), lambda name: {"Ref": name})
        if function == "Fn::GetAtt":
            parts = argument.split(".", 1) if isinstance(argument, str) else list(argument)
            found = names.find(str(parts[0]), str(parts[1]))
            return _refer(value, found, lambda name: {"Fn::GetAtt": [name, *parts[1:]]})
        if function == "Fn::Sub":
            return {"Fn::Sub": _rewrite_text(argument, names)}
    return {key: _rewrite(item, names) for key, item in value.items()}


def _refer(value: Any, found: tuple[str, str | None] | None, by_name: Any) -> Any:
    if found is None:
        return value
    name, known = found
    return by_name(name) if name else value if known is None else known


def _rewrite_text(argument: Any, names: _Names) -> Any:
    """Return what Fn::Sub is given, with the variables in its text following what moved."""
    text, *given = argument if isinstance(argument, list) else [argument]
    own = given[0] if given else {}

    def follow(match: re.Match[str]) -> str:
        name, dot, attribute = match[1].strip().partition(".")
        found = None if name in own else names.find(name, attribute if dot else "")
        if found is None:
            return match[0]
        renamed, value = found
        if renamed:
            return f"${{{renamed}{dot}{attribute}}}"
        return match[0] if value is None else value

    rewritten = _VARIABLE.sub(follow, text)
    return [rewritten, _rewrite(own, names)] if given else rewritten


def as_text(body: Mapping[str, Any]) -> str:
    """Return a template as a request takes it."""
    return json.dumps(body, separators=(",", ":"))
