"""Start tasks without waiting for what they import: a warm process forks itself for each.

`inv` imports boto3 and all that belongs to it, which takes longer than most tasks. One process
imports what others wrote, and nothing of ours: a fork of it reads the clone's code as any `inv`
does, has the clone's folder and the environment it is given, and ends as a process of its own.

A request is a message, its length before it, and four descriptors: the task's standard
streams, and a pipe that tells its process id and how it ended. A keeper between both waits for
the task, so that the warm process never waits for anything.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

#: What tasks import that is not ours.
MODULES = (
    "boto3", "boto3.s3.inject", "boto3.s3.transfer", "botocore.crt", "botocore.docs",
    "botocore.httpsession", "botocore.retries.standard", "botocore.retryhandler",
    "botocore.signers", "botocore.waiter", "concurrent.futures", "coverage", "dateutil.parser",
    "dateutil.tz", "invoke.main", "s3transfer.manager", "tabulate", "urllib.request", "yaml",
)  # fmt: skip

_LENGTH = struct.Struct("!I")


class Task:
    """A task that runs, with what the tests use of `subprocess.Popen`."""

    def __init__(self, told: IO[str], stdout: IO[str] | None, stderr: IO[str] | None) -> None:
        self._told = told
        self.stdout, self.stderr = stdout, stderr
        self.pid = int(told.readline())
        self.returncode: int | None = None
        self._awaiting: threading.Thread = threading.Thread(target=self._wait, daemon=True)
        self._awaiting.start()

    def _wait(self) -> None:
        self.returncode = os.waitstatus_to_exitcode(int(self._told.readline()))
        self._told.close()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._awaiting.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("inv", timeout or 0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Read both streams to their ends; a task that takes longer is killed."""
        assert self.stdout
        assert self.stderr
        limit = threading.Timer(timeout, self.kill)
        limit.start()
        try:
            err = self.stderr.read()
            self.wait(timeout)
            self.stdout.seek(0)
            return self.stdout.read(), err
        finally:
            limit.cancel()
            self.stdout.close()
            self.stderr.close()


class Starter:
    """The warm process, and what it starts."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                # What coverage is told would let it watch this process, and no fork of it.
                env={k: v for k, v in environment.items() if not k.startswith("COVERAGE_")},
                stdin=theirs,
            )

    def start(self, arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> Task:
        """Start a task without a terminal."""
        # Nobody reads a task's output while it runs, so that a pipe of it could fill up.
        out = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # Task closes it
        read, write = os.pipe()
        err = os.fdopen(read, encoding="utf-8")
        with Path(os.devnull).open() as nothing:
            streams = (nothing.fileno(), out.fileno(), write)
            told = self._ask(arguments, folder, environment, streams, terminal=False)
        os.close(write)
        return Task(told, out, err)

    def start_at(
        self, side: int, arguments: Sequence[str], folder: Path, environment: dict[str, str]
    ) -> Task:
        """Start a task at the side of a pseudo terminal that programs have."""
        told = self._ask(arguments, folder, environment, (side, side, side), terminal=True)
        return Task(told, None, None)

    def close(self) -> None:
        """End the warm process; what it started goes on."""
        self._requests.close()
        self._process.wait()

    def _ask(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: dict[str, str],
        streams: tuple[int, int, int],
        *,
        terminal: bool,
    ) -> IO[str]:
        request = {
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": environment,
            "terminal": terminal,
        }
        read, write = os.pipe()
        message = json.dumps(request).encode()
        socket.send_fds(self._requests, [_LENGTH.pack(len(message))], [*streams, write])
        self._requests.sendall(message)
        os.close(write)
        return os.fdopen(read)


@functools.cache
def starter() -> Starter:
    """Return the warm process of these tests, which starts all of their tasks."""
    started = Starter(os.environ)
    atexit.register(started.close)
    return started


def main() -> None:
    """Import everything, then fork for each request until nobody can ask any more."""
    requests = socket.socket(fileno=os.dup(0))
    for name in MODULES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    # Keepers are nobody's: the system forgets them as they end.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        length, descriptors, _, _ = socket.recv_fds(requests, _LENGTH.size, 4)
        if not length:
            return
        message = requests.recv(*_LENGTH.unpack(length), socket.MSG_WAITALL)
        if os.fork() == 0:
            requests.close()
            _keep(json.loads(message), descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)


def _keep(request: dict[str, Any], descriptors: list[int]) -> None:
    """Start the task and wait for it; returns in the task, at its end."""
    *streams, told = descriptors
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _become(request, streams)
        return
    for descriptor in {0, 1, 2, *streams}:
        with contextlib.suppress(OSError):  # a terminal's is one three times
            os.close(descriptor)
    os.write(told, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(told, f"{status}\n".encode())
    os._exit(0)


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Be `python -m invoke` in the clone's folder."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["terminal"]:
        os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    for descriptor in set(streams):
        if descriptor > 2:
            os.close(descriptor)
    if request["terminal"]:
        # Only a session's own terminal turns Ctrl-C into a signal.
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    sys.stdin = sys.__stdin__ = os.fdopen(0)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", 1 if os.isatty(1) else -1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace")  # type: ignore[misc]
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        coverage = importlib.import_module("coverage")
        coverage.process_startup()
        # The processes that it starts, the emulator and cfn-lint, are not what is tested.
        del os.environ["COVERAGE_PROCESS_CONFIG"]
    sys.executable = os.environ.pop("TESTS_INTERPRETER", sys.executable)
    sys.path[0] = ""
    sys.argv = ["inv", *request["arguments"]]
    runpy.run_module("invoke", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
