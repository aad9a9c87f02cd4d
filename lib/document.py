"""Turn a result into the JSON document that the command line promises.

One function for all of them, and the manual lists the keys from the same place: a result's
keys are its fields, or what its class names in `KEYS`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

#: The metadata of a field that no document shows.
UNSHOWN: Mapping[str, bool] = {"shown": False}


def keys_of(kind: type) -> Mapping[str, str]:
    """Return a result class's keys in order, each with the attribute that it shows.

    A class whose keys are not simply its fields says so in a class variable `KEYS`, a
    mapping of the same form. `price.source` is an attribute of an attribute, None where the
    first is.
    """
    declared: Mapping[str, str] | None = getattr(kind, "KEYS", None)
    if declared is not None:
        return declared
    return {one.name: one.name for one in fields(kind) if one.metadata != UNSHOWN}


def keys(shown: str) -> Mapping[str, str]:
    """Return a class's `KEYS` from words: an attribute's own name, or `key=attribute`."""
    pairs = (word.partition("=") for word in shown.split())
    return {key: attribute or key for key, _, attribute in pairs}


def as_document(value: Any) -> Any:
    """Return a result as plain JSON values: dicts, lists, text, numbers, booleans and None."""
    if is_dataclass(value) and not isinstance(value, type):
        keys = keys_of(type(value))
        return {key: as_document(_follow(value, attribute)) for key, attribute in keys.items()}
    if isinstance(value, Mapping):
        return {str(key): as_document(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_document(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(as_document(item) for item in value)
    return _as_scalar(value)


def _follow(value: Any, path: str) -> Any:
    """Return what a path of attributes or keys leads to, None where it ends early."""
    for name in path.split("."):
        if value is not None:
            value = value[name] if isinstance(value, Mapping) else getattr(value, name)
    return value


def _as_scalar(value: Any) -> Any:
    """Return one value as JSON has it."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, date):  # a datetime, too
        return value.isoformat()
    if isinstance(value, Decimal):  # money; what is exact beyond cents is text by then
        return float(round(value, 2))
    return str(value) if isinstance(value, Path) else value
