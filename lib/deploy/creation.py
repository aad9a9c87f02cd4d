"""Make room for a stack of which only a failed creation is left.

A stack is created through a change set, as it is changed: "Four additional validations run during
change set creation only: S3 bucket emptiness validation, service quota checks, Recorder conflict
detection, and ECR repository delete readiness."
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.deploy import deletions
from lib.errors import Declined, StateForbids

if TYPE_CHECKING:
    from lib.deploy.publishing import Run
    from lib.stacks.stacks import Stack
    from lib.stacks.statuses import Decision


def clear_failed(run: Run, stack: Stack, decision: Decision) -> None:
    """Delete what a failed creation left, after asking, so that the stack can be created again."""
    if run.options.preview:
        raise StateForbids(
            f"Stack {stack.name} in {run.job.region} is {stack.status}: {decision.why}. "
            "There is nothing to preview against.",
            next_step=f"inv deploy {run.job.flags}",
        )
    question = (
        f"Stack {stack.name} in {run.job.region} is {stack.status}: {decision.why}. "
        "Delete what is left and create it again?"
    )
    if not run.access.operator.confirm(question, "y"):
        raise Declined(f"Stack {stack.name} was left as it is ({stack.status}).")
    deletions.clear(run.job, run.access, run.options, stack)
