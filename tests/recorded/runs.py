"""Run recorded runs again: each has to end as it ended; its answers are read like any others."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import tasks  # noqa: F401 (which makes every task known)
from commands.operation import rerun
from lib.recordings import recordings
from lib.recordings.recordings import Recording
from tests.recorded.recordings import Single
from tests.recorded.verdicts import Row

#: How much of a screen stands in a row.
_SHOWN = 200


def read(folder: Path) -> Iterator[Recording]:
    """Yield the recorded runs of a folder, whatever their files are called."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.read_bytes().startswith(b'{"kind": "run"'):
            yield recordings.read(path)


def list_answers(run: Recording) -> Iterator[Single]:
    """Yield what AWS answered in a run; what the emulator answers says nothing of AWS."""
    if run.head["flags"]["common"]["local"]:
        return
    for number, call in enumerate(run.calls, 1):
        name = f"{run.path.name}/{call['service']}.{call['operation']}_{number}"
        yield Single(name, call["service"], call["operation"], 200, call["answer"])


def judge(run: Recording) -> Iterator[Row]:
    """Hold what this checkout does against what the recorded run did."""
    out, err = io.StringIO(), io.StringIO()
    ended = rerun(run, out, err)
    case = run.path.name
    for missing in ended.missing:
        yield Row("runs", case, "asks only what was recorded", "", missing[:_SHOWN])
    if run.end is None:
        return
    yield Row("runs", case, "exit code", str(run.end["exit_code"]), str(ended.code))
    for name, here in (("out", ended.out), ("err", ended.err)):
        aws, ours = _differ(str(run.end[name]), here)
        yield Row("runs", case, f"std{name}", aws, ours)


def renew(path: Path) -> None:
    """Write down how this checkout ends a recorded run, whose screens changed on purpose."""
    run = recordings.read(path)
    ended = rerun(run, io.StringIO(), io.StringIO())
    if ended.missing or run.end is None:
        raise SystemExit(f"{path} has to be recorded once more: {ended.missing or 'no end'}")
    *lines, _end = path.read_text(encoding="utf-8").strip("\n").split("\n")
    shown = {"exit_code": ended.code, "out": ended.out, "err": ended.err}
    end = json.dumps({**run.end, **shown}, ensure_ascii=False)
    path.write_text("\n".join([*lines, end, ""]), encoding="utf-8")


def _differ(before: str, here: str) -> tuple[str, str]:
    """Return the first lines that differ, two empty texts where none do."""
    if before == here:
        return "", ""
    lines = zip([*before.splitlines(True), ""], [*here.splitlines(True), ""], strict=False)
    return next(((a[:_SHOWN], b[:_SHOWN]) for a, b in lines if a != b), (before, here))
