"""Do one region's part, in that region's thread, as `inv deploy` does for one region alone."""

from __future__ import annotations

from dataclasses import replace

from lib.access import Access
from lib.checks import preflight, verification
from lib.checks.preflight import Look
from lib.deploy import archives, change, images, publishing, site
from lib.deploy.outcomes import Outcome
from lib.errors import Declined
from lib.inputs import jobs
from lib.inputs.jobs import Job, Options
from lib.regions.desk import Desk
from lib.releases import releases, store
from lib.releases.releases import Published, Release
from lib.stacks.events import Failure
from lib.stacks.stacks import Stack
from lib.stacks.statuses import Move
from lib.templates.templates import STACK_TYPE


def _deployed(look: Look) -> Stack | None:
    """Return the stack that a region's deployment updates, None for one that it creates."""
    return look.stack if look.decision.move is Move.UPDATE else None


class Work:
    """The work of each region's thread; it reaches the person only through the desk's crew."""

    def __init__(self, desk: Desk) -> None:
        self.sites, self.access = desk.sites, desk.access
        self.plan, self.release = desk.plan, desk.release

    def look(self, region: str) -> Look:
        """Look at a region, without touching it."""
        job, access = self.sites[region].job, self.access[region]
        found = preflight.look(job, access, emulated=self.plan.home is None)
        images.require(job, access, _deployed(found))
        archives.require(job, access, _deployed(found))
        return found

    def list_new(self, region: str) -> list[str]:
        """Return the templates that a region's bucket has never held."""
        bucket = store.bucket_of(self.sites[region].job, self.access[region])
        if releases.find(bucket, self.release.name):
            return []
        published = releases.list_published(bucket)
        return [file.name for file in self.release.files if file.key not in published]

    def publish(self, region: str) -> tuple[Release, Published]:
        """Publish the release in a region; all regions' templates have been linted."""
        linted = frozenset(file.key for file in self.release.files)
        return publishing.publish(self.sites[region].job, self.access[region], linted=linted)

    def claim(self, region: str) -> bool:
        """Take a region's lock; tell whether somebody else's had to be waited for."""
        return self.access[region].claim()

    def deploy(self, region: str, look: Look, published: Published) -> Outcome:
        """Deploy a region; the thread comes to rest at its question until it is its turn."""
        job, access = self.sites[region].job, self.access[region]
        consents = self.plan.consents.get(region, frozenset())
        options = replace(self.plan.options, allow_data_loss=consents)
        there = _deployed(look)
        values = jobs.fill_in(job, published.bucket, there.parameters if there else {})
        run = publishing.Run(
            job, access, options, self.release, published, values, price=self.plan.price
        )
        # A creation asks nothing by itself, but here it has to wait for its turn.
        turn = f"Create stack {job.stack_name} in {region}?"
        if (
            look.decision.move is Move.CREATE
            and not options.preview
            and not access.operator.confirm(turn, "y")
        ):
            raise Declined(f"Stack {job.stack_name} in {region} was not created.")
        own = self.plan.create(run, look.stack, look.decision) if look.creates else None
        made = own or change.carry_out(run, look.stack, look.decision)
        outcome = site.follow_up(run, made)
        return verify(job, access, outcome, options) if self.plan.verify else outcome


def verify(job: Job, access: Access, outcome: Outcome, options: Options) -> Outcome:
    """Check what a region's deployment left; a canary that does not answer has failed."""
    if not outcome.is_deployed:
        return outcome
    found = verification.follow_up(job, access, options, outcome.seen)
    if found is None or found.passed:
        return outcome
    reasons = "; ".join(f"{c.name}: {c.detail}" for c in found.checks if not c.passed)
    stands = "up to date" if outcome.action == "unchanged" else "deployed"
    failure = Failure("", "", STACK_TYPE, outcome.status, f"{stands}, but {reasons}")
    next_step = f"inv verify {job.flags}"
    return replace(outcome, action="failed", failure=failure, next_step=next_step)
