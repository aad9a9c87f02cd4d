"""Stand between a change and the data it would cost: consent by name, proven backups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lib.data import loss, proving, tables
from lib.errors import Declined, Refused
from lib.inputs.environments import PRODUCTION
from lib.operators import Level

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.deployed import Deployed
    from lib.templates.changes import Change


def require_consent(
    job: Job, access: Access, risks: Sequence[Change], allowed: frozenset[str]
) -> None:
    """Have each path at risk named: in `allowed`, or typed on a terminal.

    Raises `Declined` when the operator types something else, and `DataLossRefused` naming
    every path, with the flag that allows it, where nobody can be asked.
    """
    for risk in risks:
        if risk.path in allowed:
            continue
        question = f"{risk.path} ({risk.type}): {risk.verdict}. Agree?"
        try:
            agreed = access.operator.confirm(question, risk.path)
        except Refused:
            target = f"stack {job.stack_name} in {job.region}"
            loss.refuse_unless_allowed(risks, allowed, target=target)
            raise
        if not agreed:
            raise Declined(f"Stack {job.stack_name} in {job.region} was not changed.")


def back_up(job: Job, access: Access, names: Sequence[str], *, wanted: bool) -> tuple[str, ...]:
    """Back up tables, wait until every backup is AVAILABLE, and return the ARNs.

    Without `wanted` only says that nothing is backed up. Raises `BackupFailed` when a single
    table has no proven backup: what was going to happen to it must not happen then.
    """
    if not names:
        return ()
    if not wanted:
        access.say("No backup is taken, as --no-backup says.", Level.WARNING)
        return ()
    run = proving.take_backups(job, access, names)
    proving.require_complete(run)
    return tuple(backup.arn for backup in run.backups)


def warn_without_pitr(job: Job, access: Access, before: Deployed | None) -> None:
    """Warn of production tables whose point-in-time recovery is off."""
    if job.environment != PRODUCTION or before is None:
        return
    names = tables.find_tables(before.resources)
    for table in tables.list_without_pitr(access.aws.client("dynamodb"), names, access.clock):
        access.say(f"Point-in-time recovery is off for table {table}.", Level.WARNING)


def warn_of_drift(access: Access, changes: Sequence[Change], before: Deployed | None) -> None:
    """Warn of changes to resources that hold data and no longer are as they were deployed."""
    drifted = {r.path for r in before.resources if r.drift == "MODIFIED"} if before else set()
    for change in changes:
        if change.type in loss.STATEFUL and (
            change.path in drifted or change.drift in ("MODIFIED", "DELETED")
        ):
            access.say(
                f"{change.path} has drifted from its template; `inv status --drift` shows how.",
                Level.WARNING,
            )
