"""Threads that work for one person lose no answer and can clean up, however Ctrl-C comes."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from lib.operators import Note, OnInterrupt
from lib.polling import Clock
from lib.regions.crews import Crew, Ended, Question
from tests.support.aws_fakes import START


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


# What goes between a thread and its person


def ended(crew: Crew, name: str = "a") -> Ended:
    while name not in crew.ended:
        crew.take(0.01)
    return crew.ended[name]


def ask(crew: Crew, word: str = "y") -> Question:
    crew.start("a", lambda: crew.operator("a").confirm("Go?", word))
    while not crew.open_question("a"):
        crew.take(0.01)
    question = crew.open_question("a")
    assert question is not None
    return question


@pytest.mark.parametrize(("word", "ordinary"), [("y", True), ("Data/Jobs", False)])
def test_a_question_arrives_as_it_was_asked(word: str, ordinary: bool) -> None:
    crew = Crew(Clock())
    question = ask(crew, word)
    assert (question.text, question.word, question.is_ordinary) == ("Go?", word, ordinary)
    crew.answer("a", False)
    assert ended(crew) == Ended(False)
    assert crew.open_question("a") is None


def test_only_the_first_answer_counts_and_nobody_is_answered_who_did_not_ask() -> None:
    crew = Crew(Clock())
    crew.answer("a", True)
    question = ask(crew)
    crew.answer("a", True)
    crew.answer("a", False)
    assert question.answers.empty() or question.answers.qsize() == 1
    assert ended(crew).result is True


def test_an_error_for_an_answer_is_raised_where_it_was_asked() -> None:
    crew = Crew(Clock())
    ask(crew)
    error = ZeroDivisionError("no")
    crew.answer("a", error)
    assert ended(crew).error is error


def test_what_a_thread_reports_arrives_in_order_with_its_name() -> None:
    crew = Crew(Clock())
    notes = [Note(f"word {number}") for number in range(3)]

    def work() -> None:
        for note in notes:
            crew.operator("a").report(note)

    crew.start("a", work)
    while crew.busy():
        threading.Event().wait(0.01)
    assert crew.take(1.0) == ("a", notes[0])
    assert crew.take_rest() == [("a", notes[1]), ("a", notes[2])]
    assert crew.take_rest() == []
    assert crew.take(0.01) is None


def test_that_a_thread_asks_or_ends_wakes_its_person_and_shows_nothing() -> None:
    crew = Crew(Clock())
    crew.start("a", lambda: crew.operator("a").confirm("Go?", "y"))
    assert crew.take(60.0) is None
    assert crew.open_question("a")
    crew.answer("a", True)
    assert crew.take(60.0) is None
    assert ended(crew).result is True


def test_a_thread_that_is_started_again_is_busy_again() -> None:
    crew = Crew(Clock())
    crew.start("a", lambda: 1)
    assert ended(crew).result == 1
    assert crew.busy() == []
    go_on = threading.Event()
    crew.start("a", lambda: go_on.wait(60))
    assert crew.busy() == ["a"]
    assert "a" not in crew.ended
    go_on.set()
    assert ended(crew).result is True


def test_threads_hold_up_no_process_and_bear_their_region_s_name() -> None:
    crew = Crew(Clock())
    crew.start("a", lambda: (threading.current_thread().name, threading.current_thread().daemon))
    assert ended(crew).result == ("a", True)


def test_ctrl_c_in_a_thread_leaves_aws_to_go_on() -> None:
    operator = Crew(Clock()).operator("a")
    assert operator.on_interrupt(True) is OnInterrupt.DETACH


def test_a_thread_sleeps_as_long_as_it_is_told_and_tells_the_person_s_time() -> None:
    naps: list[float] = []
    clock = Clock(monotonic=lambda: 7.0, now=lambda: START, sleep=naps.append)
    crew = Crew(clock)
    own = crew.clock("a")
    assert (own.monotonic(), own.now()) == (7.0, START)
    own.sleep(0.6)
    assert naps == pytest.approx([0.25, 0.25, 0.1])
    naps.clear()
    own.sleep(0.25)
    own.sleep(0)
    assert naps == [0.25]


def test_leaving_interrupts_who_sleeps_and_who_asks_only_afterwards() -> None:
    crew = Crew(Clock(sleep=lambda _: None))
    crew.leave()
    with pytest.raises(KeyboardInterrupt):
        crew.clock("a").sleep(1.0)
    # Interrupted once: what it does to clean up is left alone.
    crew.clock("a").sleep(1.0)
    crew.start("b", lambda: crew.operator("b").confirm("Go?", "y"))
    assert isinstance(ended(crew, "b").error, KeyboardInterrupt)


def test_leaving_interrupts_each_who_waits_once_and_no_more() -> None:
    crew = Crew(Clock(sleep=lambda _: None))

    def work() -> str:
        try:
            crew.operator("a").confirm("Go?", "y")
        except KeyboardInterrupt:
            crew.clock("a").sleep(1.0)
            return "cleaned up"
        return "went on"

    crew.start("a", work)
    while not crew.open_question("a"):
        crew.take(0.01)
    crew.leave()
    assert ended(crew).result == "cleaned up"
