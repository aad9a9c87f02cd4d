"""Keep count of an operation that is followed, and say how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from lib.drawing import draw_elapsed
from lib.operators import ResourceProgress

#: What is listed of all that is under way at once; the rest is counted.
_LISTED_AT_MOST = 6


@dataclass
class Board:
    """What is known of one operation: what it will touch, what of it is done, what is running."""

    expected: frozenset[str] = frozenset()
    done: set[str] = field(default_factory=set)
    running: dict[str, ResourceProgress] = field(default_factory=dict)
    undoing: bool = False
    elapsed: float = 0.0

    def note(self, event: ResourceProgress) -> None:
        """Take in one event."""
        self.elapsed = max(self.elapsed, event.elapsed)
        if not event.path:
            self.undoing = self.undoing or "ROLLBACK" in event.status
        elif event.status.endswith("_IN_PROGRESS"):
            self.running[event.path] = event
        else:
            self.running.pop(event.path, None)
            if not event.status.endswith("_FAILED"):
                self.done.add(event.path)

    def draw(self) -> list[str]:
        """Return how far it is, then a line for each resource under way."""
        done = len(self.done & self.expected) if self.expected else len(self.done)
        counted = f"{done} of {len(self.expected)} resources" if self.expected else ""
        if self.undoing:
            # What is taken back is done once more, so that a count says nothing.
            counted = "rolling back"
        elif not counted:
            counted = f"{done} resources done"
        shown = list(self.running.values())[-_LISTED_AT_MOST:]
        more = len(self.running) - len(shown)
        lines = [f"{'':8}{event.status:<20} {event.path}" for event in shown]
        return [
            f"{counted} · {draw_elapsed(self.elapsed)}",
            *lines,
            *([f"{'':8}and {more} more"] if more else []),
        ]
