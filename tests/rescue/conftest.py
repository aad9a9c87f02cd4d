"""An emulator that is emptied for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lib.deploy import publishing
from tests.emulator.cloud import reset, serving
from tests.rescue.stage import Stage


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(watched=False) as endpoint:
        yield endpoint


@pytest.fixture
def stage(server: str, monkeypatch: pytest.MonkeyPatch) -> Stage:
    # The linter reads files, and takes seconds; these templates are texts.
    monkeypatch.setattr(publishing, "require_clean", lambda *_: None)
    reset(server)
    return Stage(server)
