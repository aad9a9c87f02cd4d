"""Put existing resources into their seats under a stack, in steps that can be taken again.

A seat's holder leaves its template first, retained, while its readers are pointed at the successor;
then the successor is imported; then the stack returns to its own release, where a parameter keeps
the name. After each step the stack works with one and the same successor, and where it stands can
be read from what is deployed.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lib.deploy import change, proposals, publishing
from lib.deploy.outcomes import Outcome, unchanged
from lib.errors import OperationFailed, Refused
from lib.inputs import parameters
from lib.inputs.artifacts import Artifacts
from lib.inputs.jobs import Options
from lib.releases import store
from lib.rescue import derivation, surgery
from lib.rescue.derivation import Base
from lib.rescue.surgery import Seat
from lib.stacks import admission, previews, stacks
from lib.stacks.statuses import Operation
from lib.templates.changes import join
from lib.templates.templates import MASTER

if TYPE_CHECKING:
    from lib.access import Access
    from lib.deploy.change import Offer
    from lib.deploy.publishing import Run
    from lib.inputs.jobs import Job
    from lib.stacks.previews import ChangeSet
    from lib.stacks.stacks import Stack


class Stand(enum.Enum):
    """Where a stack stands on the way of its seats; the value is what is left to do."""

    HELD = "leave the old one out, import the new one, return to the release"
    EMPTY = "import the new one, return to the release"
    IMPORTED = "return to the release"
    SETTLED = "nothing"


@dataclass(frozen=True)
class Way:
    """Some seats of one stack, the release to end at, and what is deployed now."""

    job: Job
    access: Access
    base: Base
    seats: tuple[Seat, ...]

    @property
    def paths(self) -> frozenset[str]:
        """Return the paths of the seats."""
        return frozenset(seat.path for seat in self.seats)


def look(way: Way, stack: Stack) -> Stand:
    """Return where a stack stands, by its resources and the release that it runs."""
    cfn = way.access.aws.client("cloudformation")
    live = {r.path: r.physical_id for r in stacks.walk(cfn, stack.id)}
    holders = [live.get(seat.path) for seat in way.seats]
    named = [stack.parameters.get(seat.naming.parameter) == seat.successor for seat in way.seats]
    if None in holders:
        return Stand.EMPTY
    if any(h != seat.successor for h, seat in zip(holders, way.seats, strict=True)):
        return Stand.HELD
    bucket = store.bucket_of(way.job, way.access)
    running = derivation.find_running(way.job, way.access, bucket, stack.id)
    settled = running == way.base.name and all(named)
    return Stand.SETTLED if settled else Stand.IMPORTED


def require_stack(job: Job, access: Access) -> Stack:
    """Return a stack that can be updated; waits for what is under way, refuses what forbids it."""
    stack, _decision = admission.admit(job, access, Operation.UPDATE)
    if stack is None or stack.status.is_paused:
        raise Refused(
            f"Stack {job.stack_name} in {job.region} is {stack.status if stack else 'not there'}: "
            "nothing can be imported into it as it is.",
            next_step=f"inv rollback {job.flags}" if stack else f"inv deploy {job.flags}",
        )
    return stack


def rehearse(way: Way, stack: Stack) -> None:
    """Have AWS say that it would import every successor, before anything is changed.

    A change set puts each beside what holds its seat, is read and discarded. AWS looks at the
    resource then: whether it exists, whether a stack has it, whether its type can be imported.
    Raises `Refused` with AWS's own words where it would not, and for an endpoint that does not know
    how to.
    """
    surgery.require_kept(way.base.folder, way.seats)
    edited = surgery.put_beside(way.base.folder, way.seats)
    run = _derive(way, edited, stack, named=False)
    proposal = proposals.propose(run, "UPDATE")
    try:
        proposed = previews.wait(
            run.cfn, proposal.change_set_id, kind="UPDATE", clock=way.access.clock
        )
        wanted = {
            join(seat.path.rpartition("/")[0], surgery.rehearsed_id(seat)): seat.successor
            for seat in way.seats
        }
        require_imports(way, proposed, wanted)
    finally:
        # Ctrl-C included: a change set that is not executed must not pile up.
        proposals.abandon(run, proposal)


def require_imports(way: Way, proposed: ChangeSet, wanted: Mapping[str, str]) -> None:
    """Refuse a change set that does not import what is wanted, path by path."""
    where = f"stack {way.job.stack_name} in {way.job.region}"
    if proposed.status == "FAILED":
        said = "; ".join(proposed.problems) or proposed.reason or "AWS gives no reason"
        raise Refused(
            f"AWS would not import into {where}: {said}. Nothing was changed.",
            next_step="mend what AWS names, then the same command again",
        )
    found = {c.path: c for c in proposed.changes if c.action == "Import"}
    missing = sorted(
        path
        for path, name in wanted.items()
        if path not in found or found[path].physical_id not in ("", name)
    )
    if missing:
        raise Refused(
            f"This endpoint does not import into {where}: of {', '.join(missing)} its change set "
            "does not say Import. Nothing was changed.",
            next_step="copy the items instead; `inv restore` without --switch prints the command",
        )


def empty_seats(way: Way, stack: Stack) -> Outcome:
    """Leave the holders out of the stack, retained, and point what reads them at the successors."""
    options = Options(allow_data_loss=way.paths)
    run = _derive(way, surgery.leave_out(way.base.folder, way.seats), stack, options=options)
    return _carry_out(run, stack, lambda made: _require_only_orphans(way, made))


def import_successors(way: Way, stack: Stack) -> Outcome:
    """Import the successors into their empty seats."""
    edited = surgery.take_in(way.base.folder, way.seats)
    run = _derive(way, edited, stack, options=Options(import_existing=True))
    wanted = {seat.path: seat.successor for seat in way.seats}
    return _carry_out(run, stack, lambda made: require_imports(way, made.proposed, wanted))


def settle(way: Way, stack: Stack) -> Outcome:
    """Return the stack to its release, with the successors' names as parameters."""
    values = _values(way, stack)
    earlier = replace(way.job, templates=way.base.folder, values=values, artifacts=Artifacts())
    files = way.base.manifest.files
    run = replace(publishing.reopen(earlier, way.access, Options(), files, values), asks=False)
    return _carry_out(run, stack, lambda made: _require_harmless(way, made))


def _require_only_orphans(way: Way, made: Offer) -> None:
    """Refuse a change that removes anything but the seats' holders."""
    removed = {c.path for c in made.found.changes if c.action == "Remove"}
    companions = {kind for kinds in surgery.COMPANIONS.values() for kind in kinds}
    following = {c.path for c in made.found.changes if c.type in companions}
    if strange := sorted(removed - way.paths - following):
        raise Refused(
            f"The change would also remove {', '.join(strange)}, which nobody asked for; nothing "
            "was changed.",
            next_step=f"inv update {way.job.flags} --preview",
        )


def _require_harmless(way: Way, made: Offer) -> None:
    """Refuse a return to the release that touches a successor."""
    touched = [
        c.path
        for c in made.found.list_real()
        if c.path in way.paths and (c.action != "Modify" or c.replacement != "False")
    ]
    if touched:
        raise Refused(
            f"The return to release {way.base.name} would replace {', '.join(sorted(touched))}; it "
            "was not made. The stack works with the new one and is managed by it.",
            next_step=f"inv update {way.job.flags} --preview",
        )


def _derive(
    way: Way,
    edited: Mapping[str, str],
    stack: Stack,
    *,
    named: bool = True,
    options: Options | None = None,
) -> Run:
    """Publish the base with some templates edited and return a run with it."""
    values = _values(way, stack, named=named)
    chosen = options or Options(import_existing=True)
    release = derivation.derive(way.base, edited)
    return derivation.prepare(way.job, way.access, chosen, release, values)


def _values(way: Way, stack: Stack, *, named: bool = True) -> dict[str, str]:
    """Return the stack's parameters, none of them secret; `named` puts the successors' in."""
    names = {seat.naming.parameter: seat.successor for seat in way.seats if named}
    declared = way.base.folder[MASTER].parameters
    given = parameters.without_secrets(stack.parameters, declared) | names
    return {name: value for name, value in given.items() if name in declared}


def _carry_out(run: Run, stack: Stack, check: Callable[[Offer], None]) -> Outcome:
    """Propose one step, check what it would do, execute exactly that, and wait for its end."""

    def attempt(run: Run, kind: str, there: Stack | None) -> Outcome:
        made = change.offer(run, kind, there)
        if made.proposed.is_empty:
            proposals.withdraw(run, made.proposal)
            return unchanged(run.job, there, release=run.release.name)
        try:
            check(made)
        except BaseException:
            proposals.abandon(run, made.proposal)
            raise
        return change.accept(made)

    return change.insist(run, "UPDATE", stack, attempt)


def require_done(job: Job, outcome: Outcome, left: str, command: str) -> None:
    """Raise `OperationFailed` for a step that failed, with what is left and the command."""
    if not outcome.failed:
        return
    reason = outcome.failure.reason if outcome.failure else outcome.status
    first = f"{outcome.next_step}; then " if "ROLLBACK_FAILED" in outcome.status else ""
    raise OperationFailed(
        f"A step on stack {job.stack_name} in {job.region} failed ({outcome.status}): {reason}\n"
        f"Left to do: {left}. No item is lost.",
        next_step=f"{first}{command}",
    )
