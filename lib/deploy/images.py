"""Look an image up in the stack's own repository before anything is changed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lib.errors import StateForbids
from lib.inputs.artifacts import IMAGE_TAG
from lib.refusals import error_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.stacks import Stack

#: "ImageNotFoundException: The image with imageId {imageDigest:'null', imageTag:'latest'} does not
#: exist within the repository with name 'main' in the registry with id '…'":
#: https://github.com/hashicorp/terraform-provider-aws/issues/35268
#: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html
_ABSENT = ("ImageNotFoundException", "RepositoryNotFoundException")


def require(job: Job, access: Access, stack: Stack | None) -> None:
    """Refuse the tag of an image that the stack's repository does not hold, with exit code 3.

    ECS takes any tag into a task definition and fails at the first task's pull. A stack that does
    not stand yet has no repository, so no tag can be there.
    """
    tag = job.artifacts.image
    if not tag:
        return
    uri = stack.outputs.get("RepositoryUri", "") if stack else ""
    where = f"stack {job.stack_name} in {job.region}"
    if not uri:
        raise StateForbids(
            f"Image tag {tag!r} cannot be looked up: {where} has no repository yet; it is made "
            "with the stack, and empty. Nothing was touched.",
            next_step=f"inv deploy {job.flags} --image none, push the image to the output "
            f"RepositoryUri, then inv deploy {job.flags} --image {tag}",
        )
    if not _exists(access, uri, tag):
        raise StateForbids(
            f"There is no image {uri}:{tag}, so a task of {where} would stop at the pull. "
            "Nothing was touched.",
            next_step=f"docker push {uri}:{tag}, or name a tag that is there: aws ecr "
            f"list-images --repository-name {_name(uri)} --region {job.region}",
        )


def require_earlier(
    job: Job, access: Access, stack: Stack | None, values: Mapping[str, str]
) -> None:
    """Refuse to return to a release whose image is gone: ECR keeps only the newest of them."""
    tag = values.get(IMAGE_TAG, "")
    uri = stack.outputs.get("RepositoryUri", "") if stack else ""
    if not (tag and uri and stack) or stack.parameters.get(IMAGE_TAG) == tag:
        return
    if not _exists(access, uri, tag):
        raise StateForbids(
            f"The release ran image {uri}:{tag}, which is no longer there. Stack "
            f"{job.stack_name} in {job.region} was not touched.",
            next_step=f"docker push {uri}:{tag}, then the same command again",
        )


def _name(uri: str) -> str:
    """Return the name of the repository that a URI leads to."""
    return uri.partition("/")[2]


def _exists(access: Access, uri: str, tag: str) -> bool:
    """Ask ECR for a tag; an endpoint that knows of none may answer with an empty list."""
    ecr: Any = access.aws.client("ecr")
    try:
        found = ecr.describe_images(repositoryName=_name(uri), imageIds=[{"imageTag": tag}])
    except ClientError as exc:
        if error_code(exc) in _ABSENT:
            return False
        raise
    return bool(found["imageDetails"])
