"""Back up and restore a stack's tables: from the stack to the tables, and to what is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lib.data import backups, new_tables, settings, sources, switching
from lib.data.backups import BackupRun
from lib.drawing import draw_table
from lib.operators import Answer, Level, Note, Progress
from lib.stacks import deployed, stacks

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.stacks import Stack


def back_up(job: Job, access: Access, *, keep: int | None) -> BackupRun:
    """Back up every table in the tree of a stack; prune older backups where `keep` is given.

    Raises `BackupFailed` for a stack without tables.
    """
    cfn = access.aws.client("cloudformation")
    dynamodb = access.aws.client("dynamodb")
    stack = stacks.require(cfn, job)
    tables = backups.require_tables(stacks.walk(cfn, stack.id), stack.name, job.region)
    report = access.operator.report
    run = backups.back_up(
        dynamodb, tables, environment=job.environment, clock=access.clock, report=report
    )
    if keep is None:
        return run
    return backups.prune(
        dynamodb, run, environment=job.environment, keep=keep, clock=access.clock, report=report
    )


def answer_backups(run: BackupRun, report: Callable[[Progress], None]) -> Answer:
    """Tell which tables are backed up, and which are not."""
    for failed in run.failed:
        report(Note(f"{failed.table} was not backed up: {failed.reason}", Level.ERROR))
    document = {
        "backups": [backups.as_document(backup) for backup in run.backups],
        "failed": [{"table": failed.table, "reason": failed.reason} for failed in run.failed],
        "pruned": list(run.pruned),
    }
    rows = [(backup.table, str(backup.bytes), backup.name) for backup in run.backups]
    return Answer(document, draw_table(("Table", "Bytes", "Backup"), rows), 1 if run.failed else 0)


def restore(
    job: Job,
    access: Access,
    *,
    backup: str | None,
    table: str | None,
    target_table: str,
    point_in_time: str | None,
) -> Answer:
    """Restore into a new table, and say how to switch over to it.

    A stack that is gone does not stand in the way: backups outlive it.
    """
    cfn = access.aws.client("cloudformation")
    dynamodb = access.aws.client("dynamodb")
    stack = stacks.describe(cfn, job.stack_name)
    resources = stacks.walk(cfn, stack.id) if stack else ()
    source = sources.choose_source(
        dynamodb,
        resources,
        backup=backup,
        table=table,
        point_in_time=point_in_time,
        environment=job.environment,
        clock=access.clock,
        report=access.operator.report,
    )
    original = settings.read_settings(dynamodb, source.table, access.clock)
    if original is None and stack:
        original = _read_declared(job, access, stack, source.table)
    restored = new_tables.restore(
        dynamodb,
        source,
        target_table=target_table,
        original=original,
        clock=access.clock,
        report=access.operator.report,
    )
    for name in restored.missing:
        access.say(f"Not restored: {name}", Level.WARNING)
    current = original if source.table in backups.find_tables(resources) else None
    lines = [
        switching.explain_counts(restored, source),
        *switching.explain_switch_over(
            restored,
            current,
            stack=job.stack_name,
            region=job.region,
            shell=access.aws.shell,
        ),
    ]
    document = {
        "source": restored.source,
        "table": restored.table,
        "status": restored.status,
        "items": restored.items,
        "expected_items": restored.expected_items,
        "reapplied": list(restored.reapplied),
        "missing": list(restored.missing),
    }
    return Answer(document, "\n".join(lines))


def _read_declared(
    job: Job, access: Access, stack: Stack, table: str
) -> settings.TableSettings | None:
    """Return what the deployed template says of a table that is gone, or None.

    A table that was deleted behind CloudFormation's back is restored under its old name, and
    then has to be again what the stack expects.
    """
    before = deployed.read(access.aws.client("cloudformation"), stack)
    path = next((p for p, physical in before.physical_ids.items() if physical == table), None)
    tree = deployed.resolve_deployed(job, access, before)
    for resource in tree.resources if tree and path else ():
        if resource.path == path:
            return settings.read_declared(table, resource.properties, stack.tags)
    return None
