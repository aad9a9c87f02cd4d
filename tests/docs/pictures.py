"""Draw the pictures of the guides anew: `python -m tests.docs.pictures`.

Each picture is a real run on a pseudo-terminal, in a clone with an emulator of its own, drawn for
dark and for light ground.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from dataclasses import dataclass
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME, TerminalTheme
from rich.text import Text

from emulator import control
from tests.docs import guides

IMAGES = guides.REPOSITORY / "docs" / "images"

#: As wide as a terminal that was never made wider.
COLUMNS = 80

#: For a page on dark ground and for one on light ground.
THEMES = {"dark": SVG_EXPORT_THEME, "light": DEFAULT_TERMINAL_THEME}


@dataclass(frozen=True)
class Run:
    """One picture: its file, its title, what runs before it unseen, and the command.

    Without a command it is of the same run as the one before. `keep` has how many of the first and
    of the last lines are shown. With `until` it is taken in the middle of the run, when this was on
    the screen.
    """

    name: str
    title: str
    before: str
    command: str
    keep: tuple[int, int]
    until: str = ""


RUNS = (
    Run(
        "deploy-running",
        "A deployment while it goes on",
        "inv local.start",
        "inv deploy --local",
        (7, 12),
        r"[34]\d of \d+ resources",
    ),
    Run("deploy", "What a deployment says in the end", "", "", (7, 37)),
    Run(
        "data-loss",
        "An update that would replace a table is shown, and refused",
        (
            "sed -i '0,/BillingMode: PAY_PER_REQUEST/s//&\\n      TableName: jobs-by-hand/' "
            "infrastructure/cloudformation/database-stack.yaml"
        ),
        "inv update --local --yes",
        (33, 26),
    ),
)


def main() -> None:
    """Draw every picture."""
    with tempfile.TemporaryDirectory() as folder:
        clone, state = Path(folder, "clone"), Path(folder, "state")
        shutil.copytree(guides.REPOSITORY, clone, ignore=guides.LEFT_OUT)
        try:
            environment = guides.environment(Path(folder), state)
            command = said = ""
            for run in RUNS:
                if run.command:
                    subprocess.run(
                        ["bash", "-c", run.before], cwd=clone, env=environment, check=True
                    )
                    command = run.command
                    said = capture(command, clone, environment)
                    said = said.replace(str(clone), "~/plot-palette")
                shown = stop(said, run.until) if run.until else said
                for ground, theme in THEMES.items():
                    text = draw(run.title, f"$ {command}\n{shown}", run.keep, theme)
                    (IMAGES / f"{run.name}-{ground}.svg").write_text(text)
        finally:
            control.stop(state)


def capture(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Run a command on a pseudo-terminal and return everything it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    running = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=environment | {"TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux reports the closed terminal as an error
            break
        if not piece:
            break
        written += piece
    running.wait()
    os.close(ours)
    return written.decode(errors="replace")


#: What rich sends to draw in place: up a line, erase a line, hide and show the cursor.
_MOVES = re.compile(r"(\x1b\[\d*[AK]|\x1b\[\?25[lh]|\r|\n)")


def stop(output: str, until: str) -> str:
    """Return an output up to where something was on the screen, before that was drawn anew."""
    found = re.search(until, output)
    if found is None:
        raise AssertionError(f"never seen: {until}")
    return output[: output.find("\r\x1b[2K", found.end())]


def settle(output: str) -> str:
    """Return what an output leaves on the screen, without what was redrawn in place."""
    lines, row = [""], 0
    for piece in _MOVES.split(output):
        if piece == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif _MOVES.fullmatch(piece):
            row -= piece.endswith("A")
            lines[row] = "" if piece.endswith("K") else lines[row]
        else:
            lines[row] += piece
    return "\n".join(lines)


def draw(title: str, output: str, keep: tuple[int, int], theme: TerminalTheme) -> str:
    """Return a picture, as SVG, of a terminal that shows the output as it was in the end.

    Of a long output the first and the last lines, as many as `keep` says, are shown; a line that is
    longer than the terminal is wide goes on below, as on a terminal.
    """
    decoded = AnsiDecoder().decode(settle(output.replace("\r\n", "\n")).rstrip())
    lines = [part for line in decoded for part in line.divide(range(COLUMNS, len(line), COLUMNS))]
    first, last = keep
    if len(lines) > first + last + 1:
        left_out = len(lines) - first - last
        lines[first : len(lines) - last] = [Text(f"        … {left_out} lines …", style="dim")]
    terminal = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in lines:
        terminal.print(line, no_wrap=True)
    picture = terminal.export_svg(title=title, theme=theme)
    # Fonts would be fetched from a stranger by whoever opens the picture.
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)


if __name__ == "__main__":
    sys.exit(main())
