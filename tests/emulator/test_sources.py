"""Every amendment names what vouches for it, and what nothing vouches for is counted."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from emulator import sources
from emulator.sources import SOURCES, Witness

ROOM = Path(__file__).resolve().parents[2] / "emulator" / "amendments.py"
# What lets progress be watched differs from AWS on purpose.
NO_AMENDMENTS = {"apply", "resources_take_time"}


def amendments() -> dict[str, str]:
    """Name and docstring of every amendment, read without loading the emulator."""
    tree = ast.parse(ROOM.read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {
        node.name: ast.get_docstring(node) or ""
        for node in functions
        if node.name not in NO_AMENDMENTS
    }


def test_every_amendment_has_a_source_and_every_source_its_amendment() -> None:
    assert {source.amendment for source in SOURCES} == set(amendments())
    assert all(sources.of(name) for name in amendments())


def test_every_amendment_is_applied() -> None:
    text = ROOM.read_text()
    applied = text[text.index("AMENDMENTS:") :]
    assert [name for name in amendments() if name not in applied] == []


def test_a_source_has_its_words_and_their_place_unless_nothing_vouches() -> None:
    for source in SOURCES:
        if source.witness is Witness.NONE:
            assert not source.text, source
            assert not source.where, source
        else:
            assert source.where, source


def test_what_nothing_vouches_for_is_counted() -> None:
    names = [source.amendment for source in sources.unvouched()]
    assert names == [
        "nested_stacks_are_whole",
        "nested_change_sets_exist",
        "imports_reach_nested_stacks",
        "states_are_guarded",
        "skipping_wants_stack_names",
        "deployment_configs_are_heeded",
        "interrupted_operations_end",
        "stacks_can_be_refactored",
        "retaining_follows_a_failure",
        "sites_are_deployed",
    ]


def test_every_amendment_names_a_canary_that_exists() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for name, doc in amendments().items():
        canary = re.search(r"Canary: (\w+)\.", doc)
        assert canary, name
        assert canary[1] == f"test_canary_{name}"
        assert f"def {canary[1]}(" in tests


@pytest.mark.parametrize("module", ["emulator.sources"])
def test_the_table_is_read_without_loading_the_emulator(module: str) -> None:
    path = ROOM.parent / f"{module.rpartition('.')[2]}.py"
    tree = ast.parse(path.read_text())
    imported = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    } | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= {"__future__", "dataclasses", "enum"}
