"""Remember, as plain data, what was done: what is in checkouts, releases, plans and tables."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.sequences.application import Application


@dataclass
class Plan:
    """A plan that was written into a file."""

    file: str
    document: dict[str, Any]
    application: Application
    used: bool = False


@dataclass
class Model:
    """What should be there, by all that was done so far."""

    checkouts: dict[str, Application] = field(default_factory=dict)
    #: What the templates of a release say, by the release's name; None of a derived one, which
    #: has names of tables in them and no parameters.
    releases: dict[str, Application | None] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    #: Every item that was written and not deleted by its owner.
    written: set[str] = field(default_factory=set)
    count: int = 0
    #: Objects that somebody overwrote or deleted, by bucket and key.
    spoilt: set[tuple[str, str]] = field(default_factory=set)
    #: Whether somebody changed or deleted a resource by hand.
    is_drifted: bool = False
    #: Whether something cannot be done at the moment; then tasks may fail.
    is_stubborn: bool = False
    #: The objects of each release, by bucket and release, from when it was published.
    files: dict[tuple[str, str], set[tuple[str, str]]] = field(default_factory=dict)
    #: Locks of somebody on a third machine by region: what they say, and until when they hold.
    locks: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    #: What a run that was cut off may have left.
    leftovers: set[str] = field(default_factory=set)

    def copy(self) -> Model:
        """Return another one that remembers the same."""
        return copy.deepcopy(self)


@dataclass(frozen=True)
class Step:
    """One step: a task, an edit, or something that happens in the world.

    `words` are a task's arguments, or what else happens and to what. `fault` comes at the call
    `at` of a task (a number, the first of an operation, "change N"), or the step `meanwhile` does.
    `again` runs a task that succeeded once more.
    """

    kind: str
    words: tuple[str, ...]
    who: str = "first"
    fault: str = ""
    at: int | str = 0
    meanwhile: Step | None = None
    again: bool = False


def step_from(document: dict[str, Any]) -> Step:
    """Read a step as `as_plain` wrote it."""
    inner = document.get("meanwhile")
    given = {**document, "words": tuple(document["words"])}
    return Step(**{**given, "meanwhile": step_from(inner) if inner else None})


def as_plain(step: Step) -> dict[str, Any]:
    """Return a step as JSON has it, without what is not said."""
    found: dict[str, Any] = {"kind": step.kind, "words": list(step.words)}
    if step.who != "first":
        found["who"] = step.who
    if step.fault:
        found["fault"] = step.fault
    if step.at:
        found["at"] = step.at
    if step.again:
        found["again"] = True
    if step.meanwhile:
        found["meanwhile"] = as_plain(step.meanwhile)
    return found


@dataclass(frozen=True)
class Done:
    """What a step is judged by: what was said, and what there was before and after."""

    step: Step
    words: tuple[str, ...]
    ended: Any
    before: Any
    after: Any
    application: Application
    checkout: Path
    #: Every manifest that there was before, by bucket and key.
    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    #: When the task ended, in seconds since the sequence began.
    at: float = 0.0

    @property
    def task(self) -> str:
        """Return the task's name."""
        return self.words[0]

    @property
    def region(self) -> str:
        """Return the region that the task is told to go to."""
        return self.flag("--region") or "us-east-1"

    def flag(self, name: str) -> str:
        """Return a flag's value, "" without."""
        return self.words[self.words.index(name) + 1] if name in self.words else ""

    @property
    def is_disturbed(self) -> bool:
        """Tell whether a fault, or somebody else, met a call."""
        return bool(self.ended.struck)
