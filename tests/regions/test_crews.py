"""Threads that work for one person lose no answer and can clean up, however Ctrl-C comes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from lib.polling import Clock
from lib.regions.crews import Crew


def test_leaving_before_anything_runs_interrupts_those_who_wait() -> None:
    crew = Crew(Clock())
    caught: list[BaseException] = []
    crew.start("a", lambda: crew.operator("a").confirm("Go?", "y"))
    while not crew.open_question("a"):
        crew.take(0.01)
    crew.leave()
    while crew.busy():
        crew.take(0.01)
    error = crew.ended["a"].error
    caught += [error] if error else []
    assert isinstance(caught[0], KeyboardInterrupt)


def call_and_interrupt(call: Callable[[], None], step: int) -> bool:
    """Press Ctrl-C at one step of the interpreter; false when the call ended before it."""
    left = step

    def trace(frame: Any, event: str, _argument: object) -> Any:
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    try:
        sys.settrace(trace)
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_answer_arrives_at_whatever_step_ctrl_c_interrupts_it() -> None:
    for step in range(10_000):
        crew = Crew(Clock())
        crew.start("a", lambda crew=crew: crew.operator("a").confirm("Go?", "y"))
        while not crew.open_question("a"):
            crew.take(0.01)
        interrupted = call_and_interrupt(lambda crew=crew: crew.answer("a", True), step)
        # As a rollout's loops do: they count the interrupt and begin anew.
        crew.answer("a", True)
        until = time.monotonic() + 30
        while crew.busy() and time.monotonic() < until:
            crew.take(0.01)
        assert crew.ended["a"].result is True, f"interrupted at step {step}"
        if not interrupted:
            break
    assert step > 10


def test_a_thread_is_interrupted_once_so_that_it_can_clean_up() -> None:
    crew = Crew(Clock())

    def clean_up() -> str:
        clock = crew.clock("a")
        try:
            while True:
                clock.sleep(0.01)
        except KeyboardInterrupt:
            clock.sleep(0.01)
            return "cleaned up"

    crew.start("a", clean_up)
    crew.leave()
    while crew.busy():
        crew.take(0.01)
    assert crew.ended["a"].result == "cleaned up"
