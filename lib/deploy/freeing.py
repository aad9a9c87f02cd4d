"""Free what is stuck where no rollback of the whole stack does: name it all, and the way out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lib.deploy import outcomes
from lib.deploy.outcomes import Outcome, conclude, look_into
from lib.errors import Declined, StateForbids
from lib.operators import Level, Listing
from lib.refusals import error_code, error_message
from lib.stacks import admission, events, obstacles, stacks, statuses, watching
from lib.stacks.statuses import Decision, Move, Operation, Status
from lib.templates.templates import STACK_TYPE

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.obstacles import Obstacle
    from lib.stacks.stacks import Event, Stack


def admit(job: Job, access: Access) -> tuple[Stack | None, Decision, tuple[Stack, ...]]:
    """Admit a rollback, or refuse it by naming everything that is in the way and what frees it.

    Returns, beside the stack and what to do, the nested stacks that it left behind while it rests
    itself: they are something to do after all.
    """
    cfn = access.aws.client("cloudformation")
    try:
        stack, decision = admission.admit(job, access, Operation.ROLLBACK)
    except StateForbids as exc:
        stack = stacks.describe(cfn, job.stack_name)
        if stack is None or stack.status.is_running:
            raise
        if obstacles.is_stuck(stack.status):
            title = f"In the way in stack {stack.name} in {job.region}:"
            exc.next_step = outcomes.next_step(job, stack.status, _show(access, title, stack))
            raise
        decision = Decision(Move.NOTHING, "the stack itself rests")
        if left := obstacles.find_left_behind(cfn, stack):
            return stack, decision, left
        raise
    rests = stack is not None and decision.move is Move.NOTHING
    return stack, decision, obstacles.find_left_behind(cfn, stack) if stack and rests else ()


def free(
    job: Job, access: Access, stack: Stack, left: Sequence[Stack], skip: frozenset[str]
) -> Outcome:
    """Roll back the nested stacks that a root at rest has left behind.

    Raises `StateForbids` for those that only a deletion gets rid of, with the command for each.
    """
    behind = [one for one in left if one.status is Status.UPDATE_ROLLBACK_FAILED]
    if not behind:
        raise _refuse(job, access, stack, left)
    outcome = None
    for one in behind:
        outcome = _roll_back_nested(job, access, stack, one, skip)
        if outcome.failed:
            return outcome
    if rest := [one for one in left if one not in behind]:
        raise _refuse(job, access, stack, rest)
    return outcome or outcomes.unchanged(job, stack)


def _show(access: Access, title: str, stack: Stack) -> tuple[Obstacle, ...]:
    """Show and return what a stack is stuck at, in whichever nested stack."""
    found = obstacles.look(access.aws.client("cloudformation"), stack.id, stack.status)
    access.operator.report(Listing(title, obstacles.COLUMNS, obstacles.as_rows(found)))
    return found


def _refuse(job: Job, access: Access, stack: Stack, left: Sequence[Stack]) -> StateForbids:
    """Show what nested stacks are stuck at, and return the refusal that says how to delete them."""
    commands = []
    for one in left:
        found = _show(access, f"In the way in nested stack {one.name} ({one.status}):", one)
        retain = f" --retain {obstacles.list_names(found)}" if _may_retain(one, found) else ""
        commands.append(f"inv deploy --delete {_flags_of(job, one)}{retain}")
    names = ", ".join(f"{one.name} ({one.status})" for one in left)
    return StateForbids(
        f"Stack {stack.name} in {job.region} is {stack.status} and has left behind what only a "
        f"deletion gets rid of: {names}.",
        next_step=", then ".join(commands),
    )


def _may_retain(stack: Stack, found: Sequence[object]) -> bool:
    """Tell whether AWS takes a list of what is to be retained."""
    return bool(found) and stack.status is Status.DELETE_FAILED


def _flags_of(job: Job, nested: Stack) -> str:
    """Return the flags that name a nested stack where a job's own would be."""
    flags = re.sub(r" ?--stack-name \S+", "", job.flags)
    return f"{flags} --stack-name {nested.name}"


def _roll_back_nested(
    job: Job, access: Access, root: Stack, nested: Stack, skip: frozenset[str]
) -> Outcome:
    """Continue the rollback of one nested stack by itself, as far as AWS takes that."""
    cfn = access.aws.client("cloudformation")
    found = _show(access, f"Not rolled back in nested stack {nested.name} in {job.region}:", nested)
    command = f"inv rollback {job.flags}"
    chosen = obstacles.choose(found, skip, "--skip", command=command)
    where = f"nested stack {nested.name} in {job.region} ({nested.status})"
    if not access.operator.confirm(f"Continue the rollback of {where} by itself?", "y"):
        raise Declined(f"Nothing was done to {where}.")
    after = events.mark(cfn, nested.id)
    with watching.leaving_running(job, access, stop=watching.UNSTOPPABLE):
        continue_rollback(
            job,
            access,
            nested,
            [one.wire_name for one in chosen],
            token=watching.new_token(),
        )
    ending = watching.wait(job, access, nested.id, after, stop=watching.UNSTOPPABLE)
    outcome = conclude(job, "rolled-back", root.id, ending)
    if ending.status in statuses.ROLLED_BACK:
        return replace(outcome, action="rolled-back", failure=None, next_step="")
    return look_into(job, access, replace(outcome, stack_id=nested.id), ending.events)


def continue_rollback(
    job: Job, access: Access, stack: Stack, skip: Sequence[str], *, token: str
) -> None:
    """Ask AWS to go on with a rollback that failed.

    Of a nested stack by itself an operator's log has "RollbackUpdatedStack cannot be invoked on
    child stacks", and after an import it is not documented. Where AWS refuses either, raises
    `StateForbids` with what is left.
    """
    cfn = access.aws.client("cloudformation")
    try:
        stacks.continue_rollback(cfn, stack.id, skip=skip, token=token, role_arn=job.role_arn)
    except ClientError as exc:
        imported = stack.status is Status.IMPORT_ROLLBACK_FAILED
        if error_code(exc) != "ValidationError" or not (imported or stack.parent_id):
            raise
        raise StateForbids(
            f"AWS does not go on with the rollback of stack {stack.name} in {job.region} "
            f"({stack.status}): {error_message(exc)}",
            next_step=_other_way(job, stack),
        ) from None


def _other_way(job: Job, stack: Stack) -> str:
    """Return what leads on where AWS continues no rollback."""
    if stack.parent_id:
        return (
            "take the nested stack out of master-stack.yaml and "
            f"inv deploy {job.flags}, which keeps its data; put it back, deploy again, and bring "
            "the data under it with inv rescue.adopt --resource PATH --physical-id NAME "
            f"{job.flags}"
        )
    return (
        f"inv deploy --delete {job.flags}, which keeps what was imported; then inv deploy "
        f"{job.flags}, and bring it back with inv rescue.adopt --resource PATH --physical-id NAME "
        f"{job.flags}"
    )


def warn_left_behind(job: Job, access: Access, happened: Sequence[Event]) -> None:
    """Say which nested stacks an operation that succeeded could not delete after it.

    The root is UPDATE_COMPLETE all the same, and does not name them any more.
    """
    names = list(
        dict.fromkeys(
            stacks.name_of(event.physical_id)
            for event in happened
            if event.type == STACK_TYPE and not event.is_own and event.status == "DELETE_FAILED"
        )
    )
    if names:
        access.say(
            f"Left behind, because it could not be deleted: {', '.join(names)}. "
            f"`inv rollback {job.flags}` says what is in the way and what frees it.",
            Level.WARNING,
        )
