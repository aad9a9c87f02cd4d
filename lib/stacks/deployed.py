"""Read what is deployed: the templates, parameters and resources of a live tree of stacks.

The templates are what CloudFormation holds, not what lies in a bucket: a stack may have been
deployed by hand, or from objects that are gone.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lib.errors import TemplateError
from lib.operators import Level
from lib.parallel import side_by_side
from lib.stacks import stacks
from lib.stacks.stacks import Stack, StackResource
from lib.templates import resolution, templates
from lib.templates.templates import STACK_TYPE, Template

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient

    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.templates.resolution import Tree

#: GetTemplate calls under way at once; CloudFormation's reads share one small budget.
PARALLEL_READS = 4


@dataclass(frozen=True)
class Deployed:
    """A live tree of stacks, in the form that `lib.templates.resolution.resolve` takes.

    `folder` holds the deployed templates by file name, the root's under the master's name.
    `parameters` are the root's; a NoEcho one has the value `****`, which comparison takes
    for unknown and unchanged. `physical_ids` maps paths to physical IDs, `resources` are all
    live resources, parents first.
    """

    folder: Mapping[str, Template]
    parameters: Mapping[str, str]
    physical_ids: Mapping[str, str]
    resources: tuple[StackResource, ...]


def read(cfn: CloudFormationClient, stack: Stack) -> Deployed:
    """Read a stack and everything nested in it, one GetTemplate per stack.

    Raises `TemplateError` for a deployed template that cannot be read, or for none at all, and
    botocore's errors as they come.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_GetTemplate.html
    """
    resources = stacks.walk(cfn, stack.id)
    owners = {"": stack.id} | {
        r.path: r.physical_id for r in resources if r.type == STACK_TYPE and r.physical_id
    }
    texts = side_by_side(lambda one: _read_text(cfn, one), owners.values(), at_once=PARALLEL_READS)
    if not texts[0]:
        raise TemplateError(f"Stack {stack.name} is {stack.status} and has no template yet.")
    by_path = {path: text for path, text in zip(owners, texts, strict=True) if text}
    return Deployed(
        folder=_build_folder(by_path),
        parameters=stack.parameters,
        physical_ids={r.path: r.physical_id for r in resources if r.physical_id},
        resources=resources,
    )


def _read_text(cfn: CloudFormationClient, stack_id: str) -> str:
    """Return a stack's template, "" when it went after its parent was listed."""
    try:
        return stacks.read_template(cfn, stack_id)
    except ClientError as exc:
        if stacks.is_missing(exc):
            return ""
        raise


def _build_folder(texts: Mapping[str, str]) -> dict[str, Template]:
    """Turn the texts of a tree, by path, into templates by file name.

    Two nested stacks may be deployed from different files of one name, since the name in a
    URL says nothing about the folder before it. Such a file gets a number, and the parent's
    TemplateURL in the result follows it. Nested stacks that do not live are left alone.
    """
    folder: dict[str, Template] = {}

    def place(path: str, wanted: str) -> str:
        template = templates.parse(wanted, texts[path])
        renamed: dict[str, str] = {}
        for child in templates.children(template):
            below = f"{path}/{child.logical_id}" if path else child.logical_id
            if below in texts:
                renamed[child.logical_id] = place(below, child.file or "nested-stack.yaml")
        body = _point_at(template, renamed)
        placed = Template(wanted, template.text, body)
        name = _free_name(folder, placed) if path else templates.MASTER
        folder[name] = replace(placed, name=name)
        return name

    place("", templates.MASTER)
    return folder


def _point_at(template: Template, names: Mapping[str, str]) -> templates.Body:
    """Return a template's body with its nested stacks loading the files named."""
    changed = {
        child.logical_id: names[child.logical_id]
        for child in templates.children(template)
        if child.logical_id in names and names[child.logical_id] != child.file
    }
    if not changed:
        return template.body
    body = copy.deepcopy(dict(template.body))
    for logical_id, name in changed.items():
        body["Resources"][logical_id].setdefault("Properties", {})["TemplateURL"] = name
    return body


def _free_name(folder: Mapping[str, Template], template: Template) -> str:
    """Return a file name that is free, or already holds this very template.

    The master's name is the root's, whatever a nested stack was loaded from.
    """
    path = PurePosixPath(template.name)
    for number in itertools.count(1):
        name = template.name if number == 1 else f"{path.stem}-{number}{path.suffix}"
        known = folder.get(name)
        is_same = known is not None and (known.text, known.body) == (template.text, template.body)
        if name != templates.MASTER and (known is None or is_same):
            return name
    raise AssertionError("counting never ends")


def resolve_for(
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
        return resolve_for(job, access, before.folder, before.parameters)
    except TemplateError as exc:
        access.say(
            f"The deployed templates of {job.stack_name} cannot be read as a whole: {exc.message}",
            Level.WARNING,
        )
        return None
