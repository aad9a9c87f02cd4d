"""One command, four regions: all come up, one's failure is its own, and Ctrl-C loses nobody."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Clone, Operator, shrink

pytestmark = pytest.mark.integration

REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "ap-southeast-1")
ALL = ("--regions", ",".join(REGIONS))

BROKEN = """
  Never:
    Type: AWS::CloudFormation::WaitCondition
    Condition: IsBroken
    Properties: { Handle: !Ref BrokenHandle, Timeout: '1' }
  BrokenHandle:
    Type: AWS::CloudFormation::WaitConditionHandle
    Condition: IsBroken
"""

LOSABLE = """
  Pictures:
    Type: AWS::S3::Bucket
    DeletionPolicy: Delete
    UpdateReplacePolicy: Delete
"""


@pytest.fixture(scope="module")
def _everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("regions")
    someone = Operator(Clone(folder / "clone"), folder / "state")
    yield someone
    someone.leave()


@pytest.fixture
def operator(_everywhere: Operator) -> Operator:
    """Somebody with a small application that can be made to fail, or to wait, by region."""
    shrink(_everywhere.clone)
    _everywhere.clone.edit(
        "notes",
        ("Conditions:\n", "Conditions:\n  IsBroken: !Equals [!Ref Way, broken]\n"),
        ("\nOutputs:\n", f"{BROKEN}\nOutputs:\n"),
    )
    set_ways(_everywhere)
    return _everywhere


def set_ways(operator: Operator, **ways: str) -> None:
    """Say in regions.json what happens where: `us_west_2="broken"`."""
    chosen = {name.replace("_", "-"): way for name, way in ways.items()}
    document = {
        region: {
            "VPCCidr": f"10.{number}.0.0/16",
            "BedrockModels": [],
            "Parameters": {"Way": chosen.get(region, "open")},
        }
        for number, region in enumerate(REGIONS)
    }
    path = operator.clone.folder / "infrastructure" / "regions.json"
    path.write_text(json.dumps(document))


def deploy(operator: Operator, name: str, *flags: str, code: int = 0) -> Any:
    """Deploy everywhere and return the document and what was shown."""
    done = operator.inv(
        "deploy-multi-region", *ALL, "--stack-name", name, "--json", *flags, code=code
    )
    return done.document, done.err


def actions(document: Any) -> dict[str, str]:
    return {one["region"]: one["action"] for one in document["regions"]}


def test_four_regions_come_up_from_one_command_each_with_its_own_values(
    operator: Operator,
) -> None:
    # No other test may have had it linted before.
    operator.clone.edit("master", ("A small application", "A small application for four"))
    document, shown = deploy(operator, "four", "--log-folder", "logs")
    assert actions(document) == dict.fromkeys(REGIONS, "created")
    assert document["failed"] == []
    assert set(document["outputs"]) == set(REGIONS)
    assert all("Word" in outputs for outputs in document["outputs"].values())
    assert {one["release"] for one in document["regions"]} == {document["release"]}
    for number, region in enumerate(REGIONS):
        cloud = operator.cloud(region)
        assert cloud.status("four") == "CREATE_COMPLETE"
        assert cloud.parameters("four")["VpcCidr"] == f"10.{number}.0.0/16"
        assert any(document["release"] in key for key in cloud.keys("releases/"))
        log = operator.clone.folder / "logs" / f"{region}.log"
        assert "NotesStack" in log.read_text()
    assert shown.rindex("us-east-1      |") < shown.index("us-west-2: started.")
    assert shown.count("Linting") == 1


def test_a_failed_canary_leaves_every_other_region_untouched(operator: Operator) -> None:
    set_ways(operator, us_east_1="broken")
    document, _ = deploy(operator, "canary", code=1)
    assert actions(document) == {"us-east-1": "failed"} | dict.fromkeys(REGIONS[1:], "declined")
    assert [operator.cloud(region).status("canary") for region in REGIONS[1:]] == [""] * 3


def test_one_region_s_failure_is_its_own_and_a_second_run_only_touches_that_region(
    operator: Operator,
) -> None:
    set_ways(operator, eu_west_1="broken")
    document, shown = deploy(operator, "partly", code=1)
    assert document["failed"] == ["eu-west-1"]
    assert actions(document) == {
        "us-east-1": "created",
        "us-west-2": "created",
        "eu-west-1": "failed",
        "ap-southeast-1": "created",
    }
    failure = document["regions"][2]["failure"]
    assert (failure["path"], failure["logical_id"]) == ("NotesStack/Never", "Never")
    assert "Cause: NotesStack/Never" in shown
    set_ways(operator)
    before = {region: operator.cloud(region).stack("partly") for region in REGIONS}
    document, _ = deploy(operator, "partly")
    assert actions(document) == dict.fromkeys(REGIONS, "unchanged") | {"eu-west-1": "created"}
    for region in (*REGIONS[:2], REGIONS[3]):
        assert operator.cloud(region).stack("partly") == before[region]
        assert operator.cloud(region).change_sets("partly") == []


@pytest.mark.parametrize(
    ("flags", "last"), [((), "declined"), (("--on-failure", "continue"), "created")]
)
def test_stop_starts_no_further_region_and_continue_does_them_all(
    operator: Operator, flags: tuple[str, ...], last: str
) -> None:
    set_ways(operator, us_west_2="broken")
    document, _ = deploy(operator, f"then-{last}", "--sequential", *flags, code=1)
    expected = {"us-east-1": "created", "us-west-2": "failed"}
    assert actions(document) == expected | dict.fromkeys(REGIONS[2:], last)


@pytest.mark.parametrize(
    "flags",
    [
        ("--regions", "us-east-1,moon-1"),
        ("--regions", "us-east-1,us-east-1"),
        (),
        (*ALL, "--sequential", "--max-concurrency", "2"),
        (*ALL, "--on-failure", "retry"),
        (*ALL, "--allow-data-loss", "NotesStack/Pictures"),
        (*ALL, "--engine", "stacksets"),
    ],
)
def test_bad_input_touches_nothing(operator: Operator, flags: tuple[str, ...]) -> None:
    result = operator.inv("deploy-multi-region", *flags, "--stack-name", "never", "--json", code=2)
    assert result.document["failed"] == []
    assert [operator.cloud(region).status("never") for region in REGIONS] == [""] * 4


def test_a_preview_shows_every_region_and_leaves_nothing_behind(operator: Operator) -> None:
    deploy(operator, "shown")
    operator.clone.set_parameters(Word="two")
    document, shown = deploy(operator, "shown", "--preview")
    assert actions(document) == dict.fromkeys(REGIONS, "unchanged")
    assert all(one["changes"] for one in document["regions"])
    assert "Parameters, merged with each region's:" in shown
    for region in REGIONS:
        assert f"Changes to stack shown in {region}" in shown
        assert operator.cloud(region).change_sets("shown") == []
        assert operator.cloud(region).outputs("shown")["Word"] != "two"


def test_a_bucket_that_would_go_holds_up_every_region_until_each_is_named(
    operator: Operator,
) -> None:
    operator.clone.edit("notes", ("\nOutputs:\n", f"{LOSABLE}\nOutputs:\n"))
    # A bucket that is not locked down would fail the checks that follow a deployment.
    deploy(operator, "guarded", "--no-verify")
    operator.clone.edit("notes", (LOSABLE, ""))
    path = "NotesStack/Pictures"
    document, _ = deploy(operator, "guarded", code=3)
    named = [f"{region}:{path}" for region in REGIONS]
    assert sorted(document["at_risk"]) == sorted(named)
    some = ",".join(named[:3])
    document, _ = deploy(operator, "guarded", "--allow-data-loss", some, code=3)
    assert document["at_risk"] == named[3:]
    for region in REGIONS:
        assert path in operator.cloud(region).tree("guarded")
        assert operator.cloud(region).change_sets("guarded") == []
    document, _ = deploy(operator, "guarded", "--allow-data-loss", ",".join(named))
    assert actions(document) == dict.fromkeys(REGIONS, "updated")
    assert path not in operator.cloud("eu-west-1").tree("guarded")


def reach_the_gate(operator: Operator, name: str) -> Any:
    """Start a rollout whose canary waits at its gate, and return it when it does."""
    set_ways(operator, us_east_1="shut")
    process = operator.start("deploy-multi-region", *ALL, "--stack-name", name, "--json", "--local")
    assert process.stderr
    for line in process.stderr:
        if "CREATE_IN_PROGRESS   NotesStack/Gate" in line:
            return process
    pytest.fail("the canary ended before its gate")


def test_ctrl_c_follows_what_runs_and_starts_no_other(operator: Operator) -> None:
    process = reach_the_gate(operator, "paused")
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "no further region is started" in line:
            break
    operator.cloud().open_gate("paused")
    result = operator.finish(process, code=130)
    assert actions(result.document) == {"us-east-1": "created"} | dict.fromkeys(
        REGIONS[1:], "declined"
    )
    assert operator.cloud("us-west-2").status("paused") == ""


def test_a_second_ctrl_c_leaves_and_says_how_to_watch(operator: Operator) -> None:
    process = reach_the_gate(operator, "left")
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "no further region is started" in line:
            break
    process.send_signal(signal.SIGINT)
    result = operator.finish(process, code=130)
    canary = result.document["regions"][0]
    assert "CloudFormation goes on with stack left in us-east-1" in canary["failure"]["reason"]
    assert "inv events --follow" in canary["next_step"]
    operator.cloud().open_gate("left")


def test_status_shows_all_regions_side_by_side(operator: Operator) -> None:
    deploy(operator, "seen")
    asked = operator.inv(
        "status", "--regions", ",".join(REGIONS[:2]), "--stack-name", "seen", "--drift"
    )
    rows = [line for line in asked.out.splitlines() if line.startswith(("us-", "Region"))]
    assert rows[0].split() == ["Region", "Status", "Release", "Drift", "Changed"]
    assert ["CREATE_COMPLETE" in row for row in rows[1:]] == [True, True]
    absent = operator.inv("status", *ALL, "--stack-name", "nowhere", "--json")
    assert {one["status"] for one in absent.document["regions"]} == {"ABSENT"}


def test_on_a_terminal_there_is_one_question_and_one_line_per_region(operator: Operator) -> None:
    deploy(operator, "live")
    operator.clone.set_parameters(Word="two")
    with operator.at_a_terminal("deploy-multi-region", *ALL, "--stack-name", "live") as terminal:
        terminal.expect(f"Deploy to {', '.join(REGIONS)}?")
        terminal.type("y\n")
        shown = terminal.finish()
    assert shown.count("[y/N]") == 1
    assert "ap-southeast-1  UPDATED UPDATE_COMPLETE" in shown
    assert Path(operator.state).exists()
