"""Make an Invoke task of a function that takes a target and returns an answer."""

from __future__ import annotations

import contextlib
import html
import inspect
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec

from invoke.context import Context
from invoke.exceptions import Exit, ParseError
from invoke.main import program
from invoke.tasks import Task, task

from commands.flags import ARTIFACTS, COMMON, COMMON_HELP, RECORDING, Common
from commands.target import Target, log_folder
from lib import outside
from lib.errors import (
    AwsUnavailable,
    DeploymentError,
    InputError,
    Interrupted,
    OperationFailed,
    Refused,
)
from lib.operators import Answer, Level, Note
from lib.terminal import finish
from lib.terminal.console import Console, open_console

if TYPE_CHECKING:
    from typing import TextIO

    from commands.taping import Rerun
    from lib.recordings.recorder import Recorder
    from lib.recordings.recordings import Recording
    from lib.terminal.journal import Journal


#: The flags of one task, as its function takes them.
Own = ParamSpec("Own")

#: The exit codes of a run that others may want to see: neither a typing mistake nor Ctrl-C.
FAILED = (OperationFailed.exit_code, Refused.exit_code, AwsUnavailable.exit_code)

DescribeError = Callable[[Target, DeploymentError], dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """What a task does, however its target came about."""

    key: str
    name: str
    work: Callable[..., Answer]
    describe_error: DescribeError
    changes: bool = False

    def carry_out(self, target: Target, chosen: Common, given: Mapping[str, Any]) -> int:
        """Do the work and return its exit code, recorded where that is wanted."""
        recorders: list[Recorder] = []
        kept = contextlib.ExitStack()

        def work() -> Answer:
            recorders.extend(self._record(target, chosen, given, kept))
            return self.work(target, **given)

        code = 1
        try:
            with kept:
                try:
                    code = carry_out(target, work, self.describe_error, as_json=chosen.json)
                    if chosen.record and (recorders or outside.is_replayed()):
                        from commands import taping

                        taping.tell(target.console, chosen.record)
                    target.console.close()
                finally:
                    for recorder in recorders:
                        recorder.end(code)
        finally:
            # A bug of ours too, whose traceback comes after it.
            if code in FAILED and not chosen.record and not target.console.declined:
                for recorder in recorders:
                    from commands import taping

                    taping.offer(target, recorder, self.name)
        return code

    def _record(
        self, target: Target, chosen: Common, given: Mapping[str, Any], kept: contextlib.ExitStack
    ) -> Iterator[Recorder]:
        """Have a run followed, for as long as `kept` is open, where somebody may want to have it.

        What only looks can be run again with `--record`, and is not followed without.
        """
        if outside.is_replayed() or not (chosen.record or self.changes):
            return
        from commands import taping

        if chosen.record:
            yield kept.enter_context(taping.record(target, chosen, given, self.key, self.name))
        elif taping.is_held(target.console, chosen):
            yield kept.enter_context(taping.hold(target, chosen, given, self.key, self.name))


#: Every task that can be recorded, and hence run again, by the module and the name of its function.
RUNS: dict[str, Run] = {}


def operation(
    help: Mapping[str, str] | None = None,
    common: Sequence[str] = COMMON,
    describe_error: DescribeError = lambda _target, _error: {},
    changes: bool = False,
) -> Callable[[Callable[Concatenate[Target, Own], Answer]], Task[Any]]:
    """Make a task of a function that takes a `Target` and its own flags, and returns an `Answer`.

    Adds the common flags, gives the function its console, and turns errors of ours into
    exit codes. `describe_error` fills the JSON document when an error ends the task. A task
    that `changes` something at AWS keeps a log file.
    """

    def make_task(body: Callable[Concatenate[Target, Own], Answer]) -> Task[Any]:
        name = body.__name__.replace("_", "-")
        key = f"{body.__module__}.{body.__name__}"
        runs = Run(key, name, body, describe_error, changes)
        if "record" in common:
            RUNS[key] = runs

        def run(_context: Context, **given: Any) -> None:
            chosen = Common(**{name: given.pop(name) for name in common})
            with open_target(chosen, name, logged=changes) as target:
                code = runs.carry_out(target, chosen, given)
            if code:
                raise Exit(code=code)

        run.__name__, run.__doc__ = body.__name__, body.__doc__
        run.__signature__ = join_flags(body, common)  # type: ignore[attr-defined]  # inspect reads it
        texts = {flag: COMMON_HELP[flag] for flag in (name.replace("_", "-") for name in common)}
        made: Task[Any] = task(help={**texts, **(help or {})})(run)
        return made

    return make_task


def join_flags(body: Callable[..., Answer], common: Sequence[str]) -> inspect.Signature:
    """Return the parameters in which Invoke finds a task's flags: the common ones, then its own.

    One without a default is no flag but what stands after the task's name. Invoke gives the letters
    of short flags in this order, so those that came late stand last and take none from the others.
    """
    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    shared = [inspect.Parameter(name, keyword, default=getattr(Common, name)) for name in common]
    late = (*ARTIFACTS, *RECORDING)
    last = sorted((flag for flag in shared if flag.name in late), key=lambda f: late.index(f.name))
    first = [flag for flag in shared if flag not in last]
    _target, *own = inspect.signature(body).parameters.values()
    named = [one for one in own if one.default is inspect.Parameter.empty]
    flags = [*first, *(one for one in own if one not in named), *last]
    return inspect.Signature([inspect.Parameter("context", keyword), *named, *flags])


def rerun(recording: Recording, stdout: TextIO, stderr: TextIO) -> Rerun:
    """Run a recorded run again offline; what it shows goes where it went then.

    Raises `InputError` where this checkout has not the task.
    """
    from commands import taping
    from lib.recordings import replayer

    key = str(recording.head["task"])
    if key not in RUNS:
        raise InputError(
            f"{recording.path} records the task {recording.head['name']}, which this checkout "
            "has not.",
            next_step=f"replay it with commit {recording.head['commit'] or 'unknown'}",
        )
    with taping.lay_out(recording) as place, replayer.offline():
        out, err = taping.Mirror(stdout, place), taping.Mirror(stderr, place)
        tape = replayer.Replayer(recording, place.cover)
        with outside.through(tape):
            chosen, given = taping.read_flags(recording, place)
            console = taping.open_console(recording, chosen, out, err)
            target = aim(chosen, console, None, root=place.root)
            code = RUNS[key].carry_out(target, chosen, given)
    return taping.Rerun(out.text, err.text, code, tuple(tape.missing))


@contextlib.contextmanager
def open_target(chosen: Common, name: str, *, logged: bool) -> Iterator[Target]:
    """Give a task its console, its log file where it is `logged`, and what the flags name."""
    stack = chosen.stack_name or f"plot-palette-{chosen.env}"
    console = open_console(
        os.environ, yes=chosen.yes, verbose=chosen.debug, title=f"inv {name}: {stack}"
    )
    console.unfold = chosen.all
    stop_on_termination()
    with contextlib.closing(console), keep_journal(console, name, stack, wanted=logged) as journal:
        yield aim(chosen, console, journal)


def aim(
    chosen: Common, console: Console, journal: Journal | None, root: Path | None = None
) -> Target:
    """Return what the common flags name, in a checkout, or in the one that this code is in."""
    aimed = Target(
        chosen.env,
        chosen.region,
        chosen.stack_name,
        chosen.profile,
        chosen.local,
        console,
        journal,
        chosen.role_arn,
        {name: getattr(chosen, name) for name in ARTIFACTS},
        waits=chosen.wait,
    )
    return aimed if root is None else replace(aimed, root=root)


def carry_out(
    target: Target, work: Callable[[], Answer], describe_error: DescribeError, *, as_json: bool
) -> int:
    """Do a task's work, tell its answer or its error, and return its exit code."""
    console = target.console

    def do() -> Answer:
        try:
            return summarise(console, work())
        except DeploymentError as error:
            summarise(console, Answer({}, summary=_summarise_error(error)))
            raise
        finally:
            if not outside.is_replayed():
                leave_when_interrupted()

    code = finish.finish(
        console,
        do,
        as_json=as_json,
        place=lambda: target.place,
        describe_error=lambda error: describe_error(target, error),
    )
    console.log(f"exit code {code}")
    return code


@contextlib.contextmanager
def keep_journal(
    console: Console, name: str, stack: str, *, wanted: bool
) -> Iterator[Journal | None]:
    """Log what the console shows to a file; go on without where none can be written."""
    if not wanted:
        yield None
        return
    from lib.terminal import journal

    try:
        opened = journal.open_journal(
            log_folder(), lambda: datetime.now(UTC), task=name, stack=stack
        )
    except OSError as error:
        console.report(Note(f"No log file is kept: {error}", Level.WARNING))
        yield None
        return
    with opened:
        opened.hide_credentials(
            os.environ.get(key, "") for key in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        )
        console.log = opened.write
        opened.write(shlex.join(["inv", *sys.argv[1:]]))
        yield opened


def summarise(console: Console, answer: Answer) -> Answer:
    """Add an answer's summary to the page that GitHub shows beside a job, where there is one."""
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if page and answer.summary:
        from lib.terminal import journal

        try:
            if not journal.append_summary(Path(page), answer.summary):
                console.report(Note("The job's summary page is full.", Level.WARNING))
        except OSError as error:
            console.report(Note(f"The job's summary cannot be written: {error}", Level.WARNING))
    return answer


def _summarise_error(error: DeploymentError) -> str:
    """Return an error for the page beside a job: nobody should have to look for it in the log."""
    lines = [error.message, *(["", f"Next: {error.next_step}"] if error.next_step else [])]
    told = html.escape("\n".join(lines))
    return f"### ✗ Not done\n\n<pre>{told}</pre>"


def stop_on_termination() -> None:
    """Treat SIGTERM, by which CI cancels a job, like Ctrl-C: leave in order."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def leave_when_interrupted() -> None:
    """Let Ctrl-C and SIGTERM end the process without a word, now that the work has ended.

    What is left is to say how. Somebody who presses Ctrl-C again while that is being said, or while
    Python goes down, would get a traceback of ours instead.
    """

    def leave(*_: object) -> NoReturn:
        os._exit(Interrupted.exit_code)

    for interruption in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interruption, leave)


def keep_exit_codes() -> None:
    """Have Invoke itself end with the exit codes that the tasks promise.

    It ends with 1 for a task or a flag that is not there, which is bad input, and for Ctrl-C
    outside of a task, and has no setting for either. So the steps of the one program that runs are
    wrapped; they are those that `invoke.program.Program` documents for subclasses.
    """
    for step in ("parse_tasks", "parse_cleanup", "execute"):
        setattr(program, step, end_as_promised(getattr(program, step)))


def end_as_promised(step: Callable[[], None]) -> Callable[[], None]:
    """Return a step of Invoke's program that ends with exit codes of ours."""

    def run() -> None:
        try:
            step()
        except ParseError as exc:
            text = (
                f"✗ {exc}\n  Next: `inv --list` shows the tasks, `inv --help TASK` a task's flags."
            )
            raise Exit(text, code=InputError.exit_code) from None
        except KeyboardInterrupt:
            text = "✗ Interrupted before anything was begun."
            raise Exit(text, code=Interrupted.exit_code) from None

    return run
