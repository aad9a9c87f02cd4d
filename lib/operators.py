"""Describe what a workflow may say to, and ask of, the person who started it.

lib never prints. A workflow is given an `Operator`: three plain callables, filled in by
the tasks for a terminal, for JSON or for CI, and by tests with lists.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


class Level(enum.Enum):
    """How much a line of progress matters."""

    INFO = "info"
    DONE = "done"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Note:
    """One sentence about what is going on."""

    text: str
    level: Level = Level.INFO


@dataclass(frozen=True)
class Listing:
    """A table to show before a question is asked."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Tone(enum.Enum):
    """What a line of a drawing is about; it reads the same without any colour."""

    PLAIN = "plain"
    TITLE = "title"
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    ASIDE = "aside"


@dataclass(frozen=True)
class DrawnLine:
    """A line of a drawing."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True)
class Drawing:
    """Something to show that is laid out for whoever looks at it.

    `draw(width, unfold)` returns its lines, none wider than `width`; `unfold` asks for all that
    is otherwise counted.
    """

    draw: Callable[[int, bool], Sequence[DrawnLine]]


@dataclass(frozen=True)
class ResourceProgress:
    """One stack event: what happened to which resource.

    `path` names the resource from the root (`DatabaseStack/JobsTable`), `elapsed` counts
    seconds since the operation's first event.
    """

    time: datetime
    path: str
    type: str
    status: str
    reason: str
    elapsed: float


@dataclass(frozen=True)
class Expected:
    """What an operation that begins will touch: the paths of resources, none where unknown.

    `usually` returns the seconds that such an operation takes, None where nothing is known. It
    asks AWS, so that only who shows it calls it.
    """

    paths: frozenset[str]
    usually: Callable[[], float | None] | None = None


@dataclass(frozen=True)
class Rested:
    """The operation that was followed has ended, or is left to itself."""


Progress = Note | Listing | Drawing | Expected | Rested | ResourceProgress


class OnInterrupt(enum.Enum):
    """What to do about a running operation after Ctrl-C."""

    DETACH = "detach"
    WAIT = "wait"
    CANCEL = "cancel"


@dataclass(frozen=True)
class Operator:
    """The ways to reach the person at the other end.

    `report(progress)` shows progress. `confirm(question, word)` is true when the operator
    agrees by typing `word` ("y" for an ordinary question, a resource's path where data is
    at stake); it raises `lib.errors.Refused` where nobody can be asked.
    `on_interrupt(can_cancel)` says how to go on after Ctrl-C.
    """

    report: Callable[[Progress], None]
    confirm: Callable[[str, str], bool]
    on_interrupt: Callable[[bool], OnInterrupt]


@dataclass(frozen=True)
class Answer:
    """What a task has to say: a document for programs, text for people, an exit code.

    `summary` is Markdown for the page that CI shows beside a job, "" for none.
    """

    document: Any
    text: str = ""
    exit_code: int = 0
    summary: str = ""
