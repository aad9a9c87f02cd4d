"""Run the workflows: validate, publish, change, wait, report.

Each takes a `Job` (what is wanted, for which stack) and an `Access` (AWS, the person, the
time), decides by the stack's state before it calls anything, and returns an `Outcome`. A
failed stack is an outcome too, so that its events, backups and outputs are not lost on the
way; everything that stops a workflow earlier is raised from `lib.errors`.
"""

from __future__ import annotations

import enum
from dataclasses import replace
from typing import TYPE_CHECKING

from lib.deploy import change, deletions
from lib.deploy.outcomes import Outcome
from lib.errors import InputError, Refused, StateForbids, TemplateError
from lib.inputs import parameters
from lib.inputs.environments import PRODUCTION
from lib.inputs.jobs import MANAGED_BY, PROJECT, Job, Options, require_valid
from lib.operators import Level
from lib.releases import releases
from lib.releases.releases import Published, Release
from lib.stacks import stacks, statuses, watching
from lib.stacks.statuses import Decision, Move, Operation, Status
from lib.templates import linting, templates

if TYPE_CHECKING:
    from lib.access import Access
    from lib.stacks.stacks import Stack


class Mode(enum.Enum):
    """What an operator asked `inv deploy` for."""

    ANY = "create or update"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


def choose_mode(*, create: bool, update: bool, delete: bool) -> Mode:
    """Return the one mode asked for, or raise `InputError` for two at once."""
    asked = [
        mode
        for mode, flag in ((Mode.CREATE, create), (Mode.UPDATE, update), (Mode.DELETE, delete))
        if flag
    ]
    if len(asked) > 1:
        raise InputError(
            f"--{' and --'.join(mode.value for mode in asked)} cannot be asked for at once."
        )
    return asked[0] if asked else Mode.ANY


def publish(
    job: Job, access: Access, *, linted: frozenset[str] = frozenset()
) -> tuple[Release, Published]:
    """Publish a job's templates as a release, unless they are published already.

    Everything is validated before the first byte is written: parameters, the contracts
    between templates, and with cfn-lint each template whose content is new. `linted` holds
    the keys of content that the caller has linted already. Two calls suffice when nothing
    is new.
    """
    require_valid(job)
    release = releases.build(job.templates)
    owner = access.aws.identity().account
    bucket = change.bucket_of(job, owner)
    s3 = access.aws.client("s3")
    uploaded = 0
    if releases.find(s3, bucket, release.name, owner=owner) is None:
        published = releases.list_published(s3, bucket, owner=owner)
        _require_clean(job, release, published | linted, access)
        if not job.values.get("TemplatesBucketName"):
            _ensure_bucket(job, bucket, owner, access)
        uploaded = releases.publish(
            s3,
            bucket,
            release,
            owner=owner,
            published=published,
            commit=job.commit,
            now=access.clock.now(),
            by=access.aws.identity().arn,
        )
        access.say(f"Release {release.name}: {uploaded} new templates in {bucket}.", Level.DONE)
    aws = access.aws
    url = releases.object_url(bucket, release.master_key, aws.region, aws.url_suffix)
    unchanged = len(release.files) - uploaded
    return release, Published(bucket, aws.region, release.name, uploaded, unchanged, url)


def _ensure_bucket(job: Job, bucket: str, owner: str, access: Access) -> None:
    """Create or complete the templates bucket of this account and region."""
    s3 = access.aws.client("s3")
    tags = {"Project": PROJECT, "ManagedBy": MANAGED_BY}
    if releases.ensure_bucket(s3, bucket, region=job.region, owner=owner, tags=tags):
        access.say(f"Created the templates bucket {bucket}.", Level.DONE)


def _require_clean(job: Job, release: Release, known: frozenset[str], access: Access) -> None:
    """Raise `TemplateError` with what cfn-lint says of the templates that are new."""
    new = [file.name for file in release.files if file.key not in known]
    if not new:
        return
    findings = linting.lint_once(
        [job.folder / name for name in new],
        regions=[job.region],
        folder=job.folder,
        memory=job.lint_memory,
        say=access.say,
    )
    if findings:
        raise TemplateError("Nothing was published: cfn-lint found", problems=findings)


def console_link(job: Job, published: Published) -> str:
    """Return the link that creates a job's stack in the console with one click.

    Links are printed and passed on, so values of NoEcho parameters are left to be typed.
    """
    declared = job.templates[templates.MASTER].parameters
    return releases.quick_create_url(
        published.master_url,
        region=job.region,
        stack_name=job.stack_name,
        parameters=parameters.without_secrets(change.fill_in(job, published.bucket), declared),
    )


def deploy(job: Job, access: Access, options: Options, mode: Mode = Mode.ANY) -> Outcome:
    """Create or update a stack, whichever its state asks for.

    Refuses, before anything is published, what the state forbids. Returns an outcome whose
    action is created, updated, unchanged, declined or failed.
    """
    started = access.clock.monotonic()
    require_valid(job)
    if options.express and job.environment == PRODUCTION:
        raise Refused(
            f"Express mode returns before resources are stable, so it is refused for {PRODUCTION}.",
            next_step=f"inv deploy {job.flags}",
        )
    access.aws.identity()
    stack, decision = decide(job, access, _OPERATIONS[mode])
    if mode is Mode.CREATE and decision.move is Move.UPDATE:
        raise StateForbids(
            f"Stack {job.stack_name} in {job.region} exists already, so --create does not apply.",
            next_step=f"inv deploy {job.flags}",
        )
    release, published = publish(job, access)
    run = change.Run(
        job, access, options, release, published, change.fill_in(job, published.bucket)
    )
    return timed(access, started, run.proceed(stack, decision))


def timed(access: Access, started: float, outcome: Outcome) -> Outcome:
    """Return an outcome with the seconds since `started`, on the clock's own scale."""
    return replace(outcome, seconds=round(access.clock.monotonic() - started, 2))


_OPERATIONS = {
    Mode.ANY: Operation.DEPLOY,
    Mode.CREATE: Operation.DEPLOY,
    Mode.UPDATE: Operation.UPDATE,
    Mode.DELETE: Operation.DELETE,
}


ROLLED_BACK = (
    Status.ROLLBACK_COMPLETE,
    Status.UPDATE_ROLLBACK_COMPLETE,
    Status.IMPORT_ROLLBACK_COMPLETE,
)


def decide(job: Job, access: Access, operation: Operation) -> tuple[Stack | None, Decision]:
    """Look at the stack and decide; waits where the state is about to change by itself.

    Raises `StateForbids` with the reason and the next command.
    """
    cfn = access.aws.client("cloudformation")
    while True:
        stack = stacks.describe(cfn, job.stack_name)
        status = stack.status if stack else Status.ABSENT
        decision = statuses.decide(operation, status)
        if decision.move is Move.REFUSE:
            raise refuse(job, operation, status, decision)
        if decision.move is not Move.WAIT or stack is None:
            return stack, decision
        access.say(f"{job.stack_name} is {status}: {decision.why}; waiting.")
        ending = watching.wait(job, access, stack.id, None, stop=watching.UNSTOPPABLE)
        if operation is Operation.ROLLBACK and ending.status in ROLLED_BACK:
            return ending.stack, Decision(Move.NOTHING, f"the rollback has ended: {ending.status}")


def refuse(job: Job, operation: Operation, status: Status, decision: Decision) -> StateForbids:
    """Return the refusal of an operation in a state."""
    return StateForbids(
        f"Stack {job.stack_name} in {job.region} is {status}: {decision.why}. "
        f"`{operation}` was not started.",
        next_step=decision.next_step.format(target=job.flags),
    )


def delete(job: Job, access: Access, options: Options) -> Outcome:
    """Delete a stack, unless there is none; see `lib.deploy.deletions.delete`."""
    started = access.clock.monotonic()
    stack, decision = decide(job, access, Operation.DELETE)
    if stack is None or decision.move is Move.NOTHING:
        why = decision.why or "it is gone"
        access.say(f"Stack {job.stack_name} in {job.region}: {why}.")
        return Outcome(
            "unchanged", job.stack_name, "", job.region, job.environment, Status.ABSENT, ""
        )
    return timed(access, started, deletions.delete(job, access, options, stack))
