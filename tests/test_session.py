"""AWS's settings work as with any AWS tool, and what AWS refuses comes back as a way out."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as aws
from botocore.parsers import ResponseParserError
from botocore.stub import Stubber

from lib import refusals, session
from lib.errors import AwsUnavailable, DeploymentError, OperationFailed
from tests.support.aws_fakes import refusal


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


# What AWS refuses


NO_CREDENTIALS = [
    aws.NoCredentialsError(),
    aws.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
]
EXPIRED = [
    aws.UnauthorizedSSOTokenError(),
    aws.SSOTokenLoadError(error_msg="no token"),
    aws.TokenRetrievalError(provider="sso", error_msg="Token has expired and refresh failed"),
    aws.CredentialRetrievalError(provider="assume-role", error_msg="expired"),
    aws.LoginRefreshRequired(),
    aws.NoAuthTokenError(),
    refusal("ExpiredToken", "The security token included in the request is expired"),
    refusal("ExpiredTokenException", "The security token included in the request is expired"),
    refusal("RequestExpired", "Request has expired"),
    refusal("400", "Bad Request", "HeadObject"),
]
BAD_KEYS = [
    refusal("InvalidClientTokenId", "The security token included in the request is invalid."),
    refusal("InvalidAccessKeyId", "The key does not exist in our records."),
    refusal("UnrecognizedClientException", "The security token is invalid."),
    refusal("SignatureDoesNotMatch", "Signature not yet current"),
    refusal("InvalidSignatureException", "Signature expired"),
    refusal("RequestTimeTooSkewed", "The difference between the request time is too large."),
]
DENIED = [
    refusal("AccessDenied", "User bob is not authorized to perform s3:GetObject", "GetObject"),
    refusal("AccessDeniedException", "User bob is not authorized", "GetObject"),
    refusal("403", "Forbidden", "GetObject", 403),
]
UNREACHABLE = [
    aws.EndpointConnectionError(endpoint_url="https://cloudformation.mars-1.amazonaws.com"),
    aws.ConnectTimeoutError(endpoint_url="https://x"),
    aws.ReadTimeoutError(endpoint_url="https://x"),
    aws.ProxyConnectionError(proxy_url="http://proxy:1"),
    aws.SSLError(endpoint_url="https://x", error=OSError("certificate")),
]
MISCONFIGURED = [
    aws.ConfigParseError(path="config"),
    aws.InvalidConfigError(error_msg="no such services section"),
    aws.InvalidRetryModeError(provided_retry_mode="never", valid_modes="standard"),
    aws.NoRegionError(),
]


@pytest.mark.parametrize(
    ("error", "says", "next_step"),
    [
        *[(e, "no credentials were found", "aws sso login --profile NAME") for e in NO_CREDENTIALS],
        *[(e, "have expired", "Sign in again (`aws sso login`") for e in EXPIRED],
        *[(e, "does not accept these credentials", "`aws configure list`") for e in BAD_KEYS],
        *[(e, "AWS denies GetObject", "the permission that GetObject needs") for e in DENIED],
        *[(e, "cannot be reached", "the region's name and AWS_ENDPOINT_URL") for e in UNREACHABLE],
        *[(e, "this configuration", "Mend ~/.aws/config") for e in MISCONFIGURED],
        (aws.ProfileNotFound(profile="wrok"), "wrok", "aws configure list-profiles"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_when_aws_cannot_be_used_the_way_out_is_named_and_the_exit_code_is_4(
    error: Exception, says: str, next_step: str
) -> None:
    explained = refusals.explain(error, "eu-west-1", "plot-palette-staging")
    assert isinstance(explained, AwsUnavailable)
    assert explained.exit_code == 4
    assert says in explained.message
    assert explained.message.endswith("(stack plot-palette-staging in eu-west-1)")
    assert next_step in explained.next_step
    assert refusals.error_message(error) in explained.message or error in NO_CREDENTIALS


@pytest.mark.parametrize(
    "error",
    [
        refusal("Throttling", "Rate exceeded", "CreateStack"),
        refusal("InternalFailure", "An error occurred", "CreateStack", 500),
    ],
)
def test_a_passing_refusal_advises_to_try_again(error: Exception) -> None:
    explained = refusals.explain(error, "eu-west-1")
    assert isinstance(explained, OperationFailed)
    assert explained.exit_code == 1
    assert "AWS refused CreateStack for eu-west-1: " in explained.message
    assert "run the same command again" in explained.next_step


def test_any_other_refusal_is_told_in_awss_own_words() -> None:
    error = refusal("AlreadyExistsException", "Stack [x] already exists", "CreateStack")
    explained = refusals.explain(error, "eu-west-1", "x")
    assert type(explained) is OperationFailed
    assert explained.message == (
        "AWS refused CreateStack for stack x in eu-west-1: "
        "AlreadyExistsException: Stack [x] already exists"
    )
    assert explained.next_step == ""


def test_an_error_without_a_call_says_that_aws_could_not_be_asked() -> None:
    explained = refusals.explain(aws.ParamValidationError(report="bad name"), "eu-west-1")
    assert explained.message.startswith("AWS could not be asked for eu-west-1: ")
    assert "bad name" in explained.message


def test_an_error_without_a_message_is_told_by_its_code() -> None:
    assert refusals.error_message(refusal("Oops")) == "Oops"
    assert refusals.error_code(ValueError()) == ""


def test_a_quota_of_cloudformation_is_not_taken_for_throttling() -> None:
    quota = refusal("LimitExceededException", "Limit for stack has been exceeded", "CreateStack")
    assert not refusals.is_throttled(quota)
    assert not refusals.is_passing(quota)
    assert refusals.explain(quota, "eu-west-1").next_step == ""


@pytest.mark.parametrize("operation", ["CreateBackup", "RestoreTableToPointInTime"])
def test_too_many_operations_on_tables_at_once_pass(operation: str) -> None:
    assert refusals.is_throttled(refusal("LimitExceededException", "Too many", operation))


@pytest.mark.parametrize(
    ("error", "unsupported"),
    [
        (refusal("400", "", "GetProducts"), True),
        (refusal("400", "Bad Request", "HeadBucket"), False),
        (refusal("404", "Not Found", "ListFoundationModels", 404), True),
        (refusal("404", "Not Found", "HeadObject", 404), False),
        (refusal("404", "Not Found", "HeadBucket", 404), False),
        (refusal("501"), True),
        (refusal("InvalidAction"), True),
        (refusal("UnknownOperationException"), True),
        (ResponseParserError("not XML"), True),
        (refusal("AccessDenied"), False),
        (refusal("ResourceNotFoundException", "no such thing", status=404), False),
        (ValueError("ours"), False),
    ],
)
def test_an_endpoint_that_lacks_an_operation_is_told_from_a_refusal(
    error: Exception, unsupported: bool
) -> None:
    assert refusals.is_unsupported(error) is unsupported


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
