"""Watch what CloudFormation is doing, for a person who may want to leave."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lib import outside
from lib.errors import Interrupted
from lib.operators import Expected, Level, OnInterrupt, ResourceProgress, Rested
from lib.refusals import explain, is_passing
from lib.stacks import durations, events, stacks

if TYPE_CHECKING:
    from datetime import datetime

    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.events import Ending
    from lib.stacks.stacks import Event


#: The task that stops an operation, by what is running; rollbacks and deletions run on.
STOP_CREATION = "inv deploy --delete"
STOP_UPDATE = "inv rollback"
UNSTOPPABLE = ""


def new_token() -> str:
    """Return a token that makes one request recognisable, to AWS and among events."""
    return f"plot-palette-{outside.new_id()}"


def wait(
    job: Job,
    access: Access,
    stack_id: str,
    after: events.Mark | None,
    *,
    stop: str,
    expected: Iterable[str] = (),
    usually: Callable[[], float | None] | None = None,
    at_once: bool = False,
) -> Ending:
    """Follow an operation to its end, showing each event once, and say what took long.

    `stop` is the task that would stop it, one of the constants above; `expected` has the paths
    of what it will touch, as far as that is known, `usually` returns the seconds that such an
    operation takes. With `at_once` it runs already, and was not only just asked for.

    Ctrl-C asks the operator: leave (raises `Interrupted` saying how to watch and stop what
    goes on at AWS), keep waiting, or cancel the update and follow its rollback. Credentials
    that expire while watching end the watch, not the operation, and the error says so.
    """
    access.operator.report(Expected(frozenset(expected), usually))
    try:
        ending = _follow(job, access, stack_id, after, stop, at_once=at_once)
    finally:
        access.operator.report(Rested())
    title = f"What took longest on stack {job.stack_name} in {job.region}:"
    if longest := durations.list_longest(title, ending.events):
        access.operator.report(longest)
    return ending


def _follow(
    job: Job,
    access: Access,
    stack_id: str,
    after: events.Mark | None,
    stop: str,
    *,
    at_once: bool,
) -> Ending:
    """Follow an operation to its end, or until the operator leaves it."""
    cfn = access.aws.client("cloudformation")
    show = _shower(job, access)
    while True:
        try:
            with leaving_running(job, access, stop=stop):
                if not at_once:
                    # There is nothing to tell yet, and each look counts.
                    access.clock.sleep(events.FIRST_PAUSE)
                return events.follow(cfn, stack_id, after=after, clock=access.clock, show=show)
        except Interrupted:
            choice = access.operator.on_interrupt(stop == STOP_UPDATE)
            if choice is OnInterrupt.DETACH:
                raise
            if choice is OnInterrupt.CANCEL:
                stacks.cancel_update(cfn, stack_id, token=new_token())
                access.say("Asked CloudFormation to cancel the update; following its rollback.")
                stop = UNSTOPPABLE


def _shower(job: Job, access: Access) -> Callable[[Event], None]:
    """Return what shows each event once, with the time since the first."""
    began: list[datetime] = []
    shown: set[str] = set()

    def show(event: Event) -> None:
        # A nested stack's own events repeat what its parent says of it.
        if event.id in shown or (event.is_own and event.path):
            return
        shown.add(event.id)
        began.append(event.time)
        if event.hook_warns:
            access.say(f"{event.path or job.stack_name}: {event.told}", Level.WARNING)
            return
        elapsed = (event.time - began[0]).total_seconds()
        access.operator.report(
            ResourceProgress(event.time, event.path, event.type, event.status, event.told, elapsed)
        )

    return show


@contextlib.contextmanager
def leaving_running(job: Job, access: Access, *, stop: str) -> Iterator[None]:
    """Turn what interrupts the caller into an error that says what AWS is still doing."""
    goes_on = f"CloudFormation goes on with stack {job.stack_name} in {job.region}."
    watch = f"watch it with `inv events --follow {job.flags}`"
    try:
        yield
    except KeyboardInterrupt:
        ending = f", stop it with `{stop} {job.flags}`" if stop else ""
        raise Interrupted(f"Interrupted. {goes_on}", next_step=f"{watch}{ending}") from None
    except (BotoCoreError, ClientError) as exc:
        error = explain(exc, access.aws.region, job.stack_name)
        if was_refused(exc):
            raise error from exc
        then = f"{error.next_step} Then {watch}." if error.next_step else watch
        raise type(error)(f"{error.message}\n{goes_on}", next_step=then) from exc


def was_refused(exc: BaseException) -> bool:
    """Tell whether AWS refused to begin the operation at all, so that nothing goes on."""
    reads = ("Describe", "Get", "List")
    return (
        isinstance(exc, ClientError)
        and not is_passing(exc)
        and not exc.operation_name.startswith(reads)
    )
