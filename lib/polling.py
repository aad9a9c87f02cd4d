"""Decide how long to wait between two looks at something that AWS is doing.

A fixed pause is either late or greedy: botocore's own waiters look every 30 s. Here each
pause is a tenth of the time already waited, so that at most about a tenth is lost after
the end, and long operations are asked about rarely.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar, overload

from lib import outside
from lib.refusals import error_code, error_message, is_passing

Answer = TypeVar("Answer")

SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
SHARE_OF_WAIT = 0.1

#: Pauses after answers such as Throttling, seconds. DescribeStacks and its like share one
#: budget per account and region, so a refused look has to give others room.
FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 30.0

#: After how many seconds of refused looks a person is told what is waited for, and how often.
SILENCE = 5.0
REMINDER = 60.0

#: How long reads may keep failing before watching is given up. The operation itself goes on.
PATIENCE = 900.0


@dataclass(frozen=True)
class Clock:
    """Time as a workflow sees it: seconds that only grow, the date, and a way to wait.

    `explain` is told why a wait takes so long, in one sentence; without, waiting is silent.
    """

    monotonic: Callable[[], float] = outside.monotonic
    now: Callable[[], datetime] = outside.now
    sleep: Callable[[float], None] = outside.sleep
    explain: Callable[[str], None] | None = None


def pause_after(waited: float, shortest: float = SHORTEST_PAUSE) -> float:
    """Return the seconds to pause after having waited `waited` seconds."""
    return min(max(waited * SHARE_OF_WAIT, shortest), LONGEST_PAUSE)


def backoff_after(failures: int) -> float:
    """Return the seconds to pause after `failures` refused looks in a row, at least one."""
    return min(FIRST_BACKOFF * 2.0 ** (failures - 1), LONGEST_BACKOFF)


@overload
def until(
    look: Callable[[float], Answer | None], clock: Clock, *, shortest: float = SHORTEST_PAUSE
) -> Answer: ...


@overload
def until(
    look: Callable[[float], Answer | None],
    clock: Clock,
    *,
    longest: float,
    shortest: float = SHORTEST_PAUSE,
) -> Answer | None: ...


def until(
    look: Callable[[float], Answer | None],
    clock: Clock,
    *,
    longest: float = math.inf,
    shortest: float = SHORTEST_PAUSE,
) -> Answer | None:
    """Look again and again, with growing pauses, until a look returns something.

    `look` is given the seconds waited so far and returns None while the end has not come.
    Returns None when it has not come after `longest` seconds; what that means is for the
    caller to say. `shortest` is the first pause: more than a moment for what AWS never does in
    one, since each look counts against a budget that others share.
    """
    started = clock.monotonic()
    while True:
        waited = clock.monotonic() - started
        found = look(waited)
        if found is not None:
            return found
        if waited > longest:
            return None
        clock.sleep(pause_after(waited, shortest))


def ask_patiently(
    call: Callable[[], Answer],
    clock: Clock,
    patience: float = PATIENCE,
    *,
    passes: Callable[[Exception], bool] = is_passing,
) -> Answer:
    """Repeat a read until AWS answers it.

    Only for reads, and for changes that come out the same when made twice: errors that
    `passes` calls passing (by default throttling, AWS's own errors, a cut connection) are
    tried again with growing pauses for `patience` seconds, then raised as they are. Any
    other error is raised at once. A wait of more than some seconds is told to the clock.
    """
    started = clock.monotonic()
    failures = 0
    told = SILENCE - REMINDER
    while True:
        try:
            return call()
        except Exception as exc:  # botocore's errors have no common base; see is_passing
            failures += 1
            waited = clock.monotonic() - started
            if not passes(exc) or waited > patience:
                raise
            if clock.explain and waited >= SILENCE and waited >= told + REMINDER:
                told = waited
                clock.explain(describe_wait(exc, patience - waited))
            clock.sleep(backoff_after(failures))


def describe_wait(exc: Exception, left: float) -> str:
    """Return one sentence on what keeps being refused, and for how many seconds it is tried."""
    operation = getattr(exc, "operation_name", "")
    code, message = error_code(exc), error_message(exc)
    words = f"{code}: {message}" if code and code != message else message
    return (
        f"AWS does not answer {operation or 'a call'} yet ({words}); it is tried again for up to "
        f"{max(left, 0) / 60:.0f} min."
    )
