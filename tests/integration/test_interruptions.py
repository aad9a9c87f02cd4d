"""Somebody leaves, somebody else is quicker: what runs at AWS runs on, and is said to.

Nothing here is a matter of timing: an operation waits at a gate until the test opens it.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator

import pytest

from tests.integration.conftest import CTRL_C, Clone, Operator, Terminal, shrink, until
from tests.support import warm

pytestmark = pytest.mark.integration

#: The small application has no health endpoint that could be asked.
UNVERIFIED = ("--no-verify",)


@pytest.fixture(scope="module")
def _gatekeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("gate")
    someone = Operator(Clone(folder / "clone"), folder / "state")
    shrink(someone.clone)
    someone.inv("upload")
    yield someone
    someone.leave()


@pytest.fixture
def operator(_gatekeeper: Operator) -> Operator:
    """Somebody with the small application, published and with its gate open."""
    _gatekeeper.clone.set_parameters(Word="one", Way="open")
    return _gatekeeper


def target_of(name: str) -> str:
    return f"--env development --region us-east-1 --stack-name {name} --local"


def reach_the_gate(operator: Operator, name: str) -> warm.Task:
    """Start a deployment and return it once CloudFormation stands at the gate."""
    operator.clone.set_parameters(Way="shut")
    process = operator.start("deploy", *UNVERIFIED, "--stack-name", name, "--json", "--local")
    assert process.stderr
    for line in process.stderr:
        if "CREATE_IN_PROGRESS   NotesStack/Gate" in line:
            return process
    pytest.fail(f"the deployment of {name} ended before the gate")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_creation_running_and_says_how_to_follow_and_stop_it(
    operator: Operator, sent: signal.Signals
) -> None:
    name, cloud = f"left-by-{sent.name.lower()}", operator.cloud()
    process = reach_the_gate(operator, name)
    process.send_signal(sent)
    left = operator.finish(process, code=130)
    assert left.err.splitlines() == [
        f"✗ Interrupted. CloudFormation goes on with stack {name} in us-east-1.",
        (
            f"  Next: watch it with `inv events --follow {target_of(name)}`, "
            f"stop it with `inv deploy --delete {target_of(name)}`"
        ),
    ]
    assert left.document["exit_code"] == 130
    assert cloud.status(name) == "CREATE_IN_PROGRESS"

    follower = operator.start("events", "--follow", "--stack-name", name, "--json", "--local")
    assert follower.stderr
    for line in follower.stderr:
        if "CREATE_IN_PROGRESS   NotesStack/Gate" in line:
            break
    cloud.open_gate(name)
    followed = operator.finish(follower)
    assert followed.document["action"] == "created"
    assert followed.document["status"] == "CREATE_COMPLETE"
    assert "CREATE_COMPLETE      NotesStack/Last" in followed.err


def test_how_a_creation_ended_whose_process_was_killed_is_written_down_by_who_looks_next(
    operator: Operator,
) -> None:
    name, cloud = "killed", operator.cloud()
    process = reach_the_gate(operator, name)
    process.kill()
    operator.finish(process, code=None)

    def told() -> str:
        said = operator.inv("history", "--stack-name", name, "--json").document
        return str(said[0]["status"])

    assert told() == "started"
    cloud.open_gate(name)
    until(lambda: cloud.status(name) == "CREATE_COMPLETE", "the end of the creation")
    operator.inv("status", "--stack-name", name)
    # Looking at the state has settled it, for whoever may only read the bucket, too.
    s3, bucket = cloud.client("s3"), "plot-palette-cfn-000000000000-us-east-1"
    [key] = cloud.keys(f"deployments/{name}/")
    written = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    assert (written["status"], written["action"]) == ("CREATE_COMPLETE", "create")
    release = written["release"]
    shown = operator.inv("rollback", "--to", release, "--stack-name", name, "--preview").err
    assert f"Returning to release {release}" in shown


def test_of_two_operators_who_create_one_stack_one_wins_and_the_other_is_told(
    operator: Operator,
) -> None:
    winner = reach_the_gate(operator, "contested")
    for task in ("deploy", "update"):
        other = operator.inv(task, "--stack-name", "contested", "--json", code=3).document
        assert other["action"] == "declined"
        assert "somebody's operation is running on this stack" in other["error"]
        assert other["next_step"] == f"inv events --follow {target_of('contested')}"
    operator.cloud().open_gate("contested")
    assert operator.finish(winner).document["action"] == "created"


def test_of_two_operators_who_start_in_the_same_moment_one_creates_the_stack(
    operator: Operator,
) -> None:
    operator.clone.set_parameters(Way="shut")
    started = [
        operator.start(
            "deploy", "--yes", *UNVERIFIED, "--stack-name", "photo-finish", "--json", "--local"
        )
        for _ in range(2)
    ]
    # Whoever ends first has lost, for the other one stands at the gate.
    until(lambda: any(process.poll() is not None for process in started), "the loser's end")
    started.sort(key=lambda process: process.poll() is None)
    loser = operator.finish(started[0], code=3).document
    # The lock of the other one, or AWS, is in its way: whichever it came to first.
    assert re.search("omebody|the lock holds until", loser["error"])
    operator.cloud().open_gate("photo-finish")
    assert operator.finish(started[1]).document["action"] == "created"


def agree_and_reach_the_gate(terminal: Terminal) -> None:
    terminal.expect("[y/N]")
    terminal.type("y\n")
    terminal.expect("└── \x1b[0mGate")
    terminal.type(CTRL_C)


def test_ctrl_c_on_a_terminal_offers_to_leave_to_wait_and_to_cancel_an_update(
    operator: Operator,
) -> None:
    name, cloud, clone = "attended", operator.cloud(), operator.clone
    target = (*UNVERIFIED, "--stack-name", name)
    operator.inv("deploy", *target)

    clone.set_parameters(Word="two", Way="shut")
    with operator.at_a_terminal("update", *target) as terminal:
        agree_and_reach_the_gate(terminal)
        terminal.expect("[d]etach, keep [w]aiting, or [c]ancel the update and")
        terminal.type("c\n")
        terminal.expect("Asked CloudFormation to cancel the update")
        cloud.open_gate(name)
        terminal.expect("Keep a recording of this run")
        terminal.type("n\n")
        terminal.finish(code=1)
    assert cloud.status(name) == "UPDATE_ROLLBACK_COMPLETE"
    first = cloud.tree(name)["NotesStack/First"]
    assert cloud.client("ssm").get_parameter(Name=first)["Parameter"]["Value"] == "one"

    with operator.at_a_terminal("update", *target) as terminal:
        agree_and_reach_the_gate(terminal)
        terminal.expect("keep [w]aiting")
        terminal.type("w\n")
        cloud.open_gate(name)
        shown = terminal.finish()
    assert cloud.outputs(name)["Word"] == cloud.tree(name)["NotesStack/Last"]
    assert cloud.client("ssm").get_parameter(Name=first)["Parameter"]["Value"] == "two"
    # What is only under way is drawn over by what comes next, which is green when it is good.
    assert "\x1b[2K" in shown
    assert "\x1b[32m" in shown

    clone.set_parameters(Way="open")
    operator.inv("deploy", *target)
    clone.set_parameters(Word="three", Way="shut")
    with operator.at_a_terminal("update", *target) as terminal:
        agree_and_reach_the_gate(terminal)
        terminal.expect("[d]etach")
        terminal.type("d\n")
        shown = terminal.finish(code=130)
    assert f"stop it with `inv rollback {target_of(name)}`" in " ".join(shown.split())
    assert cloud.status(name) == "UPDATE_IN_PROGRESS"
    cloud.open_gate(name)


def test_a_declined_update_leaves_nothing_behind(operator: Operator) -> None:
    name, cloud = "declined", operator.cloud()
    operator.inv("deploy", *UNVERIFIED, "--stack-name", name)
    before = cloud.stack(name)
    operator.clone.set_parameters(Word="three")
    with operator.at_a_terminal("update", "--stack-name", name) as terminal:
        terminal.expect("Value: one → three")
        terminal.expect("[y/N]")
        terminal.type("n\n")
        terminal.expect(f"Stack {name} in us-east-1 was not changed.")
        terminal.finish(code=3)
    assert cloud.stack(name) == before
    assert cloud.change_sets(name) == []


def test_a_previewed_creation_leaves_no_stack_under_review(operator: Operator) -> None:
    previewed = operator.inv("deploy", "--stack-name", "imagined", "--preview", "--json").document
    assert (previewed["action"], previewed["preview"]) == ("unchanged", True)
    assert "NotesStack/First" in {row["path"] for row in previewed["changes"]}
    assert operator.cloud().stack("imagined") is None


@pytest.mark.parametrize(
    ("settings", "colours", "redraws"),
    [({"NO_COLOR": "1"}, False, True), ({"CI": "true"}, False, False)],
)
def test_colour_and_redrawing_are_for_terminals_that_want_them(
    operator: Operator, settings: dict[str, str], colours: bool, redraws: bool
) -> None:
    name = f"seen-with-{'-'.join(settings).lower().replace('_', '-')}"
    with operator.at_a_terminal(
        "deploy", *UNVERIFIED, "--stack-name", name, **settings
    ) as terminal:
        shown = terminal.finish()
    assert ("\x1b[3" in shown) is colours
    assert ("\x1b[2K" in shown) is redraws
