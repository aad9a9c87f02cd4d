"""Go round every piece of work until the rounds or the minutes are used up, then write the page.

What has been measured is kept in the folder after each step; `--add` goes on from there.

    python -m bench --peers FOLDER [--rounds 5] [--minutes 60] [--only NAME] [--add] [--report]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from bench import report
from bench.cells import Bench, read_version, trips
from bench.stage import REPOSITORY, Stage


def main() -> None:
    """Measure, write down, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="an environment per peer")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / ".cache" / "bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=180.0)
    parser.add_argument("--only", action="append", default=[], help="part of a trip's name")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for quiet")
    parser.add_argument("--add", action="store_true", help="keep what was measured before")
    parser.add_argument("--report", action="store_true", help="only write the page anew")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    kept = given.folder / "results.json"
    if not given.report:
        stage = Stage(given.folder.resolve(), given.peers.resolve(), patience=given.patience)
        try:
            measure(stage, given, kept)
        finally:
            stage.stop()
    # A part alone must not take the place of the whole page.
    if given.report or given.add or not given.only:
        report.write(REPOSITORY / "docs" / "benchmarks.md", json.loads(kept.read_text()))


def measure(stage: Stage, given: argparse.Namespace, kept: Path) -> None:
    """Go round until there is nothing left to do or no time."""
    deadline = time.monotonic() + 60 * given.minutes
    bench = Bench(stage)
    if given.add and kept.exists():
        bench.results = json.loads(kept.read_text())["results"]
    head = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": report.describe_machine(),
        "versions": {**report.read_own_versions(), **read_version(given.folder, given.peers)},
    }
    for number in range(given.rounds):
        for trip in trips(bench):
            if number >= trip.rounds or not is_wanted(given.only, f"{trip.name} at {trip.delay}"):
                continue
            if time.monotonic() > deadline:
                return
            if stage.process is None or stage.delay != trip.delay:
                stage.start(trip.delay)
            sys.stderr.write(f"round {number + 1}: {trip.name}, {trip.delay} s\n")
            try:
                trip.run(bench)
            except (RuntimeError, subprocess.SubprocessError) as error:
                sys.stderr.write(f"  {error}\n")
            kept.write_text(json.dumps({**head, "results": bench.results}, indent=1))


def is_wanted(wanted: list[str], name: str) -> bool:
    """Tell whether a trip is among those asked for; all are when none was named."""
    return not wanted or any(part in name for part in wanted)


if __name__ == "__main__":
    main()
