"""Look for the function's archive that a parameter file names before anything is changed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lib.errors import StateForbids
from lib.inputs.artifacts import CODE_BUCKET, CODE_KEY
from lib.refusals import error_code

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.stacks import Stack

#: "A HEAD request has no response body", so that an error has no code but its HTTP status.
#: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
_ABSENT, _HIDDEN = ("404", "NoSuchKey", "NoSuchBucket"), ("403",)


def require(job: Job, access: Access, stack: Stack | None) -> None:
    """Refuse an archive that is not there, with exit code 3, if it is another than the stack's.

    Lambda would find out in the middle of the operation. Code that `--code` gives is published by
    this tool, and needs no look. Who may not list the bucket is told 403 whether the archive is
    there or not, which is said and goes on: CloudFormation's role may be allowed more.
    """
    bucket, key = (job.values.get(name, "") for name in (CODE_BUCKET, CODE_KEY))
    if job.artifacts.code or "code" in job.artifacts.dropped or not (bucket and key):
        return
    live = stack.parameters if stack else {}
    if (live.get(CODE_BUCKET), live.get(CODE_KEY)) == (bucket, key):
        return
    where = f"stack {job.stack_name} in {job.region}"
    try:
        access.aws.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as exc:
        code = error_code(exc)
        if code in _HIDDEN:
            access.say(
                f"s3://{bucket}/{key} may not be looked at, so whether it is there shows when "
                f"the function of {where} is made."
            )
        elif code in _ABSENT:
            raise StateForbids(
                f"There is no s3://{bucket}/{key} ({CODE_BUCKET}, {CODE_KEY}), so the function of "
                f"{where} could not be made. Nothing was touched.",
                next_step=f"aws s3 cp ARCHIVE s3://{bucket}/{key} --region {job.region}, or let "
                "--code publish the code",
            ) from exc
        else:
            raise
