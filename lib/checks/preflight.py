"""Look at a region before anything is changed in any: can this deployment succeed there?

What is certain to fail is an error. What cannot be found out (a permission that is missing,
an endpoint without the call) is a warning: a check that is not available must not stop a
deployment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.checks.models import check_models
from lib.checks.quotas import Headroom, RegionFinding, ask, count, measure
from lib.inputs.jobs import require_valid
from lib.inputs.parameters import ERROR
from lib.stacks import admission, deployed
from lib.stacks.statuses import Move, Operation

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.stacks import Stack
    from lib.stacks.statuses import Decision
    from lib.templates.resolution import Tree


_OPTED_OUT = "not-opted-in"
_CREATES = frozenset({Move.CREATE, Move.CREATE_BY_CHANGE_SET, Move.REPLACE})


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
        return self.decision.move in _CREATES

    @property
    def roles(self) -> int:
        """Return how many IAM roles this region adds to the account."""
        return count("AWS::IAM::Role")(self.tree.resources) if self.creates else 0


def look(job: Job, access: Access, *, quotas: bool = True) -> Look:
    """Check a region without changing anything in it.

    Parameters, credentials, Bedrock models, the stack's state and, with `quotas`, the quotas
    that this application meets. Raises what stops a deployment for certain: `InputError` for
    values, `AwsUnavailable` for credentials, `StateForbids` for the stack's state.
    """
    require_valid(job)
    account = access.aws.identity().account
    stack, decision = admission.admit(job, access, Operation.DEPLOY)
    tree = deployed.resolve_for(job, access, job.templates, job.values)
    models = check_models(access.aws.client("bedrock"), job.models, region=job.region)
    findings = [
        RegionFinding(job.region, f"{p.parameter}: {p.message}", p.severity) for p in models
    ]
    headroom: tuple[Headroom, ...] = ()
    if quotas:
        added = tree.resources if decision.move in _CREATES else ()
        headroom, unknown = measure(job.region, access.aws.client, added, tree.resources)
        findings += unknown
    return Look(job.region, account, stack, decision, tree, tuple(findings), headroom)


def find_disabled(ec2: Any, regions: Sequence[str]) -> tuple[RegionFinding, ...]:
    """Return an error for each region that the account has not switched on.

    `ec2` is a client of a region that is always on: a region that is off refuses every call
    as if the credentials were wrong.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
    """
    answer, problem = ask(lambda: ec2.describe_regions(AllRegions=True)["Regions"])
    if answer is None:
        text = f"whether the region is enabled for the account could not be checked: {problem}"
        return tuple(RegionFinding(region, text) for region in regions)
    states = {entry["RegionName"]: entry.get("OptInStatus", "") for entry in answer}
    return tuple(
        RegionFinding(
            region,
            "the region is not enabled for this account; enable it under Account, AWS Regions"
            if region in states
            else "AWS does not know this region in this account's partition",
            ERROR,
        )
        for region in regions
        if states.get(region, _OPTED_OUT) == _OPTED_OUT
    )
