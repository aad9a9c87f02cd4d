"""That a model is listed says nothing of the account; what is lacking says who can mend it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from lib.checks import models as room
from lib.checks.findings import Readiness
from lib.inputs.parameters import WARNING
from tests.support.aws_fakes import Call, client, intercept, operations, refusal

MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"
PROFILE = f"eu.{MODEL}"


def profile(name: str) -> dict[str, Any]:
    arn = f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/{name}"
    return {
        "inferenceProfileName": name,
        "inferenceProfileArn": arn,
        "models": [{"modelArn": "arn:aws:bedrock:eu-west-1::foundation-model/x"}],
        "inferenceProfileId": name,
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }


def availability(**given: Any) -> dict[str, Any]:
    """Return what AWS says of a model that the account may call."""
    said = {
        "modelId": MODEL,
        "agreementAvailability": {"status": "AVAILABLE"},
        "authorizationStatus": "AUTHORIZED",
        "entitlementAvailability": "AVAILABLE",
        "regionAvailability": "AVAILABLE",
    }
    return {**said, **given}


def offering(
    profiles: Exception | None = None,
    models: Exception | None = None,
    available: Exception | Mapping[str, Any] | None = None,
) -> tuple[Any, list[Call]]:
    """Return a client of a region with one model, and with two pages of profiles."""
    made = client("bedrock", "eu-west-1")

    def answer(operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "GetFoundationModelAvailability":
            if isinstance(available, Exception):
                raise available
            return available or availability()
        if operation == "ListFoundationModels":
            if models:
                raise models
            arn = f"arn:aws:bedrock:eu-west-1::foundation-model/{MODEL}"
            return {"modelSummaries": [{"modelArn": arn, "modelId": MODEL}]}
        if profiles:
            raise profiles
        if "nextToken" in arguments:
            return {"inferenceProfileSummaries": [profile(PROFILE)]}
        return {"inferenceProfileSummaries": [profile("eu.other")], "nextToken": "more"}

    return made, intercept(made, answer)


def messages(made: Any, *models: str) -> list[str]:
    problems = room.warn(made, models, region="eu-west-1")
    assert {problem.severity for problem in problems} <= {WARNING}
    return [problem.message for problem in problems]


def test_models_and_inference_profiles_that_are_offered_are_no_problem() -> None:
    made, calls = offering()
    assert messages(made, MODEL, PROFILE) == []
    assert operations(calls) == [
        "ListFoundationModels",
        "ListInferenceProfiles",
        "ListInferenceProfiles",
        "GetFoundationModelAvailability",
        "GetFoundationModelAvailability",
    ]
    # AWS knows no availability of a profile, only of the model behind it.
    assert {call.arguments.get("modelId") for call in calls} == {None, MODEL}


@pytest.mark.parametrize("model", ["anthropic.claude-sonnet", MODEL[:-2], MODEL.upper()])
def test_ids_are_compared_whole(model: str) -> None:
    (message,) = messages(offering()[0], model, MODEL)
    assert message.startswith(f"{model} is not available in eu-west-1")
    assert message.endswith("; name another one in infrastructure/regions.json")


def test_without_configured_models_aws_is_not_asked() -> None:
    made, calls = offering()
    assert messages(made) == []
    assert calls == []


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (EndpointConnectionError(endpoint_url="https://x"), "has no Bedrock endpoint"),
        (refusal("501"), "not available at this endpoint"),
        (refusal("404", status=404), "not available at this endpoint"),
        (ResponseParserError("not JSON"), "not available at this endpoint"),
        (refusal("AccessDeniedException", "no"), "AWS answers AccessDeniedException"),
        (refusal("ThrottlingException", "no"), "AWS answers ThrottlingException"),
        (ReadTimeoutError(endpoint_url="https://x"), "Read timeout"),
    ],
)
def test_what_cannot_be_checked_is_one_warning_and_no_error(error: Exception, says: str) -> None:
    (message,) = messages(offering(models=error)[0], MODEL, PROFILE)
    assert message.startswith("could not be checked in eu-west-1: ")
    assert says in message


def test_an_endpoint_without_inference_profiles_is_asked_for_models_alone() -> None:
    made, _ = offering(profiles=refusal("UnknownOperationException"))
    (message,) = messages(made, MODEL, PROFILE)
    assert message.startswith(PROFILE)


def test_an_identity_that_may_not_list_profiles_is_not_told_that_they_are_missing() -> None:
    made, _ = offering(profiles=refusal("AccessDeniedException"))
    (message,) = messages(made, MODEL, PROFILE)
    assert message.startswith("could not be checked")


@pytest.mark.parametrize(
    ("given", "words", "step"),
    [
        (
            {"agreementAvailability": {"status": "NOT_AVAILABLE"}},
            "nobody has agreed to the terms",
            "aws-marketplace:Subscribe",
        ),
        ({"agreementAvailability": {"status": "PENDING"}}, "up to 15 minutes", "wait"),
        ({"authorizationStatus": "NOT_AUTHORIZED"}, "not authorized", "use-case form"),
        ({"entitlementAvailability": "NOT_AVAILABLE"}, "no entitlement", "model catalog"),
        ({"regionAvailability": "NOT_AVAILABLE"}, "not available in eu-west-1", "regions.json"),
    ],
)
def test_what_keeps_the_account_from_a_listed_model_is_missing_and_says_who_mends_it(
    given: dict[str, Any], words: str, step: str
) -> None:
    (found,) = room.look(offering(available=availability(**given))[0], [MODEL], region="eu-west-1")
    assert found.state is Readiness.MISSING
    assert not found.stops
    assert words in found.message
    assert step in found.next_step
    assert "modelaccess" not in found.next_step


def test_a_profile_may_run_where_its_model_alone_is_not_offered() -> None:
    made, _ = offering(available=availability(regionAvailability="NOT_AVAILABLE"))
    (found,) = room.look(made, [PROFILE], region="eu-west-1")
    assert (found.state, found.message) == (Readiness.READY, "all 1 may be called")


def test_an_agreement_that_aws_cannot_read_is_not_called_missing() -> None:
    agreement = {"status": "ERROR", "errorMessage": "Marketplace did not answer"}
    made, _ = offering(available=availability(agreementAvailability=agreement))
    (found,) = room.look(made, [MODEL], region="eu-west-1")
    assert found.state is Readiness.UNKNOWN
    assert "Marketplace did not answer" in found.message


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException"])
def test_an_availability_that_nobody_tells_is_said_once_for_all_models(code: str) -> None:
    made, _ = offering(available=refusal(code, "no"))
    (found,) = room.look(made, [MODEL, PROFILE], region="eu-west-1")
    assert found.state is Readiness.UNKNOWN
    assert f"AWS answers {code} no" in found.message


def test_credentials_that_end_on_the_way_are_not_something_that_cannot_be_told() -> None:
    for made in (
        offering(available=refusal("ExpiredTokenException"))[0],
        offering(models=refusal("ExpiredTokenException"))[0],
    ):
        with pytest.raises(ClientError, match="ExpiredTokenException"):
            room.look(made, [MODEL], region="eu-west-1")
