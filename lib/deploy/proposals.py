"""Ask CloudFormation what a deployment would do, and discard what is not carried out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lib.deploy import reverting
from lib.inputs import parameters
from lib.operators import Level
from lib.refusals import error_message
from lib.stacks import changesets, watching
from lib.templates import templates

if TYPE_CHECKING:
    from lib.deploy.publishing import Run
    from lib.stacks.changesets import Proposal
    from lib.stacks.stacks import Request, Stack


def propose(run: Run, kind: str, *, disable_rollback: bool = False) -> Proposal:
    """Ask for a change set of the kind CREATE or UPDATE, which AWS then computes.

    One that is made for a plan says until when it may be applied. Raises `Refused` when drift
    was to be taken back and AWS does not.
    """
    secrets = parameters.list_secrets(run.job.templates[templates.MASTER].parameters)
    # No record holds them, so a return to an earlier release keeps the deployed ones.
    previous = secrets - set(run.values) if kind == "UPDATE" else frozenset()
    request = run.request(watching.new_token(), previous, disable_rollback=disable_rollback)
    name = changesets.name_for(run.access.clock.now(), run.release.name, request.token)
    try:
        return changesets.create(
            run.cfn,
            request,
            name=name,
            kind=kind,
            revert_drift=run.options.revert_drift,
            nested=not run.options.shallow,
            import_existing=run.options.import_existing,
        )
    except BaseException as exc:
        if run.options.revert_drift and reverting.is_refused(exc):
            raise reverting.refuse(run, exc) from None
        # Ctrl-C included: AWS may have made it although its answer did not arrive.
        _tidy_up(run, lambda: _discard_unanswered(run, request, name, kind))
        raise


def _discard_unanswered(run: Run, request: Request, name: str, kind: str) -> None:
    """Delete what a request for a change set made before its answer was lost."""
    made = changesets.find_own(run.cfn, request, name=name, kind=kind)
    if made:
        discard(run, made)


def discard(run: Run, proposal: Proposal) -> None:
    """Delete a change set that is not executed, and the shell of a creation."""
    changesets.discard(run.cfn, proposal, run.access.clock)


def withdraw(run: Run, proposal: Proposal) -> None:
    """Discard a change set that was only to be seen, once more if the first try is cut off."""
    try:
        discard(run, proposal)
    except BaseException:
        # Ctrl-C included: a creation's change set would leave the shell of a stack behind.
        abandon(run, proposal)
        raise


def abandon(run: Run, proposal: Proposal) -> None:
    """Discard a change set on the way out of an error, which nothing here may replace.

    A plan's stays: what stood in the way may be mended, and the same plan applied again.
    """
    if run.plan:
        return
    _tidy_up(run, lambda: discard(run, proposal))


def sweep(run: Run, stack: Stack) -> None:
    """Discard what expired plans and killed previews of this tool left; nobody else's."""
    _tidy_up(run, lambda: changesets.discard_expired(run.cfn, stack, run.access.clock))


@contextlib.contextmanager
def discarding_refused(run: Run, proposal: Proposal) -> Iterator[None]:
    """Discard a change set whose execution AWS refuses to begin; one under way stays."""
    try:
        yield
    except ClientError as exc:
        if watching.was_refused(exc):
            abandon(run, proposal)
        raise


def _tidy_up(run: Run, call: Callable[[], object]) -> None:
    """Make a call that must not take the place of the error that led to it."""
    try:
        call()
    except (BotoCoreError, ClientError) as exc:
        run.access.say(
            f"A change set of stack {run.job.stack_name} in {run.job.region} may be left: "
            f"{error_message(exc)}",
            Level.WARNING,
        )
