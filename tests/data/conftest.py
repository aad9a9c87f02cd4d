"""A DynamoDB of moto's, a wire to it, a clock and an ear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from lib.operators import Progress
from tests.support.aws_fakes import FakeTime
from tests.support.dynamodb_wire import NOW, SESSION, Wire


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        yield SESSION.client("dynamodb")


@pytest.fixture
def wire(dynamodb: Any) -> Wire:
    return Wire(dynamodb)


@pytest.fixture
def passing() -> FakeTime:
    return FakeTime(start=NOW, one_sleeper=True)


@pytest.fixture
def said() -> list[Progress]:
    return []
