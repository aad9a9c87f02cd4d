"""Set up what a benchmark runs on: emulator, proxy, scratch folders, a clean environment."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.proxy import HOST, Proxy
from emulator import IDENTITY_PATH
from lib import session

if TYPE_CHECKING:
    from lib.session import Aws

REPOSITORY = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
STACK = "plot-palette-development"
BUCKET = f"plot-palette-cfn-{session.LOCAL_ACCOUNT}-{REGION}"

#: The load below which a machine counts as quiet.
QUIET_LOAD = 1.5

LONGEST_RUN = 300


@dataclass(frozen=True)
class Sample:
    """One run of one command.

    `lost` is the time from the last event of the root stack to the end of the process, None
    where CloudFormation had nothing to do.
    """

    wall: float
    cpu: float
    memory: float
    code: int
    calls: Mapping[str, int]
    lost: float | None
    load: float
    log: str = ""

    @property
    def call_count(self) -> int:
        """Return how many API calls were made."""
        return sum(self.calls.values())


@dataclass
class Stage:
    """The emulator behind its proxy, with `delay` seconds per resource.

    `peers` holds an environment per peer, `folder` is scratch space. A run waits `patience`
    seconds at most for the machine to be quiet.
    """

    folder: Path
    peers: Path
    delay: float = 0.0
    patience: float = 60.0
    process: subprocess.Popen[bytes] | None = None
    proxy: Proxy = field(init=False)

    def start(self, delay: float) -> None:
        """Start the emulator anew, with a delay per resource."""
        self.stop()
        self.delay = delay
        port, token = _free_port(), "bench"
        command = [sys.executable, "-m", "emulator.server"]
        command += ["--port", str(port), "--delay", str(delay), "--token", token]
        log = (self.folder / "emulator.log").open("ab")
        self.process = subprocess.Popen(  # noqa: S603 (our own emulator)
            command, cwd=REPOSITORY, stdout=log, stderr=log
        )
        give_up = time.monotonic() + 60
        while not _answers(f"http://{HOST}:{port}{IDENTITY_PATH}"):
            if time.monotonic() > give_up or self.process.poll() is not None:
                raise RuntimeError(f"the emulator did not start, see {log.name}")
            time.sleep(0.05)
        self.proxy = Proxy(port)
        # With this record `--local` finds the emulator, and goes through the proxy.
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        record = {"pid": self.process.pid, "port": self.proxy.port, "token": token}
        (state / "emulator.json").write_text(json.dumps(record))

    def stop(self) -> None:
        """Stop the emulator."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def reset(self) -> None:
        """Empty the emulator."""
        url = f"http://{HOST}:{self.proxy.upstream}/_ministack/reset"
        asked = urllib.request.Request(url, data=b"", method="POST")
        with urllib.request.urlopen(asked, timeout=30):  # noqa: S310 (ours)
            pass

    def make_role_of_ecs(self) -> None:
        """Make the service-linked role that an account has once it had a cluster."""
        self.aws().client("iam").create_role(
            RoleName="AWSServiceRoleForECS",
            Path="/aws-service-role/ecs.amazonaws.com/",
            AssumeRolePolicyDocument="{}",
        )

    def aws(self, region: str = REGION) -> Aws:
        """Connect past the proxy, for preparing and looking."""
        endpoint = f"http://{HOST}:{self.proxy.upstream}"
        return session.connect(region, endpoint_url=endpoint, local=True)

    def environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return an environment that has nothing of the caller's shell in it but the path."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": f"http://{HOST}:{self.proxy.port}",
            "AWS_PAGER": "",
            "CI": "",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "NO_PROXY": HOST,
            "PATH": os.pathsep.join(
                [str(self.peers / "awscli" / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]
            ),
            "PLOT_PALETTE_LOCAL_STATE": str(self.folder / "state"),
            "SAM_CLI_TELEMETRY": "0",
            **(more or {}),
        }

    def run(
        self,
        command: Sequence[str],
        cwd: Path,
        *,
        env: Mapping[str, str] | None = None,
        stack: str = "",
        quiet: bool = True,
        limit: int = LONGEST_RUN,
    ) -> Sample:
        """Run a command and return what it cost; wait for a quiet machine first.

        `stack` is the one whose last event is looked for afterwards.
        """
        load = wait_until_quiet(self.patience) if quiet else os.getloadavg()[0]
        log = self.folder / "last-run.log"
        before = self._last_event(stack)
        self.proxy.reset()
        measured = subprocess.run(  # noqa: S603 (the contestants)
            [
                *(sys.executable, "-I", "-S", str(Path(__file__).with_name("measure.py"))),
                *(str(log), str(limit), *command),
            ],
            cwd=cwd,
            env=self.environ(env),
            capture_output=True,
            text=True,
            check=True,
        )
        found: dict[str, Any] = json.loads(measured.stdout)
        calls = {
            name: count
            for name, count in sorted(self.proxy.calls.items())
            if not name.startswith("local:")
        }
        after = self._last_event(stack)
        lost = found["ended"] - after if after and after != before else None
        text = log.read_text(errors="replace")
        return Sample(
            found["wall"], found["cpu"], found["memory"], found["code"], calls, lost, load, text
        )

    def _last_event(self, stack: str) -> float | None:
        """Return the time of the newest event of a stack."""
        from lib.stacks import events

        if not stack:
            return None
        cfn = self.aws().client("cloudformation")
        try:
            found = events.mark(cfn, stack)
        except cfn.exceptions.ClientError:
            return None
        return found.time.timestamp() if found else None


def copy_repository(target: Path) -> Path:
    """Copy what a clone would hold, with edits that are not committed yet, as a repository."""
    if target.exists():
        shutil.rmtree(target)
    git = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.com")
    wanted = ["ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(  # noqa: S603 (git)
        [*git, *wanted], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, place = REPOSITORY / name, target / name
        if source.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place)
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "benchmark")):
        subprocess.run([*git, *arguments], cwd=target, check=True)  # noqa: S603 (git)
    return target


def wait_until_quiet(patience: float) -> float:
    """Wait until the machine has little else to do, up to a limit; return its load then."""
    give_up = time.monotonic() + patience
    while os.getloadavg()[0] >= QUIET_LOAD and time.monotonic() < give_up:
        time.sleep(1)
    return os.getloadavg()[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 (ours)
            return True
    except OSError:
        return False
