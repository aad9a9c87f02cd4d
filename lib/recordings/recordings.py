"""Read a recorded run: a file of JSON lines, of which the first says what was run.

    {"kind": "run", "format": 1, "task": …, "flags": …, "console": …, "files": …, …}
    {"kind": "file", "path": …, "text": …}                       a file that the run read
    {"kind": "call", "service": …, "operation": …, "parameters": …, "answer": … | "error": …}
    {"kind": "sleep" | "answer" | "id" | …, …}                   whatever else decided
    {"kind": "end", "exit_code": …, "out": …, "err": …}          the screens, where it ended

Each answer has the strand that had it and the second at which it came.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import InputError

FORMAT = 1

#: What stands for the checkout that a run was in, wherever its path was said.
CHECKOUT = "/checkout"

#: What stands for the home of whoever recorded it.
HOME = "~"

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Recording:
    """A recorded run. `end` is None where the run was killed before its end was written."""

    path: Path
    head: Event
    files: Mapping[str, Event]
    events: tuple[Event, ...]
    end: Event | None

    @property
    def calls(self) -> Iterator[Event]:
        """Yield the calls of AWS that were answered."""
        return (one for one in self.events if one["kind"] == "call" and "answer" in one)


def read(path: Path) -> Recording:
    """Read a recording; a last line that was cut off is left out.

    Raises `InputError` for a file that is none, or of another format.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"The recording {path} cannot be read: {exc}.") from None
    events = list(_parse(lines))
    head = events[0] if events else {}
    if head.get("kind") != "run":
        raise InputError(
            f"{path} is no recording of a run.", next_step="inv TASK --record FILE writes one"
        )
    if head.get("format") != FORMAT:
        raise InputError(
            f"The recording {path} has format {head.get('format')}; this checkout reads {FORMAT}.",
            next_step="replay it with the checkout that wrote it: "
            f"{head.get('commit') or 'an unknown one'}",
        )
    files = {str(one["path"]): one for one in events if one["kind"] == "file"}
    rest = tuple(one for one in events[1:] if one["kind"] not in ("file", "end"))
    end = next((one for one in events if one["kind"] == "end"), None)
    return Recording(path, head, files, rest, end)


def _parse(lines: list[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            return
        if not isinstance(event, dict) or "kind" not in event:
            return
        yield event
