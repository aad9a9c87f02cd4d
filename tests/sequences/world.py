"""Hold AWS in this process: the emulator without a server, and a time that passes when asked.

Nothing here waits. A request is answered by calling the emulator's application; what
CloudFormation does meanwhile goes on a few steps with every request and to its end while
somebody sleeps. So a sequence of tasks runs the same way each time, and some hundred times faster
than in processes of their own.

It patches Python's own modules (time, uuid, secrets) and cannot be undone: it is for a process of
its own, see `tests.sequences.__main__`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import copy
import datetime as dt
import io
import os
import random
import secrets
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore import httpsession
from botocore.awsrequest import AWSResponse

from emulator import server

Json = dict[str, Any]

#: Nobody listens there; nothing is ever sent to it.
PORT = 4799
ENDPOINT = server.endpoint(PORT)

ACCOUNT = "000000000000"

#: The first moment of every sequence.
START = dt.datetime(2026, 11, 2, 9, 0, 0, tzinfo=dt.UTC).timestamp()

#: Seconds that a request takes.
TRIP = 0.02

#: How many turns the emulator's loop gets in a second of sleep: about one for each of what
#: CloudFormation does to a resource, so that an operation is seen under way.
TURNS_PER_SECOND = 80


#: The status in which backups stay that are lost, or that stall.
LOST, STALLED = "DELETED", "CREATING"

_really_sleep = time.sleep


class Killed(BaseException):
    """The process is gone, in the middle of a call."""


@dataclass
class Request:
    """One HTTP request as it leaves a task."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Raw(io.BytesIO):
    """A body in the form in which urllib3 hands it to botocore."""

    def stream(self, _amount: int = 0, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield all of it."""
        while piece := self.read(65536):
            yield piece


class _InStep(concurrent.futures.ThreadPoolExecutor):
    """An executor that has done the work when it returns: on another thread, at no other time."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Do the work."""
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def work() -> None:
            try:
                done.set_result(fn(*args, **kwargs))
            except BaseException as exc:
                done.set_exception(exc)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return done


@dataclass
class Time:
    """The time of a sequence: it stands still between calls."""

    passed: float = 0.0

    def time(self) -> float:
        """Return the seconds since 1970."""
        return START + self.passed

    def now(self) -> dt.datetime:
        """Return the moment, in UTC."""
        return dt.datetime.fromtimestamp(self.time(), dt.UTC)


def _datetime_of(clock: Time) -> type[dt.datetime]:
    """Return a class that the emulator's modules take for `datetime`."""

    class Moment(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return dt.datetime.fromtimestamp(clock.time(), tz)

    return Moment


Send = Callable[[Request], Response]


@dataclass
class Stubborn:
    """What CloudFormation cannot do to resources, by logical ID: create, update, delete."""

    create: set[str] = field(default_factory=set)
    update: set[str] = field(default_factory=set)
    delete: set[str] = field(default_factory=set)

    def clear(self) -> None:
        """Let everything go well again."""
        for one in (self.create, self.update, self.delete):
            one.clear()


class World:
    """The emulator in this process."""

    def __init__(self) -> None:
        self.clock = Time()
        self.stubborn = Stubborn()
        #: The status in which backups stay that are begun, "" where they are made.
        self.unmade_backups = ""
        #: What sends a task's requests; the player puts itself in between.
        self.send: Send = self.ask
        self._lock = threading.RLock()
        self._inside = threading.local()
        self._random = random.Random(0)
        os.environ["LOG_LEVEL"] = "CRITICAL"
        server.prepare_environment(PORT, None)
        from emulator import amendments

        amendments.apply(endpoint=ENDPOINT, delay=0.0)
        from ministack import app

        self._app = app.app
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(_InStep())
        self._patch_time()
        self._patch_chance()
        self._patch_engine()
        self._patch_backups()
        world = self

        def send(_session: Any, request: Any) -> AWSResponse:
            return world._answer(request)

        httpsession.URLLib3Session.send = send

    # --- what is patched

    def _patch_time(self) -> None:
        from lib import polling

        time.sleep = self.sleep
        time.time = self.clock.time
        monotonic, now, sleep = (lambda: self.clock.passed), self.clock.now, self.sleep
        init: Any = polling.Clock.__init__
        init.__defaults__ = (monotonic, now, sleep, *init.__defaults__[3:])
        moment = _datetime_of(self.clock)
        for name, module in list(sys.modules.items()):
            if not name.startswith(("ministack.", "emulator")):
                continue
            if getattr(module, "datetime", None) is dt.datetime:
                module.datetime = moment  # type: ignore[attr-defined]

    def _patch_chance(self) -> None:
        """Draw what is drawn by chance from one row of numbers, which begins anew each time."""

        def uuid4() -> uuid.UUID:
            return uuid.UUID(int=self._random.getrandbits(128), version=4)

        uuid.uuid4 = uuid4
        secrets.token_hex = lambda size=16: self._random.randbytes(size).hex()
        os.urandom = self._random.randbytes

    def _patch_engine(self) -> None:
        """Run blocking work in step, and let the world refuse what it is told to."""
        from ministack.services.cloudformation import stacks

        async def in_step(work: Callable[..., Any], *given: Any, **_named: Any) -> Any:
            return await asyncio.to_thread(work, *given)

        stacks.run_reentrant = in_step
        create, update, delete = (
            stacks._provision_resource, stacks._update_resource, stacks._delete_resource,
        )  # fmt: skip

        def try_create(kind: str, logical: str, *more: Any) -> Any:
            if logical in self.stubborn.create:
                raise ValueError(f"{logical} could not be created, by the test")
            return create(kind, logical, *more)

        def try_update(kind: str, physical: str, old: Json, new: Json, *more: Any) -> Any:
            if old != new and self._is_stubborn(self.stubborn.update, physical):
                raise ValueError(f"{physical} could not be updated, by the test")
            return update(kind, physical, old, new, *more)

        def try_delete(kind: str, physical: str, *more: Any) -> Any:
            if self._is_stubborn(self.stubborn.delete, physical):
                raise ValueError(f"{physical} could not be deleted, by the test")
            return delete(kind, physical, *more)

        stacks._provision_resource = try_create
        stacks._update_resource = try_update
        stacks._delete_resource = try_delete

    def _patch_backups(self) -> None:
        """Let backups begin and never complete, where the world says so."""
        from ministack.services import dynamodb

        back_up = dynamodb._create_backup

        def create_backup(data: Json) -> Any:
            """Begin a backup; one that is lost holds nothing, one that stalls stays as it is."""
            answer = back_up(data)
            for backup in dynamodb._backups.values() if self.unmade_backups else ():
                if backup["BackupDetails"]["BackupName"] == data.get("BackupName"):
                    backup["BackupDetails"]["BackupStatus"] = self.unmade_backups
                    if self.unmade_backups == LOST:
                        backup["_items_snapshot"] = {}
            return answer

        dynamodb._create_backup = create_backup

    def _is_stubborn(self, names: set[str], physical: str) -> bool:
        """Tell whether a physical ID is that of one of some logical IDs, in whatever stack."""
        if not names:
            return False
        import ministack.services.cloudformation as cf

        return any(
            resource.get("PhysicalResourceId") == physical and logical in names
            for stack in every(cf._stacks)
            for logical, resource in stack.get("_resources", {}).items()
        )

    def mend(self) -> None:
        """Let everything go well again, and complete the backups that stalled."""
        from ministack.services import dynamodb

        self.stubborn.clear()
        self.unmade_backups = ""
        for backup in every(dynamodb._backups):
            if backup["BackupDetails"]["BackupStatus"] == STALLED:
                backup["BackupDetails"]["BackupStatus"] = "AVAILABLE"

    # --- time and requests

    def sleep(self, seconds: float) -> None:
        """Let time pass, in which CloudFormation goes on.

        The emulator's own threads, which look around now and then, sleep in real time: they
        would otherwise drive the clock on, and never rest.
        """
        if sys._getframe(1).f_globals.get("__name__", "").startswith("ministack."):
            _really_sleep(seconds)
            return
        self.clock.passed += seconds
        if not getattr(self._inside, "emulator", False):
            self.turn(max(1, round(min(seconds, 5.0) * TURNS_PER_SECOND)))

    def turn(self, turns: int) -> None:
        """Give the emulator's loop some turns, as long as anything is under way there."""

        async def spin() -> None:
            for _ in range(turns):
                if len(asyncio.all_tasks()) == 1:
                    return
                await asyncio.sleep(0)

        with self._lock:
            self._run(spin())

    def settle(self) -> None:
        """Let CloudFormation come to rest."""

        async def wait() -> None:
            for _ in range(20_000):
                if len(asyncio.all_tasks()) == 1:
                    return
                await asyncio.sleep(0)
            raise TimeoutError("an operation never came to rest")

        with self._lock:
            self._run(wait())

    def _run(self, work: Any) -> Any:
        before = getattr(self._inside, "emulator", False)
        self._inside.emulator = True
        try:
            return self._loop.run_until_complete(work)
        finally:
            self._inside.emulator = before

    def _answer(self, request: Any) -> AWSResponse:
        """Stand in for botocore's HTTP."""
        body = request.body or b""
        if hasattr(body, "read"):
            body = body.read()
        if isinstance(body, str):
            body = body.encode()
        headers = {
            name: value.decode() if isinstance(value, bytes) else str(value)
            for name, value in request.headers.items()
        }
        asked = Request(request.method, request.url, headers, bytes(body))
        self.clock.passed += TRIP
        given = self.send(asked)
        return AWSResponse(request.url, given.status, dict(given.headers), _Raw(given.body))

    def ask(self, request: Request) -> Response:
        """Have the emulator answer a request."""
        with self._lock:
            answer: Response = self._run(self._serve(request))
            return answer

    async def _serve(self, request: Request) -> Response:
        parts = urlsplit(request.url)
        names = {name.lower() for name in request.headers}
        headers = [(k.lower().encode(), v.encode()) for k, v in request.headers.items()]
        if "host" not in names:
            headers.append((b"host", parts.netloc.encode()))
        if "content-length" not in names:
            headers.append((b"content-length", str(len(request.body)).encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote(parts.path) or "/",
            "raw_path": (parts.path or "/").encode(),
            "query_string": parts.query.encode(),
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", PORT),
        }
        told: list[Json] = []
        waiting = [{"type": "http.request", "body": request.body, "more_body": False}]

        async def receive() -> Json:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            told.append(message)

        await self._app(scope, receive, send)
        first = told[0]
        body = b"".join(one.get("body", b"") for one in told[1:])
        answered = {k.decode().lower(): v.decode() for k, v in first.get("headers", [])}
        return Response(first["status"], answered, body)

    # --- its memory

    def reset(self) -> None:
        """Begin anew: nothing there, the first moment, the first of all chances."""
        from emulator import nested_stacks, refactors, updates

        self.settle()
        refactors._refactors.clear()
        for store in self._stores():
            store._data.clear()
        nested_stacks._cleanups.clear()
        updates._silent.clear()
        self.stubborn.clear()
        self.unmade_backups = ""
        self.clock.passed = 0.0
        self._random.seed(0)

    def keep(self) -> list[Any]:
        """Return everything there is, to bring it back with `bring_back`."""
        from emulator import nested_stacks, refactors, updates

        return [
            self.clock.passed,
            self._random.getstate(),
            copy.deepcopy(vars(self.stubborn)),
            self.unmade_backups,
            set(updates._silent),
            {stack: list(waiting) for stack, waiting in nested_stacks._cleanups.items()},
            {id(store): copy.deepcopy(store._data) for store in self._stores()},
            dict(refactors._refactors),
        ]

    def bring_back(self, kept: list[Any]) -> None:
        """Put everything back as it was kept."""
        from emulator import nested_stacks, refactors, updates

        self.settle()
        self.clock.passed = kept[0]
        self._random.setstate(kept[1])
        for name, logical_ids in kept[2].items():
            setattr(self.stubborn, name, set(logical_ids))
        self.unmade_backups = kept[3]
        nested_stacks._cleanups.clear()
        nested_stacks._cleanups.update({stack: list(one) for stack, one in kept[5].items()})
        updates._silent.clear()
        updates._silent.update(kept[4])
        refactors._refactors.clear()
        refactors._refactors.update(kept[7])
        for store in self._stores():
            store._data.clear()
            store._data.update(copy.deepcopy(kept[6].get(id(store), {})))

    @staticmethod
    def _stores() -> Iterator[Any]:
        from tests.faults.world import stores

        for _place, store in stores():
            yield store


def every(store: Any) -> list[Json]:
    """Return all values of one of the emulator's stores, of every account and region."""
    return list(store._data.values())


@contextlib.contextmanager
def in_folder(folder: Any) -> Iterator[None]:
    """Work in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
