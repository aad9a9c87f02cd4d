"""Read AWS's refusals: which pass, which are about the caller, and what helps."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import overload

from botocore import exceptions as aws
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lib.errors import AwsUnavailable, DeploymentError, OperationFailed

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
        "NotImplementedException",
        "UnknownOperationException",
        "UnsupportedOperation",
    }
)


#: In what words an emulator says so under a code of AWS's own, `InternalFailure`: LocalStack's
#: "API action 'X' for service 'Y' not yet implemented or pro feature" and "… is either not
#: available in your current license plan or has not yet been emulated by LocalStack".
_UNSUPPORTED_WORDS = ("not implemented", "not yet implemented", "not yet been emulated")

_NOT_IMPLEMENTED_STATUS = 501

#: "Role arn:aws:iam::111111111111:role/x is invalid or cannot be assumed", a ValidationError:
#: recorded of UpdateStack with a role that does not trust CloudFormation.
_ROLE_REFUSED = re.compile(r"Role (arn:\S+) is invalid or cannot be assumed")

#: "User: … is not authorized to perform: iam:PassRole on resource: …", in every service.
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
_DENIED_ACTION = re.compile(r"is not authorized to perform: ([\w-]+:\w+)")

#: How botocore calls a profile's `credential_process`.
_CREDENTIAL_PROCESS = "custom-process"


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
    """Tell whether a read may simply be asked again: throttled, AWS at fault, or cut off.

    An endpoint that lacks the operation answers with a fault of its own, too, and for ever.
    """
    if isinstance(exc, ClientError):
        return is_throttled(exc) or (_status(exc) >= 500 and not is_unsupported(exc))
    return isinstance(exc, aws.ConnectionError | aws.HTTPClientError)


def is_about_sign_in(exc: BaseException) -> bool:
    """Tell whether credentials are absent or have ended, so that no other call is answered."""
    return (
        isinstance(exc, (aws.NoCredentialsError, aws.PartialCredentialsError, *_SIGN_IN_ERRORS))
        or error_code(exc) in _EXPIRED_CODES
    )


def is_denied(exc: BaseException) -> bool:
    """Tell whether AWS denies a call to the caller."""
    return error_code(exc) in _DENIED_CODES


def _status(exc: ClientError) -> int:
    """Return the HTTP status of a refusal, 0 without one."""
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_unsupported(exc: BaseException) -> bool:
    """Tell whether an endpoint says, in one of its ways, that it lacks an operation."""
    if isinstance(exc, ResponseParserError):
        return True
    code = error_code(exc)
    if isinstance(exc, ClientError) and _status(exc) >= 500:
        said = error_message(exc).lower()
        if _status(exc) == _NOT_IMPLEMENTED_STATUS or any(w in said for w in _UNSUPPORTED_WORDS):
            return True
    # A status for a code: either the answer was no answer of the service, or it had no body.
    if code == "400":
        return not (isinstance(exc, ClientError) and exc.response.get("Error", {}).get("Message"))
    if code == "404":
        return not getattr(exc, "operation_name", "").startswith("Head")
    return code in _UNSUPPORTED_CODES


@overload
def explain(exc: BotoCoreError | ClientError, region: str, stack: str = "") -> DeploymentError: ...


@overload
def explain(exc: BaseException, region: str, stack: str = "") -> DeploymentError | None: ...


def explain(exc: BaseException, region: str, stack: str = "") -> DeploymentError | None:
    """Turn any error into one of ours, with the way out; return None for a bug.

    `stack` and `region` name what was being worked on. Of botocore's errors, credentials,
    permissions, roles and endpoints become `AwsUnavailable` (exit 4); anything else AWS refused
    becomes `OperationFailed` (exit 1) in AWS's own words.
    """
    if isinstance(exc, DeploymentError):
        return exc
    if not isinstance(exc, BotoCoreError | ClientError | ResponseParserError):
        return None
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
        (
            "Sign in again (`aws sso login`, `aws login`, or renew the role's session), then run "
            "the same command."
        ),
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
    named = _DENIED_ACTION.search(error_message(exc))
    needed = f"permission {named[1]}" if named else f"permission that {operation} needs"
    return (
        f"AWS denies {operation} to this identity: {error_message(exc)}",
        f"Ask for the {needed}, or use another --profile.",
    )


def _refused_role(exc: BaseException) -> tuple[str, str]:
    return (
        f"CloudFormation cannot take the service role: {error_message(exc)}",
        (
            "The role has to exist and to trust cloudformation.amazonaws.com, and a new one takes "
            "some seconds to be known; see it with `aws iam get-role --role-name NAME`, then run "
            "the same command, with the --role-arn of another role if that one is gone."
        ),
    )


def _unavailable_here(exc: BaseException) -> tuple[str, str]:
    operation = getattr(exc, "operation_name", "the operation")
    return (
        f"{operation} is not available at this endpoint: {error_message(exc)}",
        (
            "If AWS_ENDPOINT_URL or the profile names an endpoint that is not AWS's, leave it out; "
            "else choose a region that has the service."
        ),
    )


def _uninstalled(exc: BaseException) -> tuple[str, str]:
    return (
        f"AWS cannot be used: {error_message(exc)}",
        (
            "A profile of `aws login` needs one package more: "
            "`.venv/bin/pip install 'botocore[crt]'`. Or hand its keys over: "
            '`eval "$(aws configure export-credentials --profile NAME --format env)"`. '
            "Then run the same command."
        ),
    )


def _unobtainable(exc: BaseException) -> tuple[str, str]:
    if getattr(exc, "kwargs", {}).get("provider") == _CREDENTIAL_PROCESS:
        return (
            f"AWS cannot be used: the profile's credential_process failed. {error_message(exc)}",
            (
                "Run the command that stands after credential_process in ~/.aws/config by itself, "
                "and mend what it says."
            ),
        )
    return (
        f"AWS cannot be used: the profile gives no credentials. {error_message(exc)}",
        (
            "`aws configure list` shows where they are looked for; mend the profile in "
            "~/.aws/config, or choose another with --profile."
        ),
    )


def _unfinished_login(exc: BaseException) -> tuple[str, str]:
    return (
        f"AWS cannot be used: the sign-in is not complete. {error_message(exc)}",
        "Sign in with `aws login --profile NAME`, then run the same command.",
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
    aws.LoginRefreshRequired,
    aws.NoAuthTokenError,
    aws.RefreshWithMFAUnsupportedError,
    aws.SSOError,
    aws.TokenRetrievalError,
)

_CONFIGURATION_ERRORS = (
    aws.ConfigParseError,
    aws.InvalidConfigError,
    aws.InvalidRetryConfigurationError,
    aws.NoRegionError,
)

_EXPLANATIONS: tuple[
    tuple[Callable[[BaseException], bool], Callable[[BaseException], tuple[str, str]]], ...
] = (
    (
        lambda exc: isinstance(exc, aws.NoCredentialsError | aws.PartialCredentialsError),
        _no_credentials,
    ),
    (lambda exc: isinstance(exc, aws.ProfileNotFound), _no_profile),
    (
        lambda exc: (
            isinstance(exc, _SIGN_IN_ERRORS)
            or error_code(exc) in _EXPIRED_CODES
            or _has_bare_head_expired(exc)
        ),
        _expired,
    ),
    (lambda exc: isinstance(exc, aws.CredentialRetrievalError), _unobtainable),
    (lambda exc: isinstance(exc, aws.LoginError), _unfinished_login),
    (lambda exc: isinstance(exc, aws.MissingDependencyException), _uninstalled),
    (lambda exc: error_code(exc) in _BAD_KEY_CODES, _refused_keys),
    (is_denied, _denied),
    (lambda exc: _ROLE_REFUSED.search(error_message(exc)) is not None, _refused_role),
    (is_unsupported, _unavailable_here),
    (lambda exc: isinstance(exc, aws.ConnectionError | aws.HTTPClientError), _unreachable),
    (lambda exc: isinstance(exc, _CONFIGURATION_ERRORS), _misconfigured),
)
