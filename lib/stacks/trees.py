"""Evaluate a stack's templates with what is known of its account and region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lib.errors import TemplateError
from lib.operators import Level
from lib.templates import resolution

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.stacks.deployed import Deployed
    from lib.templates.resolution import Tree
    from lib.templates.templates import Template


def resolve(
    job: Job, access: Access, folder: Mapping[str, Template], values: Mapping[str, str]
) -> Tree:
    """Evaluate templates for a job's stack, as `lib.templates.resolution.resolve` does.

    Raises `TemplateError` for templates that do not fit together.
    """
    aws = access.aws
    return resolution.resolve(
        folder,
        values,
        region=aws.region,
        account=aws.identity().account,
        stack_name=job.stack_name,
        partition=aws.partition,
        url_suffix=aws.url_suffix,
    )


def resolve_deployed(job: Job, access: Access, before: Deployed) -> Tree | None:
    """Evaluate what is deployed; None, and a warning, after a failure that left too little.

    Who gets None knows no policy and has to treat all that holds data as at risk.
    """
    try:
        return resolve(job, access, before.folder, before.parameters)
    except TemplateError as exc:
        access.say(
            f"The deployed templates of {job.stack_name} cannot be read as a whole: {exc.message}",
            Level.WARNING,
        )
        return None
