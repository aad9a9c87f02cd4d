"""What ends at any call is ended by the same command, with nothing lost or forgotten."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.client import BaseClient

from lib.deploy import publishing
from tests.emulator.cloud import REPOSITORY
from tests.rescue.stage import NAME, Stage

NEW = "notes-2"
MOVE = "DatabaseStack/Drafts=ApiStack/Drafts"


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
            try:
                return call(client, operation, arguments)
            finally:
                # Whatever AWS says, nobody is there to hear it.
                if met or self.dead:
                    self.dead = True
                    raise Dead

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(BaseClient, "_make_api_call", counting)
            yield


class Theatre:
    """An emulator with a memory, in which its states are played from again and again."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.stage = Stage(endpoint)
        self.stage.deploy()
        self.old = self.stage.notes
        self.drafts = self.stage.tree()["DatabaseStack/Drafts"]
        self.stage.fill(self.old)
        self.stage.fill(self.drafts, 2)
        self.stage.back_up(self.old)
        self._ask("save", "deployed")
        self.stage.delete()
        self.stage.deploy(adopt="none")
        self.empty = self.stage.notes
        self._ask("save", "orphaned")

    def _ask(self, action: str, state: str) -> None:
        address = f"{self.endpoint}/_faults/{action}/{state}"
        urllib.request.urlopen(urllib.request.Request(address, data=b"", method="POST")).close()

    def play(self, piece: Piece, calls: Calls) -> None:
        """Run a task, and once more where the calls ended it."""
        self.stage.cloud.wait(NAME)
        self._ask("load", piece.state)
        self.stage = Stage(self.endpoint)
        try:
            with calls.counted():
                piece.run(self)
        except Dead:
            self.stage.cloud.wait(NAME)
            piece.require_meanwhile(self)
            self.stage = Stage(self.endpoint)
            piece.run(self)

    def switch(self) -> None:
        self.stage.switch("Notes", target_table=NEW)

    def adopt(self) -> None:
        self.stage.adopt(DatabaseStack__Notes=self.old)

    def refactor(self) -> None:
        self.stage.refactor(MOVE)

    def require_one_table(self) -> None:
        """A writer that takes calls writes to the table that the stack shows to its readers."""
        stage = self.stage
        assert stage.items(self.old) == 3
        told = stage.cloud.outputs(NAME)["Notes"]
        assert stage.limit() == 0 or stage.reader() == told

    def require_switched(self) -> None:
        stage = self.stage
        assert (stage.items(NEW), stage.items(self.old)) == (3, 3)
        self._require_at_rest(NEW)
        restored = [
            name
            for name in stage.cloud.tables()
            if name not in (self.old, self.empty) and "otes" in name
        ]
        assert restored == [NEW]

    def require_adopted(self) -> None:
        assert self.stage.items(self.old) == 3
        assert self.empty in self.stage.cloud.tables()
        self._require_at_rest(self.old)

    def _require_at_rest(self, notes: str) -> None:
        """The notes are one table to all, and nothing is left of the way there."""
        stage = self.stage
        assert stage.notes == stage.reader() == stage.cloud.outputs(NAME)["Notes"] == notes
        assert stage.limit() is None
        assert not stage.record()
        assert stage.parameters()["NotesTableName"] == notes

    def require_drafts(self) -> None:
        """The table of drafts is in one of the two stacks, with what it holds."""
        tree = self.stage.tree()
        found = [tree[path] for path in MOVE.split("=") if path in tree]
        assert found == [self.drafts]
        assert self.stage.items(self.drafts) == 2

    def require_moved(self) -> None:
        tree = self.stage.tree()
        assert tree.get("ApiStack/Drafts") == self.drafts
        assert "DatabaseStack/Drafts" not in tree
        assert self.stage.items(self.drafts) == 2
        assert [name for name in self.stage.cloud.tables() if "rafts" in name] == [self.drafts]
        assert self.stage.deploy().action == "unchanged"


@dataclass(frozen=True)
class Piece:
    """A task that is ended at its calls: from which state, what holds meanwhile and afterwards."""

    state: str
    run: Callable[[Theatre], None]
    require_meanwhile: Callable[[Theatre], None]
    require_done: Callable[[Theatre], None]


PIECES = {
    "switch": Piece(
        "deployed", Theatre.switch, Theatre.require_one_table, Theatre.require_switched
    ),
    "adopt": Piece("orphaned", Theatre.adopt, Theatre.require_one_table, Theatre.require_adopted),
    "refactor": Piece("deployed", Theatre.refactor, Theatre.require_drafts, Theatre.require_moved),
}


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


def end_at_each(
    theatre: Theatre, piece: Piece, moments: Iterable[bool], *, step: int, spare: int = 1
) -> int:
    """End a task at every so many calls, run it again each time, and look at what is there.

    `moments` tell each time whether AWS has acted. How often a task looks hangs on the time, so
    that a run may not come to a call near its end; after `spare` such runs it is enough. Returns
    how many were ended.
    """
    ended, whole = 0, 0
    for at, after in zip(itertools.count(1, step), itertools.cycle(moments), strict=False):
        calls = Calls(at, after=after)
        theatre.play(piece, calls)
        piece.require_done(theatre)
        assert calls.dead is (calls.count >= at)
        ended, whole = ended + calls.dead, whole + (not calls.dead)
        if whole == spare:
            break
    return ended


@pytest.mark.parametrize("after", [False, True], ids=["before AWS acts", "after AWS has acted"])
def test_whatever_call_a_switch_ends_at_the_same_command_ends_it(
    theatre: Theatre, after: bool
) -> None:
    assert end_at_each(theatre, PIECES["switch"], [after], step=23) > 2


@pytest.mark.parametrize(("name", "step"), [("adopt", 41), ("refactor", 19)])
def test_whatever_call_a_task_ends_at_the_same_command_ends_it(
    theatre: Theatre, name: str, step: int
) -> None:
    assert end_at_each(theatre, PIECES[name], [True, False], step=step) > 2


@pytest.mark.faults
@pytest.mark.parametrize("after", [False, True], ids=["before AWS acts", "after AWS has acted"])
@pytest.mark.parametrize("name", PIECES)
def test_whichever_call_a_task_ends_at_the_same_command_ends_it(
    theatre: Theatre, name: str, after: bool
) -> None:
    assert end_at_each(theatre, PIECES[name], [after], step=1, spare=3) > 40
