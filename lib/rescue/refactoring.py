"""Move resources between nested stacks, or rename them, without replacing what they hold.

The operator has moved them in the templates already. A stack refactor makes the deployed stacks
follow, and the update after it brings what the templates say beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from lib.deploy import deployments
from lib.deploy.deployments import Mode
from lib.deploy.outcomes import Outcome
from lib.document import as_document, keys
from lib.drawing import draw_table
from lib.errors import (
    Declined,
    InputError,
    OperationFailed,
    Refused,
    StateForbids,
    TemplateError,
)
from lib.inputs import jobs, parameters
from lib.operators import Level, Listing
from lib.refusals import explain, is_unsupported
from lib.releases import moving, store, turns
from lib.rescue import reshaping
from lib.rescue.reshaping import Known
from lib.stacks import admission, deployed, refactors, stacks
from lib.stacks.refactors import Action, Location
from lib.stacks.statuses import Operation
from lib.templates import comparison, moves, templates
from lib.templates.moves import Relocation
from lib.templates.resolution import Resource, Tree
from lib.templates.unknowns import fill_in

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient

    from lib.access import Access
    from lib.inputs.jobs import Job, Options
    from lib.stacks.deployed import Deployed
    from lib.stacks.stacks import Stack


@dataclass(frozen=True)
class Moved:
    """A resource that changed its place, or would: from where, to where, and which it is."""

    KEYS: ClassVar = keys("from=source to=destination type physical_id")

    source: str
    destination: str
    type: str
    physical_id: str


@dataclass(frozen=True)
class Refactored:
    """What became of a refactor: `action` is moved, unchanged, previewed or failed.

    `update` is the outcome of the update that followed, None where there was none yet;
    `next_step` is what is left to do.
    """

    action: str
    stack: str
    region: str
    refactor: str
    moves: tuple[Moved, ...]
    update: Outcome | None = None
    next_step: str = ""

    @property
    def failed(self) -> bool:
        """Tell whether AWS was asked and did not do it."""
        return self.update is not None and self.update.failed


@dataclass(frozen=True)
class Refactoring:
    """A refactor that was worked out: the moves that are left, and what each stack is to be.

    `done` are moves that an earlier run has made. `names` and `texts` are by the path of the
    stack, "" for the root; `known` is what references come to once everything has moved.
    """

    moves: tuple[Relocation, ...]
    done: tuple[Relocation, ...]
    moved: tuple[Moved, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)


def refactor(
    job: Job, access: Access, options: Options, wanted: Sequence[Relocation]
) -> Refactored:
    """Move resources of a stack to where the templates have them, then update it.

    Safe to repeat: what has moved already is left alone. Raises `InputError` for a path that is
    not there, `StateForbids` for what a refactor cannot do, `Declined`, and `OperationFailed` with
    AWS's reason.
    """
    with turns.take_turn(job, access, "rescue.refactor", early=not options.preview) as held:
        return _refactor(job, held, options, wanted)


def _refactor(
    job: Job, access: Access, options: Options, wanted: Sequence[Relocation]
) -> Refactored:
    """Move resources of a stack, and update it, in this run's turn."""
    plan = work_out(job, access, wanted)
    if plan.moves and not options.preview and access.claim():
        plan = work_out(job, access, wanted)
    where = f"stack {job.stack_name} in {job.region}"
    if plan.moves:
        access.operator.report(_list_moves(f"Moves in {where}, nothing is replaced:", plan.moved))
    if options.preview:
        return Refactored("previewed", job.stack_name, job.region, "", plan.moved)
    refactor_id = _carry_out(job, access, plan, where) if plan.moves else ""
    return _follow_up(job, access, options, plan, refactor_id)


def _list_moves(title: str, moved: Sequence[Moved]) -> Listing:
    rows = [(one.source, one.destination, one.type, one.physical_id) for one in moved]
    return Listing(title, ("From", "To", "Type", "Physical ID"), rows)


def work_out(job: Job, access: Access, wanted: Sequence[Relocation]) -> Refactoring:
    """Look at what is deployed and at the templates, and return how one becomes the other."""
    cfn = access.aws.client("cloudformation")
    stack, _ = admission.admit(job, access, Operation.UPDATE)
    if stack is None or stack.status.is_paused:
        state = stack.status if stack else "gone"
        raise StateForbids(
            f"Stack {job.stack_name} in {job.region} is {state}; AWS refactors stacks at rest.",
            next_step=f"inv rollback {job.flags}",
        )
    before = deployed.read(cfn, stack)
    old = deployed.resolve_for(job, access, before.folder, before.parameters, live=True)
    new = _resolve_checkout(job, access, stack)
    left = tuple(one for one in wanted if not _is_made(one, old, new))
    done = tuple(one for one in wanted if one not in left)
    for move in left:
        _require_sound(job, move, left, old, new)
    moved = tuple(
        Moved(
            one.source, one.destination, _at(old, one.source).type, before.physical_ids[one.source]
        )
        for one in left
    )
    if not left:
        return Refactoring((), done, ())
    return _shape(job, access, stack, before, old, Refactoring(left, done, moved))


def _resolve_checkout(job: Job, access: Access, stack: Stack) -> Tree:
    """Evaluate the checkout as it would be deployed onto a stack, secrets masked."""
    values = jobs.fill_in(job, store.bucket_of(job, access).name, stack.parameters)
    declared = job.templates[templates.MASTER].parameters
    masked = parameters.mask_secrets(values, declared)
    return deployed.resolve_for(job, access, job.templates, masked)


def _at(tree: Tree, path: str) -> Resource:
    """Return the resource at a path."""
    return next(one for one in tree.resources if one.path == path)


def _paths(tree: Tree) -> frozenset[str]:
    return frozenset(one.path for one in tree.resources)


def _is_made(move: Relocation, old: Tree, new: Tree) -> bool:
    """Tell whether an earlier run made a move: it is deployed where the templates want it."""
    there = _paths(old)
    return (
        move.source not in there and move.destination in there and move.destination in _paths(new)
    )


def _require_sound(
    job: Job, move: Relocation, together: Sequence[Relocation], old: Tree, new: Tree
) -> None:
    """Raise for a move that is not one: not deployed, not in the templates, or not the same."""
    live, wanted = _paths(old), _paths(new)
    owner = moves.split(move.destination)[0]
    problems = [
        (move.source not in live, f"{move.source} is not deployed"),
        (move.destination in live, f"{move.destination} is deployed already"),
        (bool(owner) and owner not in live, f"the nested stack {owner} is not deployed yet"),
        (move.source in wanted, f"the templates still have {move.source}: move it there first"),
        (move.destination not in wanted, f"the templates have no {move.destination}"),
    ]
    told = [text for holds, text in problems if holds]
    if told:
        raise InputError(
            f"{move} is no move in stack {job.stack_name} in {job.region}: {'; '.join(told)}.",
            next_step=f"inv update --preview {job.flags} shows what the templates would change",
        )
    before, after = _at(old, move.source), _at(new, move.destination)
    _require_type(job, move, before, after)
    changes = moves.differ(before, after, together, region=job.region)
    if changes:
        names = ", ".join(name for change in changes for name in change.properties)
        raise StateForbids(
            f"A refactor changes nothing but the place, and {move.destination} is to differ from "
            f"{move.source} in {names or 'more'}. Nothing was changed.",
            next_step=f"change {names or 'it'} before or after the move: inv update {job.flags}",
        )


def _require_type(job: Job, move: Relocation, before: Resource, after: Resource) -> None:
    """Raise for a type that AWS does not refactor, or for two types."""
    if before.type != after.type:
        raise InputError(
            f"{move.source} is {before.type}, {move.destination} is to be {after.type}."
        )
    unsupported = before.type in refactors.UNSUPPORTED or before.type.startswith("Custom::")
    if unsupported or before.type == templates.STACK_TYPE:
        raise StateForbids(
            f"AWS does not refactor {before.type} ({move.source} of stack {job.stack_name} in "
            f"{job.region}). Nothing was changed.",
            next_step="leave it where it is, under its name",
        )


def _shape(
    job: Job, access: Access, stack: Stack, before: Deployed, old: Tree, plan: Refactoring
) -> Refactoring:
    """Return a plan with what each stack that takes part is to be."""
    part = list(
        dict.fromkeys(
            moves.split(path)[0] for one in plan.moves for path in (one.source, one.destination)
        )
    )
    if len(part) > refactors.MOST_STACKS:
        raise InputError(
            f"A refactor takes at most {refactors.MOST_STACKS} stacks, this one {len(part)}.",
            next_step="move the resources in several runs",
        )
    cfn = access.aws.client("cloudformation")
    ids = {path: before.physical_ids[path] if path else stack.id for path in part}
    bodies = {path: templates.parse(path or "root", before.texts[path]).body for path in part}
    attributes: dict[str, str] = {}
    for path in part:
        live = stacks.describe(cfn, ids[path]) if path else stack
        shown = live.outputs if live else {}
        attributes |= reshaping.find_attributes(path, bodies[path], shown)
    known = Known(before.physical_ids, attributes)
    shaped = _shape_unchanged(job, access, before, old, plan, bodies, known)
    _require_filled(job, shaped)
    texts = {path: reshaping.as_text(body) for path, body in shaped.items()}
    large = [
        path or job.stack_name for path, text in texts.items() if len(text) > refactors.MOST_BYTES
    ]
    if large:
        raise StateForbids(
            f"The template of {', '.join(large)} is larger than the {refactors.MOST_BYTES:,} bytes "
            "that a request takes. Nothing was changed.",
            next_step="split it first, with resources that hold nothing",
        )
    names = {path: stacks.name_of(stack_id) for path, stack_id in ids.items()}
    return replace(plan, names=names, texts=texts, known=_know_after(plan, known))


def _shape_unchanged(
    job: Job,
    access: Access,
    before: Deployed,
    old: Tree,
    plan: Refactoring,
    bodies: Mapping[str, templates.Body],
    known: Known,
) -> dict[str, dict[str, object]]:
    """Return the bodies after the moves, once they come to what is there now and nothing else.

    A definition goes over as it is written where its names mean the same in its new stack, else
    with what they come to. Raises `StateForbids` where neither leaves everything as it is.
    """
    pinned: dict[str, Resource] = {}
    for _ in range(2):
        shaped = reshaping.reshape(bodies, plan.moves, known, pinned=pinned)
        found = _find_changed(job, access, before, old, plan, shaped, known)
        if not found:
            return shaped
        pinned = {one.destination: _at(old, one.source) for one in plan.moves}
    raise StateForbids(
        f"Stack {job.stack_name} in {job.region} cannot be refactored so: {'; '.join(found)} "
        "would change with it. Nothing was changed.",
        next_step=f"inv update --preview {job.flags}",
    )


def _find_changed(
    job: Job,
    access: Access,
    before: Deployed,
    old: Tree,
    plan: Refactoring,
    shaped: Mapping[str, Mapping[str, object]],
    known: Known,
) -> list[str]:
    """Return what would not be the same after a refactor, as far as templates tell."""
    texts = {**before.texts, **{p: reshaping.as_text(body) for p, body in shaped.items()}}
    absent: set[str] = set()
    try:
        folder = deployed.build_folder(texts, absent)
        new = deployed.resolve_for(job, access, folder, before.parameters, live=True)
    except TemplateError as exc:
        return [exc.message]
    back = {one.destination: one.source for one in plan.moves}
    returned = tuple(replace(one, path=back.get(one.path, one.path)) for one in new.resources)
    here = _fill_in(old, known.values, ())
    there = _fill_in(replace(new, resources=returned), known.values, plan.moves)
    return [
        f"{change.path} ({', '.join(change.properties) or change.action})"
        for change in comparison.compare(here, there, region=job.region)
    ]


def _fill_in(tree: Tree, known: Mapping[str, str], together: Sequence[Relocation]) -> Tree:
    """Return a tree in which references to what moves are its values, wherever it stands."""
    back = [Relocation(one.destination, one.source) for one in together]
    return replace(
        tree,
        resources=tuple(
            replace(one, properties=fill_in(moves.follow(one.properties, back), known))
            for one in tree.resources
        ),
    )


def _know_after(plan: Refactoring, known: Known) -> dict[str, str]:
    """Return what references to the resources come to once they have moved."""
    found = {}
    for one in plan.moved:
        found[one.destination] = one.physical_id
        begins = f"{one.source}."
        found |= {
            f"{one.destination}.{name.removeprefix(begins)}": value
            for name, value in known.attributes.items()
            if name.startswith(begins)
        }
    return found


def _require_filled(job: Job, shaped: Mapping[str, Mapping[str, object]]) -> None:
    """Raise for a stack that would have no resource left.

    "CloudFormation doesn't support empty stacks."
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-refactoring.html
    """
    empty = [path or job.stack_name for path, body in shaped.items() if not body["Resources"]]
    if empty:
        raise StateForbids(
            f"{', '.join(empty)} would have no resource left, and AWS has no empty stacks. "
            "Nothing was changed.",
            next_step="leave one resource there, and move or remove it with a later update",
        )


def _carry_out(job: Job, access: Access, plan: Refactoring, where: str) -> str:
    """Have AWS check the refactor, ask, execute it, and look again; return its ID."""
    cfn = access.aws.client("cloudformation")
    refactor_id = _make(job, access, plan, where)
    actions = refactors.list_actions(cfn, refactor_id)
    _require_only_moves(plan, actions, where)
    tags = sorted({tag for one in actions for tag in one.tagged if not tag.startswith("aws:")})
    if tags:
        access.say(f"AWS gives what moves the tags of its new stack: {', '.join(tags)}.")
    count = len(plan.moves)
    question = f"Move {count} resource{'s' * (count > 1)} of {where}, then update it?"
    if not access.operator.confirm(question, "y"):
        raise Declined(f"Nothing was moved in {where}.")
    access.claim()
    moved = {one.destination: one.source for one in plan.moves}
    moving.note(store.bucket_of(job, access), job.stack_name, moved)
    try:
        refactors.execute(cfn, refactor_id, access.clock)
    except (BotoCoreError, ClientError) as exc:
        error = explain(exc, job.region, job.stack_name)
        error.next_step = error.next_step or "run the same command again, for a new refactor"
        raise error from exc
    state = refactors.wait_executed(cfn, refactor_id, access.clock)
    ids = [plan.names[path] for path in plan.names]
    refactors.wait_at_rest(cfn, ids, access.clock)
    if not state.is_done:
        raise OperationFailed(
            f"AWS did not refactor {where} ({state.execution}): {state.reason or 'no why given'}",
            next_step=f"inv status {job.flags}; nothing was replaced",
        )
    _look_again(cfn, plan, where)
    access.say(f"Moved {count} resource{'s' * (count > 1)} of {where}.", Level.DONE)
    return refactor_id


def _make(job: Job, access: Access, plan: Refactoring, where: str) -> str:
    """Ask AWS for the refactor, and return its ID once AWS has found it good."""
    cfn = access.aws.client("cloudformation")

    def place(path: str) -> Location:
        stack, logical_id = moves.split(path)
        return Location(plan.names[stack], logical_id)

    try:
        refactor_id = refactors.create(
            cfn,
            {plan.names[path]: text for path, text in plan.texts.items()},
            [(place(one.source), place(one.destination)) for one in plan.moves],
            description=f"{job.stack_name}: {moves.name(plan.moves)}"[:1024],
        )
    except (BotoCoreError, ClientError) as exc:
        if is_unsupported(exc):
            raise StateForbids(
                f"This endpoint has no stack refactors; nothing was moved in {where}.",
                next_step="put the resource back in the templates where it is deployed",
            ) from exc
        raise explain(exc, job.region, job.stack_name) from exc
    state = refactors.wait_made(cfn, refactor_id, access.clock)
    if not state.is_made:
        raise OperationFailed(
            f"AWS does not refactor {where}: {state.reason or state.status}. Nothing was changed.",
            next_step="mend what it names, or leave it where it is; "
            f"inv update --preview {job.flags}",
        )
    return refactor_id


def _require_only_moves(plan: Refactoring, actions: Sequence[Action], where: str) -> None:
    """Raise where AWS would do anything but what was asked, or to anything else."""
    wanted = {
        (one.physical_id, *_names_of(plan, one.source), *_names_of(plan, one.destination))
        for one in plan.moved
    }
    found = {
        (
            *(one.physical_id, one.source.stack, one.source.logical_id),
            *(one.destination.stack, one.destination.logical_id),
        )
        for one in actions
    }
    others = [one for one in actions if (one.kind, one.entity) != ("MOVE", "RESOURCE")]
    if others or found != wanted:
        told = ", ".join(f"{one.kind} {one.entity} {one.physical_id}" for one in actions)
        raise StateForbids(
            f"AWS would do more or less to {where} than was asked: {told or 'nothing'}. "
            "Nothing was changed.",
            next_step="name every resource that moves in --move",
        )


def _names_of(plan: Refactoring, path: str) -> tuple[str, str]:
    stack, logical_id = moves.split(path)
    return plan.names[stack], logical_id


def _look_again(cfn: CloudFormationClient, plan: Refactoring, where: str) -> None:
    """Raise unless each resource is at its new place, and still the same one."""
    listed = {
        f"{path}/{one.logical_id}" if path else one.logical_id: one.physical_id
        for path, name in plan.names.items()
        for one in stacks.list_resources(cfn, name)
    }
    lost = [one for one in plan.moved if listed.get(one.destination) != one.physical_id]
    if lost:
        told = ", ".join(f"{one.destination} ({one.physical_id})" for one in lost)
        raise OperationFailed(
            f"AWS says that {where} was refactored, and does not show {told} there.",
            next_step="look at the stacks' resources in the console before anything else",
        )


def _follow_up(
    job: Job, access: Access, options: Options, plan: Refactoring, refactor_id: str
) -> Refactored:
    """Update the stack to the templates, so that its parents know what has moved.

    Until then a parent still loads the templates of before: they would take the move back. Raises
    `OperationFailed` where something has moved and the update is refused: more than nothing was
    changed.
    """
    action = "moved" if plan.moves else "unchanged"
    made = Refactored(action, job.stack_name, job.region, refactor_id, plan.moved)
    again = f"inv rescue.refactor --move {moves.name([*plan.moves, *plan.done])} {job.flags}"
    access.say("Updating the stack, so that its templates are those of the checkout.")
    settling = replace(options, settles=True, known=plan.known)
    try:
        outcome = deployments.deploy(job, access, settling, Mode.UPDATE)
    except Declined:
        return replace(made, next_step=again)
    except Refused as exc:
        if not plan.moves:
            raise
        raise OperationFailed(
            f"Moved in stack {job.stack_name} in {job.region}, nothing replaced: "
            f"{moves.name(plan.moves)}. The update after it was refused:\n{exc.message}",
            next_step=f"{again} goes on with the update; {exc.next_step}",
            details={**exc.details, "moves": as_document(plan.moved)},
        ) from exc
    if outcome.action == "updated":
        moving.forget(store.bucket_of(job, access), job.stack_name)
    return replace(made, update=outcome, next_step=outcome.next_step)


def draw(found: Refactored) -> str:
    """Return what became of a refactor as text."""
    where = f"Stack {found.stack} in {found.region}"
    said = {
        "moved": f"{len(found.moves)} moved, nothing replaced",
        "unchanged": "everything was moved already",
        "previewed": f"{len(found.moves)} would move, nothing executed",
    }
    lines = [f"{where}: {said.get(found.action, found.action)}."]
    if found.moves:
        rows = [(one.source, one.destination, one.physical_id) for one in found.moves]
        lines.append(draw_table(("From", "To", "Physical ID"), rows))
    return "\n".join(lines + ([f"Next: {found.next_step}"] if found.next_step else []))
