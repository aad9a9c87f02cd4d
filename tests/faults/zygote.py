"""Run tasks in processes that start in milliseconds: everything is imported, then forked.

Reads one JSON request per line from stdin and answers on stdout: `start` forks a process that
runs `inv ARGUMENTS` and gives its pid, `wait` gives the exit status. The process is a whole
one: its output goes to files, it can be interrupted and killed.

Four things differ from a shell's `inv`, none of them in the code under test: clients are
opened before the fork, since opening them takes longer than a run; waiting passes faster;
the linter is a stub beside a borrowed interpreter path, since it takes seconds; and a task may
be told that it is some hours later, to see what becomes of what has expired.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

#: How many times faster waiting passes.
HASTE = 25.0

_wait = time.sleep


def _hasten(seconds: float) -> None:
    _wait(seconds / HASTE)


time.sleep = _hasten

from invoke.program import Program  # noqa: E402 (lib's clock is made of time.sleep on import)

import tasks  # noqa: E402
from commands import target  # noqa: E402
from lib import outside, session  # noqa: E402

#: What a task imports when it first needs it.
LAZY = (
    "lib.deploy.deployments", "lib.terminal.journal", "lib.deploy.outcomes",
    "lib.regions.rollout", "lib.data.backups", "lib.data.restores", "lib.deploy.rollbacks",
    "lib.regions.handover", "lib.checks.verification", "yaml", "lib.deploy.plans",
    "lib.deploy.applying", "lib.regions.approved", "lib.releases.pruning",
)  # fmt: skip
SERVICES = ("cloudformation", "dynamodb", "s3", "sts")


def open_clients(regions: list[str]) -> None:
    """Open each region's clients now, and hand them out when a task connects."""
    observers: list[Callable[[session.ApiCall], None]] = []

    def tell(call: session.ApiCall) -> None:
        for observe in observers:
            observe(call)

    opened = {region: session.connect(region, observe=tell) for region in regions}
    for aws in opened.values():
        for service in SERVICES:
            aws.client(service)

    def connect(region: str, **given: Any) -> session.Aws:
        if given.get("observe"):
            observers.append(given["observe"])
        return opened[region]

    session.connect = connect  # type: ignore[assignment]


def move_on(hours: float) -> None:
    """Let the tasks of this process believe that it is later than it is."""

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(hours=hours)

    outside.datetime = Later  # type: ignore[misc]


def live(request: dict[str, Any]) -> None:
    """Be the process: run the task and end."""
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for name in ("out", "err"):
            descriptor = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(descriptor, {"out": 1, "err": 2}[name])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(n, m) for n, m in ((0, "r"), (1, "w"), (2, "w"))
        )
        os.environ.update(request["environment"])
        if request["later"]:
            move_on(request["later"])
        os.chdir(request["root"])
        target.ROOT = Path(request["root"])
        sys.argv = ["inv", *request["arguments"]]
        Program(namespace=tasks.ns).run(sys.argv)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def answer(**told: Any) -> None:
    """Answer a request."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Open everything, then serve requests until stdin ends."""
    for name in LAZY:
        __import__(name)
    settings = json.loads(sys.stdin.readline())
    sys.executable = settings["interpreter"]
    open_clients(settings["regions"])
    gc.freeze()
    answer(ready=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            answer(code=os.waitstatus_to_exitcode(status))
            continue
        pid = os.fork()
        if pid == 0:
            live(request)
        answer(pid=pid)


if __name__ == "__main__":
    main()
