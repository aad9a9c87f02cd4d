"""A run hears on the replaying tape what it heard on the recording one."""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.response import StreamingBody

from lib import outside
from lib.errors import DeploymentError, EmulatorError, InputError, Refused
from lib.parallel import side_by_side
from lib.polling import Clock
from lib.recordings import recordings, replayer
from lib.recordings.checkout import Checkout
from lib.recordings.recorder import Recorder
from lib.recordings.replayer import Replayer

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Studio:
    """Where runs are recorded and replayed; real time moves by a second with each look at it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "run.jsonl"
        self.checkout = folder / "checkout"
        (self.checkout / "infrastructure" / "parameters").mkdir(parents=True)
        self._seconds = 0.0

    def tick(self) -> float:
        self._seconds += 1.0
        return self._seconds

    def record(self, run: Callable[[], Any], code: int = 0) -> Any:
        with self.path.open("w", encoding="utf-8") as stream:
            recorder = Recorder(stream, Checkout(self.checkout, []), BEGAN, self.tick)
            recorder.begin({"commit": "abc"}, ())
            try:
                with outside.through(recorder):
                    return run()
            finally:
                recorder.end(code)

    def replay(self, run: Callable[[], Any]) -> Any:
        self.tape = Replayer(recordings.read(self.path), lambda value: value)
        with outside.through(self.tape):
            return run()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def never() -> Any:
    pytest.fail("a replay asked the outside")


def test_answers_come_back_as_they_were(studio: Studio) -> None:
    answer = {
        "Time": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        "Binary": b"plain",
        "List": [1, 2.5, None, True, "ü ✓ \u2028"],
    }

    def run(do: Callable[[], Any]) -> Any:
        return outside.ask("thing", {"of": "it"}, do)

    assert studio.record(lambda: run(lambda: answer)) == answer
    assert studio.replay(lambda: run(never)) == answer


def test_a_stream_is_read_once_and_given_twice(studio: Studio) -> None:
    body = StreamingBody(io.BytesIO(b"content"), 7)

    def run(do: Callable[[], Any]) -> bytes:
        found: bytes = outside.ask("thing", {}, do)["Body"].read()
        return found

    assert studio.record(lambda: run(lambda: {"Body": body})) == b"content"
    assert studio.replay(lambda: run(never)) == b"content"


@pytest.mark.parametrize(
    "error",
    [
        ClientError(
            {"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "DescribeStacks"
        ),
        EndpointConnectionError(endpoint_url="https://x.test", error="refused"),
        EmulatorError("it does not start", next_step="inv local.reset"),
        KeyboardInterrupt(),
    ],
)
def test_errors_come_back_as_they_were(studio: Studio, error: BaseException) -> None:
    def fail() -> Any:
        raise error

    def run(do: Callable[[], Any]) -> BaseException | None:
        try:
            outside.ask("thing", {}, do)
        except BaseException as exc:
            return exc
        return None

    assert studio.record(lambda: run(fail)) is error
    again = studio.replay(lambda: run(never))
    assert type(again) is type(error)
    assert str(again) == str(error)
    if isinstance(error, ClientError):
        assert again.response == error.response
    if isinstance(error, DeploymentError):
        assert again.next_step == error.next_step


def test_what_a_network_raises_comes_back_as_its_kind(studio: Studio) -> None:
    def fail() -> Any:
        raise TimeoutError("timed out")

    def run(do: Callable[[], Any]) -> str:
        with pytest.raises(OSError, match="timed out"):
            outside.ask("get", {"url": "https://x.test"}, do)
        return "raised"

    assert studio.record(lambda: run(fail)) == "raised"
    assert studio.replay(lambda: run(never)) == "raised"


def test_time_is_that_of_the_last_answer_and_a_replay_does_not_wait(studio: Studio) -> None:
    clock = Clock()

    def run() -> list[Any]:
        told = [clock.now(), clock.monotonic()]
        clock.sleep(0.01)
        return [*told, clock.now(), clock.monotonic()]

    here = studio.record(run)
    assert here[0] == BEGAN
    assert here[2] == BEGAN + timedelta(seconds=here[3])
    assert here[3] > here[1]
    assert studio.replay(run) == here


def test_a_sleep_that_was_not_recorded_moves_time_by_itself(studio: Studio) -> None:
    studio.record(lambda: None)

    def run() -> float:
        outside.sleep(3600)
        return outside.monotonic()

    assert studio.replay(run) == 3600


def test_ids_are_random_once(studio: Studio) -> None:
    def run() -> list[str]:
        return [outside.new_id(), outside.new_id()]

    here = studio.record(run)
    assert len(set(here)) == 2
    assert studio.replay(run) == here


def test_threads_get_their_own_answers_in_whatever_order_they_ask(studio: Studio) -> None:
    turn = [threading.Event() for _ in range(3)]

    def run(do: Callable[[int], Any], order: list[int]) -> list[Any]:
        after = dict(zip(order[1:], order, strict=False))

        def work(item: int) -> tuple[str, float]:
            if item in after:
                turn[after[item]].wait(5)
            # All ask the same: only the strand tells whose answer it is.
            found: str = outside.ask("thing", {}, lambda: do(item))
            turn[item].set()
            return found, outside.monotonic()

        for one in turn:
            one.clear()
        found = side_by_side(work, range(3), at_once=3)
        return [*found, outside.monotonic()]

    here = studio.record(lambda: run(lambda item: f"answer {item}", [2, 0, 1]))
    assert [one[0] for one in here[:3]] == ["answer 0", "answer 1", "answer 2"]
    assert here[3] == max(one[1] for one in here[:3])
    assert studio.replay(lambda: run(lambda _item: never(), [0, 1, 2])) == here


def test_ctrl_c_while_others_are_waited_for_comes_again(studio: Studio) -> None:
    def run(work: Callable[[int], Any]) -> str:
        try:
            side_by_side(work, range(2), at_once=2)
        except KeyboardInterrupt:
            return f"stopped at {outside.monotonic()}"
        return "done"

    def record() -> str:
        strands = outside.Strands()
        strands.run(0, outside.ask, "thing", {"item": 0}, lambda: 0)
        strands.note_interrupt()
        return f"stopped at {outside.monotonic()}"

    here = studio.record(record)
    assert studio.replay(lambda: run(lambda item: outside.ask("thing", {"item": item}, never))) == (
        here
    )


def test_ctrl_c_while_the_recorder_writes_waits_until_it_has_written(studio: Studio) -> None:
    heard: list[bool] = []

    def run(do: Callable[[], Any]) -> list[str]:
        seen = []
        try:
            for item in ("one", "two", "three"):
                outside.ask("thing", {"item": item}, do)
                seen.append(item)
        except KeyboardInterrupt:
            seen.append("stopped")
        return seen

    with studio.path.open("w", encoding="utf-8") as stream:
        recorder = Recorder(stream, Checkout(studio.checkout, []), BEGAN, studio.tick)
        recorder.begin({"commit": ""}, ())
        write = stream.write

        def interrupted(text: str) -> int:
            if '"two"' in text and not heard:
                heard.append(recorder.interrupt())
            return write(text)

        stream.write = interrupted  # type: ignore[method-assign]
        with outside.through(recorder):
            here = run(lambda: None)
        recorder.end(130)
    assert heard == [False]
    assert here == ["one", "stopped"]
    assert studio.replay(lambda: run(never)) == here


def test_ctrl_c_where_nothing_was_asked_comes_where_nothing_more_is_recorded(
    studio: Studio,
) -> None:
    def record() -> None:
        tape = outside._tape.get()
        assert isinstance(tape, Recorder)
        outside.ask("thing", {"item": 1}, lambda: 1)
        assert tape.interrupt()

    studio.record(record, code=130)

    def run() -> str:
        outside.ask("thing", {"item": 1}, never)
        with pytest.raises(KeyboardInterrupt):
            outside.ask("thing", {"item": 2}, never)
        return "stopped"

    assert studio.replay(run) == "stopped"


def test_what_was_not_recorded_is_named(studio: Studio) -> None:
    studio.record(lambda: None)
    call = {"service": "s3", "region": "us-east-1", "operation": "GetObject"}

    def run() -> None:
        outside.ask("call", {**call, "parameters": {"Key": "x"}}, never)

    with pytest.raises(Refused, match=r"no answer to s3 GetObject in us-east-1 with .*x") as raised:
        studio.replay(run)
    assert "abc" in raised.value.next_step
    assert len(studio.tape.missing) == 1


def test_a_recording_that_was_cut_off_is_replayed_as_far_as_it_goes(studio: Studio) -> None:
    studio.record(lambda: [outside.ask("thing", {"n": n}, lambda: 1) for n in (1, 2)])
    lines = studio.path.read_text().splitlines(keepends=True)
    studio.path.write_text("".join(lines[:2]) + lines[2][:20])
    assert studio.replay(lambda: outside.ask("thing", {"n": 1}, never)) == 1
    with pytest.raises(Refused, match="ends here: its run was killed"):
        studio.replay(lambda: outside.ask("thing", {"n": 2}, never))


def test_a_recording_of_another_format_is_not_guessed_at(studio: Studio) -> None:
    studio.path.write_text('{"kind": "run", "format": 99, "commit": "f00"}\n')
    with pytest.raises(InputError, match="format 99") as raised:
        recordings.read(studio.path)
    assert "f00" in raised.value.next_step


def test_a_replay_cannot_reach_outside() -> None:
    with replayer.offline():
        with pytest.raises(RuntimeError, match=r"reached outside: socket\."):
            socket.create_connection(("127.0.0.1", 9), timeout=1)
        with pytest.raises(RuntimeError, match="reached outside: subprocess"):
            subprocess.run(["true"], check=False)
    assert subprocess.run(["true"], check=False).returncode == 0


def test_the_checkout_s_files_are_kept_as_they_were_read_and_without_secrets(
    studio: Studio,
) -> None:
    folder = studio.checkout / "infrastructure"
    (folder / "cloudformation").mkdir()
    template = "Parameters:\n  Phrase:\n    Type: String\n    NoEcho: true\n"
    (folder / "cloudformation" / "master-stack.yaml").write_text(template)
    values = folder / "parameters" / "development.json"
    values.write_text('[{"ParameterKey": "Phrase", "ParameterValue": "open sesame"}]')
    (folder / "parameters" / "production.json").write_text("[]")

    def run() -> None:
        assert "sesame" in values.read_text()
        outside.ask("thing", {"said": "open sesame"}, lambda: None)
        values.write_text("changed")
        outside.ask("thing", {"said": "again"}, lambda: None)

    studio.record(run)
    assert "sesame" not in studio.path.read_text()
    recording = recordings.read(studio.path)
    assert list(recording.files) == ["infrastructure/parameters/development.json"]
    kept = recording.files["infrastructure/parameters/development.json"]["content"]["text"]
    assert json.loads(kept)[0]["ParameterKey"] == "Phrase"
    assert "infrastructure/parameters/production.json" in recording.head["names"]


def hold(studio: Studio, run: Callable[[], Any], **settings: int) -> Recorder:
    """Have a run held in memory, which ends with exit code 1."""
    recorder = Recorder(None, Checkout(studio.checkout, []), BEGAN, studio.tick, **settings)
    recorder.begin({"commit": ""}, ())
    with outside.through(recorder):
        run()
    recorder.end(1)
    return recorder


def test_what_was_held_is_written_as_it_would_have_been_at_once(tmp_path: Path) -> None:
    notes: list[list[str]] = []
    for name in ("at once", "held"):
        studio = Studio(tmp_path / name)
        values = studio.checkout / "infrastructure" / "parameters" / "development.json"
        values.write_text("[]")

        def run(values: Path = values) -> None:
            outside.ask("thing", {"said": values.read_text()}, lambda: 390812345678)
            outside.ask("call", {"said": "390812345678"}, outside.new_id)

        if name == "held":
            with studio.path.open("w", encoding="utf-8") as stream:
                hold(studio, run).keep(stream, "abc")
        else:
            studio.record(run, code=1)
        lines = studio.path.read_text().splitlines()
        notes.append(sorted(re.sub("[0-9a-f-]{36}", "ID", line) for line in lines))
    assert notes[0] == notes[1]


def test_what_is_held_is_scrubbed_of_what_was_learnt_after_it(studio: Studio) -> None:
    content = b"phrase: open sesame"

    def run() -> None:
        told = outside.digest(content)
        outside.ask("call", {"said": content, "digest": told}, lambda: "open sesame")
        outside.ask("call", {}, lambda: {"MasterUserPassword": "open sesame"})

    recorder = hold(studio, run)
    with studio.path.open("w", encoding="utf-8") as stream:
        recorder.keep(stream, "abc")
    assert "sesame" not in studio.path.read_text()
    event, _ = [one for one in studio.events() if one["kind"] == "call"]
    left = event["said"]["text"].encode()
    assert event["digest"] == hashlib.sha256(left).hexdigest()
    assert studio.events()[0]["commit"] == "abc"


def test_what_is_too_much_is_not_held_at_all(studio: Studio) -> None:
    def run() -> None:
        outside.ask("call", {"said": "x" * 500}, lambda: None)

    assert hold(studio, run, held_at_most=5000).is_whole
    recorder = hold(studio, run, held_at_most=500)
    assert not recorder.is_whole
    assert recorder.has_calls


def test_paths_of_the_machine_are_nobody_s(studio: Studio) -> None:
    place = f"{studio.checkout}/infrastructure and {Path.home()}/notes"
    studio.record(lambda: outside.ask("thing", {"said": place}, lambda: place))
    [event] = [one for one in studio.events() if one["kind"] == "thing"]
    assert event["said"] == "/checkout/infrastructure and ~/notes"


def test_what_is_told_of_answers_keeps_their_order(studio: Studio) -> None:
    def run(order: list[int]) -> list[Any]:
        told: list[Any] = []
        turn = [threading.Event() for _ in order]
        after = dict(zip(order[1:], order, strict=False))

        def work(item: int) -> None:
            if item in after:
                turn[after[item]].wait(0.2)
            outside.ask("call", {"item": item}, lambda: f"answer {item}", told.append)
            turn[item].set()

        side_by_side(work, range(3), at_once=3)
        return told

    here = studio.record(lambda: run([2, 0, 1]))
    assert here == ["answer 2", "answer 0", "answer 1"]
    assert studio.replay(lambda: run([1, 0, 2])) == here
