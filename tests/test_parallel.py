"""Work side by side comes back in order, stops at the first error and at Ctrl-C."""

from __future__ import annotations

import _thread
import threading
import time

import pytest

from lib import parallel


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.05 if item == 0 else 0)
        return item * 2

    assert parallel.side_by_side(slow_first, range(6), at_once=3) == [0, 2, 4, 6, 8, 10]


def test_no_more_run_at_once_than_allowed() -> None:
    lock, running, most = threading.Lock(), [0], [0]

    def count(_: int) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.01)
        with lock:
            running[0] -= 1

    parallel.side_by_side(count, range(12), at_once=3)
    assert most[0] <= 3


def test_nothing_to_do_starts_no_thread() -> None:
    before = threading.active_count()
    assert parallel.side_by_side(str, [], at_once=4) == []
    assert threading.active_count() == before


def test_the_first_error_is_raised_and_what_had_not_begun_is_left_out() -> None:
    begun: list[int] = []

    def fail(item: int) -> None:
        begun.append(item)
        raise ValueError(item)

    with pytest.raises(ValueError, match="0"):
        parallel.side_by_side(fail, range(50), at_once=1)
    assert begun == [0]


def test_ctrl_c_begins_nothing_further_and_does_not_wait_for_a_call_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parallel, "GRACE", 0.05)
    begun: list[int] = []
    hung = threading.Event()

    def hang(item: int) -> None:
        begun.append(item)
        _thread.interrupt_main()
        hung.wait(10)

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        parallel.side_by_side(hang, range(50), at_once=1)
    hung.set()
    assert begun == [0]
    assert time.monotonic() - started < 5


def test_a_call_under_way_at_ctrl_c_may_still_end() -> None:
    done: list[int] = []

    def end_soon(item: int) -> None:
        _thread.interrupt_main()
        time.sleep(0.05)
        done.append(item)

    with pytest.raises(KeyboardInterrupt):
        parallel.side_by_side(end_soon, [7], at_once=1)
    assert done == [7]


def test_what_does_not_end_in_time_is_left_to_itself() -> None:
    hanging = threading.Event()
    assert parallel.within(lambda: hanging.wait(30), 0.02) is False
    hanging.set()
    assert parallel.within(lambda: None, 5) is True
