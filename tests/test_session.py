"""AWS's settings work as with any AWS tool."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as aws
from botocore.credentials import AssumeRoleProvider
from botocore.stub import Stubber
from moto import mock_aws

from lib import session
from lib.errors import AwsUnavailable, DeploymentError


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def profiles(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[default]\nregion = eu-west-1\n"
        "[profile work]\nregion = eu-central-1\nretry_mode = adaptive\n"
        "[profile bare]\noutput = json\n"
    )


# Regions


@pytest.mark.parametrize(
    ("asked", "environ", "profile", "chosen"),
    [
        (
            "us-west-2",
            {"AWS_REGION": "a-1", "AWS_DEFAULT_REGION": "b-1"},
            "work",
            ("us-west-2", "--region"),
        ),
        (
            None,
            {"AWS_REGION": "a-1", "AWS_DEFAULT_REGION": "b-1"},
            "work",
            ("a-1", "AWS_REGION"),
        ),
        (
            "",
            {"AWS_REGION": "", "AWS_DEFAULT_REGION": "b-1"},
            "work",
            ("b-1", "AWS_DEFAULT_REGION"),
        ),
        (None, {}, "work", ("eu-central-1", "profile work")),
        (None, {}, None, ("eu-west-1", "profile default")),
        (None, {}, "bare", ("us-east-1", "default")),
    ],
)
@pytest.mark.usefixtures("profiles")
def test_the_region_is_the_flags_then_the_environments_then_the_profiles_then_the_default(
    asked: str | None, environ: dict[str, str], profile: str | None, chosen: tuple[str, str]
) -> None:
    assert session.choose_region(asked, environ, profile=profile) == chosen


@pytest.mark.usefixtures("profiles")
def test_the_emulator_takes_no_region_from_a_profile() -> None:
    assert session.choose_region(None, {}, use_profile=False) == ("us-east-1", "default")


@pytest.mark.usefixtures("profiles")
def test_the_profile_that_the_environment_names_gives_the_region(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert session.choose_region(None, {}) == ("eu-central-1", "profile work")


def test_an_unknown_profile_has_no_region() -> None:
    with pytest.raises(AwsUnavailable, match="nobody"):
        session.choose_region(None, {}, profile="nobody")


def test_an_unknown_profile_cannot_connect() -> None:
    with pytest.raises(AwsUnavailable, match="nobody"):
        session.connect("us-east-1", profile="nobody")


# Clients


def retries(made: session.Aws) -> dict[str, Any]:
    sts: Any = made.client("sts")
    return dict(sts.meta.config.retries or {})


def test_calls_are_repeated_in_the_standard_mode_by_default() -> None:
    assert retries(session.connect("us-east-1")) == {"mode": "standard"}


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_the_retry_settings_of_the_environment_are_respected(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_RETRY_MODE", mode)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "7")
    assert retries(session.connect("us-east-1")) == {"mode": mode, "total_max_attempts": 7}


@pytest.mark.usefixtures("profiles")
def test_the_retry_mode_of_the_profile_is_respected() -> None:
    assert retries(session.connect("us-east-1", profile="work"))["mode"] == "adaptive"


def endpoint(made: session.Aws, service: str) -> str:
    return str(made.client(service).meta.endpoint_url)


def style(made: session.Aws) -> str | None:
    s3: Any = made.client("s3")
    chosen: str | None = (s3.meta.config.s3 or {}).get("addressing_style")
    return chosen


def test_without_settings_every_service_is_awss_own() -> None:
    made = session.connect("us-west-2")
    assert endpoint(made, "sts") == "https://sts.us-west-2.amazonaws.com"
    assert endpoint(made, "s3") == "https://s3.us-west-2.amazonaws.com"
    assert style(made) is None


def test_an_endpoint_given_is_every_services_and_buckets_stand_in_the_path() -> None:
    made = session.connect("us-east-1", endpoint_url="http://127.0.0.1:9")
    assert {endpoint(made, s) for s in ("s3", "sts", "dynamodb")} == {"http://127.0.0.1:9"}
    assert style(made) == "path"


def test_the_endpoint_of_the_environment_is_every_services(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8")
    made = session.connect("us-east-1")
    assert {endpoint(made, s) for s in ("s3", "sts")} == {"http://127.0.0.1:8"}
    assert style(made) == "path"


def test_one_services_endpoint_in_the_environment_comes_before_the_common_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:7")
    made = session.connect("us-east-1")
    assert endpoint(made, "dynamodb") == "http://127.0.0.1:7"
    assert endpoint(made, "s3") == "http://127.0.0.1:8"


def test_an_endpoint_for_s3_alone_has_buckets_in_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:8")
    made = session.connect("us-west-2")
    assert endpoint(made, "s3") == "http://127.0.0.1:8"
    assert endpoint(made, "sts") == "https://sts.us-west-2.amazonaws.com"
    assert style(made) == "path"


def test_the_emulator_never_sees_real_keys_nor_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDREALREALREALREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_PROFILE", "not-on-this-machine")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    made = session.connect("us-east-1", endpoint_url="http://127.0.0.1:9", local=True)
    client: Any = made.client("s3")
    keys = client._request_signer._credentials
    assert (keys.access_key, keys.secret_key, keys.token) == ("local", "local", None)
    assert client._endpoint.http_session._proxy_config.proxy_url_for("http://127.0.0.1:9") is None


def test_real_calls_go_through_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    client: Any = session.connect("us-east-1").client("sts")
    proxies = client._endpoint.http_session._proxy_config
    assert proxies.proxy_url_for("https://sts.us-east-1.amazonaws.com") == (
        "http://proxy.example:3128"
    )


def test_all_threads_share_one_client_for_each_service() -> None:
    made = session.connect("us-east-1")
    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(made.client, ["sts", "s3"] * 8))
    assert {id(c) for c in clients} == {id(made.client("sts")), id(made.client("s3"))}


@pytest.mark.parametrize(
    ("region", "partition", "suffix"),
    [
        ("eu-west-1", "aws", "amazonaws.com"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
        ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"),
        ("us-iso-east-1", "aws-iso", "c2s.ic.gov"),
        ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
    ],
)
def test_a_region_knows_its_partition_and_domain(region: str, partition: str, suffix: str) -> None:
    made = session.connect(region)
    assert (made.partition, made.url_suffix) == (partition, suffix)


@pytest.mark.parametrize("region", ["us-west-2", "cn-north-1", "eusc-de-east-1", "us-iso-east-1"])
def test_aws_is_known_by_its_domain_in_every_partition(region: str) -> None:
    made = session.connect(region)
    assert endpoint(made, "s3").endswith(made.url_suffix)
    assert style(made) is None


@pytest.mark.parametrize(
    ("region", "home"),
    [
        ("eu-west-1", "us-east-1"),
        ("eusc-de-east-1", "eusc-de-east-1"),
        ("us-gov-east-1", "us-gov-west-1"),
        ("us-iso-west-1", "us-iso-east-1"),
        ("us-isob-east-1", "us-isob-east-1"),
    ],
)
def test_the_home_of_an_account_is_in_its_partition(region: str, home: str) -> None:
    assert session.home_of(region) == home


# Signing in


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A profile that wants a code of an MFA device, and a person who gives one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "credentials").write_text(
        "[keys]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = secret\n"
    )
    (tmp_path / "config").write_text(MFA_PROFILE)
    prompts: list[str] = []

    def answer(prompt: str) -> str:
        prompts.append(prompt)
        return "123456"

    provider = functools.partial(AssumeRoleProvider, prompter=answer)
    monkeypatch.setattr("botocore.credentials.AssumeRoleProvider", provider)
    with mock_aws():
        yield prompts


DEVICE = "arn:aws:iam::123456789012:mfa/ann"
MFA_PROFILE = (
    "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/deployer\n"
    f"source_profile = keys\nmfa_serial = {DEVICE}\n"
)


def test_many_regions_ask_for_one_code(asked: list[str]) -> None:
    sign_in = session.SignIn()
    names = ("us-east-1", "eu-west-1", "us-west-2")
    made = [session.connect(name, profile="work", sign_in=sign_in) for name in names]
    # Signed in before any region has its thread.
    assert len(asked) == 1
    assert DEVICE in asked[0]
    assert {one.identity().arn.split("/")[1] for one in made} == {"deployer"}
    assert len(asked) == 1


def test_a_code_that_was_given_once_is_not_asked_for_by_the_next_task(
    asked: list[str], tmp_path: Path
) -> None:
    session.connect("us-east-1", profile="work")
    session.connect("eu-west-1", profile="work")
    assert len(asked) == 1
    # Where the AWS CLI looks, and nobody else may.
    [kept] = (tmp_path / ".aws" / "cli" / "cache").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_where_nothing_can_be_kept_a_task_still_asks_once(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    sign_in = session.SignIn()
    for name in ("us-east-1", "eu-west-1"):
        session.connect(name, profile="work", sign_in=sign_in)
    assert len(asked) == 1


CONNECT = """
from lib import errors, session
try:
    session.connect("eu-west-1", profile="work")
except errors.DeploymentError as exc:
    print(exc.exit_code, exc)
"""


@pytest.mark.parametrize("stdin", [subprocess.DEVNULL, subprocess.PIPE])
def test_where_nobody_can_be_asked_for_a_code_the_task_says_so_and_does_not_wait(
    tmp_path: Path, stdin: int
) -> None:
    (tmp_path / "credentials").write_text("[keys]\naws_access_key_id=a\naws_secret_access_key=b\n")
    (tmp_path / "config").write_text(MFA_PROFILE)
    # A session of its own has no terminal to open; a pipe that stays open never ends.
    running = subprocess.Popen(
        [sys.executable, "-c", CONNECT],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOME": str(tmp_path)},
        start_new_session=True,
    )
    try:
        running.wait(30)
    finally:
        running.kill()
    assert running.stdout
    assert running.stderr
    told = running.stdout.read()
    assert running.stderr.read() == ""
    assert told.startswith(
        "4 AWS cannot be used: profile work wants the code of an MFA device, and there is no "
        "terminal to ask for it. (eu-west-1)"
    )
    assert "aws sts get-caller-identity --profile work" in told


@pytest.mark.parametrize(
    ("process", "says"),
    [
        ("sh -c 'echo the vault is sealed >&2; exit 1'", "credential_process failed. .*sealed"),
        ("no-such-program-anywhere", "gives no credentials: .*no-such-program-anywhere"),
        ("echo hello", "gives no credentials: Expecting value"),
    ],
)
def test_a_credential_process_that_fails_is_not_called_expired(
    tmp_path: Path, process: str, says: str
) -> None:
    (tmp_path / "config").write_text(f"[profile work]\ncredential_process = {process}\n")
    with pytest.raises(AwsUnavailable, match=says) as caught:
        session.connect("us-east-1", profile="work")
    assert "expired" not in str(caught.value)
    assert "credential_process" in caught.value.next_step


def test_a_profile_of_aws_login_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.credentials.EC", None)
    (tmp_path / "config").write_text(
        "[profile work]\nlogin_session = arn:aws:iam::123456789012:user/ann\n"
    )
    with pytest.raises(AwsUnavailable, match="Missing Dependency") as caught:
        session.connect("us-east-1", profile="work")
    assert "pip install 'botocore[crt]'" in caught.value.next_step


# Watching calls


def test_every_call_that_has_ended_is_told_without_what_was_sent() -> None:
    told: list[session.ApiCall] = []
    made = session.connect("us-east-1", local=True, observe=told.append)
    with Stubber(made.client("sts")) as stub:
        stub.add_response(
            "get_caller_identity",
            {
                "Account": "123456789012",
                "Arn": "arn:aws:iam::123456789012:root",
                "UserId": "x",
                "ResponseMetadata": {"HTTPStatusCode": 200, "RequestId": "r-1"},
            },
            {},
        )
        stub.add_client_error("get_caller_identity", "AccessDenied", "no", 403)
        made.client("sts").get_caller_identity()
        with pytest.raises(aws.ClientError):
            made.client("sts").get_caller_identity()
    assert [(call.service, call.operation, call.region) for call in told] == [
        ("sts", "GetCallerIdentity", "us-east-1")
    ] * 2
    assert [(call.status, call.request_id, call.error) for call in told] == [
        (200, "r-1", ""),
        (403, "", "AccessDenied"),
    ]


def test_a_call_without_an_answer_is_told_by_the_name_of_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    told: list[session.ApiCall] = []
    made = session.connect(
        "us-east-1", endpoint_url="http://127.0.0.1:9", local=True, observe=told.append
    )
    sts: Any = made.client("sts")
    sts.meta.events.register_first("before-send.sts.*", cut_off)
    with pytest.raises(aws.EndpointConnectionError):
        sts.get_caller_identity()
    assert [(call.operation, call.status, call.error) for call in told] == [
        ("GetCallerIdentity", 0, "EndpointConnectionError")
    ]


def cut_off(request: Any, **_: Any) -> None:
    raise aws.EndpointConnectionError(endpoint_url=request.url)


# Identity


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("arn:aws:sts::123456789012:assumed-role/Deployer/ann@example.com", "ann@example.com"),
        ("arn:aws:iam::123456789012:user/team/ann", "ann"),
        ("arn:aws:iam::123456789012:root", "root"),
    ],
)
def test_a_caller_is_named_by_the_end_of_its_arn_and_asked_for_once(arn: str, name: str) -> None:
    made = session.connect("us-east-1", local=True)
    with Stubber(made.client("sts")) as stub:
        stub.add_response(
            "get_caller_identity", {"Account": "123456789012", "Arn": arn, "UserId": "x"}, {}
        )
        assert made.identity() == session.Identity("123456789012", arn)
        assert made.identity().name == name
        stub.assert_no_pending_responses()


def test_a_caller_that_aws_does_not_know_is_told_what_to_do() -> None:
    made = session.connect("us-east-1", local=True)
    with Stubber(made.client("sts")) as stub:
        stub.add_client_error("get_caller_identity", "InvalidClientTokenId", "is invalid", 403)
        with pytest.raises(AwsUnavailable, match=r"does not accept .* \(us-east-1\)"):
            made.identity()


def test_without_credentials_the_first_call_ends_with_one_helpful_paragraph() -> None:
    made = session.connect("us-east-1")
    with pytest.raises(DeploymentError) as caught:
        made.identity()
    assert caught.value.exit_code == 4
    assert "add `--local`" in str(caught.value)


def test_regions_share_what_is_known_of_a_service_and_nothing_else() -> None:
    first, second = (session.connect(name, local=True) for name in ("us-east-1", "eu-west-1"))
    loaders = {one._session._session.get_component("data_loader") for one in (first, second)}
    assert len(loaders) == 1
    assert first.client("s3") is not second.client("s3")
    assert [one.client("sts").meta.region_name for one in (first, second)] == [
        "us-east-1",
        "eu-west-1",
    ]
