"""A second source is held against the book by profile and region, and never taken over."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from contextlib import AbstractContextManager, closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pytest

from lib.costs import crosscheck, renewal
from lib.costs.book import Book, Tier
from lib.costs.estimates import Terms
from lib.errors import InputError
from lib.operators import Progress
from tests.support.pricing import INFRASTRUCTURE, shipped_book

NOVA = "amazon.nova-lite-v1:0"
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


def entry(price: str, output: str = "1e-06", provider: str = "bedrock_converse") -> dict[str, Any]:
    return {
        "litellm_provider": provider,
        "input_cost_per_token": float(price),
        "output_cost_per_token": float(output),
    }


def never(url: str) -> AbstractContextManager[IO[bytes]]:
    raise AssertionError(url)


def read(tmp_path: Path, content: object) -> crosscheck.Table:
    path = tmp_path / "table.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return crosscheck.read_table(str(path), never)


def check(tmp_path: Path, content: object, book: Book | None = None) -> crosscheck.CrossCheck:
    return crosscheck.check(book or shipped_book(), read(tmp_path, content), "table.json")


def test_a_row_agrees_with_the_profile_that_serves_its_region(tmp_path: Path) -> None:
    table = {
        f"us.{NOVA}": entry("6e-08", "2.4e-07"),
        f"eu.{NOVA}": entry("7.8e-08", "3.12e-07"),
        f"apac.{NOVA}": entry("6.3e-08", "2.52e-07"),
    }
    found = check(tmp_path, table)
    assert found.differences == ()
    assert found.agree == 2 * 4  # both ways in the four regions


def test_a_row_that_differs_is_told_with_both_prices_and_the_name_of_the_other(
    tmp_path: Path,
) -> None:
    found = check(tmp_path, {f"eu.{NOVA}": entry("9e-08", "3.12e-07")})
    assert found.differences == (
        crosscheck.Disagreement(
            "bedrock.amazon.nova-lite.geo.input", "eu-west-1", "$0.078", "$0.09", f"eu.{NOVA}"
        ),
    )
    assert found.agree == 1
    text = crosscheck.draw(found)
    assert "rows of models: 1 agree, 1 differ, 60 it does not name" in text
    assert "$0.09" in text


def test_a_price_for_everywhere_is_held_against_every_continent(tmp_path: Path) -> None:
    table = {f"us.{HAIKU}": entry("1.1e-06", "5.5e-06"), f"eu.{HAIKU}": entry("1.2e-06", "5.5e-06")}
    (differing,) = check(tmp_path, table).differences
    assert (differing.region, differing.book, differing.other) == ("*", "$1.10", "$1.20")


def test_a_price_that_the_book_lacks_is_told_as_missing(tmp_path: Path) -> None:
    model = "meta.llama3-1-8b-instruct-v1:0"
    found = check(
        tmp_path, {f"eu.{model}": entry("2.5e-07"), f"bedrock/eu-west-1/{model}": entry("3e-07")}
    )
    assert [(item.region, item.book, item.other) for item in found.differences][::2] == [
        ("eu-west-1", "missing", "$0.25"),
        ("eu-west-1", "missing", "$0.30"),
    ]


def test_a_name_without_profile_is_the_price_of_its_home_region_alone(tmp_path: Path) -> None:
    found = check(tmp_path, {NOVA: entry("9e-08", "2.4e-07")})
    assert [(item.dimension, item.region) for item in found.differences] == [
        ("bedrock.amazon.nova-lite.regional.input", "us-east-1")
    ]


@pytest.mark.parametrize(
    "content",
    ["", "no json", "[]", "{}", '{"a": 1}', "[" * 100_000, '{"a": {"litellm_provider": "openai"}}'],
)
def test_what_is_no_such_table_is_an_input_error_that_says_what_to_name(
    tmp_path: Path, content: str
) -> None:
    with pytest.raises(
        InputError, match=r"The second source .*table\.json cannot be used"
    ) as caught:
        read(tmp_path, content)
    assert "--cross-check" in str(caught.value.next_step)


@pytest.mark.parametrize("price", ["NaN", "Infinity", "1e-99999999", "-1e-08", "7", "true", '"6"'])
def test_a_number_that_is_no_price_of_a_token_is_passed_over(tmp_path: Path, price: str) -> None:
    entry = f'{{"litellm_provider": "bedrock", "input_cost_per_token": {price}, '
    entry += '"output_cost_per_token": 2.4e-07}'
    found = read(tmp_path, f'{{"us.{NOVA}": {entry}}}')
    assert list(found) == [("us", "amazon.nova-lite", "output")]


def test_a_source_that_is_not_there_or_does_not_answer_is_an_input_error(tmp_path: Path) -> None:
    def refuse(url: str) -> AbstractContextManager[IO[bytes]]:
        raise OSError(f"{url} refused")

    with pytest.raises(InputError, match="No such file"):
        crosscheck.read_table(str(tmp_path / "gone.json"), refuse)
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1/t\.json refused"):
        crosscheck.read_table("http://127.0.0.1/t.json", refuse)


def run(root: Path, table: str, base_url: str | None = None) -> tuple[Any, list[Progress]]:
    notes: list[Progress] = []

    def serve(url: str) -> AbstractContextManager[IO[bytes]]:
        if url != "http://127.0.0.1/t.json":
            raise OSError("no offer file here")
        return closing(io.BytesIO(table.encode()))

    terms = Terms(root, date(2026, 11, 25))
    answer = renewal.refresh_book(terms, serve, base_url, notes.append, "http://127.0.0.1/t.json")
    return answer, notes


def copy_book(tmp_path: Path) -> Path:
    (tmp_path / "infrastructure").mkdir()
    return Path(shutil.copy(INFRASTRUCTURE / "prices.json", tmp_path / "infrastructure"))


def test_a_cross_check_writes_nothing_even_where_the_sources_differ(tmp_path: Path) -> None:
    path = copy_book(tmp_path)
    before = path.read_bytes()
    answer, notes = run(tmp_path, json.dumps({f"eu.{NOVA}": entry("9e-08")}))
    assert path.read_bytes() == before
    assert (answer.exit_code, notes) == (0, [])
    assert answer.document["read_again"] == 0
    assert [item["other"] for item in answer.document["cross_check"]["differences"]] == [
        "$0.09",
        "$1.00",
    ]


def test_with_a_source_the_book_is_renewed_from_that_and_then_checked(tmp_path: Path) -> None:
    path = copy_book(tmp_path)
    answer, notes = run(tmp_path, json.dumps({f"us.{NOVA}": entry("6e-08", "2.4e-07")}), "http://x")
    assert notes  # no offer file could be read
    assert answer.exit_code == 4
    assert answer.document["cross_check"]["agree"] == 4
    assert '"status": "stale"' in path.read_text()


def test_an_unusable_second_source_is_told_before_anything_is_renewed(tmp_path: Path) -> None:
    path = copy_book(tmp_path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="cannot be used"):
        run(tmp_path, "[]", "http://x")
    assert path.read_bytes() == before


def test_prices_are_compared_as_decimals_with_all_their_digits(tmp_path: Path) -> None:
    book = shipped_book()
    row = book.find("bedrock.amazon.nova-lite.geo.input", "eu-west-1")
    finer = dataclasses.replace(row, tiers=(Tier(Decimal(0), Decimal("0.0780000001")),))
    (differing,) = check(
        tmp_path, {f"eu.{NOVA}": entry("7.8e-08", "3.12e-07")}, book.replacing([finer])
    ).differences
    assert differing.book == "$0.0780000001"
