"""Back tables up and bring them back."""

from __future__ import annotations

from typing import Any

from commands.answers import add_verification, settle_harmless_questions
from commands.flags import COMMON, as_count, as_list
from commands.operation import operation
from commands.target import Target
from lib.errors import InputError
from lib.operators import Answer


@operation(
    help={"keep": "Delete this tool's own older backups, keep the newest N per table."},
    changes=True,
)
def backup(target: Target, keep: str | None = None) -> Answer:
    """Data: back up every table, and prove each backup.

    inv backup --env production
    inv backup --env production --keep 30
    """
    from lib.data import backups

    count = as_count(keep, "--keep")
    return backups.back_up(target.job, target.access, keep=count)


@operation(
    help={
        "backup": "ARN or name of a backup.",
        "table": "Logical ID, path or physical name of a table.",
        "target-table": "Name of the new table (default: the old one's and the time).",
        "point-in-time": "A moment within the recovery window, ISO 8601.",
        "switch": "Put the new table in the old one's place, under its stack; --table may then "
        "name several, and a --target-table that exists takes the place itself.",
        "preview": "With --switch: show the whole way; restore and change nothing.",
        "no-verify": "With --switch: do not check afterwards what was deployed.",
    },
    common=(*COMMON, "role_arn", "wait"),
    changes=True,
)
def restore(
    target: Target,
    backup: str | None = None,
    table: str | None = None,
    target_table: str | None = None,
    point_in_time: str | None = None,
    switch: bool = False,
    preview: bool = False,
    no_verify: bool = False,
) -> Answer:
    """Data: restore a backup or a moment into a new table.

    inv restore --table JobsTable --target-table jobs-restored
    inv restore --switch --table JobsTable --point-in-time 2026-11-20T09:00:00Z
    """
    from lib.data import restores

    given: Any = {
        "backup": backup,
        "target_table": target_table or "",
        "point_in_time": point_in_time,
    }
    if switch:
        return switch_over(target, as_list(table), preview=preview, verify=not no_verify, **given)
    if preview:
        raise InputError("--preview only says something to restore --switch.")
    return restores.restore(target.job, target.access, table=table, **given)


def switch_over(
    target: Target, tables: tuple[str, ...], *, preview: bool, verify: bool, **given: Any
) -> Answer:
    """Restore tables and put them in the place of the stack's own."""
    from lib.rescue import switching

    settle_harmless_questions(target)
    wanted = switching.Wanted(tables, preview=preview, **given)
    told = switching.switch(target.job, target.access, wanted)
    return add_verification(target, told) if verify and not preview else told
