"""A run that was recorded on one machine is run again on another, byte for byte and offline."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import (
    CTRL_C,
    NEVER,
    REGION,
    REPOSITORY,
    Clone,
    Operator,
    Result,
    shrink,
)

pytestmark = pytest.mark.integration

#: The small application has no health endpoint that could be asked.
UNVERIFIED = ("--no-verify",)

#: What the small application is given that nobody else may read.
PASSWORD = "correct-horse-7"
ADDRESS = "jane.doe@plotpalette.com"


PHRASE = "Phrase: { Type: String, NoEcho: true }"


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Somebody with the small application, which takes a password and an address."""
    folder = tmp_path_factory.mktemp("here")
    someone = Operator(Clone(folder / "clone"), folder / "state")
    shrink(someone.clone)
    someone.clone.edit(
        "master",
        (
            "  Way: { Type: String }",
            "  Way: { Type: String }\n  Contact: { Type: String }\n  " + PHRASE,
        ),
    )
    someone.clone.set_parameters(Phrase=PASSWORD, Contact=ADDRESS)
    someone.inv("upload")
    yield someone
    someone.leave()


@pytest.fixture
def stranger(tmp_path: Path) -> Operator:
    """Somebody on another machine, with a checkout of other templates and no emulator."""
    return Operator(Clone(tmp_path / "there" / "clone"), tmp_path / "there" / "state")


Replay = Callable[..., None]


@pytest.fixture
def replay(stranger: Operator, tmp_path: Path) -> Replay:
    """Hold a recorded run against its replay on the other machine."""

    def hold(here: Result, recording: Path, *, shows_secrets: bool = False) -> None:
        sent = tmp_path / "sent.jsonl"
        shutil.copy(recording, sent)
        settings = {"COLUMNS": "132", "AWS_REGION": "eu-west-1", "AWS_PROFILE": "nobody"}
        there = stranger.run("rescue.replay", str(sent), code=here.code, **settings)
        end = json.loads(recording.read_text().splitlines()[-1])
        kept = Result(end["exit_code"], end["out"], end["err"])
        if shows_secrets:
            # A digest of what holds a secret is another one once something stands for that.
            assert hide_digests(there) == hide_digests(kept)
        else:
            assert (there.out, there.err) == (kept.out, kept.err)
        # What stands for a secret, on a screen that shows one, is all that may differ.
        assert (there == here) is not shows_secrets
        assert not stranger.state.exists()
        text = recording.read_text()
        assert PASSWORD not in text
        assert ADDRESS not in text
        assert str(recording.parent) not in text

    return hold


def hide_digests(result: Result) -> tuple[str, str]:
    return _DIGEST.sub("DIGEST", result.out), _DIGEST.sub("DIGEST", result.err)


_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")

numbers = itertools.count(1)


def record(operator: Operator, *arguments: str, code: int = 0) -> tuple[Result, Path]:
    """Run a task recorded."""
    name = f"run-{next(numbers)}.jsonl"
    result = operator.inv(*arguments, "--record", name, code=code)
    return result, operator.clone.folder / name


def test_a_creation(operator: Operator, replay: Replay) -> None:
    here, recording = record(operator, "deploy", *UNVERIFIED, "--stack-name", "made")
    assert "was created" in here.err
    assert operator.cloud().status("made") == "CREATE_COMPLETE"
    replay(here, recording)


@pytest.fixture(scope="module")
def deployed(operator: Operator) -> Operator:
    operator.inv("deploy", *UNVERIFIED)
    return operator


def test_a_preview_for_programs(deployed: Operator, replay: Replay) -> None:
    deployed.clone.set_parameters(Word=ADDRESS)
    here, recording = record(deployed, "update", "--preview", "--json")
    assert here.document["action"] == "unchanged"
    assert "NotesStack/First" in [change["path"] for change in here.document["changes"]]
    assert ADDRESS in here.out
    replay(here, recording, shows_secrets=True)


def test_an_update_that_fails_and_is_rolled_back(deployed: Operator, replay: Replay) -> None:
    deployed.clone.set_parameters(Word="two")
    before = deployed.clone.template("notes").read_text()
    never = NEVER.replace("\n  Handle:", "\n  Knob:").replace("!Ref Handle", "!Ref Knob")
    deployed.clone.add_resource("notes", never)
    try:
        here, recording = record(deployed, "update", *UNVERIFIED, code=1)
    finally:
        deployed.clone.template("notes").write_text(before)
    assert "ROLLBACK_COMPLETE" in here.err
    replay(here, recording)


def list_kept(operator: Operator) -> list[Path]:
    """Return the recordings beside the logs, oldest first."""
    return sorted((operator.clone.folder / ".logs").glob("*.jsonl"))


#: What a failed task of a terminal asks.
OFFER = "Keep a recording of this run, without secrets, to show to others? [y/N]"


def test_a_failed_run_is_kept_for_who_wants_it_and_was_not_recorded(
    deployed: Operator, stranger: Operator
) -> None:
    deployed.clone.set_parameters(Word="six")
    before = deployed.clone.template("notes").read_text()
    never = NEVER.replace("\n  Handle:", "\n  Dial:").replace("!Ref Handle", "!Ref Dial")
    deployed.clone.add_resource("notes", never)
    try:
        with deployed.at_a_terminal("update", *UNVERIFIED) as terminal:
            terminal.expect("[y/N]")
            terminal.type("y\n")
            terminal.expect("Keep a recording of this run, without secrets, to show to")
            terminal.type("y\n")
            terminal.expect("  Next: inv rescue.replay .logs/")
            shown = terminal.finish(code=1)
    finally:
        deployed.clone.template("notes").write_text(before)
    [path] = list_kept(deployed)
    assert f"inv rescue.replay {path.relative_to(deployed.clone.folder)}\r\n" in shown
    assert path.with_suffix(".log").exists()
    assert path.stat().st_mode & 0o077 == 0
    text = path.read_text()
    assert PASSWORD not in text
    assert ADDRESS not in text
    there = stranger.run("rescue.replay", str(path), code=1)
    end = json.loads(text.splitlines()[-1])
    assert (there.out, there.err) == (end["out"], end["err"].replace("\r", "\n"))
    assert "ROLLBACK_COMPLETE" in there.err
    assert "Keep a recording" not in there.err
    path.unlink()


@pytest.mark.parametrize("answer", ["\n", "n\n", CTRL_C], ids=["enter", "no", "ctrl-c"])
def test_nothing_is_kept_for_who_does_not_want_it(deployed: Operator, answer: str) -> None:
    with deployed.at_a_terminal("backup", "--stack-name", "nowhere") as terminal:
        terminal.expect(OFFER[:60])
        terminal.type(answer)
        shown = terminal.finish(code=3)
    assert "Recorded in" not in shown
    assert list_kept(deployed) == []


def test_nobody_is_asked_who_asked_for_no_questions_or_said_no(deployed: Operator) -> None:
    for flag in ("--yes", "--json"):
        with deployed.at_a_terminal("backup", "--stack-name", "nowhere", flag) as terminal:
            assert "Keep a recording" not in terminal.finish(code=3)
    with deployed.at_a_terminal("deploy", "--delete") as terminal:
        terminal.expect("Delete")
        terminal.type("n\n")
        assert "Keep a recording" not in terminal.finish(code=3)
    with deployed.at_a_terminal("backup", "--env", "unknown") as terminal:
        assert "Keep a recording" not in terminal.finish(code=2)


def test_ci_keeps_a_recording_of_each_run_that_failed(
    deployed: Operator, replay: Replay, tmp_path: Path
) -> None:
    folder = tmp_path / "made" / "failures"
    settings = {"PLOT_PALETTE_RECORD_FAILURES": str(folder)}
    failed = deployed.inv("backup", "--stack-name", "nowhere", "--json", code=3, **settings)
    deployed.inv("backup", "--stack-name", "nowhere", code=3, **settings)
    deployed.inv("backup", "--env", "unknown", code=2, **settings)
    deployed.inv("status", **settings)
    # Two in one second have names that differ by a number.
    first, _ = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    told = f"- Recorded in {first}, with accounts, addresses and secrets replaced; read it before "
    assert failed.err.endswith(f"{told}you send it.\n  Next: inv rescue.replay {first}\n")
    assert failed.document["exit_code"] == 3
    asked = Result(3, failed.out, failed.err[: failed.err.index("- Recorded in")])
    replay(asked, first)


def test_a_recording_that_cannot_be_kept_changes_nothing_else(
    deployed: Operator, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    settings = {"PLOT_PALETTE_RECORD_FAILURES": str(taken)}
    failed = deployed.inv("backup", "--stack-name", "nowhere", code=3, **settings)
    assert f"! No recording can be written to {taken}" in failed.err


def test_a_plan_and_why_it_is_not_applied(deployed: Operator, replay: Replay) -> None:
    deployed.clone.set_parameters(Word="planned")
    here, recording = record(deployed, "plan", "--out", "plan.json")
    # Its digest is of the address, too.
    replay(here, recording, shows_secrets=True)
    deployed.clone.set_parameters(Word="other")
    deployed.inv("update", *UNVERIFIED, "--yes")
    here, recording = record(deployed, "apply", "plan.json", *UNVERIFIED, code=3)
    assert "in this checkout the parameter Word is 'other', and was 'planned'" in here.err
    replay(here, recording, shows_secrets=True)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_left(operator: Operator, replay: Replay, sent: signal.Signals) -> None:
    operator.clone.set_parameters(Way="shut")
    name = f"left-{sent.name.lower()}"
    arguments = ("deploy", *UNVERIFIED, "--stack-name", name, "--record", f"{name}.jsonl")
    process = operator.start(*arguments, "--local")
    assert process.stderr
    shown = []
    for line in process.stderr:
        shown.append(line)
        if "CREATE_IN_PROGRESS   NotesStack/Gate" in line:
            break
    operator.clone.set_parameters(Way="open")
    process.send_signal(sent)
    rest = operator.finish(process, code=130)
    operator.cloud().open_gate(name)
    replay(
        Result(rest.code, rest.out, "".join(shown) + rest.err),
        operator.clone.folder / f"{name}.jsonl",
    )


def test_many_regions_at_once(operator: Operator, replay: Replay) -> None:
    operator.clone.set_parameters(Way="open", Word="many")
    regions = ("--regions", f"{REGION},eu-west-1", "--stack-name", "everywhere")
    here, recording = record(operator, "deploy-multi-region", *UNVERIFIED, *regions)
    assert "eu-west-1      |" in here.err
    replay(here, recording)


def test_what_a_person_answers_at_a_terminal(deployed: Operator, stranger: Operator) -> None:
    deployed.clone.set_parameters(Word="asked", Way="shut")
    asked = ("update", *UNVERIFIED, "--record", "asked.jsonl")
    with deployed.at_a_terminal(*asked) as terminal:
        terminal.expect("[y/N]")
        terminal.type("y\n")
        terminal.expect("└── \x1b[0mGate")
        terminal.type(CTRL_C)
        terminal.expect("keep [w]aiting")
        terminal.type("w\n")
        deployed.cloud().open_gate("plot-palette-development")
        terminal.finish()
    deployed.clone.set_parameters(Way="open")
    path = deployed.clone.folder / "asked.jsonl"
    there = stranger.run("rescue.replay", str(path))
    end = json.loads(path.read_text().splitlines()[-1])
    # A pipe that is read as text ends lines for each return of the carriage.
    shown = end["err"].replace("\r", "\n")
    assert (there.out, there.err) == (end["out"], shown)
    assert "\x1b[" in there.err
    assert "keep [w]aiting" in there.err


def test_a_run_that_was_killed_is_replayed_as_far_as_it_came(
    operator: Operator, stranger: Operator
) -> None:
    operator.clone.set_parameters(Way="shut")
    arguments = ("deploy", *UNVERIFIED, "--stack-name", "killed", "--record", "killed.jsonl")
    process = operator.start(*arguments, "--local")
    assert process.stderr
    assert any("CREATE_IN_PROGRESS   NotesStack/Gate" in line for line in process.stderr)
    operator.clone.set_parameters(Way="open")
    process.kill()
    operator.finish(process, code=-signal.SIGKILL)
    operator.cloud().open_gate("killed")
    there = stranger.run("rescue.replay", str(operator.clone.folder / "killed.jsonl"), code=3)
    assert "CREATE_IN_PROGRESS   NotesStack/Gate" in there.err
    assert "killed.jsonl ends here: its run was killed." in there.err


def test_a_dropped_recording_is_a_test(operator: Operator, tmp_path: Path) -> None:
    _here, recording = record(operator, "outputs", "--stack-name", "nowhere", code=3)
    shutil.copy(recording, tmp_path / "incident.jsonl")
    judged = run_judge(tmp_path)
    assert judged.code == 0
    assert "runs: 3 of 3" in judged.out
    (tmp_path / "incident.jsonl").write_text(
        recording.read_text().replace('"exit_code": 3', '"exit_code": 0')
    )
    judged = run_judge(tmp_path)
    assert judged.code == 1
    assert "runs: incident.jsonl: exit code" in judged.out
    assert run_judge("--renew", tmp_path / "incident.jsonl").code == 0
    assert run_judge(tmp_path).code == 0


def run_judge(*arguments: str | Path) -> Result:
    command = [sys.executable, "-m", "tests.recorded", *map(str, arguments)]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return Result(ran.returncode, ran.stdout, ran.stderr)


def test_names_are_hidden_where_it_is_asked_for(deployed: Operator, stranger: Operator) -> None:
    hidden = ("--record-hide", "development", "--record", "hidden.jsonl")
    here = deployed.inv("status", *hidden)
    path = deployed.clone.folder / "hidden.jsonl"
    assert "development" in here.out
    assert "development" not in path.read_text()
    there = stranger.run("rescue.replay", str(path))
    assert len(there.out) == len(here.out)
    assert "differs" not in there.err


def test_a_recording_writes_over_nothing(operator: Operator) -> None:
    path = operator.clone.folder / "there.jsonl"
    path.write_text("mine")
    refused = operator.inv("outputs", "--record", "there.jsonl", code=2)
    assert "There is a file there.jsonl already" in refused.err
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"out": null', '"out": "../../../../../../../../../escaped.json"'),
        ('"names": [', '"names": ["../../../../../../../escaped.json", '),
    ],
)
def test_a_stranger_s_recording_writes_nothing_outside(
    operator: Operator, tmp_path: Path, old: str, new: str
) -> None:
    operator.clone.set_parameters(Way="open")
    _here, recording = record(operator, "plan", "--stack-name", "nothing")
    text = recording.read_text()
    assert old in text
    (tmp_path / "crafted.jsonl").write_text(text.replace(old, new, 1))
    refused = operator.run("rescue.replay", str(tmp_path / "crafted.jsonl"), code=2)
    assert "The recording names a file outside: " in refused.err


def test_what_is_no_recording_is_named(operator: Operator) -> None:
    (operator.clone.folder / "plain.txt").write_text("{}\n")
    for name in ("plain.txt", "missing.jsonl"):
        refused = operator.run("rescue.replay", name, code=2)
        assert name in refused.err


def test_a_run_in_a_real_account_has_another_account_s_number(
    operator: Operator, stranger: Operator
) -> None:
    # The emulator takes twelve digits for a key as the account that they name.
    account, secret = "390812345678", "wJalrXUtnFEMIplantedK7MDENGbPxRfiCY"
    operator.clone.set_parameters(Way="open", Word="real")
    settings = {
        "AWS_ENDPOINT_URL": operator.cloud().endpoint,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEPlantedSessionToken",
    }
    path = operator.clone.folder / "real.jsonl"
    task = ("deploy", "--yes", *UNVERIFIED, "--stack-name", "real", "--json")
    here = operator.run(*task, "--record", "real.jsonl", **settings)
    assert f":{account}:stack/real/" in here.document["stack_id"]
    text = path.read_text()
    for planted in (account, secret, settings["AWS_SESSION_TOKEN"], PASSWORD, ADDRESS):
        assert planted not in text
    there = stranger.run("rescue.replay", str(path))
    found = re.search(r"plot-palette-cfn-(\d{12})-", there.err)
    assert found
    assert (there.out, there.err) == (
        here.out.replace(account, found[1]),
        here.err.replace(account, found[1]),
    )
