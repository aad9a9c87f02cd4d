"""Verify what was deployed: does it answer, and is its data as protected as it should be?

Looks at what AWS has now, not at what the templates say. Every check is made even when
another one fails. What an endpoint cannot answer is a warning, since it says nothing about
the deployment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from lib.checks import health
from lib.checks.protection import bucket_flaws, pool_flaws, table_flaws
from lib.document import as_document, keys
from lib.drawing import draw_table
from lib.errors import DeploymentError, TemplateError
from lib.inputs.environments import PRODUCTION
from lib.operators import Answer, Level
from lib.parallel import side_by_side
from lib.refusals import error_code, error_message, explain, is_unsupported
from lib.releases import releases
from lib.stacks import deployed, drift, stacks, statuses
from lib.templates import resolution, templates
from lib.templates.templates import STACK_TYPE

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job, Options
    from lib.stacks.stacks import Stack, StackResource

#: Checks under way at once; each makes a handful of calls to another service.
PARALLEL_CHECKS = 8

_HEALTH_OUTPUT = "HealthUrl"

#: Tells what is wrong with a resource, which production may hold to more.
FindFlaws = Callable[["Access", "StackResource", bool], Iterator[str]]


@dataclass(frozen=True)
class Check:
    """One check. A `warning` could not be made here; it does not count as failed."""

    name: str
    passed: bool
    detail: str
    warning: bool = False


@dataclass(frozen=True)
class Verification:
    """All checks of one stack."""

    stack: str
    region: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Tell whether no check failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """Return the names of the checks that failed."""
        return tuple(check.name for check in self.checks if not check.passed)

    KEYS: ClassVar = keys("passed checks")


def verify(
    job: Job,
    access: Access,
    *,
    detect_drift: bool = False,
    fetch: health.Fetch | None = None,
    as_asked: bool = False,
    seen: Stack | None = None,
) -> Verification:
    """Make every check of a job's stack.

    `as_asked` says that the stack was just found to be as asked: then one that an earlier
    operation was taken back from is in order, too. `seen` is the stack, where it was described
    a moment ago. `fetch` asks the health endpoint, over HTTP
    unless given. Raises `StateForbids` where nothing is deployed, and botocore's errors when it
    cannot even be described.
    """
    cfn = access.aws.client("cloudformation")
    stack = seen or stacks.require_created(cfn, job)
    asked = _list_checks(job, access, stack, _read_master(access, stack), fetch)
    if as_asked and stack.status in statuses.ROLLED_BACK:
        asked["stack"] = lambda: Check("stack", True, str(stack.status))
    if detect_drift:
        asked["drift"] = lambda: _check_drift(access, stack)
    made = side_by_side(lambda item: _make(*item), asked.items(), at_once=PARALLEL_CHECKS)
    return Verification(stack.name, job.region, tuple(made))


def follow_up(
    job: Job, access: Access, options: Options, seen: Stack | None = None
) -> Verification | None:
    """Verify a stack that has just been deployed or found up to date, None where it is too early.

    `seen` is the stack as AWS described it then.
    The deployment's outcome stands whatever is found, so that an error on the way is a failed
    check too.
    """
    if options.express:
        access.say(
            "Not verified: express mode ends before resources are stable. "
            f"Later: inv verify {job.flags}",
            Level.WARNING,
        )
        return None
    access.say("Verifying what was deployed.")
    try:
        return verify(job, access, as_asked=True, seen=seen)
    except DeploymentError as error:
        problem = error.message
    except (BotoCoreError, ClientError) as error:
        problem = explain(error, job.region, job.stack_name).message
    return Verification(job.stack_name, job.region, (Check("stack", False, problem),))


def draw(found: Verification) -> str:
    """Return a verification as a table."""
    marks = [("?" if one.warning else "✓" if one.passed else "✗") for one in found.checks]
    rows = [(mark, one.name, one.detail) for mark, one in zip(marks, found.checks, strict=True)]
    return draw_table(("", "Check", "Found"), rows)


def answer(found: Verification, access: Access) -> Answer:
    """Tell what the checks found; exit 1 when one failed."""
    _conclude(found, access)
    return Answer(as_document(found), draw(found), 0 if found.passed else 1)


def add(told: Answer, found: Verification | None, access: Access) -> Answer:
    """Add a verification to what is told of a deployment; its failure is the run's."""
    if found is None:
        return told
    _conclude(found, access)
    return replace(
        told,
        document={**told.document, "verification": as_document(found)},
        text=told.text if found.passed else f"{draw(found)}\n\n{told.text}",
        exit_code=told.exit_code or (0 if found.passed else 1),
    )


def _conclude(found: Verification, access: Access) -> None:
    """Say in one sentence what the checks came to."""
    for check in found.checks:
        if check.warning:
            access.say(f"Not checked: {check.name}: {check.detail}", Level.WARNING)
    where = f"stack {found.stack} in {found.region}"
    if found.passed:
        made = sum(not check.warning for check in found.checks)
        access.say(f"Verified {where}: {made} checks passed.", Level.DONE)
        return
    lines = [f"{len(found.failed)} of {len(found.checks)} checks of {where} failed:"]
    lines += [f"  {check.name}: {check.detail}" for check in found.checks if not check.passed]
    access.say("\n".join(lines), Level.ERROR)


# ── the checks ──────────────────────────────────────────────────────────────────────────────


def _list_checks(
    job: Job,
    access: Access,
    stack: Stack,
    master: str,
    fetch: health.Fetch | None,
) -> dict[str, Callable[[], Check]]:
    """Name every check with the call that makes it."""
    is_production = job.environment == PRODUCTION
    checks: dict[str, Callable[[], Check]] = {
        "stack": lambda: Check("stack", stack.status.is_healthy, str(stack.status)),
        "health": lambda: _check_health(stack.outputs.get(_HEALTH_OUTPUT, ""), access, fetch),
        "outputs": lambda: _check_outputs(job, access, stack, master),
    }
    for resource in _find_checked(access, job, stack, master):
        if _has_failed(resource):
            checks[resource.path] = partial(_tell_failure, resource)
        elif find_flaws := _MAKERS.get(resource.type):
            checks[resource.path] = partial(_judge, access, resource, is_production, find_flaws)
    return checks


def _has_failed(resource: StackResource) -> bool:
    """Tell whether the last thing that was done to a resource failed.

    It may have, although its stack says `*_COMPLETE`: an emulator that others wrote ends an
    update so in which a nested stack could not be created.
    """
    return resource.status.endswith("_FAILED")


def _tell_failure(resource: StackResource) -> Check:
    """Return the failed check of a resource that could not be made, changed or removed."""
    reason = resource.reason or "AWS gives no reason"
    return Check(resource.path, False, f"is {resource.status}: {reason}")


#: What is wrong with a resource, by its type.
_MAKERS: dict[str, FindFlaws] = {
    "AWS::DynamoDB::Table": table_flaws,
    "AWS::S3::Bucket": bucket_flaws,
    "AWS::Cognito::UserPool": pool_flaws,
}

#: What is checked, or may have it nested in it.
_TELLING = (*_MAKERS, STACK_TYPE)


def _read_master(access: Access, stack: Stack) -> str:
    """Return the deployed master's text, "" where AWS does not give it; a check says why."""
    try:
        return stacks.read_template(access.aws.client("cloudformation"), stack.id)
    except (BotoCoreError, ClientError):
        return ""


def _find_checked(access: Access, job: Job, stack: Stack, master: str) -> Iterator[StackResource]:
    """Yield the deployed resources that there is a check for, or that failed.

    No stack is listed without need: a nested stack that was deployed from a template which lies
    here, and which has none of them, is not, unless it failed. Where it was deployed from another
    one, only AWS knows.
    """
    listing = deployed.Inventory(access.aws.client("cloudformation"), stack.id)
    known = _known_texts(job, master)
    waiting = [""]
    while waiting:
        path = waiting.pop(0)
        yield from (r for r in listing.of(path) if r.type in _MAKERS or _has_failed(r))
        for nested in listing.nested_in(path):
            text = deployed.find_known(master, nested.logical_id, known) if not path else None
            tells = text is None or deployed.may_hold(text, _TELLING)
            if tells or _has_failed(nested):
                waiting.append(nested.path)


def _known_texts(job: Job, master: str) -> dict[str, str]:
    """Return the texts of the templates that lie here, none where the deployed master is broken."""
    try:
        templates.parse(templates.MASTER, master)
    except TemplateError:
        return {}
    return releases.texts_by_key(job.templates)


def _make(name: str, check: Callable[[], Check]) -> Check:
    """Make one check; an answer that AWS refuses is a finding too."""
    try:
        return check()
    except (BotoCoreError, ClientError) as error:
        if is_unsupported(error):
            return Check(name, True, "not available at this endpoint", warning=True)
        code = error_code(error)
        reason = error_message(error)
        return Check(name, False, f"{code}: {reason}" if code else reason)
    except DeploymentError as error:
        return Check(name, False, error.message)


def _judge(
    access: Access, resource: StackResource, is_production: bool, find_flaws: FindFlaws
) -> Check:
    """Return the check of one resource from what is wrong with it."""
    found = "; ".join(find_flaws(access, resource, is_production))
    return Check(resource.path, not found, found or f"{resource.physical_id} is as it should be")


def _check_health(url: str, access: Access, fetch: health.Fetch | None) -> Check:
    """Ask the health endpoint that the stack names."""
    if not url:
        # Where the template declares it, the outputs' own check fails.
        return Check("health", True, f"the stack has no output {_HEALTH_OUTPUT}", warning=True)
    found = health.ask(url, fetch or health.fetcher(direct=access.aws.is_local), access.clock)
    return Check("health", found.ok, found.detail)


def _check_outputs(job: Job, access: Access, stack: Stack, master_text: str) -> Check:
    """Compare the outputs with those that the deployed master declares, Conditions applied."""
    # What was refused is asked for once more, for the words of the refusal.
    text = master_text or stacks.read_template(access.aws.client("cloudformation"), stack.id)
    try:
        master = templates.parse(templates.MASTER, text)
        # Which outputs there are depends on conditions, and those on parameters alone.
        named = {name: {**output, "Value": name} for name, output in master.outputs.items()}
        bare = replace(master, body={**master.body, "Resources": {}, "Outputs": named})
        declared = resolution.resolve(
            {templates.MASTER: bare},
            stack.parameters,
            region=job.region,
            account=access.aws.identity().account,
            stack_name=stack.name,
            partition=access.aws.partition,
            url_suffix=access.aws.url_suffix,
        ).outputs
    except TemplateError as error:
        return Check("outputs", False, f"the deployed template cannot be read: {error.message}")
    missing = sorted(name for name in declared if not stack.outputs.get(name))
    if missing:
        return Check("outputs", False, f"missing: {', '.join(missing)}")
    return Check("outputs", True, f"all {len(declared)} are there")


def _check_drift(access: Access, stack: Stack) -> Check:
    """Detect drift in the whole tree."""
    found = drift.detect(access.aws.client("cloudformation"), stack.id, access.clock)
    paths = list(dict.fromkeys(one.path for one in found))
    return Check("drift", not paths, f"drifted: {', '.join(paths)}" if paths else "none")
