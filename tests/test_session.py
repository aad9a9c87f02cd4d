"""AWS's settings work as with any AWS tool."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as aws
from botocore.stub import Stubber

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
    ],
)
def test_a_region_knows_its_partition_and_domain(region: str, partition: str, suffix: str) -> None:
    made = session.connect(region)
    assert (made.partition, made.url_suffix) == (partition, suffix)


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
