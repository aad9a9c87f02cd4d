"""Stand in for what only AWS will know, so that nothing is ever computed from a guess."""

from __future__ import annotations

from dataclasses import dataclass, field
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
