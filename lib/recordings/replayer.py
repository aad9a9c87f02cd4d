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
from lib.outside import Inquiry, Strand
from lib.recordings.codec import decode, encode_request, make_error
from lib.recordings.recordings import Event, Recording
from lib.values import canonical

#: What a line holds beside what was asked.
_BESIDE = frozenset({"strand", "at", "took", "answer", "error", "unanswered"})

#: What is answered in order, whatever exactly was asked: it is the run that is asked, or chance.
_IN_ORDER = frozenset({"sleep", "id", "commit", "sign in", "region", "reply", "emulator", "mail"})

#: What reaches another machine or another program.
_OUTSIDE = frozenset({"socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen"})

#: How long a thread waits to tell of its answer after the others, seconds.
_LONGEST_TURN = 1.0

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
        self._lock = threading.Lock()
        self._left: dict[str, deque[Event]] = {}
        self._interrupts: dict[tuple[int, ...], float] = {}
        #: What was asked for and is not recorded, each said once.
        self.missing: list[str] = []
        self._stops = 0
        self._turn = threading.Condition()
        self._calls = [one for one in recording.events if one["kind"] == "call"]
        self._then: list[Event] = []
        self._last: Event = {}
        for event in recording.events:
            if event["kind"] == "interrupt":
                self._learn_interrupt(event)
                continue
            if not event["strand"]:
                self._last = event
            what = {key: item for key, item in event.items() if key not in _BESIDE}
            self._left.setdefault(_key(what), deque()).append(event)

    def _learn_interrupt(self, event: Event) -> None:
        """Note where Ctrl-C came: while others were waited for, or after the last answer."""
        if "fork" in event:
            self._interrupts[(*event["strand"], event["fork"])] = event["at"]
        else:
            self._then.append(self._last)

    def ask(self, strand: Strand, wanted: Inquiry) -> Any:
        """Return the recorded answer, or raise the recorded error."""
        asked = {"kind": wanted.kind, **self._cover(encode_request(wanted.what))}
        event = self._take(strand, asked)
        if event is None:
            return self._go_without(strand, asked)
        strand.second = max(strand.second, event.get("at", 0.0))
        strand.took = event.get("took", 0.0)
        if event.get("unanswered") or any(event is one for one in self._then):
            # Only Ctrl-C leaves a call behind.
            raise self._stop()
        if "error" in event:
            error = make_error(event["error"])
            self._tell(wanted, event, error)
            raise self._stop() if isinstance(error, KeyboardInterrupt) else error
        answer = decode(event["answer"])
        self._tell(wanted, event, answer)
        return answer

    def _tell(self, wanted: Inquiry, event: Event, found: Any) -> None:
        """Tell of an answer when it is its turn, or after a while where another never comes."""
        if wanted.then is None:
            return
        with self._turn:
            self._turn.wait_for(lambda: self._calls[0] is event, timeout=_LONGEST_TURN)
            self._calls = [one for one in self._calls if one is not event]
            wanted.then(found)
            self._turn.notify_all()

    def _stop(self) -> KeyboardInterrupt:
        """Return the next Ctrl-C."""
        self._stops += 1
        return KeyboardInterrupt()

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
            strand.second += asked["seconds"]
            return None
        if self._stops < self._interrupts_left:
            # It came where nothing was asked, so it comes where nothing more is recorded.
            raise self._stop()
        if self._recording.end is None:
            raise Refused(f"The recording {self._recording.path} ends here: its run was killed.")
        told = describe(asked)
        self.missing.append(told)
        raise Refused(
            f"The recording {self._recording.path} has no answer to {told}.",
            next_step="replay it with the checkout that wrote it, commit "
            f"{self._recording.head.get('commit') or 'unknown'}; this one asks something else",
        )

    @property
    def _interrupts_left(self) -> int:
        """Return how often the recorded run was interrupted; it was killed where it has no end."""
        end = self._recording.end
        return int(end["interrupts"]) if end else 0

    def now(self, strand: Strand) -> datetime:
        """Return the time of the last answer that a strand knows of."""
        return self._began + timedelta(seconds=strand.second)

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide nothing: a recording holds no secrets."""

    def note_digest(self, content: bytes, digest: str) -> None:
        """Learn nothing: digests are those of what was recorded."""

    def note_interrupt(self, strand: Strand) -> None:
        """Write down nothing."""

    def was_interrupted(self, strand: Strand) -> bool:
        """Tell whether Ctrl-C came at this fork."""
        at = self._interrupts.get((*strand.place, strand.forks))
        if at is None:
            return False
        strand.second = max(strand.second, at)
        self._stops += 1
        return True


def _key(what: Mapping[str, Any]) -> str:
    return str(what["kind"]) if what["kind"] in _IN_ORDER else canonical(what)


def describe(asked: Mapping[str, Any]) -> str:
    """Return a request as text for people."""
    if asked["kind"] != "call":
        rest = {key: item for key, item in asked.items() if key != "kind"}
        return f"{asked['kind']} {canonical(rest)}"[:_SHOWN]
    told = canonical(asked["parameters"])
    return f"{asked['service']} {asked['operation']} in {asked['region']} with {told}"[:_SHOWN]
