"""Write down what a run is told from outside, while it is told, scrubbed."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, TextIO

from lib.outside import Inquiry, Strand
from lib.recordings.checkout import Checkout
from lib.recordings.codec import decode, describe_error, encode, encode_request, without_binary
from lib.recordings.recordings import FORMAT
from lib.recordings.scrubbing import Scrubber

#: How much of a run is held in memory, characters of JSON.
HELD_AT_MOST = 32_000_000


class Recorder:
    """The tape that writes.

    Each line is written when its answer has come, so that a run that is killed loses its end and
    no more. What a run is given is what was written, before it is scrubbed: a replay is then given
    the same kinds of values.

    Without a stream it holds in memory what it would have written, as it was, until `keep` gives
    it one; only then is anything scrubbed, with every secret that was learnt by then.
    """

    replays = False

    def __init__(
        self,
        stream: TextIO | None,
        checkout: Checkout,
        began: datetime,
        monotonic: Callable[[], float] = time.monotonic,
        held_at_most: int = HELD_AT_MOST,
    ) -> None:
        """Write to a stream from a time on, in UTC; `held_at_most` is in characters of JSON."""
        self._stream = stream
        self._held: list[str | tuple[bytes, str]] = []
        self._room = held_at_most
        self._calls = 0
        self._exit_code: int | None = None
        self._checkout = checkout
        self._began = began
        self._monotonic = monotonic
        self._zero = monotonic()
        self._scrubber = Scrubber()
        self._open: dict[int, dict[str, Any]] = {}
        self._is_writing = False
        self._must_stop = False
        self._interrupts = 0
        self._shown: dict[str, list[str]] = {"out": [], "err": []}
        self._kept: dict[str, str] = {}
        self._lock = threading.RLock()

    def begin(self, head: Mapping[str, Any], hidden: Iterable[str]) -> None:
        """Write what is run; `hidden` are words that the person wants nobody to read.

        What is only held learns the commit from `keep`.
        """
        self._scrubber.hide(hidden)
        secret = self._checkout.find_secret_names()
        self._scrubber.hide_named(secret)
        self._scrubber.hide(self._checkout.find_secrets(secret))
        self._checkout.listen()
        told = {"kind": "run", "format": FORMAT, "began": self._began.isoformat()}
        self._write({**told, **head, "names": self._checkout.list_names()})

    def ask(self, strand: Strand, asked: Inquiry) -> Any:
        """Ask the outside and write down what it answers."""
        began = self._monotonic()
        told = {"kind": asked.kind, "strand": list(strand.place)}
        event = {**told, **encode_request(asked.what)}
        self._open[id(event)] = event
        found: Any = None
        outcome: dict[str, Any] = {}
        try:
            found = asked.do()
            outcome = {"answer": encode(found)}
        except BaseException as exc:
            found, outcome = exc, {"error": describe_error(exc)}
            raise
        finally:
            ended = self._monotonic()
            strand.took = round(ended - began, 6)
            strand.second = max(strand.second, round(ended - self._zero, 6))
            with self._undisturbed(strand), self._lock:
                self._open.pop(id(event), None)
                self._calls += asked.kind == "call"
                self._write_files()
                self._write({**event, "at": strand.second, "took": strand.took, **outcome})
                if asked.then:
                    asked.then(found)
        return decode(outcome["answer"])

    @contextlib.contextmanager
    def _undisturbed(self, strand: Strand) -> Iterator[None]:
        """Put off Ctrl-C until something is written, and say that it came after that."""
        if strand.place:
            # Only the main thread is ever interrupted.
            yield
            return
        self._is_writing = True
        try:
            yield
        finally:
            self._is_writing = False
            if self._must_stop:
                self._must_stop = False
                self._write({"kind": "interrupt", "strand": [], "at": strand.second})
                raise KeyboardInterrupt

    def interrupt(self) -> bool:
        """Learn of Ctrl-C; tell whether it may interrupt now, and not once this has written."""
        self._interrupts += 1
        self._must_stop = self._is_writing
        return not self._is_writing

    def now(self, strand: Strand) -> datetime:
        """Return the time of the last answer that a strand knows of."""
        return self._began + timedelta(seconds=strand.second)

    def hide(self, secrets: Iterable[str]) -> None:
        """Keep values out from now on."""
        self._scrubber.hide(secrets)

    def note_digest(self, content: bytes, digest: str) -> None:
        """Have the digest of what is scrubbed stand where that of what it was stands."""
        if self._stream is None:
            self._hold((content, digest), len(content))
        else:
            self._scrubber.replace_digest(content, digest)

    def note_interrupt(self, strand: Strand) -> None:
        """Write down that Ctrl-C came while a strand waited for others."""
        strand.second = round(self._monotonic() - self._zero, 6)
        told = {"strand": list(strand.place), "at": strand.second, "fork": strand.forks}
        self._write({"kind": "interrupt", **told})

    def was_interrupted(self, _strand: Strand) -> bool:
        """Tell that nothing is repeated here."""
        return False

    def show(self, name: str, text: str) -> None:
        """Learn what was written to a stream, `out` or `err`."""
        if self._exit_code is None:
            self._shown[name].append(text)

    def seconds(self) -> float:
        """Return the time that has passed, for what is shown between two answers."""
        return self._monotonic() - self._zero

    @property
    def has_calls(self) -> bool:
        """Tell whether AWS was asked anything."""
        return self._calls > 0

    @property
    def is_whole(self) -> bool:
        """Tell whether everything that was to be held had room."""
        return self._room >= 0

    def end(self, exit_code: int) -> None:
        """Write what was still asked, the files whose secrets were learnt late, and the screens.

        What is only held ends here too, and learns nothing more.
        """
        self._exit_code = exit_code
        if self._stream is None:
            return
        for event in list(self._open.values()):
            self._write({**event, "unanswered": True})
        self._write_files(again=True)
        shown = {name: self._scrubber.screen("".join(all)) for name, all in self._shown.items()}
        told = {name: self._checkout.cover(text) for name, text in shown.items()}
        ended = {"exit_code": exit_code, "interrupts": self._interrupts}
        self._write({"kind": "end", **ended, **told})

    def keep(self, stream: TextIO, commit: str) -> None:
        """Write what was held, scrubbed, and its end; `commit` is what was checked out.

        It is gone through once before, to learn every secret: a digest that is written down was
        else taken of a file in which one of them still stood.
        """
        self._stream = stream
        held, self._held = self._held, []
        self._kept.clear()
        for one in held:
            if isinstance(one, str):
                self._scrubber.value(self._checkout.cover_values(json.loads(one)))
        for number, one in enumerate(held):
            if isinstance(one, tuple):
                self._scrubber.replace_digest(*one)
                continue
            event = json.loads(one)
            self._write({**event, "commit": commit} if number == 0 else event)
        self.end(self._exit_code or 0)

    def _hold(self, one: str | tuple[bytes, str], size: int) -> None:
        """Hold what would be written, or nothing at all once that has become too much."""
        with self._lock:
            self._room -= size
            if self.is_whole:
                self._held.append(one)
            else:
                self._held.clear()

    def _write_files(self, *, again: bool = False) -> None:
        """Write the files that were read since; `again` those that would be scrubbed differently.

        A later line about a file counts.
        """
        with self._lock:
            for name, content in self._checkout.list_read(known=() if again else self._kept):
                if self._stream is None:
                    self._kept[name] = ""
                    continue
                event = self._scrubber.value(encode_request({"content": content}))
                text = json.dumps(event)
                if self._kept.get(name) != text:
                    self._kept[name] = text
                    self._write({"kind": "file", "path": name, **event})

    def _write(self, event: Mapping[str, Any]) -> None:
        if self._stream is None:
            text = json.dumps(without_binary(event), ensure_ascii=False, default=str)
            self._hold(text, len(text))
            return
        covered = self._checkout.cover_values(event)
        line = json.dumps(
            self._scrubber.value(without_binary(covered)), ensure_ascii=False, default=str
        )
        with self._lock:
            self._stream.write(f"{line}\n")
            self._stream.flush()


class Listener:
    """A stream that also tells the recorder what is written to it."""

    def __init__(self, stream: TextIO, tell: Callable[[str], None]) -> None:
        self._stream = stream
        self._tell = tell

    def __getattr__(self, name: str) -> Any:
        """Return what else the stream has, its encoding for example."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write and tell."""
        self._tell(text)
        return self._stream.write(text)
