"""Name backups, list those that DynamoDB holds, and tell which are this tool's own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from lib.document import keys

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import ListBackupsInputPaginateTypeDef

#: How a moment is written in the names of backups and of restored tables.
STAMP = "%Y%m%d-%H%M%S"

_NAME_AT_MOST = 255
_HASH_DIGITS = 8


@dataclass(frozen=True)
class Backup:
    """A backup that DynamoDB holds. `table` is the physical name, `bytes` AWS's own figure.

    AWS refreshes the size about every six hours, so a young table's backup may say 0.
    """

    KEYS: ClassVar = keys("table arn name bytes")

    table: str
    arn: str
    name: str
    bytes: int
    status: str
    created: datetime | None = None


def name_for(environment: str, table: str, now: datetime) -> str:
    """Return the name of a backup taken at `now`, at most 255 characters.

    Where the table's name has to be cut, a hash of the whole name takes the place of its
    end, so that two long names stay apart.
    """
    prefix = f"plot-palette-{environment}-{now.astimezone(UTC).strftime(STAMP)}-"
    return prefix + _shorten(table, _NAME_AT_MOST - len(prefix))


def _shorten(table: str, room: int) -> str:
    """Cut a table's name to `room` characters without making two names equal."""
    if len(table) <= room:
        return table
    digest = hashlib.sha256(table.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{table[: room - _HASH_DIGITS - 1]}-{digest}"


def is_own(backup: Backup, environment: str) -> bool:
    """Tell whether this tool made a backup for this environment, by its exact name."""
    match = re.match(rf"plot-palette-{re.escape(environment)}-(\d{{8}}-\d{{6}})-", backup.name)
    if not match:
        return False
    try:
        taken = datetime.strptime(match[1], STAMP).replace(tzinfo=UTC)
    except ValueError:
        return False
    return backup.name == name_for(environment, backup.table, taken)


def list_backups(
    dynamodb: DynamoDBClient,
    *,
    table: str = "",
    since: datetime | None = None,
    every_type: bool = False,
) -> list[Backup]:
    """Return the backups of one table or of the whole region, all pages.

    `since` is the earliest creation. Without `every_type` only on-demand backups are
    listed, not those that DynamoDB makes of a deleted table.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ListBackups.html
    """
    filters: ListBackupsInputPaginateTypeDef = {"BackupType": "ALL" if every_type else "USER"}
    if table:
        filters["TableName"] = table
    if since:
        filters["TimeRangeLowerBound"] = since
    pages = dynamodb.get_paginator("list_backups").paginate(**filters)
    return [
        read_backup(entry, entry.get("TableName", ""))
        for page in pages
        for entry in page.get("BackupSummaries", [])
    ]


def read_backup(entry: Mapping[str, Any], table: str) -> Backup:
    """Turn what ListBackups or DescribeBackup says of one backup into a `Backup`."""
    return Backup(
        table=table,
        arn=entry.get("BackupArn", ""),
        name=entry.get("BackupName", ""),
        bytes=entry.get("BackupSizeBytes", 0),
        status=str(entry.get("BackupStatus", "")),
        created=entry.get("BackupCreationDateTime"),
    )


def newest_first(backups: Iterable[Backup]) -> list[Backup]:
    """Order backups by creation, the newest first."""
    epoch = datetime.min.replace(tzinfo=UTC)
    return sorted(backups, key=lambda backup: (backup.created or epoch, backup.arn), reverse=True)
