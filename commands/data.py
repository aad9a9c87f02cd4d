"""Back tables up and bring them back."""

from __future__ import annotations

from commands.flags import as_count
from commands.operation import operation
from commands.target import Target
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
    },
    changes=True,
)
def restore(
    target: Target,
    backup: str | None = None,
    table: str | None = None,
    target_table: str | None = None,
    point_in_time: str | None = None,
) -> Answer:
    """Data: restore a backup or a moment into a new table.

    inv restore --table JobsTable --target-table jobs-restored
    inv restore --table JobsTable --point-in-time 2026-11-20T09:00:00Z
    """
    from lib.data import restores

    return restores.restore(
        target.job,
        target.access,
        backup=backup,
        table=table,
        target_table=target_table or "",
        point_in_time=point_in_time,
    )
