"""Delete this tool's own older backups."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from botocore.exceptions import ClientError

from lib.access import Access
from lib.data.catalogue import Backup, is_own, list_backups, newest_first
from lib.data.tables import is_busy
from lib.errors import InputError
from lib.inputs.jobs import Job
from lib.polling import ask_patiently
from lib.refusals import error_code

#: From this many tables on, one listing of all backups is cheaper than one for each table:
#: ListBackups allows five calls a second.
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ListBackups.html
TABLES_LISTED_APART = 25


def prune(job: Job, access: Access, made: Sequence[Backup], *, keep: int) -> tuple[str, ...]:
    """Delete older backups of the tables that `made` are backups of; return the ARNs.

    `keep` is how many stay per table, at least one. A backup is deleted only when its name
    is exactly one that this tool gives for this environment and table, it was made on
    demand, it is AVAILABLE, and it is none of `made`.

    Raises `InputError` for a `keep` below one.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteBackup.html
    """
    if keep < 1:
        raise InputError(
            f"--keep {keep} would leave tables without a backup.",
            next_step="Give --keep 1 or more.",
        )
    fresh = {backup.arn for backup in made}
    pruned: list[str] = []
    for backup in _find_surplus(access, [one.table for one in made], job.environment, keep):
        if backup.arn not in fresh:
            _delete(access, backup.arn)
            pruned.append(backup.arn)
            access.say(f"Deleted the older backup {backup.name}.")
    return tuple(pruned)


def _find_surplus(
    access: Access, tables: Sequence[str], environment: str, keep: int
) -> list[Backup]:
    """Return the own, complete backups of the tables beyond the newest `keep` of each."""
    dynamodb = access.aws.client("dynamodb")
    held: dict[str, list[Backup]] = {table: [] for table in tables}
    for scope in tables if len(tables) < TABLES_LISTED_APART else [""]:
        for backup in ask_patiently(partial(list_backups, dynamodb, table=scope), access.clock):
            if backup.table in held and backup.status == "AVAILABLE":
                held[backup.table].append(backup)
    return [
        backup
        for of_table in held.values()
        for backup in newest_first(b for b in of_table if is_own(b, environment))[keep:]
    ]


def _delete(access: Access, arn: str) -> None:
    """Delete a backup; one that is gone already is as good."""
    dynamodb = access.aws.client("dynamodb")
    try:
        ask_patiently(lambda: dynamodb.delete_backup(BackupArn=arn), access.clock, passes=is_busy)
    except ClientError as exc:
        if error_code(exc) != "BackupNotFoundException":
            raise
