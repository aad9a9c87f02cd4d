"""Restore a stack's table: find what is meant, make a new table of it, say how to switch over."""

from __future__ import annotations

from collections.abc import Mapping

from lib.access import Access
from lib.data import new_tables, settings, sources, switching, tables
from lib.document import as_document
from lib.inputs.jobs import Job
from lib.operators import Answer, Level
from lib.stacks import deployed, stacks
from lib.stacks.stacks import Stack


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
    stack = stacks.describe(cfn, job.stack_name)
    resources = stacks.walk(cfn, stack.id) if stack else ()
    source = sources.choose_source(
        job, access, resources, backup=backup, table=table, point_in_time=point_in_time
    )
    original = settings.read_settings(access.aws.client("dynamodb"), source.table, access.clock)
    if original is None and stack:
        original = _read_declared(job, access, stack, source.table)
    restored = new_tables.create_from(source, access, target_table=target_table, original=original)
    for name in restored.missing:
        access.say(f"Not restored: {name}", Level.WARNING)
    lines = [
        switching.explain_counts(restored, source),
        *switching.explain_switch_over(
            restored,
            original if source.table in tables.find_tables(resources) else None,
            stack=job.stack_name,
            region=job.region,
            shell=access.aws.shell,
            flags=job.flags,
        ),
    ]
    return Answer(as_document(restored), "\n".join(lines))


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
    for resource in tree.resources if tree else ():
        if resource.path == path:
            tags = {**stack.tags, **_read_nested_tags(access, before.physical_ids, path or "")}
            return settings.read_declared(table, resource.properties, tags)
    return None


def _read_nested_tags(
    access: Access, physical_ids: Mapping[str, str], path: str
) -> Mapping[str, str]:
    """Return the tags of the nested stack that a resource is in: it has them, too."""
    owner = physical_ids.get(path.rpartition("/")[0], "")
    nested = stacks.describe(access.aws.client("cloudformation"), owner) if owner else None
    return nested.tags if nested else {}
