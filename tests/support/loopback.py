"""Serve pages on the loopback, for code that reads the web or talks to AWS by HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serving(
    pages: Mapping[str, str], *, cut: str = "", statuses: Mapping[str, int] | None = None
) -> Iterator[str]:
    """Serve pages by path, or by the operation of an AWS JSON request, and yield the root's URL.

    The page `cut` breaks off half way; a page may have another status than 200.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(self.path)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = self.headers.get("X-Amz-Target") or self.path
            self.answer(asked.rpartition(".")[2])

        def answer(self, asked: str) -> None:
            body = pages.get(asked, "").encode()
            self.send_response((statuses or {}).get(asked, 200 if asked in pages else 404))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if asked == cut else body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
