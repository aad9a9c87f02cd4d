"""Take deployments of a built site as Amplify Hosting does, as far as a deployment can see.

The amendment `sites_are_deployed` puts this in place and says why. Jobs are kept for as long as the
emulator runs; nothing serves the site.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ministack.core.responses import get_account_id, get_region, now_iso
from ministack.services import s3

Json = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]
Handler = Callable[[str, str, Json, bytes, Json], Awaitable[Response]]

#: Where zips are put to; on AWS that bucket is Amplify's own.
BUCKET = "amplify-hosting-uploads"

_PATH = re.compile(r"/apps/([^/]+)/branches/([^/]+)/(deployments|deployments/start|jobs/([^/]+))")


def handler(endpoint: str) -> Handler:
    """Return what answers CreateDeployment, StartDeployment and GetJob at an endpoint."""
    jobs: dict[tuple[str, str, str, str], list[str]] = {}

    async def handle(
        _method: str, path: str, _headers: Json, body: bytes, _query: Json
    ) -> Response:
        match = _PATH.fullmatch(path)
        if match is None:
            return _answer(501, {"message": "This operation is not implemented."})
        app, branch, what, job_id = match.groups()
        states = jobs.setdefault((get_account_id(), get_region(), app, branch), [])
        if what == "deployments":
            return _create(states, endpoint, app, branch)
        number = int(job_id or json.loads(body)["jobId"])
        if not 0 < number <= len(states):
            return _answer(404, {"message": "Job not found"}, "NotFoundException")
        if what == "deployments/start":
            states[number - 1] = "SUCCEED" if _holds_site(_key(app, branch, number)) else "FAILED"
        summary = _summarise(app, branch, number, states[number - 1])
        if what == "deployments/start":
            return _answer(200, {"jobSummary": {**summary, "status": "PENDING"}})
        return _answer(200, {"job": {"summary": summary, "steps": []}})

    return handle


def _create(states: list[str], endpoint: str, app: str, branch: str) -> Response:
    """Make a deployment, unless the one before has not ended."""
    number = len(states)
    if states and states[-1] == "CREATED":
        words = (
            f"The last job(deployment) {number} was not finished, please wait until it finish or "
            "use StopJob operation to cancel it before creating a new deployment."
        )
        return _answer(400, {"message": words}, "BadRequestException")
    states.append("CREATED")
    bucket: Json = {"created": now_iso(), "objects": {}, "region": get_region()}
    s3._buckets.setdefault(BUCKET, bucket)
    url = f"{endpoint}/{BUCKET}/{_key(app, branch, number + 1)}"
    made = {"jobId": str(number + 1), "fileUploadUrls": {}, "zipUploadUrl": url}
    return _answer(200, made)


def _key(app: str, branch: str, number: int) -> str:
    return f"{app}/{branch}/{number}.zip"


def _holds_site(key: str) -> bool:
    """Tell whether a zip was put there that has a page to begin with at its top."""
    content = s3._get_object_data(BUCKET, key)
    if not content or not zipfile.is_zipfile(io.BytesIO(content)):
        return False
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        return "index.html" in opened.namelist()


def _summarise(app: str, branch: str, number: int, status: str) -> Json:
    place = f"{get_region()}:{get_account_id()}:apps/{app}/branches/{branch}"
    return {
        "jobArn": f"arn:aws:amplify:{place}/jobs/{number:010}",
        "jobId": str(number),
        "commitId": "HEAD",
        "commitMessage": "",
        "commitTime": 0,
        "startTime": 0,
        "status": status,
        "jobType": "MANUAL",
    }


def _answer(status: int, document: Mapping[str, Any], error: str = "") -> Response:
    headers = {"Content-Type": "application/json"}
    if error:
        headers["x-amzn-ErrorType"] = error
    return status, headers, json.dumps(document).encode()
