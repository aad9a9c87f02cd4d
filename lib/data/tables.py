"""Find a stack's tables, and read what DynamoDB says of one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.data.loss import TABLE_TYPES
from lib.polling import Clock, ask_patiently
from lib.refusals import error_code, is_passing
from lib.stacks.stacks import StackResource

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

NAME = re.compile(r"[a-zA-Z0-9_.-]{3,255}")

#: Seconds during which a backup or table just asked for may not be found yet.
SETTLING = 30.0

#: The table is in the middle of something else, or the account of too many things. A new
#: table's continuous backups, too, come up a little after the table itself.
_BUSY_CODES = frozenset(
    {
        "BackupInUseException",
        "ContinuousBackupsUnavailableException",
        "LimitExceededException",
        "ResourceInUseException",
        "TableInUseException",
    }
)


def is_busy(exc: BaseException) -> bool:
    """Tell whether a change may go through later: a passing fault, or a table not free for it."""
    return is_passing(exc) or error_code(exc) in _BUSY_CODES


def find_tables(resources: Iterable[StackResource]) -> tuple[str, ...]:
    """Return the physical names of the tables in a walked tree of stacks, each once.

    A table that failed to be created holds nothing and is left out.
    """
    found = (one for one in resources if one.type in TABLE_TYPES and one.status != "CREATE_FAILED")
    return tuple(dict.fromkeys(one.physical_id for one in found if one.physical_id))


def describe_table(
    dynamodb: DynamoDBClient, table: str, clock: Clock
) -> TableDescriptionTypeDef | None:
    """Return what DescribeTable says, or None when there is no such table."""
    try:
        return ask_patiently(lambda: dynamodb.describe_table(TableName=table)["Table"], clock)
    except ClientError as exc:
        if error_code(exc) == "ResourceNotFoundException":
            return None
        raise


def read_ttl(description: Mapping[str, Any]) -> str:
    """Return the attribute by which items expire, or "" when they do not."""
    on = description.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    return str(description.get("AttributeName", "")) if on else ""


@dataclass(frozen=True)
class Window:
    """A table's point-in-time recovery: whether it is on, and the times it can go back to."""

    is_on: bool
    earliest: datetime | None = None
    latest: datetime | None = None
    days: int | None = None


def read_window(dynamodb: DynamoDBClient, table: str, clock: Clock) -> Window | None:
    """Return a table's point-in-time recovery, or None when there is no such table.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeContinuousBackups.html
    """
    try:
        answer = ask_patiently(lambda: dynamodb.describe_continuous_backups(TableName=table), clock)
    except ClientError as exc:
        # AWS documents the first code; endpoints that emulate it answer with the second.
        if error_code(exc) in ("TableNotFoundException", "ResourceNotFoundException"):
            return None
        raise
    found = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    return Window(
        is_on=found.get("PointInTimeRecoveryStatus") == "ENABLED",
        earliest=found.get("EarliestRestorableDateTime"),
        latest=found.get("LatestRestorableDateTime"),
        days=found.get("RecoveryPeriodInDays"),
    )
