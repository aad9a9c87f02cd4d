"""Hand a rollout over to CloudFormation StackSets, with self-managed permissions.

StackSets goes on without this machine, and reaches as many regions as there are. It knows
less of this application than `lib.regions.rollout` does; `LIMITS` says what, and operators
are told.

One stack set, named like the stack, holds the master template. Every region's differences
(its bucket, its network, its models) are parameter overrides of that region's instance.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/what-is-cfnstacksets.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from lib.access import Access
from lib.data import consent, loss
from lib.deploy.outcomes import Outcome
from lib.errors import DataLossRefused, Declined, InputError, Refused, StateForbids
from lib.inputs import jobs, parameters
from lib.operators import Level, Listing, Note, Operator
from lib.polling import Clock
from lib.refusals import explain
from lib.regions import rollout
from lib.regions.instances import Instance, Result, StackSet, follow, read, require_roles
from lib.regions.plan import OnFailure, Plan, Rollout, Site
from lib.regions.rollout import Desk
from lib.releases import releases
from lib.stacks import deployed, events, stacks, watching
from lib.stacks.events import Failure
from lib.stacks.statuses import Status
from lib.templates import comparison, contracts, resolution, templates

if TYPE_CHECKING:
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


@dataclass(frozen=True)
class Step:
    """One operation: `action` on some regions. `overrides` is None where they stay."""

    action: str
    regions: tuple[str, ...]
    overrides: Mapping[str, str] | None = None


def choose_engine(name: str, *, local: bool) -> Callable[..., Rollout]:
    """Return what carries out a rollout: this machine, or CloudFormation StackSets.

    Raises `InputError` for any other name, and for StackSets on the emulator.
    """
    if name == "direct":
        return rollout.deploy
    if name != "stacksets":
        raise InputError(f"--engine takes direct or stacksets, not {name!r}.")
    if local:
        raise InputError(
            "The emulator has no StackSets.", next_step="leave out --engine, or --local"
        )
    return deploy


def deploy(
    sites: Sequence[Site],
    operator: Operator,
    plan: Plan,
    *,
    clock: Clock | None = None,
    draw: Callable[[Sequence[str]], None] | None = None,
) -> Rollout:
    """Create or update the stack set and its instance in every region.

    Checks and publishes as `lib.regions.rollout.deploy` does. Raises `InputError` for `--preview`,
    `Refused` and its kinds where a person has to decide first.
    """
    if plan.options.preview:
        raise InputError(
            "StackSets cannot preview: it makes no change sets.",
            next_step="run it with --engine direct --preview to see what would change",
        )
    for limit in LIMITS:
        operator.report(Note(limit))
    desk = Desk(sites, operator, plan, clock or Clock(), draw)
    try:
        desk.check()
        _require_no_own_stacks(desk)
        require_roles(sites[0].aws.client("iam"), operator)
        desk.publish()
    except BaseException:
        desk.abandon()
        raise
    return _Handover(desk).carry_out()


def _require_no_own_stacks(desk: Desk) -> None:
    """Refuse regions where the stack was created directly: a second one would stand beside it."""
    there = [region for region, look in desk.looks.items() if look.stack]
    if there:
        raise StateForbids(
            f"The stack exists in {', '.join(there)} without StackSets, which would create a "
            "second one beside it.",
            next_step="use --engine direct, or import the stacks into a stack set first",
        )


def split_values(
    wanted: Mapping[str, Mapping[str, str]], declared: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return the stack set's own parameters, and by region what differs from them.

    `wanted` holds each region's values, the first region's being the stack set's. A stack set
    takes overrides only of parameters that it has, so what only some regions set is given its
    declared default there.
    """
    first = next(iter(wanted.values()))
    names = {name for values in wanted.values() for name in values}
    base = {
        name: first.get(name, str(declared.get(name, {}).get("Default", "")))
        for name in sorted(names)
    }
    differing = {
        region: {name: value for name, value in values.items() if base[name] != value}
        for region, values in wanted.items()
    }
    return base, differing


def plan_steps(
    found: StackSet | None,
    release: str,
    base: Mapping[str, str],
    overrides: Mapping[str, Mapping[str, str]],
    *,
    concurrency: int | None,
) -> tuple[Step, ...]:
    """Return the operations that bring every region up to date, the canary's first.

    A new release or new common values are an update of the stack set itself, restricted to
    the first region that has an instance; the others follow in waves of `concurrency`. A
    region whose overrides differ, or which is new, is an operation of its own, because
    overrides hold for all regions of an operation. Regions that are up to date are left out.
    Raises `StateForbids` when the stack set only has instances elsewhere, which AWS would
    update, too.
    """
    instances = found.instances if found else {}
    there = [region for region in overrides if region in instances]
    fresh = found is not None and (found.release != release or dict(found.parameters) != dict(base))
    steps: list[Step] = []
    if fresh and there:
        canary = there.pop(0)
        steps.append(Step("update set", (canary,)))
        if dict(instances[canary].overrides) != dict(overrides[canary]):
            steps.append(Step("update", (canary,), overrides[canary]))
    elif fresh and instances:
        raise StateForbids(
            f"The stack set has instances in {', '.join(instances)} only, which would all be "
            "updated with it.",
            next_step="name at least one of them in --regions",
        )
    elif fresh:
        steps.append(Step("update set", ()))
    same = [r for r in there if dict(instances[r].overrides) == dict(overrides[r])]
    behind = [region for region in same if fresh or not instances[region].is_current]
    size = concurrency or len(behind) or 1
    if not steps and behind:
        steps.append(Step("update", (behind.pop(0),)))
    steps += [Step("update", tuple(behind[i : i + size])) for i in range(0, len(behind), size)]
    steps += [Step("update", (r,), overrides[r]) for r in there if r not in same]
    steps += [Step("create", (r,), overrides[r]) for r in overrides if r not in instances]
    return tuple(steps)


def preferences(chosen: Sequence[str], plan: Plan) -> dict[str, Any]:
    """Return how StackSets is to go about one operation.

    `--on-failure` is the share of accounts per region that may fail before no further region
    is started, none or all; `--sequential` and `--max-concurrency 1` are one region at a time.
    Any other concurrency is made by the size of the waves: StackSets itself only knows one
    region at a time or all at once.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackSetOperationPreferences.html
    """
    tolerance = 100 if plan.on_failure is OnFailure.CONTINUE else 0
    return {
        "RegionConcurrencyType": "SEQUENTIAL" if plan.concurrency == 1 else "PARALLEL",
        "RegionOrder": list(chosen),
        "FailureTolerancePercentage": tolerance,
        "MaxConcurrentPercentage": 100,
        # Without this a tolerance of none would also mean one account at a time.
        "ConcurrencyMode": "SOFT_FAILURE_TOLERANCE",
    }


class _Handover:
    """One rollout by StackSets, from the first region, which administers the stack set."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.plan = desk.plan
        self.operator = desk.operator
        self.sites = desk.sites
        first = next(iter(desk.sites.values()))
        self.job = first.job
        self.cfn = first.aws.client("cloudformation")
        self.account = first.aws.identity().account
        self.results: dict[str, Result] = {}
        self.actions: dict[str, str] = {}
        self.interrupted = False

    def carry_out(self) -> Rollout:
        """Guard, ask, and carry out one operation after the other."""
        wanted = {
            region: jobs.fill_in(site.job, self.desk.published[region].bucket)
            for region, site in self.sites.items()
        }
        declared = self.job.templates[templates.MASTER].parameters
        base, overrides = split_values(wanted, declared)
        secrets = parameters.list_secrets(declared)
        found = read(self.cfn, self.job.stack_name)
        if found:
            found = replace(found, parameters=_hide(found.parameters, secrets))
        steps = plan_steps(
            found,
            self.desk.release.name,
            _hide(base, secrets),
            overrides,
            concurrency=self.plan.concurrency,
        )
        risky = self._find_risks(found)
        if steps and not self._agreed(steps):
            raise Declined("No region was changed.")
        self._verify_releases()
        backups = self._back_up(risky)
        if found is None:
            self._create_set(base)
        for step in steps:
            if self._must_stop():
                break
            self._take_step(step, base)
        return self._conclude(backups)

    def _find_risks(self, found: StackSet | None) -> dict[str, tuple[Change, ...]]:
        """Return by region what puts data at risk, each loss agreed to."""
        risky = {
            region: loss.at_risk(self._compare(region, instance))
            for region, instance in (found.instances if found else {}).items()
            if region in self.sites and instance.stack_id
        }
        for region, risks in risky.items():
            for risk in risks:
                self._ask_about(region, risk)
        return risky

    def _back_up(self, risky: Mapping[str, Sequence[Change]]) -> dict[str, tuple[str, ...]]:
        """Back up the tables at risk in every region, and return the ARNs by region."""
        return {
            region: consent.back_up(
                self.sites[region].job,
                Access(self.sites[region].aws, self.operator, self.desk.clock),
                loss.tables_at_risk(risks),
                wanted=self.plan.options.backup,
            )
            for region, risks in risky.items()
        }

    def _verify_releases(self) -> None:
        """Refuse a region whose bucket no longer holds what was published."""
        for region, site in self.sites.items():
            releases.verify(
                site.aws.client("s3"),
                self.desk.published[region].bucket,
                {file.key: file.sha256 for file in self.desk.release.files},
                owner=self.account,
            )

    def _ask_about(self, region: str, risk: Change) -> None:
        """Have one loss agreed to by region and path."""
        path = f"{region}:{risk.path}"
        if risk.path in self.plan.consents.get(region, frozenset()):
            return
        question = f"{path} ({risk.type}) will be {risk.verdict}. Agree?"
        try:
            agreed = self.operator.confirm(question, path)
        except Refused:
            raise DataLossRefused(
                f"Data would be lost; nothing was changed. {path} ({risk.type}): {risk.verdict}",
                next_step=f"to accept it, add `--allow-data-loss {path}`",
                details={"at_risk": [path]},
            ) from None
        if not agreed:
            raise Declined("No region was changed.")

    def _compare(self, region: str, instance: Instance) -> tuple[Change, ...]:
        """Return what the new templates change in one region, judged for data."""
        site = self.sites[region]
        stack = stacks.describe(site.aws.client("cloudformation"), instance.stack_id)
        if stack is None or stack.status is Status.DELETE_COMPLETE:
            return ()
        before = deployed.read(site.aws.client("cloudformation"), stack)
        values = jobs.fill_in(site.job, self.desk.published[region].bucket)
        old, new = (
            resolution.resolve(
                folder, given, region=region, account=self.account, stack_name=stack.name
            )
            for folder, given in (
                (before.folder, before.parameters),
                (site.job.templates, values),
            )
        )
        changes = comparison.compare(old, new, region=region, physical_ids=before.physical_ids)
        rows = loss.judge(changes, old, new)
        self.operator.report(
            Listing(
                f"By its templates, {region} changes:",
                ("Path", "Type", "Action", "Data"),
                [(c.path, c.type, c.action, c.verdict) for c in rows],
            )
        )
        return rows

    def _agreed(self, steps: Sequence[Step]) -> bool:
        """Ask the one question for all regions."""
        rows = [(step.action, ", ".join(step.regions) or "(no instance)") for step in steps]
        title = f"Stack set {self.job.stack_name}, release {self.desk.release.name}:"
        self.operator.report(Listing(title, ("Operation", "Regions"), rows))
        return self.operator.confirm("Hand this over to StackSets?", "y")

    def _must_stop(self) -> bool:
        """Tell whether no further operation may be started."""
        failed = any(result.status == "FAILED" for result in self.results.values())
        return self.interrupted or (failed and self.plan.on_failure is OnFailure.STOP)

    def _create_set(self, base: Mapping[str, str]) -> None:
        """Create the stack set; it has no instances yet.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStackSet.html
        """
        self.cfn.create_stack_set(**self._definition(base), ClientRequestToken=watching.new_token())

    def _definition(self, base: Mapping[str, str]) -> dict[str, Any]:
        """Return what the stack set consists of."""
        return {
            "StackSetName": self.job.stack_name,
            "TemplateURL": self.desk.published[self.job.region].master_url,
            "Parameters": stacks.as_parameters(base),
            "Capabilities": list(contracts.capabilities(self.job.templates)),
            "Tags": stacks.as_tags(jobs.tags_of(self.job)),
            "PermissionModel": "SELF_MANAGED",
            # Lets operations on different regions run side by side instead of failing.
            "ManagedExecution": {"Active": True},
        }

    def _take_step(self, step: Step, base: Mapping[str, str]) -> None:
        """Start one operation and follow it; an error of AWS is its regions' failure."""
        action = "created" if step.action == "create" else "updated"
        self.actions |= dict.fromkeys(step.regions, action)
        try:
            operation = self._start(step, base)
            self._watch(operation)
        except (BotoCoreError, ClientError) as exc:
            reason = explain(exc, self.job.region, self.job.stack_name).message
            failed = {region: Result(region, "FAILED", reason) for region in step.regions}
            self.results |= failed

    def _start(self, step: Step, base: Mapping[str, str]) -> str:
        """Start an operation and return its ID."""
        place: dict[str, Any] = {
            "OperationPreferences": preferences(step.regions, self.plan),
            "OperationId": watching.new_token(),
        }
        if step.regions:
            place |= {"Accounts": [self.account], "Regions": list(step.regions)}
        if step.action == "update set":
            return self.cfn.update_stack_set(**self._definition(base), **place)["OperationId"]
        if step.overrides is not None:
            place["ParameterOverrides"] = stacks.as_parameters(step.overrides)
        place["StackSetName"] = self.job.stack_name
        if step.action == "create":
            return self.cfn.create_stack_instances(**place)["OperationId"]
        return self.cfn.update_stack_instances(**place)["OperationId"]

    def _watch(self, operation: str) -> None:
        """Follow an operation; Ctrl-C leaves it to StackSets, and starts no other."""
        name = self.job.stack_name

        def show(result: Result) -> None:
            level = Level.ERROR if result.status == "FAILED" else Level.INFO
            text = f"{result.region} | {result.status} {result.reason}".rstrip()
            self.operator.report(Note(text, level))
            self.results[result.region] = result

        try:
            follow(self.cfn, name, operation, clock=self.desk.clock, report=show)
        except KeyboardInterrupt:
            self.interrupted = True
            self.operator.report(
                Note(
                    f"Interrupted. StackSets goes on with operation {operation}; stop it with "
                    f"`aws cloudformation stop-stack-set-operation --stack-set-name {name} "
                    f"--operation-id {operation} --region {self.job.region}`.",
                    Level.WARNING,
                )
            )

    def _conclude(self, backups: Mapping[str, tuple[str, ...]]) -> Rollout:
        """Return every region's outcome with its outputs."""
        now = read(self.cfn, self.job.stack_name)
        instances = now.instances if now else {}
        found = [
            self._outcome_of(region, instances.get(region), backups.get(region, ()))
            for region in self.sites
        ]
        return Rollout(self.desk.release.name, tuple(found), self.interrupted)

    def _outcome_of(
        self, region: str, instance: Instance | None, backups: tuple[str, ...]
    ) -> Outcome:
        """Return what became of one region."""
        site = self.sites[region]
        cfn = site.aws.client("cloudformation")
        stack = stacks.describe(cfn, instance.stack_id) if instance and instance.stack_id else None
        action, failure = self._verdict_on(region, instance)
        if action == "failed" and failure and stack:
            cause = events.find_cause(events.read_operation(cfn, stack.id))
            failure = cause or failure
        return Outcome(
            action,
            site.job.stack_name,
            stack.id if stack else "",
            region,
            site.job.environment,
            stack.status if stack else Status.ABSENT,
            self.desk.release.name,
            outputs=stack.outputs if stack else {},
            backups=backups,
            failure=failure,
            next_step="mend the cause, then run the same command again" if failure else "",
        )

    def _verdict_on(self, region: str, instance: Instance | None) -> tuple[str, Failure | None]:
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


def _hide(values: Mapping[str, str], secrets: frozenset[str]) -> dict[str, str]:
    """Return values without secrets, which AWS masks and so cannot be compared."""
    return {name: value for name, value in values.items() if name not in secrets}
