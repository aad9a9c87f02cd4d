"""A model that a region lacks is a warning that says where to ask for it, and never more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from lib.checks.models import check_models
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


def offering(
    profiles: Exception | None = None, models: Exception | None = None
) -> tuple[Any, list[Call]]:
    """Return a client of a region with one model, and with two pages of profiles."""
    made = client("bedrock", "eu-west-1")

    def answer(operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
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
    problems = check_models(made, models, region="eu-west-1")
    assert {problem.severity for problem in problems} <= {WARNING}
    return [problem.message for problem in problems]


def test_models_and_inference_profiles_that_are_offered_are_no_problem() -> None:
    made, calls = offering()
    assert messages(made, MODEL, PROFILE) == []
    assert operations(calls) == [
        "ListFoundationModels",
        "ListInferenceProfiles",
        "ListInferenceProfiles",
    ]


@pytest.mark.parametrize("model", ["anthropic.claude-sonnet", MODEL[:-2], MODEL.upper()])
def test_ids_are_compared_whole(model: str) -> None:
    (message,) = messages(offering()[0], model, MODEL)
    assert message.startswith(f"{model} is not available in eu-west-1")
    assert "https://eu-west-1.console.aws.amazon.com/bedrock/home" in message


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
