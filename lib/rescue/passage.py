"""Take a stack from what holds some seats to what is to hold them, step by step.

`inv restore --switch` and `inv rescue.adopt` go the same way: remember what is to be done, have AWS
say that it would import, stop the writers, leave the old out, import the new, return to the
release. Each step looks first how far the stack has come, so that whoever comes back after a kill
goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.errors import Declined, DeploymentError, InputError, Interrupted, OperationFailed, Refused
from lib.operators import Level
from lib.releases import history, store
from lib.rescue import derivation, imports, records, writers
from lib.rescue.derivation import Base
from lib.rescue.imports import Stand, Way
from lib.rescue.records import Entry, Switch
from lib.rescue.steps import draw_steps
from lib.rescue.surgery import Seat
from lib.stacks import drift, stacks
from lib.stacks.drift import Drift
from lib.templates import schemas, templates
from lib.templates.templates import MASTER

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.releases.store import Bucket
    from lib.stacks.stacks import Stack, StackResource


@dataclass(frozen=True)
class World:
    """A stack as it is, where its releases lie, the one it is to end with, and what was begun.

    `command` is what goes on with whatever was begun, without the target's flags.
    """

    job: Job
    access: Access
    command: str
    stack: Stack
    bucket: Bucket
    base: Base
    resources: tuple[StackResource, ...]
    begun: Switch | None

    @property
    def live(self) -> Mapping[str, str]:
        """Return the physical IDs of the stack's resources by path."""
        return {r.path: r.physical_id for r in self.resources}

    @property
    def again(self) -> str:
        """Return the whole command that goes on with whatever was begun."""
        return f"{self.command} {self.job.flags}"


def read_world(job: Job, access: Access, command: str) -> World:
    """Read a stack that something is to be imported into, and what was begun and not finished."""
    stack = imports.require_stack(job, access)
    bucket = store.bucket_of(job, access)
    begun = records.read(bucket, job)
    if begun and begun.stack_id != stack.id:
        begun = None  # Of a stack that is gone, whose name another has now.
    name = begun.release if begun else derivation.find_running(job, access, bucket, stack.id)
    base = derivation.open_base(bucket, name)
    resources = stacks.walk(access.aws.client("cloudformation"), stack.id)
    return World(job, access, command, stack, bucket, base, resources, begun)


def find_path(world: World, asked: str, *, kind: str = "") -> str:
    """Return the path of a resource that can be named, by path, logical ID or physical name.

    `kind` is the property that names it, "" for any. Raises `InputError` naming those there are,
    and `Refused` for one that AWS names itself.
    """
    known = {
        path: naming
        for path, naming in world.base.namings.items()
        if kind in ("", naming.name_property)
    }
    live = world.live
    found = [p for p, one in known.items() if asked in (p, one.logical_id, live.get(p))]
    if len(found) == 1:
        return found[0]
    for one in world.resources if not found else ():
        if asked in (one.path, one.logical_id, one.physical_id):
            _require_nameable(world, one)
    what = "stands for several resources" if found else "is nothing whose name can be given"
    raise InputError(
        f"{asked} {what} in release {world.base.name}.",
        problems=[f"{path} ({live.get(path, 'not there')})" for path in found or known],
        next_step="Name one of these; a stack that was deployed before they could be named needs "
        f"inv update {world.job.flags} first.",
    )


def _require_nameable(world: World, resource: StackResource) -> None:
    """Refuse what no template can name: nothing of it is imported into a nested stack.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
    """
    if schemas.is_named_by_aws(resource.type, world.job.region):
        raise Refused(
            f"{resource.path} of stack {world.stack.name} in {world.job.region} is an "
            f"{resource.type}, whose identifier AWS makes; into nested stacks it imports only by a "
            "name that the templates give. Nothing was changed.",
            next_step="what is left to do by hand: docs/deployment/disaster-recovery.md"
            "#the-stack-is-deleted",
        )


def resume(world: World, wanted: Mapping[str, str]) -> Switch | None:
    """Return an unfinished switch to go on with, None where there is none or it is given up.

    `wanted` maps paths to the names that were asked for, "" for any. It is gone on with when the
    same is asked for again, or nothing in particular. Raises `Refused` where another one is half
    done.
    """
    begun = world.begun
    if begun is None:
        return None
    news = {entry.path: entry.new for entry in begun.entries}
    same = all(name in ("", news.get(path)) for path, name in wanted.items())
    if same and set(wanted) in (set(), set(news)):
        world.access.say(f"Going on with what was begun {begun.began}: {list_moves(begun.entries)}")
        return begun
    way = find_way(world, begun.entries)
    if not way.seats or imports.look(way, world.stack) is Stand.HELD:
        writers.start(world.access, begun.stopped)
        world.access.say(
            f"What was begun {begun.began} had changed nothing of the stack and is given up: "
            f"{list_moves(begun.entries)}",
            Level.WARNING,
        )
        return None
    raise Refused(
        f"A switch begun {begun.began} by {begun.by} is half done ({list_moves(begun.entries)}); "
        "another one has to wait for its end.",
        next_step=world.again,
    )


def begin(
    world: World, entries: Sequence[Entry], steps: Sequence[str], *, preview: bool, restored: bool
) -> Switch | None:
    """Show the whole way, ask, and remember it; None for a preview."""
    title = f"The whole way for stack {world.job.stack_name} in {world.job.region}:"
    world.access.operator.report(draw_steps(title, steps))
    if preview:
        return None
    if not world.access.operator.confirm(f"Switch {list_moves(entries)}?", "y"):
        raise Declined(f"Stack {world.job.stack_name} in {world.job.region} was not changed.")
    world.access.claim()
    now = history.stamp(world.access.clock.now())
    by = world.access.aws.identity().arn
    begun = Switch(world.stack.id, world.base.name, now, by, tuple(entries), restored=restored)
    records.write(world.bucket, world.job, begun)
    return begun


def list_moves(entries: Iterable[Entry]) -> str:
    """Return what is to take which place, as a list in a sentence."""
    return ", ".join(f"{entry.path} to {entry.new}" for entry in entries)


def describe_steps(world: World, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the steps between what holds the seats and what is to, each in a sentence."""
    moved = [entry for entry in entries if entry.new != entry.old]
    if not moved:
        return ("Nothing more: the stack finds the table under its own name again",)
    readers = ", ".join(_list_readers(world, moved)) or "nothing"
    olds = ", ".join(entry.old or "nothing" for entry in moved)
    paths = ", ".join(entry.path for entry in moved)
    return (
        "Have AWS say that it would import, before anything is changed",
        "Stop the functions and tasks that write (asked)",
        f"Back up {olds}, leave it out of the stack, retained; point {readers} at the new one",
        "Let the functions take calls again",
        f"Import the new one as {paths}",
        f"Return to release {world.base.name}, which keeps the name as a parameter",
        "Detect drift",
    )


def _list_readers(world: World, entries: Iterable[Entry]) -> list[str]:
    """Return the nested stacks that read an output of those in which something is switched."""
    owners = {entry.path.split("/")[0] for entry in entries}
    resources = world.base.folder[MASTER].resources
    return [
        logical_id
        for logical_id, resource in resources.items()
        if owners & {name for name, _ in templates.attribute_references(resource)}
    ]


def find_way(world: World, entries: Sequence[Entry]) -> Way:
    """Return the way of those entries in which the name changes."""
    seats = tuple(
        make_seat(world.job, world.access, world.base, entry.path, entry.new)
        for entry in entries
        if entry.new != entry.old
    )
    return Way(world.job, world.access, world.base, seats)


def make_seat(job: Job, access: Access, base: Base, path: str, successor: str) -> Seat:
    """Return a place in a release's templates with what is to take it, and its ARN."""
    naming, aws = base.namings[path], access.aws
    if naming.name_property == "BucketName":
        arn = f"arn:{aws.partition}:s3:::{successor}"
    else:
        account = aws.identity().account
        arn = f"arn:{aws.partition}:dynamodb:{job.region}:{account}:table/{successor}"
    return Seat(naming, successor, arn)


def carry_through(world: World, record: Switch) -> Switch:
    """Take each step that is left, from what is deployed now."""
    way, job, access = find_way(world, record.entries), world.job, world.access
    if not way.seats:
        return record
    access.claim()
    stand = imports.look(way, world.stack)
    if stand is Stand.HELD:
        imports.rehearse(way, world.stack)
        record = _empty(world, way, record)
        stand = Stand.EMPTY
    record = _start_writers(world, record)
    if stand is Stand.EMPTY:
        names = ", ".join(f"{entry.new} as {entry.path}" for entry in record.entries)
        access.say(f"Importing {names}.")
        outcome = imports.import_successors(way, imports.require_stack(job, access))
        imports.require_done(job, outcome, Stand.EMPTY.value, world.again)
        stand = Stand.IMPORTED
    if stand is Stand.IMPORTED:
        access.say(f"Returning to release {world.base.name}.")
        outcome = imports.settle(way, imports.require_stack(job, access))
        imports.require_done(job, outcome, Stand.IMPORTED.value, world.again)
    return record


def finish(world: World, record: Switch) -> tuple[Drift, ...]:
    """Detect drift in what was switched, say what is retained, and forget the record."""
    found = _detect_drift(world, set(record.paths))
    records.remove(world.bucket, world.job)
    for entry in record.entries:
        if entry.old and entry.old != entry.new:
            world.access.say(f"Retained: {entry.old}")
    for one in found:
        what = one.property or one.status
        world.access.say(f"{one.path} has drifted from its template: {what}", Level.WARNING)
    return found


def _empty(world: World, way: Way, record: Switch) -> Switch:
    """Stop the writers and leave the old out; start the writers again if that fails."""
    record = _stop_writers(world, record)
    olds = ", ".join(entry.old for entry in record.entries if entry.old)
    world.access.say(f"Leaving {olds or 'nothing'} out of the stack; it is retained.")
    try:
        outcome = imports.empty_seats(way, imports.require_stack(world.job, world.access))
        imports.require_done(world.job, outcome, Stand.HELD.value, world.again)
    except Interrupted as exc:
        raise Interrupted(
            exc.message,
            next_step=f"{exc.next_step} Then {world.again}; until then no call is taken by "
            f"{', '.join(record.stopped) or 'nothing'}.",
            details=exc.details,
        ) from None
    except DeploymentError:
        _start_again(world, record)
        raise
    return record


def _start_writers(world: World, record: Switch) -> Switch:
    """Give the writers back what they had before they were stopped, and remember that."""
    if not record.stopped:
        return record
    writers.start(world.access, record.stopped)
    record = record.with_stopped({})
    records.write(world.bucket, world.job, record)
    return record


def _start_again(world: World, record: Switch) -> None:
    """Start the writers of a stack that is as it was; one that is stuck keeps them stopped."""
    now = stacks.describe(world.access.aws.client("cloudformation"), world.stack.id)
    if now and (now.status.is_healthy or now.status.endswith("ROLLBACK_COMPLETE")):
        _start_writers(world, record)
    elif record.stopped:
        world.access.say(
            f"{', '.join(record.stopped)}: no call is taken until the switch has ended.",
            Level.WARNING,
        )


def _stop_writers(world: World, record: Switch) -> Switch:
    """Stop what writes to the old, or tell of it where the operator declines."""
    access = world.access
    olds = [entry.old for entry in record.entries if entry.old]
    functions = writers.find_functions(access, world.resources, olds)
    if not functions:
        writers.stop(world.job, access, (), world.resources)
        return record
    names = ", ".join(one.name for one in functions)
    if not access.operator.confirm(f"Stop {names} until the readers are switched?", "y"):
        access.say(
            f"{names} may go on writing to {', '.join(olds)} until the stack points them at the "
            "new one; what they write there stays there.",
            Level.WARNING,
        )
        return record
    if not record.stopped:
        # Remembered before the first is stopped: a kill must not lose what they had.
        record = record.with_stopped(writers.read_limits(access, (one.name for one in functions)))
        records.write(world.bucket, world.job, record)
    writers.stop(world.job, access, functions, world.resources)
    return record


def _detect_drift(world: World, paths: set[str]) -> tuple[Drift, ...]:
    """Return how some resources differ from their template; nothing where nobody can tell."""
    cfn = world.access.aws.client("cloudformation")
    try:
        found = drift.detect(cfn, world.stack.id, world.access.clock)
    except OperationFailed as exc:
        world.access.say(exc.message, Level.WARNING)
        return ()
    return tuple(one for one in found if one.path in paths)
