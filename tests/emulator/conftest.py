"""One amended and one plain emulator for the tests of a file, emptied for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.emulator.cloud import Cloud, reset, serving


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving() as endpoint:
        yield endpoint


@pytest.fixture
def cloud(server: str) -> Cloud:
    reset(server)
    return Cloud(server)


@pytest.fixture(scope="module")
def plain_server() -> Iterator[str]:
    with serving("--plain") as endpoint:
        yield endpoint


@pytest.fixture
def upstream(plain_server: str) -> Cloud:
    reset(plain_server)
    return Cloud(plain_server)
