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
from lib.costs import offers, renewal, usage
from lib.costs import pricing as costs
from lib.costs.book import Book
from lib.costs.pricing import Estimate
from lib.costs.renewal import Kept
from lib.costs.usage import Usage
from lib.drawing import draw_table
from lib.errors import AwsUnavailable, InputError
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
    bucket = job.values.get("TemplatesBucketName") or jobs.bucket_name(owner, job.region)
    s3 = access.aws.client("s3")
    manifest = releases.find(s3, bucket, release, owner=owner)
    if manifest is None:
        raise InputError(
            f"The bucket {bucket} holds no release {release!r}.",
            next_step=f"inv history {job.flags} lists the releases",
        )
    return releases.read_templates(s3, bucket, manifest, owner=owner)


def read_limit(text: str | None) -> Decimal | None:
    """Return the amount of `--max-monthly`, None when it is not given."""
    if text is None:
        return None
    if not text.isascii() or not text.replace(".", "", 1).isdecimal() or len(text) > 15:
        raise InputError(f"--max-monthly takes an amount in USD such as 50 or 12.50, not {text!r}.")
    return Decimal(text)


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all; raise `InputError` where it cannot be."""
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as exc:
        raise InputError(f"{path} cannot be written: {exc}.") from None


def refresh_book(
    question: Question, open_url: renewal.Open, base_url: str, report: Report
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
    fresh = renewal.refresh(book, open_url, question.today, base_url=base_url)
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
