"""Read parameter files and check them against a template's own Parameters section.

Pure: no AWS. Every problem is found in one run, each naming key, value and rule.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
"""

from __future__ import annotations

import difflib
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from lib.errors import InputError, ParameterError
from lib.inputs import documents
from lib.values import MASK, as_text

#: A stack takes 200 parameters of 4 KB: nothing near this size is a parameter file.
MAX_FILE_BYTES = 2_000_000

#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
MAX_VALUE_BYTES = 4_096

#: How much of a wrong value a message quotes.
_SHOWN = 80

ERROR = "error"
WARNING = "warning"

_LIST_TYPES = ("CommaDelimitedList", "List<")

#: What CloudFormation reads as a number: ASCII, and none of Python's own spellings.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")

#: The types that AWS documents AllowedPattern for.
_PATTERNED = frozenset({"String", "CommaDelimitedList"})

#: The shapes of the identifiers that AWS-specific parameter types take.
_AWS_TYPES: Mapping[str, str] = {
    "AWS::EC2::Image::Id": r"ami-[0-9a-f]{8,17}",
    "AWS::EC2::Instance::Id": r"i-[0-9a-f]{8,17}",
    "AWS::EC2::SecurityGroup::Id": r"sg-[0-9a-f]{8,17}",
    "AWS::EC2::Subnet::Id": r"subnet-[0-9a-f]{8,17}",
    "AWS::EC2::VPC::Id": r"vpc-[0-9a-f]{8,17}",
    "AWS::EC2::Volume::Id": r"vol-[0-9a-f]{8,17}",
}


@dataclass(frozen=True)
class Problem:
    """One fault in a parameter file. `parameter` is "" when the file as a whole is meant."""

    parameter: str
    message: str
    severity: str = ERROR


@dataclass(frozen=True)
class ParameterFile:
    """What a file holds: the values by name, and the faults found while reading."""

    path: Path
    values: Mapping[str, str]
    problems: tuple[Problem, ...]


def read(path: Path) -> ParameterFile:
    """Read a parameter file in CloudFormation's array form or as `{"Parameters": {…}}`.

    Raises `ParameterError` when the file is absent, not JSON or in neither form. Faults in
    single entries (a key that stands twice, a value that is no string) are returned.
    """
    document = load(path)
    if isinstance(document, dict) and isinstance(document.get("Parameters"), dict):
        return _collect(path, list(document["Parameters"].items()), [])
    if not isinstance(document, list):
        raise ParameterError(
            f"{path} is neither a list of ParameterKey/ParameterValue pairs "
            'nor {"Parameters": {…}}.'
        )
    pairs: list[tuple[Any, Any]] = []
    problems: list[Problem] = []
    for position, entry in enumerate(document, start=1):
        fault = _entry_fault(entry)
        if fault:
            problems.append(Problem("", f"entry {position} {fault}"))
        else:
            pairs.append((entry["ParameterKey"], entry["ParameterValue"]))
    return _collect(path, pairs, problems)


def load(path: Path) -> Any:
    """Return what a JSON file with an environment's or a region's values says.

    Raises `ParameterError` naming the file, and where it breaks off.
    """
    try:
        text = documents.read_text(path, "a parameter file", at_most=MAX_FILE_BYTES)
        return documents.parse(text, str(path))
    except InputError as exc:
        raise ParameterError(exc.message) from None


_KINDS: Mapping[type, str] = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a number",
    list: "a list",
    type(None): "null",
}


def _entry_fault(entry: object) -> str:
    if not isinstance(entry, dict):
        return "is not an object with ParameterKey and ParameterValue"
    if not isinstance(entry.get("ParameterKey"), str):
        return "has no ParameterKey"
    if "ParameterValue" not in entry:
        return f"({entry['ParameterKey']}) has no ParameterValue"
    unknown = sorted(set(entry) - {"ParameterKey", "ParameterValue"})
    if unknown:
        return f"({entry['ParameterKey']}) has keys that a file may not set: {', '.join(unknown)}"
    return ""


def _collect(
    path: Path, pairs: Sequence[tuple[Any, Any]], problems: list[Problem]
) -> ParameterFile:
    """Gather pairs into values, noting repeated names and values that are not strings."""
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            problems.append(Problem(name, "stands twice in the file; keep one"))
        elif not isinstance(value, str):
            # The value itself could be a secret: NoEcho is not known here.
            text = f"is {_KINDS[type(value)]}; CloudFormation takes strings only, so quote it"
            problems.append(Problem(name, text))
            # Known but unusable: keeps the check from also calling it missing.
            values[name] = json.dumps(value)
        else:
            values[name] = value
    return ParameterFile(path, values, tuple(problems))


def check(
    values: Mapping[str, str], declared: Mapping[str, Mapping[str, Any]]
) -> tuple[Problem, ...]:
    """Check values against a template's Parameters section.

    Returns every problem: unknown and missing names first, then each value against its
    type, AllowedValues, AllowedPattern, length and range. A NoEcho value is never shown.
    """
    problems = [
        Problem(name, f"is not a parameter of the template{_closest(name, declared)}")
        for name in values
        if name not in declared
    ]
    problems += [
        Problem(name, "is missing and has no default")
        for name, declaration in declared.items()
        if name not in values and "Default" not in declaration
    ]
    for name, declaration in declared.items():
        if name in values:
            problems += _check_value(name, values[name], declaration)
    return tuple(problems)


def _closest(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _check_value(name: str, value: str, declaration: Mapping[str, Any]) -> Iterator[Problem]:
    secret = _is_secret(name, {name: declaration})
    quoted = repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}…"
    shown = "the value (NoEcho, not shown)" if secret else quoted
    hint = declaration.get("ConstraintDescription")
    if len(value.encode()) > MAX_VALUE_BYTES:
        yield Problem(name, f"{shown} is longer than the 4,096 bytes CloudFormation takes")
        return
    kind = str(declaration.get("Type", "String"))
    items = [item.strip() for item in value.split(",")] if kind.startswith(_LIST_TYPES) else [value]
    for item in items:
        broken = list(_broken_rules(item, kind, declaration))
        for rule in broken:
            yield Problem(name, f"{shown} {rule}{f' ({hint})' if hint else ''}")
        if broken:
            return


def _broken_rules(item: str, kind: str, declaration: Mapping[str, Any]) -> Iterator[str]:
    """Yield the rules that one item breaks; a wrong type hides the rules that build on it.

    The value of an SSM type is the name of an entry that only AWS can look up.
    """
    if kind.startswith("AWS::SSM::Parameter::Value<"):
        return
    element = kind[5:-1] if kind.startswith("List<") else kind
    number = _as_number(item)
    if element == "Number" and number is None:
        yield "is not a number"
        return
    shape = _AWS_TYPES.get(element)
    if shape and not re.fullmatch(shape, item):
        yield f"is not an {element}"
    allowed = declaration.get("AllowedValues")
    if isinstance(allowed, list) and not any(_same(item, choice, element) for choice in allowed):
        yield f"is not one of {', '.join(map(as_text, allowed))}"
    pattern = declaration.get("AllowedPattern")
    if element in _PATTERNED and isinstance(pattern, str) and not _matches(pattern, item):
        yield f"does not match {pattern}"
    yield from _broken_limits(item, number, element, declaration)


def _broken_limits(
    item: str, number: Decimal | None, element: str, declaration: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the length or range limits that an item breaks; each is for one type only."""
    if element == "Number" and number is not None:
        size, low_key, high_key, what = number, "MinValue", "MaxValue", ""
    elif element != "String":
        return
    else:
        size, low_key, high_key, what = Decimal(len(item)), "MinLength", "MaxLength", " characters"
    low, high = _as_number(declaration.get(low_key)), _as_number(declaration.get(high_key))
    if low is not None and size < low:
        yield f"is below {low_key} {low}{what}"
    if high is not None and size > high:
        yield f"is above {high_key} {high}{what}"


def _matches(pattern: str, item: str) -> bool:
    """Match as CloudFormation does: the pattern has to cover the whole value.

    A Java expression that Python cannot read, or would read otherwise, is left to
    CloudFormation.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return re.fullmatch(pattern, item, re.ASCII) is not None
    except (re.error, FutureWarning, DeprecationWarning, OverflowError, RecursionError):
        return True


def _as_number(value: object) -> Decimal | None:
    text = str(value).strip()
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _same(item: str, choice: object, element: str) -> bool:
    """Compare a value with an allowed one, numbers by value."""
    if element == "Number":
        return _as_number(item) == _as_number(choice)
    return item == as_text(choice)


def without_secrets(
    values: Mapping[str, str], declared: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Return the values that may be written down: those of NoEcho parameters may not."""
    return {name: value for name, value in values.items() if not _is_secret(name, declared)}


def mask_secrets(
    values: Mapping[str, str], declared: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Return the values with those of NoEcho parameters as CloudFormation shows them."""
    return {name: MASK if _is_secret(name, declared) else value for name, value in values.items()}


def list_secrets(declared: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """Return the names of a template's NoEcho parameters."""
    return frozenset(name for name in declared if _is_secret(name, declared))


def _is_secret(name: str, declared: Mapping[str, Mapping[str, Any]]) -> bool:
    return str(declared.get(name, {}).get("NoEcho", "")).lower() == "true"
