"""Draw text for people: lines of progress, tables, questions. Streams come in as arguments.

Colour and redrawing only happen on a terminal, and NO_COLOR, CI and TERM=dumb switch them
off; both are rich's, which is imported once there is something to colour or to redraw. Without
a terminal every event is one plain line, and a question is refused, never waited for. In GitHub
Actions a stack's events are folded into a group and errors annotate the run.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, TextIO

from lib import outside
from lib.drawing import clean, draw_event, draw_report, fold, lay_out, measure_width, wrap
from lib.errors import Refused
from lib.operators import (
    Expected,
    Level,
    Note,
    OnInterrupt,
    Operator,
    Progress,
    ResourceProgress,
    Rested,
    Tone,
)
from lib.terminal.board import Board

if TYPE_CHECKING:
    from rich.console import Console as Screen
    from rich.console import RenderableType
    from rich.live import Live

#: What GitHub's runner would take for a command at the beginning of a line.
_RUNNER_COMMAND = re.compile(r"^([^\S\n]*)(?=::|##\[)", re.MULTILINE)

#: A command alone on its line stays as it is, to be copied.
_COMMAND = re.compile(r"^ *(Next: |\$ )?inv [^`\n]*$")

#: Where what an event says begins to fold: below its status.
_EVENT_INDENT = 8

_MARKS = {
    Level.INFO: ("", "-"),
    Level.DONE: ("green", "✓"),
    Level.WARNING: ("yellow", "!"),
    Level.ERROR: ("red", "✗"),
}

_TONES = {
    Tone.TITLE: "bold",
    Tone.ADDED: "green",
    Tone.CHANGED: "yellow",
    Tone.REMOVED: "red",
    Tone.ASIDE: "dim",
}


@dataclass
class Console:
    """Where a task writes to and asks from.

    `out` is for results, `err` for progress and questions, `source` for answers. `yes`
    answers ordinary questions; it never agrees to a loss of data. `github` writes for GitHub's
    runner, under `title`. `verbose` shows each AWS call, `unfold` each change. `log` is
    given everything that is shown, and both of these in any case. `now` counts seconds. With
    `ticks` a clock goes on between two answers on a tape too. `declined` tells whether the last
    question was answered with a no.
    """

    out: TextIO
    err: TextIO
    source: TextIO
    colour: bool
    redraw: bool
    interactive: bool
    yes: bool = False
    github: bool = False
    title: str = ""
    verbose: bool = False
    unfold: bool = False
    log: Callable[[str], None] = field(default=lambda _text: None)
    now: Callable[[], float] = outside.monotonic
    ticks: bool = False
    declined: bool = field(default=False, init=False)
    _board: Board | None = field(default=None, init=False)
    _live: Live | None = field(default=None, init=False)
    _grouped: bool = field(default=False, init=False)

    def operator(self) -> Operator:
        """Return the callables by which a workflow reaches this console."""
        return Operator(self.report, self.confirm, self.on_interrupt)

    def report(self, progress: Progress) -> None:
        """Show one piece of progress."""
        if isinstance(progress, ResourceProgress):
            self._report_resource(progress)
        elif isinstance(progress, Expected):
            self._board = self._begin(progress)
        elif isinstance(progress, Rested):
            self.rest()
        elif isinstance(progress, Note):
            self._report_note(progress)
        else:
            self.close_group()
            self.log(draw_report(progress, unfold=True))
            for line in lay_out(progress, unfold=self.unfold):
                self._write(line.text, _TONES.get(line.tone, ""))

    def _report_note(self, note: Note) -> None:
        colour, mark = _MARKS[note.level]
        if self.github and note.level is Level.ERROR:
            self._annotate(note.text)
            self.log(f"{mark} {note.text}")
        else:
            self.line(f"{mark} {note.text}", colour)

    def debug(self, text: str) -> None:
        """Log what only helps to look into a problem; show it when `verbose`."""
        self.log(text)
        if self.verbose:
            self._write(text, "dim")

    def _begin(self, expected: Expected) -> Board | None:
        """Return the board of an operation that begins, None where nothing is redrawn."""
        if not self.redraw:
            return None
        return Board(self.now, expected.paths, expected.usually() if expected.usually else None)

    def _report_resource(self, event: ResourceProgress) -> None:
        """Show one stack event; on a terminal what is only under way is redrawn in place."""
        running = event.status.endswith("_IN_PROGRESS")
        self.log(draw_event(replace(event, reason="") if running and self.redraw else event))
        if self.redraw:
            self._board = self._board or Board(self.now)
            self._board.note(event)
        if not (running and self.redraw):
            colour = "red" if event.status.endswith("_FAILED") or "ROLLBACK" in event.status else ""
            if event.status.endswith("_COMPLETE") and not colour:
                colour = "green"
            self._open_group("Events")
            self._write(draw_event(event), colour, hang=_EVENT_INDENT)
        if self._board:
            self._draw_live(self._board.copy())

    def line(self, text: str, colour: str = "") -> None:
        """Write a line of progress, rid of what could steer a terminal."""
        self.close_group()
        self.log(text)
        self._write(text, colour)

    def _write(self, text: str, colour: str = "", *, hang: int | None = None) -> None:
        """Write to the stream of progress, and to nothing else, above what is redrawn."""
        shown = clean(text)
        if self.github:
            shown = _RUNNER_COMMAND.sub(r"\1| ", shown)
        if self.redraw and not _COMMAND.match(shown):
            width = measure_width()
            shown = fold(shown, width) if hang is None else "\n".join(wrap(shown, width, hang=hang))
        if self._live or (self.colour and colour):
            from rich.text import Text

            self._screen.print(Text(shown, style=colour), soft_wrap=True)
        else:
            self.err.write(f"{shown}\n")
            self.err.flush()

    @cached_property
    def _screen(self) -> Screen:
        """Return rich's view of the terminal."""
        from rich.console import Console as Screen

        return Screen(
            file=self.err,
            force_terminal=True,
            color_system="standard" if self.colour else None,
            no_color=False,
            highlight=False,
            emoji=False,
            markup=False,
            legacy_windows=False,
        )

    @property
    def board(self) -> Callable[[Sequence[str]], None] | None:
        """Return what draws several lines over and over, None where nothing is redrawn."""
        return self.draw_board if self.redraw else None

    def draw_board(self, lines: Sequence[str]) -> None:
        """Show several lines that are redrawn in place, below everything else."""
        from rich.text import Text

        self._draw_live(Text(clean("\n".join(lines)), no_wrap=True, overflow="ellipsis"))

    def _draw_live(self, shown: RenderableType) -> None:
        """Draw below everything else, in the place of what was drawn there before.

        It is drawn once a second besides, so that a clock in it goes on between two looks.
        """
        if self._live:
            self._live.update(shown, refresh=True)
            return
        from rich.live import Live

        self._live = Live(
            shown,
            console=self._screen,
            transient=True,
            # A replay shows what was shown at each answer, and no tick between two of them.
            auto_refresh=self.ticks or not outside.is_taped(),
            refresh_per_second=1,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    def rest(self) -> None:
        """Take away what is redrawn in place: nothing moves any more, or somebody is asked."""
        if self._live:
            self._live.stop()
            self._live = None

    def _open_group(self, title: str) -> None:
        """Begin a group of lines that GitHub folds, unless one is open."""
        if self.github and not self._grouped:
            self.err.write(f"::group::{escape_data(title)}\n")
            self._grouped = True

    def close_group(self) -> None:
        """End the group that is open."""
        if self._grouped:
            self.err.write("::endgroup::\n")
            self.err.flush()
            self._grouped = False

    def close(self) -> None:
        """Leave the terminal as it was found."""
        self.rest()
        self.close_group()

    def _annotate(self, text: str) -> None:
        """Have GitHub show an error on the run's page."""
        self.close_group()
        title = escape_property(clean(self.title))
        self.err.write(f"::error title={title}::{escape_data(clean(text))}\n")
        self.err.flush()

    def result(self, text: str) -> None:
        """Write a result."""
        self.close_group()
        self.rest()
        self.log(text)
        self.out.write(f"{text}\n")
        self.out.flush()

    def confirm(self, question: str, word: str) -> bool:
        """Ask a question that is agreed to by typing a word.

        Raises `Refused` where there is nobody to ask and `--yes` does not answer.
        """
        ordinary = word == "y"
        if ordinary and self.yes:
            return True
        if not self.interactive or self.yes:
            raise Refused(
                f"Not done, because nobody can be asked here: {question}",
                next_step="run it on a terminal" + (", or add --yes" if ordinary else ""),
            )
        self.rest()
        hint = "[y/N]" if ordinary else f"(type {word} to agree)"
        self.line(f"{question} {hint}")
        answer = self.source.readline().strip()
        self.log(f"answered {answer!r}")
        agreed = answer.lower() in ("y", "yes") if ordinary else answer == word
        self.declined = not agreed
        return agreed

    def on_interrupt(self, can_cancel: bool) -> OnInterrupt:
        """Ask what Ctrl-C was meant to do; without a terminal it means to leave."""
        if not self.interactive:
            return OnInterrupt.DETACH
        self.rest()
        choices = {"d": OnInterrupt.DETACH, "w": OnInterrupt.WAIT}
        text = "Interrupted. AWS goes on. [d]etach, keep [w]aiting"
        if can_cancel:
            choices["c"] = OnInterrupt.CANCEL
            text += ", or [c]ancel the update and roll it back"
        self.line(f"{text}?")
        try:
            answer = self.source.readline()
        except KeyboardInterrupt:
            return OnInterrupt.DETACH
        # An end of input is a terminal that went away: nobody is left to wait.
        otherwise = OnInterrupt.WAIT if answer else OnInterrupt.DETACH
        return choices.get(answer.strip().lower()[:1], otherwise)


def open_console(
    environ: Mapping[str, str], *, yes: bool = False, verbose: bool = False, title: str = ""
) -> Console:
    """Return the console of this process, plain or lively as its streams allow."""
    on_terminal = sys.stderr.isatty() and environ.get("TERM") != "dumb" and not environ.get("CI")
    return Console(
        out=sys.stdout,
        err=sys.stderr,
        source=sys.stdin,
        colour=on_terminal and not environ.get("NO_COLOR"),
        redraw=on_terminal,
        # Python has no stream where the shell closed it.
        interactive=sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty(),
        yes=yes,
        github=environ.get("GITHUB_ACTIONS") == "true",
        title=title,
        verbose=verbose,
    )


def escape_data(text: str) -> str:
    """Return a message as GitHub's workflow commands take it.

    The three characters are those that the runner itself turns back.
    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
    """
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """Return a property of a workflow command, such as its title."""
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")
