"""Tell a thread of a recorded run what time it is: that of the last answer that it can know of."""

from __future__ import annotations

import threading

from lib.outside import Place


class Times:
    """The second of each strand's last answer."""

    def __init__(self) -> None:
        self._last: dict[Place, float] = {}
        self._lock = threading.Lock()

    def note(self, place: Place, second: float) -> None:
        """Learn that a strand had an answer; its time never runs back."""
        with self._lock:
            self._last[place] = max(self._last.get(place, 0.0), second)

    def at(self, place: Place) -> float:
        """Return the second that a strand is at.

        It knows of its own answers, of those before it was forked, and of those of what it forked
        itself, which it waits for. It knows nothing of its siblings': they may come in any order.
        """
        with self._lock:
            known = (second for other, second in self._last.items() if _knows(place, other))
            return max(known, default=0.0)


def _knows(place: Place, other: Place) -> bool:
    """Tell whether a strand has seen the end of what another one did, or is it itself."""
    for position, (mine, its) in enumerate(zip(place, other, strict=False)):
        if mine != its:
            # Even positions count forks: an earlier fork has ended. Odd ones count siblings.
            return position % 2 == 0 and its < mine
    return True
