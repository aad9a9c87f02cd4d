"""Apply a plan of many regions, the first alone before the others; each refuses for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from lib.access import Access
from lib.deploy import applying, plans
from lib.deploy.outcomes import Outcome, unchanged
from lib.deploy.plans import PlanFile
from lib.errors import AwsUnavailable, DeploymentError, Interrupted, Refused
from lib.operators import Operator
from lib.polling import Clock
from lib.regions.plan import Rollout, Site
from lib.regions.report import explain_end
from lib.regions.work import verify
from lib.stacks.events import Failure


def apply(
    sites: Sequence[Site],
    operator: Operator,
    plan: PlanFile,
    again: str,
    *,
    begin: Mapping[str, Callable[[], None]],
    checks: bool,
    clock: Clock | None = None,
) -> Rollout:
    """Execute what a plan says of each region, one after the other, in the plan's order.

    No further region is started when the first one is not well, when AWS fails at one, or after
    Ctrl-C; one that is only refused does not stop the others. `begin` has by region what
    `applying.apply` begins a creation with, `again` is as it takes it; with `checks` a region is
    well only when it passes the checks of `inv verify`, too.
    """
    outcomes: list[Outcome] = []
    errors: list[DeploymentError] = []

    def apply_one(site: Site, one: PlanFile) -> Outcome:
        access = Access(site.aws, operator, clock or Clock())
        # What was approved, and is recorded, is the whole plan.
        asked = replace(one, digest=plan.digest)
        done = applying.apply(site.job, access, asked, again, begin=begin[one.region])
        return verify(site.job, access, done, plans.read_options(one)) if checks else done

    for site, one in zip(sites, plan.regions, strict=True):
        try:
            if _must_stop(outcomes, errors):
                raise Refused("not started, because of what became of another region")
            outcomes.append(apply_one(site, one))
        except (Exception, KeyboardInterrupt) as exc:
            error = explain_end(exc, site.job)
            if error is None:
                raise
            errors.append(error)
            outcomes.append(_conclude(site, one, _lead_on(error, outcomes, again)))
    unavailable = len(errors) == len(outcomes) and isinstance(errors[0], AwsUnavailable)
    return Rollout(plan.release, tuple(outcomes), _has_interruption(errors), unavailable)


def _must_stop(outcomes: Sequence[Outcome], errors: Sequence[DeploymentError]) -> bool:
    """Tell whether no further region may be started."""
    canary = bool(outcomes) and outcomes[0].action in ("declined", "failed")
    return canary or any(one.failed for one in outcomes) or _has_interruption(errors)


def _lead_on(error: DeploymentError, outcomes: Sequence[Outcome], again: str) -> DeploymentError:
    """Return an error that leads to another plan, once this one was carried out in a region.

    It is refused there from then on, so that what helps elsewhere, the same command, does not.
    """
    if any(one.action in ("created", "updated") for one in outcomes):
        error.next_step = again
    return error


def _has_interruption(errors: Sequence[DeploymentError]) -> bool:
    return any(isinstance(error, Interrupted) for error in errors)


def _conclude(site: Site, plan: PlanFile, error: DeploymentError) -> Outcome:
    """Return what became of a region that an error ended, or that was not started."""
    return replace(
        unchanged(site.job, None, release=plan.release),
        action="declined" if isinstance(error, Refused) else "failed",
        status=plan.status,
        stack_id=plan.stack_id,
        changes=plan.changes,
        failure=Failure("", "", "", "", error.message),
        next_step=error.next_step or f"inv status {site.job.flags}",
    )
