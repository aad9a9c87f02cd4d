"""A bucket to publish to, as moto keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from lib.inputs import jobs
from tests.support.aws_fakes import ACCOUNT, client


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        made = client("s3")
        made.create_bucket(Bucket=jobs.bucket_name(ACCOUNT, "us-east-1"))
        yield made
