"""Keep tests away from the machine they run on: no credentials, no settings, no real AWS."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

_SETTINGS = ("AWS_", "PLOT_PALETTE_")

#: Files that take long, begun first: a worker that begins one last is waited for by the others.
_LONG = (
    "sequences/test_sequences",
    "integration/test_data_guard",
    "integration/test_rollbacks",
    "integration/test_planning",
    "integration/test_recording",
    "integration/test_rescuing",
    "integration/test_interruptions",
    "integration/test_artifacts",
    "integration/test_multi_region",
    "integration/test_refactoring",
    "emulator/test_amendments",
    "rescue/test_switching",
    "rescue/test_adoption",
    "data/test_proving",
    "commands/test_costs",
    "deploy/test_two_operators",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take long before the others, each file's tests together."""

    def place(item: pytest.Item) -> int:
        found = (i for i, name in enumerate(_LONG) if f"tests/{name}." in item.nodeid)
        return next(found, len(_LONG))

    items.sort(key=place)


@pytest.fixture(autouse=True)
def _nobody_s_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Take away what the shell says about AWS, and leave keys that open nothing."""
    for name in list(os.environ):
        if name.startswith(_SETTINGS):
            monkeypatch.delenv(name)
    # Tasks that run inside a test log there, not into the repository.
    monkeypatch.setenv("PLOT_PALETTE_LOG_FOLDER", str(tmp_path_factory.getbasetemp() / "logs"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    # Tables fold to the terminal's width.
    monkeypatch.setenv("COLUMNS", "80")
    # Nor do they find a session of somebody's there, or keep one.
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp() / "home"))


@pytest.fixture(autouse=True)
def _interruptions() -> Iterator[None]:
    """Give the signals back that a task inside a test takes."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
