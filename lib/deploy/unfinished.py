"""Find what an update that failed half way has yet to do, which its templates no longer tell.

A stack that is UPDATE_FAILED has the new templates already, but not yet all that they say: AWS
deletes what they leave out once an operation has succeeded, so the next one that does deletes it.
Whether AWS then lists it in the change set, or among the resources, is written nowhere; so the
release that was stable last is compared, too.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-monitor-stack.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lib.deploy import pauses
from lib.errors import DeploymentError, StateForbids
from lib.inputs import parameters
from lib.operators import Level
from lib.releases import moving, releases, store
from lib.stacks import deployed, stacks
from lib.stacks.statuses import Status
from lib.templates import comparison, templates

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_cloudformation.client import CloudFormationClient

    from lib.deploy.publishing import Run
    from lib.stacks.stacks import Stack
    from lib.templates.changes import Change
    from lib.templates.resolution import Tree

#: What became of a resource that is not there any more.
_GONE = frozenset({"DELETE_COMPLETE", "DELETE_SKIPPED"})


def read_stable(run: Run, stack: Stack) -> Tree | None:
    """Return the release that was stable last, for a stack whose update failed half way.

    None for any other stack, and, with a warning, where that release cannot be read.
    """
    if stack.status is not Status.UPDATE_FAILED:
        return None
    try:
        record = pauses.last_stable(pauses.read_past(run.job, run.access))
        bucket = store.bucket_of(run.job, run.access)
        manifest = releases.find(bucket, record.release) if record else None
        if record and manifest:
            folder = releases.read_templates(bucket, manifest)
            declared = folder[templates.MASTER].parameters
            values = parameters.mask_secrets(record.parameters, declared)
            return deployed.resolve_for(run.job, run.access, folder, values, live=True)
    except (BotoCoreError, ClientError, DeploymentError):
        pass
    run.access.say(
        f"What the failed update of stack {stack.name} in {run.job.region} has yet to remove "
        "cannot be told: the release that was stable before it cannot be read.",
        Level.WARNING,
    )
    return None


def list_rest(
    run: Run, stack: Stack, stable: Tree, after: Tree, told: tuple[Change, ...], *, complete: bool
) -> tuple[Change, ...]:
    """Return what is left to do since the stack was stable last, and not told yet.

    Where AWS's own list is `complete` that is what goes, of which AWS may know no more; where it
    is not, everything that differs, done already or not.
    """
    found = comparison.compare(stable, after, region=run.job.region)
    known = {change.path for change in told if change.action == "Remove"}
    traces = _Traces(run.cfn, stack.id)
    going = (one for one in found if one.action == "Remove" and one.path not in known)
    still_there = [
        replace(change, physical_id=trace.physical_id)
        for change in going
        if not (trace := traces.find(change.path)).is_gone
    ]
    others = () if complete else (one for one in found if one.action != "Remove")
    return (*others, *still_there)


def join(old: Tree, stable: Tree) -> Tree:
    """Return a deployed tree with what only the stable one had: its policies still count."""
    there = {resource.path for resource in old.resources}
    more = (one for one in stable.resources if one.path not in there)
    return replace(old, resources=(*old.resources, *more))


@dataclass(frozen=True)
class _Trace:
    """What is known of a resource: its physical ID, "" for none, and whether it has gone."""

    physical_id: str = ""
    is_gone: bool = False


class _Traces:
    """What a tree of stacks lists, and what its events tell of resources that it does not list."""

    def __init__(self, cfn: CloudFormationClient, stack_id: str) -> None:
        """Look at the tree under a stack."""
        self._cfn, self._stack_id = cfn, stack_id
        self._known: dict[str, dict[str, _Trace]] = {}

    def find(self, path: str) -> _Trace:
        """Return what is known of the resource at a path."""
        above, _, logical_id = path.rpartition("/")
        owner = self.find(above) if above else _Trace(self._stack_id)
        if owner.is_gone or not owner.physical_id:
            return owner
        if owner.physical_id not in self._known:
            self._known[owner.physical_id] = self._read(owner.physical_id)
        return self._known[owner.physical_id].get(logical_id, _Trace())

    def _read(self, owner: str) -> dict[str, _Trace]:
        """Return what is known of one stack's resources, by logical ID: the latest word counts."""
        told = {
            event.logical_id: _Trace(event.physical_id, event.status in _GONE)
            for event in stacks.read_events(self._cfn, owner)
            if not event.is_own
        }
        listed = stacks.list_resources(self._cfn, owner)
        return told | {one.logical_id: _Trace(one.physical_id) for one in listed}


def require_told(run: Run, stack: Stack, resolve: Callable[[], Tree]) -> None:
    """Raise `StateForbids` where a refactor has moved what the templates have elsewhere.

    Called where CloudFormation sees no change; `resolve` returns what is wanted. With the
    templates of before a refactor the root is as it was, and only its nested stacks are not.
    """
    bucket = store.bucket_of(run.job, run.access)
    moved = moving.read(bucket, stack.name)
    if not moved:
        return
    declared = {resource.path for resource in resolve().resources}
    listing = deployed.Inventory(run.cfn, stack.id)
    astray = [to for to in moved if to not in declared and listing.resource_at(to)]
    if not astray:
        moving.forget(bucket, stack.name)
        return
    back = ",".join(f"{to}={moved[to]}" for to in astray if moved[to] in declared)
    raise StateForbids(
        f"Stack {stack.name} in {run.job.region} is not what the templates say, though its root "
        f"is: a refactor has moved {', '.join(f'{moved[to]} to {to}' for to in astray)}, and "
        "no update has followed. The next change of the root would take that back.",
        next_step=f"inv rescue.refactor --move {back} {run.job.flags}, to move it back"
        if back
        else "put it into the templates where it lies, and deploy them",
    )
