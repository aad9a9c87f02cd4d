"""Keep count of an operation that is followed, and say how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lib.drawing import clean, draw_elapsed
from lib.operators import ResourceProgress

if TYPE_CHECKING:
    from rich.tree import Tree


@dataclass
class Board:
    """What is known of one operation: what it will touch, what of it is done, what is running.

    `now` counts seconds. `usually` is how many such an operation takes, None where none is
    known. `running` has when each path that is under way began.
    """

    now: Callable[[], float]
    expected: frozenset[str] = frozenset()
    usually: float | None = None
    began: float | None = None
    done: set[str] = field(default_factory=set)
    running: dict[str, tuple[str, float]] = field(default_factory=dict)
    undoing: bool = False

    def note(self, event: ResourceProgress) -> None:
        """Take in one event."""
        # An event is seen some time after it happened, and who joins late sees many at once.
        began = self.now() - event.elapsed
        self.began = began if self.began is None else min(self.began, began)
        if not event.path:
            self.undoing = self.undoing or "ROLLBACK" in event.status
        elif event.status.endswith("_IN_PROGRESS"):
            _, since = self.running.get(event.path, ("", self.now()))
            verb = event.status.removesuffix("_IN_PROGRESS").lower().replace("_", " ")
            self.running[event.path] = verb, since
        else:
            self.running.pop(event.path, None)
            if not event.status.endswith("_FAILED"):
                self.done.add(event.path)

    def copy(self) -> Board:
        """Return it as it is now, to be drawn: what comes next is drawn when that is complete."""
        return replace(self, done=set(self.done), running=dict(self.running))

    def tell(self) -> str:
        """Return how far it is, how long it has taken, and how long it usually takes."""
        done = len(self.done & self.expected) if self.expected else len(self.done)
        counted = f"{done} of {len(self.expected)} resources"
        if self.undoing:
            # What is taken back is done once more, so that a count says nothing.
            counted = "rolling back"
        elif not self.expected:
            counted = f"{done} resources done"
        began = self.now() if self.began is None else self.began
        usual = f"usually {draw_elapsed(self.usually)}" if self.usually else ""
        return " · ".join(filter(None, (counted, draw_elapsed(self.now() - began), usual)))

    def __rich__(self) -> Tree:
        """Return how far it is and, below, what is under way, in the tree of stacks."""
        from rich.text import Text
        from rich.tree import Tree

        tree = Tree(Text(self.tell(), style="bold"), guide_style="dim")
        nodes = {"": tree}
        paths = set(self.running) | {
            path[:place] for path in self.running for place, char in enumerate(path) if char == "/"
        }
        for path in sorted(paths):
            above, _, name = path.rpartition("/")
            label = Text(clean(name), no_wrap=True, overflow="ellipsis")
            if path in self.running:
                verb, since = self.running[path]
                label.append(f"  {verb} {draw_elapsed(self.now() - since)}", style="dim")
            nodes[path] = nodes[above].add(label)
        return tree
