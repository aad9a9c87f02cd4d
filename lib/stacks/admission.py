"""Admit an operation to a stack as the stack's present state allows, or refuse it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.errors import StateForbids
from lib.stacks import events, stacks, statuses, watching
from lib.stacks.statuses import Decision, Move, Operation, Status

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.stacks import Stack


def admit(job: Job, access: Access, operation: Operation) -> tuple[Stack | None, Decision]:
    """Look at the stack and decide; waits where the state is about to change by itself.

    Raises `StateForbids` with the reason and the next command.
    """
    cfn = access.aws.client("cloudformation")
    # Not a loop of looks with pauses: each turn follows somebody's operation to its end.
    while True:
        stack = stacks.describe(cfn, job.stack_name)
        status = stack.status if stack else Status.ABSENT
        decision = statuses.decide(operation, status)
        if decision.move is Move.REFUSE:
            raise StateForbids(
                f"Stack {job.stack_name} in {job.region} is {status}: {decision.why}. "
                f"`{operation}` was not started.",
                next_step=decision.next_step.format(target=job.flags),
            )
        if decision.move is not Move.WAIT or stack is None:
            return stack, decision
        access.say(f"{job.stack_name} is {status}: {decision.why}; waiting.")
        begun = events.mark_beginning(cfn, stack.id)
        ending = watching.wait(
            job, access, stack.id, begun, stop=watching.UNSTOPPABLE, at_once=True
        )
        if operation is Operation.ROLLBACK and ending.status in statuses.ROLLED_BACK:
            return ending.stack, Decision(Move.NOTHING, f"the rollback has ended: {ending.status}")
