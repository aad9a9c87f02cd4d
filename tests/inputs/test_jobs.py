"""A job holds all that a deployment consists of, and says everything that is wrong with it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lib.errors import InputError, ParameterError
from lib.inputs import jobs
from lib.inputs.jobs import Job
from lib.inputs.parameters import WARNING, Problem
from tests.support import factories


def prepare(
    root: Path,
    environment: str = "staging",
    region: str = factories.REGION,
    stack_name: str | None = None,
) -> Job:
    return jobs.prepare(root, environment, region, stack_name, flags="--env staging")


def test_a_job_merges_environment_and_region(tmp_path: Path) -> None:
    job = prepare(factories.repository(tmp_path))
    assert job.stack_name == "plot-palette-staging"
    assert job.models == ("eu.amazon.nova-lite-v1:0",)
    assert job.values == {
        "EnvironmentName": "staging",
        "AdminEmail": "a@b.io",
        "VpcCidr": "10.2.0.0/16",
        "BedrockModelIds": "amazon.nova-lite-v1:0",
        "BedrockInferenceProfileIds": "eu.amazon.nova-lite-v1:0",
    }
    assert jobs.validate(job) == ()
    jobs.require_valid(job)


def test_a_stack_name_can_be_chosen_and_an_impossible_one_is_refused(tmp_path: Path) -> None:
    root = factories.repository(tmp_path)
    assert prepare(root, stack_name="mine").stack_name == "mine"
    with pytest.raises(InputError, match="'a;b' cannot name a stack"):
        prepare(root, stack_name="a;b")


def test_an_unknown_environment_or_region_is_refused(tmp_path: Path) -> None:
    root = factories.repository(tmp_path)
    with pytest.raises(ParameterError, match="Known: staging"):
        prepare(root, "live")
    with pytest.raises(InputError, match="Known: eu-west-1"):
        prepare(root, region="eu-north-1")


def test_every_mistake_in_a_file_is_listed_even_when_its_name_can_name_no_stack(
    tmp_path: Path,
) -> None:
    root = factories.repository(tmp_path / "repository")
    path = factories.write_values(
        tmp_path / "mine.json",
        {
            "EnvironmentName": "my_env",
            "AdminEmail": "nobody",
            "Budget": 50,
            "VpcCidr": "10.9.0.0/16",
            "Unknown": "x",
        },
    )
    with pytest.raises(InputError) as caught:
        prepare(root, str(path))
    told = {problem.split()[0] for problem in caught.value.problems}
    assert told == {"EnvironmentName", "AdminEmail", "Budget", "VpcCidr", "Unknown"}
    assert caught.value.exit_code == 2
    assert "inv validate-params --env staging" in caught.value.next_step


def test_a_job_without_a_master_template_is_invalid() -> None:
    (problem,) = jobs.validate(factories.job(templates={"a.yaml": factories.template()}))
    assert "there is no master-stack.yaml" in problem.message


def test_a_broken_contract_between_templates_is_a_problem() -> None:
    master = factories.MASTER + (
        "  Child:\n    Type: AWS::CloudFormation::Stack\n"
        "    Properties: {TemplateURL: none-stack.yaml}\n"
    )
    job = factories.job(templates={"master-stack.yaml": factories.template(master)})
    (problem,) = jobs.validate(job)
    assert "loads none-stack.yaml, which does not exist" in problem.message


def test_a_warning_stops_nothing() -> None:
    jobs.require_valid(factories.job(problems=(Problem("A", "is odd", WARNING),)))


def test_a_problem_of_the_whole_file_reads_as_a_sentence() -> None:
    assert jobs.describe_problem(Problem("", "entry 2 is no object")) == "entry 2 is no object"
    assert jobs.describe_problem(Problem("A", "is missing")) == "A is missing"


def test_the_commit_is_read_and_marked_when_files_differ(tmp_path: Path) -> None:
    assert jobs.read_commit(tmp_path) == ""

    def git(*arguments: str) -> None:
        settings = ("-c", "user.name=a", "-c", "user.email=a@b.io")
        subprocess.run(["git", "-C", tmp_path, *settings, *arguments], check=True)

    git("init", "--quiet")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--message", "one")
    commit = jobs.read_commit(tmp_path)
    assert len(commit) == 40
    (tmp_path / "file").write_text("two")
    assert jobs.read_commit(tmp_path) == f"{commit}-dirty"


def test_a_machine_without_git_knows_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert jobs.read_commit(tmp_path) == ""
