"""Write what sequences came to into docs/reliability.md.

python -m tests.sequences.report            write it; exit 1 when something was found or missed
python -m tests.sequences.report --clear    forget what an earlier run kept
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
KEPT = REPOSITORY / ".cache" / "sequences"
PAGE = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- made by nox -s sequences -->", "<!-- end of sequences -->"

Json = dict[str, Any]


def keep(name: str, kept: Json) -> None:
    """Keep one result for the page: a run's under a name of its own, or a planted defect's."""
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name.replace(' ', '-')}.json").write_text(json.dumps(kept, indent=1))


def read(kind: str) -> list[Json]:
    """Return everything of a kind that was kept."""
    found = [json.loads(path.read_text()) for path in sorted(KEPT.glob("*.json"))]
    return [one for one in found if one["kind"] == kind]


def draw(now: datetime) -> str:
    """Return what the runs came to, what they met, and how soon each planted defect was found."""
    runs, planted = read("run"), read("planted")
    steps, sequences = sum(r["steps"] for r in runs), sum(r["sequences"] for r in runs)
    minutes = sum(r["seconds"] for r in runs) / 60
    found = sum(bool(r["found"]) for r in runs)
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    lines = [
        (
            f"{now:%Y-%m-%d}, {where}, Python {platform.python_version()}: **{steps} steps in "
            f"{sequences} sequences, {found} findings** ({minutes:.0f} minutes of one process)."
        ),
        "",
        *_table("Task", "runs", _add(runs, "tasks")),
        "",
        *_table("Exit code", "runs", _add(runs, "codes")),
        "",
        *_table("Met in the middle of a task", "times", _add(runs, "faults")),
    ]
    if planted:
        lines += ["", "| Planted | steps until found | by |", "|---|---:|---|"]
        lines += [f"| {p['name']} | {p['steps']} | {p['shows']} |" for p in planted]
    return "\n".join(lines)


def _add(runs: list[Json], kind: str) -> dict[str, int]:
    """Return how often each thing came, in all runs."""
    found: dict[str, int] = {}
    for run in runs:
        for name, count in run[kind].items():
            found[name] = found.get(name, 0) + count
    return dict(sorted(found.items()))


def _table(title: str, counted: str, rows: dict[str, int]) -> list[str]:
    lines = [f"| {title} | {counted} |", "|---|---:|"]
    return lines + [f"| {name} | {count} |" for name, count in rows.items()]


def main() -> int:
    """Write the page, and tell by the exit code whether anything was found, or missed."""
    if "--clear" in sys.argv:
        shutil.rmtree(KEPT, ignore_errors=True)
        return 0
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{draw(datetime.now(UTC))}\n\n{END}{after}")
    bad = [r["found"] for r in read("run") if r["found"]]
    bad += [p["name"] for p in read("planted") if not p["found"]]
    sys.stdout.writelines(f"{one}\n" for one in bad)
    return 1 if bad or not read("run") else 0


if __name__ == "__main__":
    sys.exit(main())
