"""Estimate what a deployment will cost: read the files, price the templates, compare.

The arithmetic is in `lib/costs/pricing.py`. AWS is only asked for what an operator asks for: live
prices, a published release or the deployed stack to compare with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from lib.access import Access
from lib.costs import book, offers, pricing, usage
from lib.costs.book import Book
from lib.costs.pricing import Estimate, to_cents
from lib.costs.usage import Usage
from lib.errors import InputError
from lib.inputs import environments, jobs
from lib.inputs.artifacts import Artifacts
from lib.inputs.jobs import Job
from lib.operators import Level, Note, Progress
from lib.polling import Clock
from lib.releases import releases, store
from lib.stacks import deployed, stacks
from lib.templates import resolution
from lib.templates.templates import Template

#: What `--compare` takes instead of a release to mean the stack as it is.
DEPLOYED = "deployed"

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Terms:
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


@dataclass(frozen=True)
class CostChange:
    """A month's usual cost before and after a change, and the budgets that the templates set.

    Without `complete` something on either side has no price, so both are lower bounds.
    """

    before: Decimal
    after: Decimal
    complete: bool
    budget_before: Decimal | None
    budget_after: Decimal | None


def read_book(terms: Terms) -> Book:
    """Read the price book."""
    return book.parse(*_read(terms, terms.book_path))


def read_usage(terms: Terms, environment: str) -> Usage:
    """Read the usage file asked for, else the environment's own."""
    own = terms.root / "infrastructure" / "usage" / f"{environment}.json"
    path = Path(terms.usage) if terms.usage else own
    if not path.is_file():
        raise InputError(
            f"There is no usage file {path}.",
            next_step="choose one of infrastructure/usage with --usage FILE, or write one",
        )
    return usage.parse(*_read(terms, path))


def _read(terms: Terms, path: Path) -> tuple[str, str]:
    """Return a file's text, and its name in messages: short when it is in the repository."""
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"{path} cannot be read: {exc}.") from None
    whole = path.resolve()
    inside = whole.is_relative_to(terms.root)
    return text, str(whole.relative_to(terms.root) if inside else path)


def estimate(job: Job, terms: Terms, prices: Book) -> Estimated:
    """Price a job's templates with its values.

    Raises `InputError` for values or templates that could not be deployed either, for a
    usage file that cannot be used and for a region without prices.
    """
    # No price hangs on what was built, and where costs are reviewed nothing is.
    jobs.require_valid(replace(job, artifacts=Artifacts()))
    used = read_usage(terms, job.environment)
    return Estimated(job, used, prices, _price(job, terms, used, prices))


def estimate_all(terms: Terms, job: Job, *, every: bool, compare: str | None) -> list[Estimated]:
    """Price a job, or with `every` each environment in the job's region.

    Raises `InputError` when several environments are to be compared with one reference.
    """
    if every and compare:
        raise InputError("--all and --compare exclude each other: choose one environment.")
    prices = read_book(terms)
    if not every:
        return [estimate(job, terms, prices)]
    names = environments.list_environments(terms.root / "infrastructure" / "parameters")
    prepared = (
        jobs.prepare(terms.root, name, job.region, None, flags=f"--env {name}") for name in names
    )
    return [estimate(each, terms, prices) for each in prepared]


def _price(job: Job, terms: Terms, used: Usage, prices: Book) -> Estimate:
    tree = resolution.resolve(
        job.templates, job.values, region=job.region, account="", stack_name=job.stack_name
    )
    return pricing.estimate(
        tree,
        used,
        prices,
        environment=job.environment,
        region=job.region,
        today=terms.today,
        free_tier=terms.free_tier,
    )


def with_live_prices(
    made: Sequence[Estimated],
    terms: Terms,
    price_list: Any,
    report: Report,
    clock: Clock | None = None,
) -> list[Estimated]:
    """Price again with what the Price List API says today about the dimensions in use.

    `price_list` is a client of `offers.API_REGION`. What the API does not give is reported and
    keeps the book's price.
    """
    dimensions = {
        line.dimension for item in made for line in (*item.estimate.lines, *item.estimate.ceiling)
    }
    cache = terms.root / ".cache" / "live-prices.json"
    asked = offers.ask_all(
        price_list,
        made[0].book,
        dimensions,
        made[0].job.region,
        terms.today,
        cache,
        clock or Clock(),
    )
    for problem in asked.problems:
        report(Note(f"Live prices: {problem}.", Level.WARNING))
    return [estimate(item.job, terms, asked.book) for item in made]


def compare(made: Estimated, terms: Terms, reference: str, access: Access) -> Estimate:
    """Estimate a published release, or the stack as deployed, with the same usage and prices.

    `reference` is a release's name or `deployed`. Raises `InputError` for a release that is
    not published and `StateForbids` for a stack that does not exist.
    """
    job = made.job
    if reference == DEPLOYED:
        cfn = access.aws.client("cloudformation")
        known = releases.texts_by_key(job.templates)
        live = deployed.read(cfn, stacks.require_created(cfn, job), known=known)
        job = replace(job, templates=live.folder, values=live.parameters)
    else:
        job = replace(job, templates=_read_release(job, reference, access))
    return _price(job, terms, made.usage, made.book)


def change(before: Job | None, after: Job, terms: Terms) -> CostChange | None:
    """Price what a change costs: the same usage and prices for two jobs.

    `before` is `after` with the templates and values that are deployed, None for a stack that
    does not exist. Returns None where no estimate can be made: an environment without a usage
    file, a region without prices, values that could not be deployed.
    """
    try:
        prices = read_book(terms)
        new = estimate(after, terms, prices)
        old = _price(before, terms, new.usage, prices) if before else None
    except InputError:
        return None
    return CostChange(
        old.monthly().typical if old else to_cents(Decimal(0)),
        new.estimate.monthly().typical,
        new.estimate.complete and (old is None or old.complete),
        old.budget if old else None,
        new.estimate.budget,
    )


def _read_release(job: Job, release: str, access: Access) -> dict[str, Template]:
    bucket = store.bucket_of(job, access)
    manifest = releases.find(bucket, release)
    if manifest is None:
        raise InputError(
            f"The bucket {bucket.name} holds no release {release!r}.",
            next_step=f"inv history {job.flags} lists the releases",
        )
    return releases.read_templates(bucket, manifest)


def read_limit(text: str | None) -> Decimal | None:
    """Return the amount of `--max-monthly`, None when it is not given."""
    if text is None:
        return None
    if not text.isascii() or not text.replace(".", "", 1).isdecimal() or len(text) > 15:
        raise InputError(f"--max-monthly takes an amount in USD such as 50 or 12.50, not {text!r}.")
    return Decimal(text)
