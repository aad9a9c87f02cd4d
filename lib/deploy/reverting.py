"""Say what takes drift back where AWS does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lib.errors import OperationFailed, Refused
from lib.operators import Listing
from lib.refusals import error_code, error_message
from lib.stacks import drift, stacks

if TYPE_CHECKING:
    from lib.deploy.publishing import Run
    from lib.stacks.drift import Drift

_COLUMNS = ("Path", "Type", "Drift", "Property", "Expected", "Actual")


def is_refused(exc: BaseException) -> bool:
    """Tell whether AWS refuses a drift-aware change set with nested stacks.

    Whether it does was never seen: the CDK leaves nested stacks out of such change sets, and no
    text of a refusal is known. So the operation and the code decide, and AWS's words are shown.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/drift-aware-change-sets.html
    """
    return (
        isinstance(exc, ClientError)
        and exc.operation_name == "CreateChangeSet"
        and error_code(exc) == "ValidationError"
    )


def refuse(run: Run, exc: BaseException) -> Refused:
    """Show what has drifted, and return the error that says what brings it back."""
    job, access = run.job, run.access
    stack = stacks.require(run.cfn, job)
    try:
        found: tuple[Drift, ...] = drift.detect(run.cfn, stack.id, access.clock)
    except OperationFailed as error:
        access.say(error.message)
        found = ()
    title = f"Drifted in stack {job.stack_name} in {job.region}:"
    access.operator.report(Listing(title, _COLUMNS, drift.as_rows(found)))
    return Refused(
        "\n".join(
            [
                (
                    f"AWS refused a change set that takes drift back for stack {job.stack_name} in "
                    f"{job.region}, as it seems to for stacks with others nested in them: "
                    f"{error_message(exc)} Nothing was changed."
                ),
                *(f"  - {_describe(one)}" for one in found),
            ]
        ),
        next_step="bring each back by hand to the expected value; or change the property in its "
        f"template, inv update {job.flags}, change it back and update again: an update writes "
        "only properties whose template changes.",
        details={"drifted": [one.path for one in found]},
    )


def _describe(one: Drift) -> str:
    """Return one line on what has drifted."""
    if one.status == "DELETED":
        return f"{one.path} ({one.type}) is gone: take it out of its template, update, put it back"
    return f"{one.path} ({one.type}): {one.property} is {one.actual}, expected {one.expected}"
