"""Create a stack that does not exist yet, or of which only a failed creation is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lib.deploy import deletions, protection, publishing, records, review
from lib.errors import Declined, StateForbids, TemplateError
from lib.inputs.environments import PRODUCTION
from lib.operators import Level
from lib.refusals import error_code
from lib.stacks import stacks, watching

if TYPE_CHECKING:
    from lib.deploy.outcomes import Outcome
    from lib.deploy.publishing import Run
    from lib.releases.history import Record
    from lib.stacks.events import Ending
    from lib.stacks.stacks import Stack
    from lib.stacks.statuses import Decision


def create(run: Run) -> Outcome:
    """Create the stack and follow it to its end."""
    publishing.require_intact(run)
    run.access.say(f"Creating stack {run.job.stack_name} in {run.job.region}.")
    record = records.begin(run, "create", "")
    with (
        watching.leaving_running(run.job, run.access, stop=watching.STOP_CREATION),
        records.refusals(run, record, ""),
    ):
        stack_id = _start(run)
    ending = watching.wait(
        run.job,
        run.access,
        stack_id,
        None,
        stop=watching.STOP_CREATION,
        expected=_expect(run),
    )
    return conclude(run, record, stack_id, ending)


def _expect(run: Run) -> list[str]:
    """Return the paths of all that is created, none where the templates do not tell."""
    try:
        return [resource.path for resource in review.resolve_wanted(run).resources]
    except TemplateError:
        return []


def conclude(run: Run, record: Record, stack_id: str, ending: Ending) -> Outcome:
    """Complete a creation's record; a stack of production is then protected from deletion."""
    outcome = records.close(run, record, "created", stack_id, ending)
    if run.job.environment == PRODUCTION and not outcome.failed:
        protection.switch_on(run.job, run.access, stack_id)
    return outcome


def _start(run: Run) -> str:
    """Ask for the stack's creation and return its ID."""
    request = run.request(watching.new_token(), disable_rollback=run.options.disable_rollback)
    try:
        return stacks.create(run.cfn, request)
    except ClientError as exc:
        if error_code(exc) not in ("AlreadyExistsException", stacks.REPEATED_CODE):
            raise
    # A retry after a connection that broke meets the stack that the first try made.
    ours = stacks.find_started(run.cfn, run.job.stack_name, request.token)
    if ours:
        return ours
    raise StateForbids(
        f"Somebody else has just created stack {run.job.stack_name} in {run.job.region}.",
        next_step=f"inv events --follow {run.job.flags}",
    )


def replace_failed(run: Run, stack: Stack, decision: Decision) -> Outcome:
    """Delete what a failed creation left, after asking, and create the stack again."""
    if run.options.preview:
        raise StateForbids(
            f"Stack {stack.name} in {run.job.region} is {stack.status}: {decision.why}. "
            "There is nothing to preview against.",
            next_step=f"inv deploy {run.job.flags}",
        )
    # Said before it is asked: with --yes the question is never seen.
    run.access.say(
        f"Stack {stack.name} in {run.job.region} is {stack.status}: {decision.why}.", Level.WARNING
    )
    if not run.access.operator.confirm("Delete what is left and create it again?", "y"):
        raise Declined(f"Stack {stack.name} was left as it is ({stack.status}).")
    deletions.clear(run.job, run.access, run.options, stack)
    return create(run)
