"""Let regions go when it is their turn: the canary alone, the others when it is well."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lib.operators import Level
from lib.regions.desk import Desk
from lib.regions.plan import NotStarted, OnFailure
from lib.regions.report import went_wrong


class Turns:
    """Whose turn it is, and what Ctrl-C does to that.

    The first Ctrl-C starts no further region and goes on following those that are being
    changed; the second leaves everything to AWS.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk, self.plan, self.crew = desk, desk.plan, desk.crew
        self._presses = 0
        self._told = False

    @property
    def interrupted(self) -> bool:
        """Tell whether Ctrl-C was pressed since the regions' threads came to rest."""
        return self._presses > 0

    def waiting(self) -> list[str]:
        """Return the regions whose turn has not come."""
        return [
            region
            for region in self.desk.sites
            if region not in self.desk.started and self.crew.open_question(region)
        ]

    def _running(self) -> list[str]:
        return [region for region in self.desk.started if region not in self.crew.ended]

    def must_stop(self) -> bool:
        """Tell whether no further region may be started."""
        if self.interrupted:
            return True
        if self.plan.on_failure is OnFailure.CONTINUE:
            return False
        return any(map(went_wrong, list(self.crew.ended.values())))

    def take(self) -> None:
        """Let the canary go, and the others when it has ended well; return when none is left."""
        self._keep_on(lambda: bool(self.waiting() or self._running()), self._move_up)

    def until_ended(self) -> None:
        """Wait until every region's thread has ended."""
        ended = self.crew.ended
        self._keep_on(lambda: any(region not in ended for region in self.desk.sites))
        self.desk.drain()

    def _keep_on(
        self, is_unfinished: Callable[[], bool], act: Callable[[], None] = lambda: None
    ) -> None:
        """Act and show what threads report, until all is finished.

        Ctrl-C is only counted where it is caught: one that comes while the other is being
        answered must not escape.
        """
        while True:
            try:
                if not is_unfinished():
                    return
                self._heed_interrupts()
                act()
                self.desk.take()
            except KeyboardInterrupt:
                self._presses += 1

    def _move_up(self) -> None:
        """Let go as many regions as there is room for, or hold all back."""
        # Counted before looking at how others ended: a region that fails in between must not
        # make room for the next.
        room = self._room()
        if self.must_stop():
            self.hold_back(self.waiting())
        for region in self.waiting()[:room]:
            self._let_go(region)

    def _room(self) -> int:
        """Return how many more regions may change now: one until the canary has ended."""
        running, started = len(self._running()), len(self.desk.started)
        limit = (self.plan.concurrency or len(self.desk.sites)) if running < started else 1
        return max(limit - running, 0)

    def _let_go(self, region: str) -> None:
        line = self.desk.lines[region]
        line.started = self.desk.clock.monotonic()
        line.state = "starting"
        self.desk.started.append(region)
        self.crew.answer(region, True)
        self.desk.say(f"{region}: started.")

    def hold_back(self, regions: Sequence[str]) -> None:
        """Let regions end whose turn will not come; their change sets are discarded."""
        failed = [name for name, end in list(self.crew.ended.items()) if went_wrong(end)]
        why = f"{', '.join(failed)} failed" if failed else "the rollout was interrupted"
        for region in regions:
            self.desk.lines[region].state = "not started"
            held = NotStarted(f"not started, because {why}", next_step="run the same command again")
            self.crew.answer(region, held)

    def _heed_interrupts(self) -> None:
        """Stop starting at the first Ctrl-C; at the second leave everything to AWS."""
        if self._presses > 1:
            self.hold_back(self.waiting())
            self.crew.leave()
        if self.interrupted and not self._told:
            self._told = True
            running = ", ".join(self._running()) or "nothing"
            self.desk.say(
                f"Interrupted: no further region is started. Following {running}; "
                "press Ctrl-C again to leave, AWS goes on.",
                Level.WARNING,
            )
