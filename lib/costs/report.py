"""Tell an estimate to people and to programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lib.costs import book as prices
from lib.costs import chart, differences, usage
from lib.costs import pricing as costs
from lib.costs.book import Status
from lib.costs.charges import BASELINE, CEILING, USAGE
from lib.costs.differences import Difference
from lib.costs.estimates import Estimated, Question, Report
from lib.costs.pricing import Estimate, Line
from lib.costs.usage import Range
from lib.drawing import draw_table
from lib.errors import OperationFailed
from lib.operators import Answer, Level, Note

if TYPE_CHECKING:
    pass


#: A price book that nobody looked at for this many days is worth a warning.
OLD_AFTER_DAYS = 180


def answer(
    made: Sequence[Estimated],
    question: Question,
    *,
    limit: Decimal | None,
    before: Estimate | None,
    report: Report,
) -> Answer:
    """Tell what the deployments cost; exit code 1 when one is above the limit.

    `limit` is in USD a month and held against the usual amount.
    """
    documents = [costs.as_json(item.estimate, item.book, question.today) for item in made]
    document: dict[str, Any] = documents[0] if len(documents) == 1 else {"environments": documents}
    text = _draw_side_by_side(made) if len(made) > 1 else draw(made[0], question.today)
    if before is not None:
        changed = differences.compare(before, made[0].estimate)
        document["compared"] = _compared_as_json(before, made[0].estimate, changed)
        text += "\n\n" + _draw_differences(before, made[0].estimate, changed)
    for item in made:
        _warn(item, question.today, report)
    over = [item.estimate for item in made if _exceeds(item.estimate, limit)]
    for found in over:
        report(Note(f"{_total(found)} for {found.environment} is above {limit} USD.", Level.ERROR))
    return Answer(document, text, OperationFailed.exit_code if over else 0)


def _exceeds(found: Estimate, limit: Decimal | None) -> bool:
    return limit is not None and found.monthly().typical > limit


def _warn(item: Estimated, today: date, report: Report) -> None:
    """Warn of an estimate above the environment's budget, and of old or stale prices."""
    found = item.estimate
    if found.budget is not None and found.monthly().typical > found.budget:
        limit = costs.dollars(found.budget)
        text = (
            f"{_total(found)} exceeds the budget of {limit} that {found.environment} sets itself."
        )
        report(Note(text, Level.WARNING))
    oldest = found.oldest_price()
    if oldest and prices.age_days(oldest, today) > OLD_AFTER_DAYS:
        text = f"The oldest price is of {oldest}; renew the book with inv refresh-prices."
        report(Note(text, Level.WARNING))
    stale = sorted({line.dimension for line in found.lines if line.status == Status.STALE.value})
    if stale:
        text = f"Stale prices, whose source could not be read again: {', '.join(stale)}."
        report(Note(text, Level.WARNING))


def _total(found: Estimate) -> str:
    """Return the total as a sentence begins: `At least $12.30 a month`."""
    amount = costs.dollars(found.monthly().typical)
    return f"{amount} a month" if found.complete else f"At least {amount} a month"


def draw(made: Estimated, today: date) -> str:
    """Return an estimate as text: a table for each stack, the total, what it rests on."""
    found = made.estimate
    oldest = found.oldest_price()
    age = f", oldest of {oldest} ({prices.age_days(oldest, today)} days ago)" if oldest else ""
    head = (
        f"{made.job.stack_name} in {found.region}, a month of {usage_hours()} hours, in USD\n"
        f"Usage  {made.usage.file}\nPrices {made.book.file}{age}"
    )
    by_stack: dict[str, list[Line]] = {}
    for line in found.lines:
        by_stack.setdefault(line.stack if line.resource else "Free tier", []).append(line)
    tables = [
        f"{stack or 'Root stack'}\n{draw_table(_COLUMNS, [_row(line) for line in lines])}"
        for stack, lines in by_stack.items()
    ]
    parts = [head, *tables, _draw_totals(found), *_draw_gaps(found), _draw_assumptions(found)]
    parts.append(_draw_free(found))
    return "\n\n".join(part for part in parts if part)


def usage_hours() -> int:
    """Return the hours that AWS counts a month as."""
    from lib.costs.charges import HOURS_A_MONTH

    return HOURS_A_MONTH


_COLUMNS = ("Resource", "Dimension", "Quantity", "Unit price", "Month", "Range", "Price of")


def _row(line: Line) -> tuple[str, ...]:
    """Return one line of the table; a ceiling is shown in parentheses, as it is not counted."""
    month = costs.dollars(line.monthly.typical) if line.monthly else "?"
    spread = _spread(line.monthly) if line.monthly else line.status
    as_of = line.price.as_of if line.price and line.monthly else "-"
    mark = "" if line.status in (Status.BOOK.value, Status.MISSING.value) else f" {line.status}"
    remarks = [line.part, line.kind if line.kind in (BASELINE, CEILING) else ""]
    name = line.dimension + "".join(f"  [{remark}]" for remark in remarks if remark)
    return (
        line.resource.rpartition("/")[2] or "account",
        name,
        f"{_quantity(line.quantity.typical)} {line.unit}" if line.quantity else "?",
        _price_text(line),
        f"({month})" if line.kind == CEILING else month,
        spread,
        as_of + mark if line.monthly else "-",
    )


def _spread(amount: Range) -> str:
    low, high = sorted((amount.min, amount.max))
    return "" if low == high else f"{costs.dollars(low)} to {costs.dollars(high)}"


def _quantity(number: Decimal) -> str:
    """Return a quantity with at most four significant decimals."""
    shown = number.quantize(Decimal("1")) if abs(number) >= 100 else round(number, 4)
    return prices.plain(Decimal(shown)) if abs(number) < 1000 else f"{shown:,}"


def _price_text(line: Line) -> str:
    if line.price is None or not line.price.tiers:
        return "missing"
    amounts = " / ".join(prices.amount(tier.price) for tier in line.price.tiers)
    return amounts if line.per == 1 else f"{amounts} per {line.per:,}"


def _draw_totals(found: Estimate) -> str:
    names = {"Baseline": (BASELINE,), "Usage": (USAGE,), "Free tier": (costs.FREE_TIER,)}
    rows = [(name, *_amounts(found.monthly(*kinds))) for name, kinds in names.items()]
    total = "Total" if found.complete else "Total, at least"
    rows.append((total, *_amounts(found.monthly())))
    text = draw_table(("A month, USD", "min", "typical", "max"), rows)
    ceiling = found.monthly(CEILING)
    if ceiling.max:
        on_demand = costs.dollars(ceiling.typical)
        text += f"\nFargate Spot floats; the same hours on demand would be {on_demand}."
    if found.budget is not None:
        text += f"\nThe budget of this deployment alerts at {costs.dollars(found.budget)} a month."
    if not found.monthly(BASELINE).typical:
        text += "\nNothing here costs money by merely existing: all of it grows with use."
    return text


def _amounts(amount: Range) -> tuple[str, str, str]:
    return costs.dollars(amount.min), costs.dollars(amount.typical), costs.dollars(amount.max)


def _draw_gaps(found: Estimate) -> list[str]:
    """Return what makes the total a lower bound or less than certain."""
    parts = []
    if found.problems:
        parts.append("Not priced, so the total is a lower bound:\n" + _listed(found.problems))
    if found.undecided:
        parts.append(
            "Counted, though only AWS can decide whether they exist:\n" + _listed(found.undecided)
        )
    notes = dict.fromkeys(
        f"{li.dimension}: {li.note}" for li in found.lines if li.note and li.resource
    )
    if notes:
        parts.append("Notes:\n" + _listed(notes))
    return parts


def _listed(items: Sequence[str] | Mapping[str, Any]) -> str:
    return "\n".join(f"  - {item}" for item in items)


def _draw_assumptions(found: Estimate) -> str:
    rows = [
        (
            item.scope,
            item.measure,
            *(_quantity(n) for n in (item.amount.min, item.amount.typical, item.amount.max)),
            item.unit,
            item.reason,
        )
        for item in found.assumptions
    ]
    columns = ("Assumed for", "Measure", "min", "typical", "max", "Unit", "Because")
    return f"Assumptions (ranges, not statistics)\n{draw_table(columns, rows)}"


def _draw_free(found: Estimate) -> str:
    free = [f"{kind}: {reason}" for kind, reason in sorted(found.free_types.items())]
    return f"Free of charge:\n{_listed(free)}\n\nNot included:\n{_listed(costs.EXCLUDED)}"


def by_service(found: Estimate) -> dict[str, Range]:
    """Return the exact monthly amount of each service, free tier included."""
    totals: dict[str, Range] = {}
    for line in found.lines:
        if line.counts:
            amount = line.monthly or usage.ZERO
            totals[line.service] = totals.get(line.service, usage.ZERO) + amount
    return totals


def unpriced_services(found: Estimate) -> frozenset[str]:
    """Return the services of which something could not be priced or counted."""
    return frozenset(line.service for line in found.lines if line.counts and line.monthly is None)


def _draw_side_by_side(made: Sequence[Estimated]) -> str:
    """Return the environments beside each other, service by service."""
    services = sorted({name for item in made for name in by_service(item.estimate)})
    rows = [(name, *(_service_cell(item.estimate, name) for item in made)) for name in services]
    rows.append(("Total", *(_total(item.estimate).removesuffix(" a month") for item in made)))
    rows.append(("Range", *(_spread(item.estimate.monthly()) for item in made)))
    rows.append(("Budget", *(_budget(item.estimate) for item in made)))
    names = [f"{item.estimate.environment} ({item.estimate.region})" for item in made]
    return draw_table(("USD a month", *names), rows)


def _service_cell(found: Estimate, service: str) -> str:
    amount = by_service(found).get(service)
    if amount is None:
        return "-"
    if service not in unpriced_services(found):
        return costs.dollars(amount.typical)
    return f"at least {costs.dollars(amount.typical)}" if amount != usage.ZERO else "not priced"


def _budget(found: Estimate) -> str:
    return "-" if found.budget is None else costs.dollars(found.budget)


def _draw_differences(before: Estimate, after: Estimate, differences: Sequence[Difference]) -> str:
    """Return what changes a month's cost, line by line, largest first."""
    rows = [
        (item.resource or "account", item.dimension, _signed(item.monthly.typical), item.reason)
        for item in sorted(differences, key=lambda item: -abs(item.monthly.typical))
    ]
    change = (after.exact() - before.exact()).typical
    head = f"{_signed(change)} a month ({costs.dollars(before.monthly().typical)} before)"
    return (
        f"{head}\n{draw_table(('Resource', 'Dimension', 'Month', 'Because'), rows)}"
        if rows
        else head
    )


def _signed(amount: Decimal) -> str:
    text = costs.dollars(amount)
    return text if text.startswith("-") or not costs.to_cents(amount) else f"+{text}"


def _compared_as_json(
    before: Estimate, after: Estimate, differences: Sequence[Difference]
) -> dict[str, Any]:
    change = (after.exact() - before.exact()).typical
    return {
        "before": float(before.monthly().typical),
        "after": float(after.monthly().typical),
        "change": float(round(change, 2)),
        "lines": [
            {
                "resource": item.resource or "account",
                "dimension": item.dimension,
                "kind": item.kind,
                "monthly": prices.plain(item.monthly.typical),
                "reason": item.reason,
            }
            for item in differences
        ],
    }


def draw_chart(made: Sequence[Estimated]) -> str:
    """Return the cost by service as SVG, a section for each environment, largest first."""
    sections = []
    for item in made:
        found = item.estimate
        gaps = unpriced_services(found)
        bars = [
            chart.Bar(f"{name}, at least" if name in gaps else name, _rounded(amount))
            for name, amount in by_service(found).items()
        ]
        # A bar without length says nothing, unless its price is what is missing.
        bars = [bar for bar in bars if bar.amount.max or "at least" in bar.label]
        bars.sort(key=lambda bar: -bar.amount.typical)
        heading = f"{found.environment}, {found.region}: {_total(found)}"
        sections.append(chart.Section(heading, bars))
    described = "; ".join(
        f"{section.heading}: "
        + ", ".join(f"{bar.label} ${bar.amount.typical}" for bar in section.bars)
        for section in sections
    )
    return chart.draw("Estimated cost by service, USD a month", described, sections)


def _rounded(amount: Range) -> Range:
    return Range(*(costs.to_cents(n) for n in (amount.min, amount.typical, amount.max)))
