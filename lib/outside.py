"""Reach what lies outside of a run: directly, or through the tape of a run that is recorded.

What a run does follows from what it is told: AWS's answers, the person's, the time, chance, the
commit that is checked out. All of it passes through `ask` and the three functions of time. On
most days there is no tape and they simply do what they say. A tape that records writes each
answer down; one that replays gives it again, and nothing outside is touched.

The tape belongs to the run and not to any of its parts, so it travels with the context, and
`Strands` hands it on to threads. Each thread's place among them is its strand, by which a replay
gives a thread the answers that the same thread had.
"""

from __future__ import annotations

import contextlib
import contextvars
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

Answer = TypeVar("Answer")

#: A thread's place: the parent's, which of its forks, which item of that.
Place = tuple[int, ...]


@dataclass(eq=False)
class Strand:
    """One thread of a recorded run.

    `second` is when the last answer came that it knows of: its own, its parent's until it was
    forked, those of its children once they have been waited for. `forks` counts the times that it
    started others, `took` is how long its last ask took.
    """

    place: Place = ()
    second: float = 0.0
    forks: int = 0
    took: float = 0.0


@dataclass(frozen=True)
class Inquiry:
    """What is asked of the outside; see `ask`."""

    kind: str
    what: Mapping[str, Any]
    do: Callable[[], Any]
    then: Callable[[Any], None] | None = None


class Tape(Protocol):
    """What stands between a run and the outside."""

    #: Whether answers come from a recording, and the outside is not to be touched.
    replays: bool

    def ask(self, strand: Strand, asked: Inquiry) -> Any:
        """Return what is found outside or raise it, now or when it was recorded."""

    def now(self, strand: Strand) -> datetime:
        """Return the time in UTC of the last answer that a strand knows of."""

    def hide(self, secrets: Iterable[str]) -> None:
        """Keep values out of the recording from now on."""

    def note_digest(self, content: bytes, digest: str) -> None:
        """Learn that a digest is of content that may be written down differently."""

    def note_interrupt(self, strand: Strand) -> None:
        """Write down that Ctrl-C came while a strand waited for those it forked last."""

    def was_interrupted(self, strand: Strand) -> bool:
        """Tell whether Ctrl-C came at this fork when the run was recorded."""


_tape: contextvars.ContextVar[Tape | None] = contextvars.ContextVar("tape", default=None)
_strand: contextvars.ContextVar[Strand] = contextvars.ContextVar("strand")


@contextlib.contextmanager
def through(tape: Tape) -> Iterator[None]:
    """Have everything that is asked of the outside pass through a tape."""
    tape_before, strand_before = _tape.set(tape), _strand.set(Strand())
    try:
        yield
    finally:
        _tape.reset(tape_before)
        _strand.reset(strand_before)


def is_taped() -> bool:
    """Tell whether this run is being recorded or replayed."""
    return _tape.get() is not None


def is_replayed() -> bool:
    """Tell whether answers come from a recording."""
    tape = _tape.get()
    return tape is not None and tape.replays


def ask(
    kind: str,
    what: Mapping[str, Any],
    do: Callable[[], Answer],
    then: Callable[[Any], None] | None = None,
) -> Answer:
    """Return what `do` finds outside.

    `kind` says in a word what sort of thing is asked, `what` everything that its answer depends
    on. Both, and the answer, have to be values that JSON can hold, times and bytes included.
    On a tape `then` is told the answer or the error, of threads in the order of their answers.
    Raises what `do` raises.
    """
    tape = _tape.get()
    if tape is None:
        return do()
    kept: Answer = tape.ask(_strand.get(), Inquiry(kind, what, do, then))
    return kept


def took() -> float:
    """Return how many seconds this strand's last `ask` took, 0 without a tape."""
    return _strand.get().took if is_taped() else 0.0


def monotonic() -> float:
    """Return seconds that only grow; on a tape they move when something outside answers."""
    tape = _tape.get()
    return time.monotonic() if tape is None else _strand.get().second


def now() -> datetime:
    """Return the time in UTC; on a tape it moves when something outside answers."""
    tape = _tape.get()
    return datetime.now(UTC) if tape is None else tape.now(_strand.get())


def sleep(seconds: float) -> None:
    """Let time pass; a replay does not wait."""
    ask("sleep", {"seconds": seconds}, lambda: time.sleep(seconds))


def new_id() -> str:
    """Return a random UUID."""
    import uuid

    return ask("id", {}, lambda: str(uuid.uuid4()))


def digest(content: bytes) -> str:
    """Return the SHA-256, in hex, of something that may hold what a recording must not.

    A recording holds such content changed, and then has this digest changed to match.
    """
    import hashlib

    found = hashlib.sha256(content).hexdigest()
    tape = _tape.get()
    if tape is not None:
        tape.note_digest(content, found)
    return found


def hide(secrets: Iterable[str]) -> None:
    """Keep values out of a recording, if there is one."""
    tape = _tape.get()
    if tape is not None:
        tape.hide(secrets)


class Strands:
    """The threads that one thread starts together, each with a place of its own on the tape."""

    def __init__(self) -> None:
        self._tape = _tape.get()
        if self._tape is not None:
            self._parent = _strand.get()
            self._parent.forks += 1
            self._fork = self._parent.forks
            self._begun = self._parent.second
            self._children: list[Strand] = []

    def run(self, index: int, call: Callable[..., Answer], *arguments: Any) -> Answer:
        """Call a function as the strand of this index; without a tape simply call it."""
        if self._tape is None:
            return call(*arguments)
        context = contextvars.Context()
        child = Strand((*self._parent.place, self._fork, index), self._begun)
        self._children.append(child)
        context.run(_tape.set, self._tape)
        context.run(_strand.set, child)
        return context.run(call, *arguments)

    def join(self) -> None:
        """Let the parent know what its children know, now that they have ended.

        Raises KeyboardInterrupt where it came while the recorded run waited for them.
        """
        if self._tape is not None:
            known = (child.second for child in self._children)
            self._parent.second = max(self._parent.second, *known, self._begun)
            if self._tape.was_interrupted(self._parent):
                raise KeyboardInterrupt

    def note_interrupt(self) -> None:
        """Write down that Ctrl-C came while these were waited for."""
        if self._tape is not None:
            self._tape.note_interrupt(self._parent)
