"""A function becomes a task: with the shared flags, one document or text, and an exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from commands import target as targets
from commands.flags import COMMON, COMMON_HELP, RECORDING, Common
from commands.operation import aim, operation, stop_on_termination
from commands.target import Target
from lib import outside
from lib.errors import (
    AwsUnavailable,
    DeploymentError,
    InputError,
    OperationFailed,
    Refused,
    StateForbids,
)
from lib.operators import Answer, Note
from tests.support import factories

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "logs"
    monkeypatch.setenv("PLOT_PALETTE_LOG_FOLDER", str(folder))
    return folder


@operation(help={"size": "How large."})
def measure_it(target: Target, size: str = "small") -> Answer:
    """Look: measure."""
    target.console.report(Note(f"measuring {target.env}"))
    if size == "wrong":
        raise InputError("That is no size.", next_step="say small")
    return Answer({"size": size}, f"It is {size}.", exit_code=int(size == "huge"))


def run(task: Any, **given: Any) -> int:
    """Run a task as Invoke does, with the flags that were not given at their defaults."""
    defaults = {a.name.replace("-", "_"): a.default for a in task.get_arguments()}
    try:
        task(Context(), **{**defaults, **given})
    except Exit as left:
        return int(left.code)
    return 0


def test_the_shared_flags_come_first_each_with_its_default_and_its_text() -> None:
    arguments = {argument.name: argument for argument in measure_it.get_arguments()}
    first = [name for name in COMMON if name not in RECORDING]
    # What came late takes no letter from what was there.
    assert [*arguments] == [*first, "size", *RECORDING]
    assert arguments["size"].help == "How large."
    for name in COMMON:
        assert arguments[name].default == getattr(Common, name)
        assert arguments[name].help == COMMON_HELP[name.replace("_", "-")]


def test_a_task_takes_only_the_shared_flags_that_it_names() -> None:
    @operation(common=("json",))
    def plain(_target: Target) -> Answer:
        """Look: at nothing."""
        return Answer({})

    assert [argument.name for argument in plain.get_arguments()] == ["json"]
    assert (plain.name, plain.__doc__) == ("plain", "Look: at nothing.")


def test_people_read_text_and_programs_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(measure_it, env="staging") == 0
    shown = capsys.readouterr()
    assert shown.out == "It is small.\n"
    assert "measuring staging" in shown.err
    run(measure_it, json=True)
    assert json.loads(capsys.readouterr().out) == {"size": "small"}


def test_an_answers_exit_code_is_the_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(measure_it, size="huge") == 1
    assert capsys.readouterr().out == "It is huge.\n"


def test_an_error_of_ours_is_told_with_its_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(measure_it, size="wrong", json=True) == InputError.exit_code
    shown = capsys.readouterr()
    assert "That is no size." in shown.err
    assert "Next: say small" in shown.err
    assert json.loads(shown.out)["exit_code"] == InputError.exit_code


def test_a_task_describes_its_own_errors_with_what_is_known_of_the_target(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @operation(describe_error=lambda target, error: {"where": target.place, "why": error.message})
    def refuse(_target: Target) -> Answer:
        """Look: refuse."""
        raise StateForbids("Not now.")

    assert run(refuse, json=True, region="eu-west-1", stack_name="mine") == StateForbids.exit_code
    document = json.loads(capsys.readouterr().out)
    assert document["where"] == ["eu-west-1", "mine"]
    assert document["why"] == "Not now."


def test_a_bug_keeps_its_traceback() -> None:
    @operation()
    def break_down(_target: Target) -> Answer:
        """Look: break down."""
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(break_down)


@operation(changes=True)
def change_it(target: Target) -> Answer:
    """Deploy: change."""
    target.console.report(Note(f"the secret is {os.environ.get('AWS_SESSION_TOKEN', '')}"))
    return Answer({}, "changed", summary="### Changed")


def test_only_what_changes_something_keeps_a_log(logs: Path) -> None:
    run(measure_it)
    assert not logs.exists()
    run(change_it, env="staging")
    [log] = logs.iterdir()
    assert "change-it-plot-palette-staging" in log.name
    text = log.read_text()
    assert "changed" in text
    assert "exit code 0" in text


def test_a_log_holds_no_credentials(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token-of-some-length")
    run(change_it)
    [log] = logs.iterdir()
    assert "the secret is" in log.read_text()
    assert "a-token-of-some-length" not in log.read_text()


def test_where_no_log_can_be_written_the_work_goes_on_and_says_so(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.write_text("a file where the folder would be")
    assert run(change_it) == 0
    shown = capsys.readouterr()
    assert "No log file is kept" in shown.err
    assert shown.out == "changed\n"


def test_a_summary_goes_to_the_jobs_page_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    run(change_it)
    assert page.read_text() == "### Changed\n\n"


@operation()
def refuse_it(target: Target) -> Answer:
    """Deploy: refuse."""
    raise Refused("it was <another> one", next_step="inv plan")


def test_a_refusal_stands_on_the_jobs_page_with_what_leads_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    assert run(refuse_it) == 3
    assert "<pre>it was &lt;another&gt; one\n\nNext: inv plan</pre>" in page.read_text()


@pytest.mark.parametrize(
    ("size", "said"), [(1_000_000, "page is full"), (-1, "summary cannot be written")]
)
def test_a_page_without_room_or_place_is_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    size: int,
    said: str,
) -> None:
    page = tmp_path / "page.md"
    page.write_text("x" * size) if size > 0 else page.mkdir()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    assert run(change_it) == 0
    assert said in capsys.readouterr().err


def test_termination_is_taken_for_ctrl_c() -> None:
    stop_on_termination()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


# In a process of its own


TASKS = f"""
import sys, time
sys.path.insert(0, {str(factories.REPOSITORY)!r})
from invoke.collection import Collection
from commands import operation
from lib.operators import Answer
from lib.parallel import side_by_side

operation.keep_exit_codes()

@operation.operation(common=("json",))
def hang(target):
    \"\"\"Look: ask three who never answer.\"\"\"
    def ask(_):
        print("asking", file=sys.stderr, flush=True)
        time.sleep(600)
    side_by_side(ask, range(3), at_once=3)

@operation.operation(common=("json",))
def talk(target):
    \"\"\"Look: end, and take long to say so.\"\"\"
    class Slow:
        def __str__(self):
            print("saying", file=sys.stderr, flush=True)
            time.sleep(600)
    return Answer(dict(a=Slow()))

ns = Collection(hang, talk)
"""


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Run a task as an operator does."""
    (folder / "tasks.py").write_text(TASKS)
    return subprocess.Popen(
        [sys.executable, "-m", "invoke", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def await_line(running: subprocess.Popen[str], word: str) -> None:
    """Read what a task says until it says a word."""
    assert running.stderr
    while word not in (line := running.stderr.readline()):
        assert line, "the task has ended"


def end(running: subprocess.Popen[str]) -> str:
    """Wait for a task to end, which has to be soon, and return what it still said."""
    try:
        return running.communicate(timeout=10)[1]
    finally:
        running.kill()


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_a_task_that_waits_for_many_answers_ends_promptly_when_interrupted(
    tmp_path: Path, interruption: signal.Signals
) -> None:
    running = start(tmp_path, "hang")
    await_line(running, "asking")
    running.send_signal(interruption)
    said = end(running)
    assert running.returncode == 130
    assert "Interrupted before any operation was left running" in said


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_a_second_interrupt_is_no_traceback(tmp_path: Path, interruption: signal.Signals) -> None:
    running = start(tmp_path, "hang")
    await_line(running, "asking")
    for _ in range(3):
        running.send_signal(interruption)
        time.sleep(0.05)
    said = end(running)
    # Python gives signals back on its way out; then the signal itself ends the process.
    assert running.returncode in (130, -interruption)
    assert "Traceback" not in said


def test_an_interrupt_while_the_end_is_told_is_no_traceback(tmp_path: Path) -> None:
    running = start(tmp_path, "talk", "--json")
    await_line(running, "saying")
    running.send_signal(signal.SIGINT)
    assert end(running) == ""
    assert running.returncode == 130


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("hang", "--nosuch"), "No idea what '--nosuch' is!"),
        (("nosuch",), "No idea what 'nosuch' is!"),
        (("--help", "nosuch"), "No idea what 'nosuch' is!"),
    ],
)
def test_a_task_or_a_flag_that_is_not_there_is_bad_input(
    tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    running = start(tmp_path, *words)
    said = end(running)
    assert running.returncode == 2
    assert says in said
    assert "Next: `inv --list`" in said


def test_a_task_s_checkout_is_looked_for_when_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "ROOT", tmp_path)
    console, _, _ = factories.console()
    assert aim(Common(), console, None).root == tmp_path
    elsewhere = tmp_path / "recorded"
    assert aim(Common(), console, None, elsewhere).root == elsewhere


def keep_failures(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ask: bool, error: Exception
) -> int:
    """Run a task that fails, with CI keeping what fails; a bug comes out as it is."""

    @operation(changes=True)
    def fail(_target: Target) -> Answer:
        """Deploy: fail."""
        if ask:
            outside.ask("call", {"said": "something"}, lambda: "an answer")
        raise error

    monkeypatch.setenv("PLOT_PALETTE_RECORD_FAILURES", str(folder))
    before = {one: signal.getsignal(one) for one in INTERRUPTIONS}
    try:
        return run(fail)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize(
    ("ask", "error", "kept"),
    [
        (True, StateForbids("Not now."), 1),
        (True, OperationFailed("It failed."), 1),
        (True, AwsUnavailable("Expired."), 1),
        (True, InputError("That is wrong."), 0),
        (False, StateForbids("Not now."), 0),
    ],
)
def test_a_recording_is_kept_of_what_failed_at_aws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: bool, error: DeploymentError, kept: int
) -> None:
    folder = tmp_path / "failures"
    assert keep_failures(folder, monkeypatch, ask, error) == error.exit_code
    found = list(folder.glob("*.jsonl"))
    assert len(found) == kept
    for path in found:
        end = json.loads(path.read_text().splitlines()[-1])
        assert (end["kind"], end["exit_code"]) == ("end", error.exit_code)
        assert error.message in end["err"]


@pytest.mark.usefixtures("logs")
def test_a_recording_is_kept_of_a_bug_of_ours_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "failures"
    with pytest.raises(ZeroDivisionError):
        keep_failures(folder, monkeypatch, True, ZeroDivisionError())
    assert len(list(folder.glob("*.jsonl"))) == 1
