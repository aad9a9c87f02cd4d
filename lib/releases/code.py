"""Publish an application function's archive under its digest, and find the archives in use."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from lib.inputs.artifacts import CODE_KEY
from lib.releases import releases
from lib.releases.releases import File

if TYPE_CHECKING:
    from lib.inputs.artifacts import Archive
    from lib.releases.history import Record
    from lib.releases.store import Bucket

#: What stands before the key of every archive.
PREFIX = "code/"


def publish(bucket: Bucket, archive: Archive) -> bool:
    """Upload an archive unless it is there already, and tell whether it was uploaded.

    Written once, like a template: what lies under the key must hold the same bytes. It is looked
    for first, because S3 refuses a second write only once it has been sent all of it. Raises
    `NotOurs` when the bytes differ.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    file = File(archive.key.rsplit("/", 1)[-1], archive.key, archive.content, archive.sha256)
    if bucket.list_objects(file.key):
        releases.verify(bucket, {file.key: file.sha256})
        return False
    return releases.put_once(bucket, file)


def find_used(
    deployed: Mapping[str, str], records: Iterable[Record], *, kept: Collection[str], latest: int
) -> Iterator[str]:
    """Yield the keys of the archives that one live stack needs.

    Those are its own, those of its `latest` operations, which a rollback under way returns to,
    and for each release in `kept` the one that `inv rollback --to` would deploy it with.
    """
    yield deployed.get(CODE_KEY, "")
    found: set[str] = set()
    for position, record in enumerate(records):
        first = record.succeeded and record.release in kept and record.release not in found
        if first:
            found.add(record.release)
        if first or position < latest:
            yield record.parameters.get(CODE_KEY, "")
