"""Back up every table of a stack, prove each backup, and prune this tool's own older ones.

CreateBackup returns while the backup is still being made, so that a backup counts only
once DescribeBackup says AVAILABLE. All waiting happens in the calling thread; other threads
make single calls, so that Ctrl-C is never held up by a pause.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from lib.errors import AwsUnavailable, BackupFailed, InputError, Interrupted
from lib.operators import Level, Note, Progress
from lib.polling import PATIENCE, Clock, ask_patiently, backoff_after, pause_after
from lib.refusals import error_code, error_message, explain, is_passing, is_throttled
from lib.stacks.stacks import StackResource

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import BackupSummaryTypeDef, ListBackupsInputPaginateTypeDef

Answer = TypeVar("Answer")

TABLE_TYPES = frozenset({"AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"})

#: Backups being made at one time. AWS documented 50 concurrent control-plane operations per
#: account for years and 500 since; other tools of the account need their share.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
BACKUPS_IN_FLIGHT = 50

#: Calls made at one time: CreateBackup allows 50 a second, DescribeBackup 10.
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeBackup.html
PARALLEL_CALLS = 8

#: From this many tables on, one listing of all backups is cheaper than one for each table:
#: ListBackups allows five calls a second.
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ListBackups.html
TABLES_LISTED_APART = 25

#: A backup "becomes available within minutes"; one that takes longer is given up, in seconds.
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateBackup.html
WAIT_AT_MOST = 3600.0

#: Seconds during which a backup or table just asked for may not be found yet.
SETTLING = 30.0

#: Seconds between two lines of progress.
PROGRESS_EVERY = 5.0

#: Seconds that calls under way get to end after Ctrl-C, to learn what they started.
GRACE = 2.0

#: AWS refuses requests signed more than five minutes off, so a listing that begins this
#: long before the run holds all that the run started.
_CLOCK_SKEW = timedelta(minutes=10)

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
_STAMP = "%Y%m%d-%H%M%S"
_NAME_AT_MOST = 255
_HASH_DIGITS = 8


@dataclass(frozen=True)
class Backup:
    """A backup that DynamoDB holds. `table` is the physical name, `bytes` AWS's own figure.

    AWS refreshes the size about every six hours, so a young table's backup may say 0.
    """

    table: str
    arn: str
    name: str
    bytes: int
    status: str
    created: datetime | None = None


@dataclass(frozen=True)
class Failed:
    """A table without a proven backup, and why, in AWS's own words where it spoke."""

    table: str
    reason: str


@dataclass(frozen=True)
class BackupRun:
    """What one run did.

    `duplicates` are ARNs of a second backup of the same name: CreateBackup takes no client
    token, so a call that botocore repeats after a lost answer makes another one. They are
    complete and never deleted without being asked for; `prune` counts them as any other.
    """

    backups: tuple[Backup, ...]
    failed: tuple[Failed, ...] = ()
    duplicates: tuple[str, ...] = ()
    pruned: tuple[str, ...] = ()


@dataclass
class _Job:
    """One table on its way to a backup."""

    table: str
    name: str
    arn: str = ""
    asked: float | None = None
    started: float = 0.0
    failures: int = 0
    not_before: float = 0.0
    answer_lost: bool = False
    error: Exception | None = None
    backup: Backup | None = None
    reason: str = ""

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more will be done for the table."""
        return self.backup is not None or bool(self.reason)

    @property
    def is_in_flight(self) -> bool:
        """Tell whether DynamoDB is making the backup, as far as is known."""
        return bool(self.arn) and not self.is_over


@dataclass
class _Run:
    """All tables of a run, and what was learnt on the way."""

    dynamodb: DynamoDBClient
    clock: Clock
    report: Callable[[Progress], None]
    jobs: Sequence[_Job]
    since: datetime
    duplicates: set[str] = field(default_factory=set)
    broken: Exception | None = None
    reported: float = 0.0

    def select(self, wanted: Callable[[_Job], bool]) -> list[_Job]:
        """Return the jobs that are wanted, in the order of the tables."""
        return [job for job in self.jobs if wanted(job)]


def name_for(environment: str, table: str, now: datetime) -> str:
    """Return the name of a backup taken at `now`, at most 255 characters.

    Where the table's name has to be cut, a hash of the whole name takes the place of its
    end, so that two long names stay apart.
    """
    prefix = f"plot-palette-{environment}-{now.astimezone(UTC).strftime(_STAMP)}-"
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
        taken = datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return False
    return backup.name == name_for(environment, backup.table, taken)


def find_tables(resources: Iterable[StackResource]) -> tuple[str, ...]:
    """Return the physical names of the tables in a walked tree of stacks, each once.

    A table that failed to be created holds nothing and is left out.
    """
    return tuple(
        dict.fromkeys(
            resource.physical_id
            for resource in resources
            if resource.type in TABLE_TYPES
            and resource.physical_id
            and resource.status != "CREATE_FAILED"
        )
    )


def require_tables(resources: Iterable[StackResource], stack: str, region: str) -> tuple[str, ...]:
    """Return the tables of a stack; raise `BackupFailed` when the tree holds none."""
    tables = find_tables(resources)
    if not tables:
        raise BackupFailed(
            f"No table was found in stack {stack} in {region} or in any stack nested in it; "
            "nothing was backed up.",
            next_step=f"`inv status --stack-name {stack} --region {region}` shows what it holds.",
        )
    return tables


def back_up(
    dynamodb: DynamoDBClient,
    tables: Iterable[str],
    *,
    environment: str,
    clock: Clock,
    report: Callable[[Progress], None],
) -> BackupRun:
    """Back up tables, wait until every backup is AVAILABLE and return what came of each.

    `tables` are physical names. A table that cannot be backed up does not keep the others
    from it: it is listed in `failed` with AWS's reason. Expired or refused credentials end
    the run at once; they are raised as botocore raised them when nothing had been started,
    and are otherwise the reason of every table that is not proven.

    Raises `Interrupted` on Ctrl-C, naming what DynamoDB goes on with.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateBackup.html
    """
    now = clock.now()
    run = _Run(
        dynamodb,
        clock,
        report,
        jobs=[_Job(table, name_for(environment, table, now)) for table in dict.fromkeys(tables)],
        since=now - _CLOCK_SKEW,
        reported=clock.monotonic(),
    )
    try:
        _drive(run)
    except KeyboardInterrupt:
        raise _describe_interruption(run) from None
    return _conclude(run)


def require_complete(run: BackupRun) -> None:
    """Raise `BackupFailed` naming each table of a run that has no proven backup."""
    if not run.failed:
        return
    total = len(run.backups) + len(run.failed)
    raise BackupFailed(
        "\n".join(
            [
                f"{len(run.failed)} of {total} tables could not be backed up:",
                *(f"  - {failed.table}: {failed.reason}" for failed in run.failed),
            ]
        ),
        next_step="Mend the cause and run the same command again; the finished backups stay.",
        details={
            "backups": [as_document(backup) for backup in run.backups],
            "failed": [{"table": one.table, "reason": one.reason} for one in run.failed],
        },
    )


def as_document(backup: Backup) -> dict[str, object]:
    """Return a backup in the form that the JSON output promises."""
    return {
        "table": backup.table,
        "arn": backup.arn,
        "name": backup.name,
        "bytes": backup.bytes,
    }


def _drive(run: _Run) -> None:
    """Start, look and verify until every table is over or AWS cannot be used any more."""
    progressed = run.clock.monotonic()
    while not run.broken and (open_jobs := run.select(lambda job: not job.is_over)):
        _start_due(run)
        _verify_finished(run)
        _report_progress(run)
        still_open = run.select(lambda job: not job.is_over)
        now = run.clock.monotonic()
        if len(still_open) < len(open_jobs):
            progressed = now
        if any(job.is_in_flight for job in still_open):
            run.clock.sleep(pause_after(now - progressed))
        elif still_open:
            run.clock.sleep(max(0.0, min(job.not_before for job in still_open) - now))


def _start_due(run: _Run) -> None:
    """Ask for the backups whose turn it is."""
    now = run.clock.monotonic()
    room = BACKUPS_IN_FLIGHT - len(run.select(lambda job: job.is_in_flight))
    due = run.select(lambda job: not job.arn and not job.is_over and job.not_before <= now)[:room]
    for job in due:
        job.asked = now if job.asked is None else job.asked
    _in_parallel(lambda job: _start(run.dynamodb, job), due)
    for job in due:
        _judge_start(run, job)


def _start(dynamodb: DynamoDBClient, job: _Job) -> None:
    """Make one attempt to start a backup, unless an earlier attempt is found to have done so."""
    try:
        if job.answer_lost:
            # CreateBackup has no client token: only its name tells whether the request
            # whose answer was lost had reached DynamoDB.
            job.arn = _find_by_name(dynamodb, job)
        if not job.arn:
            answer = dynamodb.create_backup(TableName=job.table, BackupName=job.name)
            job.arn = answer["BackupDetails"]["BackupArn"]
    except (ClientError, BotoCoreError) as exc:
        job.error = exc


def _find_by_name(dynamodb: DynamoDBClient, job: _Job) -> str:
    """Return the ARN of a job's backup if DynamoDB has one of its name, else ""."""
    return next(
        (
            backup.arn
            for backup in list_backups(dynamodb, table=job.table)
            if backup.name == job.name and backup.status != "DELETED"
        ),
        "",
    )


def _judge_start(run: _Run, job: _Job) -> None:
    """Decide after a refused attempt between later, never, and the end of the whole run."""
    exc, job.error = job.error, None
    now = run.clock.monotonic()
    if exc is None:
        job.started = now
        return
    passing = is_passing(exc) or error_code(exc) in _BUSY_CODES
    if passing and job.asked is not None and now - job.asked < PATIENCE:
        job.failures += 1
        job.not_before = now + backoff_after(job.failures)
        job.answer_lost = job.answer_lost or not is_throttled(exc)
    else:
        _give_up(run, job, exc)


def _give_up(run: _Run, job: _Job, exc: Exception) -> None:
    """Record why a table has no backup; end the run when no other call would fare better."""
    if _ends_the_run(exc):
        run.broken = exc
        return
    _fail(job, exc)
    run.report(Note(f"{job.table} could not be backed up: {job.reason}", Level.WARNING))


def _fail(job: _Job, exc: Exception) -> None:
    """Record AWS's reason for a table without a proven backup."""
    started = f"backup {job.arn} was started, but is not proven: " if job.arn else ""
    job.error = exc
    job.reason = f"{started}{_in_aws_words(exc)}"


def _in_aws_words(exc: Exception) -> str:
    """Return the error's code, where it has one, and its message."""
    code, message = error_code(exc), error_message(exc)
    return f"{code}: {message}" if code and code != message else message


def _ends_the_run(exc: Exception) -> bool:
    """Tell whether an error is about the caller, so that every further call would meet it.

    A denied call is not: policies can name single tables.
    """
    return isinstance(explain(exc, ""), AwsUnavailable) and not _is_denied(exc)


def _is_denied(exc: Exception) -> bool:
    """Tell whether a policy forbids the call; DynamoDB has this one code for it."""
    return error_code(exc) == "AccessDeniedException"


def _verify_finished(run: _Run) -> None:
    """Look at all backups in flight at once, then describe those that seem to be complete.

    One ListBackups page tells the state of 100; describing each at every look would pass
    the ten DescribeBackup calls a second that AWS allows.
    """
    in_flight = run.select(lambda job: job.is_in_flight)
    if not in_flight:
        return
    try:
        listed = ask_patiently(lambda: list(list_backups(run.dynamodb, since=run.since)), run.clock)
    except (ClientError, BotoCoreError) as exc:
        run.broken = exc
        return
    _note_duplicates(run, listed)
    creating = {backup.arn for backup in listed if backup.status == "CREATING"}
    ready = [job for job in in_flight if job.arn not in creating]
    _in_parallel(lambda job: _verify(run.dynamodb, job), ready)
    for job in in_flight:
        _judge_proof(run, job)


def _note_duplicates(run: _Run, listed: Iterable[Backup]) -> None:
    """Remember backups that carry a job's name but are not the one it was told of."""
    known = {(job.table, job.name): job.arn for job in run.jobs if job.arn}
    for backup in listed:
        arn = known.get((backup.table, backup.name), backup.arn)
        if arn != backup.arn and backup.status != "DELETED":
            run.duplicates.add(backup.arn)


def _verify(dynamodb: DynamoDBClient, job: _Job) -> None:
    """Ask once for the proof of one backup.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeBackup.html
    """
    try:
        answer = dynamodb.describe_backup(BackupArn=job.arn)
    except (ClientError, BotoCoreError) as exc:
        job.error = exc
        return
    details = answer["BackupDescription"].get("BackupDetails")
    status = details["BackupStatus"] if details else ""
    if details and status == "AVAILABLE":
        job.backup = Backup(
            table=job.table,
            arn=details["BackupArn"],
            name=details["BackupName"],
            bytes=details.get("BackupSizeBytes", 0),
            status=status,
            created=details["BackupCreationDateTime"],
        )
    elif status == "DELETED":
        job.reason = f"backup {job.arn} was deleted by somebody before it was complete"


def _judge_proof(run: _Run, job: _Job) -> None:
    """Decide whether a backup that is not proven yet is waited for any longer."""
    exc, job.error = job.error, None
    waited = run.clock.monotonic() - job.started
    if exc is not None and not is_passing(exc):
        # DynamoDB may not know a backup yet that it has just begun.
        if error_code(exc) != "BackupNotFoundException" or waited > SETTLING:
            _give_up(run, job, exc)
    elif not job.is_over and waited > WAIT_AT_MOST:
        job.reason = (
            f"backup {job.arn} is still not AVAILABLE after {WAIT_AT_MOST / 60:.0f} minutes"
        )


def _report_progress(run: _Run) -> None:
    """Say how far the run is: not more often than is worth reading, and always at its end."""
    now = run.clock.monotonic()
    done = len(run.select(lambda job: job.backup is not None))
    over = all(job.is_over for job in run.jobs)
    if over or now - run.reported >= PROGRESS_EVERY:
        run.reported = now
        level = Level.DONE if done == len(run.jobs) else Level.INFO
        run.report(Note(f"{done} of {len(run.jobs)} tables are backed up.", level))


def _conclude(run: _Run) -> BackupRun:
    """Turn what was learnt into a result, or raise when AWS let nothing begin."""
    begun = any(job.arn for job in run.jobs)
    if run.broken and not begun:
        raise run.broken
    if run.broken:
        text = f"The run ended early: {_in_aws_words(run.broken)}"
        run.report(Note(text, Level.ERROR))
        for job in run.select(lambda job: not job.is_over):
            _fail(job, run.broken)
    denied = [job.error for job in run.jobs if job.error and _is_denied(job.error)]
    if denied and not begun and len(denied) == len(run.jobs):
        # Every table denied is one missing permission, not a failure of each table.
        raise denied[0]
    for arn in sorted(run.duplicates):
        run.report(
            Note(f"A lost answer left a second backup of the same name: {arn}", Level.WARNING)
        )
    return BackupRun(
        backups=tuple(job.backup for job in run.jobs if job.backup),
        failed=tuple(Failed(job.table, job.reason) for job in run.jobs if not job.backup),
        duplicates=tuple(sorted(run.duplicates)),
    )


def _describe_interruption(run: _Run) -> Interrupted:
    """Say what DynamoDB holds and goes on with after Ctrl-C."""
    region = run.dynamodb.meta.region_name
    done = [job.backup.arn for job in run.jobs if job.backup]
    running = [job.arn for job in run.jobs if job.is_in_flight]
    unknown = [
        job.table for job in run.jobs if job.asked is not None and not job.arn and not job.reason
    ]
    untouched = sum(1 for job in run.jobs if job.asked is None)
    lines = [f"Interrupted: {len(done)} of {len(run.jobs)} tables are backed up ({region})."]
    lines += [f"  complete: {arn}" for arn in done]
    lines += [f"  DynamoDB goes on with: {arn}" for arn in running]
    lines += [f"  asked for, answer not awaited: {table}" for table in unknown]
    if untouched:
        lines.append(f"  not begun: {untouched} tables")
    return Interrupted(
        "\n".join(lines),
        next_step=f"`aws dynamodb list-backups --region {region}` shows when they are AVAILABLE; "
        "running the same command again takes new backups of every table.",
        details={"backups": [*done, *running]},
    )


def _in_parallel(call: Callable[[_Job], None], jobs: Sequence[_Job]) -> None:
    """Make one call for each job on a few threads and return when all have ended.

    The threads are daemons, unlike an executor's: a call that hangs must not keep the
    process alive after Ctrl-C.
    """
    waiting = deque(jobs)
    bugs: list[BaseException] = []
    ended = threading.Semaphore(0)

    def work() -> None:
        try:
            while (job := _take(waiting)) is not None:
                call(job)
        except BaseException as exc:  # carried to the caller's thread below
            bugs.append(exc)
            waiting.clear()
        finally:
            ended.release()

    threads = min(PARALLEL_CALLS, len(jobs))
    running = threads
    try:
        for _ in range(threads):
            threading.Thread(target=work, daemon=True).start()
        # Not Thread.join: interrupted once, it takes the thread for ended ever after.
        while running:
            ended.acquire()
            running -= 1
    except KeyboardInterrupt:
        waiting.clear()
        # Real time, whatever clock the run has: the calls under way are real.
        until = time.monotonic() + GRACE
        while running and ended.acquire(timeout=max(0.0, until - time.monotonic())):
            running -= 1
        raise
    if bugs:
        raise bugs[0]


def _take(waiting: deque[_Job]) -> _Job | None:
    """Take the next job, or None when another thread took the last one."""
    try:
        return waiting.popleft()
    except IndexError:
        return None


def list_backups(
    dynamodb: DynamoDBClient,
    *,
    table: str = "",
    since: datetime | None = None,
    every_type: bool = False,
) -> Iterator[Backup]:
    """Yield the backups of one table or of the whole region, all pages.

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
    for page in pages:
        for entry in page.get("BackupSummaries", []):
            yield _read_summary(entry)


def _read_summary(entry: BackupSummaryTypeDef) -> Backup:
    """Turn one entry of ListBackups into a `Backup`."""
    return Backup(
        table=entry.get("TableName", ""),
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


def prune(
    dynamodb: DynamoDBClient,
    run: BackupRun,
    *,
    environment: str,
    keep: int,
    clock: Clock,
    report: Callable[[Progress], None],
) -> BackupRun:
    """Delete this tool's own older backups of the tables a run backed up.

    `keep` is how many stay per table, at least one. A backup is deleted only when its name
    is exactly one that this tool gives for this environment and table, it was made on
    demand, it is AVAILABLE, and the run did not just make it. A table that the run failed
    to back up keeps all it has. Returns the run with `pruned` filled in.

    Raises `InputError` for a `keep` below one.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteBackup.html
    """
    require_keep(keep)
    tables = [backup.table for backup in run.backups]
    fresh = {backup.arn for backup in run.backups}
    pruned: list[str] = []
    for backup in _find_surplus(dynamodb, tables, environment, keep, clock):
        if backup.arn in fresh:
            continue
        _delete(dynamodb, backup.arn, clock)
        pruned.append(backup.arn)
        report(Note(f"Deleted the older backup {backup.name}."))
    return replace(run, pruned=tuple(pruned))


def require_keep(keep: int) -> None:
    """Refuse a number of backups to keep that would leave a table without any."""
    if keep < 1:
        raise InputError(
            f"--keep {keep} would leave tables without a backup.",
            next_step="Give --keep 1 or more.",
        )


def _find_surplus(
    dynamodb: DynamoDBClient, tables: Sequence[str], environment: str, keep: int, clock: Clock
) -> list[Backup]:
    """Return the own, complete backups of the tables beyond the newest `keep` of each."""
    scopes = tables if len(tables) < TABLES_LISTED_APART else [""]
    held: dict[str, list[Backup]] = {table: [] for table in tables}
    for scope in scopes:
        for backup in _list_all(dynamodb, scope, clock):
            if backup.table in held and backup.status == "AVAILABLE":
                held[backup.table].append(backup)
    return [
        backup
        for of_table in held.values()
        for backup in newest_first(b for b in of_table if is_own(b, environment))[keep:]
    ]


def _list_all(dynamodb: DynamoDBClient, table: str, clock: Clock) -> list[Backup]:
    """Return the on-demand backups of one table, or of the region for ""."""
    return ask_patiently(lambda: list(list_backups(dynamodb, table=table)), clock)


def _delete(dynamodb: DynamoDBClient, arn: str, clock: Clock) -> None:
    """Delete a backup; one that is gone already is as good."""
    try:
        insist(lambda: dynamodb.delete_backup(BackupArn=arn), clock)
    except ClientError as exc:
        if error_code(exc) != "BackupNotFoundException":
            raise


def insist(call: Callable[[], Answer], clock: Clock) -> Answer:
    """Repeat a change that may be repeated safely until the table is free for it.

    As `polling.ask_patiently`, and also while DynamoDB says that the table or backup is
    busy. Only for changes that come out the same when made twice.
    """
    started = clock.monotonic()
    failures = 0
    while True:
        try:
            return ask_patiently(call, clock)
        except ClientError as exc:
            if error_code(exc) not in _BUSY_CODES or clock.monotonic() - started > PATIENCE:
                raise
            failures += 1
            clock.sleep(backoff_after(failures))


def check_pitr(
    dynamodb: DynamoDBClient, tables: Iterable[str], *, clock: Clock | None = None
) -> tuple[str, ...]:
    """Return the tables whose point-in-time recovery is off, without those that are gone.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeContinuousBackups.html
    """
    clock = clock or Clock()
    return tuple(
        table
        for table in tables
        if (window := read_window(dynamodb, table, clock)) is not None and not window.is_on
    )


@dataclass(frozen=True)
class Window:
    """A table's point-in-time recovery: whether it is on, and the times it can go back to."""

    is_on: bool
    earliest: datetime | None = None
    latest: datetime | None = None
    days: int | None = None


def read_window(dynamodb: DynamoDBClient, table: str, clock: Clock) -> Window | None:
    """Return a table's point-in-time recovery, or None when there is no such table."""
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


def read_ttl(description: Mapping[str, Any]) -> str:
    """Return the attribute by which items expire, or "" when they do not."""
    on = description.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    return str(description.get("AttributeName", "")) if on else ""
