"""Build releases from templates and publish them, immutable, to the templates bucket.

Every template lies under its own content digest, so that an unchanged child keeps its URL
and CloudFormation sees it as unchanged. A release is named after the digest of its master,
whose TemplateURLs carry the digests of its children, theirs of their children, and so on:
one name stands for the whole set.

    templates/<digest>/network-stack.yaml
    releases/<release>/master-stack.yaml
    releases/<release>/manifest.json       written last: without it there is no release
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lib import outside
from lib.errors import NotOurs, TemplateError
from lib.parallel import side_by_side
from lib.refusals import error_code
from lib.releases import store
from lib.releases.store import Bucket
from lib.stacks.stacks import mangle
from lib.templates import templates
from lib.templates.templates import STACK_TYPE, Template

if TYPE_CHECKING:
    import yaml

#: Hex digits of a SHA-256 that make a name.
NAME_LENGTH = 12

_MANIFEST = "manifest.json"

#: How often an upload is sent again when S3 says that another one of the same key is under way.
_CONFLICTS_AT_MOST = 5


@dataclass(frozen=True)
class File:
    """One object of a release: key, bytes and their SHA-256 in hex."""

    name: str
    key: str
    content: bytes
    sha256: str


@dataclass(frozen=True)
class Release:
    """A set of templates as it will be published. `files` ends with the master."""

    name: str
    digest: str
    files: tuple[File, ...]

    @property
    def master_key(self) -> str:
        """Return the key of the published master."""
        return self.files[-1].key

    @property
    def checksums(self) -> Mapping[str, str]:
        """Return the SHA-256 of every file in hex, by its key."""
        return {file.key: file.sha256 for file in self.files}

    @property
    def manifest_key(self) -> str:
        """Return the key of the manifest."""
        return f"releases/{self.name}/{_MANIFEST}"


@dataclass(frozen=True)
class Manifest:
    """What a published release says of itself. `files` maps keys to SHA-256 in hex."""

    release: str
    digest: str
    files: Mapping[str, str]
    commit: str
    time: str
    by: str


@dataclass(frozen=True)
class Published:
    """What publishing did. `uploaded` and `unchanged` count the release's templates."""

    bucket: str
    region: str
    release: str
    uploaded: int
    unchanged: int
    master_url: str


def build(folder: Mapping[str, Template], *, master: str = templates.MASTER) -> Release:
    """Turn a folder of templates into a release.

    Children's file names in TemplateURLs are replaced by their digest keys, children of
    children first; nothing else differs, so the master in the repository stays deployable
    by hand. Templates that the master does not reach are no part of the release. Raises
    `TemplateError` for a missing file or a circle.
    """
    if master not in folder:
        raise TemplateError(f"There is no {master} among the templates.")
    files: dict[str, File] = {}

    def publishable(name: str, trail: tuple[str, ...]) -> bytes:
        if name in trail:
            raise TemplateError(f"Templates nest in a circle: {' > '.join([*trail, name])}.")
        template = folder[name]
        for file in dict.fromkeys(child.file for child in templates.children(template)):
            if file not in folder:
                raise TemplateError(f"{name} loads {file or 'a child'}, which does not exist.")
            if file not in files:
                files[file] = _file(file, publishable(file, (*trail, name)))
        return _point_at(template, {file: files[file].key for file in files}).encode()

    content = publishable(master, ())
    digest = _digest(content)
    name = digest[:NAME_LENGTH]
    top = File(master, f"releases/{name}/{master}", content, digest)
    return Release(name, digest, (*files.values(), top))


def texts_by_key(folder: Mapping[str, Template]) -> dict[str, str]:
    """Return the texts of a folder's templates by the key that each is published under.

    Empty where the templates make no release. A deployed stack that was loaded from one of these
    keys has this text, and AWS need not be asked for it.
    """
    try:
        return {file.key: file.content.decode() for file in build(folder).files}
    except TemplateError:
        return {}


def name_of(master: str) -> str:
    """Return the name of the release that a published master's text is."""
    return _digest(master.encode())[:NAME_LENGTH]


def identify(bucket: Bucket, master: str) -> tuple[str, ...]:
    """Return the names of the releases that a deployed master's text may be, best first.

    Mostly the one that its digest names. Where characters beyond ASCII may have come back as
    `?`, each published master that would come back as this very text; none without a text.
    """
    if not master:
        return ()
    name = name_of(master)
    if "?" not in master:
        return (name,)
    listed = bucket.list_objects("releases/")
    keys = [key for key, _ in listed if key.endswith(f"/{templates.MASTER}")]
    if f"releases/{name}/{templates.MASTER}" in keys:
        return (name,)

    def reads_so(key: str) -> bool:
        content = bucket.read_object(key)
        return content is not None and mangle(content.decode(errors="replace")) == master

    same = side_by_side(reads_so, keys, at_once=store.AT_ONCE)
    return tuple(key.split("/")[1] for key, is_same in zip(keys, same, strict=True) if is_same) or (
        name,
    )


def _digest(content: bytes) -> str:
    return outside.digest(content)


def _file(name: str, content: bytes) -> File:
    digest = _digest(content)
    return File(name, f"templates/{digest[:NAME_LENGTH]}/{name}", content, digest)


def _point_at(template: Template, keys: Mapping[str, str]) -> str:
    """Replace the file name at the end of every TemplateURL by the child's key.

    Works on the places where the YAML reader found the URLs, so that the same name in a
    comment, a description or another property stays.
    """
    text = template.text
    # From the end, so that the places before stay where they are.
    for start, end in sorted(_url_places(template), reverse=True):
        url = text[start:end].rstrip().rstrip("'\"")
        file = templates.child_file(url)
        head = url.removesuffix(file)
        if file not in keys or not head.endswith(("/", "}")):
            raise TemplateError(
                f"{template.name}:{text.count(chr(10), 0, start) + 1}: a TemplateURL has to end "
                "in /FILE or ${Prefix}FILE, on one line."
            )
        text = text[: start + len(head)] + keys[file] + text[start + len(url) :]
    return text


def _url_places(template: Template) -> Iterator[tuple[int, int]]:
    """Yield where in the text each TemplateURL begins and ends."""
    import yaml

    if not templates.children(template):
        return
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    root = yaml.compose(template.text, Loader=loader)
    for _, resource in _entries(_entry(root, "Resources")):
        kind = _entry(resource, "Type")
        url = _entry(_entry(resource, "Properties"), "TemplateURL")
        if kind is None or kind.value != STACK_TYPE or url is None:
            continue
        # The long form of Sub, then the form with a list of values.
        url = _entry(url, "Fn::Sub") or url
        if isinstance(url, yaml.SequenceNode):
            url = url.value[0]
        yield url.start_mark.index, url.end_mark.index


def _entries(node: yaml.Node | None) -> Sequence[tuple[yaml.Node, yaml.Node]]:
    """Return the keys and values of a mapping, none for anything else."""
    import yaml

    return node.value if isinstance(node, yaml.MappingNode) else ()


def _entry(node: yaml.Node | None, name: str) -> yaml.Node | None:
    return next((value for key, value in _entries(node) if key.value == name), None)


def find(bucket: Bucket, name: str) -> Manifest | None:
    """Return a published release's manifest, or None when there is no such release.

    Raises `NotOurs` for another account's bucket, and for what no release of this tool is.
    """
    key = f"releases/{name}/{_MANIFEST}"
    try:
        content = bucket.read_object(key)
    except ClientError as exc:
        if error_code(exc) == "NoSuchBucket":
            return None
        raise bucket.explain(exc) from exc
    if content is None:
        return None
    manifest = _read_manifest(content, key)
    if not _is_whole(manifest, name):
        raise _strange_manifest(key)
    return manifest


def _is_whole(manifest: Manifest, name: str) -> bool:
    """Tell whether a manifest's digests are those that its release and its keys are named by."""
    masters = [digest for key, digest in manifest.files.items() if key.startswith("releases/")]
    return (
        manifest.release == name
        and masters == [manifest.digest]
        and manifest.digest.startswith(name)
        and all(
            Path(key).parent.name == digest[:NAME_LENGTH] for key, digest in manifest.files.items()
        )
    )


def _read_manifest(content: bytes, key: str) -> Manifest:
    """Read a manifest, refusing one that is not what this tool writes."""
    try:
        document = json.loads(content)
        return Manifest(
            release=str(document["release"]),
            digest=str(document["digest"]),
            files={str(file["key"]): str(file["sha256"]) for file in document["files"]},
            commit=str(document["commit"]),
            time=str(document["time"]),
            by=str(document["by"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _strange_manifest(key) from None


def _strange_manifest(key: str) -> NotOurs:
    """Refuse what stands in a manifest's place."""
    return NotOurs(
        f"{key} is not a manifest of this tool; somebody else wrote it.",
        next_step="Look at the object's versions in the bucket and delete the strange one.",
    )


def list_published(bucket: Bucket) -> frozenset[str]:
    """Return the keys of every template published so far; none when there is no bucket."""
    return frozenset(key for key, _ in bucket.list_objects("templates/"))


def publish(
    bucket: Bucket,
    release: Release,
    *,
    published: frozenset[str],
    commit: str,
    now: datetime,
    by: str,
) -> int:
    """Upload what is missing of a release, its manifest last; return the templates uploaded.

    `published` holds the keys known to exist. Safe to run twice and from two machines at
    once: every object is written only where there is none, with its SHA-256, and what is
    there already must have the same. Raises `NotOurs` when it has not.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    *children, master = release.files
    missing = [file for file in children if file.key not in published]
    put = functools.partial(put_once, bucket)
    wrote = [*side_by_side(put, missing, at_once=store.AT_ONCE), put(master)]
    put(_write_manifest(release, commit, now, by), exact=False)
    return sum(wrote)


def _write_manifest(release: Release, commit: str, now: datetime, by: str) -> File:
    """Describe a release: files, digests, git commit, time, who."""
    document = {
        "release": release.name,
        "digest": release.digest,
        "files": [{"key": file.key, "sha256": file.sha256} for file in release.files],
        "commit": commit,
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "by": by,
    }
    content = json.dumps(document, indent=2).encode() + b"\n"
    return File(_MANIFEST, release.manifest_key, content, _digest(content))


#: The content type of what is published, by the end of its name.
_KINDS = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".zip": "zip"}


def put_once(bucket: Bucket, file: File, *, exact: bool = True) -> bool:
    """Write an object unless it exists, and tell whether it was written.

    With `exact`, an object that exists must hold the same bytes.
    """
    kind = f"application/{_KINDS[Path(file.name).suffix]}"
    for attempt in range(1, _CONFLICTS_AT_MOST + 1):
        try:
            bucket.s3.put_object(
                Bucket=bucket.name,
                Key=file.key,
                Body=file.content,
                ContentType=kind,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=_checksum(file.sha256),
                IfNoneMatch="*",
                ExpectedBucketOwner=bucket.owner,
            )
            return True
        except ClientError as exc:
            code = error_code(exc)
            if code in ("PreconditionFailed", "412"):
                break
            # Another upload of the same key is under way. It may still fail, so ask again.
            if code != "ConditionalRequestConflict" or attempt == _CONFLICTS_AT_MOST:
                raise bucket.explain(exc) from exc
    if exact:
        verify(bucket, {file.key: file.sha256})
    return False


def _checksum(sha256: str) -> str:
    """Return a hex digest in the base64 that S3 takes."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def verify(bucket: Bucket, files: Mapping[str, str]) -> None:
    """Check that published objects still hold the bytes they were published with.

    `files` maps keys to SHA-256 in hex. S3 keeps the checksum that each object was written
    with; objects written some other way are read and hashed. Raises `NotOurs` naming every
    object that differs or is gone.
    """

    def fault_of(item: tuple[str, str]) -> str:
        key, expected = item
        stored = _read_checksum(bucket, key)
        if stored is None:
            return f"{key} is gone"
        return "" if stored == _checksum(expected) else f"{key} holds other bytes than published"

    found = side_by_side(fault_of, files.items(), at_once=store.AT_ONCE)
    if faults := [fault for fault in found if fault]:
        raise NotOurs(
            f"A release in {bucket.name} has been tampered with: {'; '.join(faults)}.",
            next_step="Find out who wrote it (the bucket keeps every version), restore the first "
            "version of the object, then run the same command again.",
        )


def _read_checksum(bucket: Bucket, key: str) -> str | None:
    """Return an object's SHA-256 in base64, or None when there is no object."""
    try:
        head = bucket.s3.head_object(
            Bucket=bucket.name, Key=key, ChecksumMode="ENABLED", ExpectedBucketOwner=bucket.owner
        )
    except ClientError as exc:
        if error_code(exc) in ("404", "NoSuchKey"):
            return None
        raise
    if "ChecksumSHA256" in head:
        return head["ChecksumSHA256"]
    content = bucket.read_object(key)
    return None if content is None else _checksum(_digest(content))


def as_release(files: Mapping[str, str]) -> Release:
    """Return a published release as if it had just been built; its bytes stay in the bucket.

    `files` maps keys to SHA-256 in hex, as a manifest does.
    """
    ordered = sorted(files.items(), key=lambda item: item[0].startswith("releases/"))
    digest = ordered[-1][1]
    found = (File(key.rsplit("/", 1)[-1], key, b"", sha256) for key, sha256 in ordered)
    return Release(digest[:NAME_LENGTH], digest, tuple(found))


def read_templates(bucket: Bucket, manifest: Manifest) -> dict[str, Template]:
    """Read a published release back, by file name, checking every digest."""

    def read(item: tuple[str, str]) -> Template:
        key, expected = item
        content = bucket.read_object(key)
        if content is None:
            raise NotOurs(f"{key} is gone from {bucket.name}, so the release is not whole.")
        if _digest(content) != expected:
            raise NotOurs(f"{key} in {bucket.name} does not hold the bytes that were published.")
        return templates.parse(Path(key).name, content.decode())

    found = side_by_side(read, manifest.files.items(), at_once=store.AT_ONCE)
    return {template.name: template for template in found}
