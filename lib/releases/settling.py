"""Complete the records of operations whose process was killed, or left, before they ended.

CloudFormation finishes an operation by itself. How it ended stands in the stack's events, which
carry the token of the request that began it: "All events triggered by a given stack operation are
assigned the same client request token, which you can use to track operations."
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackEvent.html
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lib.releases import history, store
from lib.releases.history import Record
from lib.stacks import stacks

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.releases.store import Bucket
    from lib.stacks.stacks import Event

#: After how long an operation that no event tells of is one that never began. Its process writes
#: the record down and asks AWS in the next moment, unless AWS is slow or refuses for a while.
LONGEST_BEGINNING = timedelta(hours=1)

#: For how long the absence of an event says something. AWS does not document for how long it keeps
#: a stack's events; a deleted stack's summary "is kept for 90 days".
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStacks.html
EVENTS_KEPT = timedelta(days=90)

#: How far the clocks of two machines may be apart.
_APART = timedelta(hours=1)


def read(
    job: Job, access: Access, *, since: str = "", newest: int | None = None
) -> tuple[Record, ...]:
    """Return what was done to a job's stack, newest first, as far as AWS knows how it ended.

    `since` and `newest` leave out older ones; see `history.read`.
    """
    bucket = store.bucket_of(job, access)
    found = history.read(bucket, job.stack_name, since=since, newest=newest)
    return settle(bucket, access, found)


def settle(bucket: Bucket, access: Access, found: Sequence[Record]) -> tuple[Record, ...]:
    """Complete the records of what has ended meanwhile, in the bucket as well, and return all.

    Who may not write, or not read the stack's events, gets what is known, and no error: nobody
    has asked for this.
    """
    return tuple(_settle(bucket, access, one) for one in found)


def _settle(bucket: Bucket, access: Access, record: Record) -> Record:
    """Return one record with how it ended, as it is while that cannot be told."""
    if record.status != history.STARTED or not (record.request and record.stack_id):
        return record
    try:
        status = _find_ending(access, record)
    except (BotoCoreError, ClientError):
        return record
    if not status:
        return record
    done = replace(record, status=status)
    with contextlib.suppress(BotoCoreError, ClientError):
        history.write(bucket, done)
    return done


def _find_ending(access: Access, record: Record) -> str:
    """Return the status in which an operation ended, "" where it goes on or nothing is known."""
    begun = datetime.fromisoformat(record.time)
    age = access.clock.now() - begun
    if age > EVENTS_KEPT:
        return ""
    cfn = access.aws.client("cloudformation")
    found = stacks.read_events(cfn, record.stack_id, since=begun - _APART)
    own = [event for event in found if event.is_own]
    last = max((i for i, event in enumerate(own) if event.token == record.request), default=None)
    if last is None:
        return history.NOT_BEGUN if age > LONGEST_BEGINNING else ""
    # The end of an update that was cancelled may have the token of whoever cancelled it; before
    # the stack rests nothing else can begin.
    return next((event.status for event in own[last:] if _rests(event)), "")


def _rests(event: Event) -> bool:
    """Tell whether a stack has come to rest with an event of its own."""
    return bool(event.status) and not event.status.endswith("_IN_PROGRESS")
