"""Write a deployment into the stack's history: before it begins, and how it ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lib import polling
from lib.deploy import freeing
from lib.deploy.outcomes import Outcome, conclude, look_into
from lib.errors import DeploymentError
from lib.inputs import parameters
from lib.operators import Level
from lib.refusals import error_code, error_message
from lib.releases import history, store
from lib.stacks import events, watching
from lib.templates import templates

if TYPE_CHECKING:
    from lib.deploy.publishing import Run
    from lib.releases.history import Record
    from lib.stacks.events import Ending


def begin(run: Run, action: str, stack_id: str, token: str) -> Record:
    """Write down what is about to happen, by a request with this token."""
    identity = run.access.aws.identity()
    record = history.Record(
        release=run.release.name,
        time=history.stamp(run.access.clock.now()),
        action=action,
        status=history.STARTED,
        by=identity.arn,
        stack=run.job.stack_name,
        stack_id=stack_id,
        parameters=parameters.without_secrets(
            run.values, run.job.templates[templates.MASTER].parameters
        ),
        express=run.options.express,
        plan=run.plan,
        request=token,
    )
    _write(run, record)
    return record


def complete(run: Run, record: Record, status: str, stack_id: str, reason: str = "") -> None:
    """Write down how it ended, which must not make a failure of what has succeeded."""
    now = run.access.clock.now()
    done = history.complete(record, now, status=status, stack_id=stack_id, reason=reason)
    try:
        polling.ask_patiently(lambda: _write(run, done), run.access.clock)
    except (BotoCoreError, ClientError) as exc:
        run.access.say(
            f"How this ended ({status}) could not be written to the history: {error_message(exc)}",
            Level.WARNING,
        )


def close(run: Run, record: Record, action: str, stack_id: str, ending: Ending) -> Outcome:
    """Complete the record of what has ended, and return what became of it."""
    complete(run, record, ending.status, stack_id)
    if run.options.express and (settling := events.list_settling(ending.events)):
        run.access.say(
            "Express mode does not wait for resources to be ready; still coming up: "
            f"{', '.join(settling)}",
            Level.WARNING,
        )
    freeing.warn_left_behind(run.job, run.access, ending.events)
    outcome = replace(conclude(run.job, action, stack_id, ending), release=run.release.name)
    return look_into(run.job, run.access, outcome, ending.events)


def usual(run: Run, record: Record) -> Callable[[], float | None]:
    """Return what tells how many seconds such an operation usually takes, None where unknown.

    It reads the newest records, unless the run has them. Nothing else hangs on what it finds, so
    that whatever goes wrong with it is left alone.
    """

    def ask() -> float | None:
        try:
            past = run.past or history.read(
                store.open_bucket(run.access, run.published.bucket),
                run.job.stack_name,
                newest=history.RECENT,
            )
        except (BotoCoreError, ClientError, DeploymentError):
            return None
        return history.find_usual_seconds(past, record.action)

    return ask


@contextlib.contextmanager
def refusals(run: Run, record: Record, stack_id: str) -> Iterator[None]:
    """Complete the record with AWS's own words when it refuses to begin the operation."""
    try:
        yield
    except ClientError as exc:
        if watching.was_refused(exc):
            said = f"{error_code(exc)}: {error_message(exc)}"
            complete(run, record, history.REFUSED, stack_id, said)
        raise


def _write(run: Run, record: Record) -> None:
    """Write a record beside the releases."""
    history.write(store.open_bucket(run.access, run.published.bucket), record)
