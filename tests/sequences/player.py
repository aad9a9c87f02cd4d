"""Run tasks in this process: arguments in; exit code, streams and log out.

Each run is taken for a process of its own: it has its own clients' bundle, streams, folder and
observers, and when it is killed nothing of it ever reaches AWS again. Requests pass through
`Player.pass_on`, where a call is spoilt, a process killed, or somebody else let in.
"""

from __future__ import annotations

import gc
import io
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ConnectionClosedError
from botocore.retries import quota, standard
from invoke.collection import Collection
from invoke.program import Program

from tests.faults.proxy import (
    FAULTS,
    Call,
    Fault,
    Kind,
    operation_of,
    refusal_of,
    service_of,
    write_refusal,
)
from tests.sequences.world import ENDPOINT, Killed, Request, Response, World, in_folder

KEYS = {
    "AWS_ACCESS_KEY_ID": "ASIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/sequencesEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEXAMPLETOKENsequences0123456789",
}

#: What may happen to a call, by the name under which the sweep knows it. A delay is nothing where
#: time stands still, and TERM is INT.
BY_NAME = {f.name: f for f in FAULTS if f.kind is not Kind.DELAY and "TERM" not in f.name}


def passes(fault: Fault) -> bool:
    """Tell whether botocore's own repetition gets over a fault."""
    spoils_once = fault.attempts == 1 and not fault.lasting and not fault.is_signal
    return spoils_once and fault.kind is not Kind.DENIED


#: Stands before the number of a call among those that change something.
CHANGE = "change"

#: How the operations begin that change nothing; those of S3 are named by the method.
_LOOKS = ("Describe", "List", "Get", "Detect", "Validate", "Filter", "GET ", "HEAD ")


def changes(call: Call) -> bool:
    """Tell whether a call changes something."""
    return not call.operation.startswith(_LOOKS)


#: Exit code of a process that was killed.
KILLED = -9


@dataclass(frozen=True)
class Ended:
    """What became of a task. `struck` names the call that the fault met, "" for none."""

    code: int
    out: str
    err: str
    log: str
    struck: str
    calls: int


@dataclass
class Process:
    """One run of a task, as the wire and the machine that it runs on know it."""

    number: int
    machine: str
    fault: Fault | None = None
    at: int | str = 0
    meanwhile: Callable[[], None] | None = None
    calls: dict[str, Call] = field(default_factory=dict)
    #: How many of them change something.
    changes: int = 0
    #: The number of the call that `at` is.
    hit: int = 0
    struck: str = ""
    is_dead: bool = False
    observe: Callable[[Any], None] | None = None


class Player:
    """Somebody at a shell, or several."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self._processes: list[Process] = []
        self._count = 0
        self._namespaces: dict[str, Collection] = {}
        self._lock = threading.RLock()
        self._prepare()
        world.send = self.pass_on

    def _prepare(self) -> None:
        """Import everything, open the clients once, and put the linter and git aside."""
        os.environ.update(
            KEYS,
            AWS_ENDPOINT_URL=ENDPOINT,
            AWS_CONFIG_FILE=os.devnull,
            AWS_SHARED_CREDENTIALS_FILE=os.devnull,
            AWS_EC2_METADATA_DISABLED="true",
            COLUMNS="80",
            HOME=str(self.folder),
            PLOT_PALETTE_LOG_FOLDER=str(self.folder / "logs"),
        )
        import tasks
        from commands import target
        from lib import machine, parallel, session
        from lib.inputs import jobs
        from lib.templates import linting

        self._tasks, self._target = tasks, target
        linting.lint_once = lambda *_given, **_named: ()
        jobs.read_commit = lambda _root: ""
        parallel._run = _run_in_turn
        # Each checkout is on a machine of its own, each run a process there.
        known: Any = machine.Machine.__init__
        known.__defaults__ = (
            lambda: self._processes[-1].machine,
            lambda: str(self._processes[-1].number),
            self._is_gone,
        )
        # A process has a budget of repetitions of its own, and here clients outlive it.
        quota.RetryQuota.acquire = lambda _quota, _amount: True  # type: ignore[assignment]
        # It waits for a time that is drawn.
        standard.ExponentialBackoff.delay_amount = lambda _backoff, _context: 1.0
        self._opened: dict[str, session.Aws] = {}
        self._connect = session.connect
        session.connect = self._bundle  # type: ignore[assignment]
        gc.set_threshold(50_000, 50, 100)

    def _bundle(self, region: str, **given: Any) -> Any:
        """Give a process a bundle of its own around clients that are opened once."""
        from lib import session

        if region not in self._opened:
            self._opened[region] = self._connect(region, observe=self._tell)
        opened = self._opened[region]
        if self._processes and given.get("observe"):
            self._processes[-1].observe = given["observe"]
        made = session.Aws(opened._session, region, observe=self._tell)
        made._clients = opened._clients
        return made

    def _is_gone(self, number: str) -> bool:
        """Tell whether a process has ended, or was killed."""
        return not any(str(p.number) == number and not p.is_dead for p in self._processes)

    def _tell(self, call: Any) -> None:
        if self._processes and self._processes[-1].observe:
            self._processes[-1].observe(call)

    # --- a run

    def run(
        self,
        checkout: Path,
        arguments: Sequence[str],
        *,
        fault: str = "",
        at: int | str = 0,
        meanwhile: Callable[[], None] | None = None,
    ) -> Ended:
        """Run a task in a checkout to its end; a fault, or somebody else, comes at a call.

        `at` is the call's number, the operation whose first call it is, or "change N": the N-th
        call that changes something.
        """
        self._count += 1
        process = Process(self._count, checkout.name, BY_NAME.get(fault), at, meanwhile)
        out, err = io.StringIO(), io.StringIO()
        before = (sys.argv, sys.stdin, self._target.ROOT, sys.gettrace())
        handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
        threads = set(threading.enumerate())
        logs = self.folder / "logs"
        shelf = self.folder / f"logs-{len(self._processes)}"
        if logs.exists():
            logs.rename(shelf)
        self._processes.append(process)
        sys.argv = ["inv", *arguments]
        sys.stdin = io.StringIO()
        self._target.ROOT = checkout
        # No two tasks begin in one second: backups are named by it.
        self.world.clock.passed += 1.0
        try:
            with in_folder(checkout), redirect_stdout(out), redirect_stderr(err):
                code = self._live()
        finally:
            for one, handler in handlers.items():
                signal.signal(one, handler)
            for thread in set(threading.enumerate()) - threads:
                thread.join(5.0)
            self._processes.pop()
            sys.argv, sys.stdin, self._target.ROOT = before[:3]
        log = "".join(p.read_text() for p in sorted(logs.rglob("*")) if p.is_file())
        shutil.rmtree(logs, ignore_errors=True)
        if shelf.exists():
            shelf.rename(logs)
        if process.is_dead:
            code = KILLED
        return Ended(code, out.getvalue(), err.getvalue(), log, process.struck, len(process.calls))

    def _live(self) -> int:
        """Be the process."""
        try:
            Program(namespace=self._namespace(sys.argv[1])).run(sys.argv)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        except Killed:
            return KILLED
        except BaseException:
            traceback.print_exc()
            return 70
        return 0

    def _namespace(self, name: str) -> Collection:
        """Return a collection of one task: Invoke copies all that there are for each run."""
        if name not in self._namespaces:
            alone = Collection()
            family = name.partition(".")[0]
            if family in self._tasks.ns.collections:
                alone.add_collection(self._tasks.ns.collections[family])
            else:
                alone.add_task(self._tasks.ns[name])
            self._namespaces[name] = alone
        return self._namespaces[name]

    # --- the wire

    def pass_on(self, request: Request) -> Response:
        """Let a request through, or not."""
        if not self._processes:
            return self.world.ask(request)
        process = self._processes[-1]
        if process.is_dead:
            raise Killed
        call = self._note(process, request)
        if call.number == process.hit and process.meanwhile and call.attempts == 1:
            meanwhile, process.meanwhile = process.meanwhile, None
            process.struck = f"{call.service} {call.operation}"
            meanwhile()
        fault = process.fault
        if fault is None or not _strikes(process, fault, call):
            return self.world.ask(request)
        process.struck = process.struck or f"{call.service} {call.operation}"
        if refused := refusal_of(fault, call):
            kind, body = write_refusal(call.service, refused[0])
            headers = {"content-type": kind, "x-amzn-requestid": "0"}
            return Response(refused[1], headers, b"" if request.method == "HEAD" else body)
        if fault.kind in (Kind.CUT_AFTER, Kind.SIGNAL_AFTER):
            self.world.ask(request)
        if fault.kills:
            process.is_dead = True
            raise Killed
        if fault.is_signal and threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        raise ConnectionClosedError(endpoint_url=request.url)

    def _note(self, process: Process, request: Request) -> Call:
        """Recognise a call and count its attempt."""
        with self._lock:
            path = request.url.removeprefix(ENDPOINT)
            headers = {name.title(): value for name, value in request.headers.items()}
            name = headers.get("Amz-Sdk-Invocation-Id") or str(len(process.calls))
            call = process.calls.get(name)
            if call is None:
                service = service_of(headers)
                operation = operation_of(service, headers, request.method, path, request.body)
                call = process.calls[name] = Call(len(process.calls) + 1, service, operation)
                names = [call.number, call.operation]
                if changes(call):
                    process.changes += 1
                    names.append(f"{CHANGE} {process.changes}")
                if not process.hit and process.at in names:
                    process.hit = call.number
            call.attempts += 1
            return call


def _strikes(process: Process, fault: Fault, call: Call) -> bool:
    """Tell whether this attempt of a call is to be spoilt."""
    hit = call.number == process.hit and call.attempts <= fault.attempts
    return hit or bool(fault.lasting and process.hit and call.number >= process.hit)


def _run_in_turn(work: Callable[[], None], ended: Any, _waiting: Any, *, threads: int) -> None:
    """Do what `lib.parallel` does on threads one after the other, so that calls have an order."""
    for _ in range(threads):
        work()
        ended.acquire()
