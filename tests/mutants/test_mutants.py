"""The rooms that are tried exist, their tests too, and no explanation outlives its line."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.mutants import report
from tests.mutants.report import Room, Survivor
from tests.mutants.rooms import ROOMS, draw_sample, judges_of
from tests.support.factories import REPOSITORY

DIFF = """--- lib/data/loss.py
+++ lib/data/loss.py
@@ -1,3 +1,3 @@
-def x_judge__mutmut_orig():
+def x_judge__mutmut_7():
     \"\"\"Judge.\"\"\"
-    return old < new
+    return old <= new
"""


def room(tried: int, *survivors: Survivor) -> Room:
    name = "lib/data/loss.py"
    return Room(name, 300, tried, survivors, 20, 7, 60, "2026-11-25", report.digest(name))


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_and_its_tests_exist(name: str) -> None:
    for path in (name, *judges_of(name)):
        assert (REPOSITORY / path).is_file(), path


def test_an_explanation_is_of_a_line_that_is_still_there() -> None:
    for entry in tomllib.loads(report.EXPLAINED.read_text()).get("explained", []):
        lines = (REPOSITORY / entry["file"]).read_text().splitlines()
        there = {line.strip() for line in lines}
        assert {line.strip() for line in entry["was"].strip().splitlines()} <= there, entry
        assert len(entry["why"]) > 20, entry


def test_a_survivor_shows_its_line_and_its_function_without_the_tool_s_names() -> None:
    survivor = Survivor("lib.data.loss.xǁJudgeǁ_of__mutmut_7", DIFF, "survived")
    assert survivor.function == "Judge._of"
    assert survivor.removed == "return old < new"
    assert survivor.added == "return old <= new"


def test_nineteen_of_twenty_have_to_be_killed_or_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alive = Survivor("lib.data.loss.x_judge__mutmut_7", DIFF, "survived")
    assert report.is_enough(room(20, alive))
    assert not report.is_enough(room(19, alive))
    key = ("lib/data/loss.py", "return old < new", "return old <= new")
    monkeypatch.setattr(report, "read_reasons", lambda: {key: "nobody could tell"})
    assert report.is_enough(room(19, alive))
    assert report.list_gaps(room(19, alive)) == []
    assert room(19, alive).killed == 18


def test_a_survivor_that_nobody_explained_is_shown_as_a_gap() -> None:
    alive = Survivor("lib.data.loss.x_judge__mutmut_7", DIFF, "survived")
    drawn = report.draw_screen([room(19, alive)])
    assert "+    return old <= new" in drawn
    assert drawn.endswith("More than 5 % are gaps: lib/data/loss.py\n")


def test_the_page_says_how_much_was_tried_and_explains_each_survivor() -> None:
    alive = Survivor("lib.data.loss.x_judge__mutmut_7", DIFF, "survived")
    page = report.draw_page([room(20, alive)], datetime(2026, 11, 25, tzinfo=UTC))
    assert "**20 mutants tried of 300, 19 killed (95.0 %), 0 explained, 1 gaps**" in page
    assert "(1 rooms by `--sample 20 --seed 7`; 1 minutes of one process)" in page
    assert "| lib/data/loss.py | 300 | 20 | 19 | 0 | 1 | 95.0 |" in page
    row = "| `lib/data/loss.py` `judge` | `return old < new` → `return old <= new` | **A gap.** |"
    assert row in page


def test_rooms_without_a_result_are_named() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    page = report.draw_page([room(20)], now)
    assert "Not tried yet: `lib/data/consent.py`, " in page
    whole = report.draw_page([replace(room(20), name=name) for name in ROOMS], now)
    assert "Not tried yet" not in whole


def test_a_room_that_was_changed_since_says_so() -> None:
    page = report.draw_page([replace(room(20), digest="d")], datetime(2026, 11, 25, tzinfo=UTC))
    assert "| lib/data/loss.py (changed since) | 300 |" in page


def test_code_with_backticks_stays_whole_in_a_cell() -> None:
    assert report._code("say(f'`inv` | x')") == "``say(f'`inv` \\| x')``"
    assert report._code("") == "nothing"


@pytest.mark.parametrize("size", [0, 10, 11])
def test_a_sample_of_none_or_of_more_than_there_are_is_all(size: int) -> None:
    names = [str(number) for number in range(10)]
    assert draw_sample(names, size, 1) == names


def test_a_sample_is_even_and_the_same_for_the_same_seed() -> None:
    names = [str(number) for number in range(100)]
    sample = draw_sample(names, 10, 7)
    assert [int(name) // 10 for name in sample] == list(range(10))
    assert sample == draw_sample(names, 10, 7)
    assert sample != draw_sample(names, 10, 8)
