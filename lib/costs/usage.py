"""Read what an environment is assumed to use in a month.

Pure: works on text. Each assumption has a least, a usual and a greatest amount, a unit and
the reason for it, so that an estimate can show what it rests on. The three amounts are
assumption ranges, not statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from lib.document import keys
from lib.inputs import documents
from lib.inputs.documents import Value
from lib.values import plain


@dataclass(frozen=True)
class Range:
    """A least, a usual and a greatest amount."""

    min: Decimal
    typical: Decimal
    max: Decimal

    def __iter__(self) -> Iterator[Decimal]:
        """Yield the three amounts, the least first."""
        return iter((self.min, self.typical, self.max))

    @property
    def texts(self) -> Mapping[str, str]:
        """Return the amounts exactly, as JSON's numbers could not hold them."""
        return {name: plain(amount) for name, amount in vars(self).items()}

    def __add__(self, other: Range) -> Range:
        return Range(self.min + other.min, self.typical + other.typical, self.max + other.max)

    def __sub__(self, other: Range) -> Range:
        return Range(self.min - other.min, self.typical - other.typical, self.max - other.max)

    def __mul__(self, other: Range | Decimal) -> Range:
        """Multiply amount by amount, or each amount by a factor."""
        by = other if isinstance(other, Range) else constant(other)
        return Range(self.min * by.min, self.typical * by.typical, self.max * by.max)


def constant(amount: Decimal | int) -> Range:
    """Return a range of one amount."""
    exact = Decimal(amount)
    return Range(exact, exact, exact)


ZERO = constant(0)


@dataclass(frozen=True)
class Assumption:
    """One assumed monthly amount of one measure for a scope.

    `scope` is the path of a resource, its logical ID or a resource type.
    """

    scope: str
    measure: str
    amount: Range
    unit: str
    reason: str

    KEYS: ClassVar = keys(
        "scope measure min=amount.texts.min typical=amount.texts.typical max=amount.texts.max "
        "unit reason"
    )


@dataclass(frozen=True)
class Usage:
    """All assumptions of one environment, by scope and measure."""

    file: str
    assumptions: Mapping[tuple[str, str], Assumption]

    def find(self, path: str, kind: str, measure: str) -> Assumption | None:
        """Return the closest assumption for a resource: its path, logical ID, then type."""
        for scope in (path, path.rsplit("/", 1)[-1], kind):
            found = self.assumptions.get((scope, measure))
            if found:
                return found
        return None


def parse(text: str, file: str) -> Usage:
    """Read a usage file.

    `file` is its name in messages. The text is `{"description": …, "usage": {SCOPE:
    {MEASURE: {"min", "typical", "max", "unit", "reason"}}}}`. Raises `InputError` naming
    file and key.
    """
    root = documents.read(text, file).only("description", "usage")
    found = {
        (scope, measure): _read_assumption(scope, measure, node)
        for scope, measures in root.member("usage").members()
        for measure, node in measures.members()
    }
    return Usage(file, found)


def _read_assumption(scope: str, measure: str, node: Value) -> Assumption:
    """Read one assumption, refusing amounts that are out of order."""
    node.only("min", "typical", "max", "unit", "reason")
    amounts = [node.member(name).number() for name in ("min", "typical", "max")]
    if amounts != sorted(amounts):
        node.fail("is out of order: min, typical and max have to rise")
    return Assumption(
        scope,
        measure,
        Range(*amounts),
        node.member("unit").stated(),
        node.member("reason").stated(),
    )
