"""Remove published releases that nothing needs any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from botocore.exceptions import ClientError

from lib.access import Access
from lib.errors import Declined, OperationFailed
from lib.inputs.jobs import MANAGED_BY, Job
from lib.operators import Listing
from lib.parallel import side_by_side
from lib.refusals import error_code
from lib.releases import code, history, releases, settling, store, turns
from lib.releases.history import Record
from lib.releases.releases import Manifest
from lib.releases.store import Bucket
from lib.stacks import changesets, stacks
from lib.stacks.changesets import Purpose
from lib.stacks.stacks import Stack
from lib.stacks.statuses import Status

#: What was uploaded this recently may belong to a publication that is still under way.
UNDER_WAY = timedelta(hours=1)

#: How many of a stack's latest operations keep their releases: a rollback under way needs
#: the templates from before the operation that failed.
RECORDS_KEPT = 2

_DELETED_AT_ONCE = 1000


@dataclass(frozen=True)
class KeptRelease:
    """A release that stays, and why."""

    release: str
    because: str


@dataclass(frozen=True)
class Removal:
    """The releases that go, by name; the keys of the objects that go; the releases that stay."""

    removed: tuple[str, ...]
    objects: tuple[str, ...]
    kept: tuple[KeptRelease, ...]


def prune(job: Job, access: Access, *, keep: int) -> Removal:
    """Remove what no live stack and none of the newest `keep` releases need, after asking.

    Live are all stacks of this tool in the account and region, in any environment, with the
    releases of their latest operations and of switches that are not finished. Objects are
    deleted, not their versions, so that a bucket's versioning can still bring them back. Returns
    what was removed; raises `NotOurs` where something else lies in a switch's place.
    """
    with turns.take_turn(job, access, "prune") as held:
        held.claim()
        return _prune(job, held, keep)


def _prune(job: Job, access: Access, keep: int) -> Removal:
    """Remove what nothing needs, after asking, in this run's turn."""
    bucket = store.bucket_of(job, access)
    plan = _plan(job, access, bucket, keep)
    where = f"{bucket.name} in {job.region}"
    if not plan.objects:
        access.say(f"Nothing to remove from {where}.")
        return plan
    rows = [(name, "removed") for name in plan.removed]
    rows += [(kept.release, f"kept: {kept.because}") for kept in plan.kept]
    title = f"Releases in {where} ({len(plan.objects)} objects go):"
    access.operator.report(Listing(title, ("Release", "What happens"), rows))
    if not access.operator.confirm(f"Remove {len(plan.objects)} objects from {where}?", "y"):
        raise Declined(f"Nothing was removed from {where}.")
    access.claim()
    _delete(bucket, plan.objects)
    return plan


def _plan(job: Job, access: Access, bucket: Bucket, keep: int) -> Removal:
    manifests = _read_manifests(bucket)
    live = _find_live(job, access, bucket)
    reasons = _find_needed(access, bucket, live)
    for manifest in manifests[:keep]:
        reasons.setdefault(manifest.release, f"among the newest {keep}")
    kept = [manifest for manifest in manifests if manifest.release in reasons]
    gone = [manifest for manifest in manifests if manifest.release not in reasons]
    needed = {key for manifest in kept for key in manifest.files}
    for stack, records in live:
        needed |= set(code.find_used(stack.parameters, records, kept=reasons, latest=RECORDS_KEPT))
    old = access.clock.now() - UNDER_WAY
    orphans = [
        key
        for prefix in ("templates/", code.PREFIX)
        for key, changed in bucket.list_objects(prefix)
        if key not in needed and changed < old
    ]
    # The manifest goes first: a release without one is none, so a run that is cut off
    # leaves no release that lacks templates.
    first = [f"releases/{manifest.release}/manifest.json" for manifest in gone]
    masters = [key for manifest in gone for key in manifest.files if key.startswith("releases/")]
    known = {key for manifest in gone for key in manifest.files}
    children = [key for key in known if key.startswith("templates/") and key not in needed]
    keys = dict.fromkeys([*first, *masters, *sorted(children), *orphans])
    return Removal(
        tuple(manifest.release for manifest in gone),
        tuple(keys),
        tuple(KeptRelease(manifest.release, reasons[manifest.release]) for manifest in kept),
    )


def _read_manifests(bucket: Bucket) -> list[Manifest]:
    """Return every published release, newest first."""
    names = [
        key.split("/")[1]
        for key, _ in bucket.list_objects("releases/")
        if key.endswith("/manifest.json")
    ]
    found = side_by_side(partial(releases.find, bucket), names, at_once=store.AT_ONCE)
    return sorted(filter(None, found), key=lambda manifest: manifest.time, reverse=True)


def _find_live(job: Job, access: Access, bucket: Bucket) -> list[tuple[Stack, tuple[Record, ...]]]:
    """Return the live stacks of this tool, each with what was done to it, newest first."""
    roots = [
        stack
        for stack in stacks.list_live(access.aws.client("cloudformation"))
        if not stack.parent_id
        and (stack.tags.get("ManagedBy") == MANAGED_BY or stack.name == job.stack_name)
    ]
    return [
        (stack, settling.settle(bucket, access, history.read(bucket, stack.name)))
        for stack in roots
    ]


_PURPOSES = {
    Purpose.PLAN: "planned for {stack}",
    Purpose.PREVIEW: "previewed for {stack}",
    Purpose.DEPLOYMENT: "about to be deployed to {stack}",
}


def _find_needed(
    access: Access, bucket: Bucket, live: Sequence[tuple[Stack, tuple[Record, ...]]]
) -> dict[str, str]:
    """Return the releases that live stacks need, each with the reason."""
    cfn = access.aws.client("cloudformation")
    needed: dict[str, str] = {}
    for stack, records in live:
        for kept in changesets.discard_expired(cfn, stack, access.clock):
            needed.setdefault(kept.release, _PURPOSES[kept.purpose].format(stack=stack.name))
        if stack.status is Status.REVIEW_IN_PROGRESS:
            continue  # The shell of a creation has no template, and may have gone with its plan.
        text = stacks.read_template(cfn, stack.id)
        for name in releases.identify(bucket, text):
            needed[name] = f"deployed as {stack.name}"
        for record in records[:RECORDS_KEPT]:
            needed.setdefault(record.release, f"used lately by {stack.name}")
        # It goes on from there, whatever became of the stack since it was cut off.
        if begun := history.read_switch(bucket, stack.name):
            needed.setdefault(begun["release"], f"needed to finish a switch of {stack.name}")
        # Whatever the template's text is taken for, this is what the history says is deployed.
        if last := next((one for one in records if one.succeeded), None):
            needed.setdefault(last.release, f"deployed last to {stack.name}")
    return needed


def _delete(bucket: Bucket, keys: Sequence[str]) -> None:
    """Delete objects in the order given, a thousand a call, which is all AWS takes.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    """
    for start in range(0, len(keys), _DELETED_AT_ONCE):
        batch = keys[start : start + _DELETED_AT_ONCE]
        try:
            answer = bucket.s3.delete_objects(
                Bucket=bucket.name,
                Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True},
                ExpectedBucketOwner=bucket.owner,
            )
        except ClientError as exc:
            if error_code(exc) == "NoSuchBucket":
                return
            raise
        left = [f"{e.get('Key')}: {e.get('Message')}" for e in answer.get("Errors", [])]
        if left:
            raise OperationFailed(
                f"Not everything could be removed from {bucket.name}: {'; '.join(left)}"
            )
