"""Look at a region before anything is changed in any: can this deployment succeed there?

What a deployment is certain to fail by stops it. What cannot be found out (a permission that is
missing, an endpoint without the call) is told and stops nothing: a check that is not available
must not.

`survey` makes every check for `inv preflight`. `look` makes those that a rollout over many regions
wants before the first is touched. `prepare` is the first part of a stack's first creation: the
few looks that cost a call each and find what would fail half way, when retained tables are
there already. A stack that exists gets none of them, so that an update is as fast as before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.checks import budget_owner, linked_roles, models, names
from lib.checks.findings import Readiness, RegionFinding, ask, missing, unknown
from lib.checks.quotas import Headroom, count, measure
from lib.errors import StateForbids
from lib.inputs.jobs import require_valid
from lib.operators import Level
from lib.stacks import admission, deployed
from lib.stacks.statuses import CREATIONS, Operation

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.session import Aws
    from lib.stacks.stacks import Stack
    from lib.stacks.statuses import Decision
    from lib.templates.resolution import Tree


#: The check that a region is switched on.
ENABLED = "region"

_OPTED_OUT = "not-opted-in"


@dataclass(frozen=True)
class Look:
    """What is known of a region before it is changed."""

    region: str
    account: str
    stack: Stack | None
    decision: Decision
    tree: Tree
    findings: tuple[RegionFinding, ...]
    headroom: tuple[Headroom, ...]

    @property
    def creates(self) -> bool:
        """Tell whether the stack will be created, so that everything in it is additional."""
        return self.decision.move in CREATIONS

    @property
    def roles(self) -> int:
        """Return how many IAM roles this region adds to the account."""
        return count("AWS::IAM::Role")(self.tree.resources) if self.creates else 0


def look(job: Job, access: Access, *, emulated: bool = False) -> Look:
    """Check a region without changing anything in it.

    Parameters, credentials, the stack's state, names that are taken, Bedrock models and the quotas
    that this application meets; the last two mean nothing where AWS is `emulated`.
    Raises what stops a deployment for certain: `InputError` for values, `AwsUnavailable` for
    credentials, `StateForbids` for the stack's state.
    """
    require_valid(job)
    access.aws.identity()
    stack, decision = admission.admit(job, access, Operation.DEPLOY)
    return examine(job, access, stack, decision, emulated=emulated)


def examine(
    job: Job, access: Access, stack: Stack | None, decision: Decision, *, emulated: bool
) -> Look:
    """Make the checks of one region for a stack in a state that is known."""
    tree = deployed.resolve_for(job, access, job.templates, job.values)
    findings: list[RegionFinding] = []
    creates = decision.move in CREATIONS
    if creates:
        findings += names.look(job, access, tree.resources)
    headroom: tuple[Headroom, ...] = ()
    if not emulated:
        findings += models.look(access.aws.client("bedrock"), job.models, region=job.region)
        added = tree.resources if creates else ()
        headroom, unread = measure(job.region, access.aws.client, added, tree.resources)
        findings += unread
    account = access.aws.identity().account
    return Look(job.region, account, stack, decision, tree, tuple(findings), headroom)


def find_disabled(ec2: Any, regions: Sequence[str]) -> tuple[RegionFinding, ...]:
    """Return a finding for each region that the account has not switched on.

    `ec2` is a client of a region that is always on: a region that is off refuses every call
    as if the credentials were wrong.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
    """
    answer, problem = ask(lambda: ec2.describe_regions(AllRegions=True)["Regions"])
    if answer is None:
        return tuple(unknown(region, ENABLED, problem) for region in regions)
    states = {entry["RegionName"]: entry.get("OptInStatus", "") for entry in answer}
    return tuple(
        missing(
            region,
            ENABLED,
            "the region is not enabled for this account"
            if region in states
            else "AWS does not know this region in this account's partition",
            "enable it under Account, AWS Regions" if region in states else "choose another one",
            stops=True,
        )
        for region in regions
        if states.get(region, _OPTED_OUT) == _OPTED_OUT
    )


def prepare(
    job: Job, access: Access, connect: Callable[[str], Aws], *, preview: bool = False
) -> None:
    """Begin a stack's first creation: names that are taken, service-linked roles, the budget.

    Nothing is touched but a service-linked role that is missing, once it is agreed to; a
    `preview` only says that it is. `connect` opens another region. Raises `StateForbids` for a
    name that is taken, and what `linked_roles.make` raises.
    """
    tree = deployed.resolve_for(job, access, job.templates, job.values)
    found = names.look(job, access, tree.resources)
    for one in found:
        if one.state is Readiness.UNKNOWN:
            access.say(f"Not checked: {one}", Level.WARNING)
    taken = [one for one in found if one.stops]
    if taken:
        named = "; ".join(one.message for one in taken)
        raise StateForbids(
            f"Stack {job.stack_name} in {job.region} cannot be created: {named}.",
            next_step=f"{taken[0].next_step}, then inv deploy {job.flags}",
        )
    absent = linked_roles.list_absent(access, linked_roles.list_wanted(tree.resources))
    if preview:
        for role in absent:
            access.say(f"{role.name} is missing; the creation offers to make it.", Level.WARNING)
    else:
        linked_roles.make(access, absent, job.stack_name)
    owner = budget_owner.look([job], access, connect)
    if owner.state is not Readiness.READY:
        access.say(str(owner), Level.WARNING)
