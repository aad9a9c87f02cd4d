"""Run one piece of work per region side by side, for one person at one console.

Each piece has a thread of its own; everything that a thread wants to show or to ask goes
through the crew to the one thread that owns the console. So nothing is drawn by two at once,
and a question waits for its answer while the others go on.
"""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from lib import outside
from lib.operators import Expected, OnInterrupt, Operator, Progress
from lib.polling import Clock

#: How soon a sleeping thread notices that its person has left, seconds.
_NAP = 0.25

#: How long a replay waits for a thread, which does nothing but compute, seconds.
_LONGEST_REPLAY = 60.0


@dataclass(eq=False)
class Question:
    """What a thread asks, as `Operator.confirm` does, and waits for in `answers`.

    A queue, because putting something into it is one step that Ctrl-C cannot halve: a
    Future's waiter sleeps forever when its answer is set but the wake-up is interrupted.
    Whoever answers is the person's thread, which may be interrupted before it has noted that
    it did, and then answers again; only the first counts.
    """

    text: str
    word: str
    answers: queue.SimpleQueue[bool | BaseException] = field(default_factory=queue.SimpleQueue)
    is_answered: bool = False

    @property
    def is_ordinary(self) -> bool:
        """Tell whether a plain yes answers it; otherwise data is at stake."""
        return self.word == "y"


@dataclass(frozen=True)
class Ended:
    """What became of a piece of work: its result, or what ended it."""

    result: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, eq=False)
class _Mail:
    """What a thread reports, or what changes in what is known of it."""

    name: str
    progress: Progress | None = None
    change: Callable[[], None] | None = None


class Crew:
    """Threads that work for one person, each named after its region.

    With `foretells` the person is shown how long an operation usually takes. `questions` holds the
    latest question of each, `ended` who is done. Both are written by the threads and read by the
    person's thread at any time, so that an interrupted read loses nothing.
    """

    def __init__(self, clock: Clock, *, foretells: bool = False) -> None:
        self._foretells = foretells
        self.questions: dict[str, Question] = {}
        self.ended: dict[str, Ended] = {}
        self._mail: queue.SimpleQueue[_Mail] = queue.SimpleQueue()
        self._waiting: list[_Mail] = []
        self._is_taped = outside.is_taped()
        self._left = threading.Event()
        self._told: set[str] = set()
        self._names: set[str] = set()
        self._base = clock

    def operator(self, name: str) -> Operator:
        """Return the person as one thread sees them."""

        def confirm(text: str, word: str) -> bool:
            question = Question(text, word)
            self._tell(name, functools.partial(self._ask, name, question))
            self._stop_here(name)
            said = question.answers.get()
            if isinstance(said, BaseException):
                raise said
            return said

        return Operator(
            report=lambda progress: self._mail.put(_Mail(name, self._foretell(progress))),
            confirm=confirm,
            on_interrupt=lambda _can_cancel: OnInterrupt.DETACH,
        )

    def _foretell(self, progress: Progress) -> Progress:
        """Ask AWS in the region's own thread how long its operation usually takes.

        The person's thread has the other regions to show meanwhile.
        """
        if not isinstance(progress, Expected):
            return progress
        found = progress.usually() if self._foretells and progress.usually else None
        return replace(progress, usually=lambda: found)

    def _tell(self, name: str, change: Callable[[], None]) -> None:
        """Change what is known of a thread, and wake the person.

        At once, so that an interrupted read loses nothing; on a tape only when the mail is taken,
        so that a replay takes each change in at the same place.
        """
        if not self._is_taped:
            change()
        self._mail.put(_Mail(name, change=change if self._is_taped else None))

    def _ask(self, name: str, question: Question) -> None:
        self.questions[name] = question
        if self._is_taped and self._left.is_set():
            self.answer(name, KeyboardInterrupt())

    def _end(self, name: str, ended: Ended) -> None:
        self.ended[name] = ended

    def _stop_here(self, name: str) -> None:
        """Interrupt a thread once after `leave`; what it then does to clean up is left alone.

        To the workflow it is as if its own Ctrl-C had come.
        """
        if self._left.is_set() and name not in self._told:
            self._told.add(name)
            raise KeyboardInterrupt

    def clock(self, name: str) -> Clock:
        """Return a thread's clock, on which it is woken by `leave`."""

        def sleep(seconds: float) -> None:
            rest = seconds
            while rest > 0:
                self._stop_here(name)
                self._base.sleep(min(rest, _NAP))
                rest -= _NAP

        return Clock(self._base.monotonic, self._base.now, sleep)

    def start(self, name: str, work: Callable[[], Any]) -> None:
        """Start a piece of work in a thread of its own, which never holds up the process."""

        def run() -> None:
            try:
                ended = Ended(work())
            except BaseException as exc:
                # Whatever it is, it belongs to the person's thread, a bug of ours included.
                ended = Ended(error=exc)
            self._tell(name, functools.partial(self._end, name, ended))

        self.ended.pop(name, None)
        self._names.add(name)
        strands = outside.Strands()
        threading.Thread(target=strands.run, args=(0, run), name=name, daemon=True).start()

    def busy(self) -> list[str]:
        """Return those who have started and not ended."""
        return [name for name in self._names if name not in self.ended]

    def take(self, seconds: float) -> tuple[str, Progress] | None:
        """Return what a thread reports, or None when something else happened or nothing did."""
        mail = self._open(seconds)
        return None if mail is None or mail.progress is None else (mail.name, mail.progress)

    def take_rest(self) -> list[tuple[str, Progress]]:
        """Return everything that was reported and not taken."""
        rest: list[tuple[str, Progress]] = []
        while mail := self._open(0.0):
            if mail.progress is not None:
                rest.append((mail.name, mail.progress))
        return rest

    def _open(self, seconds: float) -> _Mail | None:
        """Return the next mail, of whose order a recording keeps whose it is."""
        here: list[_Mail] = []

        def wait() -> str | None:
            try:
                here.append(self._mail.get(timeout=seconds))
            except queue.Empty:
                return None
            return here[0].name

        name = outside.ask("mail", {}, wait)
        if name is None:
            return None
        mail = here[0] if here else self._find_mail(name)
        if mail.change:
            mail.change()
        return mail

    def _find_mail(self, name: str) -> _Mail:
        """Return a replayed thread's next mail, waiting until it has written it."""
        while True:
            for mail in self._waiting:
                if mail.name == name:
                    self._waiting.remove(mail)
                    return mail
            self._waiting.append(self._mail.get(timeout=_LONGEST_REPLAY))

    def open_question(self, name: str) -> Question | None:
        """Return the question that a thread waits for the answer to."""
        question = self.questions.get(name)
        return None if question is None or question.is_answered else question

    def answer(self, name: str, said: bool | BaseException) -> None:
        """Answer a thread's question, or make it raise an error where it asked."""
        question = self.open_question(name)
        if question is None:
            return
        question.answers.put(said)
        question.is_answered = True

    def leave(self) -> None:
        """Make every thread stop waiting, as Ctrl-C would; AWS goes on with what it does."""
        self._left.set()
        for name in list(self.questions):
            if self.open_question(name):
                self._told.add(name)
                self.answer(name, KeyboardInterrupt())
