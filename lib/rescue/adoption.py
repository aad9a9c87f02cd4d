"""Bring resources that exist under a stack: one that stands, or one that is created over them.

What a deletion retains, or a switch leaves out, belongs to no stack. `inv rescue.adopt` puts it
into its place in a stack that stands, `inv deploy` creates a stack over what an earlier one of the
same name retained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from lib.data.loss import STATEFUL
from lib.document import as_document
from lib.drawing import draw_table
from lib.errors import InputError, Refused
from lib.operators import Answer, Level, Listing
from lib.refusals import error_code, error_message, is_denied, is_unsupported
from lib.releases import turns
from lib.rescue import fitting, passage
from lib.rescue.derivation import Base
from lib.rescue.records import Entry
from lib.stacks import events
from lib.stacks.drift import Drift
from lib.templates import naming, schemas

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.templates.naming import Naming

COMMAND = "inv rescue.adopt"

#: Deleted stacks of one name that are looked through for what they retained, newest first. AWS
#: keeps deleted stacks for 90 days.
LOOKED_THROUGH = 5


@dataclass(frozen=True)
class Adopted:
    """What became of an adoption. `steps` is the whole way of a preview."""

    KEYS: ClassVar = {
        name: name for name in ("stack", "release", "adopted", "retained", "drift", "steps")
    }

    stack: str
    release: str
    adopted: Mapping[str, str]
    retained: tuple[str, ...] = ()
    drift: tuple[Drift, ...] = ()
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Leftover:
    """A resource that an earlier stack of the same name retained, and that still exists."""

    path: str
    type: str
    physical_id: str


def read_pairs(resources: Sequence[str], physical_ids: Sequence[str]) -> dict[str, str]:
    """Return paths with the physical IDs that are to take them, as the two flags list them."""
    if len(resources) != len(physical_ids):
        raise InputError(
            f"--resource names {len(resources)} and --physical-id {len(physical_ids)}.",
            next_step="Give as many of one as of the other, in the same order, comma-separated.",
        )
    return dict(zip(resources, physical_ids, strict=True))


def adopt(job: Job, access: Access, wanted: Mapping[str, str], *, preview: bool = False) -> Answer:
    """Put existing resources into their places in a stack that stands, or finish what was begun.

    `wanted` maps paths, or logical IDs, to physical names; empty goes on with what was begun. What
    holds a place now leaves the stack, retained. Raises `Refused` for a resource that is not there,
    does not fit its template or is another stack's.
    """
    with turns.take_turn(job, access, "rescue.adopt", early=not preview) as held:
        return _adopt(job, held, wanted, preview=preview)


def _adopt(job: Job, access: Access, wanted: Mapping[str, str], *, preview: bool) -> Answer:
    """Put existing resources into their places, in this run's turn."""
    world = passage.read_world(job, access, COMMAND)
    pairs = {passage.find_path(world, asked): name for asked, name in wanted.items()}
    moves = {path: name for path, name in pairs.items() if world.live.get(path) != name}
    record = None if preview else passage.resume(world, moves)
    steps: tuple[str, ...] = ()
    if record is None:
        if not moves:
            return _say_nothing_to_do(world, pairs)
        entries = [Entry(path, world.live.get(path, ""), name) for path, name in moves.items()]
        for entry in entries:
            require_free(job, access, world.base, entry.path, entry.new)
            fitting.require(job, access, world.base, entry.path, entry.new, world.stack)
        steps = passage.describe_steps(world, entries)
        record = passage.begin(world, entries, steps, preview=preview, restored=True)
    if record is None:
        done = Adopted(world.stack.name, world.base.name, pairs, steps=steps)
        return Answer(as_document(done))
    record = passage.carry_through(world, record)
    found = passage.finish(world, record)
    moved = {entry.path: entry.new for entry in record.entries}
    olds = tuple(entry.old for entry in record.entries if entry.old)
    done = Adopted(world.stack.name, world.base.name, moved, olds, found)
    return Answer(as_document(done), draw_table(("Resource", "Is now"), list(done.adopted.items())))


def _say_nothing_to_do(world: passage.World, pairs: Mapping[str, str]) -> Answer:
    """Answer an adoption of what the stack has already."""
    if not pairs:
        raise InputError(
            "It is not said what is to be adopted.",
            next_step="Give --resource NestedStack/LogicalId --physical-id NAME.",
        )
    names = ", ".join(f"{path} is {name}" for path, name in pairs.items())
    world.access.say(f"Nothing to do: {names} already.", Level.DONE)
    return Answer(as_document(Adopted(world.stack.name, world.base.name, pairs)))


def require_free(job: Job, access: Access, base: Base, path: str, name: str) -> None:
    """Refuse a resource that a stack has; where AWS does not tell, its import will.

    "Stack for NAME does not exist" is what it says of one that none has.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackResources.html
    """
    owner = find_owner(access, name)
    if owner:
        raise Refused(
            f"{name} belongs to stack {owner}, so it cannot become {path} of stack "
            f"{job.stack_name} in {job.region}. Nothing was changed.",
            next_step=f"take it out of {owner} first, retained",
        )


def find_owner(access: Access, name: str) -> str:
    """Return the name of the stack that a physical resource belongs to, "" where none is known."""
    cfn = access.aws.client("cloudformation")
    try:
        found = cfn.describe_stack_resources(PhysicalResourceId=name)["StackResources"]
    except ClientError as exc:
        if error_code(exc) in ("ValidationError", "AccessDenied", "AccessDeniedException"):
            return ""
        raise
    owners = [r.get("StackName", "") for r in found if r.get("PhysicalResourceId") == name]
    return owners[0] if owners else ""


def find_leftovers(job: Job, access: Access, *, wanted: bool = False) -> tuple[Leftover, ...]:
    """Return what earlier stacks of a job's name retained, that fits its templates and is free.

    Where AWS does not let one look nothing is found, and that is said, unless it is `wanted`: then
    an empty table would stand where somebody asked for theirs. Any other error is raised as it
    comes.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStacks.html
    """
    places = {one.path: one for one in naming.list_namings(job.templates)}
    if not places:
        return ()
    try:
        return _choose_leftovers(job, access, places)
    except (BotoCoreError, ClientError) as exc:
        if wanted or not (is_denied(exc) or is_unsupported(exc)):
            raise
        access.say(
            f"What an earlier stack {job.stack_name} retained could not be read: "
            f"{error_message(exc)}",
            Level.WARNING,
        )
        return ()


def _choose_leftovers(
    job: Job, access: Access, wanted: Mapping[str, Naming]
) -> tuple[Leftover, ...]:
    """Return for each place the newest leftover that holds anything, else the newest.

    A creation that failed leaves empty ones of its own, which must not hide the data.
    """
    found: dict[str, Leftover] = {}
    full: set[str] = set()
    beside: list[Leftover] = []
    for stack_id in _list_deleted(access, job.stack_name)[:LOOKED_THROUGH]:
        for one in _list_retained(access, stack_id):
            if one.path not in wanted:
                beside.append(one)
                continue
            if one.path in full or not _is_free(access, wanted[one.path], one):
                continue
            if not fitting.is_empty(access, wanted[one.path], one.physical_id):
                full.add(one.path)
                found[one.path] = one
            found.setdefault(one.path, one)
    _say_what_stays(job, access, beside)
    return tuple(found[path] for path in wanted if path in found)


def _list_deleted(access: Access, name: str) -> list[str]:
    """Return the IDs of the deleted root stacks of a name, newest first."""
    cfn = access.aws.client("cloudformation")
    pages = cfn.get_paginator("list_stacks").paginate(StackStatusFilter=["DELETE_COMPLETE"])
    found = [
        # The time of its deletion is not on every answer; each stack was deleted before the next.
        (str(one.get("DeletionTime") or one.get("CreationTime", "")), one["StackId"])
        for page in pages
        for one in page["StackSummaries"]
        if one["StackName"] == name and not one.get("ParentId")
    ]
    return [stack_id for _, stack_id in sorted(found, reverse=True)]


def _say_what_stays(job: Job, access: Access, retained: Iterable[Leftover]) -> None:
    """Say which data an earlier stack has left that no new one can take over, whoever asks."""
    names: dict[str, list[str]] = {}
    for one in retained:
        if one.type in STATEFUL and schemas.is_named_by_aws(one.type, job.region):
            names.setdefault(f"{one.path} ({STATEFUL[one.type]})", []).append(one.physical_id)
    for what, ids in names.items():
        access.say(
            f"An earlier stack retained {what}, which no stack can take over: {', '.join(ids)}. "
            "AWS makes that identifier, and imports only by a name that the templates give.",
            Level.WARNING,
        )


def _list_retained(access: Access, stack_id: str) -> Iterator[Leftover]:
    """Yield what the deletion of a stack left."""
    for event in events.read_operation(access.aws.client("cloudformation"), stack_id):
        if event.status == "DELETE_SKIPPED" and event.physical_id:
            yield Leftover(event.path, event.type, event.physical_id)


def _is_free(access: Access, naming: Naming, leftover: Leftover) -> bool:
    """Tell whether a leftover still exists, is of the right type, and no stack has it."""
    if leftover.type != naming.type or not leftover.physical_id:
        return False
    exists = fitting.exists(access, naming, leftover.physical_id)
    return exists and not find_owner(access, leftover.physical_id)


def list_leftovers(job: Job, leftovers: Iterable[Leftover]) -> Listing:
    """Return leftovers as a table to show before a question."""
    title = f"An earlier stack {job.stack_name} in {job.region} retained:"
    return Listing(title, ("Resource", "Is"), [(one.path, one.physical_id) for one in leftovers])
