"""A built site goes to Amplify once its stack stands, and what went wrong takes nothing from it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from email.message import Message
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from lib.deploy import site
from lib.deploy.outcomes import Outcome
from lib.errors import Interrupted
from lib.inputs.artifacts import Artifacts
from tests.deploy.world import World
from tests.support.aws_fakes import intercept, operations, refusal
from tests.support.factories import REPOSITORY, STACK_ID, outcome

SITE = REPOSITORY / "tests" / "support" / "artifacts" / "site"
OUTPUTS = {
    "AmplifyAppId": "d1a2b3c4d5e6f7",
    "AmplifyBranchName": "main",
    "FrontendConfig": '{"apiEndpoint": "https://api", "region": "eu-west-1"}',
    "FrontendUrl": "https://main.d1a2b3c4d5e6f7.amplifyapp.com",
}
BUSY = (
    "The last job(deployment) 17 was not finished, please wait until it finish or use StopJob "
    "operation to cancel it before creating a new deployment."
)


class Hosting(World):
    """A stack with a web application; `states` are what GetJob tells, one look after another."""

    def __init__(self, *states: str, folder: Path | None = SITE) -> None:
        super().__init__()
        self.job = replace(self.job, artifacts=Artifacts(site=folder))
        self.states = list(states or ("PENDING", "RUNNING", "SUCCEED"))
        self.put: list[tuple[str, bytes]] = []
        self.failures: list[Exception] = []
        self.errors: dict[str, list[Exception]] = {}
        self.jobs = intercept(self.access.aws.client("amplify"), self.host)

    def host(self, operation: str, _arguments: dict[str, Any]) -> Mapping[str, Any]:
        if self.errors.get(operation):
            raise self.errors[operation].pop(0)
        if operation == "CreateDeployment":
            return {"jobId": "18", "fileUploadUrls": {}, "zipUploadUrl": "https://s3/zip?signed"}
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        summary = {
            "jobArn": "arn",
            "jobId": "18",
            "commitId": "HEAD",
            "commitMessage": "",
            "commitTime": 0,
            "startTime": 0,
            "status": state,
            "jobType": "MANUAL",
        }
        if operation == "StartDeployment":
            return {"jobSummary": summary}
        return {"job": {"summary": summary, "steps": []}}

    def take(self, url: str, content: bytes) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.put.append((url, content))

    def follow_up(self, action: str = "updated", **options: Any) -> Outcome:
        done = replace(outcome(action), outputs=OUTPUTS, stack_id=STACK_ID)
        return site.follow_up(self.run(**options), done, put=self.take)


def test_a_site_is_uploaded_with_its_configuration_started_and_waited_for() -> None:
    world = Hosting()
    done = world.follow_up()
    assert (done.action, done.failure) == ("updated", None)
    assert operations(world.jobs)[:2] == ["CreateDeployment", "StartDeployment"]
    place = {"appId": "d1a2b3c4d5e6f7", "branchName": "main"}
    assert world.jobs[0].arguments == place
    assert world.jobs[1].arguments == {**place, "jobId": "18"}
    [(url, content)] = world.put
    assert url == "https://s3/zip?signed"
    with zipfile.ZipFile(BytesIO(content)) as opened:
        assert opened.namelist() == ["config.json", "index.html"]
        assert json.loads(opened.read("config.json")) == json.loads(OUTPUTS["FrontendConfig"])
        assert opened.read("index.html") == (SITE / "index.html").read_bytes()
    assert world.notes[-1] == f"The site is deployed: {OUTPUTS['FrontendUrl']}"


def test_a_configuration_from_the_build_gives_way_to_the_stack_s(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("")
    (tmp_path / "config.json").write_text("of a developer")
    world = Hosting(folder=tmp_path)
    world.follow_up()
    with zipfile.ZipFile(BytesIO(world.put[0][1])) as opened:
        assert b"https://api" in opened.read("config.json")


def test_a_site_is_deployed_to_a_stack_that_is_up_to_date_too() -> None:
    world = Hosting()
    assert world.follow_up("unchanged").action == "unchanged"
    assert len(world.put) == 1


@pytest.mark.parametrize("action", ["failed", "declined", "rolled-back", "deleted"])
def test_a_site_is_left_alone_where_its_stack_does_not_stand_as_wanted(action: str) -> None:
    world = Hosting()
    assert world.follow_up(action).action == action
    assert world.jobs == []


def test_a_preview_deploys_no_site() -> None:
    world = Hosting()
    world.follow_up(preview=True)
    assert world.jobs == []


def test_a_stack_without_a_web_application_says_that_it_takes_no_site() -> None:
    world = Hosting()
    done = site.follow_up(world.run(), replace(outcome("updated"), outputs={}), put=world.take)
    assert not done.failed
    assert "no web application (DeployFrontend)" in world.notes[0]
    assert world.jobs == []


def test_a_deployment_that_fails_is_a_failure_that_says_that_the_stack_stands() -> None:
    world = Hosting("RUNNING", "FAILED")
    done = world.follow_up()
    assert done.failed
    assert done.failure
    assert done.failure.reason == (
        "the stack is deployed, but its site is not: Amplify deployment 18 is FAILED"
    )
    assert done.next_step == f"inv deploy {world.job.flags} --site {SITE}"
    assert done.outputs == OUTPUTS


def test_a_deployment_that_never_ends_is_given_up_with_the_command_that_ends_it() -> None:
    done = Hosting("PENDING").follow_up()
    assert done.failure
    assert "is not done after 15 min; `aws amplify stop-job --app-id d1a2" in done.failure.reason


def test_another_deployment_under_way_is_waited_for() -> None:
    world = Hosting()
    world.errors["CreateDeployment"] = [refusal("BadRequestException", BUSY)]
    assert not world.follow_up().failed
    assert operations(world.jobs)[:2] == ["CreateDeployment", "CreateDeployment"]


def test_a_right_that_is_missing_is_told_in_aws_s_words_and_at_once() -> None:
    world = Hosting()
    denied = refusal("AccessDeniedException", "ann may not")
    world.errors["CreateDeployment"] = [denied]
    done = world.follow_up()
    assert done.failure
    assert done.failure.reason.endswith("its site is not: ann may not")
    assert operations(world.jobs) == ["CreateDeployment"]


UNAVAILABLE = HTTPError("u", 503, "", Message(), None)
FORBIDDEN = HTTPError("u", 403, "Forbidden", Message(), None)


@pytest.mark.parametrize("failure", [ConnectionResetError("cut"), UNAVAILABLE])
def test_an_upload_that_is_cut_off_is_sent_again(failure: Exception) -> None:
    world = Hosting()
    world.failures = [failure]
    assert not world.follow_up().failed
    assert len(world.put) == 1


def test_an_upload_that_is_refused_is_not() -> None:
    world = Hosting()
    world.failures = [FORBIDDEN]
    done = world.follow_up()
    assert done.failure
    assert "403: Forbidden" in done.failure.reason
    assert operations(world.jobs) == ["CreateDeployment"]


def test_a_throttled_look_is_asked_again() -> None:
    world = Hosting()
    world.errors["GetJob"] = [refusal("ThrottlingException", "slower")]
    assert not world.follow_up().failed


def test_ctrl_c_says_what_amplify_goes_on_with() -> None:
    world = Hosting()
    world.errors["GetJob"] = [KeyboardInterrupt()]  # type: ignore[list-item]
    with pytest.raises(Interrupted, match="Amplify goes on with deployment 18") as caught:
        world.follow_up()
    assert "aws amplify stop-job --app-id d1a2b3c4d5e6f7" in caught.value.next_step


def test_a_release_without_artefacts_says_what_does_not_work() -> None:
    code, image, pages = Hosting(folder=None).follow_up("created").missing
    assert "everything below /api is 404" in code
    assert "starts empty" in image
    assert "Amplify's own page" in pages


def test_what_was_given_once_is_not_missed() -> None:
    world = Hosting()
    run = replace(world.run(), values={"LambdaCodeKey": "code/1/application.zip", "ImageTag": "v1"})
    done = replace(outcome("updated"), outputs=OUTPUTS)
    assert site.follow_up(run, done, put=world.take).missing == ()
    assert Hosting(folder=None).follow_up("unchanged").missing == ()


def test_an_update_does_not_repeat_what_may_have_been_pushed_by_another_way() -> None:
    [code] = Hosting(folder=None).follow_up("updated").missing
    assert code.startswith("No application code")
