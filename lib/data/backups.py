"""Back up every table of a stack: from the stack to its tables, and to what is said."""

from __future__ import annotations

from dataclasses import replace

from lib.access import Access
from lib.data.proving import BackupRun, take_backups
from lib.data.pruning import prune
from lib.data.tables import find_tables
from lib.document import as_document
from lib.drawing import draw_table
from lib.errors import BackupFailed
from lib.inputs.jobs import Job
from lib.operators import Answer, Level
from lib.stacks import stacks


def back_up(job: Job, access: Access, *, keep: int | None) -> Answer:
    """Back up every table in the tree of a stack; prune older backups where `keep` is given.

    Raises `BackupFailed` for a stack without tables.
    """
    cfn = access.aws.client("cloudformation")
    stack = stacks.require(cfn, job)
    tables = find_tables(stacks.walk(cfn, stack.id))
    if not tables:
        raise BackupFailed(
            f"No table was found in stack {stack.name} in {job.region} or in any stack nested in "
            "it; nothing was backed up.",
            next_step=f"`inv status --stack-name {stack.name} --region {job.region}` shows what it "
            "holds.",
        )
    run = take_backups(job, access, tables)
    if keep is not None:
        run = replace(run, pruned=prune(job, access, run.backups, keep=keep))
    return _answer(run, access)


def _answer(run: BackupRun, access: Access) -> Answer:
    for failed in run.failed:
        access.say(f"{failed.table} was not backed up: {failed.reason}", Level.ERROR)
    rows = [(backup.table, str(backup.bytes), backup.name) for backup in run.backups]
    text = draw_table(("Table", "Bytes", "Backup"), rows)
    if run.unavailable:
        if run.unavailable.next_step:
            access.say(run.unavailable.next_step)
        return Answer(as_document(run), text, run.unavailable.exit_code)
    return Answer(as_document(run), text, 1 if run.failed else 0)
