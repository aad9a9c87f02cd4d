"""Play steps one after the other, and hold what each leaves against what must hold.

A sequence knows everything that it did, and prints it as lines that a person can type. It is
driven by the state machine, by a regression's file, and by nothing else.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.integration.conftest import Clone
from tests.sequences import checks, view, world_events
from tests.sequences.application import REGIONS, Application, describe_edit
from tests.sequences.model import Done, Model, Plan, Step
from tests.sequences.player import BY_NAME, CHANGE, KILLED, Ended, Player, passes
from tests.sequences.world import World

WHO = ("first", "second")
STACK = checks.STACK

#: What stands for a name that is known only while a sequence is played.
_BLANK = re.compile(r"\{([a-z]+):(\d+)\}")


class Finding(AssertionError):
    """Something that must hold does not."""


class Stage:
    """What all sequences of a process share: the world, who plays, two checkouts, beginnings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World()
        self.player = Player(self.world, folder)
        self.steps = 0
        self.faults: dict[str, int] = {}
        self.tasks: dict[str, int] = {}
        self.codes: dict[str, int] = {}
        self._beginnings: dict[str, tuple[Any, Model]] = {}
        for who in WHO:
            _make_checkout(folder / who)

    def forget(self) -> None:
        """Make the beginnings anew, as after a change of the product."""
        self._beginnings.clear()

    def begin(self, name: str) -> Played:
        """Return a sequence whose first steps, those of a beginning, are done."""
        steps = BEGINNINGS[name]
        if name not in self._beginnings:
            self.world.reset()
            sequence = Played(self, Model({who: Application() for who in WHO}))
            sequence.write_checkouts()
            for step in steps:
                sequence.play(step)
            self._beginnings[name] = (self.world.keep(), sequence.model)
        kept, model = self._beginnings[name]
        self.world.bring_back(kept)
        sequence = Played(self, model.copy(), list(steps))
        sequence.write_checkouts()
        return sequence


def _make_checkout(folder: Path) -> None:
    Clone(folder)
    for name in ("cloudformation", "parameters"):
        for path in (folder / "infrastructure" / name).iterdir():
            path.unlink()
    regions = {name: {"VPCCidr": "10.0.0.0/16", "BedrockModels": []} for name in REGIONS}
    (folder / "infrastructure" / "regions.json").write_text(json.dumps(regions))


class Played:
    """Steps that were played, and what is known of the world by them."""

    def __init__(self, stage: Stage, model: Model, played: list[Step] | None = None) -> None:
        self.stage, self.model = stage, model
        self.played: list[Step] = played or []
        #: What became of the last task.
        self.ended: Ended | None = None
        self._said: list[str] = []

    def write_checkouts(self) -> None:
        """Write both checkouts as the model has them, and the plans that were written."""
        for who in WHO:
            folder = self.stage.folder / who
            self.model.checkouts[who].write(folder)
            for path in folder.glob("*.json"):
                path.unlink()
            for plan in self.model.plans.values():
                (folder / plan.file).write_text(json.dumps(plan.document, indent=2))

    # --- one step

    def play(self, step: Step) -> Ended | None:
        """Do a step; raise `Finding` with the whole script where something does not hold."""
        self.played.append(step)
        self.stage.steps += 1
        if step.kind == "edit":
            application = self.model.checkouts[step.who]
            if application.edit(*step.words):
                application.write(self.stage.folder / step.who)
            return None
        if step.kind == "world":
            world_events.happen(self.stage.world, self.model, *step.words)
            return None
        words = tuple(self.fill_in(word) for word in step.words)
        expected = self._rehearse(step, words)
        done = self._run(step, words)
        self._judge(done)
        if expected is not None and done.is_disturbed and done.ended.code != expected:
            code = done.ended.code
            self._fail([f"exit code {code}, and without the fault, which passes, {expected}"])
        if step.again and done.ended.code == 0 and not done.is_disturbed:
            self._judge_again(step, words)
        return done.ended

    def _run(self, step: Step, words: tuple[str, ...]) -> Done:
        """Run a task, with all that comes between."""
        application = self.model.checkouts[step.who].copy()
        checkout = self.stage.folder / step.who
        before, manifests = view.look(), _manifests()

        def meanwhile() -> None:
            if step.meanwhile:
                self._run_meanwhile(step.meanwhile)

        ended = self.stage.player.run(
            checkout, words, fault=step.fault, at=step.at,
            meanwhile=meanwhile if step.meanwhile else None,
        )  # fmt: skip
        self.ended, at = ended, self.stage.world.clock.passed
        self.stage.world.settle()
        self._count(words, step, ended)
        self._remember(step, words, ended, application)
        after = view.look()
        return Done(step, words, ended, before, after, application, checkout, manifests, at)

    def _rehearse(self, step: Step, words: tuple[str, ...]) -> int | None:
        """Return how a task ends without its fault, None where the fault may change that.

        A fault that passes must go unnoticed. The rehearsal leaves nothing behind.
        """
        fault = BY_NAME.get(step.fault)
        if fault is None or not passes(fault):
            return None
        world, kept, model = self.stage.world, self.stage.world.keep(), self.model.copy()
        ended = self._run(Step(step.kind, step.words, step.who), words).ended
        world.bring_back(kept)
        self.model = model
        self.write_checkouts()
        return ended.code

    def _run_meanwhile(self, step: Step) -> None:
        """Do what somebody else does at a call of a task."""
        if step.kind == "world":
            world_events.happen(self.stage.world, self.model, *step.words)
            return
        words = tuple(self.fill_in(word) for word in step.words)
        application = self.model.checkouts[step.who].copy()
        checkout = self.stage.folder / step.who
        ended = self.stage.player.run(checkout, words)
        self._count(words, step, ended)
        self._remember(step, words, ended, application)
        done = Done(step, words, ended, view.View(), view.View(), application, checkout)
        for check in (checks.no_traceback, checks.document_is_the_contract_s, checks.no_secret):
            self._fail(list(check(done, self.model)))

    def _judge(self, done: Done) -> None:
        found = [text for check in checks.CHECKS for text in check(done, self.model)]
        self._fail(found)

    def _judge_again(self, step: Step, words: tuple[str, ...]) -> None:
        """The same command again changes nothing."""
        again = self._run(Step(step.kind, step.words, step.who), words)
        self._judge(again)
        found = []
        if again.ended.code:
            found.append(f"again: exit code {again.ended.code}: {again.ended.err.strip()[-300:]}")
        actions = {p["action"] for p in checks.parts_of(again) if not p.get("preview")}
        found += [f"again: it says {one}" for one in sorted(actions - {"unchanged"})]
        if again.before.roots != again.after.roots or again.before.tables != again.after.tables:
            found.append("again: something changed")
        self._fail(found)

    def _fail(self, found: Sequence[str]) -> None:
        if found:
            raise Finding("\n".join([*found, "", *self.script()]))

    def _count(self, words: Sequence[str], step: Step, ended: Ended) -> None:
        name = words[0]
        self.stage.tasks[name] = self.stage.tasks.get(name, 0) + 1
        code = "killed" if ended.code == KILLED else str(ended.code)
        self.stage.codes[code] = self.stage.codes.get(code, 0) + 1
        if ended.struck:
            fault = step.fault or "somebody else came between"
            self.stage.faults[fault] = self.stage.faults.get(fault, 0) + 1

    # --- what is known afterwards

    def _remember(
        self, step: Step, words: tuple[str, ...], ended: Ended, application: Application
    ) -> None:
        """Note what a task has published and planned."""
        for (bucket, key), body in _manifests().items():
            manifest = json.loads(body)
            place = (bucket, manifest["release"])
            if place not in self.model.files:
                files = {(bucket, one["key"]) for one in manifest["files"]}
                self.model.files[place] = {*files, (bucket, key)}
            self.model.releases.setdefault(
                manifest["release"],
                None if _is_derived(place[0], manifest, application) else application,
            )
        if words[0] == "plan" and "--out" in words:
            self._remember_plan(step, words, application)
        if words[0] in ("apply", "plan.discard") and ended.code == 0:
            self.model.plans[words[1]].used = True

    def _remember_plan(self, step: Step, words: tuple[str, ...], application: Application) -> None:
        """Keep a plan that was written, and hand it to both checkouts."""
        file = words[words.index("--out") + 1]
        path = self.stage.folder / step.who / file
        if path.exists():
            document = json.loads(path.read_text())
            self.model.plans[file] = Plan(file, document, application)
            for who in WHO:
                (self.stage.folder / who / file).write_text(path.read_text())

    def fill_in(self, word: str) -> str:
        """Put names that are known by now in the place of blanks such as {release:1}."""

        def find(match: re.Match[str]) -> str:
            kind, number = match[1], int(match[2])
            known = {
                "release": list(self.model.releases),
                "plan": list(self.model.plans),
                "digest": [p.document["digest"] for p in self.model.plans.values()],
                "table": sorted(
                    {t for r in view.look().roots.values() for t in r.tables().values()}
                ),
                "backup": sorted(view.look().backups),
                "loose": view.look().loose(),
            }[kind]
            return known[number % len(known)] if known else f"no-{kind}"

        return _BLANK.sub(find, word)

    # --- as a script

    def script(self) -> list[str]:
        """Return what was done as lines that a person can type, and do."""
        return [line for step in self.played for line in _say(step)]


def _say(step: Step) -> Iterator[str]:
    where = "" if step.who == "first" else "(second checkout) "
    if step.kind == "edit":
        yield f"{where}edit: {describe_edit(*step.words)}"
        return
    if step.kind == "world":
        yield f"world: {world_events.describe(*step.words)}"
        return
    words = " ".join(word if "{" in word else shlex.quote(word) for word in step.words)
    yield f"{where}inv {words}"
    call = _describe_call(step.at)
    if step.fault:
        yield f"    # at {call}: {step.fault}"
    if step.meanwhile:
        yield f"    # at {call}, before it is made:"
        yield from (f"    #   {line}" for line in _say(step.meanwhile))
    if step.again:
        yield f"{where}inv {words}    # again"


def _describe_call(at: int | str) -> str:
    """Say which call of a task is meant."""
    if isinstance(at, int):
        return f"call {at}"
    kind, _, number = at.partition(" ")
    return f"call {number} of those that change something" if kind == CHANGE else f"the first {at}"


def _is_derived(bucket: str, manifest: dict[str, Any], application: Application) -> bool:
    """Tell whether a release is one that a switch or an adoption made of the checkout's."""
    texts = application.templates().values()
    bodies = {place: body.decode(errors="replace") for place, _, body in view.objects()}
    keys = [one["key"] for one in manifest["files"] if one["key"].startswith("templates/")]
    return any(bodies.get((bucket, key)) not in texts for key in keys)


def _manifests() -> dict[tuple[str, str], bytes]:
    return {
        place: body
        for place, _, body in view.objects()
        if place[1].startswith("releases/") and place[1].endswith("/manifest.json")
    }


QUIET = ("--yes", "--json")
UNVERIFIED = (*QUIET, "--no-verify")

_DEPLOY = Step("task", ("deploy", *UNVERIFIED))
_EVERYWHERE = ("deploy-multi-region", "--regions", ",".join(REGIONS))
_WRITE = Step("world", ("write",))

#: What sequences begin with; each is a part of the script, too.
BEGINNINGS: dict[str, tuple[Step, ...]] = {
    "nothing": (),
    "deployed": (_DEPLOY, _WRITE),
    "moved on": (
        _DEPLOY,
        _WRITE,
        Step("edit", ("tag",)),
        Step("edit", ("add-note", "Second")),
        Step("task", ("update", *UNVERIFIED)),
    ),
    "in two regions": (
        Step(
            "task",
            ("deploy-multi-region", "--regions", ",".join(REGIONS), "--sequential", *UNVERIFIED),
        ),
        _WRITE,
    ),
    "planned": (
        _DEPLOY,
        _WRITE,
        Step("edit", ("add-table", "Jobs", "Delete")),
        Step("task", ("plan", "--out", "plan-0.json", *QUIET)),
    ),
    "half updated": (
        _DEPLOY,
        _WRITE,
        Step("edit", ("add-note", "Second")),
        Step("world", ("refuse", "create", "Second")),
        Step("task", ("update", *UNVERIFIED, "--disable-rollback")),
    ),
}

__all__ = ["BEGINNINGS", "KILLED", "Finding", "Played", "Stage"]
