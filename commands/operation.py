"""Make an Invoke task of a function that takes a target and returns an answer."""

from __future__ import annotations

import contextlib
import inspect
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task, task

from commands.flags import COMMON_HELP, Common
from commands.target import Target, log_folder
from lib.errors import DeploymentError
from lib.operators import Answer, Level, Note
from lib.terminal import finish
from lib.terminal.console import Console, open_console

if TYPE_CHECKING:
    from lib.terminal.journal import Journal


#: The names of the flags that every task takes, unless it says otherwise.
COMMON = tuple(field.name for field in fields(Common))


def operation(
    help: Mapping[str, str] | None = None,
    common: Sequence[str] = COMMON,
    describe_error: Callable[
        [Target, DeploymentError], dict[str, Any]
    ] = lambda _target, _error: {},
    changes: bool = False,
) -> Callable[[Callable[..., Answer]], Task[Any]]:
    """Make a task of a function that takes a `Target` and its own flags, and returns an `Answer`.

    Adds the common flags, gives the function its console, and turns errors of ours into
    exit codes. `describe_error` fills the JSON document when an error ends the task. A task
    that `changes` something at AWS keeps a log file.
    """

    def decorate(body: Callable[..., Answer]) -> Task[Any]:
        own = list(inspect.signature(body).parameters.values())[1:]
        keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
        shared = [
            inspect.Parameter(name, keyword, default=getattr(Common, name)) for name in common
        ]

        def run(_context: Context, **given: Any) -> None:
            chosen = Common(**{name: given.pop(name) for name in common})
            name = body.__name__.replace("_", "-")
            stack = chosen.stack_name or f"plot-palette-{chosen.env}"
            console = open_console(
                os.environ, yes=chosen.yes, verbose=chosen.debug, title=f"inv {name}: {stack}"
            )
            stop_on_termination()
            with keep_journal(console, name, stack, wanted=changes) as journal:
                target = Target(
                    chosen.env,
                    chosen.region,
                    chosen.stack_name,
                    chosen.profile,
                    chosen.local,
                    console,
                    journal,
                )
                code = finish.finish(
                    console,
                    lambda: summarise(console, body(target, **given)),
                    as_json=chosen.json,
                    place=lambda: target.place,
                    describe_error=lambda error: describe_error(target, error),
                )
                console.log(f"exit code {code}")
            console.close_group()
            if code:
                raise Exit(code=code)

        context = inspect.Parameter("context", keyword)
        run.__signature__ = inspect.Signature([context, *shared, *own])  # type: ignore[attr-defined]  # inspect reads it
        run.__name__, run.__doc__ = body.__name__, body.__doc__
        texts = {name.replace("_", "-"): COMMON_HELP[name.replace("_", "-")] for name in common}
        made: Task[Any] = task(help={**texts, **(help or {})})(run)
        return made

    return decorate


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


def stop_on_termination() -> None:
    """Treat SIGTERM, by which CI cancels a job, like Ctrl-C: leave in order."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
