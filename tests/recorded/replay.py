"""Replay recorded answers through the rooms that read such answers from AWS."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.recorded import answers, change_sets, recordings, runs, singles, verdicts
from tests.recorded.explanations import EXPLANATIONS
from tests.recorded.verdicts import Row

#: The cases that this repository carries.
CASES = Path(__file__).with_name("cases")

#: Runs of users, each a file that was dropped there.
INCIDENTS = Path(__file__).with_name("incidents")


def main(folders: Sequence[Path]) -> int:
    """Replay each folder, or the repository's own cases and incidents; print what came of it."""
    rows = [row for folder in folders or [CASES, INCIDENTS] for row in judge(folder)]
    sys.stdout.write(f"{verdicts.draw(rows, EXPLANATIONS)}\n")
    return 0 if verdicts.is_acceptable(rows, EXPLANATIONS) else 1


def judge(folder: Path) -> Iterator[Row]:
    """Yield every row that a folder of recordings holds."""
    for case in recordings.read_change_sets(folder):
        yield from change_sets.judge(case)
        for oldest_first in case.answers.get("per-resource-events", {}).values():
            yield from answers.judge_events(case.name, oldest_first[::-1])
    for name, content in recordings.read_snapshots(folder):
        yield from answers.judge(name, content)
        yield from singles.judge_writes(name, content)
    for run in runs.read(folder):
        yield from runs.judge(run)
        for single in runs.list_answers(run):
            yield from answers.judge(single.name, single.data)
            yield from singles.judge(single)
    for single in recordings.read_singles(folder):
        yield from answers.judge(single.name, single.data)
        yield from singles.judge(single)
