"""Derive releases from the one that a stack runs, for the steps of a switch.

A derived release is published like any other, under the digests of its templates. The last step of
every switch returns to the release that it was derived from, so that none is left in use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lib.deploy.publishing import Run
from lib.errors import NotOurs, Refused
from lib.inputs.artifacts import Artifacts
from lib.releases import releases, store
from lib.releases.releases import NAME_LENGTH, File, Manifest, Published, Release
from lib.stacks import stacks
from lib.templates import naming, templates
from lib.templates.naming import Naming
from lib.templates.templates import MASTER, Template

if TYPE_CHECKING:
    from lib.access import Access
    from lib.inputs.jobs import Job, Options
    from lib.releases.store import Bucket


@dataclass(frozen=True)
class Base:
    """The release that a stack is to run when all is done, with its templates by file name."""

    manifest: Manifest
    folder: Mapping[str, Template]

    @property
    def name(self) -> str:
        """Return the release's name."""
        return self.manifest.release

    @property
    def namings(self) -> Mapping[str, Naming]:
        """Return the resources that can be given a name, by path."""
        return {one.path: one for one in naming.list_namings(self.folder)}


def open_base(bucket: Bucket, name: str) -> Base:
    """Read a published release; raises `NotOurs` when it is gone."""
    manifest = releases.find(bucket, name)
    if manifest is None:
        raise NotOurs(
            f"Release {name} is no longer in {bucket.name}.",
            next_step="check it out and publish it again with inv upload",
        )
    return Base(manifest, releases.read_templates(bucket, manifest))


def find_running(job: Job, access: Access, bucket: Bucket, stack_id: str) -> str:
    """Return the name of the release that a stack runs, which has to be a published one."""
    text = stacks.read_template(access.aws.client("cloudformation"), stack_id)
    for name in releases.identify(bucket, text):
        if releases.find(bucket, name) is not None:
            return name
    raise Refused(
        f"Stack {job.stack_name} in {job.region} runs templates that this tool has not published.",
        next_step=f"inv update {job.flags}, then the same command again",
    )


def derive(base: Base, edited: Mapping[str, str]) -> Release:
    """Return the release that a base becomes when some of its templates have other texts.

    A template lies under its own digest, so that whatever loads an edited one is edited, too.
    """
    texts = {name: template.text for name, template in base.folder.items()}
    keys = {PurePosixPath(key).name: key for key in base.manifest.files}
    waiting = list(edited)
    texts |= edited
    while waiting:
        name = waiting.pop(0)
        if name == MASTER:
            continue
        old, new = keys[name], _key_of(name, texts[name])
        keys[name] = new
        for parent, text in texts.items():
            if old != new and old in text:
                texts[parent] = text.replace(old, new)
                waiting.append(parent)
    digest = _digest(texts[MASTER])
    release = digest[:NAME_LENGTH]
    keys[MASTER] = f"releases/{release}/{MASTER}"
    names = [*sorted(set(texts) - {MASTER}), MASTER]
    files = (File(n, keys[n], texts[n].encode(), _digest(texts[n])) for n in names)
    return Release(release, digest, tuple(files))


def _key_of(name: str, text: str) -> str:
    return f"templates/{_digest(text)[:NAME_LENGTH]}/{name}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def prepare(
    job: Job, access: Access, options: Options, release: Release, values: Mapping[str, str]
) -> Run:
    """Publish a derived release and return a run with it, which asks nothing more.

    `values` are the master's parameters; a secret that is not among them stays as it is deployed.
    """
    texts = {file.name: file.content.decode() for file in release.files}
    folder = {name: templates.parse(name, text) for name, text in texts.items()}
    bucket, aws = store.bucket_of(job, access), access.aws
    uploaded = 0
    if releases.find(bucket, release.name) is None:
        uploaded = releases.publish(
            bucket,
            release,
            published=releases.list_published(bucket),
            commit=job.commit,
            now=access.clock.now(),
            by=aws.identity().arn,
        )
    url = store.object_url(bucket.name, release.master_key, aws.region, aws.url_suffix)
    left = len(release.files) - uploaded
    published = Published(bucket.name, job.region, release.name, uploaded, left, url)
    derived = replace(job, templates=folder, values=values, artifacts=Artifacts())
    return Run(derived, access, options, release, published, values, asks=False)
