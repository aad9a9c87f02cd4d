"""Turn what was measured into docs/benchmarks.md: medians, ratios, targets."""

from __future__ import annotations

import os
import platform
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.stage import QUIET_LOAD

OURS = "this tool"
WANTED_RUNS = 5
FINDINGS = Path(__file__).with_name("findings.md")

_OWN = ("ministack", "botocore", "cfn-lint", "invoke")

_CASES = {
    "new": "New stack",
    "no change": "Deploy again, nothing changed",
    "update": "Update of one parameter",
    "new, never linted": "New stack, templates that were never linted in this clone",
    "new, published before": "New stack, release already published",
    "new, and verified": "New stack, verified afterwards as by default",
}


@dataclass(frozen=True)
class Cell:
    """The median of all runs of one thing. `lost` is None where nothing was waited for."""

    wall: float
    lowest: float
    highest: float
    cpu: float
    memory: float
    calls: float
    lost: float | None
    runs: int
    failed: int
    operations: Mapping[str, int]


class Measured:
    """Everything measured, asked for by work, case, tool and delay."""

    def __init__(self, results: Sequence[Mapping[str, Any]]) -> None:
        """Take the results as they were kept."""
        self.results = results

    def cell(self, work: str, case: str, tool: str, delay: float | None = None) -> Cell | None:
        """Return the median of the runs that succeeded, None without any."""
        found = [
            one
            for one in self.results
            if (one["work"], one["case"], one["tool"]) == (work, case, tool)
            and (delay is None or one["delay"] == delay)
        ]
        good = [one for one in found if one["code"] == 0]
        if not good:
            return None
        walls = [one["wall"] for one in good]
        lost = [one["lost"] for one in good if one["lost"] is not None]
        return Cell(
            statistics.median(walls),
            min(walls),
            max(walls),
            statistics.median(one["cpu"] for one in good),
            statistics.median(one["memory"] for one in good),
            statistics.median(sum(one["calls"].values()) for one in good),
            statistics.median(lost) if lost else None,
            len(good),
            len(found) - len(good),
            good[-1]["calls"],
        )

    def tools(self, work: str, case: str, delay: float | None = None) -> list[str]:
        """Return the tools that did some work, ours first."""
        names = dict.fromkeys(
            one["tool"]
            for one in self.results
            if (one["work"], one["case"]) == (work, case)
            and (delay is None or one["delay"] == delay)
        )
        return sorted(names, key=lambda name: name != OURS)

    def cases(self, work: str, delay: float | None = None) -> list[str]:
        """Return the cases of some work in the order they were measured."""
        return list(
            dict.fromkeys(
                one["case"]
                for one in self.results
                if one["work"] == work and (delay is None or one["delay"] == delay)
            )
        )

    @property
    def fewest_runs(self) -> int:
        """Return how many runs the row with the fewest has."""
        keys = ("work", "case", "tool", "delay")
        return min(Counter(tuple(one[key] for key in keys) for one in self.results).values())

    @property
    def delays(self) -> list[float]:
        """Return the delays per resource that were used."""
        return sorted({one["delay"] for one in self.results})

    @property
    def loads(self) -> list[float]:
        """Return the machine's load before each run."""
        return [one["load"] for one in self.results]


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Write the page."""
    measured = Measured(found["results"])
    path.write_text("\n".join(_page(found, measured)) + "\n", encoding="utf-8")


def describe_machine() -> dict[str, str]:
    """Return what of the machine bears on time."""
    model = platform.processor() or platform.machine()
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = next(
        (
            line.partition("=")[2].strip('"')
            for line in _lines(Path("/etc/os-release"))
            if line.startswith("PRETTY_NAME=")
        ),
        platform.system(),
    )
    return {
        "CPU": f"{model}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": system,
        "Python": platform.python_version(),
    }


def read_own_versions() -> dict[str, str]:
    """Return the versions of what this tool is measured with."""
    return {name: metadata.version(name) for name in _OWN}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _introduction(found: Mapping[str, Any], measured: Measured) -> Iterable[str]:
    """Yield what all figures have in common."""
    machine = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    versions = ", ".join(f"{name} {value}" for name, value in found["versions"].items())
    loads = measured.loads
    yield "# Benchmarks"
    yield ""
    yield "Written by `nox -s bench`; not part of CI. All tools deploy the same templates to the"
    yield "same emulator behind one proxy that counts API calls, and take turns."
    yield ""
    yield f"- Date: {found['date']}"
    yield f"- Machine: {machine}"
    yield f"- Versions: {versions}"
    yield (
        f"- Load of the machine before a run: median {statistics.median(loads):.1f}, "
        f"{min(loads):.1f} to {max(loads):.1f}"
    )
    yield ""
    if statistics.median(loads) > QUIET_LOAD:
        yield "**The machine was not quiet.** Other work shared its cores all the time, so wall"
        yield "times are longer than they would be alone, for every tool; CPU times only slightly."
        yield ""
    yield "Every figure is the median of the runs counted in its row. *Lost* is the time between"
    yield "the root stack's last event and the end of the command. CPU is user and system time of"
    yield "the command and all its children, memory the peak of its largest process. *Ratio* is"
    yield "wall time against this tool's in the same run of the session."
    yield ""
    if measured.fewest_runs < WANTED_RUNS:
        yield f"Rows with fewer than {WANTED_RUNS} runs are of work that takes very long, or of a"
        yield "session that ran out of its time."
        yield ""


def _page(found: Mapping[str, Any], measured: Measured) -> Iterable[str]:
    """Yield the page's lines."""
    yield from _introduction(found, measured)
    yield "## Targets"
    yield ""
    yield from _targets(measured)
    yield ""
    if FINDINGS.exists():
        yield FINDINGS.read_text(encoding="utf-8").strip()
        yield ""
    for delay in measured.delays:
        cases = measured.cases("deploy", delay)
        if not cases:
            continue
        slow = f", {delay} s for each resource" if delay else ""
        yield f"## Deploying the application{slow}"
        yield ""
        for case in (case for case in _CASES if case in cases):
            yield f"### {_CASES[case]}"
            yield ""
            yield from _table(measured, "deploy", case, delay)
            yield ""
    for title, work in _works(measured):
        yield f"## {title}"
        yield ""
        for case in measured.cases(work):
            if case:
                yield f"### {case[0].upper()}{case[1:]}" if work != "start" else f"### `{case}`"
                yield ""
            yield from _table(measured, work, case)
            yield ""
    yield "## API calls by operation"
    yield ""
    yield from _calls(measured)


def _works(measured: Measured) -> Iterable[tuple[str, str]]:
    """Yield a title for each kind of work but deploying."""
    named: dict[str, Callable[[str], str]] = {
        "upload": lambda count: f"Uploading {count} nested templates and their master",
        "backup": lambda count: f"Backing up {count} {'table' if count == '1' else 'tables'}",
        "preview": lambda count: f"Previewing a change of {count} resources",
        "plan": lambda _: "Planning an update of the application as a file",
        "apply": lambda _: "Applying that plan",
        "regions": lambda count: f"Creating the stack in {count} region{'s' * (count != '1')}",
        "start": lambda _: "Starting",
    }
    works = dict.fromkeys(one["work"] for one in measured.results)
    for kind, title in named.items():
        for work in works:
            name, _, count = work.partition(" ")
            if name == kind:
                yield title(count), work


def _table(measured: Measured, work: str, case: str, delay: float | None = None) -> Iterable[str]:
    """Yield one table: a row per tool."""
    ours = measured.cell(work, case, OURS, delay)
    yield "| Tool | Wall s | Range s | Ratio | CPU s | Memory MB | Calls | Lost s | Runs |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for tool in measured.tools(work, case, delay):
        cell = measured.cell(work, case, tool, delay)
        if cell is None:
            yield f"| {tool} | failed | | | | | | | 0 |"
            continue
        ratio = f"{cell.wall / ours.wall:.1f}" if ours else ""
        # Only one region's stack is looked at, which says nothing of a rollout to several.
        known = cell.lost is not None and not work.startswith("regions")
        lost = f"{cell.lost:.2f}" if known else ""
        runs = f"{cell.runs}{f', {cell.failed} failed' if cell.failed else ''}"
        yield (
            f"| {tool} | {cell.wall:.2f} | {cell.lowest:.2f}–{cell.highest:.2f} | {ratio} "
            f"| {cell.cpu:.2f} | {cell.memory:.0f} | {cell.calls:.0f} | {lost} | {runs} |"
        )


def _targets(measured: Measured) -> Iterable[str]:
    """Yield the table of targets."""
    slow = measured.delays[-1]

    def of(work: str, case: str, field: str, delay: float | None = 0.0) -> float | None:
        cell = measured.cell(work, case, OURS, delay)
        found: float | None = getattr(cell, field) if cell else None
        return found

    one, four = of("regions 1", "", "wall", None), of("regions 4", "", "wall", None)
    eight = of("regions 8", "", "wall", None)
    rows: list[tuple[str, float | None, float]] = [
        ("New stack, nothing published, seconds", of("deploy", "new", "wall"), 2),
        (
            "New stack, release published, seconds",
            of("deploy", "new, published before", "wall"),
            2,
        ),
        (
            "New stack, never linted, seconds",
            of("deploy", "new, never linted", "wall"),
            2,
        ),
        ("No change, seconds", of("deploy", "no change", "wall"), 1),
        ("Lost after a short creation, seconds", of("deploy", "new", "lost"), 0.5),
        ("Lost after a short update, seconds", of("deploy", "update", "lost"), 0.5),
        ("The slow stack in all, seconds", of("deploy", "new", "wall", slow), 14),
        ("API calls of a deploy without a change", of("deploy", "no change", "calls"), 6),
        ("API calls of a plan of one parameter", of("plan", "", "calls"), 23),
        ("API calls of a planned update", of("apply", "", "calls"), 39),
        ("API calls of an unchanged upload", of("upload 9", "unchanged", "calls"), 2),
        ("Memory of a deploy, MB", of("deploy", "update", "memory"), 120),
        ("Memory of a rollout to eight regions, MB", of("regions 8", "", "memory", None), 120),
        (
            "Memory while cfn-lint runs beside it, MB",
            of("deploy", "new, never linted", "memory"),
            120,
        ),
        ("`inv --list`, seconds", of("start", "inv --list", "wall"), 0.35),
        ("Four regions against one", four / one if one and four else None, 2),
        ("Eight regions against four", eight / four if four and eight else None, 1.3),
        ("Four regions against one, stricter", four / one if one and four else None, 1.3),
    ]
    yield "| Target | At most | Measured | |"
    yield "|---|--:|--:|---|"
    for name, value, limit in rows:
        shown = "not measured" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")
        verdict = "" if value is None else "met" if value <= limit else "**missed**"
        yield f"| {name} | {limit:g} | {shown} | {verdict} |"


def _calls(measured: Measured) -> Iterable[str]:
    """Yield what each tool asked AWS for, by operation."""
    yield "| Work | Tool | Calls |"
    yield "|---|---|---|"
    done = set()
    for one in measured.results:
        key = (one["work"], one["case"], one["tool"], one["delay"])
        if key in done or one["work"] == "start":
            continue
        done.add(key)
        cell = measured.cell(*key)
        if cell is None:
            continue
        calls = ", ".join(
            f"{name.partition(':')[2]}{f' × {count}' if count > 1 else ''}"
            for name, count in sorted(cell.operations.items())
        )
        delay = f", {one['delay']} s" if one["delay"] else ""
        case = f", {one['case']}" if one["case"] else ""
        yield f"| {one['work']}{case}{delay} | {one['tool']} | {calls or 'none'} |"
