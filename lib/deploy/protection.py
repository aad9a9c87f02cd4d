"""Protect a stack of production from deletion, and take that off for whoever types its name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lib.errors import Declined
from lib.operators import Level
from lib.refusals import error_message
from lib.stacks import stacks

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.stacks import Stack


def switch_on(job: Job, access: Access, stack_id: str) -> None:
    """Switch termination protection on; that it cannot be is no failure of the deployment.

    Not with CreateStack: a creation that fails is to be removed without further ado.
    """
    where = f"stack {job.stack_name} in {job.region}"
    try:
        stacks.protect(access.aws.client("cloudformation"), stack_id, on=True)
    except (BotoCoreError, ClientError) as exc:
        access.say(
            f"Termination protection of {where} could not be switched on: {error_message(exc)}",
            Level.WARNING,
        )
        return
    access.say(f"Termination protection of {where} is on.", Level.DONE)


def require_name(job: Job, access: Access, stack: Stack) -> None:
    """Have the name of a protected stack typed; `--yes` alone never agrees to this.

    Raises `Declined`, and `Refused` where nobody can be asked.
    """
    if not stack.protected:
        return
    question = (
        f"Stack {stack.name} in {job.region} is under termination protection. "
        "Take it off and delete the stack?"
    )
    if not access.operator.confirm(question, stack.name):
        raise Declined(f"Stack {stack.name} in {job.region} was not deleted.")


@contextlib.contextmanager
def taken_off(job: Job, access: Access, stack: Stack) -> Iterator[None]:
    """Take protection off for a call that begins a deletion; put it back when AWS refuses that."""
    if not stack.protected:
        yield
        return
    stacks.protect(access.aws.client("cloudformation"), stack.id, on=False)
    try:
        yield
    except BaseException:
        switch_on(job, access, stack.id)
        raise
