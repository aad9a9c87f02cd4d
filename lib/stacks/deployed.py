"""Read what is deployed: the templates, parameters and resources of a live tree of stacks.

The templates are what CloudFormation holds, not what lies in a bucket: a stack may have been
deployed by hand, or from objects that are gone.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lib.errors import TemplateError
from lib.operators import Level
from lib.parallel import side_by_side
from lib.stacks import stacks
from lib.stacks.stacks import Stack, StackResource
from lib.templates import resolution, templates
from lib.templates.changes import join
from lib.templates.templates import STACK_TYPE, Template

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient

    from lib.access import Access
    from lib.inputs.jobs import Job
    from lib.templates.resolution import Tree

#: Stands for a nested stack without a stack, which therefore has no resources.
_ABSENT = "PlotPalette::Absent::Stack"

#: GetTemplate calls under way at once; CloudFormation's reads share one small budget.
PARALLEL_READS = 4


@dataclass(frozen=True)
class Deployed:
    """A live tree of stacks, in the form that `lib.templates.resolution.resolve` takes.

    `folder` holds the deployed templates by file name, the root's under the master's name.
    `parameters` are the root's; a NoEcho one has the value `****`, which comparison takes
    for unknown and unchanged. `absent` are the paths of nested stacks that were never created or
    are gone: nothing is in them. `physical_ids` maps paths to physical IDs, `listing` has all live
    resources; of stacks of which nobody asks, neither costs a call. `texts` are the
    templates as they were deployed, by the path of their stack.
    """

    folder: Mapping[str, Template]
    parameters: Mapping[str, str]
    physical_ids: Mapping[str, str]
    listing: Iterable[StackResource]
    absent: frozenset[str] = frozenset()
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def resources(self) -> tuple[StackResource, ...]:
        """Return all live resources, parents first."""
        return tuple(self.listing)

    def list_beside(self, paths: Iterable[str]) -> tuple[StackResource, ...]:
        """Return the live resources of those stacks that resources at some paths are in."""
        owners = dict.fromkeys(path.rpartition("/")[0] for path in paths)
        if isinstance(self.listing, Inventory):
            return tuple(resource for owner in owners for resource in self.listing.of(owner))
        return tuple(r for r in self.listing if r.path.rpartition("/")[0] in owners)

    def list_of(self, kinds: Collection[str]) -> tuple[StackResource, ...]:
        """Return the live resources of some types, listing only stacks that may have one."""
        found: Iterable[StackResource] = self.listing
        if isinstance(self.listing, Inventory):
            owners = [path for path, text in self.texts.items() if may_hold(text, kinds)]
            found = itertools.chain.from_iterable(map(self.listing.of, owners))
        return tuple(resource for resource in found if resource.type in kinds)


class Inventory:
    """The resources of a live tree of stacks, each stack listed once, when it is asked for.

    CloudFormation's reads share a small budget per account and region.
    """

    def __init__(
        self, cfn: CloudFormationClient, stack_id: str, nested: Mapping[str, str] | None = None
    ) -> None:
        """Look at the tree under a stack; `nested` has the IDs by path that are known already."""
        self._cfn = cfn
        self._stack_id = stack_id
        self._nested = nested or {}
        self._found: dict[str, tuple[StackResource, ...]] = {}

    def of(self, path: str) -> tuple[StackResource, ...]:
        """Return the resources of the one stack at a path, "" for the root."""
        if path not in self._found:
            owner = self.stack_at(path)
            prefix = f"{path}/" if path else ""
            listed = stacks.list_resources(self._cfn, owner, prefix) if owner else ()
            self._found[path] = tuple(listed)
        return self._found[path]

    def stack_at(self, path: str) -> str:
        """Return the ID of the stack at a path, "" where there is none."""
        if not path:
            return self._stack_id
        if path in self._nested:
            return self._nested[path]
        found = self.resource_at(path)
        return found.physical_id if found and found.type == STACK_TYPE else ""

    def resource_at(self, path: str) -> StackResource | None:
        """Return the resource at a path."""
        beside = self.of(path.rpartition("/")[0])
        return next((resource for resource in beside if resource.path == path), None)

    def nested_in(self, path: str) -> tuple[StackResource, ...]:
        """Return the nested stacks of the one stack at a path that live."""
        return tuple(r for r in self.of(path) if r.type == STACK_TYPE and r.physical_id)

    def find_nested(self, path: str, text: str) -> tuple[str, ...]:
        """Return the paths of the live nested stacks of the one at a path, which has a template.

        Where all that the template names are known, nothing has to be listed.
        """
        if not self._nested or may_hold(text, ()):
            return tuple(nested.path for nested in self.nested_in(path))
        named = templates.children(templates.parse(templates.MASTER, text))
        paths = tuple(dict.fromkeys(join(path, child.logical_id) for child in named))
        if all(one in self._nested for one in paths):
            return paths
        return tuple(nested.path for nested in self.nested_in(path))

    def __iter__(self) -> Iterator[StackResource]:
        """Yield every resource of the tree, parents first."""
        waiting = [""]
        while waiting:
            path = waiting.pop(0)
            yield from self.of(path)
            waiting += [nested.path for nested in self.nested_in(path)]


class _PhysicalIds(Mapping[str, str]):
    """The physical IDs of a live tree by path; looking one up lists the stack that it is in."""

    def __init__(self, listing: Inventory) -> None:
        self._listing = listing

    def __getitem__(self, path: str) -> str:
        found = self._listing.resource_at(path)
        if found is None or not found.physical_id:
            raise KeyError(path)
        return found.physical_id

    def __iter__(self) -> Iterator[str]:
        return (resource.path for resource in self._listing if resource.physical_id)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        # Not by counting, which lists the whole tree.
        return True


def read(
    cfn: CloudFormationClient,
    stack: Stack,
    *,
    known: Mapping[str, str] | None = None,
    nested: Mapping[str, str] | None = None,
) -> Deployed:
    """Read a stack and everything nested in it, one GetTemplate per stack at most.

    `known` are texts by the key of the object that a nested stack is loaded from. A key names its
    content, so a nested stack that its parent loads from a known one is not asked for. `nested`
    are IDs of nested stacks by path, as a change set has told them. Raises `TemplateError` for a
    deployed template that cannot be read, or for none at all, and botocore's errors as they come.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_GetTemplate.html
    """
    listing = Inventory(cfn, stack.id, nested)
    master = _read_text(cfn, stack.id)
    if not master:
        raise TemplateError(f"Stack {stack.name} is {stack.status} and has no template yet.")
    texts = _read_texts(cfn, listing, master, known or {})
    absent: set[str] = set()
    return Deployed(
        folder=build_folder(texts, absent),
        parameters=stack.parameters,
        physical_ids=_PhysicalIds(listing),
        listing=listing,
        absent=frozenset(absent),
        texts=texts,
    )


def _read_texts(
    cfn: CloudFormationClient, listing: Inventory, master: str, known: Mapping[str, str]
) -> dict[str, str]:
    """Return the templates of a tree of stacks by path, given the root's, level by level."""
    texts, level = {"": master}, [""]
    while level:
        loaded = {
            below: find_known(texts[path], below.rpartition("/")[2], known)
            for path in level
            if STACK_TYPE in texts[path]
            for below in listing.find_nested(path, texts[path])
        }
        asked = [path for path, text in loaded.items() if text is None]
        answers = side_by_side(
            lambda path: _read_text(cfn, listing.stack_at(path)), asked, at_once=PARALLEL_READS
        )
        loaded |= dict(zip(asked, answers, strict=True))
        texts |= {path: text for path, text in loaded.items() if text}
        level = [path for path in loaded if path in texts]
    return texts


def may_hold(text: str, kinds: Iterable[str]) -> bool:
    """Tell whether a template has, or may come to, a resource of one of some types."""
    return any(word in text for word in (*kinds, "Transform", "Fn::ForEach"))


def find_known(parent: str, logical_id: str, known: Mapping[str, str]) -> str | None:
    """Return the text among `known` that a parent's template loads as a nested stack, or None."""
    if not known:
        return None
    resource = templates.parse(templates.MASTER, parent).resources.get(logical_id, {})
    url = (resource.get("Properties") or {}).get("TemplateURL")
    url = url.get("Fn::Sub") if isinstance(url, Mapping) else url
    url = url[0] if isinstance(url, list) and url else url
    if not isinstance(url, str):
        return None
    # The end of a prefix that is a parameter is the key's beginning, too.
    ends = {key: (f"/{key}", "}" + key) for key in known}
    return next((known[key] for key, end in ends.items() if url.endswith(end)), None)


def _read_text(cfn: CloudFormationClient, stack_id: str) -> str:
    """Return a stack's template, "" when it went after its parent was listed."""
    try:
        return stacks.read_template(cfn, stack_id)
    except ClientError as exc:
        if stacks.is_missing(exc):
            return ""
        raise


def build_folder(texts: Mapping[str, str], absent: set[str]) -> dict[str, Template]:
    """Turn the texts of a tree, by path, into templates by file name.

    Two nested stacks may be deployed from different files of one name, since the name in a
    URL says nothing about the folder before it. Such a file gets a number, and the parent's
    TemplateURL in the result follows it. Nested stacks that were never created, or are gone,
    become resources of no known type, their paths are added to `absent`: what reads their outputs
    stays unknown.
    """
    folder: dict[str, Template] = {}

    def place(path: str, wanted: str) -> str:
        template = templates.parse(wanted, texts[path])
        renamed: dict[str, str] = {}
        missing: set[str] = set()
        for child in templates.children(template):
            below = f"{path}/{child.logical_id}" if path else child.logical_id
            if below in texts:
                renamed[child.logical_id] = place(below, child.file or "nested-stack.yaml")
            else:
                missing.add(child.logical_id)
                absent.add(below)
        body = _leave_out(_point_at(template, renamed), missing)
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


def _leave_out(body: templates.Body, absent: Collection[str]) -> templates.Body:
    """Return a template's body with some nested stacks as resources that nothing is known of."""
    if not absent:
        return body
    resources = dict(body["Resources"])
    for logical_id in absent:
        condition = resources[logical_id].get("Condition")
        resources[logical_id] = {"Type": _ABSENT, **({"Condition": condition} if condition else {})}
    return {**body, "Resources": resources}


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
    job: Job,
    access: Access,
    folder: Mapping[str, Template],
    values: Mapping[str, str],
    master: str = templates.MASTER,
    *,
    live: bool = False,
) -> Tree:
    """Evaluate templates for a job's stack, as `lib.templates.resolution.resolve` does.

    Raises `TemplateError` for templates that do not fit together, which those of a `live` stack
    need not.
    """
    aws = access.aws
    tree = resolution.resolve(
        folder,
        values,
        region=aws.region,
        account=aws.identity().account,
        stack_name=job.stack_name,
        partition=aws.partition,
        url_suffix=aws.url_suffix,
        master=master,
        deployed=live,
    )
    return replace(tree, resources=tuple(r for r in tree.resources if r.type != _ABSENT))


def resolve_deployed(job: Job, access: Access, before: Deployed) -> Tree | None:
    """Evaluate what is deployed; None, and a warning, after a failure that left too little.

    Who gets None knows no policy and has to treat all that holds data as at risk.
    """
    try:
        return resolve_for(job, access, before.folder, before.parameters, live=True)
    except TemplateError as exc:
        access.say(
            f"The deployed templates of {job.stack_name} cannot be read as a whole: {exc.message}",
            Level.WARNING,
        )
        return None
