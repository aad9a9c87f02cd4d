"""What AWS refuses comes back as a way out."""

from __future__ import annotations

import pytest
from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

from lib import refusals
from lib.errors import AwsUnavailable, OperationFailed
from tests.support.aws_fakes import refusal

NO_CREDENTIALS = [
    aws.NoCredentialsError(),
    aws.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
]
EXPIRED = [
    aws.UnauthorizedSSOTokenError(),
    aws.SSOTokenLoadError(error_msg="no token"),
    aws.TokenRetrievalError(provider="sso", error_msg="Token has expired and refresh failed"),
    aws.LoginRefreshRequired(),
    aws.RefreshWithMFAUnsupportedError(),
    aws.NoAuthTokenError(),
    refusal("ExpiredToken", "The security token included in the request is expired"),
    refusal("ExpiredTokenException", "The security token included in the request is expired"),
    refusal("RequestExpired", "Request has expired"),
    refusal("400", "Bad Request", "HeadObject"),
]
UNFINISHED = [
    aws.LoginTokenLoadError(error_msg="no token"),
    aws.LoginInsufficientPermissions(),
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
        *[(e, "the sign-in is not complete", "`aws login --profile NAME`") for e in UNFINISHED],
        (
            aws.MissingDependencyException(msg='You will need to pip install "botocore[crt]"'),
            "botocore[crt]",
            "`.venv/bin/pip install 'botocore[crt]'`",
        ),
        (
            aws.CredentialRetrievalError(provider="custom-process", error_msg="vault is sealed"),
            "credential_process failed. Error when retrieving credentials from custom-process",
            "Run the command that stands after credential_process",
        ),
        (
            aws.CredentialRetrievalError(provider="Ec2InstanceMetadata", error_msg="nothing there"),
            "the profile gives no credentials",
            "`aws configure list`",
        ),
        (
            refusal("InternalFailure", "API action 'X' not yet implemented", "RollbackStack", 501),
            "RollbackStack is not available at this endpoint",
            "AWS_ENDPOINT_URL",
        ),
        (ResponseParserError("no XML"), "not available at this endpoint", "AWS_ENDPOINT_URL"),
        (
            refusal(
                "ValidationError",
                "Role arn:aws:iam::111111111111:role/x is invalid or cannot be assumed",
                "CreateChangeSet",
            ),
            "CloudFormation cannot take the service role: Role arn:aws:iam::111111111111:role/x",
            "`aws iam get-role --role-name NAME`",
        ),
        (
            refusal(
                "AccessDenied",
                "User: arn:aws:sts::1:assumed-role/d/ann is not authorized to perform: "
                "iam:PassRole on resource: arn:aws:iam::1:role/x",
                "CreateStack",
            ),
            "AWS denies CreateStack",
            "Ask for the permission iam:PassRole, or",
        ),
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
        (refusal("InternalFailure", "The API action is not emulated", status=501), True),
        (refusal("InternalFailure", "CreateBackup has not yet been emulated", status=500), True),
        (refusal("InternalFailure", "An internal error occurred", status=500), False),
        (refusal("ValidationError", "Feature not implemented for tables", status=400), False),
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


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (refusal("InternalFailure", "An internal error occurred", status=500), True),
        (refusal("ServiceUnavailable", "Service Unavailable", status=503), True),
        (refusal("InternalFailure", "not implemented", status=500), False),
        (refusal("InternalFailure", "", status=501), False),
        (refusal("NotImplemented", "A header you provided …", status=501), False),
    ],
)
def test_what_an_endpoint_lacks_is_not_waited_for(error: Exception, passing: bool) -> None:
    assert refusals.is_passing(error) is passing
