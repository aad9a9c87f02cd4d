"""Create a table from a backup or a point in time, complete and counted.

DynamoDB restores only into a table that does not exist yet, and leaves out some of the
original's settings; those are read from the original and applied again.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CreateBackup.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.access import Access
from lib.data.catalogue import STAMP
from lib.data.settings import TableSettings, name_unrestored, reapply, reapply_ttl
from lib.data.sources import Source
from lib.data.tables import NAME, SETTLING, describe_table, is_busy
from lib.errors import BackupFailed, InputError, Interrupted, Refused
from lib.operators import Level
from lib.polling import Clock, ask_patiently, until
from lib.refusals import error_code, error_message

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import ScanInputTypeDef, TableDescriptionTypeDef

#: Counting reads the whole table, 1 MB for each page, and is paid for by what it reads.
#: Beyond this many pages (about 2 GB, a few minutes) the count is left to the operator.
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
PAGES_COUNTED_AT_MOST = 2000

#: Seconds between two lines of progress.
PROGRESS_EVERY = 30.0

_NAME_AT_MOST = 255

_RESTORED = re.compile(r"-restored-\d{8}-\d{6}$")


def name_target(table: str, now: datetime) -> str:
    """Return the name of a new table for the data of `table`, at most 255 characters."""
    ending = f"-restored-{now.astimezone(UTC).strftime(STAMP)}"
    # A table may have come out of a restore itself.
    table = _RESTORED.sub("", table)
    return f"{table[: _NAME_AT_MOST - len(ending)]}{ending}"


@dataclass(frozen=True)
class Restored:
    """A restored table.

    `items` were counted in it and `expected_items` in the original now; None where not
    counted. They differ by whatever was written to the original since. `reapplied` and
    `missing` name settings, the latter with what to do.
    """

    source: str
    table: str
    status: str
    items: int | None
    expected_items: int | None
    reapplied: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def create_from(
    source: Source,
    access: Access,
    *,
    target_table: str = "",
    original: TableSettings | None,
    pick_up: bool = False,
    encryption: Mapping[str, Any] | None = None,
) -> Restored:
    """Restore into a new table, wait until it is ACTIVE, complete it and count its items.

    `target_table` is the new table's name; without one it is made of the source's name and
    the time. `original` are the settings to apply again, from `read_settings`, or None when
    the original is gone; then only what a backup remembers is applied. An unfinished
    restore of the same source into the same table is picked up; with `pick_up` also one that has
    ended, for whoever remembers that it was his own. `encryption` is the SSESpecification of a
    template's table, without which DynamoDB encrypts with a key of its own.

    Raises `Refused` when the target exists, `BackupFailed` when the restore fails, and
    `Interrupted` on Ctrl-C, naming the table that DynamoDB goes on restoring.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableFromBackup.html
    """
    dynamodb, clock = access.aws.client("dynamodb"), access.clock
    target = target_table or name_target(source.table, clock.now())
    _require_valid_name(target)
    if not _is_being_restored(dynamodb, source, target, clock, pick_up=pick_up):
        access.say(f"Restoring {source} into the new table {target}.")
        _start(dynamodb, source, target, clock, encryption)
    try:
        return _complete(source, access, target, original)
    except KeyboardInterrupt:
        raise _describe_interruption(target, dynamodb.meta.region_name) from None


def _complete(
    source: Source, access: Access, target: str, original: TableSettings | None
) -> Restored:
    """Wait for a table that is being restored, complete it and count its items."""
    dynamodb, clock = access.aws.client("dynamodb"), access.clock
    wanted = original or TableSettings(source.table, ttl_attribute=source.ttl_attribute)
    restored = _await_active(access, target)
    reapplied, missing = reapply(dynamodb, restored, wanted, clock)
    items = _count(access, target, consistent=True)
    expected = _count_original(access, original)
    # Expired items go as soon as TTL is on, so it comes after the count.
    ttl_done, ttl_missing = reapply_ttl(dynamodb, target, wanted.ttl_attribute, clock)
    return Restored(
        source=str(source),
        table=target,
        status="ACTIVE",
        items=items,
        expected_items=expected,
        reapplied=(*reapplied, *ttl_done),
        missing=(*missing, *ttl_missing, *name_unrestored(restored, original)),
    )


def _require_valid_name(target: str) -> None:
    if not NAME.fullmatch(target):
        raise InputError(
            f"{target!r} cannot be a table's name.",
            next_step="Give --target-table 3 to 255 letters, digits, '_', '-' or '.'.",
        )


def _is_being_restored(
    dynamodb: DynamoDBClient, source: Source, target: str, clock: Clock, *, pick_up: bool
) -> bool:
    """Tell whether the target is an unfinished restore of this source; refuse any other."""
    found = describe_table(dynamodb, target, clock)
    if found is None:
        return False
    states = ("CREATING", "ACTIVE") if pick_up else ("CREATING",)
    if found.get("TableStatus") in states and _comes_from(found, source):
        return True
    origin = ", restored from this very source" if _comes_from(found, source) else ""
    raise Refused(
        f"Table {target} exists already in {dynamodb.meta.region_name}{origin}; "
        "a restore never writes over a table.",
        next_step="Give another --target-table, or leave it out for a new name.",
    )


def _comes_from(found: TableDescriptionTypeDef, source: Source) -> bool:
    """Tell whether DynamoDB says that it restored a table from this source."""
    summary: Mapping[str, Any] = found.get("RestoreSummary") or {}
    if source.backup_arn:
        return bool(summary.get("SourceBackupArn") == source.backup_arn)
    moment = summary.get("RestoreDateTime")
    return (
        str(summary.get("SourceTableArn", "")).rsplit("/", 1)[-1] == source.table
        and source.point_in_time is not None
        and moment is not None
        and abs(moment - source.point_in_time) < timedelta(seconds=1)
    )


def _start(
    dynamodb: DynamoDBClient,
    source: Source,
    target: str,
    clock: Clock,
    encryption: Mapping[str, Any] | None,
) -> None:
    """Ask for the restore; the target's name makes it safe to ask again.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableToPointInTime.html
    """
    begun = clock.now()
    try:
        ask_patiently(
            lambda: _ask_for_restore(dynamodb, source, target, encryption), clock, passes=is_busy
        )
    except ClientError as exc:
        if error_code(exc) == "TableAlreadyExistsException":
            # The answer to the first request was lost and botocore asked again, or
            # somebody else took the name since it was looked up.
            found = describe_table(dynamodb, target, clock)
            if found and _comes_from(found, source) and _is_younger(found, begun):
                return
            raise Refused(
                f"Table {target} was created by somebody else meanwhile; "
                "a restore never writes over a table.",
                next_step="Give another --target-table.",
            ) from None
        if error_code(exc) in ("InvalidRestoreTimeException", "BackupNotFoundException"):
            raise InputError(
                f"DynamoDB cannot restore {source}: {error_message(exc)}",
                next_step="Choose another --point-in-time or --backup.",
            ) from None
        raise


def _ask_for_restore(
    dynamodb: DynamoDBClient, source: Source, target: str, encryption: Mapping[str, Any] | None
) -> None:
    extra = _override_encryption(encryption)
    if source.point_in_time is None:
        dynamodb.restore_table_from_backup(
            TargetTableName=target, BackupArn=source.backup_arn, **extra
        )
    else:
        dynamodb.restore_table_to_point_in_time(
            SourceTableName=source.table,
            TargetTableName=target,
            RestoreDateTime=source.point_in_time,
            **extra,
        )


def _override_encryption(declared: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a template's SSESpecification as a restore takes it; nothing for DynamoDB's own key.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_SSESpecification.html
    """
    if not declared or str(declared.get("SSEEnabled", "")).lower() != "true":
        return {}
    more = {key: declared[key] for key in ("SSEType", "KMSMasterKeyId") if declared.get(key)}
    return {"SSESpecificationOverride": {"Enabled": True, **more}}


def _is_younger(found: TableDescriptionTypeDef, begun: datetime) -> bool:
    """Tell whether a table was created in this run, clocks being up to five minutes apart."""
    created = found.get("CreationDateTime")
    return created is not None and created >= begun - timedelta(minutes=5)


def _await_active(access: Access, target: str) -> TableDescriptionTypeDef:
    """Wait until the new table can be used, however long it takes.

    DynamoDB gives no end: a restore takes minutes for a small table and many hours for a
    large one with skewed keys.
    """
    dynamodb, clock = access.aws.client("dynamodb"), access.clock
    reported = 0.0

    def look(waited: float) -> TableDescriptionTypeDef | None:
        nonlocal reported
        found = describe_table(dynamodb, target, clock)
        status = str(found.get("TableStatus", "")) if found else ""
        if found and status == "ACTIVE":
            return found
        # The table may not be found yet right after the restore was accepted.
        if status != "CREATING" and (found or waited > SETTLING):
            raise BackupFailed(
                f"The restore into {target} failed: the table is {status or 'gone'}.",
                next_step="Start the restore again with another --target-table.",
            )
        if waited - reported >= PROGRESS_EVERY:
            reported = waited
            access.say(f"DynamoDB is restoring {target}, {waited:.0f} s so far.")
        return None

    return until(look, clock)


def _count_original(access: Access, original: TableSettings | None) -> int | None:
    """Count the original, unless the reading would take capacity from its users."""
    if original is None or original.is_gone:
        return None
    if not original.is_on_demand:
        access.say(
            f"{original.table} has provisioned capacity and is not counted: reading all of it "
            "would slow its users down."
        )
        return None
    try:
        return _count(access, original.table, consistent=False)
    except ClientError as exc:
        # The comparison is a help; the original may go, or be closed to reading.
        text = f"{original.table} could not be counted: {error_message(exc)}"
        access.say(text, Level.WARNING)
        return None


def _count(access: Access, table: str, *, consistent: bool) -> int | None:
    """Count a table's items by reading them, or return None for one that is too large.

    DescribeTable's ItemCount is up to six hours old, and 0 for a new table.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html
    """
    dynamodb, clock = access.aws.client("dynamodb"), access.clock
    total = 0
    reported = clock.monotonic()
    asked: ScanInputTypeDef = {"TableName": table, "Select": "COUNT", "ConsistentRead": consistent}
    for _ in range(PAGES_COUNTED_AT_MOST):
        page = ask_patiently(lambda: dynamodb.scan(**asked), clock)
        total += page["Count"]
        if not page.get("LastEvaluatedKey"):
            return total
        asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        if clock.monotonic() - reported >= PROGRESS_EVERY:
            reported = clock.monotonic()
            access.say(f"Counting {table}: {total} items so far.")
    text = f"{table} holds more than {total} items; it is too large to be counted here."
    access.say(text, Level.WARNING)
    return None


def _describe_interruption(target: str, region: str) -> Interrupted:
    """Say that DynamoDB goes on restoring after Ctrl-C."""
    return Interrupted(
        f"Interrupted: DynamoDB goes on restoring into {target} in {region}. Its TTL, tags, "
        "point-in-time recovery and deletion protection may be missing.",
        next_step=f"`aws dynamodb describe-table --table-name {target} --region {region}` shows "
        "when it is ACTIVE. While it is CREATING, the same command with "
        f"`--target-table {target}` picks it up.",
        details={"table": target, "region": region},
    )
