"""Install the foreign emulator in an environment of its own, and run it for this machine alone."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

#: The emulator, in the version whose answers `left_out` quotes.
EMULATOR = "localemu==1.3.2"

#: The oldest Python that it runs on.
OLDEST = (3, 12)

#: Seconds that it gets to start; it takes 5 to 15.
PATIENCE = 120.0

#: Its S3 keeps objects in one fixed folder for all emulators of a machine, which no setting moves.
_START = """
import sys
from localemu.services.s3 import provider
provider.DEFAULT_S3_TMP_DIR = sys.argv.pop(1)
from localemu.cli.main import cli
cli()
"""


def find_python(oldest: tuple[int, int]) -> str | None:
    """Return a Python of at least a version, None when this machine has none.

    Looks at the interpreter that runs this, at the search path, newest first, and at what
    pyenv keeps beside it. Each is asked, because pyenv's shims stand there for versions that
    are not switched on.
    """
    folders = [Path(folder) for folder in os.get_exec_path()]
    homes = [Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"]
    folders += sorted((path / "bin" for home in homes for path in home.glob("*")), reverse=True)
    names = ["python3", *(f"python3.{minor}" for minor in range(30, oldest[1] - 1, -1))]
    candidates = [Path(sys.executable), *(folder / name for name in names for folder in folders)]
    asked = f"import sys; sys.exit(sys.version_info[:2] < {oldest})"
    for candidate in candidates:
        if candidate.is_file():
            with contextlib.suppress(OSError):
                ran = subprocess.run([candidate, "-c", asked], capture_output=True, check=False)
                if ran.returncode == 0:
                    return str(candidate)
    return None


def install(place: Path) -> str:
    """Install the emulator in a folder, unless it is there, and return its Python.

    Raises `LookupError` when this machine has no Python that it runs on.
    """
    uv = (sys.executable, "-m", "uv")
    own = place / "bin" / "python"
    if not own.exists():
        found = find_python(OLDEST)
        if found is None:
            wanted = ".".join(map(str, OLDEST))
            raise LookupError(
                f"{EMULATOR} needs a Python of {wanted} or newer, and there is none on the search "
                "path or under pyenv. Install one and run this again."
            )
        subprocess.run([*uv, "venv", "--quiet", "--python", found, place], check=True)
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", own, EMULATOR], check=True)
    return str(own)


@contextlib.contextmanager
def running(python: str, folder: Path) -> Iterator[str]:
    """Run the emulator, yield its endpoint, and end it and all it started, whatever happens.

    Its state lives in `folder`, which its owner throws away.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "emulator.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [python, "-c", _START, str(folder / "s3"), "start", "--port", str(port)],
            cwd=folder,
            env=_settings(folder, port),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(process, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        # Nothing in it is kept, and asked politely it may hang in its own shutdown.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _settings(folder: Path, port: int) -> dict[str, str]:
    """Return its environment: nothing of this machine's AWS settings, nothing outside `folder`."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "FILESYSTEM_ROOT": str(folder / "files"),
        # Its usual server, twisted, listens on every address whatever it is told.
        "GATEWAY_SERVER": "hypercorn",
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        # As shipped it reports a type that it does not know as created.
        "CFN_IGNORE_UNSUPPORTED_RESOURCE_TYPES": "0",
        # The same answers on every machine, and no images fetched.
        "DOCKER_CMD": str(folder / "no-docker"),
        # 1.3.2 sends no telemetry; what it was forked from asks by this name not to.
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
    }


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until it is healthy; raise with its last words when it is not, or is open to others."""
    deadline = time.monotonic() + PATIENCE
    while not _is_healthy(port):
        if process.poll() is not None or time.monotonic() > deadline:
            said = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            raise RuntimeError(f"The foreign emulator did not start:\n{said}")
        time.sleep(0.2)
    # 127.0.0.2 reaches what listens on every address, and nothing that listens on 127.0.0.1.
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.2", port), timeout=1):
        raise RuntimeError("The foreign emulator listens on more than 127.0.0.1.")


def _is_healthy(port: int) -> bool:
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        asked.request("GET", "/_localemu/health")
        return asked.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asked.close()


def copy_tasks(repository: Path, folder: Path) -> None:
    """Make a folder that the tasks run from: our code, and a copy of our templates to edit."""
    folder.mkdir(parents=True)
    shutil.copy(repository / "tasks.py", folder)
    shutil.copytree(repository / "infrastructure", folder / "infrastructure")
    for code in ("commands", "emulator", "lib", "manual"):
        (folder / code).symlink_to(repository / code)
