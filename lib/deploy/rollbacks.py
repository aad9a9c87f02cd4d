"""Go back: finish or start a rollback from whatever state, or redeploy an earlier release."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lib.deploy import archives, change, freeing, images, outcomes, pauses, publishing
from lib.deploy.outcomes import Outcome, conclude, look_into
from lib.errors import Declined, InputError, StateForbids
from lib.inputs import jobs
from lib.inputs.artifacts import Artifacts
from lib.operators import Level, Listing
from lib.releases import releases, settling, store, turns
from lib.releases.history import Record
from lib.stacks import admission, events, obstacles, stacks, statuses, watching
from lib.stacks.obstacles import Obstacle
from lib.stacks.statuses import Decision, Move, Operation, Status

if TYPE_CHECKING:
    from lib.access import Access
    from lib.deploy.publishing import Price
    from lib.inputs.jobs import Job, Options
    from lib.stacks.stacks import Stack


def roll_back(job: Job, access: Access, *, skip: frozenset[str] = frozenset()) -> Outcome:
    """Return a stack to its last stable state, in the way its state asks for.

    `skip` names resources as `NestedStack.LogicalId` that a stuck rollback gives up on; `all`
    stands for every one that is stuck.
    Raises `StateForbids` where there is nothing to return to, `InputError` for a name that
    is not stuck, and `Declined`. Where the stack itself rests, nested stacks that it left behind
    are what is rolled back.
    """
    with turns.take_turn(job, access, "rollback", early=False) as held:
        return _roll_back(job, held, skip)


def _roll_back(job: Job, access: Access, skip: frozenset[str]) -> Outcome:
    """Return a stack to its last stable state, in this run's turn.

    An update that is running is cancelled without: it is whoever holds the lock that is stopped.
    """
    started = access.clock.monotonic()
    stack, decision, left = freeing.admit(job, access)
    acts = bool(left) or decision.move not in (Move.CANCEL_UPDATE, Move.NOTHING)
    if acts and access.claim():
        stack, decision, left = freeing.admit(job, access)
    if stack and left:
        return outcomes.timed(access, started, freeing.free(job, access, stack, left, skip))
    if skip and decision.move is not Move.CONTINUE_ROLLBACK:
        status = stack.status if stack else Status.ABSENT
        raise StateForbids(
            f"--skip only helps a rollback that failed; stack {job.stack_name} in {job.region} "
            f"is {status}.",
            next_step=f"inv rollback {job.flags}",
        )
    if stack is None or decision.move is Move.NOTHING:
        return _nothing(job, access, stack, decision)
    act = _prepare(job, access, stack, decision, skip)
    after = events.mark(access.aws.client("cloudformation"), stack.id)
    if decision.move is not Move.CANCEL_UPDATE:
        access.claim()
    with watching.leaving_running(job, access, stop=watching.UNSTOPPABLE):
        act()
    ending = watching.wait(job, access, stack.id, after, stop=watching.UNSTOPPABLE)
    return outcomes.timed(access, started, _conclude(job, access, stack, ending))


def _nothing(job: Job, access: Access, stack: Stack | None, decision: Decision) -> Outcome:
    """Return the outcome of a rollback that is not needed, or that somebody else finished."""
    access.say(f"Stack {job.stack_name} in {job.region}: {decision.why}.")
    return outcomes.unchanged(job, stack)


def _prepare(
    job: Job, access: Access, stack: Stack, decision: Decision, skip: frozenset[str]
) -> Callable[[], None]:
    """Show what is about to happen, ask, and return the call that does it."""
    cfn = access.aws.client("cloudformation")
    token = watching.new_token()
    where = f"stack {stack.name} in {job.region} ({stack.status})"
    if decision.move is Move.CONTINUE_ROLLBACK:
        chosen = _choose_skipped(job, access, stack, skip)
        _ask(access, f"Continue the rollback of {where}?", where)
        names = [one.wire_name for one in chosen]
        return lambda: freeing.continue_rollback(job, access, stack, names, token=token)
    if decision.move is Move.CANCEL_UPDATE:
        _ask(access, f"Cancel the update of {where} and roll it back?", where)
        return lambda: stacks.cancel_update(cfn, stack.id, token=token)
    paused = pauses.read(job, access, stack)
    _ask(access, f"Roll back {where}: {paused.describe(decision.why)}?", where)
    return lambda: pauses.roll_back(job, access, stack, paused, token=token)


def _ask(access: Access, question: str, where: str) -> None:
    """Ask, or raise `Declined`."""
    if not access.operator.confirm(question, "y"):
        raise Declined(f"Nothing was done to {where}.")


def _choose_skipped(
    job: Job, access: Access, stack: Stack, skip: frozenset[str]
) -> tuple[Obstacle, ...]:
    """Show what is stuck, and check that only stuck resources are to be skipped."""
    found = obstacles.look(access.aws.client("cloudformation"), stack.id, stack.status)
    title = f"Not rolled back in stack {stack.name} in {job.region}:"
    access.operator.report(Listing(title, obstacles.COLUMNS, obstacles.as_rows(found)))
    command = f"inv rollback {job.flags}"
    chosen = obstacles.choose(found, skip, "--skip", command=command)
    if chosen:
        access.say(_describe_skipping(chosen), Level.WARNING)
    elif names := obstacles.list_names(found):
        access.say(
            "Mend these first if you can; a rollback that fails on them again can leave them "
            f"out with `{command} --skip {names}`."
        )
    return chosen


def _describe_skipping(chosen: Sequence[Obstacle]) -> str:
    """Say what becomes of resources that a rollback leaves out, and what helps afterwards.

    "CloudFormation sets the status of the specified resources to UPDATE_COMPLETE" and from then
    on takes them for what the template says. Drift detection reports them as NOT_CHECKED, so a
    drift-aware change set has nothing to take back.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ContinueUpdateRollback.html
    """
    names = ", ".join(one.name for one in chosen)
    return (
        f"CloudFormation will mark {names} as rolled back without touching them: they drift "
        "from the template, and drift detection does not look at them (NOT_CHECKED). Before the "
        "next update bring each in line: by hand, or with a change of the property in its "
        "template, which makes an update write it. One that is gone: take it out of the template, "
        "or make it by hand and import it."
    )


def _conclude(job: Job, access: Access, stack: Stack, ending: events.Ending) -> Outcome:
    """Return the outcome of a rollback, whose good endings are other operations' bad ones."""
    outcome = conclude(job, "rolled-back", stack.id, ending)
    # RollbackStack "will delete a stack if it doesn't contain a last known stable state".
    removed = stack.status is Status.CREATE_FAILED and ending.status is Status.DELETE_COMPLETE
    if removed or ending.status in statuses.ROLLED_BACK:
        return replace(outcome, action="rolled-back", failure=None, next_step="")
    return look_into(job, access, outcome, ending.events)


def return_to(
    job: Job, access: Access, options: Options, name: str, *, price: Price | None = None
) -> Outcome:
    """Redeploy an earlier release with the parameters it was deployed with.

    Goes through the same preview and data guard as any update; `price` tells what it costs. Raises
    `InputError` when the release was never published, or never deployed to this stack.
    """
    started = access.clock.monotonic()
    task = f"rollback --to {name}"
    with turns.take_turn(job, access, task, early=not options.preview) as held:
        return outcomes.timed(access, started, _return_to(job, held, options, name, price))


def _return_to(
    job: Job, access: Access, options: Options, name: str, price: Price | None
) -> Outcome:
    """Redeploy an earlier release, in this run's turn."""
    stack, decision = admission.admit(job, access, Operation.UPDATE)
    bucket = store.bucket_of(job, access)
    records = settling.read(job, access)
    record = _find_record(records, job, name)
    manifest = releases.find(bucket, record.release)
    if manifest is None:
        raise InputError(
            f"Release {record.release} is no longer in {bucket.name}.",
            next_step=f"inv history {job.flags}",
        )
    published = releases.read_templates(bucket, manifest)
    # Its artefacts are in the record, and today's are not the release's.
    earlier = replace(job, templates=published, values=record.parameters, artifacts=Artifacts())
    access.say(f"Returning to release {record.release}, deployed {record.time} by {record.by}.")
    values = jobs.fill_in(earlier, bucket.name)
    images.require_earlier(job, access, stack, values)
    archives.require(earlier, access, stack)
    run = replace(
        publishing.reopen(earlier, access, options, manifest.files, values),
        action="rolled-back",
        past=records,
        price=price,
    )
    if stack and stack.status.is_paused and record is pauses.last_stable(records):
        run = replace(run, replays=True)
    return change.carry_out(run, stack, decision)


def _find_record(records: Sequence[Record], job: Job, name: str) -> Record:
    """Return the newest successful deployment of a release to this stack."""
    done = [record for record in records if record.succeeded]
    for record in done:
        if record.release == name:
            return record
    known = list(dict.fromkeys(record.release for record in done))
    raise InputError(
        f"Release {name!r} was never deployed to stack {job.stack_name} in {job.region}. "
        f"Deployed: {', '.join(known) or 'none'}.",
        next_step=f"inv history {job.flags}",
    )
