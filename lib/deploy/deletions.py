"""Delete a stack: show what goes and what stays, ask, wait, list what is left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lib.data import consent, loss
from lib.deploy.outcomes import Outcome, conclude
from lib.deploy.report import list_deletion
from lib.errors import Declined, OperationFailed, StateForbids
from lib.stacks import deployed, events, stacks, watching
from lib.stacks.deployed import Deployed
from lib.stacks.statuses import Status
from lib.templates.changes import Change

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job, Options
    from lib.stacks.stacks import Stack


def delete(job: Job, access: Access, options: Options, stack: Stack) -> Outcome:
    """Delete a stack after showing its data's fate and asking.

    Raises `StateForbids` for a stack under termination protection, `Declined`, and
    `DataLossRefused` when data would be destroyed that no consent names.
    """
    before, removed = _look(job, access, stack)
    title = f"Deleting stack {stack.name} in {job.region} does this to what holds data:"
    access.operator.report(list_deletion(title, removed))
    others = len(before.resources) - len(removed)
    if not access.operator.confirm(f"Delete stack {stack.name} and {others} other resources?", "y"):
        raise Declined(f"Stack {stack.name} in {job.region} was not deleted.")
    return _act(job, access, options, stack, removed)


def clear(job: Job, access: Access, options: Options, stack: Stack) -> None:
    """Delete what a failed creation left, without asking again; its data is guarded all the same.

    Raises `OperationFailed` when something could not be deleted.
    """
    _before, removed = _look(job, access, stack)
    outcome = _act(job, access, options, stack, removed)
    if outcome.failure:
        raise OperationFailed(
            f"Stack {stack.name} in {job.region} could not be deleted: {outcome.failure.reason}",
            next_step=outcome.next_step,
        )


def _look(job: Job, access: Access, stack: Stack) -> tuple[Deployed, tuple[Change, ...]]:
    """Read the stack and say what its deletion does to everything that holds data."""
    if stack.protected:
        raise StateForbids(
            f"Stack {stack.name} in {job.region} is under termination protection.",
            next_step="if it really has to go: aws cloudformation update-termination-protection "
            f"--no-enable-termination-protection --stack-name {stack.name} --region {job.region}",
        )
    if stack.status is Status.REVIEW_IN_PROGRESS:
        # Nothing was created, and CloudFormation has no template to give.
        return Deployed({}, {}, {}, ()), ()
    before = deployed.read(access.aws.client("cloudformation"), stack)
    removed = tuple(
        Change(resource.path, resource.type, "Remove", physical_id=resource.physical_id)
        for resource in before.resources
        if resource.type in loss.STATEFUL
    )
    return before, loss.judge(removed, deployed.resolve_deployed(job, access, before), None)


def _act(
    job: Job, access: Access, options: Options, stack: Stack, removed: tuple[Change, ...]
) -> Outcome:
    """Delete the stack and follow it to its end."""
    cfn = access.aws.client("cloudformation")
    risks = tuple(change for change in removed if change.data_loss == "certain")
    consent.require_consent(job, access, risks, options.allow_data_loss)
    arns = consent.back_up(job, access, loss.tables_at_risk(risks), wanted=options.backup)
    after = events.mark(cfn, stack.id)
    with watching.leaving_running(job, access, stop=watching.UNSTOPPABLE):
        stacks.delete(cfn, stack.id, token=watching.new_token(), role_arn=job.role_arn)
    ending = watching.wait(job, access, stack.id, after, stop=watching.UNSTOPPABLE)
    return replace(conclude(job, "deleted", stack.id, ending), backups=arns)
