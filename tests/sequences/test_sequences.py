"""Any order of tasks, faults and events leaves nothing lost, and nothing that was not said.

The machine takes over time and chance of its process, so each test plays in one of its own.
`nox -s sequences -- --minutes 60` plays on, `-- --planted` shows what the machine finds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.json"))


def play(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # Unwatched by coverage, which would make hundreds of tasks twice as slow.
    unwatched = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    return subprocess.run(
        [sys.executable, "-m", "tests.sequences", *map(str, arguments)],
        cwd=REPOSITORY,
        env=unwatched,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_short_run_of_sequences_finds_nothing() -> None:
    ended = play("--sequences", "22", "--steps", "15")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    tasks, codes, faults = (json.loads(line) for line in ended.stdout.splitlines()[-3:])
    assert len(tasks) > 8, "most tasks are played"
    assert {"0", "3"} < set(codes)
    assert faults


def test_what_sequences_once_found_is_found_no_more() -> None:
    ended = play("--replay", *REGRESSIONS)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("nothing found") == len(REGRESSIONS) > 0


@pytest.mark.parametrize("name", ["a secret printed", "an exit code swapped"])
def test_a_planted_defect_is_found(name: str) -> None:
    ended = play("--planted", name)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", ["a lost answer taken for a no", "a backup not proven"])
def test_a_defect_that_shows_half_way_is_found_where_more_goes_wrong(name: str) -> None:
    ended = play("--troubled", "--planted", name)
    assert ended.returncode == 0, ended.stdout + ended.stderr
