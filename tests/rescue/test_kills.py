"""A switch that ends at any call is ended by the same command, with nothing lost or forgotten."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.client import BaseClient

from lib.deploy import publishing
from tests.emulator.cloud import REPOSITORY
from tests.rescue.stage import NAME, Stage

#: Every how many calls the process ends; `-m faults` tries each, in processes that are killed.
STEP = 23
NEW = "notes-2"


class Dead(BaseException):
    """The process is dead: nothing that it still wants to do reaches AWS."""


class Calls:
    """Counts the calls of a run, and ends it at one of them, before or after AWS has acted."""

    def __init__(self, at: int = 0, *, after: bool = False) -> None:
        self.at, self.after, self.count, self.dead = at, after, 0, False
        self._one_at_a_time = threading.Lock()

    @contextmanager
    def counted(self) -> Iterator[None]:
        call = BaseClient._make_api_call  # type: ignore[attr-defined]

        def counting(client: Any, operation: str, arguments: Any) -> Any:
            with self._one_at_a_time:
                self.count += 1
                met = self.count == self.at
            if self.dead or (met and not self.after):
                self.dead = True
                raise Dead
            answer = call(client, operation, arguments)
            if met or self.dead:
                self.dead = True
                raise Dead
            return answer

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(BaseClient, "_make_api_call", counting)
            yield


class Theatre:
    """An emulator with a memory, in which one state is played from again and again."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.stage = Stage(endpoint)
        self.stage.deploy()
        self.old = self.stage.notes
        self.stage.fill(self.old)
        self.stage.back_up(self.old)
        self._ask("save")

    def _ask(self, action: str) -> None:
        address = f"{self.endpoint}/_faults/{action}/prepared"
        urllib.request.urlopen(urllib.request.Request(address, data=b"", method="POST")).close()

    def play(self, calls: Calls) -> None:
        """Switch, and end where the calls say so."""
        self.stage.cloud.wait(NAME)
        self._ask("load")
        self.stage = Stage(self.endpoint)
        try:
            with calls.counted():
                self.stage.switch("Notes", target_table=NEW)
        except Dead:
            self.stage.cloud.wait(NAME)
            self.require_one_table()
            self.stage = Stage(self.endpoint)
            self.stage.switch("Notes", target_table=NEW)

    def require_one_table(self) -> None:
        """A writer that takes calls writes to the table that the stack shows to its readers."""
        stage = self.stage
        assert stage.items(self.old) == 3
        told = stage.cloud.outputs(NAME)["Notes"]
        assert stage.limit() == 0 or stage.reader() == told

    def require_switched(self) -> None:
        stage = self.stage
        assert stage.notes == stage.reader() == stage.cloud.outputs(NAME)["Notes"] == NEW
        assert (stage.items(NEW), stage.items(self.old)) == (3, 3)
        assert stage.limit() is None
        assert not stage.record()
        assert stage.parameters()["NotesTableName"] == NEW
        restored = [name for name in stage.cloud.tables() if name != self.old and "otes" in name]
        assert restored == [NEW]


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.faults.world", "--port", str(port)]
    world = subprocess.Popen(command, cwd=REPOSITORY)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health").close()
                break
            except OSError:
                time.sleep(0.05)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(publishing, "require_clean", lambda *_: None)
            yield Theatre(f"http://127.0.0.1:{port}")
    finally:
        world.terminate()
        world.wait(30)


@pytest.mark.parametrize("after", [False, True], ids=["before AWS acts", "after AWS has acted"])
def test_whatever_call_a_switch_ends_at_the_same_command_ends_it(
    theatre: Theatre, after: bool
) -> None:
    whole = Calls()
    theatre.play(whole)
    theatre.require_switched()
    assert whole.count > 2 * STEP
    for at in range(1 + after, whole.count, STEP):
        calls = Calls(at, after=after)
        theatre.play(calls)
        assert calls.dead
        theatre.require_switched()
