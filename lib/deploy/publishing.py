"""Publish a job's templates as a release, once they are clean, for a deployment to run with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lib.errors import TemplateError
from lib.inputs import jobs, parameters
from lib.inputs.jobs import MANAGED_BY, PROJECT, Job, require_valid
from lib.operators import Level
from lib.releases import code, releases, store
from lib.releases.releases import Published, Release
from lib.stacks import changesets
from lib.stacks.changesets import Purpose
from lib.stacks.stacks import Request
from lib.templates import contracts, linting, templates
from lib.templates.changes import join

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient

    from lib.access import Access
    from lib.inputs.jobs import Options
    from lib.releases.history import Record
    from lib.releases.store import Bucket
    from lib.stacks.deployed import Deployed
    from lib.templates.templates import Template


#: Tells what a job does to the month's cost of what is deployed, None of a stack that is not
#: there; "" where that cannot be told. Costs are no business of a deployment's, so a task lends it.
Price = Callable[["Job", "Deployed | None"], str]


@dataclass(frozen=True)
class Run:
    """One deployment under way: the job and everything published for it.

    `action` is what a successful change of an existing stack is called. `replays` is true when
    it brings a paused stack back to what was last stable. With `asks` a change is shown and asked
    about; a first creation is not, since there is nothing that it could cost. `expires` is until
    when a plan that is being made may be applied, `plan` the digest of one that is being applied.
    `past` is the stack's history, newest first, where it was read already. `price` tells what a
    change does to the month's cost; see `Price`.
    """

    job: Job
    access: Access
    options: Options
    release: Release
    published: Published
    values: Mapping[str, str]
    action: str = "updated"
    asks: bool = True
    replays: bool = False
    expires: str = ""
    plan: str = ""
    past: Sequence[Record] = ()
    price: Price | None = None

    @property
    def cfn(self) -> CloudFormationClient:
        """Return the client of the stack's region."""
        return self.access.aws.client("cloudformation")

    def request(
        self,
        token: str,
        previous: frozenset[str] = frozenset(),
        *,
        disable_rollback: bool = False,
    ) -> Request:
        """Return what the stack is to become; see `lib.stacks.stacks.Request`."""
        return Request(
            self.job.stack_name,
            self.published.master_url,
            parameters=self.values,
            capabilities=contracts.capabilities(self.job.templates),
            tags=jobs.tags_of(self.job),
            token=token,
            express=self.options.express,
            previous=previous,
            disable_rollback=disable_rollback,
            # Only what is carried out needs it, and who previews may not be allowed to pass it.
            role_arn="" if self.options.preview else self.job.role_arn,
            kept=self._say_kept(),
        )

    def _say_kept(self) -> str:
        """Return what a change set of this run is kept for, and until when."""
        if self.expires:
            return changesets.say_kept(Purpose.PLAN, datetime.fromisoformat(self.expires))
        purpose = Purpose.PREVIEW if self.options.preview else Purpose.DEPLOYMENT
        until = self.access.clock.now() + changesets.LIFETIMES[purpose]
        return changesets.say_kept(purpose, until)


def publish(
    job: Job, access: Access, *, linted: frozenset[str] = frozenset()
) -> tuple[Release, Published]:
    """Publish a job's templates as a release, unless they are published already.

    Everything is validated before the first byte is written: parameters, the contracts
    between templates, and with cfn-lint each template whose content is new. `linted` holds
    the keys of content that the caller has linted already. Two calls suffice when nothing
    is new. The application's code, where it is given, is published with them.
    """
    require_valid(job)
    release = releases.build(job.templates)
    bucket = store.bucket_of(job, access)
    uploaded = 0
    if releases.find(bucket, release.name) is None:
        published = releases.list_published(bucket)
        new = [file.name for file in release.files if file.key not in published | linted]
        require_clean(job, new, [job.region], access.say)
        if not job.values.get("TemplatesBucketName"):
            _ensure_bucket(bucket, access)
        uploaded = releases.publish(
            bucket,
            release,
            published=published,
            commit=job.commit,
            now=access.clock.now(),
            by=access.aws.identity().arn,
        )
        access.say(
            f"Release {release.name}: {uploaded} new templates in {bucket.name}.", Level.DONE
        )
    archive = job.artifacts.archive
    if archive and code.publish(bucket, archive):
        access.say(f"Application code: {archive.key} in {bucket.name}.", Level.DONE)
    aws = access.aws
    url = store.object_url(bucket.name, release.master_key, aws.region, aws.url_suffix)
    unchanged = len(release.files) - uploaded
    return release, Published(bucket.name, aws.region, release.name, uploaded, unchanged, url)


def reopen(
    job: Job, access: Access, options: Options, files: Mapping[str, str], values: Mapping[str, str]
) -> Run:
    """Return a run of a job with a release that is published already.

    `files` are the release's objects with their digests, its master last.
    """
    bucket, aws = store.bucket_of(job, access), access.aws
    release = releases.as_release(files)
    url = store.object_url(bucket.name, release.master_key, aws.region, aws.url_suffix)
    published = Published(bucket.name, job.region, release.name, 0, len(release.files), url)
    return Run(job, access, options, release, published, values)


def _ensure_bucket(bucket: Bucket, access: Access) -> None:
    """Create or complete the templates bucket of this account and region."""
    tags = {"Project": PROJECT, "ManagedBy": MANAGED_BY}
    if store.ensure_bucket(bucket, region=access.aws.region, tags=tags):
        access.say(f"Created the templates bucket {bucket.name}.", Level.DONE)


def require_clean(
    job: Job, names: Sequence[str], regions: Sequence[str], say: Callable[[str], None]
) -> None:
    """Raise `TemplateError` with what cfn-lint says of new templates, in any of the regions."""
    if not names:
        return
    findings = linting.lint_once(
        [job.folder / name for name in names],
        regions=regions,
        folder=job.folder,
        memory=job.lint_memory,
        say=say,
    )
    if findings:
        raise TemplateError("Nothing was published: cfn-lint found", problems=findings)


def require_intact(run: Run, unloaded: frozenset[str] = frozenset()) -> None:
    """Refuse a release that no longer holds what was published.

    `unloaded` has the paths of nested stacks that AWS made no change set for: it loaded their
    templates, compared them with what is deployed and said "The submitted information didn't
    contain changes". What is executed uses "the input information that was provided when the
    specified change set was created"; whether AWS loads such a template once more was never seen.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ExecuteChangeSet.html
    """
    bucket = store.open_bucket(run.access, run.published.bucket)
    loaded = set(_list_loaded(run.job.templates, templates.MASTER, "", unloaded))
    files = {file.key: file.sha256 for file in run.release.files if file.name in loaded}
    releases.verify(bucket, files)


def _list_loaded(
    folder: Mapping[str, Template], name: str, path: str, unloaded: frozenset[str]
) -> Iterator[str]:
    """Yield the file of the stack at a path and of all nested in it, but for what is not loaded."""
    yield name
    for child in templates.children(folder[name]):
        below = join(path, child.logical_id)
        if below not in unloaded:
            yield from _list_loaded(folder, child.file, below, unloaded)


def console_link(job: Job, published: Published) -> str:
    """Return the link that creates a job's stack in the console with one click.

    Links are printed and passed on, so values of NoEcho parameters are left to be typed.
    """
    declared = job.templates[templates.MASTER].parameters
    return store.quick_create_url(
        published.master_url,
        region=job.region,
        stack_name=job.stack_name,
        parameters=parameters.without_secrets(jobs.fill_in(job, published.bucket), declared),
    )
