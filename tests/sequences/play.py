"""Drive the machine: a short run, a long one, a regression, a planted defect."""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test

from tests.sequences import report
from tests.sequences.machine import TROUBLED, Sequences
from tests.sequences.model import Step, as_plain, step_from
from tests.sequences.planted import PLANTED, Plant
from tests.sequences.sequence import Finding, Stage

_monotonic = time.monotonic

#: After how many steps a planted defect counts as not found.
STEPS_FOR_A_DEFECT = 20_000

#: Sequences between two looks at the clock.
_BATCH = 20

Found = tuple[str, list[Step]]


def search(
    stage: Stage, *, seed: int, sequences: int, steps: int, shrink: bool = True
) -> Found | None:
    """Play sequences; return what does not hold and the shortest way to it, None for nothing."""
    Sequences.stage = stage
    phases = [Phase.generate, *([Phase.shrink] if shrink else [])]
    chosen = settings(
        max_examples=sequences,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=phases,
        print_blob=False,
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    machine: Any = hypothesis.seed(seed)(Sequences)
    try:
        run_state_machine_as_test(machine, settings=chosen)
    except Finding as found:
        assert Sequences.last is not None
        return str(found), list(Sequences.last.played)
    except FlakyFailure as flaky:
        # A sequence that goes another way the second time: the machine's own fault, to be mended.
        texts = [str(one) for one in flaky.exceptions]
        return "\n".join(["It went another way the second time:", *texts]), []
    return None


def replay(stage: Stage, steps: list[Step], *, shows: bool = False) -> str:
    """Play steps from nothing; return what does not hold, "" for nothing.

    `shows` prints what each task said.
    """
    stage.world.reset()
    sequence = stage.begin("nothing")
    try:
        for step in steps:
            ended = sequence.play(step)
            if shows:
                said = f"exit code {ended.code}\n{ended.out}\n{ended.err}" if ended else ""
                _say(f"\n{sequence.script()[-1]}\n{said}")
    except Finding as found:
        if shows and sequence.ended:
            _say(f"\n{sequence.ended.out}\n{sequence.ended.err}")
        return str(found)
    return ""


def run(folder: Path, given: argparse.Namespace) -> int:
    """Do what the command line says."""
    stage = Stage(folder)
    if given.troubled:
        Sequences.moods = (TROUBLED,)
    if given.planted is not None:
        return _find_planted(stage, given.planted, seed=given.seed)
    if given.replay is not None:
        return _replay_all(stage, given.replay, shows=given.show)
    if given.minutes is None:
        found = search(stage, seed=given.seed, sequences=given.sequences, steps=given.steps)
        return _tell(stage, found, 0.0, given.keep)
    began = _monotonic()
    seed = given.seed or random.SystemRandom().randrange(2**31)
    first, found = seed, None
    while found is None and _monotonic() - began < given.minutes * 60:
        found = search(stage, seed=seed, sequences=_BATCH, steps=given.steps)
        seconds = _monotonic() - began
        _say(f"{stage.steps} steps, {Sequences.begun} sequences, {seconds:.0f} s, seed {seed}")
        seed += 1
        _keep_run(stage, found, seconds, first)
    return _tell(stage, found, _monotonic() - began, given.keep)


def _keep_run(stage: Stage, found: Found | None, seconds: float, seed: int) -> None:
    kept = {
        "kind": "run",
        "steps": stage.steps,
        "sequences": Sequences.begun,
        "seconds": seconds,
        "tasks": stage.tasks,
        "codes": stage.codes,
        "faults": stage.faults,
        "found": found[0] if found else "",
    }
    report.keep(f"run-{seed}", kept)


def _tell(stage: Stage, found: Found | None, seconds: float, keep: Path | None) -> int:
    """Say what was done and found; write what was found into a file that can be replayed."""
    _say(f"{stage.steps} steps in {Sequences.begun} sequences, {seconds:.0f} s")
    for counted in (stage.tasks, stage.codes, stage.faults):
        _say(json.dumps(counted))
    if found is None:
        return 0
    text, steps = found
    _say(text)
    if keep:
        keep.write_text(json.dumps([as_plain(one) for one in steps], indent=1) + "\n")
    return 1


def _find_planted(stage: Stage, names: list[str], *, seed: int) -> int:
    """Plant each defect and look for it; tell how many steps that took, and by what it shows."""
    missed = 0
    for name in names or list(PLANTED):
        before, began, tried, found = stage.steps, _monotonic(), seed, None
        while found is None and stage.steps - before < STEPS_FOR_A_DEFECT:
            found = _search_with(stage, PLANTED[name], seed=tried)
            tried += 1
        steps = stage.steps - before
        shows = found[0].splitlines()[0] if found else "not found"
        _say(f"{name}: {steps} steps, {_monotonic() - began:.0f} s: {shows}")
        kept = {"kind": "planted", "name": name, "steps": steps, "shows": shows}
        report.keep(f"planted-{name}", {**kept, "found": bool(found)})
        missed += not found
    return 1 if missed else 0


def _search_with(stage: Stage, plant: Plant, *, seed: int) -> Found | None:
    """Look for a planted defect; what shows without it, too, is another one, and is told."""
    stage.forget()
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        found = search(stage, seed=seed, sequences=25, steps=20, shrink=False)
    stage.forget()
    if found and (other := replay(stage, found[1])):
        _say(f"without the defect, too: {other}")
        return None
    return found


def _replay_all(stage: Stage, files: list[Path], *, shows: bool) -> int:
    code = 0
    for file in files:
        steps = [step_from(one) for one in json.loads(file.read_text())]
        text = replay(stage, steps, shows=shows)
        _say(f"{file.name}: {text or 'nothing found'}")
        code = 1 if text else code
    return code


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
