"""Leave a stack that waits half way, because rollback was disabled: what AWS lets one do there.

Such a stack is CREATE_FAILED or UPDATE_FAILED. RollbackStack takes it back, except after an
operation in express mode; then only the last release that was stable, deployed once more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lib.data import tables
from lib.deploy import records
from lib.errors import StateForbids
from lib.polling import ask_patiently
from lib.refusals import error_code, error_message
from lib.releases import settling
from lib.stacks import events, previews, stacks, watching
from lib.stacks.statuses import Status

if TYPE_CHECKING:
    from lib.access import Access
    from lib.deploy.outcomes import Outcome
    from lib.deploy.publishing import Run
    from lib.inputs.jobs import Job
    from lib.releases.history import Record
    from lib.stacks.stacks import Stack, StackResource

_BUCKET_TYPE = "AWS::S3::Bucket"


@dataclass(frozen=True)
class Pause:
    """A stack that waits half way.

    `past` is its history. `express` is true when the operation that failed ran in express mode.
    `remove_new` is true when what it created holds nothing, so that it may go although a policy
    retains it.
    """

    past: tuple[Record, ...]
    express: bool
    remove_new: bool

    def describe(self, why: str) -> str:
        """Say what a rollback does."""
        return f"{why}, its empty tables and buckets included" if self.remove_new else why


def read(job: Job, access: Access, stack: Stack) -> Pause:
    """Read what a rollback of a paused stack has to know."""
    past = _read_records(job, access)
    new = stack.status is Status.CREATE_FAILED
    return Pause(past, is_express(stack, past), new and _holds_nothing(access, stack))


def _read_records(job: Job, access: Access) -> tuple[Record, ...]:
    """Return the stack's history, or none where it cannot be read: it only gives advice here."""
    try:
        return settling.read(job, access)
    except (BotoCoreError, ClientError):
        return ()


def is_express(stack: Stack, past: Sequence[Record]) -> bool:
    """Tell whether a stack's last operation ran in express mode: AWS's word, or the record's."""
    return stack.express or bool(past and past[0].express)


def last_stable(past: Sequence[Record]) -> Record | None:
    """Return the newest record of a deployment that succeeded."""
    return next((record for record in past if record.succeeded), None)


def _holds_nothing(access: Access, stack: Stack) -> bool:
    """Tell whether all tables and buckets of a failed creation are empty and may be deleted.

    Otherwise each attempt leaves its retained, empty tables behind. A table with deletion
    protection would end the rollback in ROLLBACK_FAILED, and what cannot be looked into is
    taken for full.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackStack.html
    """
    try:
        found = stacks.walk(access.aws.client("cloudformation"), stack.id)
        return all(_is_empty_table(access, name) for name in tables.find_tables(found)) and all(
            _is_empty_bucket(access, one) for one in found if one.type == _BUCKET_TYPE
        )
    except (BotoCoreError, ClientError):
        return False


def _is_empty_table(access: Access, name: str) -> bool:
    """Tell whether a table is gone, or unprotected and without a single item."""
    dynamodb = access.aws.client("dynamodb")
    described = tables.describe_table(dynamodb, name, access.clock)
    if described is None:
        return True
    if described.get("DeletionProtectionEnabled"):
        return False
    # Not ItemCount, which AWS brings up to date every six hours.
    page = ask_patiently(lambda: dynamodb.scan(TableName=name, Limit=1), access.clock)
    return not page["Items"]


def _is_empty_bucket(access: Access, bucket: StackResource) -> bool:
    """Tell whether a bucket of the stack holds no object."""
    if not bucket.physical_id or bucket.status == "CREATE_FAILED":
        return True
    s3 = access.aws.client("s3")
    owner = access.aws.identity().account
    page = ask_patiently(
        lambda: s3.list_objects_v2(Bucket=bucket.physical_id, MaxKeys=1, ExpectedBucketOwner=owner),
        access.clock,
    )
    return not page.get("Contents")


def roll_back(job: Job, access: Access, stack: Stack, pause: Pause, *, token: str) -> None:
    """Ask for the rollback of a paused stack.

    AWS refuses it after express mode: "RollbackStack is not supported for stacks that were last
    updated using EXPRESS deployment mode and are in a failed state". It was announced to lift
    that, and the text may change: the operation, the mode and the code tell it, so that either
    answer is good. Raises `StateForbids` with what else leads back.
    https://github.com/aws/aws-cdk-cli/issues/1739
    """
    cfn = access.aws.client("cloudformation")
    try:
        stacks.roll_back(
            cfn,
            stack.id,
            token=token,
            remove_new=pause.remove_new,
            express=pause.express,
            role_arn=job.role_arn,
        )
    except ClientError as exc:
        if not pause.express or error_code(exc) != "ValidationError":
            raise
        raise StateForbids(
            f"AWS does not roll back stack {stack.name} in {job.region} ({stack.status}), whose "
            f"last operation ran in express mode: {error_message(exc)}",
            next_step=_way_back(job, stack, pause.past),
        ) from None


def _way_back(job: Job, stack: Stack, past: Sequence[Record]) -> str:
    """Return the command that leads back where RollbackStack does not."""
    stable = last_stable(past)
    if stack.status is Status.CREATE_FAILED or stable is None:
        return f"inv deploy --delete {job.flags}, then inv deploy {job.flags}"
    return f"inv rollback --to {stable.release} {job.flags}"


def keep_mode(run: Run, stack: Stack) -> Run:
    """Return a run in the mode that a paused stack takes.

    "This stack is in a UPDATE_FAILED state from a previous operation that used EXPRESS deployment
    mode with disable-rollback. Follow-up operations must use the same DeploymentConfig
    (mode=EXPRESS) until the stack reaches a *_COMPLETE state".
    https://github.com/aws/aws-cdk-cli/issues/1739
    """
    if run.options.express or not is_express(stack, _read_records(run.job, run.access)):
        return run
    run.access.say(
        f"The last operation on stack {stack.name} ran in express mode and failed; AWS goes on "
        "from there in express mode only, so this one does, too."
    )
    return replace(run, options=replace(run.options, express=True))


def replay(run: Run, stack: Stack) -> Outcome:
    """Bring a paused stack back to what was last stable where a change set finds nothing to do.

    What a failed replacement was to replace is still there, so that going back changes no
    resource; a change set without changes cannot be executed, and UpdateStack can. Should AWS
    not take that either, raises `StateForbids` with what is left.
    https://github.com/aws/aws-cdk-cli/pull/1970
    """
    request = run.request(watching.new_token(), disable_rollback=True)
    after = events.mark(run.cfn, stack.id)
    record = records.begin(run, "rollback", stack.id, request.token)
    with (
        watching.leaving_running(run.job, run.access, stop=watching.STOP_UPDATE),
        _refusing_nothing(run, stack),
        records.refusals(run, record, stack.id),
    ):
        stacks.update(run.cfn, stack.id, request)
    ending = watching.wait(run.job, run.access, stack.id, after, stop=watching.STOP_UPDATE)
    return records.close(run, record, run.action, stack.id, ending)


@contextlib.contextmanager
def _refusing_nothing(run: Run, stack: Stack) -> Iterator[None]:
    """Say what is left where AWS does not update a stack to what it takes it for already."""
    try:
        yield
    except ClientError as exc:
        if not previews.says_no_changes(error_message(exc)):
            raise
        raise StateForbids(
            f"Stack {stack.name} in {run.job.region} is {stack.status}, and AWS finds nothing to "
            f"update on the way back to release {run.release.name}: {error_message(exc)}",
            next_step=f"mend the cause and inv deploy {run.job.flags}; or "
            f"inv deploy --delete {run.job.flags}, then inv deploy {run.job.flags}",
        ) from None
