"""Draw the pictures of the guides anew: `python -m tests.docs.pictures`.

Each picture is a real run on a pseudo-terminal, in a clone with an emulator of its own.
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
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.text import Text

from emulator import control
from tests.docs import guides

IMAGES = guides.REPOSITORY / "docs" / "images"
COLUMNS = 100

#: File, title, what to run before it unseen, the command, and how many lines to keep.
RUNS = (
    ("deploy", "A deployment on a terminal", "inv local.start", "inv deploy --local", (16, 18)),
    (
        "data-loss",
        "An update that would replace a table is shown, and refused",
        (
            "sed -i '0,/BillingMode: PAY_PER_REQUEST/s//&\\n      TableName: jobs-by-hand/' "
            "infrastructure/cloudformation/database-stack.yaml"
        ),
        "inv update --local --yes",
        (34, 8),
    ),
)


def main() -> None:
    """Draw every picture."""
    with tempfile.TemporaryDirectory() as folder:
        clone, state = Path(folder, "clone"), Path(folder, "state")
        shutil.copytree(guides.REPOSITORY, clone, ignore=guides.LEFT_OUT)
        try:
            for name, title, before, command, keep in RUNS:
                environment = guides.environment(Path(folder), state)
                subprocess.run(["bash", "-c", before], cwd=clone, env=environment, check=True)
                shown = capture(command, clone, environment).replace(str(clone), "~/plot-palette")
                text = draw(title, f"$ {command}\n{shown}", keep)
                (IMAGES / f"{name}.svg").write_text(text)
        finally:
            control.stop(state)


def capture(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Run a command on a pseudo-terminal and return everything it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
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


def settle(output: str) -> str:
    """Return an output without the lines that were redrawn in place and erased."""
    kept: list[str] = []
    for line in output.split("\n"):
        *before, last = re.split(r"((?:\x1b\[A)+)\r\x1b\[J", line)
        for up in before[1::2]:
            # Erased is this line, too, of which nothing is kept yet.
            del kept[-up.count("\x1b[A") :]
        kept.append(last)
    return "\n".join(kept)


def draw(title: str, output: str, keep: tuple[int, int]) -> str:
    """Return a picture, as SVG, of a terminal that shows the output as it was in the end.

    Of a long output the first and the last lines, as many as `keep` says, are shown; lines
    longer than the terminal is wide are cut.
    """
    lines = list(AnsiDecoder().decode(settle(output.replace("\r\n", "\n")).rstrip("\n")))
    first, last = keep
    if len(lines) > first + last + 1:
        left_out = len(lines) - first - last
        lines[first:-last] = [Text(f"        … {left_out} lines …", style="dim")]
    terminal = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in lines:
        terminal.print(line, no_wrap=True, overflow="ellipsis")
    # Fonts would be fetched from a stranger by whoever opens the picture.
    return re.sub(r"@font-face \{.*?\}\s*", "", terminal.export_svg(title=title), flags=re.DOTALL)


if __name__ == "__main__":
    sys.exit(main())
