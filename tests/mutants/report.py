"""Say what became of the mutants: on the screen, and in docs/reliability.md."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from lib import drawing
from tests.mutants.rooms import ROOMS
from tests.support.factories import REPOSITORY

KEPT = REPOSITORY / ".cache" / "mutants" / "rooms"
PAGE = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- made by nox -s mutants -->", "<!-- end -->"
#: Why a survivor changes nothing that anybody could see: one entry each, read by a person.
EXPLAINED = Path(__file__).with_name("explained.toml")
#: A test that fails, or that never ends.
KILLED = {"killed", "timeout"}
#: Of a hundred changes so many have to be noticed or explained.
ENOUGH = 95


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test of its room noticed."""

    mutant: str
    diff: str
    #: "no tests" when none of them even calls the function.
    status: str

    @property
    def function(self) -> str:
        """Return the function that is changed, from mutmut's name for the mutant."""
        mangled = self.mutant.partition("__mutmut_")[0].rpartition(".")[2]
        return mangled.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")

    @property
    def removed(self) -> str:
        """Return the lines that are no longer there, without their margins."""
        return _lines(self.diff, "-")

    @property
    def added(self) -> str:
        """Return the lines in their place."""
        return _lines(self.diff, "+")


@dataclass(frozen=True)
class Room:
    """What became of one room's mutants."""

    name: str
    made: int
    tried: int
    survivors: tuple[Survivor, ...]
    #: How many were to be tried, 0 for all, and the seed that chose them.
    sample: int
    seed: int
    seconds: int
    day: str
    #: Of the room and of what makes mutants of it.
    digest: str

    @property
    def killed(self) -> int:
        """Return how many its tests noticed."""
        return self.tried - len(self.survivors)

    @property
    def percent(self) -> float:
        """Return how many of a hundred its tests noticed."""
        return 100 * self.killed / self.tried if self.tried else 100.0


def read(name: str, result: Path, sample: int, seed: int, seconds: int) -> Room:
    """Return what `inside` wrote about one room, beside the copy of it that was tried."""
    found = json.loads(result.read_text())
    survivors = tuple(
        Survivor(mutant, diff, status)
        for mutant, (status, diff) in found["tried"].items()
        if status not in KILLED
    )
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    made, tried = found["made"], len(found["tried"])
    return Room(
        name, made, tried, survivors, sample, seed, seconds, day, digest(name, result.parent)
    )


def keep(room: Room) -> None:
    """Keep one room's result, so that a later run of another room can draw them all."""
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{room.name.replace('/', '.')}.json").write_text(json.dumps(asdict(room)))


def digest(name: str, root: Path = REPOSITORY) -> str:
    """Return what a room and the operators are told by, so that names mean the same mutants."""
    files = (root / name, root / "tests" / "mutants" / "operators.py")
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def read_kept() -> dict[str, Room]:
    """Return the last result of each room, in the order of the rooms."""
    found = {}
    for path in KEPT.glob("*.json"):
        values = json.loads(path.read_text())
        survivors = tuple(Survivor(**one) for one in values.pop("survivors"))
        found[values["name"]] = Room(survivors=survivors, **values)
    return {name: found[name] for name in ROOMS if name in found}


def read_reasons() -> dict[tuple[str, str, str], str]:
    """Return why a survivor is no gap, by its file and what it turns into what."""
    entries = tomllib.loads(EXPLAINED.read_text()).get("explained", [])
    return {(e["file"], _plain(e["was"]), _plain(e["becomes"])): e["why"] for e in entries}


def reason_for(room: Room, survivor: Survivor) -> str | None:
    """Return why this survivor is no gap; None when nobody has said so."""
    return read_reasons().get((room.name, _plain(survivor.removed), _plain(survivor.added)))


def list_gaps(room: Room) -> list[Survivor]:
    """Return the survivors that nobody has explained."""
    return [survivor for survivor in room.survivors if reason_for(room, survivor) is None]


def is_enough(room: Room) -> bool:
    """Tell whether a room's tests notice enough of the changes that can be noticed at all."""
    return 100 * len(list_gaps(room)) <= (100 - ENOUGH) * room.tried


def draw_screen(rooms: Sequence[Room]) -> str:
    """Return the table, and after it each survivor that nobody has explained."""
    lines = [drawing.draw_table(TITLES, _rows(rooms)), ""]
    for room in rooms:
        for survivor in room.survivors:
            reason = reason_for(room, survivor)
            told = f"explained: {reason}" if reason else survivor.status
            lines += [f"{room.name} {survivor.function}: {told}", survivor.diff, ""]
    failing = [room.name for room in rooms if not is_enough(room)]
    if failing:
        lines.append(f"More than {100 - ENOUGH:.0f} % are gaps: {', '.join(failing)}")
    return "\n".join(lines) + "\n"


TITLES = ("Room", "mutants", "tried", "killed", "explained", "gaps", "killed %")


def _rows(rooms: Iterable[Room]) -> list[tuple[str, ...]]:
    """Return one row for each room."""
    return [
        (
            room.name if room.digest == digest(room.name) else f"{room.name} (changed since)",
            *(str(n) for n in (room.made, room.tried, room.killed)),
            str(len(room.survivors) - len(list_gaps(room))),
            str(len(list_gaps(room))),
            f"{room.percent:.1f}",
        )
        for room in rooms
    ]


def draw_page(rooms: Sequence[Room], now: datetime) -> str:
    """Return the section of the page: the table, and every survivor with its reason."""
    tried, killed = sum(room.tried for room in rooms), sum(room.killed for room in rooms)
    gaps = sum(len(list_gaps(room)) for room in rooms)
    whole = sum(room.tried == room.made for room in rooms)
    sampled = [room for room in rooms if room.tried < room.made]
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    made = f"{now:%Y-%m-%d}, {where}, Python {platform.python_version()}"
    drawn = {(room.sample, room.seed) for room in sampled}
    minutes = sum(room.seconds for room in rooms) / 60
    how = [f"{whole} rooms whole"] if whole else []
    for size, seed in sorted(drawn):
        count = sum((room.sample, room.seed) == (size, seed) for room in sampled)
        how.append(f"{count} rooms by `--sample {size} --seed {seed}`")
    lines = [
        (
            f"{made}: **{tried} mutants tried of {sum(r.made for r in rooms)}, {killed} killed "
            f"({100 * killed / tried:.1f} %), {tried - killed - gaps} explained, {gaps} gaps** "
            f"({', '.join(how)}; {minutes:.0f} minutes of one process)."
        ),
        "",
        f"| {' | '.join(TITLES)} |",
        "|---|" + "---:|" * (len(TITLES) - 1),
        *(f"| {' | '.join(row)} |" for row in _rows(rooms)),
        "",
        *_name_untried(rooms),
        "| Survivor | What it changes | Why no test notices |",
        "|---|---|---|",
    ]
    for room in rooms:
        for one in room.survivors:
            change = f"{_code(one.removed)} → {_code(one.added)}"
            reason = reason_for(room, one) or "**A gap.**"
            lines.append(f"| `{room.name}` `{one.function}` | {change} | {reason} |")
    return "\n".join(lines)


def _name_untried(rooms: Iterable[Room]) -> list[str]:
    """Return a paragraph with the rooms of which there is no result."""
    tried = {room.name for room in rooms}
    left = [f"`{name}`" for name in ROOMS if name not in tried]
    return [f"Not tried yet: {', '.join(left)}.", ""] if left else []


def write_page() -> None:
    """Write the section of docs/reliability.md from every room's last result."""
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END, 1)[1]
    drawn = draw_page([*read_kept().values()], datetime.now(UTC))
    PAGE.write_text(f"{before}{BEGIN}\n\n{drawn}\n\n{END}{after}")


def _lines(diff: str, sign: str) -> str:
    """Return one side of a diff, a line each, without margins and headings."""
    changed = [
        line[1:].strip()
        for line in diff.splitlines()[2:]
        # mutmut names the changed function after the mutant.
        if line.startswith(sign) and not re.match(r".\s*(async )?def ", line)
    ]
    return "\n".join(changed)


def _plain(code: str) -> str:
    """Return code without what only its layout needs."""
    return " ".join(code.split())


def _code(code: str) -> str:
    """Return code as it may stand in a cell of a Markdown table."""
    if not code.strip():
        return "nothing"
    fence = "``" if "`" in code else "`"
    return f"{fence}{_plain(code)}{fence}".replace("|", "\\|")
