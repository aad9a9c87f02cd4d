"""Change the rooms where a wrong line loses data or money, and see whether their tests notice.

    python -m tests.mutants                     every room, every mutant
    python -m tests.mutants lib/data/loss.py    one room
    python -m tests.mutants --sample 60 --seed 7
    python -m tests.mutants --again             what survived the last time, after new tests

Ends with a table and each survivor as a diff, writes the table of docs/reliability.md, and
exits 1 when too many of a room's survivors are unexplained.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.mutants import report
from tests.mutants.rooms import ROOMS, judges_of
from tests.support.factories import REPOSITORY

#: A copy, because mutmut writes beside what it reads, and others may be editing here.
COPY = REPOSITORY / ".cache" / "mutants" / f"copy-{os.getpid()}"
#: What mutmut is told of a room. A test that a mutant lets run for ever is stopped after
#: seconds, yet late enough for a machine that is busy with other things.
SETTINGS = """
[tool.mutmut]
source_paths = ["lib"]
only_mutate = ["{room}"]
also_copy = [{copied}]
pytest_add_cli_args = ["-p", "no:xdist", "-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = [{tests}]
timeout_constant = 3.0
timeout_multiplier = 5.0
use_git_change_detection = false
"""


def copy_repository() -> None:
    """Copy what is, or is about to be, under version control."""
    shutil.rmtree(COPY, ignore_errors=True)
    listing = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-files", "-co", "--exclude-standard", "-z"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listing.split("\0")):
        if (REPOSITORY / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, COPY / name)


def try_again(room: str) -> report.Room | None:
    """Try what survived in a room, if that is known and the room is still the same.

    More tests kill no less, so what they killed before counts as killed.
    """
    before = report.read_kept().get(room)
    if before is None or before.digest != report.digest(room):
        return None
    if not before.survivors:
        return before
    names = [survivor.mutant for survivor in before.survivors]
    after = try_room(room, before.sample, before.seed, names)
    return replace(
        after, tried=before.tried, survivors=after.survivors, seconds=before.seconds + after.seconds
    )


def try_room(room: str, size: int, seed: int, only: Sequence[str] = ()) -> report.Room:
    """Try one room's mutants, a sample of them or the named ones; return what became of them."""
    result = COPY / "result.json"
    result.unlink(missing_ok=True)
    shutil.rmtree(COPY / "mutants", ignore_errors=True)
    copied = sorted(path.name for path in COPY.iterdir() if path.name != "lib")
    settings = SETTINGS.format(
        room=room,
        copied=", ".join(f'"{name}"' for name in copied),
        tests=", ".join(f'"{name}"' for name in judges_of(room)),
    )
    project = (REPOSITORY / "pyproject.toml").read_text()
    (COPY / "pyproject.toml").write_text(project + settings)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutants.inside", room, str(size), str(seed), result, *only],
        cwd=COPY,
        check=False,
        # A machine that forbids bytecode would compile every test anew for every mutant.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", "COLUMNS": "80"},
    )
    if done.returncode or not result.exists():
        sys.exit(f"mutmut could not try {room}; its own words stand above.")
    return report.read(room, result, size, seed, round(time.monotonic() - began))


def main() -> int:
    """Try the rooms that were asked for, and tell by the exit code whether enough was killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rooms", nargs="*", help="files of lib; all that matter by default")
    parser.add_argument("--sample", type=int, default=0, help="mutants of each room; 0 is all")
    parser.add_argument("--again", action="store_true", help="only what survived the last time")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    given = parser.parse_args()
    rooms = given.rooms or list(ROOMS)
    unknown = [room for room in rooms if not Path(REPOSITORY, room).is_file()]
    if unknown:
        parser.error(f"no such file: {', '.join(unknown)}")
    copy_repository()
    tried = []
    try:
        for room in rooms:
            again = try_again(room) if given.again else None
            tried.append(again or try_room(room, given.sample, given.seed))
            report.keep(tried[-1])
            report.write_page()
    finally:
        shutil.rmtree(COPY)
    sys.stdout.write(report.draw_screen(tried))
    return 0 if all(map(report.is_enough, tried)) else 1


if __name__ == "__main__":
    sys.exit(main())
