"""Deploy a built web application to Amplify, once the stack that it talks to stands.

A deployment is made, a zip is put to the address that comes with it, and the deployment started
and waited for. https://docs.aws.amazon.com/amplify/latest/userguide/manual-deploys.html
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from lib import outside, polling
from lib.deploy.outcomes import Outcome
from lib.errors import Interrupted, OperationFailed
from lib.inputs import artifacts
from lib.inputs.artifacts import CODE_KEY, IMAGE_TAG
from lib.operators import Level
from lib.refusals import error_message, is_passing
from lib.stacks.events import Failure

if TYPE_CHECKING:
    from pathlib import Path

    from lib.deploy.publishing import Run

#: What the application reads its surroundings from, at the top of the site.
CONFIG_FILE = "config.json"

#: The master's outputs that say where a site goes, and what it has to know.
_APP, _BRANCH, _CONFIG = "AmplifyAppId", "AmplifyBranchName", "FrontendConfig"

#: How long another deployment may take to end, and this one. Manual deployments take seconds, but
#: some never leave PENDING until they are stopped.
#: https://github.com/aws-amplify/amplify-backend/issues/2137
PATIENCE = 300.0
LONGEST = 900.0
_UPLOAD_PATIENCE = 60.0
_UPLOAD_TIMEOUT = 300.0

_ENDED = ("SUCCEED", "FAILED", "CANCELLED")

#: Puts bytes to a URL, or raises `OSError`.
Put = Callable[[str, bytes], None]


def follow_up(run: Run, outcome: Outcome, *, put: Put | None = None) -> Outcome:
    """Deploy the site that a run was given, and say what does not work without its artefacts.

    Returns the outcome, failed when the stack stands and its site could not be deployed.
    """
    if run.options.preview or outcome.failed or outcome.action not in _STANDING:
        return outcome
    folder = run.job.artifacts.site
    told = replace(outcome, missing=tuple(list_missing(run, outcome)))
    if folder is None:
        return told
    if _APP not in outcome.outputs:
        run.access.say(
            f"Stack {outcome.stack} in {outcome.region} has no web application (DeployFrontend), "
            "so the site was not deployed.",
            Level.WARNING,
        )
        return told
    try:
        _deploy(run, folder, outcome.outputs, put or _putter(direct=run.access.aws.is_local))
    except (BotoCoreError, ClientError, OSError, OperationFailed) as exc:
        return _fail(run, told, folder, exc)
    return told


_STANDING = ("created", "updated", "unchanged")


def list_missing(run: Run, outcome: Outcome) -> list[str]:
    """Say what does not work yet in a stack that was just deployed, for want of an artefact.

    That a stack has no code shows in its parameters. Whether an image or a site came by another way
    shows nowhere, so that these two are told once, when the stack is created and has neither.
    """
    if outcome.action == "unchanged":
        return []
    given, deploy = run.job.artifacts, f"inv deploy {run.job.flags}"
    found = []
    if not run.values.get(CODE_KEY):
        found.append(
            "No application code: GET /health answers, everything below /api is 404 until "
            f"`{deploy} --code ZIP_OR_FOLDER`."
        )
    fresh = outcome.action == "created"
    if fresh and not run.values.get(IMAGE_TAG):
        found.append(
            "No image tag: a task pulls latest, and stops there until an image is pushed to "
            f"RepositoryUri, which starts empty; `{deploy} --image TAG` takes another one."
        )
    if fresh and given.site is None and _APP in outcome.outputs:
        found.append(
            f"No site: FrontendUrl shows Amplify's own page until `{deploy} --site FOLDER`."
        )
    return found


def _deploy(run: Run, folder: Path, outputs: Mapping[str, str], put: Put) -> None:
    """Make, fill, start and wait for one deployment of a site."""
    amplify: Any = run.access.aws.client("amplify")
    place = {"appId": outputs[_APP], "branchName": outputs[_BRANCH]}
    config = json.dumps(json.loads(outputs[_CONFIG]), indent=2).encode() + b"\n"
    content = artifacts.zip_folder(folder, more={CONFIG_FILE: config})
    clock = run.access.clock
    made = polling.ask_patiently(
        lambda: amplify.create_deployment(**place), clock, PATIENCE, passes=_may_pass
    )
    job_id = made["jobId"]
    polling.ask_patiently(
        lambda: put(made["zipUploadUrl"], content),
        clock,
        _UPLOAD_PATIENCE,
        passes=lambda exc: isinstance(exc, OSError) and getattr(exc, "code", 500) >= 500,
    )
    amplify.start_deployment(**place, jobId=job_id)
    run.access.say(f"Deploying the site (Amplify deployment {job_id}).")
    look = _looker(amplify, {**place, "jobId": job_id}, run)
    try:
        ending = polling.until(look, clock, longest=LONGEST)
    except KeyboardInterrupt:
        raise Interrupted(
            f"Interrupted. Stack {run.job.stack_name} in {run.job.region} is deployed, and Amplify "
            f"goes on with deployment {job_id} of its site.",
            next_step=f"watch it with `{_command('get-job', place, job_id, run)}`, stop it with "
            f"`{_command('stop-job', place, job_id, run)}`",
        ) from None
    if ending != "SUCCEED":
        stop = "" if ending else f"; `{_command('stop-job', place, job_id, run)}` ends it"
        state = ending or f"not done after {LONGEST / 60:.0f} min"
        raise OperationFailed(f"Amplify deployment {job_id} is {state}{stop}")
    run.access.say(f"The site is deployed: {outputs.get('FrontendUrl', '')}", Level.DONE)


def _looker(amplify: Any, named: Mapping[str, str], run: Run) -> Callable[[float], str | None]:
    """Return what looks whether a deployment has ended."""

    def look(_waited: float) -> str | None:
        job = polling.ask_patiently(lambda: amplify.get_job(**named), run.access.clock)["job"]
        status = str(job["summary"]["status"])
        return status if status in _ENDED else None

    return look


def _may_pass(exc: Exception) -> bool:
    """Tell whether CreateDeployment may succeed later: another deployment has to end first.

    "The last job(deployment) 17 was not finished, please wait until it finish or use StopJob
    operation to cancel it before creating a new deployment.", a BadRequestException:
    https://github.com/aws-amplify/amplify-backend/issues/1528
    """
    return is_passing(exc) or "was not finished, please wait" in error_message(exc)


def _command(verb: str, place: Mapping[str, str], job_id: str, run: Run) -> str:
    """Return the AWS CLI's command about one deployment."""
    return (
        f"aws amplify {verb} --app-id {place['appId']} --branch-name {place['branchName']} "
        f"--job-id {job_id} --region {run.job.region}"
    )


def _fail(run: Run, outcome: Outcome, folder: Path, exc: Exception) -> Outcome:
    """Return the outcome of a deployment whose stack stands and whose site does not."""
    said = exc.message if isinstance(exc, OperationFailed) else error_message(exc)
    reason = f"the stack is deployed, but its site is not: {said}"
    failure = Failure("", "", "AWS::Amplify::Branch", outcome.status, reason)
    again = f"inv deploy {run.job.flags} --site {folder}"
    return replace(outcome, action="failed", failure=failure, next_step=again)


def _putter(*, direct: bool) -> Put:
    """Return what puts bytes to a pre-signed URL; `direct` goes past any proxy."""
    proxies = (urllib.request.ProxyHandler({}),) if direct else ()
    opener = urllib.request.build_opener(*proxies)

    def put(url: str, content: bytes) -> None:
        if not url.startswith(("https://", "http://")):
            raise OSError(f"{url!r} is no web address")
        headers = {"Content-Type": "application/zip"}
        request = urllib.request.Request(url, content, headers, method="PUT")  # noqa: S310 (checked above)

        def send() -> None:
            with opener.open(request, timeout=_UPLOAD_TIMEOUT):
                pass

        outside.ask("put", {"url": url}, send)

    return put
