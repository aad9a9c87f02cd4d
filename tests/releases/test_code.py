"""An application's archive is published once, under its digest, and never replaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from lib.errors import NotOurs
from lib.inputs.artifacts import Archive, Artifacts
from lib.releases import code
from tests.support import aws_fakes
from tests.support.aws_fakes import Call, intercept, operations
from tests.support.factories import REPOSITORY, bucket

ARCHIVE = Artifacts(REPOSITORY / "tests" / "support" / "artifacts" / "api").archive
assert ARCHIVE


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = aws_fakes.client("s3")
        client.create_bucket(Bucket=bucket(client).name)
        yield client


def publish(s3: Any, archive: Archive | None = ARCHIVE) -> tuple[bool, list[Call]]:
    assert archive
    calls = intercept(s3)
    return code.publish(bucket(s3), archive), calls


def test_an_archive_is_written_where_there_is_none_with_its_checksum(s3: Any) -> None:
    assert ARCHIVE
    uploaded, calls = publish(s3)
    assert uploaded
    [put] = [call.arguments for call in calls if call.operation == "PutObject"]
    assert (put["Key"], put["IfNoneMatch"], put["ContentType"]) == (
        f"code/{ARCHIVE.sha256[:12]}/application.zip",
        "*",
        "application/zip",
    )
    assert put["ChecksumSHA256"]
    found = s3.get_object(Bucket=put["Bucket"], Key=put["Key"])
    assert found["Body"].read() == ARCHIVE.content


def test_an_archive_that_is_there_is_not_sent_again(s3: Any) -> None:
    publish(s3)
    uploaded, calls = publish(s3)
    assert not uploaded
    assert "PutObject" not in operations(calls)


def test_other_bytes_under_the_key_are_refused(s3: Any) -> None:
    assert ARCHIVE
    s3.put_object(Bucket=bucket(s3).name, Key=ARCHIVE.key, Body=b"somebody else's")
    with pytest.raises(NotOurs, match="holds other bytes than published"):
        publish(s3)
