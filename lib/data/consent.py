"""Stand between a change and the data it would cost: consent by name, proven backups."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from lib.access import Access
from lib.data import loss, proving, tables
from lib.errors import DataLossRefused, Declined, InputError, Refused
from lib.inputs.environments import PRODUCTION
from lib.inputs.jobs import Job
from lib.operators import Level
from lib.parallel import side_by_side
from lib.polling import until
from lib.stacks.deployed import Deployed
from lib.templates.changes import Change

#: Seconds before a request, of which a backup may or may not hold what was written.
UNCERTAIN = 60.0


def prefix_of(region: str) -> str:
    """Return what stands before a path where consent names one of several regions."""
    return f"{region}:"


def read_by_region(allowed: frozenset[str], names: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return by region the paths whose data may be lost.

    Consent names both, `us-west-2:DatabaseStack/JobsTable`: what may go in one region may be
    all there is of it in another. Raises `InputError` for anything else.
    """
    consents: dict[str, frozenset[str]] = {name: frozenset() for name in names}
    for one in allowed:
        region, colon, path = one.partition(":")
        if not colon or not path or region not in consents:
            raise InputError(
                f"--allow-data-loss takes REGION:PATH with one of {', '.join(names)}, not {one!r}.",
                next_step=f"--allow-data-loss {names[0]}:DatabaseStack/JobsTable",
            )
        consents[region] |= {path}
    return consents


def count_items(access: Access, changes: Sequence[Change]) -> tuple[Change, ...]:
    """Return changes of which those that put a table at risk say how much it holds.

    "DynamoDB updates this value approximately every six hours. Recent changes might not be
    reflected in this value." A table that cannot be looked at may hold items, as before.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html
    """
    names = loss.tables_at_risk(changes)
    counts = dict(zip(names, side_by_side(partial(_count, access), names, at_once=8), strict=True))
    return tuple(
        loss.say_how_many(change, count)
        if (count := counts.get(change.physical_id)) is not None and loss.at_risk([change])
        else change
        for change in changes
    )


def _count(access: Access, table: str) -> int | None:
    """Return how many items a table held at the last count, None where that cannot be told."""
    try:
        told = access.aws.client("dynamodb").describe_table(TableName=table)["Table"]
    except (BotoCoreError, ClientError):
        return None
    return told.get("ItemCount")


def require_consent(
    job: Job, access: Access, risks: Sequence[Change], allowed: frozenset[str], *, prefix: str = ""
) -> None:
    """Have each path at risk named: in `allowed`, or typed on a terminal.

    With `prefix` the job's region is one of several, of which none is changed without this
    consent; it is typed in front of the path. Raises `Declined` when the operator types
    something else, and `DataLossRefused`, with the flag that allows it, where nobody can be
    asked.
    """
    target = f"stack {job.stack_name} in {job.region}"
    for risk in risks:
        if risk.path in allowed:
            continue
        path = f"{prefix}{risk.path}"
        verdict = f" will be {risk.verdict}" if prefix else f": {risk.verdict}"
        try:
            agreed = access.operator.confirm(f"{path} ({risk.type}){verdict}. Agree?", path)
        except Refused:
            if not prefix:
                loss.refuse_unless_allowed(risks, allowed, target=target)
                raise
            raise DataLossRefused(
                f"Data would be lost; nothing was changed. {path} ({risk.type}): {risk.verdict}",
                next_step=f"to accept it, add `--allow-data-loss {path}`",
                details={"at_risk": [path]},
            ) from None
        if not agreed and prefix:
            raise Declined("No region was changed.")
        if not agreed:
            raise Declined(f"Stack {job.stack_name} in {job.region} was not changed.")


def back_up(job: Job, access: Access, names: Sequence[str], *, wanted: bool) -> tuple[str, ...]:
    """Back up tables, wait until every backup is AVAILABLE, and return the ARNs.

    A table that is gone is left out, and that is said. Without `wanted` only says that nothing is
    backed up. First waits out the minute before a request of which AWS promises nothing. Raises
    `BackupFailed` when a single table has no proven backup: what was going to happen to it must
    not happen then.
    """
    if not names:
        return ()
    if not wanted:
        access.say("No backup is taken, as --no-backup says.", Level.WARNING)
        return ()
    left = _leave_out_lost(access, names)
    if not left:
        return ()
    _let_writers_stop(access, left)
    run = proving.take_backups(job, access, left)
    proving.require_complete(run)
    return tuple(backup.arn for backup in run.backups)


def _leave_out_lost(access: Access, names: Sequence[str]) -> tuple[str, ...]:
    """Leave out tables that are gone already: there is nothing left of them to back up."""
    dynamodb = access.aws.client("dynamodb")
    left = [n for n in names if tables.describe_table(dynamodb, n, access.clock)]
    for name in sorted(set(names) - set(left)):
        access.say(f"{name} is gone already; no backup of it can be taken.", Level.WARNING)
    return tuple(left)


def is_on_this_machine(access: Access) -> bool:
    """Tell whether an emulator on this machine answers for AWS, which nothing has to settle in."""
    host = urlsplit(access.aws.client("dynamodb").meta.endpoint_url).hostname or ""
    return host == "localhost" or host.startswith("127.")


def _let_writers_stop(access: Access, names: Sequence[str]) -> None:
    """Say what a backup will not hold, and wait so that it holds all there is until now.

    "If you submit a backup request on 2018-12-14 at 14:25:00, the backup is guaranteed to contain
    all data committed to the table up to 14:24:00, and data committed after 14:26:00 will not be."
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateBackup.html
    """
    if is_on_this_machine(access):
        # An emulator copies the table as it is.
        return
    access.say(
        f"Stop what writes to {', '.join(names)} now. A backup holds for certain only what was "
        f"written until a minute before it is asked for, so it is asked for in {UNCERTAIN:.0f} "
        "seconds; what is written from now on may be lost.",
        Level.WARNING,
    )
    until(lambda waited: True if waited >= UNCERTAIN else None, access.clock)


def warn_without_pitr(job: Job, access: Access, before: Deployed | None) -> None:
    """Warn of production tables whose point-in-time recovery is off."""
    if job.environment != PRODUCTION or before is None:
        return
    for table in tables.find_tables(before.list_of(loss.TABLE_TYPES)):
        window = tables.read_window(access.aws.client("dynamodb"), table, access.clock)
        if window and not window.is_on:
            access.say(f"Point-in-time recovery is off for table {table}.", Level.WARNING)


def warn_of_drift(access: Access, changes: Sequence[Change], before: Deployed | None) -> None:
    """Warn of changes to resources that hold data and no longer are as they were deployed."""
    stateful = [change for change in changes if change.type in loss.STATEFUL]
    # Listing costs a call per stack, so only those are listed that somebody is warned about.
    listed = before.list_beside(change.path for change in stateful) if before else ()
    drifted = {r.path for r in listed if r.drift == "MODIFIED"}
    for change in stateful:
        if change.path in drifted or change.drift in ("MODIFIED", "DELETED"):
            access.say(
                f"{change.path} has drifted from its template; `inv status --drift` shows how.",
                Level.WARNING,
            )
