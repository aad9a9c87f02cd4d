"""A release is named by all that is in it, appears whole or not at all, and never changes."""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lib.errors import NotOurs, TemplateError
from lib.inputs import jobs
from lib.releases import releases, store
from lib.stacks.stacks import mangle
from lib.templates import templates
from lib.templates.templates import Template
from tests.support.aws_fakes import ACCOUNT, START, client, intercept, operations, refusal
from tests.support.factories import bucket

ROOT = Path(__file__).resolve().parents[2]
BUCKET = jobs.bucket_name(ACCOUNT, "us-east-1")
TAGS = {"Project": "plot-palette"}

LEAF = "Resources: {Topic: {Type: 'AWS::SNS::Topic'}}\n"


def nesting(*files: str, before: str = "https://s3/${Prefix}") -> str:
    lines = ["Resources:"]
    for number, file in enumerate(files):
        lines += [
            f"  C{number}:",
            "    Type: AWS::CloudFormation::Stack",
            "    Properties:",
            f"      TemplateURL: !Sub {before}{file}",
        ]
    return "\n".join([*lines, ""])


def folder(**texts: str) -> dict[str, Template]:
    named = {f"{name.replace('_', '-')}.yaml": text for name, text in texts.items()}
    return {name: templates.parse(name, text) for name, text in named.items()}


def three(leaf: str = LEAF) -> dict[str, Template]:
    """Return a master over a child over a grandchild, and a second child."""
    return folder(
        master_stack=nesting("child.yaml", "other.yaml"),
        child=nesting("leaf.yaml"),
        other=LEAF,
        leaf=leaf,
    )


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def publish(s3: Any, release: releases.Release, published: frozenset[str] = frozenset()) -> int:
    return releases.publish(
        bucket(s3),
        release,
        published=published,
        commit="c0ffee",
        now=START,
        by="arn:aws:iam::123456789012:user/ann",
    )


def keys(s3: Any) -> set[str]:
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


# Building


def test_every_child_lies_under_the_digest_of_its_own_published_bytes() -> None:
    release = releases.build(three())
    assert [file.name for file in release.files] == [
        "leaf.yaml",
        "child.yaml",
        "other.yaml",
        "master-stack.yaml",
    ]
    for file in release.files[:-1]:
        assert file.sha256 == sha(file.content)
        assert file.key == f"templates/{file.sha256[:12]}/{file.name}"


def test_a_release_is_named_by_the_digest_of_its_published_master() -> None:
    release = releases.build(three())
    assert release.digest == sha(release.files[-1].content)
    assert release.name == release.digest[:12]
    assert release.name == releases.name_of(release.files[-1].content.decode())
    assert release.master_key == f"releases/{release.name}/master-stack.yaml"
    assert release.manifest_key == f"releases/{release.name}/manifest.json"


def test_a_changed_grandchild_changes_the_name_and_its_own_line_of_parents_only() -> None:
    before = {file.name: file.key for file in releases.build(three()).files}
    after = {file.name: file.key for file in releases.build(three(LEAF + "# new\n")).files}
    assert {name for name in before if before[name] != after[name]} == {
        "leaf.yaml",
        "child.yaml",
        "master-stack.yaml",
    }


def test_templates_that_the_master_does_not_reach_are_no_part_of_a_release() -> None:
    more = {**three(), **folder(unused=LEAF)}
    assert releases.build(more) == releases.build(three())


def test_in_the_applications_templates_only_file_names_at_the_end_of_urls_change() -> None:
    application = templates.read_folder(ROOT / "infrastructure" / "cloudformation")
    release = releases.build(application)
    by_name = {file.name: file for file in release.files}
    assert set(by_name) == set(application) - {
        "deploy-role.yaml",
        "service-role.yaml",
    }  # nothing reaches it
    for name, file in by_name.items():
        before = application[name].text.splitlines()
        after = file.content.decode().splitlines()
        changed = [
            line
            for line in difflib.unified_diff(before, after, n=0, lineterm="")
            if line[0] in "+-" and line[:3] not in ("+++", "---")
        ]
        children = templates.children(application[name])
        assert len(changed) == 2 * len(children)
        for child in children:
            assert file.content.decode().count(by_name[child.file].key) == 1
        restored = file.content.decode()
        for child in children:
            restored = restored.replace(by_name[child.file].key, child.file)
        assert restored == application[name].text


def published_master(text: str, **others: str) -> tuple[str, str]:
    """Return a published master and the key of its child."""
    release = releases.build(folder(master_stack=text, **{"child": LEAF, **others}))
    child = next(file for file in release.files if file.name == "child.yaml")
    return release.files[-1].content.decode(), child.key


URL_FORMS = {
    "plain": "https://s3/b/{}",
    "quoted": '"https://s3/b/{}"',
    "single quoted, with a comment": "'https://s3/b/{}'  # from child.yaml",
    "short Sub": "!Sub https://s3/${{B}}/${{Prefix}}{}",
    "short Sub, quoted": "!Sub 'https://s3/${{B}}/${{Prefix}}{}'",
    "long Sub": "{{'Fn::Sub': 'https://s3/${{Prefix}}{}'}}",
    "Sub with values": "!Sub ['https://s3/${{B}}/{}', {{B: child.yaml}}]",
    "block": "!Sub >-\n        https://s3/${{Prefix}}{}",
}


@pytest.mark.parametrize("form", URL_FORMS.values(), ids=URL_FORMS)
def test_a_url_is_pointed_at_its_child_in_every_form_of_yaml(form: str) -> None:
    text = (
        "Description: 'ünïcode ✓: loads /child.yaml and ${{P}}child.yaml'\n"
        "# https://s3/b/child.yaml\n"
        "Resources:\n"
        "  C:\n"
        "    Type: AWS::CloudFormation::Stack\n"
        "    Properties:\n"
        "      Parameters: {{Source: https://s3/b/child.yaml}}\n"
        "      TemplateURL: {}\n"
        "  D: {{Type: 'AWS::SNS::Topic', Properties: {{TemplateURL: /child.yaml}}}}\n"
    )
    master, key = published_master(text.format(form.format("child.yaml")))
    assert master == text.format(form.format(key))


def test_a_json_template_is_pointed_at_its_child() -> None:
    body = {
        "Resources": {
            "C": {
                "Type": "AWS::CloudFormation::Stack",
                "Properties": {"TemplateURL": "https://s3/b/child.yaml"},
            }
        }
    }
    master, key = published_master(json.dumps(body, indent=2))
    url = json.loads(master)["Resources"]["C"]["Properties"]["TemplateURL"]
    assert url == f"https://s3/b/{key}"


def test_a_child_whose_name_ends_like_anothers_keeps_its_own_key() -> None:
    text = nesting("child.yaml", "grand-child.yaml", "child.yaml")
    release = releases.build(folder(master_stack=text, child=LEAF, grand_child=LEAF + "#\n"))
    key = {file.name: file.key for file in release.files}
    assert release.files[-1].content.decode() == nesting(
        key["child.yaml"], key["grand-child.yaml"], key["child.yaml"]
    )


def test_line_ends_stay_as_they_were() -> None:
    text = nesting("child.yaml").replace("\n", "\r\n")
    master, key = published_master(text)
    assert master == text.replace("child.yaml", key)


REFERRED = """\
Resources:
  C: {Type: 'AWS::CloudFormation::Stack', Properties: {TemplateURL: !Ref Url}}
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (nesting("gone.yaml"), "loads gone.yaml, which does not exist"),
        (nesting("child.yaml", before=""), r"master-stack.yaml:5: .* has to end in /FILE"),
        (nesting("child.yaml", before="https://s3/old-"), "loads old-child.yaml"),
        (nesting("child.yaml", before="https://s3/_"), "has to end in /FILE"),
        (REFERRED, "loads a child, which does not exist"),
    ],
)
def test_a_url_that_cannot_be_pointed_is_refused(text: str, says: str) -> None:
    with pytest.raises(TemplateError, match=says):
        releases.build(folder(master_stack=text, child=LEAF))


def test_a_folder_without_a_master_is_refused() -> None:
    with pytest.raises(TemplateError, match=r"no master-stack\.yaml"):
        releases.build(folder(child=LEAF))


def test_templates_that_nest_in_a_circle_are_refused() -> None:
    circle = folder(master_stack=nesting("a.yaml"), a=nesting("b.yaml"), b=nesting("a.yaml"))
    with pytest.raises(TemplateError, match=r"master-stack\.yaml > a\.yaml > b\.yaml > a\.yaml"):
        releases.build(circle)


# Publishing


def test_children_are_written_first_then_the_master_and_the_manifest_last(s3: Any) -> None:
    calls = intercept(s3)
    release = releases.build(three())
    assert publish(s3, release) == 4
    written = [call.arguments["Key"] for call in calls if call.operation == "PutObject"]
    assert set(written[:3]) == {file.key for file in release.files[:-1]}
    assert written[3:] == [release.master_key, release.manifest_key]
    assert len(calls) == 5


def test_every_object_is_written_with_its_checksum_only_where_there_is_none(s3: Any) -> None:
    calls = intercept(s3)
    release = releases.build(three())
    publish(s3, release)
    for call in calls:
        given = call.arguments
        digest = base64.b64encode(hashlib.sha256(given["Body"]).digest()).decode()
        assert given["ChecksumSHA256"] == digest
        assert given["IfNoneMatch"] == "*"
        assert given["ExpectedBucketOwner"] == ACCOUNT
        kind = "json" if given["Key"].endswith(".json") else "yaml"
        assert given["ContentType"] == f"application/{kind}"


def test_a_published_release_is_found_with_all_that_its_manifest_says(s3: Any) -> None:
    release = releases.build(three())
    publish(s3, release)
    assert releases.find(bucket(s3), release.name) == releases.Manifest(
        release.name,
        release.digest,
        release.checksums,
        "c0ffee",
        "2026-11-20T09:00:00Z",
        "arn:aws:iam::123456789012:user/ann",
    )


def test_a_release_that_is_there_costs_one_call_to_find(s3: Any) -> None:
    release = releases.build(three())
    publish(s3, release)
    calls = intercept(s3)
    assert releases.find(bucket(s3), release.name)
    assert operations(calls) == ["GetObject"]


def test_only_what_is_new_is_uploaded(s3: Any) -> None:
    publish(s3, releases.build(three()))
    published = releases.list_published(bucket(s3))
    newer = releases.build(three(LEAF + "# new\n"))
    calls = intercept(s3)
    assert publish(s3, newer, published) == 3
    assert "other.yaml" not in "".join(str(call.arguments["Key"]) for call in calls)


def test_publishing_the_same_twice_changes_nothing(s3: Any) -> None:
    release = releases.build(three())
    publish(s3, release)
    first = releases.find(bucket(s3), release.name)
    before = keys(s3)
    assert publish(s3, release, releases.list_published(bucket(s3))) == 0
    assert keys(s3) == before
    assert releases.find(bucket(s3), release.name) == first


def test_a_run_cut_off_at_any_call_leaves_no_release_and_the_next_makes_it_whole() -> None:
    release = releases.build(three())
    for position in range(5):
        with mock_aws():
            s3 = client("s3")
            s3.create_bucket(Bucket=BUCKET)
            cut_off_at(s3, position)
            with pytest.raises(ClientError, match="InternalError"):
                publish(s3, release)
            assert releases.find(bucket(client("s3")), release.name) is None
            other = client("s3")
            publish(other, release, releases.list_published(bucket(other)))
            assert keys(other) == {*(file.key for file in release.files), release.manifest_key}
            assert releases.find(bucket(other), release.name)


def cut_off_at(s3: Any, position: int) -> None:
    """Let every PutObject from one position on fail."""
    count = iter(range(100))
    lock = threading.Lock()

    def answer(operation: str, _arguments: Mapping[str, Any]) -> None:
        with lock:
            if operation == "PutObject" and next(count) >= position:
                raise refusal("InternalError", operation=operation, status=500)

    intercept(s3, answer)


def test_two_publishers_at_once_both_end_well_with_one_release(s3: Any) -> None:
    release = releases.build(three())
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(publish, client("s3"), release) for _ in range(2)]
        wrote = [run.result() for run in runs]
    assert keys(s3) == {*(file.key for file in release.files), release.manifest_key}
    # moto looks and writes in two steps, so that both may believe to have written.
    assert 4 <= sum(wrote) <= 8


def test_an_upload_that_crosses_another_is_sent_again(s3: Any) -> None:
    release = releases.build(folder(master_stack=LEAF))
    conflicts = [refusal("ConditionalRequestConflict", operation="PutObject", status=409)] * 2

    def answer(_operation: str, _arguments: Mapping[str, Any]) -> None:
        if conflicts:
            raise conflicts.pop()

    calls = intercept(s3, answer)
    assert publish(s3, release) == 1
    assert [call.arguments["Key"] for call in calls] == [release.master_key] * 3 + [
        release.manifest_key
    ]


def test_an_upload_that_crosses_others_for_ever_leaves_no_release(s3: Any) -> None:
    release = releases.build(folder(master_stack=LEAF))

    def answer(operation: str, _arguments: Mapping[str, Any]) -> None:
        if operation == "PutObject":
            raise refusal("ConditionalRequestConflict", operation=operation, status=409)

    intercept(s3, answer)
    with pytest.raises(ClientError, match="ConditionalRequestConflict"):
        publish(s3, release)
    assert releases.find(bucket(s3), release.name) is None


def test_other_bytes_under_a_releases_key_are_refused(s3: Any) -> None:
    release = releases.build(three())
    s3.put_object(Bucket=BUCKET, Key=release.files[0].key, Body=b"strange")
    with pytest.raises(NotOurs, match=r"leaf\.yaml holds other bytes than published"):
        publish(s3, release)
    assert releases.find(bucket(s3), release.name) is None


def test_without_a_bucket_nothing_is_published() -> None:
    with mock_aws():
        s3 = client("s3")
        assert releases.list_published(bucket(s3)) == frozenset()
        assert releases.find(bucket(s3), "0123456789ab") is None


def test_every_page_of_published_templates_is_read() -> None:
    s3 = client("s3")
    pages: list[dict[str, Any]] = [
        {
            "Contents": [{"Key": "templates/a/x.yaml", "LastModified": START}],
            "IsTruncated": True,
            "NextContinuationToken": "n",
        },
        {"Contents": [{"Key": "templates/b/y.yaml", "LastModified": START}], "IsTruncated": False},
    ]
    calls = intercept(s3, lambda _operation, _arguments: pages.pop(0))
    found = releases.list_published(bucket(s3))
    assert found == {"templates/a/x.yaml", "templates/b/y.yaml"}
    assert [call.arguments["ExpectedBucketOwner"] for call in calls] == [ACCOUNT] * 2


# Tampering


def test_an_intact_release_is_verified_without_reading_its_objects(s3: Any) -> None:
    release = releases.build(three())
    publish(s3, release)
    calls = intercept(s3)
    releases.verify(bucket(s3), release.checksums)
    assert operations(calls) == ["HeadObject"] * 4
    assert {call.arguments["ExpectedBucketOwner"] for call in calls} == {ACCOUNT}


def test_objects_that_were_changed_or_removed_are_all_named(s3: Any) -> None:
    release = releases.build(three())
    publish(s3, release)
    leaf, child = release.files[:2]
    s3.put_object(Bucket=BUCKET, Key=leaf.key, Body=b"strange", ChecksumAlgorithm="SHA256")
    s3.delete_object(Bucket=BUCKET, Key=child.key)
    with pytest.raises(NotOurs) as caught:
        releases.verify(bucket(s3), release.checksums)
    assert f"{leaf.key} holds other bytes than published" in caught.value.message
    assert f"{child.key} is gone" in caught.value.message
    assert release.master_key not in caught.value.message
    assert caught.value.exit_code == 3


def test_an_object_without_a_checksum_is_read_and_hashed(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="templates/x/a.yaml", Body=b"text")
    calls = intercept(s3, without_checksum)
    releases.verify(bucket(s3), {"templates/x/a.yaml": sha(b"text")})
    assert operations(calls) == ["HeadObject", "GetObject"]
    with pytest.raises(NotOurs, match="holds other bytes"):
        releases.verify(bucket(s3), {"templates/x/a.yaml": sha(b"other")})


def test_an_object_that_goes_between_two_looks_is_gone(s3: Any) -> None:
    intercept(s3, without_checksum)
    with pytest.raises(NotOurs, match=r"templates/x/a\.yaml is gone"):
        releases.verify(bucket(s3), {"templates/x/a.yaml": sha(b"text")})


def without_checksum(operation: str, _arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return {"ContentLength": 4} if operation == "HeadObject" else None


def test_a_refused_look_at_an_object_is_not_taken_for_tampering() -> None:
    s3 = client("s3")
    intercept(s3, denying("403"))
    with pytest.raises(ClientError, match="403"):
        releases.verify(bucket(s3), {"k": sha(b"")})


def denying(code: str = "AccessDenied") -> Any:
    def answer(operation: str, _arguments: Mapping[str, Any]) -> None:
        raise refusal(code, "Access Denied", operation, 403)

    return answer


def test_a_release_is_read_back_as_it_was_published(s3: Any) -> None:
    release = releases.build(three())
    publish(s3, release)
    found = releases.find(bucket(s3), release.name)
    assert found is not None
    read = releases.read_templates(bucket(s3), found)
    assert {name: template.text for name, template in read.items()} == {
        file.name: file.content.decode() for file in release.files
    }


def test_a_template_that_is_gone_is_not_read_back(s3: Any) -> None:
    release = releases.build(three())
    publish(s3, release)
    found = releases.find(bucket(s3), release.name)
    assert found is not None
    s3.delete_object(Bucket=BUCKET, Key=release.files[0].key)
    with pytest.raises(NotOurs, match=f"{release.files[0].key} is gone from {BUCKET}"):
        releases.read_templates(bucket(s3), found)


def test_a_manifest_s_files_are_a_release_whose_bytes_stay_where_they_are(s3: Any) -> None:
    release = releases.build(three())
    shuffled = dict(sorted(release.checksums.items(), reverse=True))
    read = releases.as_release(shuffled)
    assert (read.name, read.digest) == (release.name, release.digest)
    assert (read.master_key, read.manifest_key) == (release.master_key, release.manifest_key)
    assert read.checksums == release.checksums
    assert {file.name for file in read.files} == {file.name for file in release.files}
    assert {file.content for file in read.files} == {b""}


# Which release a deployed master is


def comment(text: str) -> releases.Release:
    return releases.build(folder(master_stack=f"# {text}\n{LEAF}"))


def test_a_deployed_master_is_the_release_that_its_digest_names_without_a_call(s3: Any) -> None:
    calls = intercept(s3)
    assert releases.identify(bucket(s3), "") == ()
    assert releases.identify(bucket(s3), LEAF) == (releases.name_of(LEAF),)
    assert calls == []


def test_question_marks_of_the_author_s_name_the_release_that_has_them(s3: Any) -> None:
    asking, dashed = comment("one ? two"), comment("one \u2013 two")
    publish(s3, asking)
    publish(s3, dashed)
    text = asking.files[-1].content.decode()
    assert releases.identify(bucket(s3), text) == (asking.name,)


def test_characters_beyond_ascii_name_every_release_that_would_come_back_so(s3: Any) -> None:
    dashed, curly, plain = (comment(c) for c in ("one \u2013 two", "one \u201c two", "one two"))
    for one in (dashed, curly, plain):
        publish(s3, one)
    s3.put_object(Bucket=BUCKET, Key="releases/x/master-stack.yaml", Body=b"\xff\xfe")
    text = mangle(dashed.files[-1].content.decode())
    assert set(releases.identify(bucket(s3), text)) == {dashed.name, curly.name}
    # Nobody published it: its own digest is the best name there is.
    other = text.replace("one", "three")
    assert releases.identify(bucket(s3), other) == (releases.name_of(other),)


def test_a_master_that_was_removed_after_it_was_listed_is_none_that_runs(s3: Any) -> None:
    dashed = comment("one \u2013 two")
    publish(s3, dashed)
    text = mangle(dashed.files[-1].content.decode())

    def gone(operation: str, _arguments: Mapping[str, Any]) -> None:
        if operation == "GetObject":
            raise refusal("NoSuchKey", operation=operation, status=404)

    intercept(s3, gone)
    assert releases.identify(bucket(s3), text) == (releases.name_of(text),)


def test_the_texts_of_templates_are_known_by_the_keys_they_are_published_under() -> None:
    release = releases.build(three())
    assert releases.texts_by_key(three()) == {
        file.key: file.content.decode() for file in release.files
    }
    assert releases.texts_by_key(folder(master_stack=nesting("gone.yaml"))) == {}


def test_a_tampered_template_is_not_read_back(s3: Any) -> None:
    release = releases.build(three())
    publish(s3, release)
    found = releases.find(bucket(s3), release.name)
    assert found is not None
    s3.put_object(Bucket=BUCKET, Key=release.files[0].key, Body=LEAF.encode() + b"# more\n")
    with pytest.raises(NotOurs, match="does not hold the bytes"):
        releases.read_templates(bucket(s3), found)


WHOLE = releases.build(three())


def manifest(**changes: Any) -> bytes:
    """Return the manifest of `WHOLE`, with changes."""
    document = {
        "release": WHOLE.name,
        "digest": WHOLE.digest,
        "files": [{"key": file.key, "sha256": file.sha256} for file in WHOLE.files],
        "commit": "",
        "time": "",
        "by": "",
        **changes,
    }
    return json.dumps(document).encode()


STRANGE = {
    "no JSON": b"<html>",
    "no text": b"\xff\xfe",
    "a list": b"[]",
    "nested without end": b"[" * 100_000,
    "files that are none": manifest(files=[1]),
    "files that are null": manifest(files=None),
    "another release's": manifest(release="0" * 12),
    "another master": manifest(digest="0" * 64),
    "no files": manifest(files=[]),
    "a child's digest changed": manifest(
        files=[
            {"key": WHOLE.files[0].key, "sha256": "0" * 64},
            *[{"key": file.key, "sha256": file.sha256} for file in WHOLE.files[1:]],
        ]
    ),
    "a key without folders": manifest(
        files=[
            {"key": "x", "sha256": "0" * 64},
            *[{"key": file.key, "sha256": file.sha256} for file in WHOLE.files],
        ]
    ),
}


def test_the_manifest_that_the_strange_ones_are_made_of_is_accepted(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=WHOLE.manifest_key, Body=manifest())
    assert releases.find(bucket(s3), WHOLE.name)


@pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE)
def test_what_stands_in_a_manifests_place_and_is_none_is_refused(s3: Any, content: bytes) -> None:
    s3.put_object(Bucket=BUCKET, Key=WHOLE.manifest_key, Body=content)
    with pytest.raises(NotOurs, match="is not a manifest of this tool"):
        releases.find(bucket(s3), WHOLE.name)


# Whose bucket


@pytest.mark.parametrize("code", ["AccessDenied", "403"])
def test_a_strangers_bucket_is_refused_before_anything_is_read_or_written(code: str) -> None:
    s3 = client("s3")
    calls = intercept(s3, denying(code))
    attempts = (
        lambda: releases.find(bucket(s3), WHOLE.name),
        lambda: releases.list_published(bucket(s3)),
        lambda: store.ensure_bucket(bucket(s3), region="us-east-1", tags=TAGS),
        lambda: publish(s3, WHOLE),
    )
    for attempt in attempts:
        with pytest.raises(NotOurs, match=f"is not account {ACCOUNT}'s") as caught:
            attempt()
        assert "TemplatesBucketName" in caught.value.next_step
    assert {call.arguments["ExpectedBucketOwner"] for call in calls} == {ACCOUNT}
    made = ("CreateBucket", "PutBucket", "PutPublicAccess")
    assert not [name for name in operations(calls) if name.startswith(made)]


@pytest.mark.parametrize("code", ["ExpiredToken", "SlowDown"])
def test_credentials_and_throttling_are_not_taken_for_a_strangers_bucket(code: str) -> None:
    s3 = client("s3")
    intercept(s3, denying(code))
    with pytest.raises(ClientError, match=code):
        releases.find(bucket(s3), WHOLE.name)
    with pytest.raises(ClientError, match=code):
        releases.list_published(bucket(s3))
    with pytest.raises(ClientError, match=code):
        store.ensure_bucket(bucket(s3), region="us-east-1", tags=TAGS)
