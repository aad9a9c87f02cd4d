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
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec

from invoke.context import Context
from invoke.exceptions import Exit, ParseError
from invoke.main import program
from invoke.tasks import Task, task

from commands.flags import ARTIFACTS, COMMON, COMMON_HELP, Common
from commands.target import Target, log_folder
from lib.errors import DeploymentError, InputError, Interrupted
from lib.operators import Answer, Level, Note
from lib.terminal import finish
from lib.terminal.console import Console, open_console

if TYPE_CHECKING:
    from lib.terminal.journal import Journal


#: The flags of one task, as its function takes them.
Own = ParamSpec("Own")

DescribeError = Callable[[Target, DeploymentError], dict[str, Any]]


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
        work: Callable[..., Answer] = body

        def run(_context: Context, **given: Any) -> None:
            chosen = Common(**{name: given.pop(name) for name in common})
            name = body.__name__.replace("_", "-")
            with open_target(chosen, name, logged=changes) as target:
                code = carry_out(
                    target, lambda: work(target, **given), describe_error, as_json=chosen.json
                )
            target.console.close_group()
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
    of short flags in this order, so the artefacts, which came last, stand last and take none from
    the others.
    """
    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    shared = [inspect.Parameter(name, keyword, default=getattr(Common, name)) for name in common]
    last = [flag for flag in shared if flag.name in ARTIFACTS]
    first = [flag for flag in shared if flag not in last]
    _target, *own = inspect.signature(body).parameters.values()
    named = [one for one in own if one.default is inspect.Parameter.empty]
    flags = [*first, *(one for one in own if one not in named), *last]
    return inspect.Signature([inspect.Parameter("context", keyword), *named, *flags])


@contextlib.contextmanager
def open_target(chosen: Common, name: str, *, logged: bool) -> Iterator[Target]:
    """Give a task its console, its log file where it is `logged`, and what the flags name."""
    stack = chosen.stack_name or f"plot-palette-{chosen.env}"
    console = open_console(
        os.environ, yes=chosen.yes, verbose=chosen.debug, title=f"inv {name}: {stack}"
    )
    console.unfold = chosen.all
    stop_on_termination()
    with keep_journal(console, name, stack, wanted=logged) as journal:
        yield Target(
            chosen.env,
            chosen.region,
            chosen.stack_name,
            chosen.profile,
            chosen.local,
            console,
            journal,
            chosen.role_arn,
            {name: getattr(chosen, name) for name in ARTIFACTS},
        )


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
