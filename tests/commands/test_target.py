"""The common flags name a region, a stack and a way to AWS, and say which they took."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commands import target as targets
from commands.target import Target
from emulator import control
from emulator.control import Emulator
from lib.errors import InputError
from lib.inputs.artifacts import Artifacts
from lib.session import ApiCall
from tests.support import factories


def target(**given: Any) -> Target:
    """Return what the flags name when only some of them were given."""
    said: dict[str, Any] = {
        "env": "staging",
        "asked_region": None,
        "stack_name": None,
        "profile": None,
        "local": False,
        "console": factories.console()[0],
    }
    return Target(**{**said, **given})


def test_the_region_is_told_with_its_origin_once() -> None:
    console, _, err = factories.console()
    chosen = target(console=console, asked_region="eu-west-1")
    assert [chosen.region, chosen.region] == ["eu-west-1"] * 2
    assert err.getvalue().count("Environment staging, region eu-west-1 (from --region).") == 1


def test_the_emulator_takes_no_region_from_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    assert target(local=True).region == "us-west-2"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    # A profile that is nowhere would be an error if it were read.
    assert target(local=True, profile="nowhere").region == "us-east-1"


def test_a_place_is_as_well_known_as_it_can_be_before_anything_is_read() -> None:
    assert target().place == ("no region yet", "plot-palette-staging")
    assert target(asked_region="eu-west-1", stack_name="mine").place == ("eu-west-1", "mine")
    chosen = target(asked_region="us-east-1")
    assert chosen.job.stack_name == "plot-palette-staging"
    assert chosen.place == ("us-east-1", "plot-palette-staging")


def test_the_flags_lead_back_to_the_same_target() -> None:
    chosen = target(env="my file.json", asked_region="eu-west-1", profile="a b", local=True)
    named = replace(chosen, stack_name="mine")
    assert chosen.flags == "--env 'my file.json' --region eu-west-1 --profile 'a b' --local"
    assert "--region eu-west-1 --stack-name mine --profile" in named.flags


def test_nobody_watches_the_calls_unless_somebody_reads_them() -> None:
    assert target().observer is None
    console, _, err = factories.console(verbose=True)
    tell = target(console=console).observer
    assert tell
    tell(ApiCall("s3", "GetObject", "eu-west-1", 0.5, 200, "request-1"))
    assert "request request-1" in err.getvalue()


def test_the_role_of_the_flag_travels_with_the_job() -> None:
    arn = "arn:aws:iam::123456789012:role/service"
    assert target(asked_region="us-east-1", role_arn=arn).job.role_arn == arn
    with pytest.raises(InputError, match="--role-arn"):
        _ = target(asked_region="us-east-1", role_arn="service").job


def test_artefacts_that_flags_name_are_sought_from_the_folder_that_the_operator_is_in() -> None:
    given = target(asked_region="us-east-1", artifacts={"code": "build", "image": None})
    assert given.job.artifacts == Artifacts(code=Path.cwd() / "build")


def test_secrets_of_the_job_are_hidden_from_the_log() -> None:
    hidden: list[Any] = []
    journal = SimpleNamespace(hide=hidden.append)
    assert target(asked_region="us-east-1", journal=journal).job
    assert len(hidden) == 1


def test_sites_are_read_before_any_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[str] = []
    monkeypatch.setattr("lib.session.connect", lambda region, **_: connected.append(region))
    names = ["us-east-1", "us-west-2"]
    assert [site.job.region for site in targets.open_sites(target(), names)] == names
    assert connected == names
    with pytest.raises(InputError, match="mars-1"):
        targets.open_sites(target(), ["us-east-1", "mars-1"])
    assert connected == names


def test_the_account_is_asked_in_its_home_region_but_for_the_emulators() -> None:
    assert targets.open_home(target(local=True), ["us-gov-east-1"]) is None
    home = targets.open_home(target(), ["us-gov-east-1"])
    assert home
    assert home.region == "us-gov-west-1"


def test_state_and_logs_lie_in_the_checkout_unless_said_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLOT_PALETTE_LOG_FOLDER")
    assert targets.log_folder() == factories.REPOSITORY / ".logs"
    assert targets.local_state() == factories.REPOSITORY / ".local"
    monkeypatch.setenv("PLOT_PALETTE_LOG_FOLDER", str(tmp_path / "l"))
    monkeypatch.setenv("PLOT_PALETTE_LOCAL_STATE", str(tmp_path / "s"))
    assert targets.log_folder() == tmp_path / "l"
    assert targets.local_state() == tmp_path / "s"


@pytest.mark.parametrize("was_running", [False, True])
def test_a_new_emulator_says_where_its_limits_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was_running: bool
) -> None:
    emulator = Emulator(was_running, "http://127.0.0.1:9", 1, 9, tmp_path)
    started: list[dict[str, Any]] = []
    monkeypatch.setattr(control, "status", lambda _: emulator)
    monkeypatch.setattr(control, "start", lambda _, **given: started.append(given) or emulator)
    monkeypatch.setenv("PLOT_PALETTE_LOCAL_PORT", "9")
    monkeypatch.setenv("PLOT_PALETTE_LOCAL_DELAY", "0.5")
    monkeypatch.setenv("PLOT_PALETTE_LOCAL_STATE", str(tmp_path))
    console, _, err = factories.console()
    assert targets.start_emulator(console) == replace(emulator, running=True)
    assert started == [{"port": 9, "delay": 0.5}]
    where = f"inv local.status lists {len(control.LIMITS)} limits."
    assert (where in err.getvalue()) is not was_running


@pytest.mark.parametrize(
    ("name", "value"), [("PLOT_PALETTE_LOCAL_PORT", "x"), ("PLOT_PALETTE_LOCAL_DELAY", "61")]
)
def test_an_odd_setting_of_the_emulator_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    monkeypatch.setenv("PLOT_PALETTE_LOCAL_STATE", str(tmp_path))
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=name):
        targets.start_emulator(factories.console()[0])
