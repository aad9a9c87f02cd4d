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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from lib.refusals import explain

if TYPE_CHECKING:
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

    The three events see arguments too; only what `ApiCall` holds is ever read from them.
    https://docs.aws.amazon.com/boto3/latest/guide/events.html
    """
    name = client.meta.service_model.service_name
    began = "plot_palette_began"

    def begin(context: dict[str, Any], **_: Any) -> None:
        context[began] = time.monotonic()

    def end(context: dict[str, Any], operation: str, answer: Mapping[str, Any]) -> None:
        seconds = time.monotonic() - context.get(began, time.monotonic())
        observe(_as_call(name, operation, region, seconds, answer))

    def answered(model: Any, context: dict[str, Any], parsed: Mapping[str, Any], **_: Any) -> None:
        end(context, model.name, parsed)

    def unanswered(
        event_name: str, context: dict[str, Any], exception: BaseException, **_: Any
    ) -> None:
        operation = event_name.rsplit(".", maxsplit=1)[-1]
        end(context, operation, {"Error": {"Code": type(exception).__name__}})

    events = client.meta.events
    service = client.meta.service_model.service_id.hyphenize()
    events.register_first(f"before-call.{service}.*", begin)
    events.register_last(f"after-call.{service}.*", answered)
    events.register_last(f"after-call-error.{service}.*", unanswered)


def _as_call(
    service: str, operation: str, region: str, seconds: float, answer: Mapping[str, Any]
) -> ApiCall:
    """Return a call as it ended, told from the answer in botocore's form."""
    metadata = answer.get("ResponseMetadata", {})
    return ApiCall(
        service,
        operation,
        region,
        seconds,
        status=int(metadata.get("HTTPStatusCode", 0)),
        request_id=str(metadata.get("RequestId", "")),
        retries=int(metadata.get("RetryAttempts", 0)),
        error=str(answer.get("Error", {}).get("Code", "")),
    )


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


#: Where an account cannot switch regions off, by the beginning of a region's name.
_HOMES = {"cn-": "cn-north-1", "us-gov-": "us-gov-west-1"}


def home_of(region: str) -> str:
    """Return the region that answers for the whole account, in the partition of `region`."""
    homes = (home for start, home in _HOMES.items() if region.startswith(start))
    return next(homes, "us-east-1")
