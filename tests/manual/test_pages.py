"""The generated pages say what the code and the templates say."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib import errors
from manual import error_index, pages
from manual.pages import Sources
from tests.support import factories
from tests.support.task_entries import ENTRIES


@pytest.fixture
def sources() -> Sources:
    return pages.read(factories.REPOSITORY, ENTRIES)


def test_every_generated_page_in_the_repository_is_in_step(sources: Sources) -> None:
    built = pages.build(sources)
    stale = [path for path, text in built.items() if sources.pages.get(path) != text]
    assert stale == [], "run `inv docs`"


def test_every_error_that_the_code_can_print_is_explained(sources: Sources) -> None:
    messages = error_index.list_messages(sources.code)
    sections = error_index.read_sections(sources.pages[pages.TROUBLESHOOTING])
    found = error_index.find_unexplained(messages, sections)
    assert [f"{m.module}.{m.function}: {m.text}" for m in found] == []


def copy_of_the_repository(root: Path) -> Path:
    """Copy what the pages are made of."""
    for path in (*pages.CODE, "infrastructure", "docs"):
        for file in (factories.REPOSITORY / path).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                target = root / file.relative_to(factories.REPOSITORY)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
    for name in (pages.PROJECT, pages.CONTRIBUTING):
        (root / name).write_bytes((factories.REPOSITORY / name).read_bytes())
    return root


def test_checking_names_what_is_out_of_step_and_writing_brings_it_back(tmp_path: Path) -> None:
    root = copy_of_the_repository(tmp_path)
    pages.refresh(root, ENTRIES, check=False)
    before = (root / pages.STATES).read_text()
    (root / pages.STATES).write_text("something else")
    checked = pages.refresh(root, ENTRIES, check=True)
    assert checked.exit_code == errors.OperationFailed.exit_code
    assert checked.document["stale"] == [pages.STATES]
    assert "not in step" in checked.text
    assert (root / pages.STATES).read_text() == "something else"
    assert pages.refresh(root, ENTRIES, check=False).document["written"] == [pages.STATES]
    assert (root / pages.STATES).read_text() == before
    assert pages.refresh(root, ENTRIES, check=True).exit_code == 0


def test_a_contract_that_was_changed_brings_the_pages_that_show_it_out_of_step(
    tmp_path: Path,
) -> None:
    root = copy_of_the_repository(tmp_path)
    project = (root / pages.PROJECT).read_text()
    turned = project.replace('"lib.stacks",\n    "lib.inputs"', '"lib.inputs",\n    "lib.stacks"')
    assert turned != project
    (root / pages.PROJECT).write_text(turned)
    stale = pages.refresh(root, ENTRIES, check=True).document["stale"]
    assert stale == [pages.ARCHITECTURE, pages.CONTRIBUTING]
