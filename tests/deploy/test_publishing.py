"""A job's templates are published once, clean, into a bucket of this account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from moto import mock_aws

from lib import session
from lib.deploy import publishing
from lib.deploy.publishing import Run
from lib.errors import InputError, TemplateError
from lib.inputs import jobs
from lib.inputs.jobs import Job, Options
from lib.releases import releases
from lib.releases.releases import Published
from tests.support import factories
from tests.support.aws_fakes import ACCOUNT, intercept, operations
from tests.support.people import Person

BUCKET = jobs.bucket_name(ACCOUNT, factories.REGION)


@pytest.fixture
def aws() -> Iterator[session.Aws]:
    with mock_aws():
        made = session.connect(factories.REGION)
        # moto takes the condition of the policy, "without TLS", for met, and refuses uploads.
        intercept(
            made.client("s3"), lambda operation, _: {} if operation == "PutBucketPolicy" else None
        )
        yield made


@pytest.fixture
def job(tmp_path: Path) -> Job:
    root = factories.repository(tmp_path)
    return jobs.prepare(root, "staging", factories.REGION, None, flags="--env staging")


def linted(job: Job) -> frozenset[str]:
    """Return every key of a job's release, so that the linter, which takes seconds, is spared."""
    return frozenset(file.key for file in releases.build(job.templates).files)


def test_a_new_release_is_uploaded_into_a_new_bucket_and_told(aws: session.Aws, job: Job) -> None:
    person = Person()
    release, published = publishing.publish(job, person.access(aws), linted=linted(job))
    assert (published.bucket, published.release) == (BUCKET, release.name)
    assert (published.uploaded, published.unchanged) == (1, 0)
    assert published.master_url.endswith(f"/{BUCKET}/{release.master_key}")
    assert person.notes == [
        f"Created the templates bucket {BUCKET}.",
        f"Release {release.name}: 1 new templates in {BUCKET}.",
    ]


def test_a_release_that_is_published_costs_one_read_of_the_bucket(
    aws: session.Aws, job: Job
) -> None:
    first = publishing.publish(job, Person().access(aws), linted=linted(job))
    calls = intercept(aws.client("s3"))
    person = Person()
    second = publishing.publish(job, person.access(aws))
    assert second[0] == first[0]
    assert second[1] == replace(first[1], uploaded=0, unchanged=1)
    assert operations(calls) == ["GetObject"]
    assert person.notes == []


def test_a_bucket_of_ones_own_is_neither_made_nor_hardened(aws: session.Aws, job: Job) -> None:
    declared = "Parameters:\n  TemplatesBucketName: {Type: String, Default: ''}\n"
    master = factories.template(factories.MASTER.replace("Parameters:\n", declared))
    own = replace(
        job,
        templates={"master-stack.yaml": master},
        values={**job.values, "TemplatesBucketName": "mine"},
    )
    s3 = aws.client("s3")
    place = {"LocationConstraint": factories.REGION}
    s3.create_bucket(Bucket="mine", CreateBucketConfiguration=place)
    calls = intercept(s3)
    _, published = publishing.publish(own, Person().access(aws), linted=linted(own))
    assert published.bucket == "mine"
    assert [name for name in operations(calls) if "Bucket" in name] == []


def test_values_that_do_not_fit_are_refused_before_aws_is_asked(job: Job) -> None:
    wrong = replace(job, values={**job.values, "Budget": "1000"})
    with pytest.raises(InputError):
        publishing.publish(wrong, Person().access(session.Aws(None, factories.REGION)))  # type: ignore[arg-type]  # nothing is asked


def test_templates_that_the_linter_objects_to_are_not_published(
    aws: session.Aws, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing.linting, "lint_once", lambda *_, **__: ("E1: no",))
    with pytest.raises(TemplateError, match="cfn-lint found") as caught:
        publishing.publish(job, Person().access(aws))
    assert caught.value.problems == ("E1: no",)
    assert aws.client("s3").list_buckets()["Buckets"] == []


@pytest.mark.parametrize(("preview", "sent"), [(False, "arn:aws:iam::1:role/s"), (True, "")])
def test_what_is_only_previewed_hands_over_no_role(job: Job, preview: bool, sent: str) -> None:
    release = releases.build(job.templates)
    details = releases.Published(BUCKET, factories.REGION, release.name, 0, 1, "https://master")
    run = publishing.Run(
        replace(job, role_arn="arn:aws:iam::1:role/s"),
        Person().access(session.Aws(None, factories.REGION)),  # type: ignore[arg-type]  # nothing is asked
        jobs.Options(preview=preview),
        release,
        details,
        {},
    )
    assert run.request("t").role_arn == sent


NESTED = """
Resources:
  One: {Type: 'AWS::CloudFormation::Stack', Properties: {TemplateURL: 'https://x/one.yaml'}}
  Two: {Type: 'AWS::CloudFormation::Stack', Properties: {TemplateURL: 'https://x/two.yaml'}}
  Again: {Type: 'AWS::CloudFormation::Stack', Properties: {TemplateURL: 'https://x/one.yaml'}}
"""
LEAF = "Resources: {Note: {Type: 'AWS::SSM::Parameter', Properties: {Value: WORD}}}"


@pytest.mark.parametrize(
    ("unloaded", "checked"),
    [
        (frozenset(), {"one.yaml", "two.yaml", "master-stack.yaml"}),
        (frozenset({"Two"}), {"one.yaml", "master-stack.yaml"}),
        # Another nested stack is loaded from the same file.
        (frozenset({"One"}), {"one.yaml", "two.yaml", "master-stack.yaml"}),
        (frozenset({"One", "Again", "Two"}), {"master-stack.yaml"}),
    ],
)
def test_what_aws_has_found_unchanged_is_not_looked_at_again(
    aws: session.Aws, unloaded: frozenset[str], checked: set[str]
) -> None:
    folder = {
        "master-stack.yaml": factories.template(NESTED),
        "one.yaml": factories.template(LEAF, "one.yaml"),
        "two.yaml": factories.template(LEAF.replace("WORD", "two"), "two.yaml"),
    }
    release = releases.build(folder)
    sums = {file.key: releases._checksum(file.sha256) for file in release.files}
    calls = intercept(aws.client("s3"), lambda _, asked: {"ChecksumSHA256": sums[asked["Key"]]})
    published = Published(BUCKET, factories.REGION, release.name, 0, 3, "")
    job = factories.job(templates=folder)
    run = Run(job, Person().access(aws), Options(), release, published, {})
    publishing.require_intact(run, unloaded)
    assert {str(call.arguments["Key"]).rsplit("/", 1)[1] for call in calls} == checked
    assert operations(calls) == ["HeadObject"] * len(checked)


def test_the_application_s_code_is_published_with_the_release(aws: session.Aws, job: Job) -> None:
    person = Person()
    given = jobs.give_artifacts(job, factories.REPOSITORY / "tests/support/artifacts", code="api")
    publishing.publish(given, person.access(aws), linted=linted(job))
    publishing.publish(given, person.access(aws), linted=linted(job))
    archive = given.artifacts.archive
    assert archive
    told = [note for note in person.notes if "Application code" in note]
    assert told == [f"Application code: {archive.key} in {BUCKET}."]
    held = aws.client("s3").get_object(Bucket=BUCKET, Key=archive.key)["Body"].read()
    assert held == archive.content
