"""Write the table of docs/reliability.md from what the sweep kept.

python -m tests.faults.report            write it; exit 1 when something was lost
python -m tests.faults.report --clear    forget what an earlier sweep kept
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime

from tests.faults.scenarios import NAMES, REPOSITORY, Tally

KEPT = REPOSITORY / ".cache" / "faults"
PAGE = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- made by nox -s faults -->", "<!-- end -->"


def keep(tally: Tally) -> None:
    """Keep one result for the table; the workers of a session write side by side."""
    KEPT.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", f"{tally.scenario}--{tally.fault}".lower())
    (KEPT / f"{name}.json").write_text(json.dumps(asdict(tally)))


def read() -> list[Tally]:
    """Return everything that the last sweep kept."""
    return [Tally(**json.loads(path.read_text())) for path in sorted(KEPT.glob("*.json"))]


def draw(tallies: list[Tally], now: datetime) -> str:
    """Return both tables, with when and where they were made."""
    tried, lost = sum(t.tried for t in tallies), sum(len(t.lost) for t in tallies)
    seconds = sum(t.seconds for t in tallies)
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    made = f"{now:%Y-%m-%d}, {where}, Python {platform.python_version()}"
    swept = [t for t in tallies if t.scenario in NAMES]
    lines = [
        (
            f"{made}: **{tried} faults tried, {tried - lost} survived, {lost} lost** "
            f"({seconds / 60:.0f} minutes of one process)."
        ),
        "",
        *_table("Task", tallies, lambda tally: tally.scenario),
        "",
        *_table("Fault", swept, lambda tally: tally.fault),
    ]
    return "\n".join(lines)


def _table(title: str, tallies: Iterable[Tally], key: Callable[[Tally], str]) -> list[str]:
    """Return one Markdown table, a row for each value of `key`."""
    rows: dict[str, list[Tally]] = {}
    for tally in tallies:
        rows.setdefault(key(tally), []).append(tally)
    lines = [
        f"| {title} | tried | survived | lost | left over | exit codes |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for name, found in rows.items():
        tried, lost = sum(t.tried for t in found), sum(len(t.lost) for t in found)
        left = sum(t.left for t in found)
        codes: dict[str, int] = {}
        for tally in found:
            for code, count in tally.codes.items():
                codes[code] = codes.get(code, 0) + count
        told = ", ".join(f"{_code(code)} × {count}" for code, count in sorted(codes.items()))
        lines.append(f"| {name} | {tried} | {tried - lost} | {lost} | {left} | {told} |")
    return lines


def _code(code: str) -> str:
    """Return an exit code as a shell's user knows it."""
    return "killed" if code == "-9" else code


def main() -> int:
    """Write the page, and tell by the exit code whether anything was lost."""
    if "--clear" in sys.argv:
        shutil.rmtree(KEPT, ignore_errors=True)
        return 0
    tallies = read()
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END, 1)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{draw(tallies, datetime.now(UTC))}\n\n{END}{after}")
    lost = [f"{t.scenario}, {t.fault}: {one}" for t in tallies for one in t.lost]
    sys.stdout.writelines(f"{one}\n" for one in lost)
    return 1 if lost or not tallies else 0


if __name__ == "__main__":
    sys.exit(main())
