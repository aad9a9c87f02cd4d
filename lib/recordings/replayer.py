"""Give a run the answers that were recorded, and nothing from outside."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from lib.errors import Refused
from lib.outside import Strand
from lib.recordings.codec import decode, encode_request, make_error
from lib.recordings.recordings import Event, Recording
from lib.recordings.timing import Times
from lib.values import canonical

#: What a line holds beside what was asked.
_BESIDE = frozenset({"strand", "at", "took", "answer", "error", "unanswered"})

#: What is answered in order, whatever exactly was asked: it is the run that is asked, or chance.
_IN_ORDER = frozenset({"sleep", "id", "commit", "sign in", "region", "reply", "emulator"})

#: What reaches another machine or another program.
_OUTSIDE = frozenset({"socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen"})

#: How much of a request is shown.
_SHOWN = 300


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Have Python itself refuse every connection and every other process for a time.

    Hooks stay for as long as the interpreter; this one then lets everything pass.
    https://docs.python.org/3/library/audit_events.html
    """
    is_over: list[bool] = []

    def refuse(event: str, _arguments: tuple[Any, ...]) -> None:
        if event in _OUTSIDE and not is_over:
            raise RuntimeError(f"A replay reached outside: {event}.")

    sys.addaudithook(refuse)
    try:
        yield
    finally:
        is_over.append(True)


class Replayer:
    """The tape that gives again.

    An answer belongs to a request, not to a place in the file: calls that were made side by side
    come in any order. Of equal requests a strand first gets the answers that it had itself.
    """

    replays = True

    def __init__(self, recording: Recording, cover: Callable[[Any], Any]) -> None:
        """Replay a recording; `cover` puts recorded paths where this machine's stand."""
        self._recording = recording
        self._cover = cover
        self._began = datetime.fromisoformat(recording.head["began"])
        self._times = Times()
        self._lock = threading.Lock()
        self._left: dict[str, deque[Event]] = {}
        self._interrupts: set[tuple[int, ...]] = set()
        #: What was asked for and is not recorded, each said once.
        self.missing: list[str] = []
        for event in recording.events:
            if event["kind"] == "interrupt":
                self._interrupts.add((*event["strand"], event["fork"]))
                continue
            what = {key: item for key, item in event.items() if key not in _BESIDE}
            self._left.setdefault(_key(what), deque()).append(event)

    def ask(self, strand: Strand, kind: str, what: Mapping[str, Any], do: Callable[[], Any]) -> Any:
        """Return the recorded answer, or raise the recorded error."""
        asked = {"kind": kind, **self._cover(encode_request(what))}
        event = self._take(strand, asked)
        if event is None:
            return self._go_without(strand, asked)
        self._times.note(strand.place, event.get("at", 0.0))
        strand.took = event.get("took", 0.0)
        if "error" in event:
            raise make_error(event["error"])
        if event.get("unanswered"):
            # Only Ctrl-C leaves a call behind.
            raise KeyboardInterrupt
        return decode(event["answer"])

    def _take(self, strand: Strand, asked: Mapping[str, Any]) -> Event | None:
        with self._lock:
            waiting = self._left.get(_key(asked))
            if not waiting:
                return None
            place = list(strand.place)
            event = next((one for one in waiting if one["strand"] == place), waiting[0])
            waiting.remove(event)
            return event

    def _go_without(self, strand: Strand, asked: Mapping[str, Any]) -> Any:
        """Answer what was not recorded, where that can be, or say which it is."""
        if asked["kind"] == "sleep":
            self._times.note(strand.place, self._times.at(strand.place) + asked["seconds"])
            return None
        if self._was_left:
            raise KeyboardInterrupt
        told = describe(asked)
        self.missing.append(told)
        raise Refused(
            f"The recording {self._recording.path} has no answer to {told}.",
            next_step="replay it with the checkout that wrote it, commit "
            f"{self._recording.head.get('commit') or 'unknown'}; this one asks something else",
        )

    @property
    def _was_left(self) -> bool:
        """Tell whether the recorded run ended by Ctrl-C, wherever exactly it came."""
        end = self._recording.end
        return end is not None and end["exit_code"] == 130

    def monotonic(self, strand: Strand) -> float:
        """Return the second of the last answer that a strand knows of."""
        return self._times.at(strand.place)

    def now(self, strand: Strand) -> datetime:
        """Return the time of the last answer that a strand knows of."""
        return self._began + timedelta(seconds=self.monotonic(strand))

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide nothing: a recording holds no secrets."""

    def note_digest(self, content: bytes, digest: str) -> None:
        """Learn nothing: digests are those of what was recorded."""

    def note_interrupt(self, strand: Strand) -> None:
        """Write down nothing."""

    def was_interrupted(self, strand: Strand) -> bool:
        """Tell whether Ctrl-C came at this fork."""
        return (*strand.place, strand.forks) in self._interrupts


def _key(what: Mapping[str, Any]) -> str:
    return str(what["kind"]) if what["kind"] in _IN_ORDER else canonical(what)


def describe(asked: Mapping[str, Any]) -> str:
    """Return a request as text for people."""
    if asked["kind"] != "call":
        rest = {key: item for key, item in asked.items() if key != "kind"}
        return f"{asked['kind']} {canonical(rest)}"[:_SHOWN]
    told = canonical(asked["parameters"])
    return f"{asked['service']} {asked['operation']} in {asked['region']} with {told}"[:_SHOWN]
