"""Remember what stack refactors have moved, until an update has told the parents.

A refactor changes nested stacks and no parent: the root still loads their templates of before. Who
deploys those again changes nothing in the root, and whether CloudFormation looks below it then is
written nowhere. One object per stack, `deployments/<stack>/moved.json`, written before a refactor.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-refactoring.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from lib.releases import history
from lib.releases.store import Bucket


def key_of(stack: str) -> str:
    """Return where it is remembered what was moved in a stack."""
    return f"{history.folder_of(stack)}moved.json"


def read(bucket: Bucket, stack: str) -> dict[str, str]:
    """Return where things were moved to, and from where, by the paths of before and after.

    Nothing is remembered of an object that is none of ours.
    """
    content = bucket.read_object(key_of(stack))
    try:
        return {str(to): str(came) for to, came in json.loads(content or b"{}").items()}
    except (ValueError, AttributeError):
        return {}


def note(bucket: Bucket, stack: str, moved: Mapping[str, str]) -> None:
    """Remember moves, from where by where to, beside those that are remembered already.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """
    bucket.s3.put_object(
        Bucket=bucket.name,
        Key=key_of(stack),
        Body=json.dumps({**read(bucket, stack), **moved}, indent=2).encode(),
        ContentType="application/json",
        ChecksumAlgorithm="SHA256",
        ExpectedBucketOwner=bucket.owner,
    )


def forget(bucket: Bucket, stack: str) -> None:
    """Forget what was moved, once the parents know.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html
    """
    bucket.s3.delete_object(Bucket=bucket.name, Key=key_of(stack), ExpectedBucketOwner=bucket.owner)
