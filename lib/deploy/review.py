"""Judge what a change set would do, data first, and show it; nothing is changed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.data import consent, loss
from lib.deploy.report import list_changes
from lib.errors import OperationFailed
from lib.inputs import parameters
from lib.operators import Level
from lib.stacks import deployed
from lib.templates import comparison, templates

if TYPE_CHECKING:
    from lib.deploy.publishing import Run
    from lib.stacks.deployed import Deployed
    from lib.stacks.previews import ChangeSet
    from lib.stacks.stacks import Stack
    from lib.templates.changes import Change


@dataclass(frozen=True)
class Review:
    """What a change set comes to: every change with a verdict on data.

    `changes_nothing` may be true of a change set with rows, where AWS could only not rule a
    change out. `before` is what was deployed, None for a creation and where nobody had to look.
    """

    changes: tuple[Change, ...] = ()
    changes_nothing: bool = False
    before: Deployed | None = None


def judge(run: Run, proposed: ChangeSet, stack: Stack | None) -> Review:
    """Return the verdict on a change set of a stack, or of a new one.

    The verdict is the worse of AWS's word and our own comparison. Raises `OperationFailed`
    for a change set that AWS could not make.
    """
    if proposed.is_empty:
        return Review(changes_nothing=True)
    _require_usable(run, proposed)
    before = deployed.read(run.cfn, stack) if stack else None
    # A deployed NoEcho value is read back masked, so the new one is compared masked.
    values = parameters.mask_secrets(run.values, run.job.templates[templates.MASTER].parameters)
    after = deployed.resolve_for(run.job, run.access, run.job.templates, values)
    old = deployed.resolve_deployed(run.job, run.access, before) if before else None
    if before is None or old is None:
        return Review(loss.judge(proposed.changes, None, after), before=before)
    compared = comparison.compare(
        old, after, region=run.job.region, physical_ids=before.physical_ids
    )
    if not proposed.complete:
        run.access.say(
            "Not every change inside nested stacks could be read from this endpoint; the "
            "deployed templates are compared with the new ones instead.",
            Level.WARNING,
        )
    merged = loss.merge(proposed.changes, compared)
    same = proposed.complete and not merged and old.outputs == after.outputs
    return Review(loss.judge(merged, old, after), same, before)


def _require_usable(run: Run, proposed: ChangeSet) -> None:
    """Raise `OperationFailed` for a change set that AWS could not make."""
    if proposed.status != "FAILED":
        return
    raise OperationFailed(
        "\n".join(
            [
                (
                    f"CloudFormation cannot make this change to stack {run.job.stack_name} "
                    f"in {run.job.region}: {proposed.reason}"
                ),
                *(f"  - {problem}" for problem in proposed.problems),
            ]
        ),
        next_step=f"mend the template or the parameters, then inv deploy {run.job.flags}",
    )


def show(run: Run, proposed: ChangeSet, found: Review) -> None:
    """Show every change with its causes and what it does to data, and what AWS warns of."""
    title = f"Changes to stack {run.job.stack_name} in {run.job.region}:"
    if run.asks:
        run.access.operator.report(list_changes(title, found.changes))
    for warning in proposed.warnings:
        run.access.say(warning, Level.WARNING)
    if run.options.revert_drift and not proposed.reverts_drift:
        run.access.say("This endpoint does not take drift back.", Level.WARNING)
    consent.warn_of_drift(run.access, found.changes, found.before)
