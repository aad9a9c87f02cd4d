"""An environment is found by name or path, and a region's settings are laid over it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import InputError, ParameterError
from lib.inputs import environments
from lib.inputs.environments import Environment, Region
from lib.inputs.parameters import Problem
from tests.support import factories
from tests.support.shapes import any_json, any_text, attempt, tried

KEYS = st.sampled_from(["eu-west-1", "VPCCidr", "BedrockModels", "Parameters"]) | any_text
ENTRY = {"VPCCidr": "10.0.0.0/16", "BedrockModels": []}


def environment(**values: str) -> Environment:
    return Environment("staging", Path("staging.json"), values, ())


def region(*models: str, **overrides: str) -> Region:
    return Region("eu-west-1", "10.2.0.0/16", models, overrides)


def regions_file(folder: Path, document: object) -> Path:
    path = folder / "regions.json"
    path.write_text(json.dumps(document))
    return path


# ── environments ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("staging", "production"):
        factories.write_values(tmp_path / f"{name}.json", {"EnvironmentName": name})
    return tmp_path


def test_a_name_stands_for_the_file_of_that_name(folder: Path) -> None:
    found = environments.read_environment("staging", folder)
    assert (found.name, found.path, found.problems) == ("staging", folder / "staging.json", ())


def test_a_path_is_read_wherever_it_leads_and_named_by_its_content(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    path = factories.write_values(elsewhere / "mine.json", {"EnvironmentName": "staging"})
    assert environments.read_environment(str(path), folder).name == "staging"
    path = factories.write_values(elsewhere / "unnamed.json", {})
    assert environments.read_environment(str(path), folder).name == "unnamed"


def test_a_file_that_names_another_environment_is_told(folder: Path) -> None:
    factories.write_values(folder / "staging.json", {"EnvironmentName": "production"})
    found = environments.read_environment("staging", folder)
    assert found.name == "staging"
    assert found.problems == (
        Problem("EnvironmentName", "is 'production' in the file of environment 'staging'"),
    )


@pytest.mark.parametrize(
    "name",
    ["stagin", "", "..", "../staging", "none.json", "a/b", "x" * 300, "/" + "x" * 5_000, "a\0b"],
)
def test_an_unknown_environment_is_refused_naming_those_there_are(folder: Path, name: str) -> None:
    with pytest.raises(ParameterError) as caught:
        environments.read_environment(name, folder)
    assert "Known: production, staging." in caught.value.message
    assert caught.value.exit_code == 2


def test_a_near_miss_is_guessed(folder: Path) -> None:
    with pytest.raises(ParameterError, match=r"Did you mean staging\?"):
        environments.read_environment("stagign", folder)


def test_a_folder_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "live.json").mkdir()
    with pytest.raises(ParameterError, match="no environment 'live'"):
        environments.read_environment("live", folder)


# ── regions ─────────────────────────────────────────────────────────────────────────────────


def test_regions_are_read_with_their_overrides(tmp_path: Path) -> None:
    document = {
        "eu-west-1": {**ENTRY, "BedrockModels": ["m"], "Parameters": {"A": "1"}},
        "us-gov-east-1": ENTRY,
    }
    found = environments.read_regions(regions_file(tmp_path, document))
    assert found["eu-west-1"] == Region("eu-west-1", "10.0.0.0/16", ("m",), {"A": "1"})
    assert found["us-gov-east-1"].overrides == {}


@pytest.mark.parametrize(
    ("name", "entry", "told"),
    [
        ("Ireland", ENTRY, "'Ireland' is not the name of a region"),
        ("eu-west-1", [], "eu-west-1 is not an object"),
        ("eu-west-1", {**ENTRY, "Cidr": 1}, "unknown key 'Cidr'"),
        ("eu-west-1", {"BedrockModels": []}, "VPCCidr None is not an IPv4 network"),
        ("eu-west-1", {**ENTRY, "VPCCidr": 5}, "VPCCidr 5 is not an IPv4 network"),
        ("eu-west-1", {**ENTRY, "VPCCidr": "10.0.0.1/16"}, "is not an IPv4 network"),
        ("eu-west-1", {**ENTRY, "VPCCidr": "10.0.0.0/255.255.0.0"}, "is not an IPv4 network"),
        ("eu-west-1", {**ENTRY, "VPCCidr": "10.0.0.0/8"}, "must be between /16 and /28"),
        ("eu-west-1", {**ENTRY, "VPCCidr": "10.0.0.0/29"}, "must be between /16 and /28"),
        ("eu-west-1", {**ENTRY, "BedrockModels": "m"}, "BedrockModels is not a list of model ids"),
        ("eu-west-1", {**ENTRY, "BedrockModels": [""]}, "BedrockModels is not a list of model ids"),
        ("eu-west-1", {"VPCCidr": "10.0.0.0/16"}, "BedrockModels is not a list of model ids"),
        ("eu-west-1", {**ENTRY, "Parameters": {"A": 1}}, "Parameters is not an object of strings"),
        ("eu-west-1", {**ENTRY, "Parameters": {"VpcCidr": "x"}}, "Parameters sets VpcCidr"),
        (
            "eu-west-1",
            {**ENTRY, "Parameters": {"EnvironmentName": "x"}},
            "Parameters sets EnvironmentName, which --env decides",
        ),
    ],
)
def test_a_fault_in_a_regions_entry_is_told(
    tmp_path: Path, name: str, entry: object, told: str
) -> None:
    with pytest.raises(InputError) as caught:
        environments.read_regions(regions_file(tmp_path, {name: entry}))
    (problem,) = caught.value.problems
    assert told in problem


def test_all_faults_of_all_regions_are_told_at_once(tmp_path: Path) -> None:
    document = {"eu-west-1": {"A": 1}, "x": ENTRY}
    with pytest.raises(InputError) as caught:
        environments.read_regions(regions_file(tmp_path, document))
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize("document", [[], {}, 5, None])
def test_a_file_without_regions_is_refused(tmp_path: Path, document: object) -> None:
    with pytest.raises(InputError, match="one entry per region"):
        environments.read_regions(regions_file(tmp_path, document))


@tried
@given(document=any_json(KEYS) | st.dictionaries(st.just("eu-west-1"), any_json(KEYS)))
def test_any_json_is_regions_or_refused_with_a_message(tmp_path: Path, document: object) -> None:
    path = regions_file(tmp_path, document)
    found = attempt(lambda: environments.read_regions(path))
    assert found.message if isinstance(found, InputError) else found


def test_an_unknown_region_is_refused_naming_those_there_are() -> None:
    known = {"eu-west-1": region(), "us-east-1": region()}
    assert environments.choose(known, "eu-west-1") is known["eu-west-1"]
    with pytest.raises(InputError) as caught:
        environments.choose(known, "eu-west-2")
    assert "Known: eu-west-1, us-east-1. Did you mean eu-west-1?" in caught.value.message


# ── both together ───────────────────────────────────────────────────────────────────────────


def test_a_regions_parameters_win_over_the_file() -> None:
    merged = environments.merge(environment(A="file", B="file"), region(B="region"))
    assert merged["A"] == "file"
    assert merged["B"] == "region"
    assert merged["VpcCidr"] == "10.2.0.0/16"


def test_a_value_that_the_regions_keys_decide_may_only_be_repeated() -> None:
    assert environments.find_clashes(environment(VpcCidr="10.2.0.0/16"), region()) == ()
    (problem,) = environments.find_clashes(environment(VpcCidr="10.9.0.0/16"), region())
    assert problem == Problem(
        "VpcCidr",
        "is '10.9.0.0/16' in staging.json and '10.2.0.0/16' in regions.json for eu-west-1",
    )


@pytest.mark.parametrize(
    ("models", "foundation", "profiles"),
    [
        ([], "", ""),
        (["amazon.nova-lite-v1:0"], "amazon.nova-lite-v1:0", ""),
        (["eu.amazon.nova-lite-v1:0"], "amazon.nova-lite-v1:0", "eu.amazon.nova-lite-v1:0"),
        (["us-gov.anthropic.claude-1"], "anthropic.claude-1", "us-gov.anthropic.claude-1"),
        (["global.a.b", "a.b"], "a.b", "global.a.b"),
        # A geography inside an id is part of the id.
        (["cohere.rerank-plus.v3"], "cohere.rerank-plus.v3", ""),
    ],
)
def test_the_model_behind_each_profile_is_listed_with_the_models(
    models: list[str], foundation: str, profiles: str
) -> None:
    assert environments.split_models(tuple(models)) == {
        "BedrockModelIds": foundation,
        "BedrockInferenceProfileIds": profiles,
    }


@pytest.mark.parametrize("name", ["a", "plot-palette-staging", "A1-b", "x" * 128])
def test_a_name_that_cloudformation_takes_is_taken(name: str) -> None:
    assert environments.check_stack_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "1a", "-a", "a_b", "a b", "a;rm -rf ~", "$(id)", "ä", "a\n", "x" * 129]
)
def test_a_name_that_no_stack_can_have_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot name a stack"):
        environments.check_stack_name(name)
