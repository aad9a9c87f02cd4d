"""Remember an unfinished switch beside the releases, so that another process can finish it.

CloudFormation and DynamoDB tell how far a switch has come, but not what it is to end with: which
source was restored into which table, which release the stack returns to, and what its writers were
like before they were stopped. One object per stack, `deployments/<stack>/switch.json`, is written
before the first step and removed after the last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lib.releases import history
from lib.releases.store import Bucket

if TYPE_CHECKING:
    from lib.inputs.jobs import Job


@dataclass(frozen=True)
class Entry:
    """One seat of a switch: what held it, what comes, and out of what that was restored.

    `source` is a backup's ARN or `TABLE at MOMENT`, "" for a resource that was there already.
    """

    path: str
    old: str
    new: str
    source: str = ""
    backup_arn: str = ""
    point_in_time: str = ""
    source_table: str = ""


@dataclass(frozen=True)
class Switch:
    """A switch under way. `stopped` maps functions to the reserved concurrency they had.

    None there means that a function had none reserved. `restored` is true once every table
    stands, complete and counted; `items` has what was counted, by path.
    """

    stack_id: str
    release: str
    began: str
    by: str
    entries: tuple[Entry, ...]
    stopped: Mapping[str, int | None] = field(default_factory=dict)
    restored: bool = False
    items: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths of the seats, in order."""
        return tuple(entry.path for entry in self.entries)

    def with_stopped(self, stopped: Mapping[str, int | None]) -> Switch:
        """Return the switch with the writers that were stopped for it."""
        return replace(self, stopped=stopped)


def read(bucket: Bucket, job: Job) -> Switch | None:
    """Return a stack's unfinished switch, or None; raises `NotOurs` for what is none."""
    document = history.read_switch(bucket, job.stack_name)
    if document is None:
        return None
    try:
        return Switch(
            **{
                **document,
                "entries": tuple(Entry(**entry) for entry in document["entries"]),
                "items": {path: tuple(counts) for path, counts in document["items"].items()},
            }
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise history.strange_switch(bucket, job.stack_name) from None


def write(bucket: Bucket, job: Job, switch: Switch) -> None:
    """Remember a switch as it is now.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """
    body: Any = json.dumps(asdict(switch), indent=2).encode()
    bucket.s3.put_object(
        Bucket=bucket.name,
        Key=history.switch_key(job.stack_name),
        Body=body,
        ContentType="application/json",
        ChecksumAlgorithm="SHA256",
        ExpectedBucketOwner=bucket.owner,
    )


def remove(bucket: Bucket, job: Job) -> None:
    """Forget a switch that is finished; one that is forgotten already is fine.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html
    """
    bucket.s3.delete_object(
        Bucket=bucket.name, Key=history.switch_key(job.stack_name), ExpectedBucketOwner=bucket.owner
    )
