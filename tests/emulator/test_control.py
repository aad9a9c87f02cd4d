"""The background emulator is started once, found again, and ended without losing its state."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from emulator import IDENTITY_PATH, control
from lib import errors


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    yield folder
    control.stop(folder)


def create_bucket(endpoint: str, name: str) -> None:
    s3(endpoint).create_bucket(Bucket=name)


def buckets(endpoint: str) -> list[str]:
    return [bucket["Name"] for bucket in s3(endpoint).list_buckets()["Buckets"]]


def s3(endpoint: str):  # type: ignore[no-untyped-def]  # boto3 has no types of its own
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def wait_until_gone(pid: int) -> None:
    for _ in range(3000):
        try:
            os.waitpid(pid, os.WNOHANG)
            os.kill(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            return
        time.sleep(0.02)
    pytest.fail(f"process {pid} is still there")


def test_importing_it_loads_neither_the_emulator_nor_boto3() -> None:
    code = (
        "import sys, emulator.control; "
        "print([m for m in ('ministack', 'boto3') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=control.REPOSITORY,
    )
    assert answer.stdout.strip() == "[]"


def test_an_unused_folder_has_no_emulator(tmp_path: Path) -> None:
    folder = tmp_path / "never"
    expected = control.Emulator(running=False, endpoint="", pid=None, port=None, state=folder)
    assert control.status(folder) == expected
    assert control.stop(folder) is False
    control.reset(folder)
    assert not folder.exists()


def test_it_is_started_reused_stopped_with_its_state_and_emptied(state: Path) -> None:
    first = control.start(state)
    assert first.running is True
    assert first.endpoint == f"http://127.0.0.1:{first.port}"
    assert control.start(state) == first == control.status(state)
    create_bucket(first.endpoint, "kept")
    assert control.stop(state) is True
    assert control.status(state).running is False
    assert control.stop(state) is False
    second = control.start(state)
    assert second.port == first.port, "a folder keeps its port"
    assert buckets(second.endpoint) == ["kept"]
    control.reset(state)
    assert buckets(second.endpoint) == []
    control.stop(state)
    third = control.start(state)
    assert buckets(third.endpoint) == []
    create_bucket(third.endpoint, "again")
    control.stop(state)
    control.reset(state)
    assert buckets(control.start(state).endpoint) == []


def test_a_crash_is_repaired_by_the_next_start(state: Path) -> None:
    crashed = control.start(state)
    assert crashed.pid is not None
    os.kill(crashed.pid, signal.SIGKILL)
    wait_until_gone(crashed.pid)
    assert control.status(state).running is False
    assert control.start(state).running is True


def test_two_starts_at_once_give_one_emulator(state: Path) -> None:
    code = (
        "import sys, pathlib; from emulator import control; "
        "print(control.start(pathlib.Path(sys.argv[1])).pid)"
    )
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(state)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=control.REPOSITORY,
        )
        for _ in range(2)
    ]
    pids = {process.communicate(timeout=60)[0] for process in starting}
    assert len(pids) == 1
    assert control.status(state).running is True


def test_it_outlives_the_session_that_started_it(state: Path) -> None:
    started = control.start(state)
    assert started.pid is not None
    assert os.getsid(started.pid) == started.pid != os.getsid(0)


def test_it_listens_on_loopback_only(state: Path) -> None:
    port = control.start(state).port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; it only picks this machine's address
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no other address")
    with pytest.raises((ConnectionRefusedError, TimeoutError)):
        socket.create_connection((address, port), timeout=2).close()


def test_a_taken_port_is_refused_and_the_setting_named(state: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        with pytest.raises(errors.EmulatorError, match="PLOT_PALETTE_LOCAL_PORT"):
            control.start(state, port=port)


def test_another_port_than_the_running_one_is_refused(state: Path) -> None:
    port = control.start(state).port
    assert port is not None
    with pytest.raises(errors.EmulatorError, match=r"local\.stop"):
        control.start(state, port=port + 1)


def test_a_remembered_port_that_is_taken_is_exchanged(state: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        state.mkdir()
        (state / "port").write_text(str(port))
        assert control.start(state).port != port


def test_a_stranger_on_the_recorded_port_is_not_taken_for_ours(state: Path) -> None:
    state.mkdir()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]

        def answer() -> None:
            connection, _ = stranger.accept()
            connection.recv(1000)
            body = json.dumps({"token": "theirs", "pid": os.getpid()}).encode()
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        record = {"pid": os.getpid(), "port": port, "token": "ours"}
        (state / "emulator.json").write_text(json.dumps(record))
        assert control.status(state).running is False
        thread.join()
    assert not (state / "emulator.json").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}'])
def test_a_damaged_record_counts_as_not_running(state: Path, content: str) -> None:
    state.mkdir()
    (state / "emulator.json").write_text(content)
    assert control.status(state).running is False


def test_a_server_that_does_not_come_up_shows_the_end_of_its_log(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "REPOSITORY", state.parent)
    with pytest.raises(errors.EmulatorError, match="No module named"):
        control.start(state)
    assert control.status(state).running is False


def test_the_running_emulator_says_who_it_is(state: Path) -> None:
    started = control.start(state)
    with urllib.request.urlopen(started.endpoint + IDENTITY_PATH, timeout=60) as answer:
        assert json.load(answer)["pid"] == started.pid


def test_the_limits_are_plain_sentences() -> None:
    assert control.LIMITS
    assert all(sentence.endswith(".") and sentence[0].isupper() for sentence in control.LIMITS)
