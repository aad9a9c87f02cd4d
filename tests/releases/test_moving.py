"""What refactors have moved is remembered until an update has told the parents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lib.releases import moving
from lib.releases.store import Bucket
from tests.support.aws_fakes import ACCOUNT

STACK = "app"


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with mock_aws():
        s3: Any = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="releases")
        yield Bucket(s3, "releases", ACCOUNT)


def test_one_move_after_another_is_remembered_and_all_are_forgotten_at_once(bucket: Bucket) -> None:
    assert moving.read(bucket, STACK) == {}
    moving.note(bucket, STACK, {"Two/Jobs": "One/Jobs"})
    moving.note(bucket, STACK, {"Two/Notes": "One/Notes"})
    assert moving.read(bucket, STACK) == {"Two/Jobs": "One/Jobs", "Two/Notes": "One/Notes"}
    assert moving.read(bucket, "another") == {}
    moving.forget(bucket, STACK)
    moving.forget(bucket, STACK)
    assert moving.read(bucket, STACK) == {}


@pytest.mark.parametrize("content", [b"?", b"[]", b"null", b"\xff"])
def test_what_is_none_of_ours_stops_nobody(bucket: Bucket, content: bytes) -> None:
    bucket.s3.put_object(Bucket=bucket.name, Key=moving.key_of(STACK), Body=content)
    assert moving.read(bucket, STACK) == {}
    moving.note(bucket, STACK, {"Two/Jobs": "One/Jobs"})
    assert moving.read(bucket, STACK) == {"Two/Jobs": "One/Jobs"}
