"""An estimate reads the repository's files, says what it rests on, and compares."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber

from lib.costs import estimates, offers, report
from lib.costs.book import Book, Standing
from lib.costs.estimates import Estimated, Terms
from lib.errors import InputError
from lib.inputs import jobs
from lib.inputs.jobs import Job
from lib.operators import Answer, Level, Note, Progress
from lib.polling import Clock
from lib.releases import releases
from lib.releases.store import Bucket
from lib.stacks import deployed, stacks

ROOT = Path(__file__).resolve().parents[2]
TODAY = date(2026, 11, 22)
TERMS = Terms(ROOT, TODAY)


def prepare(environment: str = "production", region: str = "us-east-1", **values: str) -> Job:
    job = jobs.prepare(ROOT, environment, region, None, flags="--env x")
    return dataclasses.replace(job, values={**job.values, **values})


@pytest.fixture(scope="module")
def book() -> Book:
    return estimates.read_book(TERMS)


@pytest.fixture(scope="module")
def made(book: Book) -> Estimated:
    return estimates.estimate(prepare(), TERMS, book)


def answer(items: Iterable[Estimated], **options: Any) -> tuple[Answer, list[Note]]:
    notes: list[Note] = []

    def say(progress: Progress) -> None:
        assert isinstance(progress, Note)
        notes.append(progress)

    given = {"limit": None, "before": None, **options}
    return report.answer(list(items), report=say, **given), notes


def unfolded(text: str) -> str:
    """Return a text without the line breaks and gaps that only lay it out."""
    return " ".join(text.split())


def test_the_answer_comes_first_and_its_rows_add_up_to_the_total(made: Estimated) -> None:
    lines = answer([made])[0].text.splitlines()
    assert lines[0] == "$36.45 a month for plot-palette-production in us-east-1"
    assert lines[1].startswith("$7.70 to $167.56 with")
    rows = [line for line in lines if line.startswith(("$", "-$"))][2:]
    assert len(rows) == 5 + 2
    shown = [Decimal(row.split()[0].replace("$", "")) for row in rows]
    assert sum(shown) == Decimal("36.45")
    assert shown[:5] == sorted(shown[:5], reverse=True)


def test_what_the_free_tier_takes_back_is_not_among_the_biggest_lines(made: Estimated) -> None:
    egress = next(line for line in made.estimate.lines if line.dimension == "egress.gb")
    assert egress.monthly is not None
    assert egress.monthly.typical > 4
    assert "egress" not in answer([made])[0].text


@pytest.mark.parametrize("region", ["us-east-1", "us-west-2", "eu-west-1", "ap-southeast-1"])
@pytest.mark.parametrize("every", [False, True])
def test_an_estimate_is_a_screen_of_25_lines_and_80_columns(
    book: Book, region: str, every: bool
) -> None:
    job = prepare(region=region, DeployBudget="true")
    made = estimates.estimate_all(TERMS, job, every=every, compare=None)
    lines = answer(made)[0].text.splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 80


def test_a_screen_stays_one_however_much_is_not_priced(book: Book) -> None:
    bare = dataclasses.replace(
        book,
        dimensions={},
        prices={("s3.storage", "us-east-1"): book.find("s3.storage", "us-east-1")},
        free={},
    )
    text = answer([estimates.estimate(prepare(), TERMS, bare)])[0].text
    assert len(text.splitlines()) <= 25
    assert "... and more: see --detail" in text


def test_the_detail_shows_each_stack_the_total_and_what_it_rests_on(made: Estimated) -> None:
    text = unfolded(answer([made], detail=True)[0].text)
    for part in (
        "plot-palette-production in us-east-1, a month of 730 hours, in USD",
        "Usage infrastructure/usage/production.json",
        "Prices infrastructure/prices.json, oldest of 2026-06 (174 days ago)",
        "DatabaseStack Month",
        "Free tier",
        "Baseline",
        "dynamodb.write [indexes] 300,000 write request unit at $0.625 per 1,000,000 (2026-08)",
        "Not part of the total: Spot hours at the on-demand price",
        "Assumptions (ranges, not statistics)",
        "storage_gb 2.25 (0.45 to 9) GB kept, indexes apart. A sample of what a job has cost",
        "Free of charge:",
        "Not included:",
        "The budget of this deployment alerts at $100.00 a month.",
        "Nothing here costs money by merely existing",
    ):
        assert part in text, part


def test_an_incomplete_estimate_reads_at_least_and_names_each_gap(book: Book) -> None:
    found = estimates.estimate(prepare(region="ap-southeast-1"), TERMS, book)
    brief = answer([found])[0].text
    assert brief.startswith("At least $35.72 a month")
    assert "no price in ap-southeast-1 for dynamodb.storage, dynamodb.pitr" in brief
    text = unfolded(answer([found], detail=True)[0].text)
    assert "Total, at least" in text
    assert "Not priced, so the total is a lower bound:" in text
    assert "no price was found for dynamodb.storage in ap-southeast-1" in text


def test_the_environments_stand_side_by_side(book: Book) -> None:
    made = estimates.estimate_all(TERMS, prepare(region="ap-southeast-1"), every=True, compare=None)
    given, _ = answer(made)
    assert [d["environment"] for d in given.document["environments"]] == [
        "development",
        "production",
        "staging",
    ]
    assert given.text.startswith("USD in ap-southeast-1    development ")
    assert "not priced" in given.text
    assert "Less than a cent: Cognito, " in given.text
    assert answer(made, detail=True)[0].text.count("Assumptions (ranges, not statistics)") == 3


def test_one_environment_is_priced_by_itself_also_where_it_is_compared(made: Estimated) -> None:
    (alone,) = estimates.estimate_all(TERMS, prepare(), every=False, compare="abc")
    assert alone.estimate == made.estimate
    assert alone.usage.file == "infrastructure/usage/production.json"


def test_the_free_tier_can_be_left_out(book: Book, made: Estimated) -> None:
    bare = estimates.estimate(prepare(), dataclasses.replace(TERMS, free_tier=False), book)
    assert {line.kind for line in made.estimate.lines} - {"free tier"} == {
        line.kind for line in bare.estimate.lines
    }
    assert bare.estimate.monthly().typical > made.estimate.monthly().typical


def test_all_environments_cannot_be_compared_with_one_release() -> None:
    with pytest.raises(InputError, match="exclude each other"):
        estimates.estimate_all(TERMS, prepare(), every=True, compare="abc")


def test_above_the_limit_the_exit_code_is_one_and_the_estimate_is_told_all_the_same(
    made: Estimated,
) -> None:
    given, notes = answer([made], limit=Decimal("1"))
    assert given.exit_code == 1
    assert given.document["environment"] == "production"
    assert notes[-1].level is Level.ERROR
    assert "is above 1 USD" in notes[-1].text
    assert answer([made], limit=Decimal("1000"))[0].exit_code == 0


@pytest.mark.parametrize("text", ["", "x", "-1", "1e9", "1.2.3", "٣", "NaN", "9" * 20])
def test_a_limit_that_is_no_amount_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError, match="--max-monthly takes an amount"):
        estimates.read_limit(text)


def test_a_limit_is_read_exactly() -> None:
    assert estimates.read_limit("12.50") == Decimal("12.50")
    assert estimates.read_limit(None) is None


def test_an_estimate_above_the_environments_own_budget_is_warned_of(book: Book) -> None:
    found = estimates.estimate(prepare(InitialBudgetLimit="5"), TERMS, book)
    _, notes = answer([found])
    assert "exceeds the budget of $5.00 that production sets itself" in notes[0].text
    assert notes[0].level is Level.WARNING


def test_old_and_stale_prices_are_warned_of(book: Book) -> None:
    row = book.find("s3.storage", "us-east-1")
    stale = dataclasses.replace(row, status=Standing.STALE, as_of="2025-01")
    found = estimates.estimate(prepare(), TERMS, book.replacing([stale]))
    given, notes = answer([found], detail=True)
    assert [note.text.split(" ")[0] for note in notes] == ["The", "Stale"]
    assert "s3.storage" in notes[1].text
    assert "(2025-01, stale)" in " ".join(given.text.split())


def test_what_is_not_built_here_is_priced_all_the_same(book: Book, made: Estimated) -> None:
    job = jobs.give_artifacts(prepare(), ROOT, code="not/built/here", site="neither/this")
    assert estimates.estimate(job, TERMS, book).estimate == made.estimate


def test_the_usage_file_can_be_chosen(tmp_path: Path, book: Book) -> None:
    path = tmp_path / "mine.json"
    path.write_text((ROOT / "infrastructure" / "usage" / "development.json").read_text())
    mine = estimates.estimate(prepare(), dataclasses.replace(TERMS, usage=str(path)), book)
    own = estimates.estimate(prepare(), TERMS, book)
    assert mine.estimate.monthly().typical < own.estimate.monthly().typical
    assert mine.usage.file == str(path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"{", b"[]", b'{"usage": {"A": {"b": 1}}}'])
def test_a_usage_file_that_cannot_be_used_is_an_input_error_naming_it(
    tmp_path: Path, book: Book, content: bytes | None
) -> None:
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"mine\.json"):
        estimates.estimate(prepare(), dataclasses.replace(TERMS, usage=str(path)), book)


def test_values_that_could_not_be_deployed_are_not_priced(book: Book) -> None:
    with pytest.raises(InputError, match="LogRetentionDays"):
        estimates.estimate(prepare(LogRetentionDays="2"), TERMS, book)


def test_the_chart_shows_the_services_of_every_environment(made: Estimated) -> None:
    text = report.draw_chart([made])
    assert "production, us-east-1" in text
    assert ">DynamoDB</text>" in text


# Comparison


def access_to(**clients: Any) -> Any:
    aws = SimpleNamespace(
        client=clients.__getitem__, identity=lambda: SimpleNamespace(account="123456789012")
    )
    return SimpleNamespace(aws=aws)


def test_a_release_is_compared_line_by_line(
    made: Estimated, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def find(bucket: Bucket, name: str) -> str:
        asked.extend((bucket.name, name, bucket.owner))
        return "a manifest"

    older = dict(made.job.templates)
    database = older["database-stack.yaml"]
    body = json.loads(json.dumps(database.body))
    body["Resources"]["JobsTable"]["Properties"].pop("PointInTimeRecoverySpecification")
    older["database-stack.yaml"] = dataclasses.replace(database, body=body)
    monkeypatch.setattr(releases, "find", find)
    read: list[Any] = []

    def read_templates(bucket: Bucket, manifest: Any) -> Any:
        read.extend((bucket.name, manifest))
        return older

    monkeypatch.setattr(releases, "read_templates", read_templates)
    before = estimates.compare(made, TERMS, "0123456789ab", access_to(s3=None))
    assert asked == ["plot-palette-cfn-123456789012-us-east-1", "0123456789ab", "123456789012"]
    assert read == ["plot-palette-cfn-123456789012-us-east-1", "a manifest"]
    given, _ = answer([made], before=before)
    (line,) = given.document["compared"]["lines"]
    assert line["resource"] == "DatabaseStack/JobsTable"
    assert line["dimension"] == "dynamodb.pitr"
    assert line["reason"] == "this charge is new"
    assert given.document["compared"]["change"] == 0.5
    assert "+$0.50 a month" in given.text


def test_a_release_that_is_not_published_is_an_input_error(
    made: Estimated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "find", lambda *_args, **_more: None)
    with pytest.raises(InputError, match="holds no release 'gone'") as caught:
        estimates.compare(made, TERMS, "gone", access_to(s3=None))
    assert caught.value.next_step == f"inv history {made.job.flags} lists the releases"


def test_the_deployed_stack_is_compared_with_its_own_parameters(
    made: Estimated, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = SimpleNamespace(
        folder=made.job.templates, parameters={**made.job.values, "LogRetentionDays": "7"}
    )
    asked: list[Any] = []

    def require_created(*given: Any) -> str:
        asked.append(given)
        return "the stack"

    def read(*given: Any, known: Any) -> Any:
        asked.append((*given, known))
        return live

    monkeypatch.setattr(stacks, "require_created", require_created)
    monkeypatch.setattr(deployed, "read", read)
    before = estimates.compare(made, TERMS, "deployed", access_to(cloudformation="cfn"))
    # What this checkout has need not be asked of AWS.
    known = releases.texts_by_key(made.job.templates)
    assert asked == [("cfn", made.job), ("cfn", "the stack", known)]
    given, _ = answer([made], before=before)
    assert {line["reason"] for line in given.document["compared"]["lines"]} == {
        "RetentionInDays: 7 → 30"
    }


def test_no_difference_says_so(made: Estimated) -> None:
    given, _ = answer([made], before=made.estimate)
    assert given.document["compared"]["lines"] == []
    assert given.text.startswith("No difference: $36.45 a month for plot-palette-production")


def test_a_comparison_begins_with_the_difference_and_fits_a_terminal(made: Estimated) -> None:
    estimate = made.estimate
    lines = [line for line in estimate.lines if line.kind != "free tier"]
    half = dataclasses.replace(estimate, lines=tuple(lines[::2]))
    given, _ = answer([made], before=half)
    assert len(given.text.splitlines()) <= 25
    assert " a month: $36.45 for plot-palette-production" in given.text.splitlines()[0]
    amount = len(given.document["compared"]["lines"])
    assert f"{amount - 5} further differences come to" in given.text
    every, _ = answer([made], before=half, detail=True)
    assert "further differences" not in every.text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("3.51", "3.51", True, "10", "10"), "Cost: $3.51 a month, as before."),
        (("3.51", "5", True, "10", "10"), "Cost: +$1.49, from $3.51 to $5.00 a month."),
        (("5", "3", False, None, None), "Cost: -$2.00, from $5.00 to at least $3.00 a month."),
        (("1", "1", True, "10", "20"), "$1.00 a month, as before. Budget: $10.00 to $20.00."),
        (("0", "1", True, None, "20"), "$1.00 a month. Budget: none to $20.00."),
    ],
)
def test_a_change_of_cost_or_budget_is_one_line(change: tuple[Any, ...], told: str) -> None:
    before, after, complete, *budgets = change
    old, new = (None if one is None else Decimal(one) for one in budgets)
    priced = estimates.CostChange(Decimal(before), Decimal(after), complete, old, new)
    assert report.describe_change(priced).endswith(told)


def test_a_change_is_priced_before_and_after_with_the_budgets_that_it_sets() -> None:
    before = prepare(InitialBudgetLimit="50")
    after = prepare(InitialBudgetLimit="100", LogRetentionDays="90")
    found = estimates.change(before, after, TERMS)
    assert found is not None
    assert (found.before, found.after) == (Decimal("36.45"), Decimal("36.49"))
    assert (found.budget_before, found.budget_after) == (50, 100)
    assert found.complete


def test_a_stack_that_does_not_exist_costs_nothing_before() -> None:
    found = estimates.change(None, prepare(region="ap-southeast-1"), TERMS)
    assert found is not None
    assert (found.before, found.budget_before, found.complete) == (0, None, False)


def test_what_was_not_priced_before_makes_a_change_s_cost_a_lower_bound() -> None:
    # Stands for a stack in which something has no price; nothing here has none.
    cache = dataclasses.replace(
        (before := prepare()).templates["master-stack.yaml"],
        body={"Resources": {"Cache": {"Type": "AWS::ElastiCache::CacheCluster"}}},
    )
    folder = {**before.templates, "master-stack.yaml": cache}
    found = estimates.change(dataclasses.replace(before, templates=folder), prepare(), TERMS)
    assert found is not None
    assert not found.complete
    assert found.budget_before is None


@pytest.mark.parametrize("terms", [dataclasses.replace(TERMS, usage="gone.json")])
def test_without_usage_the_cost_of_a_change_is_not_known(terms: Terms) -> None:
    assert estimates.change(None, prepare(), terms) is None


# Live prices


def test_live_prices_replace_the_books_row_by_row_and_gaps_are_reported(
    made: Estimated, tmp_path: Path
) -> None:
    pricing = botocore.session.Session().create_client(
        "pricing", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    notes: list[Any] = []
    with Stubber(pricing) as stub:
        stub.add_client_error("get_products", "AccessDeniedException", "no")
        (again,) = estimates.with_live_prices(
            [made],
            dataclasses.replace(TERMS, root=_link(tmp_path)),
            pricing,
            notes.append,
            Clock(lambda: 0.0, lambda: datetime.now(UTC), lambda _: None),
        )
    assert again.estimate.monthly() == made.estimate.monthly()
    assert [note.level for note in notes] == [Level.WARNING]
    assert "Live prices: the book's are used, since AWS denies GetProducts" in notes[0].text


def test_live_prices_are_asked_for_by_the_clock_of_this_machine_where_none_is_given(
    made: Estimated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def ask_all(*given: Any) -> Any:
        asked.append(given)
        return SimpleNamespace(problems=(), book=made.book)

    monkeypatch.setattr(offers, "ask_all", ask_all)
    terms = dataclasses.replace(TERMS, root=_link(tmp_path))
    notes: list[Any] = []
    (again,) = estimates.with_live_prices([made], terms, "the price list", notes.append)
    assert again.estimate == made.estimate
    assert notes == []
    [(price_list, book, dimensions, region, today, cache, clock)] = asked
    assert (price_list, book, region, today) == ("the price list", made.book, "us-east-1", TODAY)
    lines = (*made.estimate.lines, *made.estimate.ceiling)
    assert dimensions == {line.dimension for line in lines}
    assert cache == tmp_path / ".cache" / "live-prices.json"
    assert isinstance(clock, Clock)


def _link(folder: Path) -> Path:
    (folder / "infrastructure").symlink_to(ROOT / "infrastructure")
    return folder


def test_the_run_shown_in_the_documentation_is_what_the_command_says() -> None:
    made = estimates.estimate_all(TERMS, prepare("development"), every=True, compare=None)
    shown = (ROOT / "docs" / "costs.md").read_text()
    run = "\n".join(line.rstrip() for line in answer(made)[0].text.splitlines())
    assert run in shown, "renew docs/costs.md with the output of: inv estimate --all"
    chart = (ROOT / "docs" / "costs.svg").read_text()
    assert chart == report.draw_chart(made), "run: inv estimate --all --svg docs/costs.svg"
