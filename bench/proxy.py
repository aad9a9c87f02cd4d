"""Pass bytes between the tools and the emulator, and count the API calls that go by.

Nothing is changed or held back, so that keep-alive and `Expect: 100-continue` work as without
it. Only what is needed to name the operation is read from a request.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"

#: How much of a body is looked at: form-encoded requests name their operation in it.
_LOOKED_AT = 1 << 20

_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/")
_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")

#: S3 names an operation by method, level and the query's subresource.
_SUBRESOURCES = {
    "acl": "Acl",
    "encryption": "BucketEncryption",
    "lifecycle": "BucketLifecycle",
    "location": "BucketLocation",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "publicAccessBlock": "PublicAccessBlock",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
}


class Proxy:
    """A proxy in a thread of its own. `calls` counts by operation since the last `reset`."""

    def __init__(self, upstream: int) -> None:
        """Listen on a free port of the loopback, and pass everything on to port `upstream`."""
        self.upstream = upstream
        self.calls: Counter[str] = Counter()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        self._ready.wait()

    def reset(self) -> None:
        """Count from zero."""
        self.calls = Counter()

    def _run(self) -> None:
        async def listen() -> None:
            server = await asyncio.start_server(self._serve, HOST, 0)
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await server.serve_forever()

        self._loop.run_until_complete(listen())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        try:
            there, back = await asyncio.open_connection(HOST, self.upstream)
        except OSError:
            writer.close()
            return
        listener = Listener(self._count)
        await asyncio.gather(
            _pipe(reader, back, listener.feed), _pipe(there, writer, lambda _: None)
        )

    def _count(self, operation: str) -> None:
        self.calls[operation] += 1


async def _pipe(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, look: Callable[[bytes], None]
) -> None:
    """Copy until the source ends."""
    try:
        while data := await source.read(1 << 16):
            look(data)
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        pass
    finally:
        sink.close()


class Listener:
    """Follow the requests of one connection, whatever pieces they arrive in."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Call `tell` with the operation of each request."""
        self._tell = tell
        self._head = b""
        self._body = b""
        self._left = 0
        self._chunked = False
        self._request: tuple[str, str, dict[str, str]] | None = None

    def feed(self, data: bytes) -> None:
        """Take in the next bytes."""
        while data:
            data = self._take_body(data) if self._request else self._take_head(data)

    def _take_head(self, data: bytes) -> bytes:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            return b""
        self._head = b""
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, *_ = first.split(" ")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        self._request = (method, target, headers)
        self._body = b""
        self._left = int(headers.get("content-length", 0))
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        if not self._left and not self._chunked:
            self._finish()
        return rest

    def _take_body(self, data: bytes) -> bytes:
        if self._chunked:
            self._body += data
            if self._body.endswith(b"0\r\n\r\n"):
                self._finish()
            return b""
        taken, rest = data[: self._left], data[self._left :]
        self._left -= len(taken)
        if len(self._body) < _LOOKED_AT:
            self._body += taken
        if not self._left:
            self._finish()
        return rest

    def _finish(self) -> None:
        if self._request:
            self._tell(name_operation(*self._request, self._body))
        self._request = None


def name_operation(method: str, target: str, headers: dict[str, str], body: bytes) -> str:
    """Return `service:Operation` of a request, "local:…" for what is no API call."""
    scope = _SCOPE.search(headers.get("authorization", ""))
    if not scope:
        return f"local:{method} {urlsplit(target).path}"
    service = scope[2]
    if "x-amz-target" in headers:
        return f"{service}:{headers['x-amz-target'].rpartition('.')[2]}"
    path, _, query = target.partition("?")
    if service == "s3":
        return f"s3:{_name_s3(method, path, query, headers)}"
    action = _ACTION.search(body)
    if action:
        return f"{service}:{action[1].decode()}"
    if "/operation/" in path:
        return f"{service}:{path.rpartition('/')[2]}"
    return f"{service}:{method} {path}"


def _name_s3(method: str, path: str, query: str, headers: dict[str, str]) -> str:
    """Name an S3 request, which has no operation in it."""
    asked = parse_qs(query, keep_blank_values=True)
    verb = method.capitalize()
    bucket, _, key = path.lstrip("/").partition("/")
    if key:
        copied = "x-amz-copy-source" in headers
        return "CopyObject" if copied else f"{verb}Object"
    if not bucket:
        return "ListBuckets"
    for name, operation in _SUBRESOURCES.items():
        if name in asked:
            return f"{verb}{operation}"
    if method == "GET":
        return "ListObjectVersions" if "versions" in asked else "ListObjects"
    return "CreateBucket" if method == "PUT" else f"{verb}Bucket"
