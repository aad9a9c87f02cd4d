"""Carry out one deployment: propose, show, guard the data, ask, execute what was shown, wait."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

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
    unfinished,
)
from lib.deploy.outcomes import Outcome, conclude, look_into, telling_changes, unchanged
from lib.errors import DataLossRefused, Declined, Locked, StateForbids
from lib.operators import Level
from lib.releases import history, turns
from lib.stacks import admission, changesets, events, previews, stacks, statuses, watching
from lib.stacks.statuses import Decision, Move, Operation, Status

if TYPE_CHECKING:
    from lib.deploy.publishing import Run
    from lib.deploy.review import Review
    from lib.releases.history import Record
    from lib.stacks.changesets import Proposal
    from lib.stacks.previews import ChangeSet
    from lib.stacks.stacks import Stack

Result = TypeVar("Result")

#: How often an update starts over because somebody else changed the stack meanwhile.
FRESH_STARTS = 3

_STOPS = {"CREATE": watching.STOP_CREATION, "UPDATE": watching.STOP_UPDATE}
_VERBS = {"created": "create", "updated": "update", "rolled-back": "rollback"}


def carry_out(
    run: Run, stack: Stack | None, decision: Decision, *, task: str = "deploy"
) -> Outcome:
    """Do what was decided for the stack's state, in this run's turn.

    The turn is claimed once there is something to change, so that a run that changes nothing asks
    for none; `task` is what others are told. A preview clears what killed ones have left.
    """
    with turns.take_turn(run.job, run.access, task, early=not run.options.preview) as access:
        outcome = _carry_out(replace(run, access=access), stack, decision)
    if run.options.preview and stack is not None:
        proposals.sweep(run, stack)
    return outcome


def _carry_out(run: Run, stack: Stack | None, decision: Decision) -> Outcome:
    """Do what was decided for the stack's state."""
    if decision.move is Move.REPLACE and stack is not None:
        if not run.options.preview and run.access.claim():
            return _carry_out(run, *admission.admit(run.job, run.access, Operation.DEPLOY))
        creation.clear_failed(run, stack, decision)
    if decision.move in (Move.REPLACE, Move.CREATE) and not run.options.preview:
        run.access.say(f"Creating stack {run.job.stack_name} in {run.job.region}.")
        return _change(replace(run, asks=False), "CREATE", None)
    if decision.move in (Move.CREATE, Move.CREATE_BY_CHANGE_SET):
        return _change(run, "CREATE", None)
    if stack is not None and stack.status.is_paused:
        run = pauses.keep_mode(run, stack)
    return _change(run, "UPDATE", stack)


@dataclass(frozen=True)
class Offer:
    """A change set that was made, judged and shown, and is not executed yet.

    `run` is the one it was made by; `stack` is None where it creates.
    """

    run: Run
    kind: str
    stack: Stack | None
    proposal: Proposal
    proposed: ChangeSet
    found: Review

    @property
    def keeps(self) -> bool:
        """Tell whether what fails stays as it is.

        A stack that is paused only takes an operation that again does not roll back.
        """
        return self.run.options.disable_rollback or _is_paused(self.stack)


def _is_paused(stack: Stack | None) -> bool:
    return stack is not None and stack.status.is_paused


def _change(run: Run, kind: str, stack: Stack | None) -> Outcome:
    """Propose, show, ask, and execute exactly what was shown; start over when overtaken."""
    return insist(run, kind, stack, _change_once)


def insist(
    run: Run, kind: str, stack: Stack | None, attempt: Callable[[Run, str, Stack | None], Result]
) -> Result:
    """Make an attempt at a change; start over when overtaken, or when AWS cannot look inside."""
    for _ in range(FRESH_STARTS):
        try:
            return attempt(run, kind, stack)
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
    if kind == "CREATE" and creates:
        # What there may be of it is a shell without a template.
        return None
    if kind == "UPDATE" and decision.move is Move.UPDATE:
        return stack
    raise StateForbids(
        f"Somebody else has changed stack {run.job.stack_name} in {run.job.region} "
        f"meanwhile; it is {status} now.",
        next_step=f"inv status {run.job.flags}",
    )


def _change_once(run: Run, kind: str, stack: Stack | None) -> Outcome:
    """Make one change set, and execute or discard it."""
    made = offer(run, kind, stack)
    if not (made.found.changes_nothing or run.options.preview):
        return accept(made)
    proposals.withdraw(run, made.proposal)
    if stack and run.replays and not run.options.preview:
        _claim(run, made.proposal)
        return pauses.replay(run, stack)
    return made.found.onto(_leave(run, stack, made.found))


def offer(run: Run, kind: str, stack: Stack | None) -> Offer:
    """Make a change set, judge it, and show it; one that cannot be used is discarded."""
    keep = run.options.disable_rollback or _is_paused(stack)
    proposal = proposals.propose(run, kind, disable_rollback=keep)
    try:
        proposed = previews.wait(run.cfn, proposal.change_set_id, kind=kind, clock=run.access.clock)
        nesting.require_inside(run, proposed)
        return look_at(run, kind, stack, proposal, proposed)
    except BaseException:
        # Ctrl-C included: a change set that is not executed must not pile up.
        proposals.abandon(run, proposal)
        raise


def look_at(
    run: Run, kind: str, stack: Stack | None, proposal: Proposal, proposed: ChangeSet
) -> Offer:
    """Judge a change set that AWS has made, and show it."""
    found = review.judge(run, proposed, stack)
    if found.changes_nothing and stack:
        unfinished.require_told(run, stack, partial(review.resolve_wanted, run))
    made = Offer(run, kind, stack, proposal, proposed, found)
    if not found.changes_nothing:
        review.show(run, proposed, found)
    with _telling_changes(run, found):
        barriers.check(run, stack, found, disable_rollback=made.keeps)
    return made


@contextlib.contextmanager
def _telling_changes(run: Run, found: Review) -> Iterator[None]:
    """Have a refusal say which changes it is about: that is when a program needs them.

    Where data would be lost only because something stands elsewhere now, it says what moves it.
    """
    try:
        with telling_changes(found.changes):
            yield
    except DataLossRefused as exc:
        if found.moves:
            instead = f"to move it instead: {review.command_to_move(run, found.moves)}"
            exc.next_step = f"{instead}; {exc.next_step}"
        raise


def accept(made: Offer) -> Outcome:
    """Get every consent, back up, execute exactly what was shown, and follow it to its end."""
    run, stack_id = made.run, made.proposal.stack_id
    creates = made.kind == "CREATE"
    try:
        with _telling_changes(run, made.found):
            _claim(run, made.proposal)
            backups = _guard(made)
        after = _mark(made) if made.stack else None
        action = "created" if creates else run.action
        record = records.begin(run, _VERBS[action], stack_id, watching.new_token())
    except BaseException:
        # Ctrl-C included: a change set that is not executed must not pile up.
        proposals.abandon(run, made.proposal)
        raise
    _execute(run, made.proposal, record, disable_rollback=made.keeps)
    touched = [change.path for change in made.found.list_real()]
    ending = watching.wait(
        run.job,
        run.access,
        stack_id,
        after,
        stop=_STOPS[made.kind],
        expected=touched,
        usually=records.usual(run, record),
    )
    if creates:
        outcome = creation.conclude(run, record, stack_id, ending)
    else:
        outcome = records.close(run, record, action, stack_id, ending)
    return made.found.onto(replace(outcome, backups=backups))


def _claim(run: Run, proposal: Proposal) -> None:
    """Claim this run's turn; raise `ChangeSetStale` where others changed the stack meanwhile."""
    if run.access.claim():
        raise previews.stale(proposal.change_set_id, "It was made before it was this run's turn.")


def _claim_at_last(run: Run, proposal: Proposal, record: Record) -> None:
    """Make sure, with nothing left between, that it still is this run's turn.

    A question may have been open for long, and a backup may have taken long.
    """
    try:
        run.access.claim()
    except BaseException as exc:
        if isinstance(exc, Locked):
            records.complete(run, record, history.REFUSED, proposal.stack_id, exc.message)
        proposals.abandon(run, proposal)
        raise


def _leave(run: Run, stack: Stack | None, found: Review) -> Outcome:
    """Return the outcome of a change that is not made: a preview's, or of one that is none.

    A stack whose last operation failed is not up to date because its templates are.
    """
    left = unchanged(run.job, stack, release=run.release.name)
    if not found.changes_nothing or stack is None or not stack.status.is_paused:
        return replace(left, preview=run.options.preview)
    happened = events.read_operation(run.cfn, stack.id)
    ending = events.Ending(stack.status, stack, happened, events.tell_cause(run.cfn, happened))
    failed = conclude(run.job, left.action, stack.id, ending)
    failed = look_into(run.job, run.access, failed, happened)
    way_out = statuses.leave_paused(stack.status, run.job.flags)
    return replace(failed, release=run.release.name, next_step=way_out)


def _mark(made: Offer) -> events.Mark | None:
    """Return the place in the stack's history at which the change set's execution begins.

    Nothing can happen to the stack between the two: of other change sets than the executed one AWS
    says that "they aren't valid for the updated stack". So the moment at which AWS began to make
    it will do, and the stack's events need not be asked for the newest.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ExecuteChangeSet.html
    """
    proposed = made.proposed
    if proposed.created is None:
        return events.mark(made.run.cfn, proposed.stack_id)
    return events.Mark("", proposed.created, made.found.leave_out_changed(proposed.silent))


def _guard(made: Offer) -> tuple[str, ...]:
    """Get every consent, back up what is at risk, and return the backups' ARNs."""
    run, found = made.run, made.found
    risks = loss.at_risk(found.changes)
    consent.require_consent(run.job, run.access, risks, run.options.allow_data_loss)
    if not risks:
        consent.warn_without_pitr(run.job, run.access, found.before)
    question = (
        f"{made.kind.capitalize()} stack {run.job.stack_name} in {run.job.region} "
        f"({found.count()}, release {run.release.name})?"
    )
    if run.asks and not run.access.operator.confirm(question, "y"):
        raise Declined(f"Stack {run.job.stack_name} in {run.job.region} was not changed.")
    # AWS has no reason to load the templates of nested stacks in which nothing changes; a plan was
    # made long ago, so that nothing is taken on trust there.
    unloaded = found.leave_out_changed(made.proposed.unchanged)
    publishing.require_intact(run, frozenset() if run.plan else unloaded)
    tables = loss.tables_at_risk(found.changes)
    return consent.back_up(run.job, run.access, tables, wanted=run.options.backup)


def _execute(run: Run, proposal: Proposal, record: Record, *, disable_rollback: bool) -> None:
    """Execute the change set that was shown, by its ARN."""
    _claim_at_last(run, proposal, record)
    try:
        with (
            watching.leaving_running(run.job, run.access, stop=_STOPS[proposal.kind]),
            proposals.discarding_refused(run, proposal),
            records.refusals(run, record, proposal.stack_id),
        ):
            changesets.execute(
                run.cfn,
                proposal,
                token=record.request,
                disable_rollback=disable_rollback,
                express=run.options.express,
            )
    except previews.ChangeSetStale:
        records.complete(run, record, "OVERTAKEN", proposal.stack_id)
        proposals.abandon(run, proposal)
        raise
