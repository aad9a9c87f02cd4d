"""The task reference says what Invoke knows of the tasks."""

from __future__ import annotations

import pytest

from commands import operation
from manual import error_index, tasks_page
from manual.tasks_page import Flag, TaskEntry
from tests.support.task_entries import ENTRIES


def test_a_task_is_listed_with_its_flags_keys_and_old_script() -> None:
    page = tasks_page.draw_tasks(ENTRIES)
    assert "| `deploy.sh` | [`inv deploy`](#inv-deploy) |" in page
    section = page.split("### inv restore\n")[1].split("\n### ")[0]
    assert "`--point-in-time VALUE`" in section
    assert "`reapplied`" in section
    assert "Takes all common flags." in section


def test_exit_codes_are_listed_with_the_errors_behind_them() -> None:
    page = tasks_page.draw_tasks(ENTRIES)
    for kind in error_index.list_errors():
        row = next(line for line in page.splitlines() if line.startswith(f"| **{kind.exit_code}**"))
        assert f"`{kind.__name__}`" in row


@pytest.mark.parametrize("task", ENTRIES, ids=lambda task: task.name)
def test_every_task_and_flag_has_a_text(task: TaskEntry) -> None:
    assert task.about[0].isupper()
    assert [flag.name for flag in task.flags if not flag.help] == []


def test_a_task_outside_the_groups_and_of_the_emulator_finds_its_place() -> None:
    plain = TaskEntry(
        "other", "do a thing.", (Flag("json", "j", False, "", "One document.", common=True),)
    )
    emulator = TaskEntry("local.start", "Start it: now.", ())
    assert (plain.group, plain.about) == ("Other", "Do a thing.")
    assert emulator.group == "Emulator"
    both = TaskEntry("more", "do two.", (*plain.flags, Flag("yes", "y", False, "", "Yes.", True)))
    assert "Of the common flags: `--json`." in tasks_page.draw_tasks([plain, both])


def test_every_common_flag_is_told_once_for_all_tasks() -> None:
    page = tasks_page.draw_tasks(ENTRIES)
    shared = page.split("## Flags that most tasks take\n")[1].split("\n## ")[0]
    for name in operation.COMMON:
        assert f"| `--{name.replace('_', '-')}" in shared
    assert page.count("Show each AWS call") == 1
