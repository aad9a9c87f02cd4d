"""The rooms that are tried exist, their tests too, and no explanation outlives its line."""

from __future__ import annotations

import tomllib

import pytest

from tests.mutants import report
from tests.mutants.report import Room, Survivor
from tests.mutants.rooms import ROOMS, judges_of
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
    return Room("lib/data/loss.py", 300, tried, survivors, 0, 1, 60, "2026-11-25", "d")


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


def test_nineteen_of_twenty_have_to_be_killed() -> None:
    alive = Survivor("lib.data.loss.x_judge__mutmut_7", DIFF, "survived")
    assert not room(20, alive).fails
    assert room(19, alive).fails


def test_a_survivor_that_nobody_explained_is_shown_as_a_gap() -> None:
    alive = Survivor("lib.data.loss.x_judge__mutmut_7", DIFF, "survived")
    drawn = report.draw_screen([room(19, alive)])
    assert "+    return old <= new" in drawn
    assert drawn.endswith("Below 95 %: lib/data/loss.py\n")
