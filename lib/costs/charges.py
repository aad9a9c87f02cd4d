"""The words that metering and pricing share: a charge, its quantity, where it arises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from lib.costs.usage import Assumption, Range, Usage, constant
from lib.templates.resolution import Resource, Tree
from lib.templates.unknowns import Unknown

#: Kinds of charge: what runs without a single user, what grows with use, and what the same
#: use would cost at most (shown beside the total, never in it).
BASELINE: Final = "baseline"
USAGE: Final = "usage"
CEILING: Final = "ceiling"

#: AWS's own month: https://aws.amazon.com/ec2/pricing/ and its calculator use 730 hours.
HOURS_A_MONTH: Final = 730
DAYS_A_MONTH: Final = Decimal(HOURS_A_MONTH) / 24

#: No size or count in a template comes near this; beyond it a property is a mistake.
MAX_PROPERTY: Final = Decimal("1e12")

#: The scope in a usage file for models that have no entry of their own.
ANY_MODEL: Final = "Bedrock model"


@dataclass(frozen=True)
class Quantity:
    """A monthly amount that remembers what it was computed from.

    `basis` pairs the name of each property or measure with its value, to explain a
    difference later. `amount` is None when a part is not known; `problem` then says which.
    """

    amount: Range | None
    basis: tuple[tuple[str, str], ...] = ()
    problem: str = ""
    assumptions: tuple[Assumption, ...] = ()

    def __mul__(self, other: Quantity | Decimal | int) -> Quantity:
        """Multiply amounts and join what they were computed from."""
        by = other if isinstance(other, Quantity) else Quantity(constant(other))
        amount = self.amount * by.amount if self.amount and by.amount else None
        return Quantity(
            amount,
            self.basis + by.basis,
            self.problem or by.problem,
            self.assumptions + by.assumptions,
        )


@dataclass(frozen=True)
class Charge:
    """One metered dimension of one resource, not yet priced.

    `part` tells apart charges of one dimension, such as a table's indexes.
    """

    resource: str
    dimension: str
    quantity: Quantity
    kind: str
    note: str = ""
    part: str = ""


@dataclass(frozen=True)
class Place:
    """One resource in its surroundings: the whole tree and the assumed usage."""

    resource: Resource
    tree: Tree
    usage: Usage

    @property
    def stack(self) -> str:
        """Return the path of the stack that holds the resource, "" for the root."""
        return self.resource.path.rpartition("/")[0]

    def property(self, *keys: str) -> Any:
        """Return a property by its path, None when it is not stated."""
        value: Any = self.resource.properties
        for key in keys:
            if isinstance(value, Unknown):
                return value
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def number(self, *keys: str, default: str) -> Quantity:
        """Return a numeric property as a quantity."""
        name = ".".join(keys)
        value = self.property(*keys)
        value = default if value is None else value
        basis = ((name, str(value)),)
        if isinstance(value, Unknown):
            return Quantity(None, basis, f"{name} is {value}, known only to AWS")
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or not 0 <= number <= MAX_PROPERTY:
            return Quantity(None, basis, f"{name} is {value}, which is not a number")
        return Quantity(constant(number), basis)

    def says(self, *keys: str, default: str = "") -> str:
        """Return a textual property, the default when it is not stated."""
        value = self.property(*keys)
        return default if value is None else str(value)

    def assumed(self, measure: str, scope: str = "", kind: str = "") -> Quantity:
        """Return an assumed amount for this resource, or for another scope."""
        path, kind = scope or self.resource.path, kind or self.resource.type
        found = self.usage.find(path, kind, measure)
        if found is None:
            where = scope or self.resource.logical_id
            problem = f"{self.usage.file} has no {measure} for {where} or {kind}"
            return Quantity(None, ((measure, "not assumed"),), problem)
        return Quantity(found.amount, ((measure, describe(found)),), "", (found,))

    def charge(
        self, dimension: str, quantity: Quantity, kind: str = USAGE, note: str = "", part: str = ""
    ) -> Charge:
        """Build a charge of this resource."""
        return Charge(self.resource.path, dimension, quantity, kind, note, part)

    def neighbours(self, kind: str) -> Iterator[Place]:
        """Yield the resources of one type in the same stack."""
        for other in self.tree.resources:
            if other.type == kind and other.path.rpartition("/")[0] == self.stack:
                yield Place(other, self.tree, self.usage)


def describe(assumption: Assumption) -> str:
    """Return an assumption in a few words."""
    amount = assumption.amount
    return f"{amount.typical} ({amount.min} to {amount.max}) {assumption.unit}"
