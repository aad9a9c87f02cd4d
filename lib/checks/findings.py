"""Say what a check found in a region: ready, missing and how to mend it, or cannot be told."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lib import polling
from lib.document import keys
from lib.refusals import (
    error_code,
    error_message,
    is_about_sign_in,
    is_throttled,
    is_unsupported,
)

if TYPE_CHECKING:
    from lib.access import Access

Answer = TypeVar("Answer")

#: Seconds for which a throttled look is repeated; a check is not worth more.
PATIENCE = 20.0

#: What is told of an endpoint that lacks a call.
NOT_HERE = "not available at this endpoint"


class Readiness(enum.Enum):
    """What a check came to."""

    READY = "ready"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class RegionFinding:
    """One thing found in one region.

    `next_step` is what mends it where it is missing. `stops` is true of what a deployment is
    certain to fail by; the application may be hampered by the rest, or somebody surprised.
    """

    region: str
    check: str
    state: Readiness
    message: str
    next_step: str = ""
    stops: bool = False

    KEYS: ClassVar = keys("check state region message next_step")

    def __str__(self) -> str:
        """Return the finding as one sentence, for a line of progress."""
        step = f"; {self.next_step}" if self.next_step else ""
        return f"{self.check}: {self.message}{step}"


def ready(region: str, check: str, message: str) -> RegionFinding:
    """Return the finding that nothing is left to do."""
    return RegionFinding(region, check, Readiness.READY, message)


def missing(
    region: str, check: str, message: str, next_step: str, *, stops: bool = False
) -> RegionFinding:
    """Return a finding of what has to be mended."""
    return RegionFinding(region, check, Readiness.MISSING, message, next_step, stops)


def unknown(region: str, check: str, reason: str, next_step: str = "") -> RegionFinding:
    """Return the finding that a check could not be made."""
    return RegionFinding(region, check, Readiness.UNKNOWN, reason, next_step)


def ask(call: Callable[[], Answer]) -> tuple[Answer | None, str]:
    """Return what AWS answers, or None and why it does not.

    Credentials that ended on the way are raised: whatever is asked after them would be refused
    for the same reason.
    """
    try:
        return call(), ""
    except (BotoCoreError, ClientError, ResponseParserError) as exc:
        if is_about_sign_in(exc):
            raise
        return None, describe_refusal(exc)


def ask_patiently(access: Access, call: Callable[[], Answer]) -> tuple[Answer | None, str]:
    """Return like `ask` what AWS answers, repeating a call that came too often."""
    return ask(lambda: polling.ask_patiently(call, access.clock, PATIENCE, passes=is_throttled))


def describe_refusal(exc: BaseException) -> str:
    """Say why AWS did not answer a look."""
    if is_unsupported(exc):
        return NOT_HERE
    return f"AWS answers {error_code(exc)} {error_message(exc)}".strip()


def gather_unknown(found: Iterable[RegionFinding]) -> tuple[RegionFinding, ...]:
    """Make one finding of all in a region that cannot be told for the same reason.

    An emulator lacks a dozen calls, which is one thing to say and not twelve.
    """
    result: dict[tuple[str, str], RegionFinding] = {}
    names: dict[tuple[str, str], list[str]] = {}
    others = []
    for one in found:
        if one.state is not Readiness.UNKNOWN or one.message != NOT_HERE:
            others.append(one)
            continue
        place = (one.region, one.message)
        names.setdefault(place, []).append(one.check)
        result[place] = one
    together = [
        unknown(one.region, ", ".join(dict.fromkeys(names[place])), one.message)
        for place, one in result.items()
    ]
    return (*others, *together)
