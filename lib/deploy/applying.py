"""Apply a plan: read the world again, refuse if it is another one, else do exactly the plan.

What was approved is one change set; nothing is proposed anew here. Until it is executed nothing
is touched, the change set included, so that a plan that was refused, declined or interrupted can
be applied once what stood in the way is mended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lib.deploy import change, plans, publishing, site
from lib.deploy.outcomes import Outcome, timed, unchanged
from lib.deploy.plans import Discarded
from lib.document import as_document
from lib.errors import NotOurs, Refused
from lib.inputs import jobs, parameters
from lib.inputs.artifacts import PARAMETERS, Artifacts
from lib.operators import Level
from lib.releases import releases, settling, store, turns
from lib.releases.releases import Manifest
from lib.stacks import changesets, previews, stacks
from lib.stacks.previews import ChangeSetStale
from lib.stacks.statuses import Status
from lib.templates import naming, templates

if TYPE_CHECKING:
    from lib.access import Access
    from lib.deploy.plans import PlanFile
    from lib.deploy.publishing import Run
    from lib.inputs.jobs import Job
    from lib.stacks.previews import ChangeSet
    from lib.stacks.stacks import Stack


def apply(
    job: Job,
    access: Access,
    plan: PlanFile,
    again: str,
    *,
    begin: Callable[[], None] = lambda: None,
) -> Outcome:
    """Execute exactly what a plan says, guarded, backed up, followed and recorded.

    `job` is what this checkout has for the plan's environment, `again` says which commands make
    and apply another plan. Code and
    image are the plan's, whatever the checkout names, and a site is no part of one. `begin` is
    called first where the stack will be created, once nothing differs. Raises `Refused`, naming
    all that differs, when the world is no longer what the plan saw; nothing is touched then.
    """
    started = access.clock.monotonic()
    job = replace(job, artifacts=Artifacts())
    _require_account(job, access, plan)
    with turns.take_turn(job, access, "apply") as held:
        return timed(access, started, _apply(job, held, plan, again, begin))


def _apply(
    job: Job, access: Access, plan: PlanFile, again: str, begin: Callable[[], None]
) -> Outcome:
    """Execute exactly what a plan says; this run's turn comes before the world is read again."""
    access.claim()
    if datetime.fromisoformat(plan.expires) <= access.clock.now():
        raise _refuse(job, plan, again, [f"it expired at {plan.expires}"])
    stack = stacks.describe(access.aws.client("cloudformation"), job.stack_name)
    run, proposed, differing = _read_again(job, access, plan, stack)
    if differing:
        raise _refuse(job, plan, again, differing)
    if proposed is None:
        access.say(f"The plan changes nothing of {plan.where}.")
        return unchanged(job, stack, release=plan.release)
    before = stack if plan.kind == "UPDATE" else None
    if before is None:
        begin()
    made = change.look_at(run, plan.kind, before, plan.proposal, proposed)
    try:
        return site.follow_up(run, change.accept(made))
    except ChangeSetStale as exc:
        raise _refuse(job, plan, again, [exc.message]) from None


def _require_account(job: Job, access: Access, plan: PlanFile) -> None:
    """Refuse credentials of another account than the plan's."""
    account = access.aws.identity().account
    if account != plan.account:
        raise NotOurs(
            f"The plan is for account {plan.account}, but these credentials are account "
            f"{account}'s. Nothing was touched.",
            next_step=f"choose the right --profile, then inv apply again ({job.flags})",
        )


def _read_again(
    job: Job, access: Access, plan: PlanFile, stack: Stack | None
) -> tuple[Run, ChangeSet | None, tuple[str, ...]]:
    """Return what is to be executed, None for nothing, and in what the world is another one.

    That the release is whole is looked at last, by `change.accept`, as before any change.
    """
    planned = _restore_job(job, access, plan)
    declared = planned.templates[templates.MASTER].parameters
    bucket = store.bucket_of(planned, access)
    # Whoever applies a plan need not have what was built for it, and it is published already.
    built = {name: plan.parameters[name] for name in PARAMETERS if name in plan.parameters}
    filled = jobs.fill_in(job, bucket.name) | built
    filled |= naming.keep_names(job.templates, filled, stack.parameters if stack else {})
    wanted = parameters.mask_secrets(filled, declared)
    differing = [
        *_compare_stack(plan, stack, declared),
        *_name_differences("in this checkout the parameter", plan.parameters, wanted),
    ]
    proposed = None
    if not plan.changes_nothing:
        proposed = _find_change_set(access, plan)
        differing += _compare_change_set(plan, proposed)
    if differing:
        differing = [*_find_applied(planned, access, plan), *differing]
    options = plans.read_options(plan)
    run = publishing.reopen(planned, access, options, plan.files, plan.parameters)
    return replace(run, plan=plan.digest), proposed, tuple(differing)


def _restore_job(job: Job, access: Access, plan: PlanFile) -> Job:
    """Return a job with the plan's templates and values, whatever this checkout has."""
    planned = replace(job, values=plan.parameters)
    if releases.build(job.templates).name == plan.release:
        return planned
    access.say(
        f"This checkout has other templates than the plan; the plan's release {plan.release} is "
        "applied.",
        Level.WARNING,
    )
    digest = releases.as_release(plan.files).digest
    manifest = Manifest(plan.release, digest, plan.files, plan.commit, plan.created, plan.by)
    folder = releases.read_templates(store.bucket_of(planned, access), manifest)
    return replace(planned, templates=folder)


def _compare_stack(
    plan: PlanFile, stack: Stack | None, declared: Mapping[str, Mapping[str, object]]
) -> Iterator[str]:
    """Yield what became of the stack since the plan saw it."""
    if plan.kind == "CREATE":
        # The plan's own change set has made the shell of a stack.
        expected: str = Status.REVIEW_IN_PROGRESS
    else:
        expected = plan.status
    status = stack.status if stack else Status.ABSENT
    if status != expected:
        yield f"the stack is {status}, and was {expected}"
    if stack is None or status != expected:
        return
    if stack.id != plan.stack_id:
        yield f"the stack is another one of that name: {stack.id}"
    if plan.kind == "CREATE":
        return
    updated = (stack.updated or stack.created).isoformat()
    if updated != plan.updated:
        yield f"the stack was last changed {updated}, and had been {plan.updated}"
    live = parameters.mask_secrets(stack.parameters, declared)
    yield from _name_differences("the stack's parameter", plan.deployed, live)


def _name_differences(
    what: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[str]:
    for name in sorted({*before, *after}):
        old, new = before.get(name, "not set"), after.get(name, "not set")
        if old != new:
            yield f"{what} {name} is {new!r}, and was {old!r}"


def _find_change_set(access: Access, plan: PlanFile) -> ChangeSet | None:
    """Return the plan's change set, None when it is gone, or its stack with it."""
    cfn = access.aws.client("cloudformation")
    try:
        return previews.wait(
            cfn,
            plan.change_set,
            kind=plan.kind,
            clock=access.clock,
            unchanged=plan.unchanged,
        )
    except ChangeSetStale:
        return None
    except ClientError as exc:
        if stacks.is_missing(exc):
            return None
        raise


def _compare_change_set(plan: PlanFile, proposed: ChangeSet | None) -> Iterator[str]:
    """Yield why the change set cannot be executed, or what it says otherwise than it did."""
    if proposed is None:
        yield f"its change set {plan.change_set} is gone"
        return
    if proposed.status == "FAILED" or proposed.execution not in ("", "AVAILABLE"):
        state = f"{proposed.status}, {proposed.execution}".rstrip(", ")
        yield f"its change set {proposed.name} is {state}"
        return
    now = plans.digest_rows(proposed.changes)
    for row in sorted({*now, *plan.rows}):
        if now.get(row) != plan.rows.get(row):
            kind = "no longer has" if row not in now else "says something else of"
            yield f"its change set {kind if row in plan.rows else 'now has'} {row}"


def _find_applied(job: Job, access: Access, plan: PlanFile) -> Iterator[str]:
    """Yield that the plan was applied already, if the stack's history tells."""
    try:
        # The day suffices, and forgives two machines whose clocks do not agree.
        past = settling.read(job, access, since=plan.created[:10])
    except (BotoCoreError, ClientError):
        return  # It only explains what is refused in any case.
    for record in past:
        if record.plan == plan.digest:
            yield f"it was applied already, {record.time} by {record.by} ({record.status})"


def _refuse(job: Job, plan: PlanFile, again: str, differing: Sequence[str]) -> Refused:
    """Build the refusal of a plan that no longer fits, naming all that differs."""
    lines = "\n".join(f"  - {one}" for one in differing)
    return Refused(
        f"The plan {plan.digest[:12]} cannot be applied to {plan.where}; nothing was "
        f"touched:\n{lines}",
        next_step=again,
        details={"differs": list(differing), "changes": as_document(plan.changes)},
    )


def discard(job: Job, access: Access, plan: PlanFile) -> Discarded:
    """Remove what a plan that is not applied left at AWS."""
    _require_account(job, access, plan)
    if plan.changes_nothing:
        return Discarded(plan.digest, False)
    cfn = access.aws.client("cloudformation")
    execution = previews.find_execution(cfn, plan.change_set, access.clock)
    if execution and execution.startswith("EXECUTE_"):
        return Discarded(plan.digest, False)
    if execution is not None or plan.kind == "CREATE":
        # Whoever was cut off after the change set has left the empty stack of a creation.
        changesets.discard(cfn, plan.proposal, access.clock)
    return Discarded(plan.digest, execution is not None)
