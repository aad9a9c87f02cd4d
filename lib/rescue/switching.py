"""Put a restored table in the place of the one a stack has, and end with it managed.

From a backup or a moment to a stack in sync: restore beside, complete, count, then
`lib.rescue.passage`. What is to come out of which source is remembered before the first restore
begins, and DynamoDB tells what each table was restored from, so that nothing is restored twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from lib.data import new_tables, settings, sources
from lib.data.sources import Source
from lib.data.tables import describe_table
from lib.document import as_document
from lib.drawing import draw_table
from lib.errors import InputError
from lib.operators import Answer, Level
from lib.releases import turns
from lib.rescue import fitting, passage, records
from lib.rescue.passage import World
from lib.rescue.records import Entry, Switch
from lib.stacks import stacks
from lib.stacks.drift import Drift

if TYPE_CHECKING:
    from lib.access import Access
    from lib.data.settings import TableSettings
    from lib.inputs.jobs import Job

COMMAND = "inv restore --switch"


@dataclass(frozen=True)
class Wanted:
    """What an operator asked for, as the flags have it."""

    tables: tuple[str, ...]
    backup: str | None = None
    point_in_time: str | None = None
    target_table: str = ""
    preview: bool = False


@dataclass(frozen=True)
class SwitchedTable:
    """One table that was put in another's place; `old` stays, retained, "" where it was lost."""

    path: str
    source: str
    table: str
    old: str
    status: str
    items: int | None
    expected_items: int | None


@dataclass(frozen=True)
class Switched:
    """What became of a switch. `steps` is the whole way of a preview, `drift` what is not clean."""

    KEYS: ClassVar = {
        **{name: f"first.{name}" for name in ("source", "table", "status", "items")},
        **{name: name for name in ("stack", "release", "tables", "drift", "steps")},
    }

    stack: str
    release: str
    tables: tuple[SwitchedTable, ...]
    drift: tuple[Drift, ...] = ()
    steps: tuple[str, ...] = ()

    @property
    def first(self) -> SwitchedTable:
        """Return the first table, by which `inv restore` tells its result."""
        return self.tables[0]


def switch(job: Job, access: Access, wanted: Wanted) -> Answer:
    """Restore tables and put them in the place of the stack's own, or finish what was begun.

    Without sources and with a `target_table` that exists, that very table takes the place: so one
    goes back to the old one. Raises `Refused` where nothing can be imported, before anything is
    changed but the new table, and `OperationFailed` when a step fails, with what is left.
    """
    with turns.take_turn(job, access, "restore --switch", early=not wanted.preview) as held:
        return _switch(job, held, wanted)


def _switch(job: Job, access: Access, wanted: Wanted) -> Answer:
    """Restore tables and put them in their places, in this run's turn."""
    world = passage.read_world(job, access, COMMAND)
    paths = [passage.find_path(world, one, kind="TableName") for one in wanted.tables]
    asked = dict.fromkeys(paths, wanted.target_table)
    record = None if wanted.preview else passage.resume(world, asked)
    if record is None and _is_done(world, paths, wanted.target_table):
        access.say(f"Nothing to do: {paths[0]} is {wanted.target_table} already.", Level.DONE)
        entry = Entry(paths[0], "", wanted.target_table)
        done = (_describe_entry(entry, "ACTIVE", {}),)
        return _answer(Switched(world.stack.name, world.base.name, done), "")
    if record is None:
        entries = _plan(world, paths, wanted)
        steps = _describe_way(world, entries)
        record = passage.begin(world, entries, steps, preview=wanted.preview, restored=False)
        if record is None:
            tables = tuple(_describe_entry(entry, "PREVIEW", {}) for entry in entries)
            return _answer(Switched(world.stack.name, world.base.name, tables, steps=steps), "")
    return _conclude(world, passage.carry_through(world, _restore(world, record)))


def _is_done(world: World, paths: Sequence[str], target: str) -> bool:
    """Tell whether the one table asked for is in its place already, as after a lost last answer."""
    if not target or len(paths) != 1 or world.live.get(paths[0]) != target:
        return False
    dynamodb = world.access.aws.client("dynamodb")
    return describe_table(dynamodb, target, world.access.clock) is not None


def _plan(world: World, paths: Sequence[str], wanted: Wanted) -> tuple[Entry, ...]:
    """Find for each table what it is to be restored from, and into what."""
    if not paths:
        raise InputError(
            "It is not said which table is to be switched.",
            next_step="Give --table NAME, or several, comma-separated.",
        )
    if len(paths) > 1 and (wanted.backup or wanted.target_table):
        raise InputError(
            "--backup and --target-table name one table, and --table names several.",
            next_step="Switch one after the other, or leave them out: each table then comes from "
            "its newest backup, or from --point-in-time.",
        )
    now = world.access.clock.now()
    return tuple(_plan_one(world, path, wanted, now) for path in dict.fromkeys(paths))


def _plan_one(world: World, path: str, wanted: Wanted, now: datetime) -> Entry:
    """Find what one table is to be restored from, and into what."""
    access, old = world.access, world.live.get(path, "")
    dynamodb = access.aws.client("dynamodb")
    target = wanted.target_table
    given = wanted.backup or wanted.point_in_time
    if target and not given and describe_table(dynamodb, target, access.clock):
        fitting.require_table(world.job, access, world.base, path, target, world.stack)
        return Entry(path, old, target)
    source = sources.choose_source(
        world.job,
        access,
        world.resources,
        backup=wanted.backup,
        table=None if wanted.backup else old or path,
        point_in_time=wanted.point_in_time,
        switched=path,
    )
    is_lost = bool(old) and describe_table(dynamodb, old, access.clock) is None
    new = target or (old if is_lost else new_tables.name_target(old or source.table, now))
    moment = source.point_in_time.isoformat() if source.point_in_time else ""
    return Entry(path, old, new, str(source), source.backup_arn, moment, source.table)


def _describe_way(world: World, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the steps of a switch, each in a sentence."""
    restores = [
        f"Restore {entry.source} into {entry.new}, apply its settings again, count its items"
        for entry in entries
        if entry.source
    ]
    return (*restores, *passage.describe_steps(world, entries))


def _restore(world: World, record: Switch) -> Switch:
    """Restore every table of a switch that was not restored yet, and compare the counts."""
    if record.restored:
        return record
    items = {
        entry.path: _restore_one(world, entry) if entry.source else (None, None)
        for entry in record.entries
    }
    record = replace(record, restored=True, items=items)
    records.write(world.bucket, world.job, record)
    return record


def _restore_one(world: World, entry: Entry) -> tuple[int | None, int | None]:
    """Restore one table, and return its count and the one of what it replaces."""
    access = world.access
    moment = datetime.fromisoformat(entry.point_in_time) if entry.point_in_time else None
    declared = fitting.resolve(world.job, access, world.base, world.stack, entry.path)
    restored = new_tables.create_from(
        Source(entry.source_table, entry.backup_arn, moment),
        access,
        target_table=entry.new,
        original=_read_original(world, entry, declared),
        pick_up=True,
        encryption=declared.get("SSESpecification"),
    )
    fitting.require_table(world.job, access, world.base, entry.path, entry.new, world.stack)
    is_known = restored.expected_items is not None
    beside = f"; {entry.old} holds {restored.expected_items} now" if is_known else ""
    access.say(f"{entry.new} holds {_show(restored.items)} items{beside}.", Level.DONE)
    for name in restored.missing:
        access.say(f"Not restored: {name}", Level.WARNING)
    return restored.items, restored.expected_items


def _read_original(world: World, entry: Entry, declared: Mapping[str, Any]) -> TableSettings | None:
    """Return the settings that the new table is to have: the old one's, or the template's."""
    dynamodb = world.access.aws.client("dynamodb")
    found = settings.read_settings(dynamodb, entry.old, world.access.clock) if entry.old else None
    if found:
        return found
    # CloudFormation gives a resource the tags of every stack above it.
    above = world.live.get(entry.path.rpartition("/")[0], "")
    nested = stacks.describe(world.access.aws.client("cloudformation"), above) if above else None
    tags = {**world.stack.tags, **(nested.tags if nested else {})}
    return settings.read_declared(entry.old or entry.new, declared, tags)


def _conclude(world: World, record: Switch) -> Answer:
    """Finish, and tell what became of it."""
    found = passage.finish(world, record)
    tables = tuple(_describe_entry(entry, "ACTIVE", record.items) for entry in record.entries)
    text = draw_table(
        ("Resource", "Table", "Items", "Before"),
        [(t.path, t.table, _show(t.items), _show(t.expected_items)) for t in tables],
    )
    return _answer(Switched(world.stack.name, world.base.name, tables, found), text)


def _show(count: int | None) -> str:
    return "uncounted" if count is None else str(count)


def _describe_entry(
    entry: Entry, status: str, items: Mapping[str, tuple[int | None, int | None]]
) -> SwitchedTable:
    counts = items.get(entry.path, (None, None))
    source = entry.source or entry.new
    return SwitchedTable(entry.path, source, entry.new, entry.old, status, *counts)


def _answer(done: Switched, text: str) -> Answer:
    return Answer(as_document(done), text)
