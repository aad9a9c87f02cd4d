"""Sit between the threads of many regions and one person: what is shown, asked and logged."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from lib.access import Access
from lib.data import consent
from lib.drawing import draw_elapsed, draw_event, draw_report
from lib.errors import DeploymentError, Refused
from lib.operators import (
    Drawing,
    Expected,
    Level,
    Listing,
    Note,
    Operator,
    Progress,
    ResourceProgress,
    Rested,
)
from lib.polling import Clock
from lib.regions.crews import Crew, Ended
from lib.regions.plan import NotStarted, Plan, Site, require_one_release
from lib.regions.report import combine, explain_end, outcome_in
from lib.releases import turns
from lib.templates.templates import STACK_TYPE

#: What others are told that a region's lock is held for.
_TASK = "deploy-multi-region"

#: How often the live view moves on when nothing is reported, seconds.
TICK = 0.5

#: The longest name of a region in use, ap-southeast-1.
_NAME_WIDTH = 14

#: How long an interrupted run waits for its threads to discard their change sets, seconds.
_LONGEST_CLEANUP = 15.0


@dataclass
class BoardLine:
    """What the live view shows of one region; it is cut where the terminal ends."""

    state: str = "waiting"
    total: int = 0
    started: float = 0.0
    ended: float | None = None
    usually: float | None = None
    resources: dict[str, str] = field(default_factory=dict)

    def expect(self, expected: Expected) -> None:
        """Take in what an operation will touch, and how long such a one usually takes."""
        self.total = self.total or len(expected.paths)
        self.usually = expected.usually() if expected.usually else None

    def note(self, event: ResourceProgress) -> None:
        """Take in one event of the stack or of a resource in it."""
        if event.type != STACK_TYPE:
            self.resources[event.path] = event.status
        elif not event.path:
            self.state = event.status

    def seconds(self, now: float) -> float:
        """Return for how long the region has been, or was, changed."""
        return (self.ended or now) - self.started if self.started else 0.0

    def draw(self, region: str, now: float) -> list[str]:
        """Return the line, and below it what is under way in the region, while anything is."""
        running = [p for p, status in self.resources.items() if status.endswith("_IN_PROGRESS")]
        below = [f"{'':<{_NAME_WIDTH}}  {', '.join(running)}"] if running and not self.ended else []
        return [self._tell(region, now), *below]

    def _tell(self, region: str, now: float) -> str:
        """Return the line: region, state, resources that are done, time."""
        done = sum(status.endswith("_COMPLETE") for status in self.resources.values())
        known = max(self.total, len(self.resources))
        counted = f"{done}/{known} resources" if known else ""
        elapsed = draw_elapsed(self.seconds(now)) if self.started else ""
        line = f"{region:<{_NAME_WIDTH}}  {self.state:<24}  {counted:<16}  {elapsed:>5}"
        # What is taken back takes another time than what goes well.
        if self.usually and self.started and not self.ended and "ROLLBACK" not in self.state:
            line += f"  usually {draw_elapsed(self.usually)}"
        return line.rstrip()


class Desk:
    """The person's side of many regions, in the thread that owns the console.

    Everything it knows of the others comes through the crew. `draw` shows one line per
    region, over and over, where there is a terminal. As a context it lets no thread go on to
    change a region when an error ends it early, and releases every region's lock at its end.
    """

    def __init__(
        self,
        sites: Sequence[Site],
        operator: Operator,
        plan: Plan,
        clock: Clock,
        draw: Callable[[Sequence[str]], None] | None,
    ) -> None:
        self.sites = {site.job.region: site for site in sites}
        self.operator = operator
        self.plan = plan
        self.clock = clock
        self.crew = Crew(clock, foretells=draw is not None)
        self.access = {
            region: Access(site.aws, self.crew.operator(region), self.crew.clock(region))
            for region, site in self.sites.items()
        }
        self.release = require_one_release(sites)
        self.lines = {region: BoardLine() for region in self.sites}
        self.started: list[str] = []
        self._draw = draw
        self._log_folder = plan.log_folder
        self._turns = contextlib.ExitStack()

    def __enter__(self) -> Self:
        for region, site in self.sites.items():
            turn = turns.take_turn(site.job, self.access[region], _TASK, early=False)
            self.access[region] = self._turns.enter_context(turn)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._turns:
            if kind is not None:
                self._abandon()
        self._show_rest()
        self.operator.report(Rested())

    def _abandon(self) -> None:
        """Stop every thread, giving those with a change set the time to discard it."""
        self.crew.leave()
        started = self.clock.monotonic()
        while self.crew.busy() and self.clock.monotonic() - started < _LONGEST_CLEANUP:
            self.crew.take(TICK)

    # --- the threads

    def work_on(self, names: Sequence[str], work: Callable[[str], Any]) -> dict[str, Ended]:
        """Do one thing in several regions at once and return how each ended."""
        for name in names:
            self.crew.start(name, functools.partial(work, name))
        while any(name not in self.crew.ended for name in names):
            self.take()
        self.drain()
        return {name: self.crew.ended[name] for name in names}

    def work_everywhere(self, work: Callable[[str], Any], title: str) -> dict[str, Any]:
        """Do one thing in every region; return the results, or raise what stops any of them."""
        ended = self.work_on(list(self.sites), work)
        self.raise_all({name: end.error for name, end in ended.items()}, title)
        return {name: end.result for name, end in ended.items()}

    def is_working(self, region: str) -> bool:
        """Tell whether a region's thread neither waits for an answer nor has ended."""
        return region not in self.crew.ended and self.crew.open_question(region) is None

    def ask_about_data(self, region: str) -> None:
        """Ask for one consent that no flag gave; it is given by typing region and path."""
        question = self.crew.open_question(region)
        if question is None:
            return
        prefix = consent.prefix_of(region)
        said: bool | BaseException
        try:
            said = self.operator.confirm(f"{prefix} {question.text}", f"{prefix}{question.word}")
        except Refused as exc:
            said = exc
        self.crew.answer(region, said)

    def raise_all(self, errors: Mapping[str, BaseException | None], title: str) -> None:
        """Raise one error for everything that stops any region; a bug is raised as it is."""
        explained: dict[str, DeploymentError] = {}
        for region, error in errors.items():
            if error is None:
                continue
            ours = explain_end(error, self.sites[region].job)
            if ours is None:
                raise error
            explained[region] = ours
        if explained:
            raise combine(explained, title)

    # --- what is shown

    def say(self, text: str, level: Level = Level.INFO) -> None:
        """Report a sentence about all regions."""
        self.operator.report(Note(text, level))

    def take(self) -> None:
        """Show one thing that a thread reports, refuse what nobody may ask any more, redraw."""
        self._show(self.crew.take(TICK))
        for access in self.access.values():
            # A region that waits for its turn makes no pauses, in which its lock would be renewed.
            access.clock.sleep(0)
        for region in self.started:
            question = self.crew.open_question(region)
            if question:
                too_late = Refused(
                    f"{region} is no longer as it was shown, so it was not changed further: "
                    f"{question.text}",
                    next_step="run the same command again to see what would change now",
                )
                self.crew.answer(region, too_late)
        self._redraw()

    def drain(self) -> None:
        """Show what is left in the mailbox, and where every region stands."""
        self._show_rest()
        self._redraw()

    def _show_rest(self) -> None:
        for said in self.crew.take_rest():
            self._show(said)

    def _show(self, said: tuple[str, Progress] | None) -> None:
        """Show what a region reports: its line on a terminal, prefixed lines elsewhere."""
        if said is None:
            return
        region, progress = said
        if isinstance(progress, Expected):
            self.lines[region].expect(progress)
        if isinstance(progress, Expected | Rested):
            return
        self._log(region, progress)
        if isinstance(progress, ResourceProgress):
            self.lines[region].note(progress)
            failed = progress.status.endswith("_FAILED")
            if failed or self._draw is None:
                level = Level.ERROR if failed else Level.INFO
                self._prefix(region, draw_event(progress), level)
        elif isinstance(progress, Note):
            self._prefix(region, progress.text, progress.level)
        else:
            self.operator.report(progress)

    def _prefix(self, region: str, text: str, level: Level) -> None:
        self.say(f"{region:<{_NAME_WIDTH}} | {text}", level)

    def _redraw(self) -> None:
        """Draw one line per region, where there is something to draw on."""
        if self._draw is None or not self.started:
            return
        now = self.clock.monotonic()
        for region, line in self.lines.items():
            if region in self.crew.ended and line.ended is None:
                line.ended = now
                line.state = _state_after(self.crew.ended[region])
        shown = [line.draw(region, now) for region, line in self.lines.items()]
        self._draw([text for lines in shown for text in lines])

    def _log(self, region: str, progress: Note | Listing | Drawing | ResourceProgress) -> None:
        folder = self._log_folder
        if folder is None:
            return
        text = f"{self.clock.now():%Y-%m-%dT%H:%M:%SZ} {as_text(progress)}\n"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"{region}.log").open("a", encoding="utf-8") as log:
                log.write(text)
        except OSError as exc:
            # A full disk must not end a rollout.
            self._log_folder = None
            self.say(f"No log is written any more: {exc}.", Level.WARNING)


def _state_after(end: Ended) -> str:
    """Return what the live view shows of a region that has ended."""
    outcome = outcome_in(end)
    if outcome:
        return f"{outcome.action} {outcome.status}".upper()
    return "NOT STARTED" if isinstance(end.error, NotStarted) else "FAILED"


def as_text(progress: Note | Listing | Drawing | ResourceProgress) -> str:
    """Return anything that is reported as text for a log."""
    if isinstance(progress, Note):
        return f"{progress.level.value}: {progress.text}"
    if isinstance(progress, ResourceProgress):
        return draw_event(progress)
    return draw_report(progress, unfold=True)
