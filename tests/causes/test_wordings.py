"""Known wordings are recognised by AWS's literal words, and unknown ones are left alone."""

from __future__ import annotations

import re

import pytest

from lib.causes import gathering, wordings
from lib.causes.evidence import Evidence
from lib.causes.wordings import TABLE, Wording


@pytest.mark.parametrize("wording", TABLE, ids=lambda one: one.name)
def test_each_wording_is_recognised_in_the_words_that_its_source_quotes(wording: Wording) -> None:
    match = wordings.recognise(wording.text)
    assert match is not None
    assert match.wording is wording
    assert "{" not in match.means + match.next_step("--env staging")


@pytest.mark.parametrize("wording", TABLE, ids=lambda one: one.name)
def test_each_wording_names_where_it_stands_and_a_command_that_helps(wording: Wording) -> None:
    assert wording.where.startswith(("https://", "localstack/localstack, "))
    assert re.search(r"\binv [a-z]|the same command", wording.next_step)


def test_a_denial_tells_action_principal_resource_and_why() -> None:
    match = wordings.recognise(
        'Resource handler returned message: "User: arn:aws:iam::1:user/ann is not authorized to '
        "perform: s3:CreateBucket on resource: arn:aws:s3:::b.c because no identity-based policy "
        'allows the s3:CreateBucket action" (HandlerErrorCode: AccessDenied)'
    )
    assert match is not None
    assert match.found.groupdict() == {
        "principal": "arn:aws:iam::1:user/ann",
        "action": "s3:CreateBucket",
        "resource": "arn:aws:s3:::b.c",
        "because": "no identity-based policy allows the s3:CreateBucket action",
    }


def test_what_is_not_known_is_not_explained() -> None:
    assert wordings.recognise("The flux capacitor is empty") is None


def test_what_stopped_the_task_tells_more_than_the_circuit_breaker() -> None:
    found = (Evidence("ECS task 0a1b", "CannotPullContainerError: image not found"),)
    match = gathering.advise("ECS Deployment Circuit Breaker was triggered", found)
    assert match is not None
    assert match.wording.name == "image-missing"
