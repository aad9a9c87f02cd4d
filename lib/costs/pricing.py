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
from typing import ClassVar, Final

from lib.costs import metering
from lib.costs.book import Book, Dimension, Price, age_days, cost_of, require_region
from lib.costs.charges import BASELINE, CEILING, USAGE, Charge, Place, Quantity
from lib.costs.usage import ZERO, Assumption, Range, Usage
from lib.document import keys
from lib.templates.resolution import Tree
from lib.templates.unknowns import Unknown
from lib.values import plain

FREE_TIER: Final = "free tier"

#: The resource of a line that belongs to no single one.
ACCOUNT: Final = "account"

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

    `resource` is the path in the tree, or `ACCOUNT` for a free tier. `monthly` is None when
    the line has no price or no quantity; `problem` says why.
    """

    resource: str
    dimension: str
    service: str
    kind: str
    quantity: Range | None
    unit: str
    per: Decimal
    price: Price
    monthly: Range | None
    basis: tuple[tuple[str, str], ...] = ()
    note: str = ""
    problem: str = ""
    part: str = ""

    KEYS: ClassVar = keys(
        "resource stack service dimension kind part quantity=quantity.texts.typical unit "
        "unit_price monthly=monthly.texts.typical "
        "quantity_range=quantity.texts monthly_range=monthly.texts source=price.source "
        "as_of=price.as_of status note problem"
    )

    @property
    def stack(self) -> str:
        """Return the path of the stack that holds the resource."""
        return self.resource.rpartition("/")[0]

    @property
    def status(self) -> str:
        """Return where the price stands, or that the quantity is what is missing."""
        return "no-quantity" if self.quantity is None else self.price.status.value

    @property
    def unit_price(self) -> str | None:
        """Return the price of a single unit, exactly: over several tiers, the average one."""
        if not self.price.tiers:
            return None
        if len(self.price.tiers) > 1 and self.monthly and self.quantity and self.quantity.typical:
            with decimal.localcontext(prec=PRECISION):
                average = self.monthly.typical / self.quantity.typical
                return plain(average.quantize(Decimal("1e-15")))
        return plain(self.price.tiers[0].price / self.per)


@dataclass(frozen=True)
class PricesUsed:
    """The book behind an estimate, and the date and age in days of the oldest price used."""

    source: str
    oldest: str
    age_days: int | None


@dataclass(frozen=True)
class Estimate:
    """What a deployment is expected to cost in a month, in USD.

    `lines` add up to the total. `ceiling` is what the same use would cost at most, such as Spot
    hours on demand, and is part of no sum.
    """

    environment: str
    region: str
    lines: tuple[Line, ...]
    ceiling: tuple[Line, ...]
    free_types: Mapping[str, str]
    unknown_types: Mapping[str, tuple[str, ...]]
    assumptions: tuple[Assumption, ...]
    unused: tuple[str, ...]
    undecided: tuple[str, ...]
    budget: Decimal | None
    prices: PricesUsed

    currency: ClassVar = "USD"
    excluded: ClassVar = EXCLUDED
    KEYS: ClassVar = keys(
        "environment region currency monthly=totals.all baseline=totals.baseline "
        "usage=totals.usage free_tier=totals.free_tier complete problems lines "
        "ceiling ceiling_monthly=totals.ceiling unknown_types free_types assumptions "
        "unused_assumptions=unused undecided excluded budget=stated_budget prices"
    )

    @property
    def totals(self) -> Mapping[str, Range]:
        """Return the rounded totals by kind of line, of all lines, and of the ceiling apart."""
        return {
            "all": self.monthly(),
            "baseline": self.monthly(BASELINE),
            "usage": self.monthly(USAGE),
            "free_tier": self.monthly(FREE_TIER),
            "ceiling": _rounded(_sum(self.ceiling)),
        }

    @property
    def stated_budget(self) -> float | None:
        """Return the budget as the templates state it, not rounded to the cent."""
        return None if self.budget is None else float(self.budget)

    @property
    def problems(self) -> tuple[str, ...]:
        """Return why the total is only a lower bound; nothing when it is complete."""
        unpriced = (f"{line.resource}: {line.problem}" for line in self.lines if line.problem)
        unknown = [
            f"{path}: nothing is known about the cost of {kind}"
            for kind, paths in self.unknown_types.items()
            for path in paths
        ]
        return (*dict.fromkeys(unpriced), *unknown)

    @property
    def complete(self) -> bool:
        """Tell whether every line has a price and a quantity, and every type is known."""
        return not self.problems

    def exact(self, *kinds: str) -> Range:
        """Return the unrounded total, of some kinds of lines or of all."""
        return _sum(line for line in self.lines if not kinds or line.kind in kinds)

    def monthly(self, *kinds: str) -> Range:
        """Return the total in dollars and cents: the only place where money is rounded."""
        return _rounded(self.exact(*kinds))


def _sum(lines: Iterable[Line]) -> Range:
    with decimal.localcontext(prec=PRECISION):
        return sum((line.monthly for line in lines if line.monthly), ZERO)


def _rounded(amount: Range) -> Range:
    return Range(*map(to_cents, amount))


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
    today: date,
    free_tier: bool = True,
) -> Estimate:
    """Price a tree of templates.

    `free_tier` adds a line for each quantity that AWS never bills; they are shared by all
    of an account. Returns the estimate, in the order of the templates. Raises `InputError`
    for a region that the book does not know at all.
    """
    require_region(book, region)
    with decimal.localcontext(prec=PRECISION):
        charges, free, unknown = metering.meter(tree, usage)
        priced = list(_price_all(charges, book, region))
        lines = [line for line in priced if line.kind != CEILING]
        if free_tier:
            lines += _credit(lines, book, region)
    used = {id(item): item for charge in charges for item in charge.quantity.assumptions}
    oldest = min((line.price.as_of for line in lines if line.monthly), default="")
    return Estimate(
        environment,
        region,
        tuple(lines),
        tuple(line for line in priced if line.kind == CEILING),
        free,
        {kind: tuple(paths) for kind, paths in unknown.items()},
        assumptions=tuple(used.values()),
        unused=tuple(".".join(k) for k, item in usage.assumptions.items() if id(item) not in used),
        undecided=tuple(f"{r.path} ({r.condition})" for r in tree.resources if r.condition),
        budget=_read_budget(tree, usage),
        prices=PricesUsed(book.file, oldest, age_days(oldest, today) if oldest else None),
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


def _price(charge: Charge, book: Book, price: Price, region: str, start: Range) -> Line:
    dimension = book.dimension(charge.dimension)
    quantity = charge.quantity.amount
    problem = charge.quantity.problem
    monthly = None
    if not price.tiers:
        reason = f" ({price.note})" if price.note else ""
        problem = problem or f"no price was found for {charge.dimension} in {region}{reason}"
    elif quantity is not None:
        upper, lower = (
            Range(*(cost_of(price.tiers, amount, dimension.per) for amount in amounts))
            for amounts in (start + quantity, start)
        )
        monthly = upper - lower
    return _line(charge, dimension, price, monthly, problem)


def _line(
    charge: Charge, dimension: Dimension, price: Price, monthly: Range | None, problem: str = ""
) -> Line:
    return Line(
        resource=charge.resource,
        dimension=charge.dimension,
        service=dimension.service,
        kind=charge.kind,
        quantity=charge.quantity.amount,
        unit=dimension.unit,
        per=dimension.per,
        price=price,
        monthly=monthly,
        basis=charge.quantity.basis,
        note=charge.note,
        problem=problem,
        part=charge.part,
    )


def _credit(lines: Sequence[Line], book: Book, region: str) -> Iterator[Line]:
    """Yield a negative line for each dimension that has a quantity AWS never bills."""
    for name, tier in book.free.items():
        used = [line for line in lines if line.dimension == name and line.monthly]
        if not used:
            continue
        dimension, price = book.dimension(name), book.find(name, region)
        total = sum((line.quantity for line in used if line.quantity), ZERO)
        free = Range(*(min(amount, tier.quantity) for amount in total))
        cost = Range(*(cost_of(price.tiers, amount, dimension.per) for amount in free))
        quantity = Quantity(ZERO - free, (("free a month", str(tier.quantity)),))
        note = f"{plain(tier.quantity)} a month are free, once for the whole account"
        charge = Charge(ACCOUNT, name, quantity, FREE_TIER, note)
        yield _line(charge, dimension, price, ZERO - cost)


def _read_budget(tree: Tree, usage: Usage) -> Decimal | None:
    """Return the monthly limit that the templates set on themselves, if they do."""
    for resource in tree.resources:
        if resource.type == "AWS::Budgets::Budget":
            limit = Place(resource, tree, usage).property("Budget", "BudgetLimit", "Amount")
            if limit is not None and not isinstance(limit, Unknown):
                is_number = str(limit).replace(".", "", 1).isdecimal()
                return Decimal(str(limit)) if is_number else None
    return None
