"""Find the backup or the moment that an operator means."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.access import Access
from lib.data.catalogue import Backup, is_own, list_backups, newest_first
from lib.data.loss import TABLE_TYPES
from lib.data.tables import NAME, Window, read_ttl, read_window
from lib.errors import InputError, Refused
from lib.inputs.jobs import Job
from lib.operators import Level, Note, Progress
from lib.polling import Clock, ask_patiently
from lib.refusals import error_code, error_message
from lib.stacks.stacks import StackResource

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

#: Point-in-time recovery never goes back further than this.
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableToPointInTime.html
LONGEST_RECOVERY = timedelta(days=35)

_ARN = re.compile(
    r"arn:[a-z-]+:dynamodb:(?P<region>[a-z0-9-]+):\d{12}:table/[a-zA-Z0-9_.-]+/backup/.+"
)

_OFFERED_AT_MOST = 5


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


def choose_source(
    job: Job,
    access: Access,
    resources: Sequence[StackResource],
    *,
    backup: str | None,
    table: str | None,
    point_in_time: str | None,
    switched: str = "",
) -> Source:
    """Find the backup or the point in time that the operator means.

    `backup` is an ARN or a name. `table` is a logical ID, a path such as
    `DatabaseStack/JobsTable` or a physical name; `resources` are the stack's, walked. A
    table without a point in time means its newest backup made by this tool. A time without
    a zone is taken as UTC, and that is said. `switched` is the path in whose place the table is
    to be put, "" for none.

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
    dynamodb, clock = access.aws.client("dynamodb"), access.clock
    physical = physical_name(resources, table) if table else ""
    if backup:
        return _choose_backup(dynamodb, backup, physical, clock)
    if point_in_time:
        moment = read_moment(point_in_time, access.operator.report)
        return _choose_moment(dynamodb, physical, moment, clock)
    return _choose_newest(dynamodb, physical, job, _Asked(table or "", switched), clock)


def physical_name(resources: Iterable[StackResource], asked: str) -> str:
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
    if not NAME.fullmatch(name):
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
    found = [
        backup
        for backup in _list_of_every_type(dynamodb, table, clock)
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
        ttl_attribute=read_ttl(ttl),
    )
    return source, str(details.get("BackupStatus", ""))


def _list_of_every_type(dynamodb: DynamoDBClient, table: str, clock: Clock) -> list[Backup]:
    """Return all backups of a table, or of the region for "", DynamoDB's own among them."""
    return ask_patiently(lambda: list_backups(dynamodb, table=table, every_type=True), clock)


@dataclass(frozen=True)
class _Asked:
    """How a table was named, and in whose place it is to be put, "" for none."""

    table: str
    switched: str

    @property
    def logical_id(self) -> str:
        """Return what stands in the names that CloudFormation gives to such tables."""
        return (self.switched or self.table).rsplit("/", 1)[-1]

    def say(self, source: str, flags: str) -> str:
        """Return the command that takes another source."""
        by_backup = source.startswith("--backup")
        named = self.switched or ("" if by_backup else self.table)
        parts = ["--switch"] if self.switched else []
        parts += [f"--table {shlex.quote(named)}"] if named else []
        return " ".join(["inv restore", *parts, source, flags])


def _choose_newest(
    dynamodb: DynamoDBClient, table: str, job: Job, asked: _Asked, clock: Clock
) -> Source:
    own = [
        backup
        for backup in ask_patiently(lambda: list_backups(dynamodb, table=table), clock)
        if backup.status == "AVAILABLE" and is_own(backup, job.environment)
    ]
    if own:
        return _describe_backup(dynamodb, newest_first(own)[0].arn, clock)[0]
    meant = _find_meant(dynamodb, asked.logical_id, table, clock)
    raise InputError(
        f"This tool has no complete backup of {table} for {job.environment}.",
        problems=_describe(meant),
        next_step=_say_what_else(dynamodb, table, job, asked, meant, clock),
    )


def _say_what_else(
    dynamodb: DynamoDBClient,
    table: str,
    job: Job,
    asked: _Asked,
    meant: Sequence[Backup],
    clock: Clock,
) -> str:
    """Return the command that takes what there is: another backup, a moment, or one made now."""
    if meant:
        return asked.say(f"--backup {meant[0].arn}", job.flags)
    window = read_window(dynamodb, table, clock)
    earliest, latest = (window.earliest, window.latest) if window else (None, None)
    if window and window.is_on and earliest and latest and earliest <= latest:
        return asked.say(f"--point-in-time {_show(latest)}", job.flags)
    if window:
        return f"inv backup {job.flags} makes one of the table as it is now"
    return (
        f"aws dynamodb list-backups --backup-type ALL --region {job.region} shows those that exist"
    )


def _find_meant(
    dynamodb: DynamoDBClient, logical_id: str, table: str, clock: Clock
) -> list[Backup]:
    """Return the newest backups that may be meant, newest first.

    A replaced table has a new physical name, so that its backups belong to a table of
    another name, in which CloudFormation put the same logical ID. Which one is meant is
    for the operator to say.
    """
    meant = [
        backup
        for backup in _list_of_every_type(dynamodb, "", clock)
        if backup.status == "AVAILABLE"
        and (backup.table == table or f"-{logical_id}-" in f"-{backup.table}-")
    ]
    return newest_first(meant)[:_OFFERED_AT_MOST]


def _describe(backups: Iterable[Backup]) -> list[str]:
    """Return a line for each of some backups."""
    return [f"of {one.table}, {one.created}: {one.arn}" for one in backups]


def _choose_moment(dynamodb: DynamoDBClient, table: str, moment: datetime, clock: Clock) -> Source:
    """Check that a table can go back to a point in time."""
    window = read_window(dynamodb, table, clock)
    if window is None:
        raise InputError(
            f"There is no table {table} in {dynamodb.meta.region_name} to go back in time with.",
            problems=_describe(_find_meant(dynamodb, table, table, clock)),
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
