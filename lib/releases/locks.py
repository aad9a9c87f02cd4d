"""Keep the lock of a stack: one object beside the releases, that says who is changing the stack.

`locks/<stack>.json` is written only where none is, replaced and deleted only as it was read, so
that S3 itself decides between two operators. It holds for `LEASE` from when S3 says it was written,
by S3's own clock on both ends, so that no machine's clock matters. What two operators agree on here
is a courtesy: where no lock can be kept AWS still refuses two operations on one stack at once.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.errors import Locked
from lib.refusals import error_code

if TYPE_CHECKING:
    from lib.machine import Machine
    from lib.releases.store import Bucket

#: For how long a lock holds that is not renewed, seconds. A run that was killed is in the way of
#: others for that long.
LEASE = 300.0

#: S3 tells times in whole seconds, and an answer is under way for a moment.
GRACE = 10.0

#: How often one step is tried while others are quicker.
_TRIES = 5

#: "PreconditionFailed" where the object is another one, or there is one; "NoSuchKey" where there is
#: none to match; "ConditionalRequestConflict" where somebody else is writing at that moment.
_UNMET = frozenset({"PreconditionFailed", "412", "NoSuchKey", "404"})
_CONFLICT = "ConditionalRequestConflict"


@dataclass(frozen=True)
class Lock:
    """What a lock says: who changes the stack, with which task, since when and until when.

    `run` is a token of one run. `since` and `until` are in UTC, ISO 8601, by the clock of whoever
    wrote them, for people to read. `machine` and `process` are a digest and a number, by which the
    same machine knows that the run has ended. `lease` is in seconds.
    """

    run: str
    stack: str
    task: str
    by: str
    since: str
    until: str
    machine: str
    process: str
    lease: float = LEASE

    @property
    def who(self) -> str:
        """Return the user, or the role's session name, and what is being done since when."""
        name = self.by.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
        return f"{name} ({self.task} since {tell_time(self.since)})"


@dataclass(frozen=True)
class Found:
    """A lock as it lies in the bucket; `age` counts seconds by S3's own clock."""

    lock: Lock
    etag: str
    age: float

    @property
    def has_expired(self) -> bool:
        """Tell whether the lease has run out, for whoever reads it."""
        return self.age > self.lock.lease + GRACE


def tell_time(time: str) -> str:
    """Return a moment as people read it, to the second."""
    return f"{time[:19].replace('T', ' ')} UTC" if time else "an unknown time"


def key_of(stack: str) -> str:
    """Return where a stack's lock lies."""
    return f"locks/{stack}.json"


def read(bucket: Bucket, stack: str, now: datetime) -> Found | None:
    """Return a stack's lock, or None; `now` stands in where an answer does not say the time.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    try:
        answer = bucket.s3.get_object(
            Bucket=bucket.name, Key=key_of(stack), ExpectedBucketOwner=bucket.owner
        )
    except ClientError as exc:
        if error_code(exc) in ("NoSuchKey", "404"):
            return None
        raise
    said = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    age = ((parsedate_to_datetime(said) if said else now) - answer["LastModified"]).total_seconds()
    return Found(parse(answer["Body"].read(), stack), answer["ETag"], age)


def parse(content: bytes, stack: str) -> Lock:
    """Read a lock; one that nobody can read is somebody's all the same, and expires."""
    try:
        said: Mapping[str, Any] = json.loads(content)
        texts = {name: str(said[name]) for name in Lock.__annotations__ if name != "lease"}
        return Lock(**texts, lease=min(float(said["lease"]), LEASE))
    except (ValueError, TypeError, KeyError, RecursionError):
        return Lock("", stack, "unknown", "somebody", "", "", "", "")


def write(bucket: Bucket, lock: Lock, *, replacing: str = "") -> str:
    """Write a lock where none is, or over the one of an ETag; return its ETag, "" where S3 refuses.

    The answer may have been lost on the way: whether the lock that is there is this one, its token
    says. https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """
    condition: dict[str, Any] = {"IfMatch": replacing} if replacing else {"IfNoneMatch": "*"}
    try:
        answer = bucket.s3.put_object(
            Bucket=bucket.name,
            Key=key_of(lock.stack),
            Body=json.dumps(asdict(lock), indent=2).encode(),
            ContentType="application/json",
            ChecksumAlgorithm="SHA256",
            ExpectedBucketOwner=bucket.owner,
            **condition,
        )
    except ClientError as exc:
        if error_code(exc) in _UNMET | {_CONFLICT}:
            return ""
        raise
    return answer["ETag"]


def is_ours(found: Found, lock: Lock) -> bool:
    """Tell whether a lock that was found is the one that this run has written."""
    return found.lock.run == lock.run


def is_free(found: Found, machine: Machine) -> bool:
    """Tell whether a lock may be taken over: it has expired, or its run has ended on this machine.

    Nobody else can know that a run was killed.
    """
    same = bool(found.lock.machine) and found.lock.machine == machine.name()
    return found.has_expired or (same and machine.is_gone(found.lock.process))


def take(bucket: Bucket, lock: Lock, machine: Machine, now: datetime) -> tuple[str, Found | None]:
    """Take a stack's lock, where it is free; return its ETag and whose it was before.

    The ETag is "" where somebody else holds the lock that is returned with it. One that this run
    wrote without having been told is written anew, so that its lease counts from now. Raises what
    S3 answers where no lock can be kept, and `Locked` when others were quicker time and again.
    """
    before: Found | None = None
    for _ in range(_TRIES):
        etag = write(bucket, lock)
        if etag:
            return etag, before
        found = read(bucket, lock.stack, now)
        if found is None:
            continue
        if is_ours(found, lock):
            if found.lock == lock:
                return found.etag, before
        elif is_free(found, machine):
            before = found
        else:
            return "", found
        etag = write(bucket, lock, replacing=found.etag)
        if etag:
            return etag, before
    raise Locked(
        f"The lock {key_of(lock.stack)} in {bucket.name} keeps changing hands.",
        next_step="run the same command again in a moment",
    )


def renew(bucket: Bucket, lock: Lock, etag: str, now: datetime) -> str:
    """Let a lock that is held hold for another lease; return its ETag, "" where it was lost."""
    for _ in range(_TRIES):
        renewed = write(bucket, lock, replacing=etag)
        if renewed:
            return renewed
        found = read(bucket, lock.stack, now)
        if found is None or not is_ours(found, lock):
            return ""
        if found.lock == lock:
            return found.etag
        etag = found.etag
    return ""


def release(bucket: Bucket, lock: Lock, etag: str, now: datetime) -> bool:
    """Delete a lock as it was written last, nobody else's; tell whether it was there.

    Where the ETag is "" or another one, as after a request without an answer, the lock is looked
    for: this run's goes, whatever its ETag. "If-Match" on DeleteObject is newer than on PutObject;
    whoever does not know it deletes all the same.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html
    """
    for _ in range(_TRIES):
        if not etag:
            found = read(bucket, lock.stack, now)
            if found is None or not is_ours(found, lock):
                return False
            etag = found.etag
        try:
            bucket.s3.delete_object(
                Bucket=bucket.name,
                Key=key_of(lock.stack),
                IfMatch=etag,
                ExpectedBucketOwner=bucket.owner,
            )
        except ClientError as exc:
            if error_code(exc) not in _UNMET | {_CONFLICT}:
                raise
            etag = ""
        else:
            return True
    return False
