"""Go back: finish or start a rollback from whatever state, or redeploy an earlier release."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lib.deploy import change, outcomes
from lib.deploy.outcomes import Outcome, conclude
from lib.deploy.publishing import Run
from lib.errors import Declined, InputError, StateForbids
from lib.inputs import jobs
from lib.operators import Level, Listing
from lib.releases import history, releases, store
from lib.releases.history import Record
from lib.releases.releases import File, Manifest, Published, Release
from lib.stacks import admission, events, stacks, statuses, watching
from lib.stacks.statuses import Decision, Move, Operation, Status
from lib.templates.templates import STACK_TYPE

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job, Options
    from lib.stacks.stacks import Stack, StackResource


@dataclass(frozen=True)
class Stuck:
    """A resource that could not be rolled back, under the name that ResourcesToSkip takes."""

    name: str
    type: str
    reason: str


def roll_back(job: Job, access: Access, *, skip: frozenset[str] = frozenset()) -> Outcome:
    """Return a stack to its last stable state, in the way its state asks for.

    `skip` names resources as `NestedStack.LogicalId` that a stuck rollback gives up on.
    Raises `StateForbids` where there is nothing to return to, `InputError` for a name that
    is not stuck, and `Declined`.
    """
    started = access.clock.monotonic()
    stack, decision = admission.admit(job, access, Operation.ROLLBACK)
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
    with watching.leaving_running(job, access, stop=watching.UNSTOPPABLE):
        act()
    ending = watching.wait(job, access, stack.id, after, stop=watching.UNSTOPPABLE)
    return outcomes.timed(access, started, _conclude(job, stack, ending))


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
        names = _choose_skipped(job, access, stack, skip)
        _ask(access, f"Continue the rollback of {where}?", where)
        return lambda: stacks.continue_rollback(cfn, stack.id, skip=names, token=token)
    if decision.move is Move.CANCEL_UPDATE:
        _ask(access, f"Cancel the update of {where} and roll it back?", where)
        return lambda: stacks.cancel_update(cfn, stack.id, token=token)
    _ask(access, f"Roll back {where}: {decision.why}?", where)
    return lambda: stacks.roll_back(cfn, stack.id, token=token)


def _ask(access: Access, question: str, where: str) -> None:
    """Ask, or raise `Declined`."""
    if not access.operator.confirm(question, "y"):
        raise Declined(f"Nothing was done to {where}.")


def _choose_skipped(
    job: Job, access: Access, stack: Stack, skip: frozenset[str]
) -> tuple[str, ...]:
    """Show what is stuck, and check that only stuck resources are to be skipped."""
    found = find_stuck(stacks.walk(access.aws.client("cloudformation"), stack.id))
    rows = [(one.name, one.type, one.reason) for one in found]
    title = f"Not rolled back in stack {stack.name} in {job.region}:"
    access.operator.report(Listing(title, ("Resource", "Type", "Reason"), rows))
    unknown = sorted(skip - {one.name for one in found})
    if unknown:
        raise InputError(
            f"--skip takes resources that failed to roll back; {', '.join(unknown)} did not.",
            problems=[f"{one.name} failed: {one.reason}" for one in found],
            next_step=f"inv rollback {job.flags} --skip "
            f"{','.join(one.name for one in found) or 'NestedStack.LogicalId'}",
        )
    if skip:
        access.say(
            f"CloudFormation will mark {', '.join(sorted(skip))} as rolled back without touching "
            "them: they drift from the template. Bring them in line by hand, or with "
            f"`inv update --revert-drift {job.flags}`, before the next update.",
            Level.WARNING,
        )
    elif found:
        access.say(
            "Mend these first if you can; a rollback that fails on them again can leave them "
            f"out with `inv rollback {job.flags} --skip {','.join(one.name for one in found)}`."
        )
    return tuple(sorted(skip))


def find_stuck(resources: Sequence[StackResource]) -> tuple[Stuck, ...]:
    """Return what keeps a rollback from finishing, named as ResourcesToSkip takes it.

    A nested stack is listed only when nothing inside it says more. Resources are named by
    the nested stack they are in and their logical ID; AWS takes the form
    `NestedStackLogicalId.ResourceLogicalId` for children of the root.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ContinueUpdateRollback.html
    """
    failed = [resource for resource in resources if resource.status == "UPDATE_FAILED"]
    return tuple(
        Stuck(_skip_name(resource.path), resource.type, resource.reason)
        for resource in failed
        if resource.type != STACK_TYPE
        or not any(other.path.startswith(f"{resource.path}/") for other in failed)
    )


def _skip_name(path: str) -> str:
    """Return a path in the form of ResourcesToSkip: the last nested stack and the resource."""
    return ".".join(path.split("/")[-2:])


def _conclude(job: Job, stack: Stack, ending: events.Ending) -> Outcome:
    """Return the outcome of a rollback, whose good endings are other operations' bad ones."""
    outcome = conclude(job, "rolled-back", stack.id, ending)
    if ending.status in statuses.ROLLED_BACK:
        return replace(outcome, action="rolled-back", failure=None, next_step="")
    return outcome


def return_to(job: Job, access: Access, options: Options, name: str) -> Outcome:
    """Redeploy an earlier release with the parameters it was deployed with.

    Goes through the same preview and data guard as any update. Raises `InputError` when the
    release was never published, or never deployed to this stack.
    """
    started = access.clock.monotonic()
    stack, decision = admission.admit(job, access, Operation.UPDATE)
    bucket = store.bucket_of(job, access)
    record = _find_record(history.read(bucket, job.stack_name), job, name)
    manifest = releases.find(bucket, record.release)
    if manifest is None:
        raise InputError(
            f"Release {record.release} is no longer in {bucket.name}.",
            next_step=f"inv history {job.flags}",
        )
    published = releases.read_templates(bucket, manifest)
    earlier = replace(job, templates=published, values=record.parameters)
    release = _as_release(manifest)
    aws = access.aws
    url = store.object_url(bucket.name, release.master_key, aws.region, aws.url_suffix)
    details = Published(bucket.name, job.region, release.name, 0, len(release.files), url)
    access.say(f"Returning to release {release.name}, deployed {record.time} by {record.by}.")
    values = jobs.fill_in(earlier, bucket.name)
    run = Run(earlier, access, options, release, details, values, action="rolled-back")
    return outcomes.timed(access, started, change.carry_out(run, stack, decision))


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


def _as_release(manifest: Manifest) -> Release:
    """Return a published release as if it had just been built; its bytes stay in the bucket."""
    files = tuple(
        File(key.rsplit("/", 1)[-1], key, b"", sha256) for key, sha256 in manifest.files.items()
    )
    return Release(manifest.release, manifest.digest, files)
