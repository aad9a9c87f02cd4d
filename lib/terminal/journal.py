"""Keep a log file of every run that changes something, and CI's summary page.

The screen of a run is gone when somebody asks what happened; the file holds all that was
shown, and each AWS call with its request ID, which AWS's support asks for first. Secrets are
taken out of every line before it is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import traceback
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, TextIO
from urllib.parse import quote, quote_plus

from lib.drawing import clean
from lib.values import MASK

if TYPE_CHECKING:
    from lib.session import ApiCall

#: Log files that are kept; the oldest go first.
KEPT = 50

#: AWS's own secrets are longer; shorter values are no secret worth spoiling every word for.
_SHORTEST_CREDENTIAL = 16

#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")

_NAME = re.compile(r"\d{8}-\d{6}-.*\.log")
_ODD = re.compile(r"[^A-Za-z0-9.-]+")

#: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits
_SUMMARY_BYTES_AT_MOST = 1_000_000


class Journal:
    """The log file of one run, as a context that closes it and keeps a bug's traceback."""

    def __init__(self, path: Path, stream: TextIO, now: Callable[[], datetime]) -> None:
        self.path = path
        self._stream = stream
        self._now = now
        self._secrets: tuple[str, ...] = ()
        self._lock = threading.Lock()

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask these values from now on, longest first, also as JSON and URLs write them."""
        known = {*self._secrets}
        for secret in secrets:
            known |= {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), quote_plus(secret)}
        self._secrets = tuple(sorted(known - {""}, key=len, reverse=True))

    def hide_credentials(self, secrets: Iterable[str]) -> None:
        """Mask credentials; what is too short to be one of AWS's is left alone."""
        self.hide(secret for secret in secrets if len(secret) >= _SHORTEST_CREDENTIAL)

    def write(self, text: str) -> None:
        """Write text, each line with the time in UTC; any thread may."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        text = _ACCESS_KEY.sub(MASK, clean(text))
        with self._lock:
            stamp = f"{self._now():%H:%M:%S.%f}"[:-3]
            self._stream.writelines(f"{stamp} {line}\n" for line in text.splitlines())
            # A run may be killed; what it did last matters most.
            self._stream.flush()

    def __enter__(self) -> Self:
        """Return the journal."""
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Write down the traceback of what ended the run, and close the file."""
        if error is not None:
            self.write("".join(traceback.format_exception(error)))
        self._stream.close()


def open_journal(
    folder: Path, now: Callable[[], datetime], *, task: str, stack: str, kept: int = KEPT
) -> Journal:
    """Start a run's log file, readable by its owner alone, and remove the oldest beyond `kept`.

    `now` gives the time in UTC. Raises `OSError` where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{now():%Y%m%d-%H%M%S}-{_ODD.sub('_', task)}-{_ODD.sub('_', stack)}"[:200]
    path, descriptor = _create(folder, stem)
    _remove_oldest(folder, kept)
    return Journal(path, os.fdopen(descriptor, "w", encoding="utf-8", errors="replace"), now)


def _create(folder: Path, stem: str) -> tuple[Path, int]:
    """Create a new file; runs of one second get numbers."""
    number = 1
    while True:
        path = folder / (f"{stem}.log" if number == 1 else f"{stem}-{number}.log")
        try:
            return path, os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            number += 1


def _remove_oldest(folder: Path, kept: int) -> None:
    """Remove this tool's oldest log files; what another run removes meanwhile is gone too."""
    ours = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    for path in ours[: max(len(ours) - kept, 0)]:
        with contextlib.suppress(OSError):
            path.unlink()


def describe_call(call: ApiCall) -> str:
    """Return one AWS call as a line: what, where, how long, how it ended, and its request ID."""
    ended = " ".join(filter(None, (str(call.status or "-"), call.error)))
    retries = f"  {call.retries} retries" if call.retries else ""
    return (
        f"aws {call.service} {call.operation}  {call.region}  {call.seconds:.3f} s  {ended}"
        f"{retries}  request {call.request_id or '-'}"
    )


def append_summary(path: Path, markdown: str) -> bool:
    """Add to the page that CI shows beside a job; tell whether there was room.

    CI takes one mebibyte per step and drops the whole page beyond it.
    """
    before = path.stat().st_size if path.exists() else 0
    addition = f"{markdown}\n\n".encode()
    if before + len(addition) > _SUMMARY_BYTES_AT_MOST:
        return False
    with path.open("ab") as page:
        page.write(addition)
    return True
