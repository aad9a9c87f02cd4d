"""Restore a backup or a point in time into a new table, and say how to switch over.

DynamoDB restores only into a table that does not exist yet, and leaves out some of the
original's settings; those are read from the original and applied again.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CreateBackup.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.data import backups
from lib.data.backups import TABLE_TYPES, Backup, Window, insist, newest_first
from lib.errors import BackupFailed, InputError, Interrupted, Refused
from lib.operators import Level, Note, Progress
from lib.polling import Clock, ask_patiently, pause_after
from lib.refusals import error_code, error_message
from lib.stacks.stacks import StackResource

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

#: Counting reads the whole table, 1 MB for each page, and is paid for by what it reads.
#: Beyond this many pages (about 2 GB, a few minutes) the count is left to the operator.
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
PAGES_COUNTED_AT_MOST = 2000

#: Point-in-time recovery never goes back further than this.
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableToPointInTime.html
LONGEST_RECOVERY = timedelta(days=35)

#: Seconds between two lines of progress.
PROGRESS_EVERY = 30.0

_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,255}")
_ARN = re.compile(
    r"arn:[a-z-]+:dynamodb:(?P<region>[a-z0-9-]+):\d{12}:table/[a-zA-Z0-9_.-]+/backup/.+"
)
_NAME_AT_MOST = 255
_STAMP = "%Y%m%d-%H%M%S"
_OFFERED_AT_MOST = 5

#: What no restore brings back and nothing here can apply again, because it lies outside
#: the table or begins anew with it.
_NEVER_RESTORED = (
    "auto scaling policies",
    "CloudWatch alarms",
    "policies that name the table",
)


@dataclass(frozen=True)
class Source:
    """Where the data comes from: a backup by its ARN, or a table at a point in time.

    `table` is the physical name the data was written under; `recorded_items` is the count
    that a backup carries, which AWS refreshes about every six hours.
    """

    table: str
    backup_arn: str = ""
    point_in_time: datetime | None = None
    recorded_items: int | None = None
    ttl_attribute: str = ""

    def __str__(self) -> str:
        """Return the backup's ARN, or the table and the time in UTC."""
        if self.point_in_time is None:
            return self.backup_arn
        return f"{self.table} at {self.point_in_time.astimezone(UTC).isoformat()}"


@dataclass(frozen=True)
class TableSettings:
    """What a restore may leave out of a table, as the table has it now.

    `ttl_attribute`, `stream` (the view type) and `encryption` (the KMS key's ARN) are ""
    and `recovery_days` is None where the table has none. `keys` are the attributes of the
    primary key. Of a table that `is_gone` they are what its template says.
    """

    table: str
    arn: str
    ttl_attribute: str
    is_pitr_on: bool
    recovery_days: int | None
    tags: Mapping[str, str]
    is_protected: bool
    stream: str
    encryption: str
    keys: tuple[str, ...]
    is_on_demand: bool
    is_gone: bool = False


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


def choose_source(
    dynamodb: DynamoDBClient,
    resources: Sequence[StackResource],
    *,
    backup: str | None,
    table: str | None,
    point_in_time: str | None,
    environment: str,
    clock: Clock,
    report: Callable[[Progress], None],
) -> Source:
    """Find the backup or the point in time that the operator means.

    `backup` is an ARN or a name. `table` is a logical ID, a path such as
    `DatabaseStack/JobsTable` or a physical name; `resources` are the stack's, walked. A
    table without a point in time means its newest backup made by this tool. A time without
    a zone is taken as UTC, and that is said.

    Raises `InputError` for anything that cannot be found or does not go together, and
    `Refused` for a backup that is not complete.
    """
    if backup and point_in_time:
        raise InputError(
            "--backup and --point-in-time exclude each other.",
            next_step="Give --backup alone, or --table with --point-in-time.",
        )
    if not backup and not table:
        raise InputError(
            "It is not said what to restore.",
            next_step="Give --backup ARN_OR_NAME, or --table NAME with or without "
            "--point-in-time ISO8601.",
        )
    physical = find_table(resources, table) if table else ""
    if backup:
        return _choose_backup(dynamodb, backup, physical, clock)
    if point_in_time:
        moment = read_moment(point_in_time, report)
        return _choose_moment(dynamodb, physical, moment, clock)
    return _choose_newest(dynamodb, physical, table or "", environment, clock)


def find_table(resources: Iterable[StackResource], asked: str) -> str:
    """Return the physical name of a table by logical ID, path or physical name.

    A name that the stack does not know is taken as a physical one: a table that was
    replaced or retained has left the stack, and it is the one most often to be restored.
    Raises `InputError` when a logical ID stands for several tables.
    """
    tables = [one for one in resources if one.type in TABLE_TYPES and one.physical_id]
    if any(asked == one.physical_id for one in tables):
        return asked
    found = {one.path: one.physical_id for one in tables if asked in (one.path, one.logical_id)}
    if len(found) > 1 and asked not in found:
        raise InputError(
            f"{asked} stands for several tables.",
            problems=[f"{path} ({physical})" for path, physical in sorted(found.items())],
            next_step="Give one of these paths as --table.",
        )
    name = found.get(asked) or next(iter(found.values()), asked)
    if not _NAME.fullmatch(name):
        raise InputError(
            f"No table of the stack is called {asked!r}, and it is no valid table name.",
            problems=[f"{one.path} ({one.physical_id})" for one in tables],
            next_step="Give --table with a logical ID, a path or a physical name.",
        )
    return name


def read_moment(text: str, report: Callable[[Progress], None]) -> datetime:
    """Read a time in ISO 8601; without a zone it is UTC, which is reported.

    Raises `InputError` when it is no such time.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(
            f"--point-in-time {text!r} is not a time in ISO 8601.",
            next_step="Write it as 2026-11-22T09:30:00+01:00, or as 2026-11-22T08:30:00Z.",
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
        report(Note(f"{text} names no time zone and is taken as UTC.", Level.WARNING))
    # DynamoDB goes back to whole seconds, and botocore sends no more.
    return moment.astimezone(UTC).replace(microsecond=0)


def _choose_backup(dynamodb: DynamoDBClient, asked: str, table: str, clock: Clock) -> Source:
    """Find a backup by ARN or name and check that it can be restored here."""
    arn = asked if asked.startswith("arn:") else _find_arn(dynamodb, asked, table, clock)
    _require_restorable_here(arn, dynamodb.meta.region_name)
    source, status = _describe_backup(dynamodb, arn, clock)
    if table and source.table != table:
        raise InputError(
            f"Backup {arn} was made of {source.table}, not of {table}.",
            next_step="Leave --table out, or choose a backup of that table.",
        )
    if status != "AVAILABLE":
        raise Refused(
            f"Backup {arn} is {status or 'in no known state'}; only an AVAILABLE one restores.",
            next_step=f"`aws dynamodb describe-backup --backup-arn {arn}` shows when it is.",
        )
    return source


def _require_restorable_here(arn: str, region: str) -> None:
    """Refuse an ARN that is not a DynamoDB backup of this region."""
    match = _ARN.fullmatch(arn)
    if not match:
        raise InputError(
            f"{arn} is not the ARN of a DynamoDB backup.",
            next_step="Recovery points of AWS Backup are restored with "
            "`aws backup start-restore-job`; `inv backup --json` prints the ARNs of this tool's.",
        )
    if match["region"] != region:
        raise InputError(
            f"Backup {arn} lies in {match['region']}, not in {region}.",
            next_step=f"Add --region {match['region']}.",
        )


def _find_arn(dynamodb: DynamoDBClient, name: str, table: str, clock: Clock) -> str:
    """Return the ARN of the one backup of a name."""
    found = [
        backup
        for backup in _list_patiently(dynamodb, table, clock, every_type=True)
        if backup.name == name and backup.status != "DELETED"
    ]
    if len(found) == 1:
        return found[0].arn
    where = f"in {dynamodb.meta.region_name}"
    if not found:
        raise InputError(
            f"There is no backup named {name} {where}.",
            next_step="`aws dynamodb list-backups --backup-type ALL` shows those that exist.",
        )
    raise InputError(
        f"{len(found)} backups are named {name} {where}.",
        problems=[f"{backup.arn} ({backup.table}, {backup.created})" for backup in found],
        next_step="Give the ARN of one as --backup.",
    )


def _describe_backup(dynamodb: DynamoDBClient, arn: str, clock: Clock) -> tuple[Source, str]:
    """Return what a backup holds, and its status.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeBackup.html
    """
    try:
        answer = ask_patiently(lambda: dynamodb.describe_backup(BackupArn=arn), clock)
    except ClientError as exc:
        if error_code(exc) != "BackupNotFoundException":
            raise
        raise InputError(
            f"There is no backup {arn}: {error_message(exc)}",
            next_step="`aws dynamodb list-backups --backup-type ALL` shows those that exist.",
        ) from None
    found = answer["BackupDescription"]
    table: Mapping[str, Any] = found.get("SourceTableDetails") or {}
    features: Mapping[str, Any] = found.get("SourceTableFeatureDetails") or {}
    ttl: Mapping[str, Any] = features.get("TimeToLiveDescription") or {}
    details: Mapping[str, Any] = found.get("BackupDetails") or {}
    source = Source(
        table=table.get("TableName", ""),
        backup_arn=arn,
        recorded_items=table.get("ItemCount"),
        ttl_attribute=_read_ttl(ttl),
    )
    return source, str(details.get("BackupStatus", ""))


def _list_patiently(
    dynamodb: DynamoDBClient, table: str, clock: Clock, *, every_type: bool = False
) -> list[Backup]:
    """Return all backups of a table, or of the region for ""."""
    return ask_patiently(
        lambda: list(backups.list_backups(dynamodb, table=table, every_type=every_type)), clock
    )


def _choose_newest(
    dynamodb: DynamoDBClient, table: str, asked: str, environment: str, clock: Clock
) -> Source:
    """Return a table's newest complete backup made by this tool."""
    own = [
        backup
        for backup in _list_patiently(dynamodb, table, clock)
        if backup.status == "AVAILABLE" and backups.is_own(backup, environment)
    ]
    if own:
        return _describe_backup(dynamodb, newest_first(own)[0].arn, clock)[0]
    raise InputError(
        f"This tool has no complete backup of {table} for {environment}.",
        problems=_offer(_list_patiently(dynamodb, "", clock, every_type=True), asked, table),
        next_step="Name a backup with --backup, or give --point-in-time.",
    )


def _offer(found: Iterable[Backup], asked: str, table: str) -> list[str]:
    """Name the newest backups that may be meant.

    A replaced table has a new physical name, so that its backups belong to a table of
    another name, in which CloudFormation put the same logical ID. Which one is meant is
    for the operator to say.
    """
    logical_id = asked.rsplit("/", 1)[-1]
    meant = [
        backup
        for backup in found
        if backup.status == "AVAILABLE"
        and (backup.table == table or f"-{logical_id}-" in f"-{backup.table}-")
    ]
    return [
        f"of {backup.table}, {backup.created}: {backup.arn}"
        for backup in newest_first(meant)[:_OFFERED_AT_MOST]
    ]


def _choose_moment(dynamodb: DynamoDBClient, table: str, moment: datetime, clock: Clock) -> Source:
    """Check that a table can go back to a point in time."""
    window = backups.read_window(dynamodb, table, clock)
    if window is None:
        raise InputError(
            f"There is no table {table} in {dynamodb.meta.region_name} to go back in time with.",
            problems=_offer(_list_patiently(dynamodb, "", clock, every_type=True), table, table),
            next_step="A deleted table is restored from a backup: give --backup. DynamoDB makes "
            "one itself of a table that had point-in-time recovery, kept for 35 days.",
        )
    if not window.is_on:
        raise InputError(
            f"Point-in-time recovery is off for {table}.",
            next_step=f"Restore a backup: `inv restore --table {table}`.",
        )
    _require_within(window, moment, clock.now(), table)
    return Source(table=table, point_in_time=moment)


def _show(moment: datetime) -> str:
    """Return a moment as `--point-in-time` takes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _require_within(window: Window, moment: datetime, now: datetime, table: str) -> None:
    """Refuse a time outside the window, shown in the message.

    The window of a table whose recovery has just been turned on is empty at first; then
    only times that no window can hold are refused, and DynamoDB decides on the others.
    """
    earliest, latest = window.earliest, window.latest
    if earliest is None or latest is None or earliest >= latest:
        earliest, latest = now - LONGEST_RECOVERY, now
    # DynamoDB's times carry fractions that its own error messages and consoles do not show.
    if earliest.replace(microsecond=0) <= moment <= latest:
        return
    raise InputError(
        f"{_show(moment)} lies outside the times that {table} can go back to: "
        f"{_show(earliest)} to {_show(latest)}.",
        next_step="Give a --point-in-time within them.",
    )


def name_target(table: str, now: datetime) -> str:
    """Return the name of a new table for the data of `table`, at most 255 characters."""
    ending = f"-restored-{now.astimezone(UTC).strftime(_STAMP)}"
    return f"{table[: _NAME_AT_MOST - len(ending)]}{ending}"


def read_settings(dynamodb: DynamoDBClient, table: str, clock: Clock) -> TableSettings | None:
    """Return a table's settings that a restore may leave out, or None when it is gone.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeTable.html
    """
    found = _describe_table(dynamodb, table, clock)
    if found is None:
        return None
    arn = found["TableArn"]
    ttl = ask_patiently(lambda: dynamodb.describe_time_to_live(TableName=table), clock)
    window = backups.read_window(dynamodb, table, clock) or Window(is_on=False)
    stream: Mapping[str, Any] = found.get("StreamSpecification") or {}
    return TableSettings(
        table=table,
        arn=arn,
        ttl_attribute=_read_ttl(ttl["TimeToLiveDescription"]),
        is_pitr_on=window.is_on,
        recovery_days=window.days,
        tags=ask_patiently(lambda: _read_tags(dynamodb, arn), clock),
        is_protected=found.get("DeletionProtectionEnabled", False),
        stream=str(stream.get("StreamViewType", "")) if stream.get("StreamEnabled") else "",
        encryption=(found.get("SSEDescription") or {}).get("KMSMasterKeyArn", ""),
        keys=tuple(key["AttributeName"] for key in found["KeySchema"]),
        is_on_demand=_is_on_demand(found),
    )


def _is_on_demand(found: TableDescriptionTypeDef) -> bool:
    """Tell whether a table is paid by request; one that never was has no summary."""
    return (found.get("BillingModeSummary") or {}).get("BillingMode") == "PAY_PER_REQUEST"


def _read_ttl(description: Mapping[str, Any]) -> str:
    """Return the attribute by which items expire, or "" when they do not."""
    on = description.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    return str(description.get("AttributeName", "")) if on else ""


def _read_tags(dynamodb: DynamoDBClient, arn: str) -> dict[str, str]:
    """Return a table's tags without those that only AWS may set."""
    pages = dynamodb.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn)
    tags = {tag["Key"]: tag["Value"] for page in pages for tag in page.get("Tags", [])}
    return {key: value for key, value in tags.items() if not key.startswith("aws:")}


def read_declared(
    table: str, properties: Mapping[str, Any], tags: Mapping[str, str]
) -> TableSettings:
    """Return the settings that a template declares for a table that is gone.

    `properties` are those of the AWS::DynamoDB::Table, `tags` the stack's, which
    CloudFormation gives to every resource.
    """
    recovery = properties.get("PointInTimeRecoverySpecification") or {}
    ttl = properties.get("TimeToLiveSpecification") or {}
    own = {str(tag["Key"]): str(tag["Value"]) for tag in properties.get("Tags") or []}
    stream = properties.get("StreamSpecification") or {}
    return TableSettings(
        table=table,
        arn="",
        ttl_attribute=str(ttl.get("AttributeName", "")) if _is_true(ttl.get("Enabled")) else "",
        is_pitr_on=_is_true(recovery.get("PointInTimeRecoveryEnabled")),
        recovery_days=int(days) if (days := recovery.get("RecoveryPeriodInDays")) else None,
        tags={**tags, **own},
        is_protected=_is_true(properties.get("DeletionProtectionEnabled")),
        stream=str(stream.get("StreamViewType", "")),
        encryption="",
        keys=tuple(str(key["AttributeName"]) for key in properties.get("KeySchema") or []),
        is_on_demand=properties.get("BillingMode") == "PAY_PER_REQUEST",
        is_gone=True,
    )


def _is_true(value: object) -> bool:
    """Read a Boolean of a template, which may be text."""
    return str(value).lower() == "true"


def _describe_table(
    dynamodb: DynamoDBClient, table: str, clock: Clock
) -> TableDescriptionTypeDef | None:
    """Return what DescribeTable says, or None when there is no such table."""
    try:
        return ask_patiently(lambda: dynamodb.describe_table(TableName=table)["Table"], clock)
    except ClientError as exc:
        if error_code(exc) == "ResourceNotFoundException":
            return None
        raise


def restore(
    dynamodb: DynamoDBClient,
    source: Source,
    *,
    target_table: str = "",
    original: TableSettings | None,
    clock: Clock,
    report: Callable[[Progress], None],
) -> Restored:
    """Restore into a new table, wait until it is ACTIVE, complete it and count its items.

    `target_table` is the new table's name; without one it is made of the source's name and
    the time. `original` are the settings to apply again, from `read_settings`, or None when
    the original is gone; then only what a backup remembers is applied. An unfinished
    restore of the same source into the same table is picked up.

    Raises `Refused` when the target exists, `BackupFailed` when the restore fails, and
    `Interrupted` on Ctrl-C, naming the table that DynamoDB goes on restoring.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableFromBackup.html
    """
    target = target_table or name_target(source.table, clock.now())
    _require_valid_name(target)
    if not _is_being_restored(dynamodb, source, target, clock):
        report(Note(f"Restoring {source} into the new table {target}."))
        _start(dynamodb, source, target, clock)
    try:
        restored = _await_active(dynamodb, target, clock, report)
        wanted = _wanted_settings(source, original)
        reapplied, missing = _reapply(dynamodb, restored, wanted, clock)
        items = _count(dynamodb, target, clock, report, consistent=True)
        expected = _count_original(dynamodb, original, clock, report)
        # Expired items go as soon as TTL is on, so it comes after the count.
        ttl_done, ttl_missing = _reapply_ttl(dynamodb, target, wanted, clock)
    except KeyboardInterrupt:
        raise _describe_interruption(target, dynamodb.meta.region_name) from None
    return Restored(
        source=str(source),
        table=target,
        status="ACTIVE",
        items=items,
        expected_items=expected,
        reapplied=(*reapplied, *ttl_done),
        missing=(*missing, *ttl_missing, *_name_unrestored(restored, original)),
    )


def _require_valid_name(target: str) -> None:
    """Refuse a name that no table can have."""
    if not _NAME.fullmatch(target):
        raise InputError(
            f"{target!r} cannot be a table's name.",
            next_step="Give --target-table 3 to 255 letters, digits, '_', '-' or '.'.",
        )


def _is_being_restored(dynamodb: DynamoDBClient, source: Source, target: str, clock: Clock) -> bool:
    """Tell whether the target is an unfinished restore of this source; refuse any other."""
    found = _describe_table(dynamodb, target, clock)
    if found is None:
        return False
    if found.get("TableStatus") == "CREATING" and _comes_from(found, source):
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


def _start(dynamodb: DynamoDBClient, source: Source, target: str, clock: Clock) -> None:
    """Ask for the restore; the target's name makes it safe to ask again.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableToPointInTime.html
    """
    begun = clock.now()
    try:
        insist(lambda: _ask_for_restore(dynamodb, source, target), clock)
    except ClientError as exc:
        if error_code(exc) == "TableAlreadyExistsException":
            # The answer to the first request was lost and botocore asked again, or
            # somebody else took the name since it was looked up.
            found = _describe_table(dynamodb, target, clock)
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


def _ask_for_restore(dynamodb: DynamoDBClient, source: Source, target: str) -> None:
    """Make the one call that starts the restore."""
    if source.point_in_time is None:
        dynamodb.restore_table_from_backup(TargetTableName=target, BackupArn=source.backup_arn)
    else:
        dynamodb.restore_table_to_point_in_time(
            SourceTableName=source.table,
            TargetTableName=target,
            RestoreDateTime=source.point_in_time,
        )


def _is_younger(found: TableDescriptionTypeDef, begun: datetime) -> bool:
    """Tell whether a table was created in this run, clocks being up to five minutes apart."""
    created = found.get("CreationDateTime")
    return created is not None and created >= begun - timedelta(minutes=5)


def _await_active(
    dynamodb: DynamoDBClient, target: str, clock: Clock, report: Callable[[Progress], None]
) -> TableDescriptionTypeDef:
    """Wait until the new table can be used, however long it takes.

    DynamoDB gives no end: a restore takes minutes for a small table and many hours for a
    large one with skewed keys.
    """
    started = reported = clock.monotonic()
    while True:
        found = _describe_table(dynamodb, target, clock)
        waited = clock.monotonic() - started
        status = str(found.get("TableStatus", "")) if found else ""
        if found and status == "ACTIVE":
            return found
        # The table may not be found yet right after the restore was accepted.
        if status != "CREATING" and (found or waited > backups.SETTLING):
            raise BackupFailed(
                f"The restore into {target} failed: the table is {status or 'gone'}.",
                next_step="Start the restore again with another --target-table.",
            )
        if clock.monotonic() - reported >= PROGRESS_EVERY:
            reported = clock.monotonic()
            report(Note(f"DynamoDB is restoring {target}, {waited:.0f} s so far."))
        clock.sleep(pause_after(waited))


@dataclass(frozen=True)
class _Wanted:
    """The settings to apply to the new table."""

    tags: Mapping[str, str]
    is_pitr_on: bool
    recovery_days: int | None
    is_protected: bool
    ttl_attribute: str


def _wanted_settings(source: Source, original: TableSettings | None) -> _Wanted:
    """Take the original's settings, or what the backup remembers of an original that is gone."""
    if original is None:
        return _Wanted({}, False, None, False, source.ttl_attribute)
    return _Wanted(
        original.tags,
        original.is_pitr_on,
        original.recovery_days,
        original.is_protected,
        original.ttl_attribute,
    )


def _reapply(
    dynamodb: DynamoDBClient, restored: TableDescriptionTypeDef, wanted: _Wanted, clock: Clock
) -> tuple[list[str], list[str]]:
    """Apply tags, point-in-time recovery and deletion protection.

    Returns the names of what was applied, and of what was not with AWS's reason: a
    restored table without a tag is worth more than none.
    """
    table = restored.get("TableName", "")
    calls: list[tuple[str, Callable[[], object]]] = []
    if wanted.tags:
        tags = [{"Key": key, "Value": value} for key, value in sorted(wanted.tags.items())]
        arn = restored["TableArn"]
        calls.append(
            ("tags", lambda: dynamodb.tag_resource(ResourceArn=arn, Tags=tags))  # type: ignore[arg-type]  # read as such
        )
    if wanted.is_pitr_on:
        calls.append(
            ("point-in-time recovery", lambda: _turn_on_pitr(dynamodb, table, wanted.recovery_days))
        )
    if wanted.is_protected:
        calls.append(
            (
                "deletion protection",
                lambda: dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True),
            )
        )
    return _apply(calls, clock)


def _turn_on_pitr(dynamodb: DynamoDBClient, table: str, days: int | None) -> None:
    """Turn point-in-time recovery on, reaching back as far as the original's.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateContinuousBackups.html
    """
    if days is None:
        dynamodb.update_continuous_backups(
            TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        return
    dynamodb.update_continuous_backups(
        TableName=table,
        PointInTimeRecoverySpecification={
            "PointInTimeRecoveryEnabled": True,
            "RecoveryPeriodInDays": days,
        },
    )


def _reapply_ttl(
    dynamodb: DynamoDBClient, table: str, wanted: _Wanted, clock: Clock
) -> tuple[list[str], list[str]]:
    """Turn TTL on where the original has it."""
    if not wanted.ttl_attribute:
        return [], []
    return _apply(
        [
            (
                f"TTL on {wanted.ttl_attribute}",
                lambda: _turn_on_ttl(dynamodb, table, wanted.ttl_attribute),
            )
        ],
        clock,
    )


def _turn_on_ttl(dynamodb: DynamoDBClient, table: str, attribute: str) -> None:
    """Turn TTL on; that it is on already, after an answer that was lost, is as good.

    A second change within the hour is a ValidationException.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTimeToLive.html
    """
    try:
        dynamodb.update_time_to_live(
            TableName=table,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": attribute},
        )
    except ClientError as exc:
        if error_code(exc) != "ValidationException":
            raise
        now = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if _read_ttl(now) != attribute:
            raise


def _apply(
    calls: Iterable[tuple[str, Callable[[], object]]], clock: Clock
) -> tuple[list[str], list[str]]:
    """Make each change, patiently, and sort their names into done and not done."""
    done: list[str] = []
    missing: list[str] = []
    for name, call in calls:
        try:
            insist(call, clock)
        except ClientError as exc:
            missing.append(f"{name}: {error_code(exc)}: {error_message(exc)}")
        else:
            done.append(name)
    return done, missing


def _name_unrestored(
    restored: TableDescriptionTypeDef, original: TableSettings | None
) -> tuple[str, ...]:
    """Name what the new table lacks and nothing here applies, with the command that does."""
    table = restored.get("TableName", "")
    lacking = [*_NEVER_RESTORED]
    if original is None:
        return (
            "tags, point-in-time recovery and deletion protection: the original is gone",
            *lacking,
        )
    if original.stream:
        lacking.append(
            f"the stream: `aws dynamodb update-table --table-name {table} --stream-specification "
            f"StreamEnabled=true,StreamViewType={original.stream}`"
        )
    # A backup is restored under DynamoDB's own key unless another is named, and whether a
    # key is AWS's or the operator's only KMS can tell.
    if not original.is_gone and original.encryption != (restored.get("SSEDescription") or {}).get(
        "KMSMasterKeyArn", ""
    ):
        lacking.append(
            f"encryption with {original.encryption}: `aws dynamodb update-table --table-name "
            f"{table} --sse-specification Enabled=true,SSEType=KMS,"
            f"KMSMasterKeyId={original.encryption}`; without KMSMasterKeyId for the AWS managed key"
        )
    return tuple(lacking)


def _count_original(
    dynamodb: DynamoDBClient,
    original: TableSettings | None,
    clock: Clock,
    report: Callable[[Progress], None],
) -> int | None:
    """Count the original, unless the reading would take capacity from its users."""
    if original is None or original.is_gone:
        return None
    if not original.is_on_demand:
        report(
            Note(
                f"{original.table} has provisioned capacity and is not counted: reading all of it "
                "would slow its users down."
            )
        )
        return None
    try:
        return _count(dynamodb, original.table, clock, report, consistent=False)
    except ClientError as exc:
        # The comparison is a help; the original may go, or be closed to reading.
        report(Note(f"{original.table} could not be counted: {error_message(exc)}", Level.WARNING))
        return None


def _count(
    dynamodb: DynamoDBClient,
    table: str,
    clock: Clock,
    report: Callable[[Progress], None],
    *,
    consistent: bool,
) -> int | None:
    """Count a table's items by reading them, or return None for one that is too large.

    DescribeTable's ItemCount is up to six hours old, and 0 for a new table.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html
    """
    total = 0
    reported = clock.monotonic()
    start: dict[str, Any] = {}
    for _ in range(PAGES_COUNTED_AT_MOST):
        page = ask_patiently(partial(_scan, dynamodb, table, start, consistent), clock)
        total += int(page["Count"])
        start = page.get("LastEvaluatedKey") or {}
        if not start:
            return total
        if clock.monotonic() - reported >= PROGRESS_EVERY:
            reported = clock.monotonic()
            report(Note(f"Counting {table}: {total} items so far."))
    report(
        Note(
            f"{table} holds more than {total} items; it is too large to be counted here.",
            Level.WARNING,
        )
    )
    return None


def _scan(
    dynamodb: DynamoDBClient, table: str, start: Mapping[str, Any], consistent: bool
) -> Mapping[str, Any]:
    """Count one page.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
    """
    if start:
        return dynamodb.scan(
            TableName=table, Select="COUNT", ConsistentRead=consistent, ExclusiveStartKey=start
        )
    return dynamodb.scan(TableName=table, Select="COUNT", ConsistentRead=consistent)


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


def explain_counts(restored: Restored, source: Source) -> str:
    """Return one sentence that compares the items restored with those expected."""
    if restored.items is None:
        return f"The items of {restored.table} were not counted."
    text = f"{restored.table} holds {restored.items} items"
    if restored.expected_items is not None:
        return f"{text}; {source.table} holds {restored.expected_items} now."
    if source.recorded_items:
        return f"{text}; the backup was recorded with about {source.recorded_items}."
    return f"{text}."


def explain_switch_over(
    restored: Restored,
    current: TableSettings | None,
    *,
    stack: str,
    region: str,
    shell: str = "",
) -> tuple[str, ...]:
    """Return the steps, line by line, that bring restored data into use.

    `current` is the table that the stack uses now, None when it has none. `stack` is the
    root stack, `shell` what has to stand before a command that is to reach the same AWS. A
    table restored under the name of the stack's own lost table is in use at once.
    CloudFormation chose that table's name, and a table cannot be renamed, so
    either the items go to the table or the stack takes over the new one.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
    """
    name = restored.table
    if current and current.is_gone and current.table == name:
        return (
            f"The data is in {name}, the table that stack {stack} uses; nothing is to switch.",
            "Check what a restore leaves out with `inv status --drift` and `inv verify`.",
        )
    if current and current.is_gone:
        current = None
    where = f"--region {region} --table-name {name}"
    lines = [
        f"The data is in {name}; no table of stack {stack} was changed. To use it, either",
        "",
        *_explain_copy(name, current, region, shell),
        "",
        *_explain_import(name, stack, region),
    ]
    lines += [
        "",
        f"Or, when {name} is not needed any more:",
        f"     {shell}aws dynamodb update-table {where} --no-deletion-protection-enabled",
        f"     {shell}aws dynamodb delete-table {where}",
    ]
    return tuple(lines)


def _explain_copy(name: str, current: TableSettings | None, region: str, shell: str) -> list[str]:
    """Explain how to copy the items into the stack's table."""
    if current is None:
        into, keys = "TABLE", "its key attributes"
        intro = ["  a) let the stack create its table (`inv update`), then copy the items into it:"]
    else:
        into, keys = current.table, " and ".join(current.keys)
        intro = [f"  a) copy the items into {into}:"]
    return [
        *intro,
        "     1. Stop whatever writes to it.",
        f"     2. Every item needs {keys}; one of the same key is replaced, the others stay.",
        "     3. Run, in this folder:",
        f"        {shell}{copy_command(name, into, region)}",
    ]


def copy_command(source: str, target: str, region: str) -> str:
    """Return a shell command, on one line, that puts one table's items into another.

    The AWS CLI has no command for it; boto3 is installed wherever this tool runs.
    """
    program = "; ".join(
        (
            "import boto3, contextlib",
            f'dynamodb = boto3.resource("dynamodb", region_name="{region}")',
            'pages = dynamodb.meta.client.get_paginator("scan")',
            f'pages = pages.paginate(TableName="{source}", ConsistentRead=True)',
            "closing = contextlib.ExitStack()",
            f'target = closing.enter_context(dynamodb.Table("{target}").batch_writer())',
            '[target.put_item(Item=item) for page in pages for item in page["Items"]]',
            "closing.close()",
        )
    )
    return f".venv/bin/python -c '{program}'"


def _explain_import(name: str, stack: str, region: str) -> list[str]:
    """Explain how the stack takes the new table over."""
    return [
        f"  b) let the stack take {name} over, without copying:",
        "     1. In infrastructure/cloudformation, add a table under a new logical ID, with",
        f"        TableName: {name}, DeletionPolicy and UpdateReplacePolicy Retain, and the",
        "        properties that it has now; change nothing else.",
        "     2. Publish it and import it from the root stack:",
        f"        inv upload --region {region} --stack-name {stack}",
        f"        aws cloudformation create-change-set --region {region} --stack-name {stack} \\",
        "          --change-set-name import-restored-table --change-set-type UPDATE \\",
        "          --include-nested-stacks --import-existing-resources \\",
        "          --capabilities CAPABILITY_IAM CAPABILITY_NAMED_IAM CAPABILITY_AUTO_EXPAND \\",
        "          --template-url URL_OF_THE_RELEASE \\",
        "          --parameters ParameterKey=KEY,UsePreviousValue=true (one for each parameter)",
        "        Look at it with describe-change-set: the table must say Import, all else nothing",
        "        or Modify of its nested stack. Then execute-change-set.",
        "     3. Point every reference (outputs, policies, functions) at the new logical ID and",
        "        run `inv update`; take the old table out in an update of its own. Its Retain",
        "        policy keeps it until you delete it.",
    ]
