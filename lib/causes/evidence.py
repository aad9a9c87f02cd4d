"""Hold what is found out about a failure, and ask AWS for it within bounds.

Evidence is shown and kept: values that may be secret never stand in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lib.drawing import clean
from lib.refusals import error_code, error_message, is_denied, is_unsupported
from lib.values import MASK

if TYPE_CHECKING:
    from lib.access import Access

Answer = TypeVar("Answer")

#: Calls that one failure is worth. The longest way, a stopped task's, takes five.
MOST_CALLS = 8

#: Seconds after which no further call is begun: the report of a failure waits for this.
LONGEST = 15.0

#: Lines of a log that are shown, and characters of a line.
LOG_LINES = 10
LINE_WIDTH = 300

#: Shorter values of environment variables ("1", "dev") are in every text; hiding them hides all.
SHORTEST_SECRET = 4

#: Where what could not be read is told.
UNREAD = "not looked at"

#: "Access key IDs beginning with AKIA are long-term", those with ASIA temporary.
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
_KEYS = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")

#: What an application's own log line gives away.
_GIVEN_AWAY = re.compile(
    r"(?i)((?:password|passphrase|secret|token|credential|api[_-]?key)\w*[\"']?\s*[=:]\s*[\"']?)"
    r"[^\s\"',;]+"
)


@dataclass(frozen=True)
class Evidence:
    """One thing that was found: what was looked at, and what it says."""

    source: str
    text: str


@dataclass(frozen=True)
class Case:
    """A failure: where it happened, to what, when, and what CloudFormation says of it.

    `properties` are the resource's own as JSON, `hook_id` the invocation of a hook; "" where AWS
    tells neither.
    """

    path: str
    type: str
    physical_id: str
    stack_id: str
    status: str
    reason: str
    time: datetime
    properties: str = ""
    hook_id: str = ""


@dataclass
class Search:
    """Look for evidence: what was found, what could not be looked at, what must not be shown.

    `secrets` are values that are masked in whatever is found. `told` are the functions, by name,
    whose environment is among them.
    """

    access: Access
    secrets: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    found: list[Evidence] = field(default_factory=list)
    unread: dict[str, list[str]] = field(default_factory=dict)
    calls: int = 0
    began: float = 0.0

    def __post_init__(self) -> None:
        """Begin to count the time."""
        self.began = self.access.clock.monotonic()

    def ask(self, what: str, call: Callable[[], Answer]) -> Answer | None:
        """Make one call; None, and a line about it, where it may not or cannot be made."""
        late = self.access.clock.monotonic() - self.began > LONGEST
        if late or self.calls >= MOST_CALLS:
            self.give_up(what, "it would have taken too long")
            return None
        self.calls += 1
        try:
            return call()
        except (BotoCoreError, ClientError, ResponseParserError) as exc:
            self.give_up(what, _explain(exc))
            return None

    def give_up(self, what: str, why: str) -> None:
        """Remember what was not looked at."""
        self.unread.setdefault(why, []).append(what)

    def add(self, source: str, text: str) -> None:
        """Keep what was found, unless there is nothing to it."""
        if text.strip():
            self.found.append(Evidence(source, text.strip()))

    def hide(self, values: Iterable[object]) -> None:
        """Mask some values in everything that is found."""
        self.secrets |= {str(one) for one in values if len(str(one)) >= SHORTEST_SECRET}

    def conclude(self) -> tuple[Evidence, ...]:
        """Return what was found and, last, what was not looked at."""
        told = [Evidence(one.source, self.mask(one.text)) for one in list(self.found)]
        if self.unread:
            parts = [f"{', '.join(dict.fromkeys(names))}: {why}" for why, names in self._reasons()]
            told.append(Evidence(UNREAD, self.mask("; ".join(parts))))
        return tuple(told)

    def _reasons(self) -> list[tuple[str, list[str]]]:
        return [(why.rstrip("."), names) for why, names in list(self.unread.items())]

    def mask(self, text: str) -> str:
        """Return a text without what must not be shown, and without what steers a terminal."""
        for value in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(value, MASK)
        text = _GIVEN_AWAY.sub(rf"\1{MASK}", _KEYS.sub(MASK, text))
        return "\n".join(clean(line) for line in text.splitlines())


def draw(found: Iterable[Evidence], *, lines: int) -> list[str]:
    """Return evidence as lines of text, at most `lines` of each, the last ones."""
    drawn: list[str] = []
    for one in found:
        told = one.text.splitlines()[-lines:]
        if len(told) == 1:
            drawn.append(f"{one.source}: {told[0]}")
        else:
            drawn += [f"{one.source}:", *(f"  {line}" for line in told)]
    return drawn


def _explain(exc: BaseException) -> str:
    """Say in a few words why a call was not answered."""
    operation = getattr(exc, "operation_name", "")
    if is_denied(exc):
        return f"AWS denies {operation}"
    if is_unsupported(exc):
        return "not available at this endpoint"
    code = error_code(exc)
    if code.startswith("ResourceNotFound") or code.endswith(("NotFoundException", "NotFound")):
        return "gone, or never there"
    return error_message(exc) or type(exc).__name__
