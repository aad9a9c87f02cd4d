"""Look up which Bedrock models a region offers to this account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError
from botocore.parsers import ResponseParserError

from lib.inputs.parameters import WARNING, Problem
from lib.refusals import error_code, is_unsupported

if TYPE_CHECKING:
    from mypy_boto3_bedrock.client import BedrockClient


def check_models(
    bedrock: BedrockClient, models: Sequence[str], *, region: str
) -> tuple[Problem, ...]:
    """Warn of configured models that the region does not offer.

    Never an error: a region or endpoint without Bedrock, an identity that may not list
    models, or an answer that does not come, is a warning too. Ids are compared whole.
    """
    if not models:
        return ()
    try:
        offered = _list_offered(bedrock)
    except EndpointConnectionError:
        return (_unchecked(region, "the region has no Bedrock endpoint"),)
    except (BotoCoreError, ClientError, ResponseParserError) as exc:
        if is_unsupported(exc):
            return (_unchecked(region, "not available at this endpoint"),)
        return (_unchecked(region, f"AWS answers {error_code(exc) or exc}"),)
    return tuple(
        Problem(
            "BedrockModels",
            f"{model} is not available in {region}; request access in the Bedrock console, "
            f"https://{region}.console.aws.amazon.com/bedrock/home?region={region}#/modelaccess",
            WARNING,
        )
        for model in models
        if model not in offered
    )


def _unchecked(region: str, reason: str) -> Problem:
    """Say that nothing could be checked."""
    return Problem("BedrockModels", f"could not be checked in {region}: {reason}", WARNING)


def _list_offered(bedrock: BedrockClient) -> frozenset[str]:
    """Return the ids of the region's foundation models and inference profiles.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html
    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListInferenceProfiles.html
    """
    offered = {model["modelId"] for model in bedrock.list_foundation_models()["modelSummaries"]}
    try:
        for page in bedrock.get_paginator("list_inference_profiles").paginate():
            offered |= {p["inferenceProfileId"] for p in page["inferenceProfileSummaries"]}
    except (ClientError, ResponseParserError) as exc:
        if not is_unsupported(exc):
            raise
    return frozenset(offered)
