"""Hand a rollout over to CloudFormation StackSets, with self-managed permissions.

StackSets goes on without this machine, and reaches as many regions as there are. It knows
less of this application than `lib.regions.rollout` does; `LIMITS` says what, and operators
are told.

One stack set, named like the stack, holds the master template. Every region's differences
(its bucket, its network, its models) are parameter overrides of that region's instance.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/what-is-cfnstacksets.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lib.access import Access
from lib.checks.preflight import Look
from lib.data import consent, loss
from lib.deploy.change_list import list_changes
from lib.deploy.outcomes import Outcome, unchanged
from lib.errors import Declined, InputError, StateForbids
from lib.inputs import jobs, parameters
from lib.operators import Level, Listing
from lib.refusals import explain
from lib.regions import preparation, stacksets, steps
from lib.regions.desk import Desk
from lib.regions.plan import OnFailure, Rollout
from lib.regions.stacksets import Instance, Result, StackSet, Step
from lib.regions.work import Work
from lib.releases import releases, store
from lib.releases.releases import Published
from lib.stacks import deployed, events, stacks
from lib.stacks.events import Failure
from lib.stacks.statuses import Status
from lib.templates import comparison, contracts, templates
from lib.templates.changes import Change

LIMITS = (
    (
        "StackSets makes no change sets: nothing can be previewed as AWS would do it. Data is "
        "guarded by comparing the deployed templates with the new ones."
    ),
    (
        "Every target region reads the nested templates itself, so each gets its own bucket, "
        "published before the rollout."
    ),
    (
        "Only self-managed permissions: with service-managed ones the default execution role "
        "can deploy neither nested stacks nor macros."
    ),
    "Stacks are named StackSet-<name>-<id>; the other tasks find one only by --stack-name.",
)


def carry_out(desk: Desk, work: Work) -> Rollout:
    """Create or update the stack set and its instance in every region.

    Checks and publishes as `lib.regions.rollout.carry_out` does. Raises `InputError` for
    `--preview`, `Refused` and its kinds where a person has to decide first.
    """
    if desk.plan.options.preview:
        raise InputError(
            "StackSets cannot preview: it makes no change sets.",
            next_step="run it with --engine direct --preview to see what would change",
        )
    given = next(iter(desk.sites.values())).job.artifacts
    if given.image or given.site:
        raise InputError(
            "StackSets takes neither an image, which cannot be looked up beforehand in stacks that "
            "are not named like theirs, nor a site, which is deployed after each stack.",
            next_step="run it with --engine direct, or with --image none --site none",
        )
    for limit in LIMITS:
        desk.say(limit)
    preparation.claim_turns(desk, work, early=True)
    require_no_own_stacks(preparation.check(desk, work))
    home = next(iter(desk.sites.values())).aws
    stacksets.require_roles(home.client("iam"), desk.operator)
    published = preparation.publish(desk, work)
    preparation.claim_turns(desk, work)
    return Handover(desk, published).carry_out()


def require_no_own_stacks(looks: Mapping[str, Look]) -> None:
    """Refuse regions where the stack was created directly: a second one would stand beside it."""
    there = [region for region, look in looks.items() if look.stack]
    if there:
        raise StateForbids(
            f"The stack exists in {', '.join(there)} without StackSets, which would create a "
            "second one beside it.",
            next_step="use --engine direct, or import the stacks into a stack set first",
        )


class Handover:
    """One rollout by StackSets, from the first region, which administers the stack set."""

    def __init__(self, desk: Desk, published: Mapping[str, Published]) -> None:
        self.desk, self.published, self.sites = desk, published, desk.sites
        first = next(iter(desk.sites.values()))
        self.job = first.job
        self.cfn = first.aws.client("cloudformation")
        self.account = first.aws.identity().account
        self.found = stacksets.read(self.cfn, self.job.stack_name)
        self.values = {
            region: jobs.fill_in(site.job, published[region].bucket, self._deployed(region))
            for region, site in desk.sites.items()
        }

    def _deployed(self, region: str) -> dict[str, str]:
        """Return the parameters that a region has by the stack set as it is."""
        if self.found is None:
            return {}
        instance = self.found.instances.get(region)
        return {**self.found.parameters, **(instance.overrides if instance else {})}

    def carry_out(self) -> Rollout:
        """Guard, ask, and carry out one operation after the other."""
        declared = self.job.templates[templates.MASTER].parameters
        base, overrides = steps.split_values(self.values, declared)
        found = self.found
        there = found.instances if found else {}
        preparation.require_decided(self.desk, [r for r in self.sites if r not in there])
        if found:
            # AWS masks secrets, so they cannot be compared.
            comparable = parameters.without_secrets(found.parameters, declared)
            found = replace(found, parameters=comparable)
        planned = steps.plan_steps(
            found,
            self.desk.release.name,
            parameters.without_secrets(base, declared),
            overrides,
            concurrency=self.desk.plan.concurrency,
        )
        risky = self._find_risks(found)
        if planned and not self._agreed(planned):
            raise Declined("No region was changed.")
        self._verify_releases()
        backups = self._back_up(risky)
        operations = _Operations(self.desk, self._definition(base), self.account)
        if found is None:
            stacksets.create(self.cfn, operations.definition)
        operations.take(planned)
        return self._conclude(operations, backups)

    def _access(self, region: str) -> Access:
        """Return a region's access for this thread, which asks the person itself."""
        return Access(self.sites[region].aws, self.desk.operator, self.desk.clock)

    def _find_risks(self, found: StackSet | None) -> dict[str, tuple[Change, ...]]:
        """Return by region what puts data at risk, each loss agreed to."""
        risky = {
            region: loss.at_risk(self._compare(region, instance))
            for region, instance in (found.instances if found else {}).items()
            if region in self.sites and instance.stack_id
        }
        for region, risks in risky.items():
            consent.require_consent(
                self.sites[region].job,
                self._access(region),
                risks,
                self.desk.plan.consents.get(region, frozenset()),
                prefix=consent.prefix_of(region),
            )
        return risky

    def _compare(self, region: str, instance: Instance) -> tuple[Change, ...]:
        """Return what the new templates change in one region, judged for data."""
        access = self._access(region)
        cfn = access.aws.client("cloudformation")
        stack = stacks.describe(cfn, instance.stack_id)
        nothing = (Status.DELETE_COMPLETE, Status.REVIEW_IN_PROGRESS)
        if stack is None or stack.status in nothing:
            return ()
        before = deployed.read(cfn, stack)
        job = replace(self.sites[region].job, stack_name=stack.name)
        old = deployed.resolve_for(job, access, before.folder, before.parameters, live=True)
        new = deployed.resolve_for(job, access, job.templates, self.values[region])
        changes = comparison.compare(old, new, region=region, physical_ids=before.physical_ids)
        judged = consent.count_items(access, loss.judge(changes, old, new))
        self.desk.operator.report(list_changes(f"By its templates, {region} changes:", judged))
        price = self.desk.plan.price
        if price and judged and (cost := price(job, before)):
            self.desk.say(f"{region}: {cost}")
        return judged

    def _agreed(self, planned: Sequence[Step]) -> bool:
        rows = [(step.action, ", ".join(step.regions) or "(no instance)") for step in planned]
        title = f"Stack set {self.job.stack_name}, release {self.desk.release.name}:"
        self.desk.operator.report(Listing(title, ("Operation", "Regions"), rows))
        return self.desk.operator.confirm("Hand this over to StackSets?", "y")

    def _verify_releases(self) -> None:
        """Refuse a region whose bucket no longer holds what was published."""
        for region in self.sites:
            bucket = store.open_bucket(self._access(region), self.published[region].bucket)
            releases.verify(bucket, self.desk.release.checksums)

    def _back_up(self, risky: Mapping[str, Sequence[Change]]) -> dict[str, tuple[str, ...]]:
        """Back up the tables at risk in every region, and return the ARNs by region."""
        return {
            region: consent.back_up(
                self.sites[region].job,
                self._access(region),
                loss.tables_at_risk(risks),
                wanted=self.desk.plan.options.backup,
            )
            for region, risks in risky.items()
        }

    def _definition(self, base: Mapping[str, str]) -> dict[str, Any]:
        return {
            "StackSetName": self.job.stack_name,
            "TemplateURL": self.published[self.job.region].master_url,
            "Parameters": stacks.as_parameters(base),
            "Capabilities": list(contracts.capabilities(self.job.templates)),
            "Tags": stacks.as_tags(jobs.tags_of(self.job)),
            "PermissionModel": "SELF_MANAGED",
            # Lets operations on different regions run side by side instead of failing.
            "ManagedExecution": {"Active": True},
        }

    def _conclude(self, operations: _Operations, backups: Mapping[str, tuple[str, ...]]) -> Rollout:
        now = stacksets.read(self.cfn, self.job.stack_name)
        instances = now.instances if now else {}
        found = []
        for region in self.sites:
            instance = instances.get(region)
            action, failure = operations.verdict_on(region, instance)
            outcome = self._outcome_of(region, instance, action, failure)
            found.append(replace(outcome, backups=backups.get(region, ())))
        return Rollout(self.desk.release.name, tuple(found), operations.interrupted)

    def _outcome_of(
        self, region: str, instance: Instance | None, action: str, failure: Failure | None
    ) -> Outcome:
        """Return what became of one region, with the cause that its own stack names."""
        site = self.sites[region]
        cfn = site.aws.client("cloudformation")
        stack = stacks.describe(cfn, instance.stack_id) if instance and instance.stack_id else None
        if action == "failed" and stack:
            failure = events.tell_cause(cfn, events.read_operation(cfn, stack.id)) or failure
        return replace(
            unchanged(site.job, stack, release=self.desk.release.name),
            action=action,
            failure=failure,
            next_step="mend the cause, then run the same command again" if failure else "",
        )


class _Operations:
    """The operations on one stack set, one after the other, and what regions made of them."""

    def __init__(self, desk: Desk, definition: Mapping[str, Any], account: str) -> None:
        self.desk, self.definition, self.account = desk, definition, account
        self.name: str = definition["StackSetName"]
        self.region, first = next(iter(desk.sites.items()))
        self.cfn = first.aws.client("cloudformation")
        self.results: dict[str, Result] = {}
        self.actions: dict[str, str] = {}
        self.interrupted = False

    def take(self, planned: Sequence[Step]) -> None:
        """Carry out one operation after the other, until one fails or Ctrl-C is pressed."""
        for step in planned:
            failed = any(result.status == "FAILED" for result in self.results.values())
            if self.interrupted or (failed and self.desk.plan.on_failure is OnFailure.STOP):
                return
            self._take_step(step)

    def _take_step(self, step: Step) -> None:
        """Start one operation and follow it; an error of AWS is its regions' failure."""
        action = "created" if step.action == "create" else "updated"
        self.actions |= dict.fromkeys(step.regions, action)
        how = steps.preferences(step.regions, self.desk.plan)
        try:
            self._watch(stacksets.start(self.cfn, step, self.definition, how, self.account))
        except (BotoCoreError, ClientError) as exc:
            reason = explain(exc, self.region, self.name).message
            self.results |= {region: Result(region, "FAILED", reason) for region in step.regions}

    def _watch(self, operation: str) -> None:
        """Follow an operation; Ctrl-C leaves it to StackSets, and starts no other."""
        name = self.name

        def show(result: Result) -> None:
            level = Level.ERROR if result.status == "FAILED" else Level.INFO
            text = f"{result.region} | {result.status} {result.reason}".rstrip()
            self.desk.say(text, level)
            self.results[result.region] = result

        try:
            stacksets.follow(self.cfn, name, operation, clock=self.desk.clock, report=show)
        except KeyboardInterrupt:
            self.interrupted = True
            self.desk.say(
                f"Interrupted. StackSets goes on with operation {operation}; stop it with "
                f"`aws cloudformation stop-stack-set-operation --stack-set-name {name} "
                f"--operation-id {operation} --region {self.region}`.",
                Level.WARNING,
            )

    def verdict_on(self, region: str, instance: Instance | None) -> tuple[str, Failure | None]:
        """Return a region's action, and why it is not what was asked for."""
        result = self.results.get(region)
        if result is None and region not in self.actions and instance and instance.is_current:
            return "unchanged", None
        if result is None or result.status == "CANCELLED":
            why = "interrupted" if self.interrupted else "another region failed"
            return "declined", Failure("", "", "", "", f"not started: {why}")
        if result.status == "SUCCEEDED":
            return self.actions[region], None
        reason = result.reason or f"the operation is {result.status} in this region"
        return "failed", Failure("", "", "", result.status, reason)
