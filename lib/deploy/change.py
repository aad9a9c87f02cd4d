"""Carry out one deployment: propose, show, guard the data, ask, execute what was shown, wait."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lib.data import consent, loss
from lib.deploy import (
    barriers,
    creation,
    nesting,
    pauses,
    proposals,
    publishing,
    records,
    review,
)
from lib.deploy.outcomes import Outcome, conclude, unchanged
from lib.errors import Declined, StateForbids
from lib.operators import Level
from lib.stacks import changesets, events, previews, stacks, statuses, watching
from lib.stacks.statuses import Decision, Move, Operation, Status

if TYPE_CHECKING:
    from lib.deploy.publishing import Run
    from lib.deploy.review import Review
    from lib.releases.history import Record
    from lib.stacks.changesets import Proposal
    from lib.stacks.stacks import Stack

#: How often an update starts over because somebody else changed the stack meanwhile.
FRESH_STARTS = 3

_STOPS = {"CREATE": watching.STOP_CREATION, "UPDATE": watching.STOP_UPDATE}
_VERBS = {"created": "create", "updated": "update", "rolled-back": "rollback"}


def carry_out(run: Run, stack: Stack | None, decision: Decision) -> Outcome:
    """Do what was decided for the stack's state."""
    if decision.move is Move.REPLACE and stack is not None:
        return creation.replace_failed(run, stack, decision)
    if decision.move is Move.CREATE and not run.options.preview:
        return creation.create(run)
    if decision.move in (Move.CREATE, Move.CREATE_BY_CHANGE_SET):
        return _change(run, "CREATE", None)
    if stack is not None and stack.status.is_paused:
        run = pauses.keep_mode(run, stack)
    return _change(run, "UPDATE", stack)


def _change(run: Run, kind: str, stack: Stack | None) -> Outcome:
    """Propose, show, ask, and execute exactly what was shown; start over when overtaken."""
    for _ in range(FRESH_STARTS):
        try:
            return _change_once(run, kind, stack)
        except previews.ChangeSetStale as exc:
            run.access.say(exc.message, Level.WARNING)
            run.access.say("Starting over with the stack as it is now.")
            stack = _look_again(run, kind)
        except nesting.CannotLookInside as exc:
            run = nesting.go_shallow(run, exc)
    raise StateForbids(
        f"Stack {run.job.stack_name} in {run.job.region} keeps being changed by others.",
        next_step=f"inv history {run.job.flags}",
    )


def _look_again(run: Run, kind: str) -> Stack | None:
    """Return the stack as somebody else left it, if this change still applies to it."""
    stack = stacks.describe(run.cfn, run.job.stack_name)
    status = stack.status if stack else Status.ABSENT
    decision = statuses.decide(Operation.DEPLOY, status)
    creates = decision.move in (Move.CREATE, Move.CREATE_BY_CHANGE_SET)
    if decision.move is Move.UPDATE or (kind == "CREATE" and creates):
        return stack
    raise StateForbids(
        f"Somebody else has changed stack {run.job.stack_name} in {run.job.region} "
        f"meanwhile; it is {status} now.",
        next_step=f"inv status {run.job.flags}",
    )


def _change_once(run: Run, kind: str, stack: Stack | None) -> Outcome:
    """Make one change set, and execute or discard it."""
    # A stack that is paused only takes an operation that again does not roll back.
    keep = run.options.disable_rollback or (stack is not None and stack.status.is_paused)
    proposal = proposals.propose(run, kind, disable_rollback=keep)
    try:
        proposed = previews.wait(run.cfn, proposal.change_set_id, kind=kind, clock=run.access.clock)
        nesting.require_inside(run, proposed)
        found = review.judge(run, proposed, stack)
        if not found.changes_nothing:
            review.show(run, proposed, found)
        barriers.check(run, stack, found, disable_rollback=keep)
        if found.changes_nothing or run.options.preview:
            proposals.discard(run, proposal)
            if stack and run.replays and not run.options.preview:
                return pauses.replay(run, stack)
            return found.onto(_leave(run, stack, found))
        backups = _guard(run, kind, found)
        after = events.mark(run.cfn, proposal.stack_id) if stack else None
        action = "created" if kind == "CREATE" else run.action
        record = records.begin(run, _VERBS[action], proposal.stack_id)
    except BaseException:
        # Ctrl-C included: a change set that is not executed must not pile up.
        proposals.abandon(run, proposal)
        raise
    _execute(run, proposal, record, disable_rollback=keep)
    touched = [change.path for change in found.changes if not change.is_phantom]
    ending = watching.wait(
        run.job, run.access, proposal.stack_id, after, stop=_STOPS[kind], expected=touched
    )
    if kind == "CREATE":
        outcome = creation.conclude(run, record, proposal.stack_id, ending)
    else:
        outcome = records.close(run, record, action, proposal.stack_id, ending)
    return found.onto(replace(outcome, backups=backups))


def _leave(run: Run, stack: Stack | None, found: Review) -> Outcome:
    """Return the outcome of a change that is not made: a preview's, or of one that is none.

    A stack whose last operation failed is not up to date because its templates are.
    """
    left = unchanged(run.job, stack, release=run.release.name)
    if not found.changes_nothing or stack is None or not stack.status.is_paused:
        return replace(left, preview=run.options.preview)
    cause = events.find_cause(events.read_operation(run.cfn, stack.id))
    ending = events.Ending(stack.status, stack, (), cause)
    failed = conclude(run.job, left.action, stack.id, ending)
    way_out = statuses.leave_paused(stack.status, run.job.flags)
    return replace(failed, release=run.release.name, next_step=way_out)


def _guard(run: Run, kind: str, found: Review) -> tuple[str, ...]:
    """Get every consent, back up what is at risk, and return the backups' ARNs."""
    risks = loss.at_risk(found.changes)
    consent.require_consent(run.job, run.access, risks, run.options.allow_data_loss)
    if not risks:
        consent.warn_without_pitr(run.job, run.access, found.before)
    question = (
        f"{kind.capitalize()} stack {run.job.stack_name} in {run.job.region} "
        f"({found.count()}, release {run.release.name})?"
    )
    if not run.access.operator.confirm(question, "y"):
        raise Declined(f"Stack {run.job.stack_name} in {run.job.region} was not changed.")
    publishing.require_intact(run)
    tables = loss.tables_at_risk(found.changes)
    return consent.back_up(run.job, run.access, tables, wanted=run.options.backup)


def _execute(run: Run, proposal: Proposal, record: Record, *, disable_rollback: bool) -> None:
    """Execute the change set that was shown, by its ARN."""
    try:
        with (
            watching.leaving_running(run.job, run.access, stop=_STOPS[proposal.kind]),
            proposals.discarding_refused(run, proposal),
            records.refusals(run, record, proposal.stack_id),
        ):
            changesets.execute(
                run.cfn,
                proposal,
                token=watching.new_token(),
                disable_rollback=disable_rollback,
                express=run.options.express,
            )
    except previews.ChangeSetStale:
        records.complete(run, record, "OVERTAKEN", proposal.stack_id)
        proposals.abandon(run, proposal)
        raise
