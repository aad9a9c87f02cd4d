"""A machine knows its own processes, and tells its name to nobody."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from lib import machine
from lib.machine import Machine


def test_the_name_of_a_machine_is_a_digest_that_stays_the_same() -> None:
    name = Machine().name()
    assert name == Machine().name()
    assert len(name) == 16
    assert platform.node() not in name


def test_this_process_lives_and_one_that_has_ended_is_gone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = Machine()
    assert here.process() == str(os.getpid())
    assert not here.is_gone(here.process())
    assert here.is_gone(str(ended.pid))


@pytest.mark.parametrize("process", ["", "-1", "0x1", "9" * 40])
def test_what_is_no_process_is_not_taken_for_one_that_has_ended(process: str) -> None:
    assert not Machine().is_gone(process)


def test_another_user_s_process_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(_process: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", deny)
    assert not Machine().is_gone("1")


def test_where_the_system_has_no_proc_the_network_card_tells_machines_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr(machine, "_BOOT", machine.Path(str(tmp_path)) / "none")
    monkeypatch.setattr("uuid.getnode", lambda: 1)
    first = Machine().name()
    monkeypatch.setattr("uuid.getnode", lambda: 2)
    assert Machine().name() != first
