"""Back up many tables at one time, and prove each backup.

CreateBackup returns while the backup is still being made, so that a backup counts only
once DescribeBackup says AVAILABLE. All waiting happens in the calling thread; other threads
make single calls, so that Ctrl-C is never held up by a pause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from lib.access import Access
from lib.data.catalogue import Backup, list_backups, name_for, read_backup
from lib.data.tables import SETTLING, is_busy
from lib.document import as_document, keys
from lib.errors import AwsUnavailable, BackupFailed, Interrupted
from lib.inputs.jobs import Job
from lib.operators import Level
from lib.parallel import side_by_side
from lib.polling import PATIENCE, ask_patiently, backoff_after, describe_wait, pause_after
from lib.refusals import error_code, error_message, explain, is_passing, is_throttled

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

#: Backups being made at one time. AWS documented 50 concurrent control-plane operations per
#: account for years and 500 since; other tools of the account need their share.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
BACKUPS_IN_FLIGHT = 50

#: Calls made at one time: CreateBackup allows 50 a second, DescribeBackup 10.
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeBackup.html
PARALLEL_CALLS = 8

#: A backup "becomes available within minutes"; one that takes longer is given up, in seconds.
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateBackup.html
WAIT_AT_MOST = 3600.0

#: Seconds between two lines of progress.
PROGRESS_EVERY = 5.0

#: Refused attempts of one table, 1 + 2 + 4 s apart, after which a person is told why it waits.
_FAILURES_IN_SILENCE = 3

#: AWS refuses requests signed more than five minutes off, so a listing that begins this
#: long before the run holds all that the run started.
_CLOCK_SKEW = timedelta(minutes=10)


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
    `unavailable` is why AWS could not be used any more, where that ended the run.
    """

    KEYS: ClassVar = keys("backups failed pruned")

    backups: tuple[Backup, ...]
    failed: tuple[Failed, ...] = ()
    duplicates: tuple[str, ...] = ()
    pruned: tuple[str, ...] = ()
    unavailable: AwsUnavailable | None = None


@dataclass
class _Entry:
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

    access: Access
    entries: Sequence[_Entry]
    since: datetime
    duplicates: set[str] = field(default_factory=set)
    broken: Exception | None = None
    reported: float = 0.0

    @property
    def dynamodb(self) -> DynamoDBClient:
        """Return the region's client."""
        return self.access.aws.client("dynamodb")

    @property
    def now(self) -> float:
        """Return the seconds that the clock shows."""
        return self.access.clock.monotonic()

    def select(self, wanted: Callable[[_Entry], bool]) -> list[_Entry]:
        """Return the entries that are wanted, in the order of the tables."""
        return [entry for entry in self.entries if wanted(entry)]


def take_backups(job: Job, access: Access, tables: Iterable[str]) -> BackupRun:
    """Back up tables, wait until every backup is AVAILABLE and return what came of each.

    `tables` are physical names. A table that cannot be backed up does not keep the others
    from it: it is listed in `failed` with AWS's reason. Expired or refused credentials end
    the run at once; they are raised as botocore raised them when nothing had been started,
    and are otherwise the reason of every table that is not proven.

    Raises `Interrupted` on Ctrl-C, naming what DynamoDB goes on with.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateBackup.html
    """
    now = access.clock.now()
    run = _Run(
        access,
        entries=[
            _Entry(table, name_for(job.environment, table, now)) for table in dict.fromkeys(tables)
        ],
        since=now - _CLOCK_SKEW,
        reported=access.clock.monotonic(),
    )
    try:
        _drive(run)
    except KeyboardInterrupt:
        raise _describe_interruption(run) from None
    return _conclude(run)


def require_complete(run: BackupRun) -> None:
    """Raise `BackupFailed` naming each table of a run that has no proven backup.

    Raises `AwsUnavailable` instead where credentials that ended are the reason.
    """
    if not run.failed:
        return
    total = len(run.backups) + len(run.failed)
    failure = BackupFailed(
        "\n".join(
            [
                f"{len(run.failed)} of {total} tables could not be backed up:",
                *(f"  - {failed.table}: {failed.reason}" for failed in run.failed),
            ]
        ),
        next_step="Mend the cause and run the same command again; the finished backups stay.",
        details={"backups": as_document(run.backups), "failed": as_document(run.failed)},
    )
    if run.unavailable is None:
        raise failure
    cure = f"{run.unavailable.next_step.rstrip('.')}; then " if run.unavailable.next_step else ""
    raise AwsUnavailable(
        failure.message,
        next_step=f"{cure}run the same command again; the finished backups stay.",
        details=failure.details,
    )


def _drive(run: _Run) -> None:
    """Start, look and verify until every table is over or AWS cannot be used any more."""
    progressed = run.now
    while not run.broken and (open_entries := run.select(lambda entry: not entry.is_over)):
        _start_due(run)
        _verify_finished(run)
        _report_progress(run)
        still_open = run.select(lambda entry: not entry.is_over)
        now = run.now
        if len(still_open) < len(open_entries):
            progressed = now
        if any(entry.is_in_flight for entry in still_open):
            run.access.clock.sleep(pause_after(now - progressed))
        elif still_open:
            run.access.clock.sleep(max(0.0, min(entry.not_before for entry in still_open) - now))


def _start_due(run: _Run) -> None:
    now = run.now
    room = BACKUPS_IN_FLIGHT - len(run.select(lambda entry: entry.is_in_flight))
    waiting = run.select(lambda entry: not entry.arn and not entry.is_over)
    due = [entry for entry in waiting if entry.not_before <= now][:room]
    for entry in due:
        entry.asked = now if entry.asked is None else entry.asked
    side_by_side(lambda entry: _start(run.dynamodb, entry), due, at_once=PARALLEL_CALLS)
    for entry in due:
        _judge_start(run, entry)


def _start(dynamodb: DynamoDBClient, entry: _Entry) -> None:
    """Make one attempt to start a backup, unless an earlier attempt is found to have done so."""
    try:
        if entry.answer_lost:
            # CreateBackup has no client token: only its name tells whether the request
            # whose answer was lost had reached DynamoDB.
            entry.arn = _find_by_name(dynamodb, entry)
        if not entry.arn:
            answer = dynamodb.create_backup(TableName=entry.table, BackupName=entry.name)
            entry.arn = answer["BackupDetails"]["BackupArn"]
    except (ClientError, BotoCoreError) as exc:
        entry.error = exc


def _find_by_name(dynamodb: DynamoDBClient, entry: _Entry) -> str:
    """Return the ARN of an entry's backup if DynamoDB has one of its name, else ""."""
    listed = list_backups(dynamodb, table=entry.table)
    own = (one.arn for one in listed if one.name == entry.name and one.status != "DELETED")
    return next(own, "")


def _judge_start(run: _Run, entry: _Entry) -> None:
    """Decide after a refused attempt between later, never, and the end of the whole run."""
    exc, entry.error = entry.error, None
    now = run.now
    if exc is None:
        entry.started = now
        return
    if is_busy(exc) and entry.asked is not None and now - entry.asked < PATIENCE:
        entry.failures += 1
        entry.not_before = now + backoff_after(entry.failures)
        if entry.failures == _FAILURES_IN_SILENCE:
            left = PATIENCE - (now - entry.asked)
            run.access.say(f"{entry.table}: {describe_wait(exc, left)}", Level.WARNING)
        entry.answer_lost = entry.answer_lost or not is_throttled(exc)
    else:
        _give_up(run, entry, exc)


def _give_up(run: _Run, entry: _Entry, exc: Exception) -> None:
    """Record why a table has no backup; end the run when no other call would fare better."""
    if _ends_the_run(exc):
        run.broken = exc
        return
    _fail(entry, exc)
    run.access.say(f"{entry.table} could not be backed up: {entry.reason}", Level.WARNING)


def _fail(entry: _Entry, exc: Exception) -> None:
    started = f"backup {entry.arn} was started, but is not proven: " if entry.arn else ""
    entry.error = exc
    entry.reason = f"{started}{_in_aws_words(exc)}"


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
    in_flight = run.select(lambda entry: entry.is_in_flight)
    if not in_flight:
        return
    try:
        listed = ask_patiently(
            lambda: list_backups(run.dynamodb, since=run.since), run.access.clock
        )
    except (ClientError, BotoCoreError) as exc:
        run.broken = exc
        return
    _note_duplicates(run, listed)
    creating = {backup.arn for backup in listed if backup.status == "CREATING"}
    ready = [entry for entry in in_flight if entry.arn not in creating]
    side_by_side(lambda entry: _verify(run.dynamodb, entry), ready, at_once=PARALLEL_CALLS)
    for entry in in_flight:
        _judge_proof(run, entry)


def _note_duplicates(run: _Run, listed: Iterable[Backup]) -> None:
    """Remember backups that carry an entry's name but are not the one it was told of."""
    known = {(entry.table, entry.name): entry.arn for entry in run.entries if entry.arn}
    for backup in listed:
        arn = known.get((backup.table, backup.name), backup.arn)
        if arn != backup.arn and backup.status != "DELETED":
            run.duplicates.add(backup.arn)


def _verify(dynamodb: DynamoDBClient, entry: _Entry) -> None:
    """Ask once for the proof of one backup.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeBackup.html
    """
    try:
        answer = dynamodb.describe_backup(BackupArn=entry.arn)
    except (ClientError, BotoCoreError) as exc:
        entry.error = exc
        return
    details: Mapping[str, Any] = answer["BackupDescription"].get("BackupDetails") or {}
    status = details.get("BackupStatus")
    if status == "AVAILABLE":
        entry.backup = read_backup(details, entry.table)
    elif status == "DELETED":
        entry.reason = f"backup {entry.arn} was deleted by somebody before it was complete"


def _judge_proof(run: _Run, entry: _Entry) -> None:
    """Decide whether a backup that is not proven yet is waited for any longer."""
    exc, entry.error = entry.error, None
    waited = run.now - entry.started
    if exc is not None and not is_passing(exc):
        # DynamoDB may not know a backup yet that it has just begun.
        if error_code(exc) != "BackupNotFoundException" or waited > SETTLING:
            _give_up(run, entry, exc)
    elif not entry.is_over and waited > WAIT_AT_MOST:
        entry.reason = (
            f"backup {entry.arn} is still not AVAILABLE after {WAIT_AT_MOST / 60:.0f} minutes"
        )


def _report_progress(run: _Run) -> None:
    """Say how far the run is: not more often than is worth reading, and always at its end."""
    now = run.now
    done = len(run.select(lambda entry: entry.backup is not None))
    over = all(entry.is_over for entry in run.entries)
    if over or now - run.reported >= PROGRESS_EVERY:
        run.reported = now
        level = Level.DONE if done == len(run.entries) else Level.INFO
        run.access.say(f"{done} of {len(run.entries)} tables are backed up.", level)


def _conclude(run: _Run) -> BackupRun:
    """Turn what was learnt into a result, or raise when AWS let nothing begin."""
    begun = any(entry.arn for entry in run.entries)
    if run.broken and not begun:
        raise run.broken
    if run.broken:
        text = f"The run ended early: {_in_aws_words(run.broken)}"
        run.access.say(text, Level.ERROR)
        for entry in run.select(lambda entry: not entry.is_over):
            _fail(entry, run.broken)
    denied = [entry.error for entry in run.entries if entry.error and _is_denied(entry.error)]
    if denied and not begun and len(denied) == len(run.entries):
        # Every table denied is one missing permission, not a failure of each table.
        raise denied[0]
    for arn in sorted(run.duplicates):
        run.access.say(f"A lost answer left a second backup of the same name: {arn}", Level.WARNING)
    return BackupRun(
        backups=tuple(entry.backup for entry in run.entries if entry.backup),
        failed=tuple(
            Failed(entry.table, entry.reason) for entry in run.entries if not entry.backup
        ),
        duplicates=tuple(sorted(run.duplicates)),
        unavailable=_say_unavailable(run),
    )


def _say_unavailable(run: _Run) -> AwsUnavailable | None:
    """Return why AWS cannot be used any more, None where it can or something else went wrong."""
    error = explain(run.broken, run.dynamodb.meta.region_name) if run.broken else None
    return error if isinstance(error, AwsUnavailable) else None


def _describe_interruption(run: _Run) -> Interrupted:
    """Say what DynamoDB holds and goes on with after Ctrl-C."""
    region = run.dynamodb.meta.region_name
    done = [entry.backup.arn for entry in run.entries if entry.backup]
    running = [entry.arn for entry in run.entries if entry.is_in_flight]
    unknown = [
        entry.table
        for entry in run.entries
        if entry.asked is not None and not entry.arn and not entry.reason
    ]
    untouched = sum(1 for entry in run.entries if entry.asked is None)
    lines = [f"Interrupted: {len(done)} of {len(run.entries)} tables are backed up ({region})."]
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
