"""The keys that the manual lists are those of the results that tasks print."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest

from commands import emulator as emulator_tasks
from emulator.control import Emulator
from lib import document
from manual import keys
from manual.keys import Document
from tests.support import factories
from tests.support.task_entries import ENTRIES

TASKS = [entry.name for entry in ENTRIES]


@dataclass(frozen=True)
class Leaf:
    name: str
    hidden: str

    KEYS: ClassVar[Mapping[str, str]] = {"title": "name"}


@dataclass(frozen=True)
class Tree:
    """A result with everything that can stand inside one."""

    plain: tuple[str, ...]
    pairs: Mapping[str, Mapping[str, str]]
    one: Leaf | None
    many: tuple[Leaf, ...]
    named: Mapping[str, Leaf]

    KEYS: ClassVar[Mapping[str, str]] = {
        **{name: name for name in ("plain", "pairs", "one", "many", "named")},
        "first": "first",
        "worst": "worst",
        "far": "one.name",
        "farther": "pairs.some.one",
        "inner": "named.some",
    }

    @property
    def first(self) -> Leaf:
        return self.many[0]

    def worst(self) -> list[Leaf]:
        return list(self.many)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_its_document_described(task: str) -> None:
    assert keys.draw_keys(task)


def test_no_document_is_described_of_a_task_that_is_gone() -> None:
    assert set(keys.DOCUMENTS) == set(TASKS)
    assert keys.draw_keys("gone") == ""


def test_what_stands_inside_a_key_is_read_from_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    described = {"grow": Document(Tree), "again": Document(Tree), "list": Document(Leaf, many=True)}
    monkeypatch.setattr(keys, "DOCUMENTS", {"grow": described["grow"]})
    leaf = "{`title`}"
    assert keys.draw_keys("grow") == (
        f"`plain`, `pairs`, `one` {leaf}, `many` [{leaf}], `named` {{name: {leaf}}}, "
        f"`first` {leaf}, `worst` [{leaf}], `far`, `farther`, `inner` {leaf}"
    )
    monkeypatch.setattr(keys, "DOCUMENTS", described)
    assert keys.draw_keys("again") == "as `inv grow`"
    assert "`many` [as of `inv list`]" in keys.draw_keys("grow")
    assert keys.draw_keys("list") == "[{`title`}]"


def test_every_task_that_can_verify_lists_the_verification() -> None:
    for task in ("deploy", "update", "rollback"):
        told = keys.draw_keys(task)
        assert told == "as `inv deploy`" or "`verification`, as of `inv verify`" in told


def test_the_emulator_prints_the_keys_that_are_listed() -> None:
    emulator = Emulator(True, "http://127.0.0.1:1", 2, 1, factories.REPOSITORY)
    printed = emulator_tasks.emulator_answer(emulator).document
    assert list(printed) == re.findall(r"`(\w+)`", keys.draw_keys("local.start"))
    assert json.loads(json.dumps(printed)) == printed == document.as_document(emulator)
