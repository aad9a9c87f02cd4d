"""AWS as a list of answers, and a clock that does not wait, for what reads change sets."""

from __future__ import annotations

import pytest

from lib.polling import Clock
from tests.support.answers import Aws


@pytest.fixture
def aws() -> Aws:
    return Aws()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def clock(pauses: list[float]) -> Clock:
    now = [0.0]

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    return Clock(monotonic=lambda: now[0], sleep=sleep)


@pytest.fixture(autouse=True)
def _no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    # Throttled answers are ours to repeat here, not botocore's.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
