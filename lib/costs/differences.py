"""Say what makes one estimate differ from another, line by line."""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from lib.costs.book import Tier, draw_price
from lib.costs.pricing import PRECISION, Estimate, Line
from lib.costs.usage import ZERO, Range
from lib.document import keys


@dataclass(frozen=True)
class Difference:
    """One line that two estimates do not share, with the reason and what it changes."""

    resource: str
    dimension: str
    kind: str
    monthly: Range
    reason: str

    KEYS: ClassVar = keys("resource dimension kind monthly=monthly.texts.typical reason")


@dataclass(frozen=True)
class Comparison:
    """The usual month of two estimates, the exact change and the lines that make it."""

    before: Decimal
    after: Decimal
    change: Decimal
    lines: tuple[Difference, ...]


def compare(before: Estimate, after: Estimate) -> Comparison:
    """List every line that changes a month's cost from one estimate to another, and why.

    Lines are matched by resource, dimension, kind and part. The differences add up to the
    difference of the exact totals, except for lines without a price, which are listed with
    an amount of zero and say so.
    """
    old, new = _by_key(before), _by_key(after)
    found: list[Difference] = []
    with decimal.localcontext(prec=PRECISION):
        for key in dict.fromkeys((*old, *new)):
            previous, line = old.get(key), new.get(key)
            reason = _why(previous, line, before, after)
            amount = _money(line) - _money(previous)
            if reason and (amount != ZERO or _is_open(line) or _is_open(previous)):
                resource, dimension, kind, _ = key
                found.append(Difference(resource, dimension, kind, amount, reason))
    change = after.exact().typical - before.exact().typical
    return Comparison(before.monthly().typical, after.monthly().typical, change, tuple(found))


def _by_key(estimate: Estimate) -> dict[tuple[str, str, str, str], Line]:
    return {(line.resource, line.dimension, line.kind, line.part): line for line in estimate.lines}


def _money(line: Line | None) -> Range:
    return line.monthly if line and line.monthly else ZERO


def _is_open(line: Line | None) -> bool:
    return line is not None and line.monthly is None


def _why(old: Line | None, new: Line | None, before: Estimate, after: Estimate) -> str:
    """Say why a line differs, "" when it does not."""
    if old is None or new is None:
        line, other, word = (new, before, "new") if new else (old, after, "gone")
        if line is None:
            return ""
        shared = line.resource in {known.resource for known in other.lines}
        gap = f", but it is not priced: {line.problem}" if line.monthly is None else ""
        return f"{'this charge' if shared else 'the resource'} is {word}{gap}"
    reasons = [*_basis_changes(old, new), *_price_changes(old, new)]
    if not reasons and old.quantity != new.quantity:
        reasons = ["what it is counted from changed elsewhere"]
    return "; ".join(reasons)


def _basis_changes(old: Line, new: Line) -> Iterator[str]:
    was, now = dict(old.basis), dict(new.basis)
    for name in dict.fromkeys((*was, *now)):
        if was.get(name) != now.get(name):
            yield f"{name}: {was.get(name, 'not stated')} → {now.get(name, 'not stated')}"


def _price_changes(old: Line, new: Line) -> Iterator[str]:
    if old.price.tiers != new.price.tiers:
        yield f"price: {_first(old.price.tiers)} → {_first(new.price.tiers)}"
    elif old.monthly != new.monthly and old.quantity == new.quantity:
        yield "another tier of the price applies"


def _first(tiers: Sequence[Tier]) -> str:
    return draw_price(tiers[0].price) if tiers else "none"
