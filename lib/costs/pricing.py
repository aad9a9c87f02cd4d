"""Price what templates contain: resources × assumed usage × price book.

Pure arithmetic in decimals, exact until one rounding to the cent at the end. A charge that
cannot be priced or counted stays in the estimate as such and makes the total "at least".
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from lib.costs import book as prices
from lib.costs import metering
from lib.costs.book import Book, Price, Status
from lib.costs.charges import BASELINE, CEILING, USAGE, Charge
from lib.costs.usage import ZERO, Assumption, Range, Usage
from lib.templates.resolution import Tree
from lib.templates.unknowns import Unknown

FREE_TIER: Final = "free tier"

#: Enough digits that no product or sum of an estimate is ever rounded on the way: a
#: quantity has at most 31 digits and a price 31 more.
PRECISION: Final = 100

#: What no line of an estimate covers.
EXCLUDED: Final = (
    "taxes, support plans, savings plans and negotiated discounts",
    "the bucket that holds published templates (kilobytes)",
    "on-demand backups made by this tool",
    "S3 lifecycle transitions and the cheaper storage classes that they lead to",
    "traffic between availability zones, and image pulls from other regions",
    "e-mails and text messages of Cognito and SNS beyond the free ones",
    "model evaluation, fine-tuning, prompt caching and batch inference in Bedrock",
)


@dataclass(frozen=True)
class Line:
    """One priced dimension of one resource.

    `resource` is the path in the tree, or "" for a line that belongs to the account (a free
    tier). `monthly` is None when the line has no price or no quantity; `problem` says why.
    """

    resource: str
    dimension: str
    service: str
    kind: str
    quantity: Range | None
    unit: str
    per: Decimal
    price: Price | None
    monthly: Range | None
    basis: tuple[tuple[str, str], ...] = ()
    note: str = ""
    problem: str = ""
    part: str = ""

    @property
    def stack(self) -> str:
        """Return the path of the stack that holds the resource."""
        return self.resource.rpartition("/")[0]

    @property
    def counts(self) -> bool:
        """Tell whether the line is part of the total."""
        return self.kind != CEILING

    @property
    def status(self) -> str:
        """Return where the price stands, or that the quantity is what is missing."""
        if self.quantity is None:
            return "no-quantity"
        return self.price.status.value if self.price else Status.MISSING.value

    @property
    def unit_price(self) -> Decimal | None:
        """Return the price of a single unit: over several tiers, the average one."""
        if self.price is None or not self.price.tiers:
            return None
        if len(self.price.tiers) > 1 and self.monthly and self.quantity and self.quantity.typical:
            with decimal.localcontext(prec=PRECISION):
                average = self.monthly.typical / self.quantity.typical
                return average.quantize(Decimal("1e-15")).normalize()
        return self.price.tiers[0].price / self.per


@dataclass(frozen=True)
class Estimate:
    """What a deployment is expected to cost in a month, in USD."""

    environment: str
    region: str
    lines: tuple[Line, ...]
    free_types: Mapping[str, str]
    unknown_types: Mapping[str, tuple[str, ...]]
    assumptions: tuple[Assumption, ...]
    unused: tuple[str, ...]
    undecided: tuple[str, ...]
    budget: Decimal | None

    @property
    def problems(self) -> tuple[str, ...]:
        """Return why the total is only a lower bound; nothing when it is complete."""
        unpriced = [
            f"{line.resource}: {line.problem}"
            for line in self.lines
            if line.problem and line.counts
        ]
        unknown = [
            f"{path}: nothing is known about the cost of {kind}"
            for kind, paths in self.unknown_types.items()
            for path in paths
        ]
        return (*dict.fromkeys(unpriced), *unknown)

    @property
    def complete(self) -> bool:
        """Tell whether everything that counts has a price and a quantity."""
        return not self.problems

    def exact(self, *kinds: str) -> Range:
        """Return the unrounded total, of some kinds of lines or of all that count."""
        with decimal.localcontext(prec=PRECISION):
            return _total(
                line for line in self.lines if (line.kind in kinds if kinds else line.counts)
            )

    def monthly(self, *kinds: str) -> Range:
        """Return the total in dollars and cents: the only place where money is rounded."""
        total = self.exact(*kinds)
        return Range(to_cents(total.min), to_cents(total.typical), to_cents(total.max))

    def oldest_price(self) -> str:
        """Return the date of the oldest price used, "" when none was."""
        return min(
            (line.price.as_of for line in self.lines if line.price and line.monthly), default=""
        )


def _total(lines: Iterable[Line]) -> Range:
    return sum((line.monthly for line in lines if line.monthly), ZERO)


def to_cents(amount: Decimal) -> Decimal:
    """Round an amount to the cent, half a cent up."""
    with decimal.localcontext(prec=PRECISION):
        return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def dollars(amount: Decimal) -> str:
    """Return an amount as people write it: `$1,234.50`, `-$0.40`."""
    cents = to_cents(amount)
    return f"{'-' if cents < 0 else ''}${abs(cents):,.2f}"


def estimate(
    tree: Tree,
    usage: Usage,
    book: Book,
    *,
    environment: str,
    region: str,
    free_tier: bool = True,
) -> Estimate:
    """Price a tree of templates.

    `free_tier` adds a line for each quantity that AWS never bills; they are shared by all
    of an account. Returns the estimate, in the order of the templates. Raises `InputError`
    for a region that the book does not know at all.
    """
    prices.require_region(book, region)
    with decimal.localcontext(prec=PRECISION):
        charges, free, unknown = metering.meter(tree, usage)
        lines = list(_price_all(charges, book, region))
        if free_tier:
            lines += _credit(lines, book, region)
    asked = [charge.quantity.assumptions for charge in charges]
    used = {id(a): a for several in asked for a in several}
    return Estimate(
        environment=environment,
        region=region,
        lines=tuple(lines),
        free_types=free,
        unknown_types={kind: tuple(paths) for kind, paths in unknown.items()},
        assumptions=tuple(used.values()),
        unused=tuple(
            f"{scope}.{measure}"
            for (scope, measure), item in usage.assumptions.items()
            if id(item) not in used
        ),
        undecided=tuple(
            f"{resource.path} ({resource.condition})"
            for resource in tree.resources
            if resource.condition
        ),
        budget=read_budget(tree),
    )


def _price_all(charges: Sequence[Charge], book: Book, region: str) -> Iterator[Line]:
    """Price the charges in order, so that tiers run through all resources of a dimension."""
    before: dict[tuple[str, str], Range] = {}
    for charge in charges:
        price = book.find(charge.dimension, region)
        key = (charge.dimension, charge.kind if charge.kind == CEILING else "")
        start = before.get(key, ZERO)
        line = _price(charge, book, price, region, start)
        if line.quantity:
            before[key] = start + line.quantity
        yield line


def _price(charge: Charge, book: Book, price: Price | None, region: str, start: Range) -> Line:
    dimension = book.dimensions.get(charge.dimension)
    per = dimension.per if dimension else Decimal(1)
    quantity = charge.quantity.amount
    problem = charge.quantity.problem
    monthly = None
    if price is None or not price.tiers:
        reason = f" ({price.note})" if price and price.note else ""
        problem = problem or f"no price was found for {charge.dimension} in {region}{reason}"
    elif quantity is not None:
        monthly = Range(
            *(
                prices.charge(price.tiers, below + more, per)
                - prices.charge(price.tiers, below, per)
                for below, more in zip(_amounts(start), _amounts(quantity), strict=True)
            )
        )
    return Line(
        resource=charge.resource,
        dimension=charge.dimension,
        service=dimension.service if dimension else charge.dimension.partition(".")[0],
        kind=charge.kind,
        quantity=quantity,
        unit=dimension.unit if dimension else "",
        per=per,
        price=price,
        monthly=monthly,
        basis=charge.quantity.basis,
        note=charge.note,
        problem=problem,
        part=charge.part,
    )


def _amounts(values: Range) -> tuple[Decimal, Decimal, Decimal]:
    return values.min, values.typical, values.max


def _credit(lines: Sequence[Line], book: Book, region: str) -> Iterator[Line]:
    """Yield a negative line for each dimension that has a quantity AWS never bills."""
    for name, tier in book.free.items():
        used = [line for line in lines if line.dimension == name and line.counts and line.monthly]
        price = book.find(name, region)
        if not used or price is None:
            continue
        total = sum((line.quantity for line in used if line.quantity), ZERO)
        free = Range(*(min(amount, tier.quantity) for amount in _amounts(total)))
        per = book.dimensions[name].per
        yield Line(
            resource="",
            dimension=name,
            service=book.dimensions[name].service,
            kind=FREE_TIER,
            quantity=ZERO - free,
            unit=book.dimensions[name].unit,
            per=per,
            price=price,
            monthly=Range(*(-prices.charge(price.tiers, amount, per) for amount in _amounts(free))),
            basis=(("free a month", str(tier.quantity)),),
            note=f"{prices.plain(tier.quantity)} a month are free, once for the whole account",
        )


def read_budget(tree: Tree) -> Decimal | None:
    """Return the monthly limit that the templates set on themselves, if they do."""
    for resource in tree.resources:
        if resource.type == "AWS::Budgets::Budget":
            limit = resource.properties.get("Budget", {})
            for key in ("BudgetLimit", "Amount"):
                limit = limit.get(key) if isinstance(limit, Mapping) else None
            if limit is not None and not isinstance(limit, Unknown):
                return Decimal(str(limit)) if _is_number(limit) else None
    return None


def _is_number(value: Any) -> bool:
    return str(value).replace(".", "", 1).isdecimal()


def as_json(estimate: Estimate, book: Book, today: date) -> dict[str, Any]:
    """Return an estimate as the document that `estimate --json` prints."""
    oldest = estimate.oldest_price()
    return {
        "environment": estimate.environment,
        "region": estimate.region,
        "currency": "USD",
        "monthly": _numbers(estimate.monthly()),
        "baseline": _numbers(estimate.monthly(BASELINE)),
        "usage": _numbers(estimate.monthly(USAGE)),
        "free_tier": _numbers(estimate.monthly(FREE_TIER)),
        "complete": estimate.complete,
        "problems": list(estimate.problems),
        "lines": [_line_as_json(line) for line in estimate.lines],
        "unknown_types": {kind: list(paths) for kind, paths in estimate.unknown_types.items()},
        "free_types": dict(estimate.free_types),
        "assumptions": [_assumption_as_json(item) for item in estimate.assumptions],
        "unused_assumptions": list(estimate.unused),
        "undecided": list(estimate.undecided),
        "excluded": list(EXCLUDED),
        "budget": None if estimate.budget is None else float(estimate.budget),
        "prices": {
            "source": book.file,
            "oldest": oldest,
            "age_days": prices.age_days(oldest, today) if oldest else None,
        },
    }


def _numbers(amounts: Range) -> dict[str, float]:
    return {"min": float(amounts.min), "typical": float(amounts.typical), "max": float(amounts.max)}


def _texts(amounts: Range | None) -> dict[str, str] | None:
    if amounts is None:
        return None
    return {
        "min": prices.plain(amounts.min),
        "typical": prices.plain(amounts.typical),
        "max": prices.plain(amounts.max),
    }


def _line_as_json(line: Line) -> dict[str, Any]:
    unit_price = line.unit_price
    return {
        "resource": line.resource or "account",
        "stack": line.stack,
        "service": line.service,
        "dimension": line.dimension,
        "kind": line.kind,
        "part": line.part,
        "quantity": prices.plain(line.quantity.typical) if line.quantity else None,
        "unit": line.unit,
        "unit_price": prices.plain(unit_price) if unit_price is not None else None,
        "monthly": prices.plain(line.monthly.typical) if line.monthly else None,
        "quantity_range": _texts(line.quantity),
        "monthly_range": _texts(line.monthly),
        "source": line.price.source if line.price else "",
        "as_of": line.price.as_of if line.price else "",
        "status": line.status,
        "note": line.note,
        "problem": line.problem,
    }


def _assumption_as_json(item: Assumption) -> dict[str, Any]:
    return {
        "scope": item.scope,
        "measure": item.measure,
        **(_texts(item.amount) or {}),
        "unit": item.unit,
        "reason": item.reason,
    }
