"""Run the commands of a Markdown page in a clone of the repository, and compare what they print.

- A block fenced as `sh` is run as it stands and has to end well.
- A block fenced as `console` holds commands after `$ ` (going on after `> `) and what they print.
  `…` stands for any text within a line, and on a line of its own for any lines. A command that
  shows no output may print anything; it has to end well unless `echo $?` comes next.
- Commands are run with `--local` added, so that a page can show them as they are typed for AWS.
- A block below a line that starts with `> Not run by` is not run; the line says why.
- Everything else (`text`, `json`, `mermaid`) is not run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emulator import control
from manual.parts import slug

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(REPOSITORY.glob("docs/**/*.md"))
LINKED = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *PAGES]

PATIENCE = 900  # seconds for one page

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_NOT_RUN = "> Not run by "
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".nox", ".local", ".cache", "*_cache", "__pycache__", ".hypothesis",
    ".coverage*",
)  # fmt: skip

#: Adds --local to what an operator types for AWS; tasks that need no AWS do not take it.
_PRELUDE = r"""
inv() {
  case " $* " in
    *" --local "* | " local."* | " --"* | " docs "* | " graph "*) command inv "$@" ;;
    " rescue.replay "*) command inv "$@" ;;
    *) command inv "$@" --local ;;
  esac
}
__status=0
"""


@dataclass(frozen=True)
class Command:
    """One command of a page: where it stands, and what it prints (None where not shown)."""

    line: int
    text: str
    output: tuple[str, ...] | None
    may_fail: bool


@dataclass(frozen=True)
class Ran:
    """What became of a command."""

    output: str
    status: int


def read_commands(page: str) -> list[Command]:
    """Return the commands of a page in order."""
    found: list[Command] = []
    for fence in _FENCE.finditer(page):
        before = page[: fence.start()].rstrip().rsplit("\n\n", 1)[-1]
        line = page.count("\n", 0, fence.start()) + 2
        if before.startswith(_NOT_RUN):
            continue
        if fence[1] == "sh":
            found.append(Command(line, fence[2], None, may_fail=False))
        elif fence[1] == "console":
            found += _read_console(fence[2].splitlines(), line)
    return found


def _read_console(lines: list[str], first: int) -> Iterator[Command]:
    """Yield the commands of one console block."""
    starts = [index for index, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        body = lines[start + 1 : end]
        more = 0
        while more < len(body) and body[more].startswith("> "):
            more += 1
        text = "\n".join([lines[start][2:], *(line[2:] for line in body[:more])])
        shown = tuple(body[more:]) or None
        asked = end < len(lines) and lines[end] == "$ echo $?"
        yield Command(first + start, text, shown, may_fail=asked)


def matches(shown: tuple[str, ...], printed: str) -> bool:
    """Tell whether a command printed what the page shows."""
    parts = []
    for line in shown:
        if line.strip() == "…":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            pieces = (re.escape(piece) for piece in line.rstrip().split("…"))
            parts.append("[^\n]*".join(pieces) + r"[ \t]*\n")
    return re.fullmatch("".join(parts), printed.rstrip("\n") + "\n") is not None


def run(commands: list[Command], folder: Path) -> list[Ran]:
    """Run commands in one shell, in a clone of their own with an emulator of their own."""
    clone, state = folder / "clone", folder / "state"
    shutil.copytree(REPOSITORY, clone, ignore=LEFT_OUT)
    lines = [_PRELUDE]
    for command in commands:
        lines.append("(exit $__status)")
        lines.append(command.text.rstrip("\n"))
        lines.append(r"__status=$?; printf '\036%d\036' $__status")
    script = folder / "page.sh"
    script.write_text("\n".join(lines) + "\n")
    try:
        answer = subprocess.run(
            ["bash", str(script)],
            cwd=clone,
            env=environment(folder, state),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        control.stop(state)
    parts = answer.stdout.split("\x1e")
    return [Ran(parts[2 * i], int(parts[2 * i + 1])) for i in range(len(parts) // 2)]


def environment(folder: Path, state: Path) -> dict[str, str]:
    """Return an environment without anybody's settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PLOT_PALETTE_"))}
    for name in ("CI", "NO_COLOR", "GITHUB_ACTIONS"):
        kept.pop(name, None)
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "PLOT_PALETTE_LOCAL_STATE": str(state),
        "PYTHONWARNINGS": "ignore",
    }


def find_broken_links(path: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    text = _FENCE.sub("", path.read_text())
    broken = []
    for target in re.findall(r"(?:\]\(|src(?:set)?=\")([^)\s\"]+)[)\"]", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.exists() or (anchor and anchor not in list_anchors(found)):
            broken.append(target)
    return broken


def list_anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings; a heading that comes again gets a number."""
    anchors: set[str] = set()
    text = _FENCE.sub("", path.read_text())
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        anchor = slug(heading)
        again = 0
        while (f"{anchor}-{again}" if again else anchor) in anchors:
            again += 1
        anchors.add(f"{anchor}-{again}" if again else anchor)
    return anchors
