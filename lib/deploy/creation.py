"""Begin and end a creation: make room where only a failed one is left, protect what was made.

A stack is created through a change set, as it is changed: "Four additional validations run during
change set creation only: S3 bucket emptiness validation, service quota checks, Recorder conflict
detection, and ECR repository delete readiness."
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.deploy import deletions, protection, records
from lib.errors import Declined, StateForbids
from lib.inputs.environments import PRODUCTION
from lib.operators import Level

if TYPE_CHECKING:
    from lib.deploy.outcomes import Outcome
    from lib.deploy.publishing import Run
    from lib.releases.history import Record
    from lib.stacks.events import Ending
    from lib.stacks.stacks import Stack
    from lib.stacks.statuses import Decision


def conclude(run: Run, record: Record, stack_id: str, ending: Ending) -> Outcome:
    """Complete a creation's record; a stack of production is then protected from deletion."""
    outcome = records.close(run, record, "created", stack_id, ending)
    if run.job.environment == PRODUCTION and not outcome.failed:
        protection.switch_on(run.job, run.access, stack_id)
    return outcome


def clear_failed(run: Run, stack: Stack, decision: Decision) -> None:
    """Delete what a failed creation left, after asking, so that the stack can be created again."""
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
