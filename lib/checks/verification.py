"""Verify what was deployed: does it answer, and is its data as protected as it should be?

Looks at what AWS has now, not at what the templates say. Every check is made even when
another one fails. What an endpoint cannot answer is a warning, since it says nothing about
the deployment.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from lib.checks.protection import bucket_flaws, pool_flaws, table_flaws
from lib.drawing import draw_table
from lib.errors import DeploymentError, TemplateError
from lib.inputs.environments import PRODUCTION
from lib.operators import Answer, Level
from lib.refusals import error_code, error_message, explain, is_unsupported
from lib.stacks import drift, stacks
from lib.templates import resolution, templates

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job, Options
    from lib.polling import Clock
    from lib.stacks.stacks import Stack, StackResource

#: A new API answers 404 or 5xx for some seconds until its stage and permission have spread.
WARM_UP = 20.0
WARM_UP_PAUSE = 1.0

#: HTTP APIs give up on a function after 30 s and say so themselves.
#: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
ANSWER_TIMEOUT = 35.0

#: Checks under way at once; each makes a handful of calls to another service.
PARALLEL_CHECKS = 8


_HEALTH_OUTPUT = "HealthUrl"
_BODY_BYTES_AT_MOST = 100_000


#: Gets a URL; returns the HTTP status and the body, or raises `OSError`.
Fetch = Callable[[str], tuple[int, bytes]]


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


def verify(
    job: Job, access: Access, *, detect_drift: bool = False, fetch: Fetch | None = None
) -> Verification:
    """Make every check of a job's stack.

    `fetch` asks the health endpoint, over HTTP unless given. Raises `StateForbids` where
    there is no stack, and botocore's errors when it cannot even be described.
    """
    cfn = access.aws.client("cloudformation")
    stack = stacks.require(cfn, job)
    resources = stacks.walk(cfn, stack.id)
    asked = _list_checks(job, access, stack, resources, fetch or fetcher(direct=_is_local(access)))
    if detect_drift:
        asked["drift"] = lambda: _check_drift(access, stack)
    with ThreadPoolExecutor(PARALLEL_CHECKS) as pool:
        made = pool.map(lambda item: _make(*item), asked.items())
        return Verification(stack.name, job.region, tuple(made))


def follow_up(job: Job, access: Access, options: Options) -> Verification | None:
    """Verify a stack that has just been deployed, None where it is too early to.

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
        return verify(job, access)
    except DeploymentError as error:
        problem = error.message
    except (BotoCoreError, ClientError) as error:
        problem = explain(error, job.region, job.stack_name).message
    return Verification(job.stack_name, job.region, (Check("stack", False, problem),))


def as_document(found: Verification) -> dict[str, Any]:
    """Return a verification as a JSON document."""
    return {"passed": found.passed, "checks": [asdict(check) for check in found.checks]}


def draw(found: Verification) -> str:
    """Return a verification as a table."""
    rows = [
        (
            "?" if check.warning else "✓" if check.passed else "✗",
            check.name,
            check.detail,
        )
        for check in found.checks
    ]
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
    resources: Sequence[StackResource],
    fetch: Fetch,
) -> dict[str, Callable[[], Check]]:
    """Name every check with the call that makes it."""
    is_production = job.environment == PRODUCTION
    checks: dict[str, Callable[[], Check]] = {
        "stack": lambda: Check("stack", stack.status.is_healthy, str(stack.status)),
        "health": lambda: _check_health(stack.outputs.get(_HEALTH_OUTPUT, ""), fetch, access.clock),
        "outputs": lambda: _check_outputs(job, access, stack),
    }
    makers: dict[str, Callable[[Access, StackResource, bool], Iterator[str]]] = {
        "AWS::DynamoDB::Table": table_flaws,
        "AWS::S3::Bucket": bucket_flaws,
        "AWS::Cognito::UserPool": pool_flaws,
    }
    for resource in resources:
        find_flaws = makers.get(resource.type)
        if find_flaws is None:
            continue

        def check(resource: StackResource = resource, find: Any = find_flaws) -> Check:
            return _judge(resource, find(access, resource, is_production))

        checks[resource.path] = check
    return checks


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


def _judge(resource: StackResource, flaws: Iterable[str]) -> Check:
    """Return the check of one resource from what is wrong with it."""
    found = "; ".join(flaws)
    return Check(resource.path, not found, found or f"{resource.physical_id} is as it should be")


def _check_health(url: str, fetch: Fetch, clock: Clock) -> Check:
    """Ask the health endpoint until it answers 200 or has had time to warm up."""
    if not url:
        # Where the template declares it, the outputs' own check fails.
        return Check("health", True, f"the stack has no output {_HEALTH_OUTPUT}", warning=True)
    give_up = clock.monotonic() + WARM_UP
    while True:
        try:
            status, body = fetch(url)
        except (OSError, HTTPException) as error:
            healthy, detail = False, f"{url} does not answer: {error}"
        else:
            healthy, detail = status == 200, f"{url} answers {status}{_describe_tables(body)}"
        if healthy or clock.monotonic() >= give_up:
            return Check("health", healthy, detail)
        clock.sleep(WARM_UP_PAUSE)


def _describe_tables(body: bytes) -> str:
    """Return the tables' states from the endpoint's answer, "" when it has none."""
    try:
        tables = json.loads(body)["tables"]
        states = ", ".join(f"{name} {state}" for name, state in tables.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return f": {states}" if states else ""


def fetcher(*, direct: bool) -> Fetch:
    """Return what gets a URL over HTTP; `direct` goes past any proxy, as on this machine."""
    proxies = (urllib.request.ProxyHandler({}),) if direct else ()
    opener = urllib.request.build_opener(*proxies)

    def fetch(url: str) -> tuple[int, bytes]:
        if not url.startswith(("https://", "http://")):
            raise OSError(f"{url!r} is no web address")
        try:
            with opener.open(url, timeout=ANSWER_TIMEOUT) as response:
                return int(response.status), response.read(_BODY_BYTES_AT_MOST)
        except urllib.error.HTTPError as error:
            # Any other status than 2xx; its body says which table is missing.
            with error:
                return error.code, error.read(_BODY_BYTES_AT_MOST)

    return fetch


def _is_local(access: Access) -> bool:
    """Tell whether AWS is an endpoint of this machine."""
    return (access.aws.endpoint_url or "").startswith("http://127.0.0.1")


def _check_outputs(job: Job, access: Access, stack: Stack) -> Check:
    """Compare the outputs with those that the deployed master declares, Conditions applied."""
    text = stacks.read_template(access.aws.client("cloudformation"), stack.id)
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
