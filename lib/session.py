"""Open AWS sessions: the only room that imports boto3.

One `Aws` bundle per region hands out one client per service. Creating a client from a
session is not safe between threads, using a client is, so creation is locked.
https://docs.aws.amazon.com/boto3/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients
"""

from __future__ import annotations

import functools
import shlex
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    CredentialRetrievalError,
    HTTPClientError,
    InvalidConfigError,
    InvalidRetryConfigurationError,
    LoginError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as AwsConnectionError,
)

from lib.errors import AwsUnavailable, DeploymentError, OperationFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    import boto3
    import botocore.loaders
    import botocore.session
    from mypy_boto3_bedrock.client import BedrockClient
    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sts.client import STSClient

DEFAULT_REGION = "us-east-1"

#: The emulator takes any keys; these make sure that no real ones are ever sent to it.
LOCAL_ACCESS_KEY = "local"
LOCAL_ACCOUNT = "000000000000"

#: Codes by which AWS says that a call came too often, from
#: https://docs.aws.amazon.com/general/latest/gr/api-retries.html and botocore's retry rules.
THROTTLING_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)

#: In CloudFormation a quota, which waiting does not lift. In DynamoDB too many operations on
#: tables at once, which it does.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_LIMIT_CODE = "LimitExceededException"
_TABLE_OPERATIONS = frozenset(
    {
        "CreateBackup",
        "CreateTable",
        "DeleteBackup",
        "DeleteTable",
        "RestoreTableFromBackup",
        "RestoreTableToPointInTime",
        "UpdateContinuousBackups",
        "UpdateTable",
        "UpdateTimeToLive",
    }
)

_EXPIRED_CODES = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
)
_BAD_KEY_CODES = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotSignedUp",
        "OptInRequired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_DENIED_CODES = frozenset(
    {"403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
)
#: What an endpoint that lacks an operation answers: AWS in a region without it, or an emulator.
_UNSUPPORTED_CODES = frozenset(
    {
        "501",
        "InvalidAction",
        "NotImplemented",
        "UnknownOperationException",
        "UnsupportedOperation",
    }
)


@dataclass(frozen=True)
class ApiCall:
    """One call as it ended: what AWS's support asks for, and nothing that was sent.

    `service` and `operation` are botocore's names, `seconds` includes every retry, `status`
    is the last answer's HTTP status, 0 without an answer. `error` is AWS's code or the name
    of botocore's error, "" for success.
    """

    service: str
    operation: str
    region: str
    seconds: float
    status: int
    request_id: str
    retries: int = 0
    error: str = ""


class Aws:
    """One account's services in one region, with one client for each."""

    def __init__(
        self,
        session: boto3.Session,
        region: str,
        endpoint_url: str | None = None,
        *,
        direct: bool = False,
        shell: str = "",
        observe: Callable[[ApiCall], None] | None = None,
    ) -> None:
        """Bundle a session's clients.

        `endpoint_url` replaces every service's endpoint. `direct` goes past any proxy, which
        could not reach this machine's loopback. `shell` is what stands before a command in a
        shell that is to reach the same AWS. `observe` is told of every call that has
        ended, from whichever thread made it.
        """
        self.region = region
        self.endpoint_url = endpoint_url
        self.shell = shell
        self._direct = direct
        self._observe = observe
        self._session = session
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._identity: Identity | None = None

    @overload
    def client(self, service: Literal["bedrock"]) -> BedrockClient: ...
    @overload
    def client(self, service: Literal["cloudformation"]) -> CloudFormationClient: ...
    @overload
    def client(self, service: Literal["dynamodb"]) -> DynamoDBClient: ...
    @overload
    def client(self, service: Literal["s3"]) -> S3Client: ...
    @overload
    def client(self, service: Literal["sts"]) -> STSClient: ...
    @overload
    def client(self, service: str) -> Any: ...

    def client(self, service: str) -> Any:
        """Return the region's one client for a service, by botocore's service name."""
        with self._lock:
            if service not in self._clients:
                made = self._make(service, path_style=self.endpoint_url is not None)
                # The environment and the profile can name an endpoint for S3 alone.
                if service == "s3" and not self.endpoint_url and not _is_aws(made):
                    made = self._make(service, path_style=True)
                if self._observe:
                    _watch_calls(made, self.region, self._observe)
                self._clients[service] = made
            return self._clients[service]

    def _make(self, service: str, *, path_style: bool) -> Any:
        """Create a client."""
        return self._session.client(
            service,  # type: ignore[call-overload]  # any service name
            region_name=self.region,
            endpoint_url=self.endpoint_url,
            config=_client_config(path_style=path_style, direct=self._direct),
        )

    @property
    def url_suffix(self) -> str:
        """Return the partition's domain, as `AWS::URLSuffix` does in a template."""
        return "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"

    @property
    def partition(self) -> str:
        """Return the partition's name, as `AWS::Partition` does in a template."""
        return self._session.get_partition_for_region(self.region)

    def identity(self) -> Identity:
        """Ask STS once who is calling.

        Raises `AwsUnavailable` when the credentials are absent, expired or refused.
        https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
        """
        if self._identity is None:
            try:
                answer = self.client("sts").get_caller_identity()
            except (BotoCoreError, ClientError) as exc:
                raise explain(exc, self.region) from exc
            self._identity = Identity(answer["Account"], answer["Arn"])
        return self._identity


@dataclass(frozen=True)
class Identity:
    """Who is calling: the account's 12 digits and the caller's ARN."""

    account: str
    arn: str

    @property
    def name(self) -> str:
        """Return the last part of the ARN: the user, or the role's session name."""
        return self.arn.rsplit("/", 1)[-1].rsplit(":", 1)[-1]


def _watch_calls(client: Any, region: str, observe: Callable[[ApiCall], None]) -> None:
    """Have every call of a client reported when it has ended.

    The three events see arguments too; only the names below are ever read from them.
    https://docs.aws.amazon.com/boto3/latest/guide/events.html
    """
    name = client.meta.service_model.service_name
    began = "plot_palette_began"

    def begin(context: dict[str, Any], **_: Any) -> None:
        context[began] = time.monotonic()

    def end(context: dict[str, Any], operation: str, parsed: Mapping[str, Any], **_: Any) -> None:
        metadata = parsed.get("ResponseMetadata", {})
        observe(
            ApiCall(
                name,
                operation,
                region,
                time.monotonic() - context.get(began, time.monotonic()),
                int(metadata.get("HTTPStatusCode", 0)),
                str(metadata.get("RequestId", "")),
                int(metadata.get("RetryAttempts", 0)),
                str(parsed.get("Error", {}).get("Code", "")),
            )
        )

    def answered(model: Any, context: dict[str, Any], parsed: Mapping[str, Any], **_: Any) -> None:
        end(context, model.name, parsed)

    def unanswered(
        event_name: str, context: dict[str, Any], exception: BaseException, **_: Any
    ) -> None:
        end(
            context,
            event_name.rsplit(".", maxsplit=1)[-1],
            {"Error": {"Code": type(exception).__name__}},
        )

    events = client.meta.events
    service = client.meta.service_model.service_id.hyphenize()
    events.register_first(f"before-call.{service}.*", begin)
    events.register_last(f"after-call.{service}.*", answered)
    events.register_last(f"after-call-error.{service}.*", unanswered)


def _is_aws(client: Any) -> bool:
    """Tell whether a client talks to AWS itself, not to an endpoint that somebody configured."""
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    return any(host.endswith(f".{suffix}") for suffix in ("amazonaws.com", "amazonaws.com.cn"))


def _client_config(*, path_style: bool, direct: bool) -> Any:
    """Build what every client shares.

    Virtual-hosted bucket names do not resolve on a custom endpoint, hence `path_style`.
    """
    from botocore.config import Config

    settings: dict[str, Any] = {
        "user_agent_extra": "plot-palette-deploy",
        "max_pool_connections": 32,
    }
    if path_style:
        settings["s3"] = {"addressing_style": "path"}
    if direct:
        settings["proxies"] = {}
    return Config(**settings)


def connect(
    region: str,
    *,
    profile: str | None = None,
    endpoint_url: str | None = None,
    local: bool = False,
    observe: Callable[[ApiCall], None] | None = None,
) -> Aws:
    """Open a session for one region.

    `endpoint_url` replaces every service's endpoint; without it AWS_ENDPOINT_URL, its
    variants for one service and the profile decide, as with any AWS tool. `local` uses
    throw-away keys and no profile, so that no real keys leave the machine. `observe` is told
    of every call that has ended. Raises `AwsUnavailable` for a profile that does not exist.
    """
    import boto3
    import botocore.session

    core = botocore.session.Session(profile=None if local else profile)
    try:
        if local:
            # Names no profile, even when AWS_PROFILE does.
            core.get_component("config_store").set_config_variable("profile", None)
        _retry_as_standard(core)
        core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
        session = boto3.Session(
            aws_access_key_id=LOCAL_ACCESS_KEY if local else None,
            aws_secret_access_key=LOCAL_ACCESS_KEY if local else None,
            botocore_session=core,
            region_name=region,
        )
    except BotoCoreError as exc:
        raise explain(exc, region) from None
    shell = f"AWS_PROFILE={shlex.quote(profile)} " if profile and not local else ""
    if local:
        keys = f"AWS_ACCESS_KEY_ID={LOCAL_ACCESS_KEY} AWS_SECRET_ACCESS_KEY={LOCAL_ACCESS_KEY}"
        shell = f"AWS_ENDPOINT_URL={endpoint_url} {keys} "
    return Aws(session, region, endpoint_url, direct=local, shell=shell, observe=observe)


@functools.cache
def _loader(data_path: str | None) -> botocore.loaders.Loader:
    """Read each service's model once for all regions, where it would be 20 MB for each.

    Regions work in threads, and reading merges several files into one that is kept, so it is
    done by one at a time.
    """
    import botocore.loaders

    loader = botocore.loaders.create_loader(data_path)
    lock = threading.Lock()
    load = loader.load_service_model

    def load_alone(*what: Any, **named: Any) -> Any:
        with lock:
            return load(*what, **named)

    loader.load_service_model = load_alone  # type: ignore[method-assign]  # no hook for it
    return loader


def _retry_as_standard(core: botocore.session.Session) -> None:
    """Make standard the retry mode where neither AWS_RETRY_MODE nor the profile says one.

    botocore's own default, legacy, does not know all of the codes by which AWS throttles.
    https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
    """
    from botocore.configprovider import ConstantProvider

    modes = core.get_component("config_store").get_config_provider("retry_mode")
    modes.set_default_provider(ConstantProvider("standard"))


def choose_region(
    asked: str | None,
    environ: Mapping[str, str],
    *,
    profile: str | None = None,
    use_profile: bool = True,
) -> tuple[str, str]:
    """Return the region to use and where it came from, for printing.

    The order is the flag, AWS_REGION, AWS_DEFAULT_REGION, the profile (unless
    `use_profile` is false, as for the emulator), us-east-1.
    """
    if asked:
        return asked, "--region"
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        if environ.get(name):
            return environ[name], name
    if not use_profile:
        return DEFAULT_REGION, "default"
    import botocore.session

    core = botocore.session.Session(profile=profile)
    try:
        configured = core.get_config_variable("region")
    except BotoCoreError as exc:
        raise explain(exc, DEFAULT_REGION) from None
    if configured:
        return str(configured), f"profile {core.profile or 'default'}"
    return DEFAULT_REGION, "default"


def error_code(exc: BaseException) -> str:
    """Return AWS's error code of a failed call, or ""."""
    if isinstance(exc, ClientError):
        return str(exc.response.get("Error", {}).get("Code", ""))
    return ""


def error_message(exc: BaseException) -> str:
    """Return AWS's own words for a failed call."""
    if isinstance(exc, ClientError):
        return str(exc.response.get("Error", {}).get("Message", "")) or error_code(exc)
    return str(exc)


def is_throttled(exc: BaseException) -> bool:
    """Tell whether AWS refused a call only because it came too often."""
    if error_code(exc) == _LIMIT_CODE:
        return getattr(exc, "operation_name", "") in _TABLE_OPERATIONS
    return error_code(exc) in THROTTLING_CODES


def is_passing(exc: BaseException) -> bool:
    """Tell whether a read may simply be asked again: throttled, AWS at fault, or cut off."""
    if isinstance(exc, ClientError):
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return is_throttled(exc) or status >= 500
    return isinstance(exc, AwsConnectionError | HTTPClientError)


def is_unsupported(exc: BaseException) -> bool:
    """Tell whether an endpoint says, in one of its ways, that it lacks an operation."""
    from botocore.parsers import ResponseParserError

    if isinstance(exc, ResponseParserError):
        return True
    code = error_code(exc)
    # A status for a code: either the answer was no answer of the service, or it had no body.
    if code == "400":
        return not (isinstance(exc, ClientError) and exc.response.get("Error", {}).get("Message"))
    if code == "404":
        return not getattr(exc, "operation_name", "").startswith("Head")
    return code in _UNSUPPORTED_CODES


def explain(exc: BaseException, region: str, stack: str = "") -> DeploymentError:
    """Turn an error of botocore into one of ours, with the way out.

    `stack` and `region` name what was being worked on. Credentials, permissions and
    endpoints become `AwsUnavailable` (exit 4); anything else AWS refused becomes
    `OperationFailed` (exit 1) in AWS's own words.
    """
    where = f"stack {stack} in {region}" if stack else region
    for matches, describe in _EXPLANATIONS:
        if matches(exc):
            message, next_step = describe(exc)
            return AwsUnavailable(f"{message} ({where})", next_step=next_step)
    operation = getattr(exc, "operation_name", "")
    asked = f"AWS refused {operation}" if operation else "AWS could not be asked"
    code = error_code(exc)
    again = "Wait a minute and run the same command again; it goes on where it stopped."
    return OperationFailed(
        f"{asked} for {where}: {f'{code}: ' if code else ''}{error_message(exc)}",
        next_step=again if is_passing(exc) else "",
    )


def _no_credentials(_: BaseException) -> tuple[str, str]:
    return (
        "AWS cannot be used: no credentials were found in the environment, the profile or SSO.",
        (
            "Sign in with `aws sso login --profile NAME` or `aws configure`, then run the same "
            "command with `--profile NAME`; to try it without an account, add `--local`."
        ),
    )


def _no_profile(exc: BaseException) -> tuple[str, str]:
    return (
        f"AWS cannot be used: {exc}.",
        "`aws configure list-profiles` shows which there are; choose one with --profile.",
    )


def _expired(exc: BaseException) -> tuple[str, str]:
    return (
        f"AWS cannot be used: the credentials have expired. {error_message(exc)}",
        "Sign in again (`aws sso login`, or renew the role's session), then run the same command.",
    )


def _has_bare_head_expired(exc: BaseException) -> bool:
    """Tell whether S3 refused a HEAD request with 400, which has no body to say why.

    It does so for a token that has expired; our HEAD requests give no other reason.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
    """
    return error_code(exc) == "400" and getattr(exc, "operation_name", "").startswith("Head")


def _refused_keys(exc: BaseException) -> tuple[str, str]:
    return (
        f"AWS cannot be used: it does not accept these credentials. {error_message(exc)}",
        "`aws configure list` shows what is in use; choose a --profile, or set the clock right.",
    )


def _denied(exc: BaseException) -> tuple[str, str]:
    operation = getattr(exc, "operation_name", "the call")
    return (
        f"AWS denies {operation} to this identity: {error_message(exc)}",
        f"Ask for the permission that {operation} needs, or use another --profile.",
    )


def _unreachable(exc: BaseException) -> tuple[str, str]:
    return (
        f"AWS cannot be reached: {exc}",
        "Check the network, the proxy, the region's name and AWS_ENDPOINT_URL.",
    )


def _misconfigured(exc: BaseException) -> tuple[str, str]:
    return (
        f"AWS cannot be used with this configuration: {exc}",
        "Mend ~/.aws/config or the AWS_ variables; `aws configure list` shows what is in force.",
    )


_SIGN_IN_ERRORS = (
    CredentialRetrievalError,
    LoginError,
    NoAuthTokenError,
    SSOError,
    TokenRetrievalError,
)
_CONFIGURATION_ERRORS = (
    ConfigParseError,
    InvalidConfigError,
    InvalidRetryConfigurationError,
    NoRegionError,
)

_EXPLANATIONS: tuple[
    tuple[Callable[[BaseException], bool], Callable[[BaseException], tuple[str, str]]], ...
] = (
    (lambda exc: isinstance(exc, NoCredentialsError | PartialCredentialsError), _no_credentials),
    (lambda exc: isinstance(exc, ProfileNotFound), _no_profile),
    (
        lambda exc: (
            isinstance(exc, _SIGN_IN_ERRORS)
            or error_code(exc) in _EXPIRED_CODES
            or _has_bare_head_expired(exc)
        ),
        _expired,
    ),
    (lambda exc: error_code(exc) in _BAD_KEY_CODES, _refused_keys),
    (lambda exc: error_code(exc) in _DENIED_CODES, _denied),
    (lambda exc: isinstance(exc, AwsConnectionError | HTTPClientError), _unreachable),
    (lambda exc: isinstance(exc, _CONFIGURATION_ERRORS), _misconfigured),
)
