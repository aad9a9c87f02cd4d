"""What was found clean is not linted again, until anything that the verdict rests on differs."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from lib.templates import linting

REGIONS = ["us-east-1", "eu-west-1"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a home folder of the test's own, which may hold a configuration."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with two templates, and a linter that notes what it was given."""
    found = tmp_path / "templates"
    found.mkdir()
    for name in ("a.yaml", "b.yaml"):
        (found / name).write_text(f"Description: {name}\n")
    put_linter(found, monkeypatch, "echo '[]'")
    return found


def put_linter(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "cfn-lint"
    program.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/runs"\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))


def lint(folder: Path, *names: str, regions: list[str] | None = None, memory: bool = True) -> int:
    """Lint and return how many templates the linter was given."""
    runs = folder / "runs"
    runs.write_text("")
    linting.lint_once(
        [folder / name for name in names or ("a.yaml", "b.yaml")],
        regions=regions or REGIONS,
        folder=folder,
        memory=folder.parent / "memory" / "lint" if memory else None,
        say=lambda _: None,
    )
    return runs.read_text().count(".yaml")


def test_clean_content_is_linted_once(folder: Path) -> None:
    assert lint(folder) == 2
    assert lint(folder) == 0


def test_only_what_was_edited_is_linted_again(folder: Path) -> None:
    lint(folder)
    (folder / "b.yaml").write_text("Description: new\n")
    assert lint(folder) == 1
    assert "b.yaml" in (folder / "runs").read_text()


def test_a_region_that_was_not_asked_about_before_is_linted_and_the_others_are_known(
    folder: Path,
) -> None:
    lint(folder)
    assert lint(folder, regions=["eu-west-1"]) == 0
    assert lint(folder, regions=["eu-west-1", "us-west-2"]) == 2


def test_another_version_of_the_linter_lints_everything(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lint(folder)
    monkeypatch.setattr(metadata, "version", lambda _: "99.0")
    assert lint(folder) == 2


@pytest.mark.parametrize("place", ["home", "templates"])
@pytest.mark.parametrize("name", [".cfnlintrc", ".cfnlintrc.yaml", ".cfnlintrc.yml"])
def test_another_configuration_lints_everything(folder: Path, place: str, name: str) -> None:
    lint(folder)
    config = folder.parent / place / name
    config.write_text("include_checks: [I]\n")
    assert lint(folder) == 2
    config.write_text("include_checks: [W]\n")
    assert lint(folder) == 2
    assert lint(folder) == 0


def test_what_has_findings_is_never_remembered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = (
        '[{"Level": "Error", "Filename": "a.yaml", "Message": "bad", '
        '"Rule": {"Id": "E1"}, "Location": {"Start": {"LineNumber": 1}}}]'
    )
    put_linter(folder, monkeypatch, f"echo '{finding}'; exit 2")
    assert lint(folder) == 2
    assert lint(folder) == 2


def test_a_file_that_was_saved_while_it_was_linted_is_not_remembered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_linter(folder, monkeypatch, f"echo 'Description: good' > '{folder}/a.yaml'; echo '[]'")
    text = (folder / "a.yaml").read_text()
    lint(folder)
    (folder / "a.yaml").write_text(text)
    assert lint(folder, "a.yaml") == 1
    assert lint(folder, "b.yaml") == 0


def test_without_a_memory_everything_is_linted_every_time(folder: Path) -> None:
    assert lint(folder, memory=False) == 2
    assert lint(folder, memory=False) == 2


def test_a_memory_that_cannot_be_written_costs_nothing_but_time(folder: Path) -> None:
    (folder.parent / "memory").write_text("a file in the folder's place")
    assert lint(folder) == 2
    assert lint(folder) == 2


def test_the_operator_is_told_what_is_linted(folder: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        linting.lint_once(
            [folder / "a.yaml"],
            regions=REGIONS,
            folder=folder,
            memory=folder.parent / "memory",
            say=said.append,
        )
    assert said == [
        "Linting 1 new templates.",
        "1 new templates were linted before and are unchanged.",
    ]
