"""A team gives its function, image and site, and the application answers."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.conftest import REPOSITORY, Operator

pytestmark = pytest.mark.integration

EXAMPLES = REPOSITORY / "tests" / "support" / "artifacts"
CODE, SITE = str(EXAMPLES / "api"), str(EXAMPLES / "site")


def get(url: str, token: str = "") -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def sign_in(operator: Operator, outputs: Mapping[str, str]) -> str:
    """Return the token of a user of the pool."""
    cognito = operator.cloud().client("cognito-idp")
    pool, client = outputs["UserPoolId"], outputs["UserPoolClientId"]
    user, password = "ann@example.com", "Palette-2026-plot"
    cognito.admin_create_user(UserPoolId=pool, Username=user, MessageAction="SUPPRESS")
    cognito.admin_set_user_password(
        UserPoolId=pool, Username=user, Password=password, Permanent=True
    )
    answer = cognito.admin_initiate_auth(
        UserPoolId=pool,
        ClientId=client,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": user, "PASSWORD": password},
    )
    return str(answer["AuthenticationResult"]["AccessToken"])


def test_the_application_answers_with_the_code_and_the_site_that_were_given(
    operator: Operator,
) -> None:
    bare = operator.cloud().outputs()
    assert get(f"{bare['ApiEndpoint']}/api/jobs")[0] == 404
    done = operator.inv("deploy", "--yes", "--json", "--code", CODE, "--site", SITE)
    assert done.document["action"] == "updated"
    assert not any("application code" in text for text in done.document["missing"])
    outputs = done.document["outputs"]
    assert get(f"{outputs['ApiEndpoint']}/api/jobs")[0] == 401
    status, body = get(f"{outputs['ApiEndpoint']}/api/jobs", sign_in(operator, outputs))
    assert (status, json.loads(body)["path"]) == (200, "/api/jobs")

    s3 = operator.cloud().client("s3")
    [entry] = s3.list_objects_v2(Bucket="amplify-hosting-uploads")["Contents"]
    zipped = s3.get_object(Bucket="amplify-hosting-uploads", Key=entry["Key"])["Body"].read()
    with zipfile.ZipFile(io.BytesIO(zipped)) as opened:
        assert json.loads(opened.read("config.json"))["apiEndpoint"] == outputs["ApiEndpoint"]

    # Nobody names the code any more, and it stays; the word none takes it off.
    key = operator.cloud().parameters()["LambdaCodeKey"]
    assert operator.inv("deploy", "--yes", "--json").document["action"] == "unchanged"
    assert operator.cloud().parameters()["LambdaCodeKey"] == key
    log = ("--allow-data-loss", "APIStack/ApplicationLogs")
    operator.inv("deploy", "--yes", "--no-verify", "--code", "none", *log)
    assert operator.cloud().parameters()["LambdaCodeKey"] == ""


def test_a_return_to_an_earlier_release_brings_its_code_back_which_prune_has_left(
    operator: Operator, tmp_path: Path
) -> None:
    cloud = operator.cloud()
    other = tmp_path / "other"
    other.mkdir()
    (other / "app.py").write_text("def handler(event, context):\n    return {}\n")
    first = operator.inv("deploy", "--yes", "--json", "--no-verify", "--code", CODE).document
    key = cloud.parameters()["LambdaCodeKey"]
    operator.clone.edit("api", ("ThrottlingBurstLimit: 100", "ThrottlingBurstLimit: 99"))
    operator.inv("deploy", "--yes", "--no-verify", "--code", str(other))
    assert cloud.parameters()["LambdaCodeKey"] != key
    operator.inv("prune", "--keep", "1", "--yes")
    operator.inv("rollback", "--yes", "--no-verify", "--to", first["release"])
    assert cloud.parameters()["LambdaCodeKey"] == key


def test_an_image_is_found_or_refused_before_anything_is_changed(operator: Operator) -> None:
    cloud = operator.cloud()
    before = cloud.stack()
    refused = operator.inv("update", "--yes", "--json", "--image", "v7", code=3)
    uri = cloud.outputs()["RepositoryUri"]
    assert f"There is no image {uri}:v7" in refused.document["error"]
    assert cloud.stack() == before
    cloud.client("ecr").put_image(
        repositoryName=uri.partition("/")[2], imageManifest="{}", imageTag="v7"
    )
    assert operator.inv("update", "--yes", "--json", "--image", "v7").document["action"] == (
        "updated"
    )
    ecs = cloud.client("ecs")
    arn = cloud.outputs()["TaskDefinitionArn"]
    task = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
    assert task["containerDefinitions"][0]["image"] == f"{uri}:v7"


def test_artefacts_that_cannot_be_used_are_bad_input(operator: Operator, tmp_path: Path) -> None:
    refused = operator.inv("deploy", "--yes", "--json", "--code", str(tmp_path / "no"), code=2)
    assert "does not exist" in str(refused.document)
