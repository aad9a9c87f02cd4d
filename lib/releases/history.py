"""Keep a record of every operation on a stack, beside the releases it used.

CloudFormation forgets which parameters an earlier release was deployed with; going back
needs them. One object per operation, `deployments/<stack>/<UTC stamp>-<release>.json`,
written before the operation starts and completed when it has ended. Values of NoEcho
parameters are never written.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from lib.document import keys
from lib.drawing import draw_elapsed, draw_table
from lib.errors import NotOurs
from lib.parallel import side_by_side
from lib.releases import store
from lib.releases.store import Bucket
from lib.stacks.statuses import Status

STARTED = "started"
#: AWS refused to begin the operation; nothing came of it.
REFUSED = "REFUSED"
#: Its process was killed before AWS was asked; nothing came of it either.
NOT_BEGUN = "NOT_BEGUN"

#: How many of the newest records are read to learn how long an action takes, all at once, and how
#: many successes among them are counted.
RECENT = store.AT_ONCE
_SUCCESSES_COUNTED = 5


@dataclass(frozen=True)
class Record:
    """One operation: which release, when (UTC, ISO 8601), what, how it ended, who.

    `express` is true of one in express mode, `reason` says why AWS refused to begin it,
    `plan` is the digest of the plan that was applied, "" where none was, `request` the token
    of the request, by which the stack's events tell what came of it. `seconds` is how long
    it took, 0 where that is not known.
    """

    #: Parameters stay in the bucket.
    KEYS: ClassVar = keys("release time action status by")

    release: str
    time: str
    action: str
    status: str
    by: str
    stack: str
    stack_id: str
    parameters: Mapping[str, str]
    express: bool = False
    reason: str = ""
    plan: str = ""
    request: str = ""
    seconds: float = 0

    @property
    def succeeded(self) -> bool:
        """Tell whether the operation did what was asked of it."""
        return any(self.status == status and status.is_healthy for status in Status)

    @property
    def key(self) -> str:
        """Return where the record lies."""
        return f"{folder_of(self.stack)}{_compact(self.time)}-{self.release or 'none'}.json"


def folder_of(stack: str) -> str:
    """Return the prefix of a stack's records."""
    return f"deployments/{stack}/"


def switch_key(stack: str) -> str:
    """Return where a stack's unfinished switch is remembered, beside its records."""
    return f"{folder_of(stack)}switch.json"


def _compact(time: str) -> str:
    return time.replace("-", "").replace(":", "")


def stamp(now: datetime) -> str:
    """Return a moment, in UTC, to the millisecond so that no two records share a key."""
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"


def write(bucket: Bucket, record: Record) -> None:
    """Write or complete a record.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """
    bucket.s3.put_object(
        Bucket=bucket.name,
        Key=record.key,
        Body=json.dumps(asdict(record), indent=2).encode(),
        ContentType="application/json",
        ChecksumAlgorithm="SHA256",
        ExpectedBucketOwner=bucket.owner,
    )


def complete(
    record: Record, now: datetime, *, status: str, stack_id: str, reason: str = ""
) -> Record:
    """Return a record with its result, at the time it ended."""
    took = (now - datetime.fromisoformat(record.time)).total_seconds()
    return replace(
        record, status=status, stack_id=stack_id, reason=reason, seconds=round(max(took, 0), 1)
    )


def read(
    bucket: Bucket, stack: str, *, since: str = "", newest: int | None = None
) -> tuple[Record, ...]:
    """Return a stack's records, newest first; none when there is no bucket.

    `since` is the earliest time of those that are wanted, in a record's own form, `newest` how
    many are at most.
    """
    folder = folder_of(stack)
    first = f"{folder}{_compact(since)}"
    # Records begin with their time; what is unfinished lies beside them, under names.
    listed = [
        key
        for key, _ in bucket.list_objects(folder)
        if key >= first and key.removeprefix(folder)[:1].isdigit()
    ]

    def read_one(key: str) -> Record | None:
        content = bucket.read_object(key)
        # None for what somebody removed after it was listed.
        return None if content is None else parse(content)

    found = side_by_side(read_one, sorted(listed, reverse=True)[:newest], at_once=store.AT_ONCE)
    return tuple(record for record in found if record)


def read_switch(bucket: Bucket, stack: str) -> Mapping[str, Any] | None:
    """Return what a stack's unfinished switch has written down, None without one.

    It names a `release` at least. Raises `NotOurs` for what is none.
    """
    content = bucket.read_object(switch_key(stack))
    if content is None:
        return None
    try:
        found: Mapping[str, Any] = json.loads(content)
        str(found["release"])
    except (ValueError, TypeError, KeyError):
        raise strange_switch(bucket, stack) from None
    return found


def strange_switch(bucket: Bucket, stack: str) -> NotOurs:
    """Return the error that something else lies where a switch is remembered."""
    return NotOurs(
        f"{switch_key(stack)} in {bucket.name} is not a record of this tool.",
        next_step="look at the object's versions in the bucket and delete the strange one",
    )


def find_usual_seconds(records: Iterable[Record], action: str) -> float | None:
    """Return how long an action usually takes, None where no success of it is known.

    Records come newest first; only the last successes count, because templates grow.
    """
    took = [r.seconds for r in records if r.action == action and r.succeeded and r.seconds]
    return statistics.median(took[:_SUCCESSES_COUNTED]) if took else None


def parse(content: bytes) -> Record | None:
    """Read one record, or None for an object that is none."""
    try:
        document = json.loads(content)
        values = {str(k): str(v) for k, v in document["parameters"].items()}
        texts = {
            name: str(document[name])
            for name in ("release", "time", "action", "status", "by", "stack", "stack_id")
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    # Records of earlier editions lack these.
    more = {name: str(document.get(name, "")) for name in ("reason", "plan", "request")}
    express = document.get("express") is True
    took = document.get("seconds")
    seconds = float(took) if isinstance(took, int | float) else 0.0
    return Record(parameters=values, express=express, seconds=seconds, **texts, **more)


def draw(records: tuple[Record, ...]) -> str:
    """Return records as a table."""
    rows = [
        (
            *(record.release, record.time, record.action),
            draw_elapsed(record.seconds) if record.seconds else "",
            f"{record.status} {record.reason}".strip(),
            record.by,
        )
        for record in records
    ]
    return draw_table(("Release", "Time (UTC)", "Action", "Took", "Status", "By"), rows)
