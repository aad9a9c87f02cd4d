"""The benchmark counts every request once, by its name, and reports medians of what succeeded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import measure, proxy, report
from bench.templates import nested

SCOPE = "AWS4-HMAC-SHA256 Credential=local/20261122/us-east-1/{}/aws4_request, SignedHeaders=host"


def request(service: str, first: str, body: bytes = b"", more: str = "") -> bytes:
    head = f"{first} HTTP/1.1\r\nHost: x\r\nAuthorization: {SCOPE.format(service)}\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


REQUESTS = {
    "cloudformation:CreateStack": request(
        "cloudformation", "POST /", b"Action=CreateStack&StackName=Action%3DNo"
    ),
    "dynamodb:CreateBackup": request(
        "dynamodb", "POST /", b"{}", "X-Amz-Target: DynamoDB_20120810.CreateBackup\r\n"
    ),
    # What an object holds does not name the operation.
    "s3:PutObject": request("s3", "PUT /bucket/a/b.yaml", b"Action=Nothing"),
    "s3:HeadBucket": request("s3", "HEAD /bucket"),
    "s3:PutBucketVersioning": request("s3", "PUT /bucket?versioning", b"<x/>"),
    "s3:ListObjects": request("s3", "GET /bucket?list-type=2&prefix=templates%2F"),
    "s3:ListBuckets": request("s3", "GET /"),
}


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_every_request_of_a_connection_is_counted_once_whatever_pieces_it_comes_in(
    size: int,
) -> None:
    heard: list[str] = []
    listener = proxy.Listener(heard.append)
    stream = b"".join(REQUESTS.values())
    for start in range(0, len(stream), size):
        listener.feed(stream[start : start + size])
    assert heard == list(REQUESTS)


def test_a_chunked_request_ends_with_its_last_chunk() -> None:
    heard: list[str] = []
    listener = proxy.Listener(heard.append)
    chunked = request("s3", "PUT /bucket/key").replace(
        b"Content-Length: 0", b"Transfer-Encoding: chunked"
    )
    listener.feed(chunked + b"3\r\nabc\r\n")
    listener.feed(b"0\r\n\r\n")
    listener.feed(REQUESTS["s3:HeadBucket"])
    assert heard == ["s3:PutObject", "s3:HeadBucket"]


def test_what_nobody_signed_is_no_api_call() -> None:
    heard: list[str] = []
    proxy.Listener(heard.append).feed(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert heard == ["local:GET /health"]


def test_a_command_is_measured_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    script = f"import subprocess; subprocess.run(['{sys.executable}', '-c', 'print(7)']); exit(3)"
    monkeypatch.setattr(sys, "argv", ["measure", str(log), "60", sys.executable, "-c", script])
    measure.main()
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["code"] == 3
    assert found["wall"] > 0
    assert found["memory"] > 1
    assert log.read_text() == "7\n"


def result(wall: float, code: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "work": "deploy", "case": "new", "tool": report.OURS, "delay": 0.0, "wall": wall,
        "cpu": 1.0, "memory": 60.0, "code": code, "calls": {"s3:PutObject": 3}, "lost": 0.2,
        "load": 0.5, "log": [], **more,
    }  # fmt: skip


def test_a_cell_is_the_median_of_the_runs_that_succeeded_and_counts_the_others() -> None:
    found = report.Measured([result(3.0), result(1.0), result(99.0, code=1), result(2.0)])
    cell = found.cell("deploy", "new", report.OURS, 0.0)
    assert cell is not None
    assert (cell.wall, cell.lowest, cell.highest, cell.runs, cell.failed) == (2.0, 1.0, 3.0, 3, 1)


def test_the_page_says_what_was_met_missed_and_never_measured(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    found = {
        "date": "2026-11-22",
        "machine": {"CPU": "one"},
        "versions": {"ministack": "1"},
        "results": [result(2.5), result(9.0, tool="script", lost=3.0)],
    }
    report.write(path, found)
    text = path.read_text()
    assert "| New stack, nothing published, seconds | 2 | 2.5 | **missed** |" in text
    assert "| Lost after a short creation, seconds | 0.5 | 0.2 | met |" in text
    assert "| No change, seconds | 1 | not measured |  |" in text
    assert "| script | 9.00 | 9.00–9.00 | 3.6 |" in text


def test_a_set_for_peers_names_its_nested_templates_by_path() -> None:
    local = nested(2, {"EnvironmentName": "development"}).with_local_urls()["master-stack.yaml"]
    assert "TemplateURL: child-002.yaml" in local
    assert "!Sub" not in local
