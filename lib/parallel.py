"""Do one thing to many items side by side, with one answer to Ctrl-C.

The threads are daemons, unlike an executor's: a call that hangs must not keep the process
alive after Ctrl-C. All waiting happens in the calling thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from lib.outside import Strands

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Seconds that calls under way get to end after Ctrl-C, to learn what they started.
GRACE = 2.0


def side_by_side(
    call: Callable[[Item], Result], items: Iterable[Item], *, at_once: int
) -> list[Result]:
    """Call a function with each item on at most `at_once` threads; return results in order.

    The first error in the order of the items is raised once every call under way has ended,
    and items that had not been begun are left out. On Ctrl-C nothing further is begun, calls
    under way get `GRACE` seconds, and KeyboardInterrupt is raised.
    """
    given = list(items)
    waiting = deque(enumerate(given))
    results: dict[int, Result] = {}
    errors: dict[int, BaseException] = {}
    ended = threading.Semaphore(0)
    strands = Strands()

    def work() -> None:
        try:
            while (taken := _take(waiting)) is not None:
                index, item = taken
                try:
                    results[index] = strands.run(index, call, item)
                except BaseException as exc:  # raised in the caller's thread below
                    errors[index] = exc
                    waiting.clear()
        finally:
            ended.release()

    try:
        _run(work, ended, waiting, threads=min(at_once, len(given)))
    except KeyboardInterrupt:
        strands.note_interrupt()
        raise
    strands.join()
    if errors:
        raise errors[min(errors)]
    return [results[index] for index in range(len(given))]


def _run(
    work: Callable[[], None], ended: threading.Semaphore, waiting: deque[Any], *, threads: int
) -> None:
    """Do work on threads until each has released `ended`; on Ctrl-C leave what is waiting."""
    running = threads
    try:
        for _ in range(threads):
            threading.Thread(target=work, daemon=True).start()
        # Not Thread.join: interrupted once, it takes the thread for ended ever after.
        while running:
            ended.acquire()
            running -= 1
    except KeyboardInterrupt:
        waiting.clear()
        # Real time, whatever clock the caller has: the calls under way are real.
        until = time.monotonic() + GRACE
        while running and ended.acquire(timeout=max(0.0, until - time.monotonic())):
            running -= 1
        raise


def _take(waiting: deque[tuple[int, Item]]) -> tuple[int, Item] | None:
    """Take the next item, or None when another thread took the last one."""
    try:
        return waiting.popleft()
    except IndexError:
        return None


def within(call: Callable[[], object], seconds: float) -> bool:
    """Call a function on a thread of its own, and tell whether it ended within some seconds.

    One that does not is left to itself: its thread is a daemon, and holds nobody up.
    """
    ended = threading.Event()

    def work() -> None:
        try:
            call()
        finally:
            ended.set()

    threading.Thread(target=work, daemon=True).start()
    return ended.wait(seconds)
