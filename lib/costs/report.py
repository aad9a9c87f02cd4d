"""Tell an estimate to people and to programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from lib import chart
from lib.costs import differences
from lib.costs.book import Standing, draw_price
from lib.costs.charges import BASELINE, HOURS_A_MONTH, USAGE
from lib.costs.differences import Comparison
from lib.costs.estimates import CostChange, Estimated, Report
from lib.costs.pricing import FREE_TIER, Estimate, Line, dollars, to_cents
from lib.costs.usage import ZERO, Range
from lib.document import as_document
from lib.drawing import draw_table
from lib.errors import OperationFailed
from lib.operators import Answer, Level, Note
from lib.values import plain

#: A price book that nobody looked at for this many days is worth a warning.
OLD_AFTER_DAYS = 180


def answer(
    made: Sequence[Estimated],
    *,
    limit: Decimal | None,
    before: Estimate | None,
    report: Report,
    detail: bool = False,
) -> Answer:
    """Tell what the deployments cost; exit code 1 when one is above the limit.

    `limit` is in USD a month and held against the usual amount. The text is a screen that begins
    with the total; with `detail` it has every line and assumption.
    """
    documents = [as_document(item.estimate) for item in made]
    document: dict[str, Any] = documents[0] if len(documents) == 1 else {"environments": documents}
    if detail:
        text = "\n\n\n".join(_draw_detail(item) for item in made)
    else:
        text = _draw_side_by_side(made) if len(made) > 1 else _draw_summary(made[0])
    if before is not None:
        compared = differences.compare(before, made[0].estimate)
        document["compared"] = as_document(compared)
        told = _draw_comparison(made[0], compared, None if detail else _BIGGEST)
        text = f"{text}\n\n{told}" if detail else f"{told}\n\n{_draw_ground(made[0])}"
    for item in made:
        for warning in _warnings(item.estimate):
            report(Note(warning, Level.WARNING))
    over = [item.estimate for item in made if _exceeds(item.estimate, limit)]
    for found in over:
        report(Note(f"{_total(found)} for {found.environment} is above {limit} USD.", Level.ERROR))
    return Answer(document, text, OperationFailed.exit_code if over else 0)


def _exceeds(found: Estimate, limit: Decimal | None) -> bool:
    return limit is not None and found.monthly().typical > limit


def _warnings(found: Estimate) -> Iterator[str]:
    """Yield that an estimate is above the environment's budget, or its prices old or stale."""
    if found.budget is not None and _exceeds(found, found.budget):
        yield (
            f"{_total(found)} exceeds the budget of {dollars(found.budget)} "
            f"that {found.environment} sets itself."
        )
    if (found.prices.age_days or 0) > OLD_AFTER_DAYS:
        yield (
            f"The oldest price is of {found.prices.oldest}; renew the book with inv refresh-prices."
        )
    stale = sorted({line.dimension for line in found.lines if line.status == Standing.STALE.value})
    if stale:
        yield f"Stale prices, whose source could not be read again: {', '.join(stale)}."


def _total(found: Estimate) -> str:
    """Return the total as a sentence begins: `At least $12.30 a month`."""
    amount = dollars(found.monthly().typical)
    return f"{amount} a month" if found.complete else f"At least {amount} a month"


#: A summary is at most this wide: a terminal that was never made larger.
_WIDTH = 80

#: How many of the biggest lines a summary shows, or of the biggest differences a comparison, and
#: how many rows what is missing may take, so that all of it fits on that terminal's 25 rows.
_BIGGEST = 5
_GAP_ROWS = 4


def _draw_summary(made: Estimated) -> str:
    """Return the answer first: total, range, biggest lines, what is missing, what it rests on."""
    found = made.estimate
    head = [_fill(f"{_total(found)} for {made.job.stack_name} in {found.region}")]
    spread = _spread(found.monthly())
    head += [f"{spread} with the least and the greatest usage assumed"] if spread else []
    parts = [
        "\n".join(head),
        draw_table(("Month", "Range", "Biggest lines"), _biggest(found)),
        _draw_ground(made),
    ]
    return "\n\n".join(parts)


def _draw_ground(made: Estimated) -> str:
    """Return what is missing from a total, and what it rests on."""
    found = made.estimate
    return "\n\n".join((*_missing([found]), "\n".join((*_remarks(found), *_basis(made)))))


def _biggest(found: Estimate) -> list[tuple[str, str, str]]:
    """Return the biggest lines and what is left of the total, so that the rows add up to it.

    What the free tier takes back does not make a line big.
    """
    billed: dict[str, Decimal] = {}
    for line in found.lines:
        amount = line.monthly or ZERO
        billed[line.dimension] = billed.get(line.dimension, Decimal(0)) + amount.typical
    priced = [line for line in found.lines if line.monthly and line.kind != FREE_TIER]
    priced.sort(key=lambda line: -min((line.monthly or ZERO).typical, billed[line.dimension]))
    shown, others = priced[:_BIGGEST], priced[_BIGGEST:]
    rows = [_summed([line], _short_name(line)) for line in shown]
    if others:
        rows.append(_summed(others, f"{len(others)} further lines"))
    free = [line for line in found.lines if line.kind == FREE_TIER]
    if free:
        rows.append(_summed(free, "never billed: the free tier of the account"))
    return rows


def _summed(lines: Sequence[Line], name: str) -> tuple[str, str, str]:
    amount = sum((line.monthly for line in lines if line.monthly), ZERO)
    return dollars(amount.typical), _spread(amount), name


def _short_name(line: Line) -> str:
    """Return a line's resource and dimension; a model goes by its name without its vendor."""
    part = f" [{line.part}]" if line.part else ""
    return f"{line.resource.rpartition('/')[2]} {_short_dimension(line.dimension)}{part}"


def _short_dimension(name: str) -> str:
    bedrock = name.removeprefix("bedrock.")
    return name if bedrock == name else bedrock.partition(".")[2] or name


def _missing(made: Sequence[Estimate]) -> list[str]:
    """Return what has no price, by dimension, and what else makes the total a lower bound."""
    lines = [line for found in made for line in found.lines]
    unpriced = [line for line in lines if line.problem and not line.price.tiers]
    names = ", ".join(dict.fromkeys(line.dimension for line in unpriced))
    told = {f"{line.resource}: {line.problem}" for line in unpriced}
    problems = dict.fromkeys(problem for found in made for problem in found.problems)
    texts = [f"no price in {made[0].region} for {names}"] if names else []
    texts += [problem for problem in problems if problem not in told]
    rows = [row for text in texts for row in _fill(text, _WIDTH - 2).splitlines()]
    if not rows:
        return []
    if len(rows) > _GAP_ROWS:
        rows = [*rows[: _GAP_ROWS - 1], "... and more: see --detail"]
    return ["\n  ".join(("Not priced, so the total is a lower bound:", *rows))]


def _basis(made: Estimated) -> Iterator[str]:
    prices = made.estimate.prices
    age = f", oldest of {prices.oldest} ({prices.age_days} days)" if prices.oldest else ""
    yield _fill(f"Usage assumed: {made.usage.file}")
    yield _fill(f"List prices in USD: {prices.source}{age}")
    yield "Every line, assumption and source: --detail"


def _fill(text: str, width: int = _WIDTH) -> str:
    return textwrap.fill(text, width, break_on_hyphens=False)


def _draw_detail(made: Estimated) -> str:
    """Return an estimate as text: a table for each stack, the total, what it rests on."""
    found, prices = made.estimate, made.estimate.prices
    age = f", oldest of {prices.oldest} ({prices.age_days} days ago)" if prices.oldest else ""
    head = (
        f"{made.job.stack_name} in {found.region}, a month of {HOURS_A_MONTH} hours, in USD\n"
        f"Usage  {made.usage.file}\nPrices {prices.source}{age}"
    )
    by_stack: dict[str, list[Line]] = {}
    for line in found.lines:
        title = "Free tier" if line.kind == FREE_TIER else line.stack or "Root stack"
        by_stack.setdefault(title, []).append(line)
    if found.ceiling:
        by_stack["Not part of the total: Spot hours at the on-demand price"] = [*found.ceiling]
    tables = [
        f"{title}\n{draw_table(_COLUMNS, list(_rows(lines)))}" for title, lines in by_stack.items()
    ]
    parts = (_draw_totals(found), *_draw_gaps(found), _draw_assumptions(found), _draw_free(found))
    return "\n\n".join((head, *tables, *parts))


_COLUMNS = ("Month", "Range", "Resource, dimension and price")


def _rows(lines: Sequence[Line]) -> Iterator[tuple[str, str, str]]:
    """Yield a row for each line, under the name of its resource where that changes."""
    before = ""
    for line in lines:
        resource = line.resource.rpartition("/")[2]
        if resource != before:
            yield "", "", f"{resource}:"
        before = resource
        month = dollars(line.monthly.typical) if line.monthly else "?"
        yield month, _spread(line.monthly) if line.monthly else line.status, _describe(line)


def _describe(line: Line) -> str:
    """Return what is metered, and on a line of its own how much of it at which price of when."""
    remarks = [line.part, line.kind if line.kind == BASELINE else ""]
    name = line.dimension + "".join(f"  [{remark}]" for remark in remarks if remark)
    quantity = f"{_quantity(line.quantity.typical)} {line.unit}" if line.quantity else "?"
    usual = line.status in (Standing.BOOK.value, Standing.MISSING.value)
    dated = ", ".join(filter(None, (line.price.as_of, "" if usual else line.status)))
    price = f"{_price_text(line)} ({dated})" if line.price.tiers else "a price that is missing"
    return f"{name}\n  {quantity} at {price}"


def _spread(amount: Range) -> str:
    low, high = sorted((amount.min, amount.max))
    return "" if low == high else f"{dollars(low)} to {dollars(high)}"


def _quantity(number: Decimal) -> str:
    """Return a quantity with at most four significant decimals."""
    shown = number.quantize(Decimal("1")) if abs(number) >= 100 else round(number, 4)
    return plain(Decimal(shown)) if abs(number) < 1000 else f"{shown:,}"


def _price_text(line: Line) -> str:
    if not line.price.tiers:
        return "missing"
    amounts = " / ".join(draw_price(tier.price) for tier in line.price.tiers)
    return amounts if line.per == 1 else f"{amounts} per {line.per:,}"


def _draw_totals(found: Estimate) -> str:
    kinds = {
        "Baseline": (BASELINE,),
        "Usage": (USAGE,),
        "Free tier": (FREE_TIER,),
        "Total" if found.complete else "Total, at least": (),
    }
    rows = [(name, *map(dollars, found.monthly(*kind))) for name, kind in kinds.items()]
    return "\n".join(
        (draw_table(("A month, USD", "min", "typical", "max"), rows), *_remarks(found))
    )


def _remarks(found: Estimate) -> Iterator[str]:
    """Yield what puts the total into proportion."""
    ceiling = found.totals["ceiling"]
    if ceiling.max:
        usual = dollars(ceiling.typical)
        yield f"Fargate Spot floats; the same hours on demand would be {usual}."
    if found.budget is not None:
        yield f"The budget of this deployment alerts at {dollars(found.budget)} a month."
    if not found.monthly(BASELINE).typical:
        yield "Nothing here costs money by merely existing: all of it grows with use."


def _draw_gaps(found: Estimate) -> list[str]:
    """Return what makes the total a lower bound or less than certain."""
    notes = dict.fromkeys(
        f"{li.dimension}: {li.note}" for li in found.lines if li.note and li.kind != FREE_TIER
    )
    gaps = {
        "Not priced, so the total is a lower bound:": found.problems,
        "Counted, though only AWS can decide whether they exist:": found.undecided,
        "Notes:": notes,
    }
    return [f"{title}\n{_listed(items)}" for title, items in gaps.items() if items]


def _listed(items: Iterable[str]) -> str:
    wrap = textwrap.TextWrapper(
        _WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False
    )
    return "\n".join(wrap.fill(item) for item in items)


def _draw_assumptions(found: Estimate) -> str:
    """Return every assumed amount with its reason, a reason that several share only once."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for item in found.assumptions:
        low, usual, high = map(_quantity, item.amount)
        told = f"{item.measure} {usual} ({low} to {high}) {item.unit}"
        by_reason.setdefault((item.scope, item.reason), []).append(told)
    items = (
        f"{scope}: {'; '.join(told)}. {reason[:1].upper()}{reason[1:]}."
        for (scope, reason), told in by_reason.items()
    )
    return f"Assumptions (ranges, not statistics)\n{_listed(items)}"


def _draw_free(found: Estimate) -> str:
    free = [f"{kind}: {reason}" for kind, reason in sorted(found.free_types.items())]
    return f"Free of charge:\n{_listed(free)}\n\nNot included:\n{_listed(found.excluded)}"


def _by_service(found: Estimate) -> dict[str, tuple[Range, bool]]:
    """Return each service's exact month, free tier included, and whether all of it is priced."""
    totals: dict[str, tuple[Range, bool]] = {}
    for line in found.lines:
        amount, whole = totals.get(line.service, (ZERO, True))
        whole = whole and line.monthly is not None
        totals[line.service] = amount + (line.monthly or ZERO), whole
    return totals


def _draw_side_by_side(made: Sequence[Estimated]) -> str:
    """Return the environments beside each other: their totals, then the services, largest first.

    Services that cost less than a cent everywhere are named below the table.
    """
    found = [item.estimate for item in made]
    sums = [_by_service(item) for item in found]
    most = {
        name: max((each[name][0].typical for each in sums if name in each), default=ZERO.typical)
        for name in sorted({name for each in sums for name in each})
    }
    small = [name for name in most if all(_is_nothing(each.get(name)) for each in sums)]
    rows = [
        ("Total", *(_total(item).removesuffix(" a month") for item in found)),
        ("Range", *(_spread(item.monthly()) for item in found)),
        ("Budget", *(_budget(item) for item in found)),
    ]
    named = sorted(most.keys() - {*small}, key=lambda name: (-most[name], name))
    rows += [(name, *(_service_cell(item, name) for item in found)) for name in named]
    regions = ", ".join(dict.fromkeys(item.region for item in found))
    text = draw_table((f"USD in {regions}", *(item.environment for item in found)), rows)
    if small:
        text += "\n" + _fill(f"Less than a cent: {', '.join(small)}.")
    return "\n\n".join((text, *_missing(found)))


def _is_nothing(total: tuple[Range, bool] | None) -> bool:
    return total is None or (total[1] and not to_cents(total[0].typical))


def _service_cell(found: Estimate, service: str) -> str:
    amount, whole = _by_service(found).get(service, (None, True))
    if amount is None:
        return "-"
    if whole:
        return dollars(amount.typical)
    return "not priced" if amount == ZERO else f"at least {dollars(amount.typical)}"


def _budget(found: Estimate) -> str:
    return "-" if found.budget is None else dollars(found.budget)


def _draw_comparison(made: Estimated, compared: Comparison, at_most: int | None) -> str:
    """Return what changes a month's cost, line by line, largest first, and `at_most` so many."""
    lines = sorted(compared.lines, key=lambda item: -abs(item.monthly.typical))
    rows = [
        (
            *(item.resource, _short_dimension(item.dimension)),
            *(_signed(item.monthly.typical), item.reason),
        )
        for item in lines[:at_most]
    ]
    where = f"{made.job.stack_name} in {made.estimate.region}"
    after, before = dollars(compared.after), dollars(compared.before)
    if not rows:
        return _fill(f"No difference: {after} a month for {where}, before and after")
    text = _fill(f"{_signed(compared.change)} a month: {after} for {where}, {before} before")
    text += "\n\n" + draw_table(("Resource", "Dimension", "Month", "Because"), rows)
    rest = lines[len(rows) :]
    if rest:
        amount = sum((item.monthly.typical for item in rest), Decimal(0))
        text += f"\n{len(rest)} further differences come to {_signed(amount)}."
    return text


def describe_change(change: CostChange) -> str:
    """Return in one line what a change does to the month's cost and to the budget."""
    least = "" if change.complete else "at least "
    after = f"{least}{dollars(change.after)} a month"
    if change.before == change.after:
        told = f"Cost: {after}, as before."
    else:
        difference = _signed(change.after - change.before)
        told = f"Cost: {difference}, from {dollars(change.before)} to {after}."
    if change.budget_before != change.budget_after:
        told += f" Budget: {_limit(change.budget_before)} to {_limit(change.budget_after)}."
    return told


def _limit(budget: Decimal | None) -> str:
    return "none" if budget is None else dollars(budget)


def _signed(amount: Decimal) -> str:
    text = dollars(amount)
    return text if text.startswith("-") or not to_cents(amount) else f"+{text}"


def draw_chart(made: Sequence[Estimated]) -> str:
    """Return the cost by service as SVG, a section for each environment, largest first."""
    sections = []
    for item in made:
        found = item.estimate
        amounts = {
            name if whole else f"{name}, at least": Range(*map(to_cents, amount))
            for name, (amount, whole) in _by_service(found).items()
        }
        # A bar without length says nothing, unless its price is what is missing.
        bars = [
            _draw_bar(label, amount)
            for label, amount in amounts.items()
            if amount.max or "at least" in label
        ]
        bars.sort(key=lambda bar: -bar.end)
        heading = f"{found.environment}, {found.region}: {_total(found)}"
        sections.append(chart.Section(heading, bars))
    described = "; ".join(
        f"{section.heading}: " + ", ".join(f"{bar.label} ${bar.end}" for bar in section.bars)
        for section in sections
    )
    return chart.draw("Estimated cost by service, USD a month", described, sections)


def _draw_bar(label: str, amount: Range) -> chart.Bar:
    """Return the bar of an amount, as long as what is usual."""
    text = f"${amount.typical:,.2f}  (${amount.min:,.2f} to ${amount.max:,.2f})"
    return chart.Bar(label, Decimal(0), amount.typical, text, (amount.min, amount.max))
