"""Keep one emulator running in the background for each state folder.

The folder holds everything: the emulator's state, its log, the port it was given, a record of
the running process and a lock. Two clones have two folders and never meet; two shells that
start at once get one emulator. The record counts only while a process answers on its port with
the token that was made for it, so a crash, a reboot or a stranger on the port leave nothing
that the next start does not repair.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emulator import HOST, IDENTITY_PATH
from lib import errors

REPOSITORY = Path(__file__).resolve().parent.parent
START_TIMEOUT = 60.0  # seconds; a cold first import of the emulator on a busy machine takes 20
STOP_TIMEOUT = 30.0  # seconds; writing the state of a large environment takes 2
ANSWER_TIMEOUT = 15.0  # seconds; a first call to some services keeps the emulator busy for 5
POLL = 0.05  # seconds
LOG_LINES = 15

LIMITS = (
    "IAM policies, service quotas and throttling are not enforced; a service role is not assumed.",
    "Property values are hardly checked: a template that deploys here may still be refused by AWS.",
    "Amplify apps, budgets, NAT gateways, flow logs are only recorded: nothing is served or sent.",
    "E-mail is not sent: no invitation reaches the admin user, no budget alert a mailbox.",
    "ECS tasks do not run and container images are not built or scanned.",
    "Bedrock lists models but its answers are canned; model access is not checked.",
    "VPC, subnets, routes and endpoints are records only; no traffic is filtered.",
    "S3 lifecycle rules and DynamoDB time to live are stored, and delete nothing.",
    "Point-in-time recovery keeps no history: a restore gives the table as it is now.",
    "Prices, cost data and quotas are not available.",
    "Independent nested stacks are deployed one after the other, on AWS at the same time.",
    "Conditions see AWS::Region and the like, but AWS::StackName and AWS::StackId are empty.",
    "After several failed updates in a row, RollbackStack undoes the last one only.",
    "Express mode ends no sooner, and no hook is ever called.",
)


@dataclass(frozen=True)
class Emulator:
    """The emulator of one state folder; `endpoint` is empty while it is not running."""

    running: bool
    endpoint: str
    pid: int | None
    port: int | None
    state: Path


def status(state: Path) -> Emulator:
    """Return whether the emulator of the `state` folder runs, and where.

    A record left by a process that is gone is removed.
    """
    folder = state.absolute()
    record = _record(folder)
    if record is None:
        return _idle(folder)
    pid, port, token = record
    if _answers(port, token, pid):
        return Emulator(True, f"http://{HOST}:{port}", pid, port, folder)
    _record_path(folder).unlink(missing_ok=True)
    return _idle(folder)


def start(state: Path, *, port: int | None = None, delay: float = 0.0) -> Emulator:
    """Start the emulator of the `state` folder in the background, or return the running one.

    `port` is the one to listen on; without it the folder keeps the port it had, or gets a free
    one. `delay` is in seconds per resource of a stack and counts from the next start only.
    Raise EmulatorError when the port is taken, when the emulator runs on another port, or when
    it does not come up.
    """
    folder = state.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        found = status(folder)
        if not found.running:
            return _launch(folder, port, delay)
    if port is not None and found.port != port:
        raise errors.EmulatorError(
            f"The emulator of {folder} already runs on port {found.port}, not on {port}.",
            next_step="inv local.stop, then start it again",
        )
    return found


def stop(state: Path) -> bool:
    """Stop the emulator of the `state` folder and return whether one was running.

    Its state is on disk when this returns. Raise EmulatorError when it does not stop in time;
    it is then ended by force and what happened since its start is lost.
    """
    folder = state.absolute()
    if not folder.is_dir():
        return False
    with _locked(folder):
        found = status(folder)
        if not found.running or found.pid is None:
            return False
        os.kill(found.pid, signal.SIGTERM)
        stopped = _wait_for_end(found.pid, STOP_TIMEOUT)
        if not stopped:
            os.kill(found.pid, signal.SIGKILL)
            _wait_for_end(found.pid, STOP_TIMEOUT)
        _record_path(folder).unlink(missing_ok=True)
    if not stopped:
        raise errors.EmulatorError(
            f"The emulator (process {found.pid}) did not stop within {STOP_TIMEOUT:.0f} s and was "
            f"ended; its latest state is lost. Its log is {_log_path(folder)}.",
            next_step="inv local.start",
        )
    return True


def reset(state: Path) -> None:
    """Empty the emulator of the `state` folder, in memory when it runs and on disk always.

    Raise EmulatorError when a running emulator refuses.
    """
    folder = state.absolute()
    if not folder.is_dir():
        return
    with _locked(folder):
        found = status(folder)
        if found.running:
            _empty(found.endpoint)
        for name in ("services", "objects"):
            shutil.rmtree(folder / name, ignore_errors=True)


def _idle(folder: Path) -> Emulator:
    return Emulator(False, "", None, None, folder)


def _record_path(folder: Path) -> Path:
    return folder / "emulator.json"


def _log_path(folder: Path) -> Path:
    return folder / "emulator.log"


def _record(folder: Path) -> tuple[int, int, str] | None:
    """Return process id, port and token of the recorded emulator, None without a usable record."""
    try:
        record = json.loads(_record_path(folder).read_text())
        return int(record["pid"]), int(record["port"]), str(record["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; a process that ends in whatever way gives it back."""
    import fcntl  # not on Windows, where importing this module must still work

    with (folder / "emulator.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _answers(port: int, token: str, pid: int) -> bool:
    """Return whether the process `pid` answers on `port` with our `token`."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    url = f"http://{HOST}:{port}{IDENTITY_PATH}"
    try:
        with _open(url) as answer:
            identity = json.load(answer)
    except (OSError, ValueError):
        return False
    return isinstance(identity, dict) and (identity.get("token"), identity.get("pid")) == (
        token,
        pid,
    )


def _open(
    request: str | urllib.request.Request,
) -> contextlib.AbstractContextManager[urllib.response.addinfourl]:
    """Open a URL on this machine, whatever proxy the environment names."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    response: urllib.response.addinfourl = opener.open(request, timeout=ANSWER_TIMEOUT)
    return response


def _launch(folder: Path, wanted: int | None, delay: float) -> Emulator:
    """Start the server process, wait until it answers, record it."""
    port = _choose_port(folder, wanted)
    token = secrets.token_hex(16)
    command = [
        sys.executable,
        "-m",
        "emulator.server",
        "--port",
        str(port),
        "--state",
        str(folder),
        "--delay",
        str(delay),
        "--token",
        token,
    ]
    with _log_path(folder).open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT
    while not _answers(port, token, process.pid):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise _did_not_start(folder, port)
        time.sleep(POLL)
    written = _record_path(folder).with_suffix(".new")
    written.write_text(json.dumps({"pid": process.pid, "port": port, "token": token}))
    written.replace(_record_path(folder))
    (folder / "port").write_text(str(port))
    # The emulator outlives this process on purpose; without this, Python warns about a child.
    process.returncode = 0
    return Emulator(True, f"http://{HOST}:{port}", process.pid, port, folder)


def _choose_port(folder: Path, wanted: int | None) -> int:
    """Return the port to listen on, or raise when the one that was asked for is taken."""
    if wanted is not None:
        if not _is_free(wanted):
            raise errors.EmulatorError(
                f"Port {wanted} is in use by another program, so the emulator cannot start there.",
                next_step="set PLOT_PALETTE_LOCAL_PORT to a free port, or unset it to have one "
                "chosen",
            )
        return wanted
    with contextlib.suppress(OSError, ValueError):
        remembered = int((folder / "port").read_text())
        if _is_free(remembered):
            return remembered
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        chosen: int = probe.getsockname()[1]
        return chosen


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
        return True


def _did_not_start(folder: Path, port: int) -> errors.EmulatorError:
    lines = _log_path(folder).read_text(errors="replace").splitlines()[-LOG_LINES:]
    tail = "\n".join(f"  {line}" for line in lines) or "  (the log is empty)"
    return errors.EmulatorError(
        f"The emulator did not come up on port {port}. The last lines of {_log_path(folder)}:\n"
        f"{tail}",
        next_step="inv local.reset, if its state is damaged; or install the development "
        "dependencies again",
    )


def _wait_for_end(pid: int, seconds: float) -> bool:
    """Wait until the process is gone and return whether it went in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # a child of ours would stay as a zombie
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(POLL)
    return False


def _empty(endpoint: str) -> None:
    address = f"{endpoint}/_ministack/reset"
    request = urllib.request.Request(address, data=b"", method="POST")  # noqa: S310 - ours, http
    try:
        with _open(request):
            return
    except urllib.error.URLError as problem:
        raise errors.EmulatorError(
            f"The emulator at {endpoint} could not be emptied: {problem.reason}.",
            next_step="inv local.stop, then inv local.reset",
        ) from problem
