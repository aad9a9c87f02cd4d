"""A rehearsal of a rollout: regions do what a test says, and a person answers as told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from lib.checks.preflight import Look
from lib.deploy.outcomes import Outcome
from lib.errors import Declined
from lib.inputs.jobs import Options
from lib.operators import OnInterrupt, Operator, Progress
from lib.polling import Clock
from lib.regions import desk as desks
from lib.regions import rollout
from lib.regions.desk import Desk
from lib.regions.plan import Plan, Rollout, Site
from lib.regions.work import Work
from lib.releases.releases import Published
from lib.stacks.statuses import Decision, Move
from lib.templates.resolution import Tree
from tests.support import factories
from tests.support.aws_fakes import START

THREE = ("us-east-1", "us-west-2", "eu-west-1")


Act = Callable[["Rehearsal", str], Outcome]


def sites(names: Sequence[str] = THREE, **changes: Any) -> list[Site]:
    return [
        Site(factories.job(region=name, flags=f"--region {name}", **changes), None)  # type: ignore[arg-type]  # a rehearsal calls nothing
        for name in names
    ]


class Person:
    """Somebody who notes what is shown, and answers as told."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.seen: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.interrupt_at: list[str] = []

    def operator(self) -> Operator:
        return Operator(self._report, self._confirm, lambda _can: OnInterrupt.DETACH)

    @property
    def words(self) -> list[str]:
        """Return what had to be typed to agree."""
        return [word for _, word in self.asked]

    def _report(self, progress: Progress) -> None:
        text = desks.as_text(progress)
        self.seen.append(text)
        if self.interrupt_at and self.interrupt_at[0] in text:
            self.interrupt_at.pop(0)
            raise KeyboardInterrupt

    def _confirm(self, question: str, word: str) -> bool:
        self.asked.append((question, word))
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return answer


def create(desk: Rehearsal, region: str) -> Outcome:
    """Wait for the turn, then come up."""
    if not desk.access[region].operator.confirm(f"Create in {region}?", "y"):
        raise Declined(f"{region} declined")
    return factories.outcome("created", region=region, outputs={"Url": f"https://{region}"})


def fail(desk: Rehearsal, region: str) -> Outcome:
    create(desk, region)
    return factories.outcome("failed", region=region, status="ROLLBACK_COMPLETE")


def stay(_desk: Rehearsal, region: str) -> Outcome:
    return factories.outcome("unchanged", region=region)


def look_at(region: str, move: Move = Move.CREATE, **given: Any) -> Look:
    return Look(
        region, factories.ACCOUNT, given.get("stack"), Decision(move), Tree((), {}, {}), (), ()
    )


class Rehearsal(Work):
    """The work of regions that do what a test says instead of asking AWS."""

    def __init__(
        self,
        person: Person,
        acts: dict[str, Act],
        plan: Plan | None = None,
        *,
        move: Move = Move.CREATE,
        draw: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        operator = person.operator()
        self.desk = Desk(sites(tuple(acts)), operator, plan or plan_of(), _CLOCK, draw)
        super().__init__(self.desk)
        self.crew = self.desk.crew
        self.acts, self.move = acts, move
        self.most = 0
        self.now: set[str] = set()
        self.order: list[str] = []
        self._lock = threading.Lock()

    def look(self, region: str) -> Look:
        return look_at(region, self.move)

    def list_new(self, _region: str) -> list[str]:
        return []

    def publish(self, region: str) -> Any:
        return self.release, Published("bucket", region, self.release.name, 0, 1, "https://master")

    def claim(self, _region: str) -> bool:
        return False

    def deploy(self, region: str, _look: Look, _published: Published) -> Outcome:
        return self.acts[region](self, region)

    def run(self) -> Rollout:
        return rollout.carry_out(self.desk, self)

    def working(self, region: str, seconds: float = 0.05) -> None:
        """Count who works at the same time."""
        with self._lock:
            self.now.add(region)
            self.order.append(region)
            self.most = max(self.most, len(self.now))
        threading.Event().wait(seconds)
        with self._lock:
            self.now.discard(region)


_CLOCK = Clock(now=lambda: START)


def plan_of(**given: Any) -> Plan:
    return Plan(Options(), **given)


def actions(rollout: Rollout) -> list[str]:
    return [outcome.action for outcome in rollout.outcomes]
