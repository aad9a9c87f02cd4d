"""Create a stack over what an earlier one of its name retained, instead of beside it.

A creation imports like an update: by names that stand in the templates as they are. So the stack is
created with a release derived from its own, and then returned to its own, where parameters keep the
names. Whoever is killed in between runs `inv deploy` again, which does that last step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lib.deploy import change, creation, proposals
from lib.deploy.outcomes import Outcome, unchanged
from lib.errors import Declined, InputError, Refused
from lib.releases import store
from lib.rescue import adoption, derivation, fitting, imports, passage, surgery
from lib.rescue.adoption import Leftover
from lib.rescue.imports import Way
from lib.stacks import stacks
from lib.stacks.statuses import Decision, Move
from lib.templates.templates import MASTER

if TYPE_CHECKING:
    from lib.access import Access
    from lib.deploy.deployments import Create
    from lib.deploy.publishing import Run
    from lib.inputs.jobs import Job
    from lib.stacks.stacks import Stack

_ANSWERS = ("all", "none")


def over_leftovers(adopt: str | None) -> Create:
    """Return what creates a stack over its leftovers: asked where `adopt` is None.

    `adopt` is all or none. Raises `InputError` for anything else.
    """
    require_answer(adopt)

    def create(run: Run, stack: Stack | None, decision: Decision) -> Outcome | None:
        if adopt == "none":
            return None
        found = adoption.find_leftovers(run.job, run.access, wanted=adopt == "all")
        if not found:
            return None
        run.access.operator.report(adoption.list_leftovers(run.job, found))
        if not run.options.preview:
            _require_consent(run, adopt)
        return _create_over(run, stack, decision, found)

    return create


def require_answer(adopt: str | None) -> None:
    """Raise `InputError` unless what is said of leftovers is all, none, or nothing."""
    if adopt not in (None, *_ANSWERS):
        raise InputError(
            f"--adopt takes all or none, not {adopt!r}.",
            next_step="inv rescue.adopt takes single resources over, once the stack stands",
        )


def refuse_beside_leftovers(job: Job, access: Access, done: str, next_step: str) -> None:
    """Refuse to make a stack beside what an earlier one retained, whose tables would be empty.

    `done` is what is not done to the stack, a word.
    """
    found = adoption.find_leftovers(job, access)
    if found:
        names = "\n".join(f"  - {one.path}: {one.physical_id}" for one in found)
        raise Refused(
            f"Stack {job.stack_name} in {job.region} was not {done} beside what an earlier one "
            f"retained:\n{names}\n  To take that over:\n  inv deploy --adopt all {job.flags}",
            next_step=next_step,
        )


def _require_consent(run: Run, adopt: str | None) -> None:
    """Ask whether to take leftovers over; where nobody can be asked, name both commands."""
    if adopt == "all":
        return
    job = run.job
    ways = (
        f"inv deploy --adopt all {job.flags}, or with --adopt none for new and empty ones beside "
        "them"
    )
    where = f"Stack {job.stack_name} in {job.region}"
    try:
        agreed = run.access.operator.confirm("Take them over into the new stack?", "y")
    except Refused:
        raise Refused(
            f"{where} was not created: it is not said whether it takes over what an earlier one "
            "retained.",
            next_step=ways,
        ) from None
    if not agreed:
        raise Declined(f"{where} was not created.", next_step=ways)


def _create_over(
    run: Run, stack: Stack | None, decision: Decision, found: Sequence[Leftover]
) -> Outcome:
    """Create a stack that imports what was found, then return it to its own release."""
    job, access = run.job, run.access
    base = derivation.open_base(store.bucket_of(job, access), run.release.name)
    for one in found:
        fitting.require(job, access, base, one.path, one.physical_id)
    seats = tuple(passage.make_seat(job, access, base, o.path, o.physical_id) for o in found)
    way = Way(job, access, base, seats)
    surgery.require_kept(base.folder, seats)
    if decision.move is Move.REPLACE and stack is not None:
        creation.clear_failed(run, stack, decision)
    outcome = _create(run, way)
    made = stacks.describe(run.cfn, job.stack_name)
    if outcome.failed or outcome.preview or made is None:
        return outcome
    access.say(f"Returning to release {base.name}, which keeps the names as parameters.")
    settled = imports.settle(way, made)
    imports.require_done(job, settled, imports.Stand.IMPORTED.value, f"inv deploy {job.flags}")
    return replace(outcome, status=settled.status, release=base.name, outputs=settled.outputs)


def _create(run: Run, way: Way) -> Outcome:
    """Create the stack with the names written into its templates, importing what has them."""
    job, access = way.job, way.access
    options = replace(run.options, import_existing=True)
    release = derivation.derive(way.base, surgery.give_names(way.base.folder, way.seats))
    names = {seat.naming.parameter: seat.successor for seat in way.seats}
    declared = way.base.folder[MASTER].parameters
    values = {name: value for name, value in {**run.values, **names}.items() if name in declared}
    named = derivation.prepare(job, access, options, release, values)
    named = replace(named, asks=options.preview)
    wanted = {seat.path: seat.successor for seat in way.seats}

    def attempt(run: Run, kind: str, stack: Stack | None) -> Outcome:
        made = change.offer(run, kind, stack)
        try:
            imports.require_imports(way, made.proposed, wanted)
        except BaseException:
            proposals.abandon(run, made.proposal)
            raise
        if not run.options.preview:
            return change.accept(made)
        proposals.withdraw(run, made.proposal)
        left = unchanged(job, None, release=way.base.name)
        return made.found.onto(replace(left, preview=True))

    if not options.preview:
        access.say(f"Creating stack {job.stack_name} in {job.region} over what was retained.")
    return change.insist(named, "CREATE", None, attempt)
