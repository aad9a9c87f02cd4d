"""Decide by the stack's state what an operation may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.errors import StateForbids
from lib.inputs.jobs import Job
from lib.stacks import stacks, statuses, watching
from lib.stacks.statuses import Decision, Move, Operation, Status

if TYPE_CHECKING:
    from lib.access import Access
    from lib.stacks.stacks import Stack


ROLLED_BACK = (
    Status.ROLLBACK_COMPLETE,
    Status.UPDATE_ROLLBACK_COMPLETE,
    Status.IMPORT_ROLLBACK_COMPLETE,
)


def decide(job: Job, access: Access, operation: Operation) -> tuple[Stack | None, Decision]:
    """Look at the stack and decide; waits where the state is about to change by itself.

    Raises `StateForbids` with the reason and the next command.
    """
    cfn = access.aws.client("cloudformation")
    while True:
        stack = stacks.describe(cfn, job.stack_name)
        status = stack.status if stack else Status.ABSENT
        decision = statuses.decide(operation, status)
        if decision.move is Move.REFUSE:
            raise refuse(job, operation, status, decision)
        if decision.move is not Move.WAIT or stack is None:
            return stack, decision
        access.say(f"{job.stack_name} is {status}: {decision.why}; waiting.")
        ending = watching.wait(job, access, stack.id, None, stop=watching.UNSTOPPABLE)
        if operation is Operation.ROLLBACK and ending.status in ROLLED_BACK:
            return ending.stack, Decision(Move.NOTHING, f"the rollback has ended: {ending.status}")


def refuse(job: Job, operation: Operation, status: Status, decision: Decision) -> StateForbids:
    """Return the refusal of an operation in a state."""
    return StateForbids(
        f"Stack {job.stack_name} in {job.region} is {status}: {decision.why}. "
        f"`{operation}` was not started.",
        next_step=decision.next_step.format(target=job.flags),
    )
