"""Evaluate CloudFormation's intrinsic functions, one function of ours for each.

A function is given what stands after its name and the scope that it stands in: the stack
whose parameters, conditions and resources it may ask for. What it cannot compute without AWS
stays an `Unknown` that names the function and its arguments.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
"""

from __future__ import annotations

import base64
import ipaddress
import itertools
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lib.templates.unknowns import Unknown, has_unknown
from lib.values import as_text, canonical

if TYPE_CHECKING:
    from lib.templates.resolution import Scope

_SUBSTITUTION = re.compile(r"\$\{([^}]*)\}")


class _NoValue:
    """What `AWS::NoValue` comes to."""

    def __str__(self) -> str:
        """Return its name in templates, for messages."""
        return "AWS::NoValue"


#: Whatever comes to this is left out of the list or mapping around it.
NO_VALUE = _NoValue()


def call(scope: Scope, function: str, argument: Any) -> Any:
    """Evaluate a function by its name (`Fn::Join`); one that is not known here stays unknown."""
    known = _FUNCTIONS.get(function)
    return known(scope, argument) if known else stay_unknown(function, argument)


def stay_unknown(function: str, *arguments: Any) -> Unknown:
    """Return the `Unknown` that stands for what a function would come to."""
    return Unknown(f"${{{function}({', '.join(map(as_text, arguments))})}}")


def decide(scope: Scope, node: Any) -> Any:
    """Return True, False or the `Unknown` that the definition of a condition comes to."""
    if isinstance(node, bool):
        return node
    if not isinstance(node, Mapping) or len(node) != 1:
        raise scope.fail(f"{as_text(node)} is not a condition")
    (function, argument) = next(iter(node.items()))
    if function == "Condition":
        return scope.condition(argument)
    if not isinstance(argument, list):
        raise scope.fail(f"{function} needs a list")
    if function == "Fn::Equals":
        return _equal(scope, argument)
    return _combine(scope, function, [decide(scope, item) for item in argument])


def _combine(scope: Scope, function: str, verdicts: list[Any]) -> Any:
    unknown = [verdict for verdict in verdicts if isinstance(verdict, Unknown)]
    if function == "Fn::Not" and len(verdicts) == 1:
        return stay_unknown(function, *unknown) if unknown else not verdicts[0]
    if function in ("Fn::And", "Fn::Or") and verdicts:
        decisive = function == "Fn::Or"
        if any(verdict is decisive for verdict in verdicts):
            return decisive
        return stay_unknown(function, *unknown) if unknown else not decisive
    raise scope.fail(f"{function} with {len(verdicts)} arguments is not a condition")


def _equal(scope: Scope, argument: list[Any]) -> Any:
    left, right = map(scope.evaluate, _arguments(scope, "Fn::Equals", argument, 2))
    if left == right:
        return True
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Unknown) and one.never_empty and other == "":
            return False
    if has_unknown(left) or has_unknown(right):
        return stay_unknown("Fn::Equals", left, right)
    return _comparable(left) == _comparable(right)


def _comparable(value: Any) -> Any:
    """Return a value in the form in which conditions compare it: plain values as text."""
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _comparable(item) for key, item in value.items()}
    return as_text(value)


def _arguments(scope: Scope, function: str, argument: Any, *counts: int) -> list[Any]:
    if not isinstance(argument, list) or len(argument) not in counts:
        wanted = " or ".join(map(str, counts))
        raise scope.fail(f"{function} needs a list of {wanted} values")
    return argument


def _whole_number(scope: Scope, function: str, value: Any) -> int:
    text = as_text(value)
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise scope.fail(f"{function} needs a number, not {text}")
    return int(text)


def _concatenate(scope: Scope, function: str, parts: list[Any]) -> Any:
    for part in parts:
        if part is NO_VALUE or isinstance(part, list | Mapping):
            raise scope.fail(f"{function} is given {as_text(part)}, which is no text")
    text = "".join(map(as_text, parts))
    if not any(isinstance(part, Unknown) for part in parts):
        return text
    filled = any(p.never_empty if isinstance(p, Unknown) else as_text(p) for p in parts)
    return Unknown(text, never_empty=bool(filled))


def _choose(scope: Scope, argument: Any) -> Any:
    name, yes, no = _arguments(scope, "Fn::If", argument, 3)
    verdict = scope.condition(name)
    if isinstance(verdict, Unknown):
        return stay_unknown("Fn::If", verdict, *map(scope.evaluate, (yes, no)))
    return scope.evaluate_or_omit(yes if verdict else no)


def _get_attribute(scope: Scope, argument: Any) -> Any:
    if isinstance(argument, str):
        argument = argument.split(".", 1)
    if not isinstance(argument, list) or not argument[1:]:
        raise scope.fail("Fn::GetAtt needs a resource and an attribute")
    logical_id, *rest = argument
    parts = [scope.evaluate(part) for part in rest]
    if not isinstance(logical_id, str) or not all(isinstance(p, str) for p in parts):
        raise scope.fail("Fn::GetAtt needs a resource and an attribute")
    return scope.attribute(logical_id, ".".join(parts))


def _substitute(scope: Scope, argument: Any) -> Any:
    variables: Mapping[str, Any] = {}
    text = argument
    if isinstance(argument, list):
        text, given = _arguments(scope, "Fn::Sub", argument, 2)
        variables = scope.evaluate(given)
    if not isinstance(text, str) or not isinstance(variables, Mapping):
        raise scope.fail("Fn::Sub needs a text, or a text and a mapping")
    parts: list[Any] = []
    position = 0
    for match in _SUBSTITUTION.finditer(text):
        parts.append(text[position : match.start()])
        parts.append(_variable(scope, match[1].strip(), variables))
        position = match.end()
    return _concatenate(scope, "Fn::Sub", [*parts, text[position:]])


def _variable(scope: Scope, name: str, variables: Mapping[str, Any]) -> Any:
    if name.startswith("!"):
        return f"${{{name[1:]}}}"
    if name in variables:
        return variables[name]
    return _get_attribute(scope, name) if "." in name else scope.refer(name)


def _join(scope: Scope, argument: Any) -> Any:
    delimiter, second = _arguments(scope, "Fn::Join", argument, 2)
    items = scope.evaluate(second)
    if isinstance(items, Unknown):
        return stay_unknown("Fn::Join", delimiter, items)
    if not isinstance(delimiter, str) or not isinstance(items, list):
        raise scope.fail("Fn::Join needs a delimiter and a list")
    parts = [part for item in items for part in (delimiter, item)][1:]
    return _concatenate(scope, "Fn::Join", parts)


def _split(scope: Scope, argument: Any) -> Any:
    delimiter, text = map(scope.evaluate, _arguments(scope, "Fn::Split", argument, 2))
    if isinstance(text, Unknown):
        return stay_unknown("Fn::Split", delimiter, text)
    if not isinstance(delimiter, str) or not delimiter or not isinstance(text, str):
        raise scope.fail("Fn::Split needs a delimiter and a text")
    return text.split(delimiter)


def _select(scope: Scope, argument: Any) -> Any:
    index, items = map(scope.evaluate, _arguments(scope, "Fn::Select", argument, 2))
    if isinstance(index, Unknown) or isinstance(items, Unknown):
        return stay_unknown("Fn::Select", index, items)
    position = _whole_number(scope, "Fn::Select", index)
    if not isinstance(items, list) or not 0 <= position < len(items):
        raise scope.fail(f"Fn::Select finds no item {as_text(index)}")
    return items[position]


def _find_in_map(scope: Scope, argument: Any) -> Any:
    *path, options = [*_arguments(scope, "Fn::FindInMap", argument, 3, 4), None][:4]
    keys = [scope.evaluate(key) for key in path]
    if any(map(has_unknown, keys)):
        return stay_unknown("Fn::FindInMap", *keys)
    node: Any = scope.mappings
    for key in keys:
        # YAML may have read an account ID among the keys as a number.
        by_text = {as_text(k): v for k, v in node.items()} if isinstance(node, Mapping) else {}
        node = by_text.get(as_text(key), NO_VALUE)
    if node is not NO_VALUE:
        return scope.evaluate_or_omit(node)
    if isinstance(options, Mapping):
        return scope.evaluate_or_omit(options.get("DefaultValue"))
    raise scope.fail(f"Fn::FindInMap finds no {' / '.join(map(as_text, keys))}")


def _encode_base64(scope: Scope, argument: Any) -> Any:
    text = scope.evaluate(argument)
    if isinstance(text, Unknown):
        return stay_unknown("Fn::Base64", text)
    return base64.b64encode(as_text(text).encode()).decode()


def _list_zones(scope: Scope, argument: Any) -> Any:
    return stay_unknown("Fn::GetAZs", scope.evaluate(argument) or scope.refer("AWS::Region"))


def _cut_cidr(scope: Scope, argument: Any) -> Any:
    values = [scope.evaluate(item) for item in _arguments(scope, "Fn::Cidr", argument, 2, 3)]
    # What AWS takes for a missing third argument is not documented.
    if not values[2:] or has_unknown(values):
        return stay_unknown("Fn::Cidr", *values)
    count, bits = (_whole_number(scope, "Fn::Cidr", value) for value in values[1:])
    try:
        block = ipaddress.ip_network(as_text(values[0]), strict=False)
        subnets = block.subnets(new_prefix=block.max_prefixlen - bits)
        # CloudFormation hands out at most 256 blocks.
        found = [str(subnet) for subnet in itertools.islice(subnets, min(count, 256))]
    except ValueError as exc:
        raise scope.fail(f"Fn::Cidr cannot be computed: {exc}") from None
    if len(found) < count:
        raise scope.fail(f"Fn::Cidr: {values[0]} has no room for {count} blocks")
    return found


def _import_value(scope: Scope, argument: Any) -> Any:
    return stay_unknown("Fn::ImportValue", scope.evaluate(argument))


def _count(scope: Scope, argument: Any) -> Any:
    items = scope.evaluate(argument)
    return len(items) if isinstance(items, list) else stay_unknown("Fn::Length", items)


def _to_json(scope: Scope, argument: Any) -> Any:
    value = scope.evaluate(argument)
    return stay_unknown("Fn::ToJsonString", value) if has_unknown(value) else canonical(value)


_FUNCTIONS: Mapping[str, Callable[[Scope, Any], Any]] = {
    "Fn::Base64": _encode_base64,
    "Fn::Cidr": _cut_cidr,
    "Fn::FindInMap": _find_in_map,
    "Fn::GetAZs": _list_zones,
    "Fn::GetAtt": _get_attribute,
    "Fn::If": _choose,
    "Fn::ImportValue": _import_value,
    "Fn::Join": _join,
    "Fn::Length": _count,
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::Sub": _substitute,
    "Fn::ToJsonString": _to_json,
}
