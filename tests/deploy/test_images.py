"""An image's tag is found in the stack's own repository, or refused before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib.deploy import deployments, images
from lib.errors import StateForbids
from lib.inputs.artifacts import Artifacts
from lib.inputs.jobs import Options
from lib.stacks.stacks import Stack
from lib.stacks.statuses import Status
from tests.deploy.world import World
from tests.support import factories
from tests.support.aws_fakes import intercept, refusal

NAME = "plot-palette-staging-computestack-1a-repository-2b"
URI = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/{NAME}"


class Registry(World):
    """A stack with a repository; `held` are the tags in it, or what ECR answers instead."""

    def __init__(self, *held: str, error: str = "") -> None:
        super().__init__()
        self.held, self.error = held, error
        self.job = replace(self.job, artifacts=Artifacts(image="v7"))
        self.looks = intercept(self.access.aws.client("ecr"), self.look)

    def look(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if self.error:
            raise refusal(self.error, "AWS's words")
        tags = [one["imageTag"] for one in arguments["imageIds"]]
        return {"imageDetails": [{"imageTags": [tag]} for tag in tags if tag in self.held]}

    @property
    def with_repository(self) -> Stack:
        outputs = {"RepositoryUri": URI}
        return factories.stack(
            Status.UPDATE_COMPLETE, outputs=outputs, parameters={"ImageTag": "v9"}
        )


def test_a_tag_that_is_there_is_asked_for_once_and_passes() -> None:
    world = Registry("v7")
    images.require(world.job, world.access, world.with_repository)
    [look] = world.looks
    assert look.arguments == {"repositoryName": NAME, "imageIds": [{"imageTag": "v7"}]}


@pytest.mark.parametrize("error", ["ImageNotFoundException", "RepositoryNotFoundException", ""])
def test_a_tag_that_is_not_there_is_refused_with_the_push_that_helps(error: str) -> None:
    world = Registry(error=error)
    with pytest.raises(StateForbids, match="would stop at the pull") as caught:
        images.require(world.job, world.access, world.with_repository)
    assert caught.value.next_step.startswith(f"docker push {URI}:v7, or")
    assert world.changes == []


def test_a_look_that_is_denied_is_not_taken_for_an_image_that_is_not_there() -> None:
    world = Registry(error="AccessDeniedException")
    with pytest.raises(ClientError):
        images.require(world.job, world.access, world.with_repository)


def test_a_first_creation_has_no_repository_and_says_how_to_begin() -> None:
    world = Registry("v7")
    with pytest.raises(StateForbids, match="no repository yet") as caught:
        images.require(world.job, world.access, None)
    assert "--image none, push the image" in caught.value.next_step
    assert world.looks == []


def test_without_a_tag_nothing_is_asked() -> None:
    world = Registry()
    images.require(replace(world.job, artifacts=Artifacts()), world.access, None)
    images.require_earlier(world.job, world.access, world.with_repository, {})
    images.require_earlier(world.job, world.access, world.with_repository, {"ImageTag": "v9"})
    assert world.looks == []


def test_a_release_whose_image_has_expired_is_not_returned_to() -> None:
    world = Registry("v8")
    images.require_earlier(world.job, world.access, world.with_repository, {"ImageTag": "v8"})
    with pytest.raises(StateForbids, match="no longer there"):
        images.require_earlier(world.job, world.access, world.with_repository, {"ImageTag": "v7"})


def test_a_deployment_is_refused_before_anything_is_published() -> None:
    world = Registry()
    with pytest.raises(StateForbids, match="Nothing was touched"):
        deployments.deploy(world.job, world.access, Options())
    assert world.changes == []
    assert world.records == []
