"""Stand between the tasks and the emulator on loopback, and spoil the n-th call.

Calls are numbered as a run makes them. The attempts by which botocore repeats a call carry
one invocation ID, so they count as one call with several attempts.
"""

from __future__ import annotations

import contextlib
import enum
import http.client
import json
import os
import re
import signal
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"

#: botocore's standard retry mode sends a request this often in all.
ATTEMPTS = 3

DELAY = 0.1  # seconds

_SERVICE = re.compile(r"Credential=[^/]+/\d{8}/[a-z0-9-]+/([a-z0-9-]+)/aws4_request")
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "expect"})

#: How each service says that calls come too often: code and HTTP status.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/CommonErrors.html
#: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
THROTTLES: dict[str, tuple[tuple[str, int], ...]] = {
    "cloudformation": (
        ("Throttling", 400),
        ("ThrottlingException", 400),
        ("RequestLimitExceeded", 503),
    ),
    "dynamodb": (
        ("ThrottlingException", 400),
        ("ProvisionedThroughputExceededException", 400),
        ("RequestLimitExceeded", 400),
    ),
    "s3": (("SlowDown", 503), ("RequestLimitExceeded", 503), ("Throttling", 503)),
    "sts": (("Throttling", 400), ("ThrottlingException", 400), ("RequestLimitExceeded", 503)),
}
EXPIRED = {"dynamodb": ("ExpiredTokenException", 400), "s3": ("ExpiredToken", 400)}
DENIED = {"dynamodb": ("AccessDeniedException", 400)}


class Kind(enum.Enum):
    """What happens to a call."""

    THROTTLE = "throttle"
    STATUS = "status"
    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"
    DELAY = "delay"
    EXPIRED = "expired"
    DENIED = "denied"
    SIGNAL_BEFORE = "signal before"
    SIGNAL_AFTER = "signal after"


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    `detail` is the signal. `attempts` is how many of the call's attempts it spoils;
    `lasting` spoils all later calls too. Codes and statuses take turns from call to call.
    """

    name: str
    kind: Kind
    detail: int = 0
    attempts: int = 1
    lasting: bool = False

    @property
    def kills(self) -> bool:
        """Tell whether the process gets no chance to clean up."""
        return self.is_signal and self.detail == signal.SIGKILL

    @property
    def is_signal(self) -> bool:
        """Tell whether the process is told to end."""
        return self.kind in (Kind.SIGNAL_BEFORE, Kind.SIGNAL_AFTER)


@dataclass
class Call:
    """One call of a run."""

    number: int
    service: str
    operation: str
    attempts: int = 0


@dataclass
class Run:
    """What the proxy knows of the process that it stands before."""

    fault: Fault | None = None
    at: int = 0
    calls: dict[str, Call] = field(default_factory=dict)
    struck: Call | None = None
    pid: int = 0
    known: threading.Event = field(default_factory=threading.Event)

    def strikes(self, call: Call, attempt: int) -> bool:
        """Tell whether this attempt of a call is to be spoilt."""
        if self.fault is None:
            return False
        hit = call.number == self.at and attempt <= self.fault.attempts
        return hit or (self.fault.lasting and call.number >= self.at)


class Proxy:
    """A loopback HTTP server before the emulator."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.run = Run()
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        """Return the URL to give to the tasks."""
        return f"http://{HOST}:{self.port}"

    def arm(self, fault: Fault | None = None, at: int = 0) -> Run:
        """Begin a new run, in which `fault` strikes the call number `at`."""
        self.run = Run(fault, at)
        return self.run

    def note(self, run: Run, headers: Any, method: str, path: str, body: bytes) -> tuple[Call, int]:
        """Recognise a call and count its attempt."""
        invocation = headers.get("amz-sdk-invocation-id") or f"{method} {path} {len(run.calls)}"
        with self._lock:
            call = run.calls.get(invocation)
            if call is None:
                service = service_of(headers)
                operation = operation_of(service, headers, method, path, body)
                call = run.calls[invocation] = Call(len(run.calls) + 1, service, operation)
            call.attempts += 1
            return call, call.attempts

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def service_of(headers: Any) -> str:
    match = _SERVICE.search(headers.get("Authorization", ""))
    return match[1] if match else ""


def operation_of(service: str, headers: Any, method: str, path: str, body: bytes) -> str:
    """Name the operation: the JSON target, the query action, or S3's method and path."""
    if headers.get("X-Amz-Target"):
        return str(headers["X-Amz-Target"]).rpartition(".")[2]
    if service != "s3":
        return parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
    parts = urlsplit(path)
    kind = "Object" if parts.path.strip("/").count("/") else "Bucket"
    what = parts.query.split("=")[0].split("&")[0]
    return f"{method} {kind}{f'?{what}' if what else ''}"


class _Handler(BaseHTTPRequestHandler):
    """Passes one connection's requests on, or spoils them."""

    owner: Proxy
    protocol_version = "HTTP/1.1"
    timeout = 60
    #: Small answers leave at once.
    wbufsize = -1

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def handle_expect_100(self) -> bool:
        """Ask for the body at once; botocore would wait a second for it."""
        asked = super().handle_expect_100()
        self.wfile.flush()
        return asked

    def handle(self) -> None:
        """Serve until the other side goes, which a killed process does without a word."""
        with contextlib.suppress(OSError):
            super().handle()

    def _pass(self) -> None:
        run = self.owner.run
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        call, attempt = self.owner.note(run, self.headers, self.command, self.path, body)
        fault = run.fault
        if fault is None or not run.strikes(call, attempt):
            self._relay(*self._forward(body))
            return
        run.struck = run.struck or call
        refusal = refusal_of(fault, call)
        if refusal:
            self._refuse(call.service, *refusal)
            return
        if fault.kind is Kind.DELAY:
            time.sleep(DELAY)
            self._relay(*self._forward(body))
            return
        if fault.kind in (Kind.CUT_AFTER, Kind.SIGNAL_AFTER):
            self._forward(body)
        if fault.is_signal:
            run.known.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.pid, fault.detail)
            # The process is to meet the signal before it meets the cut.
            time.sleep(0.02)
        self._cut()

    # The names are http.server's.
    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Send the request on and return the answer."""
        connection = http.client.HTTPConnection(HOST, self.owner.target_port, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _relay(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Hand an answer back."""
        self.send_response_only(status)
        length = None
        for name, value in headers:
            if name.lower() == "content-length":
                length = value
            elif name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        bodiless = self.command == "HEAD" or status in (204, 304)
        self.send_header("Content-Length", (length or "0") if bodiless else str(len(body)))
        self.end_headers()
        if not bodiless:
            self.wfile.write(body)
        self.wfile.flush()

    def _refuse(self, service: str, code: str, status: int) -> None:
        """Answer an error in the service's own form."""
        kind, body = write_refusal(service, code)
        self._relay(status, [("Content-Type", kind), ("x-amzn-RequestId", "0")], body)

    def _cut(self) -> None:
        """End the connection without an answer."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def write_refusal(service: str, code: str) -> tuple[str, bytes]:
    """Return content type and body of an error as a service writes it."""
    message = f"{code} by the test"
    if service == "dynamodb":
        text = json.dumps(
            {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}
        )
        return "application/x-amz-json-1.0", text.encode()
    if service == "s3":
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return "application/xml", text.encode()
    text = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
        f"<Message>{message}</Message></Error><RequestId>0</RequestId></ErrorResponse>"
    )
    return "text/xml", text.encode()


def refusal_of(fault: Fault, call: Call) -> tuple[str, int] | None:
    """Return code and status of the error that a fault answers with, None for other faults."""
    if fault.kind is Kind.THROTTLE:
        codes = THROTTLES.get(call.service, THROTTLES["sts"])
        return codes[call.number % len(codes)]
    if fault.kind is Kind.STATUS:
        return (("InternalFailure", 500), ("ServiceUnavailable", 503))[call.number % 2]
    if fault.kind is Kind.EXPIRED:
        return EXPIRED.get(call.service, ("ExpiredToken", 403))
    if fault.kind is Kind.DENIED:
        return DENIED.get(call.service, ("AccessDenied", 403))
    return None


def _signals() -> list[Fault]:
    return [
        Fault(f"{chosen.name[3:]} {when}", kind, int(chosen))
        for chosen in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
        for when, kind in (("before", Kind.SIGNAL_BEFORE), ("after", Kind.SIGNAL_AFTER))
    ]


#: What is tried at every call of every scenario.
FAULTS: tuple[Fault, ...] = (
    Fault("throttled once", Kind.THROTTLE),
    Fault("throttled until botocore gives up", Kind.THROTTLE, attempts=ATTEMPTS),
    Fault("500 or 503 once", Kind.STATUS),
    Fault("500 or 503 until botocore gives up", Kind.STATUS, attempts=ATTEMPTS),
    Fault("cut once, request lost", Kind.CUT_BEFORE),
    Fault("cut once, answer lost", Kind.CUT_AFTER),
    Fault("cut until botocore gives up, requests lost", Kind.CUT_BEFORE, attempts=ATTEMPTS),
    Fault("cut until botocore gives up, answers lost", Kind.CUT_AFTER, attempts=ATTEMPTS),
    Fault("answer delayed", Kind.DELAY),
    Fault("credentials expire", Kind.EXPIRED, lasting=True),
    Fault("permission denied", Kind.DENIED),
    *_signals(),
)
