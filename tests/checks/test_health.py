"""The health endpoint is asked over HTTP and nothing else."""

from __future__ import annotations

import urllib.error
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from lib.checks import health


def test_the_endpoint_is_asked_over_http() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503 if self.path == "/down" else 200)
            self.end_headers()
            self.wfile.write(b"body")

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}"
        fetch = health.fetcher(direct=True)
        assert fetch(f"{root}/health") == (200, b"body")
        assert fetch(f"{root}/down") == (503, b"body")
        server.shutdown()
    with pytest.raises(urllib.error.URLError):
        fetch(f"{root}/health")
    with pytest.raises(OSError, match="is no web address"):
        fetch("file:///etc/passwd")
