"""Estimate what a deployment will cost: read the files, price the templates, say the result.

The arithmetic is in `lib/costs/pricing.py`. AWS is only asked for what an operator asks for: live
prices, a published release or the deployed stack to compare with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.costs import book as prices
from lib.costs import chart, offers, usage
from lib.costs import pricing as costs
from lib.costs.book import Book, Status
from lib.costs.metering import BASELINE, CEILING, USAGE
from lib.costs.offers import Kept
from lib.costs.pricing import Difference, Estimate, Line
from lib.costs.usage import Range, Usage
from lib.drawing import draw_table
from lib.errors import AwsUnavailable, InputError, OperationFailed
from lib.inputs import environments, jobs
from lib.operators import Answer, Level, Note, Progress
from lib.polling import Clock
from lib.releases import releases
from lib.stacks import deployed, stacks
from lib.templates import resolution
from lib.templates.templates import Template

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job

#: What `--compare` takes instead of a release to mean the stack as it is.
DEPLOYED = "deployed"

#: A price book that nobody looked at for this many days is worth a warning.
OLD_AFTER_DAYS = 180

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Question:
    """How to estimate. `usage` is a file, or None for each environment's own."""

    root: Path
    today: date
    usage: str | None = None
    free_tier: bool = True

    @property
    def book_path(self) -> Path:
        """Return where the price book is."""
        return self.root / "infrastructure" / "prices.json"


@dataclass(frozen=True)
class Estimated:
    """An estimate with the job, usage and prices that it was made from."""

    job: Job
    usage: Usage
    book: Book
    estimate: Estimate


def read_book(question: Question) -> Book:
    """Read the price book."""
    return prices.parse(_read(question.book_path), _name(question, question.book_path))


def read_usage(question: Question, environment: str) -> Usage:
    """Read the usage file asked for, else the environment's own."""
    own = question.root / "infrastructure" / "usage" / f"{environment}.json"
    path = Path(question.usage) if question.usage else own
    if not path.is_file():
        raise InputError(
            f"There is no usage file {path}.",
            next_step="choose one of infrastructure/usage with --usage FILE, or write one",
        )
    return usage.parse(_read(path), _name(question, path))


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"{path} cannot be read: {exc}.") from None


def _name(question: Question, path: Path) -> str:
    """Return a file's name in messages, short when it is in the repository."""
    inside = path.resolve().is_relative_to(question.root)
    return str(path.resolve().relative_to(question.root)) if inside else str(path)


def estimate(job: Job, question: Question, book: Book) -> Estimated:
    """Price a job's templates with its values.

    Raises `InputError` for values or templates that could not be deployed either, for a
    usage file that cannot be used and for a region without prices.
    """
    jobs.require_valid(job)
    used = read_usage(question, job.environment)
    found = _price(job, question, book, used, job.templates, job.values)
    return Estimated(job, used, book, found)


def estimate_all(
    question: Question, job: Job, *, every: bool, compare: str | None
) -> list[Estimated]:
    """Price a job, or with `every` each environment in the job's region.

    Raises `InputError` when several environments are to be compared with one reference.
    """
    if every and compare:
        raise InputError("--all and --compare exclude each other: choose one environment.")
    book = read_book(question)
    if not every:
        return [estimate(job, question, book)]
    names = environments.list_environments(question.root / "infrastructure" / "parameters")
    return [
        estimate(
            jobs.prepare(question.root, name, job.region, None, flags=f"--env {name}"),
            question,
            book,
        )
        for name in names
    ]


def _price(
    job: Job,
    question: Question,
    book: Book,
    used: Usage,
    folder: Mapping[str, Template],
    values: Mapping[str, str],
) -> Estimate:
    tree = resolution.resolve(
        folder, values, region=job.region, account="", stack_name=job.stack_name
    )
    return costs.estimate(
        tree,
        used,
        book,
        environment=job.environment,
        region=job.region,
        free_tier=question.free_tier,
    )


def with_live_prices(
    made: Sequence[Estimated],
    question: Question,
    pricing: Any,
    report: Report,
    clock: Clock | None = None,
) -> list[Estimated]:
    """Price again with what the Price List API says today about the dimensions in use.

    `pricing` is a client of `lib.costs.offers.API_REGION`. What the API does not give is reported
    and keeps the book's price.
    """
    dimensions = {line.dimension for item in made for line in item.estimate.lines}
    cache = question.root / ".cache" / "live-prices.json"
    asked = offers.ask_all(
        pricing,
        made[0].book,
        dimensions,
        made[0].job.region,
        question.today,
        cache,
        clock or Clock(),
    )
    for problem in asked.problems:
        report(Note(f"Live prices: {problem}.", Level.WARNING))
    return [estimate(item.job, question, asked.book) for item in made]


def compare(made: Estimated, question: Question, reference: str, access: Access) -> Estimate:
    """Estimate a published release, or the stack as deployed, with the same usage and prices.

    `reference` is a release's name or `deployed`. Raises `InputError` for a release that is
    not published and `StateForbids` for a stack that does not exist.
    """
    job = made.job
    if reference == DEPLOYED:
        cfn = access.aws.client("cloudformation")
        live = deployed.read(cfn, stacks.require(cfn, job))
        return _price(job, question, made.book, made.usage, live.folder, live.parameters)
    folder = _read_release(job, reference, access)
    return _price(job, question, made.book, made.usage, folder, job.values)


def _read_release(job: Job, release: str, access: Access) -> dict[str, Template]:
    owner = access.aws.identity().account
    bucket = job.values.get("TemplatesBucketName") or releases.bucket_name(owner, job.region)
    s3 = access.aws.client("s3")
    manifest = releases.find(s3, bucket, release, owner=owner)
    if manifest is None:
        raise InputError(
            f"The bucket {bucket} holds no release {release!r}.",
            next_step=f"inv history {job.flags} lists the releases",
        )
    return releases.read_templates(s3, bucket, manifest, owner=owner)


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
        differences = costs.compare(before, made[0].estimate)
        document["compared"] = _compared_as_json(before, made[0].estimate, differences)
        text += "\n\n" + _draw_differences(before, made[0].estimate, differences)
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


def read_limit(text: str | None) -> Decimal | None:
    """Return the amount of `--max-monthly`, None when it is not given."""
    if text is None:
        return None
    if not text.isascii() or not text.replace(".", "", 1).isdecimal() or len(text) > 15:
        raise InputError(f"--max-monthly takes an amount in USD such as 50 or 12.50, not {text!r}.")
    return Decimal(text)


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
    from lib.costs.metering import HOURS_A_MONTH

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


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all; raise `InputError` where it cannot be."""
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as exc:
        raise InputError(f"{path} cannot be written: {exc}.") from None


def refresh_book(
    question: Question, open_url: offers.Open, base_url: str, report: Report
) -> Answer:
    """Rewrite the price book from the public offer files and tell what changed.

    `base_url` is where the offer files are, `open_url` opens an address as a stream of bytes.
    Raises `InputError` for an address that is not on the web and for a book that cannot be
    read or written.
    """
    if not base_url.startswith(("https://", "http://")):
        raise InputError(f"--source takes an http or https address, not {base_url!r}.")
    text = _read(question.book_path)
    name = _name(question, question.book_path)
    book = prices.parse(text, name)
    fresh = offers.refresh(book, open_url, question.today, base_url=base_url)
    write(question.book_path, prices.dump(fresh.book, prices.description_of(text, name)))
    for reason, rows in _group(fresh.kept).items():
        report(Note(f"Kept as it was: {', '.join(rows)}: {reason}.", Level.WARNING))
    if fresh.kept and not fresh.read_again:
        text = "Nothing was renewed: no price could be read again. The book's are marked stale."
        report(Note(text, Level.ERROR))
    changes = [dataclasses.astuple(change) for change in fresh.changes]
    table = draw_table(("Dimension", "Region", "Before", "After"), changes)
    document = {
        "file": name,
        "read_again": fresh.read_again,
        "changes": [dataclasses.asdict(change) for change in fresh.changes],
        "kept": [dataclasses.asdict(row) for row in fresh.kept],
    }
    return Answer(
        document,
        table if changes else f"{name}: no price changed.",
        0 if fresh.read_again or not fresh.kept else AwsUnavailable.exit_code,
    )


def _group(kept: Sequence[Kept]) -> dict[str, list[str]]:
    """Return the rows that were kept by reason, since one file's failure concerns many."""
    grouped: dict[str, list[str]] = {}
    for row in kept:
        grouped.setdefault(row.reason, []).append(f"{row.dimension} in {row.region}")
    return grouped
