"""What the foreign session deploys is our templates, whole but for what it names."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from lib.templates import contracts, templates
from tests.foreign import emulator, play
from tests.foreign.left_out import LEFT_OUT, leave_out

TEMPLATES = play.templates(play.ROOT)


def reduce(folder: Path, *names: str) -> dict[str, templates.Template]:
    shutil.copytree(TEMPLATES, folder, dirs_exist_ok=True)
    leave_out(folder, [one for one in LEFT_OUT if one.stack in names or not names])
    return templates.read_folder(folder)


def test_what_is_left_is_whole_and_reads_nothing_that_is_gone(tmp_path: Path) -> None:
    left = reduce(tmp_path)
    assert contracts.check_contracts(left) == ()
    assert sorted(left[templates.MASTER].resources) == [
        "DatabaseStack",
        "IAMStack",
        "StorageStack",
    ]
    assert sorted(left[templates.MASTER].outputs) == ["BucketName"]


@pytest.mark.parametrize("kept", [one.stack for one in LEFT_OUT])
def test_each_stack_can_be_put_back_alone(tmp_path: Path, kept: str) -> None:
    left = reduce(tmp_path, *(one.stack for one in LEFT_OUT if one.stack != kept))
    assert contracts.check_contracts(left) == ()
    assert kept in left[templates.MASTER].resources


def test_an_output_without_a_stand_in_is_named(tmp_path: Path) -> None:
    shutil.copytree(TEMPLATES, tmp_path, dirs_exist_ok=True)
    with pytest.raises(ValueError, match="still reads DatabaseStack"):
        leave_out(tmp_path, [play.LeftOut("DatabaseStack", "database-stack.yaml", "", {})])


def test_a_python_that_is_old_enough_is_found_and_none_from_the_future() -> None:
    assert emulator.find_python((3, 11)) == sys.executable
    assert emulator.find_python((4, 0)) is None


def test_a_machine_without_a_python_for_it_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(emulator, "find_python", lambda _oldest: None)
    assert play.main([str(tmp_path / "none")]) == 1
    assert "needs a Python of 3.12 or newer, and there is none" in capsys.readouterr().err


def test_an_emulator_that_does_not_start_is_reported_in_its_own_words(tmp_path: Path) -> None:
    # This environment has no such emulator.
    started = emulator.running(sys.executable, tmp_path)
    with pytest.raises(RuntimeError, match="No module named 'localemu'"), started:
        pytest.fail("it runs")


def test_what_is_not_as_it_should_be_is_told_below_the_table() -> None:
    steps = [play.Step("create", 0, "CREATE_COMPLETE"), play.Step("delete", 3, "none", "exit 3")]
    shown = play.draw(steps)
    assert "✗ delete: exit 3" in shown
    assert shown.endswith("1 of 2 are as they should be")
