"""Open AWS sessions: the only room that imports boto3.

One `Aws` bundle per region hands out one client per service. Creating a client from a
session is not safe between threads, using a client is, so creation is locked.
https://docs.aws.amazon.com/boto3/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients
"""

from __future__ import annotations

import functools
import getpass
import os
import shlex
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from lib import outside
from lib.errors import AwsUnavailable
from lib.refusals import explain

if TYPE_CHECKING:
    import boto3
    import botocore.credentials
    import botocore.loaders
    import botocore.session
    import botocore.utils
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

    @property
    def is_local(self) -> bool:
        """Tell whether this machine itself answers, which no proxy could reach."""
        return (self.endpoint_url or "").startswith("http://127.0.0.1")

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
                if service == "s3" and not self.endpoint_url and not self._is_aws(made):
                    made = self._make(service, path_style=True)
                if self._observe and outside.is_taped():
                    made.observe = self._observe
                elif self._observe:
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
        """Return the partition's domain, as `AWS::URLSuffix` does in a template.

        botocore knows it of every partition: amazonaws.eu of the European Sovereign Cloud,
        c2s.ic.gov of the first isolated one.
        https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
        """
        return _dns_suffix(self.partition)

    @property
    def partition(self) -> str:
        """Return the partition's name, as `AWS::Partition` does in a template."""
        return self._session.get_partition_for_region(self.region)

    def _is_aws(self, client: Any) -> bool:
        """Tell whether a client talks to AWS itself, not to an endpoint that was configured."""
        host = urlsplit(client.meta.endpoint_url).hostname or ""
        return host.endswith(f".{self.url_suffix}")

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


@functools.cache
def _dns_suffix(partition: str) -> str:
    """Return the domain of a partition, from the data by which botocore makes endpoints."""
    import botocore.loaders

    partitions = botocore.loaders.create_loader().load_data("partitions")["partitions"]
    return next(str(p["outputs"]["dnsSuffix"]) for p in partitions if p["id"] == partition)


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


@dataclass
class SignIn:
    """The credentials of one profile, obtained once and shared by the sessions of all regions.

    Roles that were taken, with a code of an MFA device above all, are kept where the AWS CLI keeps
    them, so that neither asks for what the other was told.
    https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-role.html#cli-configure-role-cache
    """

    credentials: botocore.credentials.Credentials | None = field(default=None, repr=False)

    def enter(self, core: botocore.session.Session, region: str) -> None:
        """Give a session the credentials, obtaining them first if need be.

        Where there are none at all, the first call will say so. Raises `AwsUnavailable` where a
        profile cannot be asked for them, and where nobody is there to be asked for a code.
        """
        if self.credentials is None:
            self.credentials = _obtain(core, region)
        if self.credentials is not None:
            core.register_component("credential_provider", _Known(self.credentials))


@dataclass(frozen=True)
class _Known:
    """A provider, in botocore's sense, of credentials that are there already."""

    credentials: botocore.credentials.Credentials

    def load_credentials(self) -> botocore.credentials.Credentials:
        """Return the credentials; they renew themselves, whichever session uses them."""
        return self.credentials


def _obtain(core: botocore.session.Session, region: str) -> botocore.credentials.Credentials | None:
    """Ask a profile for its credentials, and the person for what the profile asks.

    botocore asks for a code with getpass. Where there is no terminal, getpass would go on to read
    whatever comes on standard input, for ever if nothing does; it warns first, which ends it here.
    A `credential_process` that cannot be run, or prints no JSON, comes as Python's own errors.
    """
    resolver = core.get_component("credential_provider")
    cache = _cli_cache()
    if cache is not None:
        resolver.get_provider("assume-role").cache = cache
    name = core.profile or "default"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            found: botocore.credentials.Credentials | None = core.get_credentials()
            if found is not None:
                found.get_frozen_credentials()
    except (getpass.GetPassWarning, EOFError):
        raise AwsUnavailable(
            f"AWS cannot be used: profile {name} wants the code of an MFA device, and there is no "
            f"terminal to ask for it. ({region})",
            next_step="at a terminal, sign in with this profile once, then run the same command: "
            f"aws sts get-caller-identity --profile {shlex.quote(name)}",
        ) from None
    except ClientError as exc:
        raise explain(exc, region) from exc
    except (OSError, ValueError) as exc:
        raise AwsUnavailable(
            f"AWS cannot be used: profile {name} gives no credentials: {exc} ({region})",
            next_step="mend its credential_process in ~/.aws/config: it has to be a command that "
            "prints JSON",
        ) from exc
    return found


def _cli_cache() -> botocore.utils.JSONFileCache | None:
    """Return the AWS CLI's cache of roles that were taken, None where nothing can be kept."""
    from botocore.utils import JSONFileCache

    try:
        folder = Path("~/.aws/cli/cache").expanduser()
    except RuntimeError:
        # A container's user need not have a home.
        return None
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return JSONFileCache(str(folder)) if os.access(there, os.W_OK) else None


def connect(
    region: str,
    *,
    profile: str | None = None,
    endpoint_url: str | None = None,
    local: bool = False,
    observe: Callable[[ApiCall], None] | None = None,
    sign_in: SignIn | None = None,
) -> Aws:
    """Open a session for one region, and sign in, which may ask a person for a code.

    `endpoint_url` replaces every service's endpoint; without it AWS_ENDPOINT_URL, its
    variants for one service and the profile decide, as with any AWS tool. `local` uses
    throw-away keys and no profile, so that no real keys leave the machine. `observe` is told
    of every call that has ended. What shares a `sign_in` asks once, in the first call's thread.
    Raises `AwsUnavailable` for a profile that does not exist or gives no credentials.
    """
    signs_in = None if local else sign_in or SignIn()
    try:
        if outside.is_taped():
            session = _open_taped(region, profile, signs_in)
        else:
            session = _open(region, profile, signs_in)
    except BotoCoreError as exc:
        raise explain(exc, region) from None
    shell = f"AWS_PROFILE={shlex.quote(profile)} " if profile and not local else ""
    if local:
        keys = f"AWS_ACCESS_KEY_ID={LOCAL_ACCESS_KEY} AWS_SECRET_ACCESS_KEY={LOCAL_ACCESS_KEY}"
        shell = f"AWS_ENDPOINT_URL={endpoint_url} {keys} "
    return Aws(session, region, endpoint_url, direct=local, shell=shell, observe=observe)


def _open(region: str, profile: str | None, sign_in: SignIn | None) -> boto3.Session:
    """Open a session as somebody, or with throw-away keys."""
    import boto3
    import botocore.session

    core = botocore.session.Session(profile=profile if sign_in else None)
    if sign_in is None:
        # Names no profile, even when AWS_PROFILE does.
        core.get_component("config_store").set_config_variable("profile", None)
    _retry_as_standard(core)
    core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
    if sign_in:
        sign_in.enter(core, region)
    return boto3.Session(
        aws_access_key_id=None if sign_in else LOCAL_ACCESS_KEY,
        aws_secret_access_key=None if sign_in else LOCAL_ACCESS_KEY,
        botocore_session=core,
        region_name=region,
    )


def _open_taped(region: str, profile: str | None, sign_in: SignIn | None) -> boto3.Session:
    """Open a session whose calls pass through the tape; one that replays needs no credentials."""
    opened: list[boto3.Session] = []
    outside.ask(
        "sign in", {"region": region}, lambda: opened.append(_open(region, profile, sign_in))
    )
    if sign_in and sign_in.credentials:
        outside.hide(key for key in sign_in.credentials.get_frozen_credentials() if key)
    session = opened[0] if opened else _open(region, None, None)
    # https://docs.aws.amazon.com/boto3/latest/guide/events.html
    session.events.register("creating-client-class", _tape_calls)
    return session


def _tape_calls(base_classes: list[type], **_: Any) -> None:
    base_classes.insert(0, _Taped)


class _Taped:
    """What a client of a recorded or replayed run is besides: each call passes through the tape.

    Above everything that signs, sends and repeats, so that no credentials are ever seen.
    """

    meta: Any
    exceptions: Any
    observe: Callable[[ApiCall], None] | None = None

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> Any:
        service, region = self.meta.service_model.service_name, self.meta.region_name
        call = super()._make_api_call  # type: ignore[misc]  # botocore's, in the class made of both
        what = {"service": service, "region": region, "operation": operation_name}

        def tell(found: Any) -> None:
            if self.observe:
                told = _as_answer(found)
                self.observe(_as_call(service, operation_name, region, outside.took(), told))

        try:
            return outside.ask(
                "call",
                {**what, "parameters": api_params},
                lambda: call(operation_name, api_params),
                tell if self.observe else None,
            )
        except ClientError as exc:
            kind = self.exceptions.from_code(exc.response.get("Error", {}).get("Code"))
            raise exc if isinstance(exc, kind) else kind(exc.response, operation_name) from None


def _as_answer(found: Any) -> Mapping[str, Any]:
    """Return what a call came to, its answer or an error, in botocore's form."""
    if isinstance(found, ClientError):
        return found.response
    if isinstance(found, BaseException):
        return {"Error": {"Code": type(found).__name__}}
    return found  # type: ignore[no-any-return]  # an answer


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
_HOMES = {
    "cn-": "cn-north-1",
    "eu-isoe-": "eu-isoe-west-1",
    "eusc-": "eusc-de-east-1",
    "us-gov-": "us-gov-west-1",
    "us-iso-": "us-iso-east-1",
    "us-isob-": "us-isob-east-1",
    "us-isof-": "us-isof-south-1",
}


def home_of(region: str) -> str:
    """Return the region that answers for the whole account, in the partition of `region`."""
    homes = (home for start, home in _HOMES.items() if region.startswith(start))
    return next(homes, "us-east-1")
