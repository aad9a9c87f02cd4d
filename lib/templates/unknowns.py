"""Stand in for what only AWS will know, so that nothing is ever computed from a guess."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lib.values import walk


@dataclass(frozen=True)
class Unknown:
    """Stand for a value that only AWS will know.

    `expression` is the value as text with `${...}` for each unknown part, each with the path
    of its stack; two values of one expression are equal. `reason` says why it is not known.
    `never_empty` is true of the references that conditions ask for by comparing with "".
    """

    expression: str
    reason: str = field(default="only known once deployed", compare=False)
    never_empty: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        """Return the expression."""
        return self.expression


def has_unknown(value: Any) -> bool:
    """Tell whether a value is or holds an `Unknown`."""
    return any(isinstance(inside, Unknown) for inside in walk(value))


_REFERENCE = re.compile(r"\$\{([^!}][^}]*)\}")


def fill_in(value: Any, known: Mapping[str, str]) -> Any:
    """Return a value with the references that are known filled in, and the rest left unknown.

    `known` are values by what an expression refers to, `DatabaseStack/JobsTable.Arn`.
    """
    if isinstance(value, Mapping):
        return {key: fill_in(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [fill_in(item, known) for item in value]
    if not isinstance(value, Unknown):
        return value
    text = _REFERENCE.sub(lambda found: known.get(found[1], found[0]), value.expression)
    return replace(value, expression=text) if "${" in text else text
