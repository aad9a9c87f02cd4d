"""Leave a stack that waits half way, because rollback was disabled: what AWS lets one do there.

Such a stack is CREATE_FAILED or UPDATE_FAILED. RollbackStack takes it back, except after an
operation in express mode; then only the last release that was stable, deployed once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lib.data import tables
from lib.errors import StateForbids
from lib.inputs import jobs
from lib.polling import ask_patiently
from lib.refusals import error_code, error_message
from lib.releases import history
from lib.stacks import stacks
from lib.stacks.statuses import Status

if TYPE_CHECKING:
    from lib.access import Access
    from lib.deploy.publishing import Run
    from lib.inputs.jobs import Job
    from lib.releases.history import Record
    from lib.stacks.stacks import Stack, StackResource

_BUCKET_TYPE = "AWS::S3::Bucket"


@dataclass(frozen=True)
class Pause:
    """A stack that waits half way.

    `express` is true when the operation that failed ran in express mode. `remove_new` is true
    when what it created holds nothing, so that it may go although a policy retains it.
    """

    records: tuple[Record, ...]
    express: bool
    remove_new: bool

    def describe(self, why: str) -> str:
        """Say what a rollback does."""
        return f"{why}, its empty tables and buckets included" if self.remove_new else why


def read(job: Job, access: Access, stack: Stack) -> Pause:
    """Read what a rollback of a paused stack has to know."""
    records = _read_records(job, access)
    new = stack.status is Status.CREATE_FAILED
    return Pause(records, is_express(stack, records), new and _holds_nothing(access, stack))


def _read_records(job: Job, access: Access) -> tuple[Record, ...]:
    """Return the stack's history, or none where it cannot be read: it only gives advice here."""
    owner = access.aws.identity().account
    try:
        s3 = access.aws.client("s3")
        return history.read(s3, jobs.bucket_of(job, owner), job.stack_name, owner=owner)
    except (BotoCoreError, ClientError):
        return ()


def is_express(stack: Stack, records: Sequence[Record]) -> bool:
    """Tell whether a stack's last operation ran in express mode: AWS's word, or the record's."""
    return stack.express or bool(records and records[0].express)


def last_stable(records: Sequence[Record]) -> Record | None:
    """Return the newest record of a deployment that succeeded."""
    return next((record for record in records if record.succeeded), None)


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

    AWS has refused RollbackStack for stacks last updated in express mode, and announced to lift
    that; no text of the refusal is known, so only the operation, the mode and the code tell.
    Raises `StateForbids` with what else leads back.
    https://github.com/aws/aws-cdk-cli/issues/1973
    """
    cfn = access.aws.client("cloudformation")
    try:
        stacks.roll_back(
            cfn, stack.id, token=token, remove_new=pause.remove_new, express=pause.express
        )
    except ClientError as exc:
        if not pause.express or error_code(exc) != "ValidationError":
            raise
        raise StateForbids(
            f"AWS does not roll back stack {stack.name} in {job.region} ({stack.status}), whose "
            f"last operation ran in express mode: {error_message(exc)}",
            next_step=_way_back(job, stack, pause.records),
        ) from None


def _way_back(job: Job, stack: Stack, records: Sequence[Record]) -> str:
    """Return the command that leads back where RollbackStack does not."""
    stable = last_stable(records)
    if stack.status is Status.CREATE_FAILED or stable is None:
        return f"inv deploy --delete {job.flags}, then inv deploy {job.flags}"
    return f"inv rollback --to {stable.release} {job.flags}"


def as_replay(run: Run, stack: Stack, records: Sequence[Record]) -> Run:
    """Return a run that brings a paused stack back to what was last stable, by an update.

    What a failed replacement was to replace is still there, so that going back replaces nothing,
    though a change set shows a replacement.
    """
    express = is_express(stack, records)
    return replace(run, options=replace(run.options, express=express), replays=True)
