"""Check every region and publish the release in each, before a stack is changed in any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lib.access import Access
from lib.checks import linked_roles, preflight, quotas
from lib.checks.findings import Readiness, RegionFinding
from lib.checks.preflight import Look
from lib.deploy import publishing
from lib.errors import NotOurs, Refused, TemplateError
from lib.operators import Level
from lib.regions.desk import Desk
from lib.regions.report import list_parameters
from lib.regions.work import Work
from lib.releases.releases import Published


def check(desk: Desk, work: Work) -> dict[str, Look]:
    """Look at every region, and raise one error with everything that stops any of them."""
    desk.say(f"Checking {len(desk.sites)} regions.")
    found = list(_find_disabled(desk))
    off = {finding.region for finding in found if finding.stops}
    looked = desk.work_on([region for region in desk.sites if region not in off], work.look)
    errors = {region: end.error for region, end in looked.items() if end.error}
    looks: dict[str, Look] = {r: end.result for r, end in looked.items() if not end.error}
    for one in looks.values():
        found += one.findings
    found += _measure_roles(desk, looks)
    rows = [row for one in looks.values() for row in one.headroom]
    if rows:
        desk.operator.report(quotas.list_headroom(rows))
    for finding in found:
        if finding.stops:
            refusal = Refused(finding.message, next_step=finding.next_step)
            errors.setdefault(finding.region, refusal)
        elif finding.state is not Readiness.READY:
            desk.say(f"{finding.region}: {finding}", Level.WARNING)
    desk.raise_all(errors, "No region was touched.")
    _require_one_account(looks)
    _make_linked_roles(desk, looks)
    if desk.plan.options.preview:
        desk.operator.report(list_parameters(list(desk.sites.values())))
    return looks


def require_decided(desk: Desk, regions: Sequence[str]) -> None:
    """Raise what a person has to decide before the stack is created in some regions."""

    def ask(region: str) -> None:
        desk.plan.require_decided(desk.sites[region].job, desk.access[region])

    ends = desk.work_on(regions, ask)
    desk.raise_all({region: end.error for region, end in ends.items()}, "No region was touched.")


def _find_disabled(desk: Desk) -> Sequence[RegionFinding]:
    """Return what the account says of the regions, where it can be asked."""
    if desk.plan.home is None:
        desk.say("Quotas and enabled regions are not checked on the emulator: it has neither.")
        return ()
    return preflight.find_disabled(desk.plan.home.client("ec2"), list(desk.sites))


def _measure_roles(desk: Desk, looks: Mapping[str, Look]) -> Sequence[RegionFinding]:
    """Hold all regions' roles against the account's quota."""
    if desk.plan.home is None:
        return ()
    added = {region: look.roles for region, look in looks.items()}
    return quotas.measure_roles(desk.plan.home.client("iam"), added)[1]


def _make_linked_roles(desk: Desk, looks: Mapping[str, Look]) -> None:
    """See to the services' own roles before a stack is created, once for all regions."""
    created = [region for region, one in looks.items() if one.creates]
    if desk.plan.home is None or desk.plan.options.preview or not created:
        return
    site = desk.sites[created[0]]
    # By the person's own operator: the crew's are for questions of one region.
    access = Access(site.aws, desk.operator, desk.clock)
    wanted = linked_roles.list_wanted(looks[created[0]].tree.resources)
    linked_roles.make(access, linked_roles.list_absent(access, wanted), site.job.stack_name)


def _require_one_account(looks: Mapping[str, Look]) -> None:
    """Refuse credentials that mean another account in another region."""
    if len({look.account for look in looks.values()}) > 1:
        named = ", ".join(f"{look.account} in {region}" for region, look in looks.items())
        raise NotOurs(
            f"The credentials belong to several accounts: {named}. Nothing was touched.",
            next_step="use one profile that is the same account everywhere",
        )


def publish(desk: Desk, work: Work) -> dict[str, Published]:
    """Publish the release in every region; lint it once for all of them."""
    listed = desk.work_everywhere(work.list_new, "Nothing was published.")
    new = sorted({name for names in listed.values() for name in names})
    job = next(iter(desk.sites.values())).job
    publishing.require_clean(job, new, list(desk.sites), desk.say)
    done = desk.work_everywhere(work.publish, "No stack was touched.")
    for region, (release, _) in done.items():
        if release.digest != desk.release.digest:
            raise TemplateError(
                f"{region} got release {release.name}, not {desk.release.name}.",
                next_step="run the same command again",
            )
    return {region: published for region, (_, published) in done.items()}


def claim_turns(desk: Desk, work: Work, *, early: bool = False) -> None:
    """Take every region's lock; `early`, before anything is read, only those that wait do.

    One after the other and by name, so that two rollouts never wait for each other.
    """
    for region in sorted(desk.sites):
        if desk.plan.options.preview or (early and not desk.sites[region].job.waits):
            continue
        end = desk.work_on([region], work.claim)[region]
        desk.raise_all({region: end.error}, "No region was changed.")
