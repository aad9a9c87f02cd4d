"""Look up which Bedrock models a region offers, and whether this account may use them.

That a model is listed says nothing about the account: a model of a third party is sold through
the AWS Marketplace, and Anthropic wants a form filled in once. The page on which access was
asked for was retired in 2025 (https://docs.aws.amazon.com/bedrock/latest/userguide/model-access.html):
the first call by somebody who may subscribe makes the agreement, and the tasks may not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError
from botocore.parsers import ResponseParserError

from lib.checks.findings import (
    Readiness,
    RegionFinding,
    ask,
    describe_refusal,
    missing,
    ready,
    unknown,
)
from lib.inputs.environments import split_models
from lib.inputs.parameters import WARNING, Problem
from lib.parallel import side_by_side
from lib.refusals import is_about_sign_in, is_unsupported

if TYPE_CHECKING:
    from mypy_boto3_bedrock.client import BedrockClient

CHECK = "Bedrock models"

#: Questions about single models under way at once.
_AT_ONCE = 4

#: Models of which the maker asks what they are for.
_ANTHROPIC = "anthropic."

_AVAILABLE = "AVAILABLE"
_PENDING = "PENDING"
_ERROR = "ERROR"

_NOT_OFFERED = "name another one in infrastructure/regions.json"


def look(
    bedrock: BedrockClient, models: Sequence[str], *, region: str
) -> tuple[RegionFinding, ...]:
    """Ask for each configured model whether the region offers it and the account may call it.

    Ids are compared whole. A region or endpoint without Bedrock, an identity that may not ask,
    or an answer that does not come, is something that cannot be told. None of it stops a
    deployment: the stack comes up, its jobs do not run.
    """
    if not models:
        return ()
    try:
        offered = _list_offered(bedrock)
    except EndpointConnectionError:
        return (unknown(region, CHECK, "the region has no Bedrock endpoint"),)
    except (BotoCoreError, ClientError, ResponseParserError) as exc:
        if is_about_sign_in(exc):
            raise
        return (unknown(region, CHECK, describe_refusal(exc)),)
    found = [
        missing(region, CHECK, f"{model} is not available in {region}", _NOT_OFFERED)
        for model in models
        if model not in offered
    ]
    listed = [model for model in models if model in offered]
    found += side_by_side(lambda one: _ask_for(bedrock, one, region), listed, at_once=_AT_ONCE)
    return _gather(found)


def warn(bedrock: BedrockClient, models: Sequence[str], *, region: str) -> tuple[Problem, ...]:
    """Return what `look` finds missing or cannot tell as warnings about parameters."""
    return tuple(
        Problem(
            "BedrockModels",
            f"{one.message}; {one.next_step}"
            if one.next_step
            else f"could not be checked in {region}: {one.message}",
            WARNING,
        )
        for one in look(bedrock, models, region=region)
        if one.state is not Readiness.READY
    )


def _gather(found: Sequence[RegionFinding]) -> tuple[RegionFinding, ...]:
    """Say once what is so of several models: that they may be called, or cannot be asked about."""
    callable_ = [one for one in found if one.state is Readiness.READY]
    others = [one for one in found if one.state is not Readiness.READY]
    if callable_:
        region = callable_[0].region
        count = len(callable_)
        text = f"{count} of {len(found)} may be called" if others else f"all {count} may be called"
        others.append(ready(region, CHECK, text))
    return tuple(dict.fromkeys(others))


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


def _ask_for(bedrock: BedrockClient, model: str, region: str) -> RegionFinding:
    """Say whether the account may call a model, or the one behind an inference profile.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GetFoundationModelAvailability.html
    """
    behind = split_models((model,))["BedrockModelIds"]
    answer, problem = ask(lambda: bedrock.get_foundation_model_availability(modelId=behind))
    if answer is None:
        # The same for each model that AWS does not tell of, so that it is said once.
        return unknown(region, CHECK, f"whether the account may call them: {problem}")
    # A profile calls its model wherever AWS has room, so that the model alone need not be
    # offered in this region.
    return _read_availability(answer, model, behind, region, is_profile=model != behind)


def _read_availability(
    answer: Mapping[str, Any], model: str, behind: str, region: str, *, is_profile: bool
) -> RegionFinding:
    """Read AWS's answer about one model: what is lacking first."""
    if answer.get("regionAvailability") != _AVAILABLE and not is_profile:
        return missing(region, CHECK, f"{model} is not available in {region}", _NOT_OFFERED)
    lacking = _read_agreement(answer.get("agreementAvailability", {}), model, behind, region)
    if lacking:
        return lacking
    if answer.get("authorizationStatus") != "AUTHORIZED":
        text = f"the account is not authorized to use {model}"
        return missing(region, CHECK, text, _authorize(behind))
    if answer.get("entitlementAvailability") != _AVAILABLE:
        text = f"the account has no entitlement to {model}"
        return missing(region, CHECK, text, _agree(behind, region))
    return ready(region, CHECK, f"{model} may be called")


def _read_agreement(
    agreement: Mapping[str, str], model: str, behind: str, region: str
) -> RegionFinding | None:
    """Say what the agreement on a model's terms lacks, None where there is one."""
    status = agreement.get("status", "")
    if status == _AVAILABLE:
        return None
    if status == _ERROR:
        said = agreement.get("errorMessage") or "no reason is given"
        return unknown(region, CHECK, f"AWS cannot tell of the agreement on {model}: {said}")
    if status == _PENDING:
        waiting = f"the agreement on {model} is being made, which takes up to 15 minutes"
        return missing(region, CHECK, waiting, "wait, then look again")
    text = f"nobody has agreed to the terms of {model} in this account"
    return missing(region, CHECK, text, _agree(behind, region))


def _form(model: str) -> str:
    """Say what only Anthropic asks for."""
    if not model.startswith(_ANTHROPIC):
        return ""
    return "; Anthropic also wants its use-case form, once for the account or the organization"


def _agree(model: str, region: str) -> str:
    """Say who makes an agreement, and how."""
    return (
        f"an administrator with aws-marketplace:Subscribe opens {model} in the model catalog of "
        f"the Bedrock console in {region} and tries it once in the playground{_form(model)}"
    )


def _authorize(model: str) -> str:
    """Say what an administrator looks at where the account is kept out."""
    return (
        "an administrator looks for a policy of the organization that denies Bedrock or the "
        f"Marketplace{_form(model)}"
    )
