"""The pipeline calls the tasks that people call, with the least rights and nothing unpinned."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from invoke.exceptions import ParseError
from invoke.parser import Parser

import tasks

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = {path.name: path for path in sorted((ROOT / ".github" / "workflows").iterdir())}
#: The README's own set-up, without the task after it.
SET_UP = "python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt"
PINNED = re.compile(r"\s*-? ?uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def read(name: str) -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load(WORKFLOWS[name].read_text())
    return content


#: The jobs that have steps; one that only calls a workflow of this repository has none.
JOBS = [
    pytest.param(read(name), job, id=f"{name}-{key}")
    for name in WORKFLOWS
    for key, job in read(name)["jobs"].items()
    if "steps" in job
]
COMMANDS = [
    pytest.param(step["run"], id=f"{name}-{key}-{step['run'][:60]}")
    for name in WORKFLOWS
    for key, job in read(name)["jobs"].items()
    for step in job.get("steps", ())
    if "run" in step and step["run"] != SET_UP
]


def accept(command: str) -> list[str]:
    """Parse a command line as `inv` does and return the tasks that it runs."""
    contexts = tasks.ns.to_contexts()
    words = shlex.split(command)
    parsed = Parser(contexts=contexts).parse_argv(words[1:])
    return [str(context.name) for context in parsed if context.name]


def test_there_are_the_two_workflows() -> None:
    assert set(WORKFLOWS) == {"ci.yml", "deploy.yml"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_is_pinned_by_its_full_hash_with_the_version_beside_it(name: str) -> None:
    lines = [line for line in WORKFLOWS[name].read_text().splitlines() if "uses:" in line]
    assert lines
    # A workflow of this repository is called as it stands at the same commit.
    ours = [f"    uses: ./.github/workflows/{known}" for known in WORKFLOWS]
    assert [line for line in lines if not PINNED.fullmatch(line) and line not in ours] == []


def test_one_action_has_one_version_everywhere() -> None:
    text = "".join(path.read_text() for path in WORKFLOWS.values())
    pins = set(re.findall(r"uses: (\S+)@(\S+) # (\S+)", text))
    assert len({action for action, _, _ in pins}) == len(pins)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_read_the_code_and_nothing_else(name: str) -> None:
    assert read(name)["permissions"] == {"contents": "read"}


@pytest.mark.parametrize(("workflow", "job"), JOBS)
def test_only_a_job_that_takes_a_role_gets_a_token_for_it(
    workflow: dict[str, Any], job: dict[str, Any]
) -> None:
    takes_role = any("configure-aws-credentials" in step.get("uses", "") for step in job["steps"])
    comments = any("actions/github-script" in step.get("uses", "") for step in job["steps"])
    assert not (takes_role and comments)
    allowed = {"contents": "read", "id-token": "write"} if takes_role else None
    assert job.get("permissions") == ({"pull-requests": "write"} if comments else allowed)
    # The role's trust names the environment, so that without one it cannot be taken.
    assert ("environment" in job) is takes_role


@pytest.mark.parametrize(("workflow", "job"), JOBS)
def test_no_job_leaves_the_token_of_the_checkout_behind_or_runs_for_ever(
    workflow: dict[str, Any], job: dict[str, Any]
) -> None:
    checkouts = [s for s in job["steps"] if s.get("uses", "").startswith("actions/checkout@")]
    assert [one["with"]["persist-credentials"] for one in checkouts] == [False] * len(checkouts)
    # What runs code of the repository has it, what may write to the pull request runs none of it.
    runs_code = any("run" in step for step in job["steps"])
    assert len(checkouts) == (1 if runs_code else 0)
    assert not (runs_code and "pull-requests" in (job.get("permissions") or {}))
    assert job["timeout-minutes"] <= 90


@pytest.mark.parametrize("name", WORKFLOWS)
def test_nothing_is_stored_but_the_roles_names_and_the_region(name: str) -> None:
    text = WORKFLOWS[name].read_text()
    assert "secrets." not in text
    assert "aws-access-key-id" not in text
    known = {"AWS_ROLE_ARN", "AWS_SERVICE_ROLE_ARN", "AWS_REGION"}
    assert set(re.findall(r"vars\.(\w+)", text)) <= known


@pytest.mark.parametrize("name", WORKFLOWS)
def test_nothing_that_a_stranger_writes_reaches_a_shell(name: str) -> None:
    # Titles and branch names are somebody's text; as ${{ }} they would be part of the script.
    for job in read(name)["jobs"].values():
        assert all("${{" not in step.get("run", "") for step in job.get("steps", ()))
    assert "pull_request_target" not in WORKFLOWS[name].read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_only_nox_and_the_tasks_are_run(command: str) -> None:
    assert re.match(r"\.venv/bin/(inv|nox)( |$)", command)
    assert "\n" not in command.strip()
    assert not re.search(r"[;&|<>`]", command)


@pytest.mark.parametrize("command", [c for c in COMMANDS if "/inv " in str(c.values[0])])
def test_the_tasks_accept_each_command_line(command: str) -> None:
    assert accept(command)


def test_a_flag_that_does_not_exist_would_be_noticed() -> None:
    with pytest.raises(ParseError):
        accept(".venv/bin/inv deploy --env staging --yes --no-such-flag")


def test_ci_runs_the_oldest_and_the_newest_python() -> None:
    declared = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert declared
    matrix = read("ci.yml")["jobs"]["nox"]["strategy"]["matrix"]
    assert matrix["python"] == [declared[1], "3.x"]


# deploy.yml


DEPLOY = read("deploy.yml")["jobs"]


def runs(job: str) -> list[str]:
    return [step["run"] for step in DEPLOY[job]["steps"] if step.get("run", SET_UP) != SET_UP]


def test_a_pull_request_is_validated_previewed_and_priced_and_changes_nothing() -> None:
    assert [accept(command)[0] for command in runs("preview")] == [
        "validate-params",
        "deploy",
        "estimate",
    ]
    assert all(
        "--preview" in command for command in runs("preview") if accept(command) == ["deploy"]
    )
    condition = " ".join(DEPLOY["preview"]["if"].split())
    assert "github.event.pull_request.head.repo.full_name == github.repository" in condition
    # Its pull requests get no token for AWS, so that the job could only fail.
    assert "github.actor != 'dependabot[bot]'" in condition


def test_production_waits_for_staging_which_waits_for_every_check_of_the_same_push() -> None:
    # YAML reads a bare `on` as true.
    assert read("deploy.yml")[True]["push"]["branches"] == ["main"]
    assert "push" in DEPLOY["staging"]["if"]
    assert DEPLOY["production"]["needs"] == "plan"
    assert "push" in DEPLOY["production"]["if"]
    assert DEPLOY["plan"]["needs"] == "staging"
    assert DEPLOY["staging"]["needs"] == "checks"
    assert DEPLOY["checks"]["uses"] == "./.github/workflows/ci.yml"
    triggers = read("ci.yml")[True]
    assert "workflow_call" in triggers
    # Once per push, as a part of the deployment.
    assert "push" not in triggers


def test_a_deployment_hands_cloudformation_the_service_role() -> None:
    command = '.venv/bin/inv deploy --env staging --yes --wait --role-arn "$SERVICE_ROLE_ARN"'
    assert runs("staging") == [command]
    assert DEPLOY["staging"]["environment"] == "staging"
    [step] = [one for one in DEPLOY["staging"]["steps"] if one.get("run") == command]
    assert step["env"] == {"SERVICE_ROLE_ARN": "${{ vars.AWS_SERVICE_ROLE_ARN }}"}
    # A change set takes the role that the stack has, and a preview role may pass none.
    assert not any("--role-arn" in command for job in ("preview", "plan") for command in runs(job))


def artifact(job: str, action: str) -> dict[str, Any]:
    """Return what a job hands to, or takes from, another one as its plan."""
    [found] = [
        step["with"]
        for step in DEPLOY[job]["steps"]
        if step.get("uses", "").startswith(f"actions/{action}-artifact@")
        and step["with"]["name"].endswith("-plan")
    ]
    taken: dict[str, Any] = found
    return taken


def test_what_is_applied_to_production_is_the_file_that_was_shown_before_the_approval() -> None:
    plan, show, discard = runs("plan")
    assert plan == ".venv/bin/inv plan --env production --yes --out plan.json"
    assert runs("production") == [".venv/bin/inv apply plan.json --yes --wait"]
    kept, taken = artifact("plan", "upload"), artifact("production", "download")
    assert kept["name"] == taken["name"]
    # The Markdown is only made for a pull request; the plan has to be there.
    assert kept["path"].split() == ["plan.json", "plan.md"]
    assert accept(show) == ["plan.show"]
    # Two environments, hence two roles: one proposes, the other executes once it was approved.
    assert DEPLOY["plan"]["environment"] == "production-plan"
    assert DEPLOY["production"]["environment"] == "production"
    assert accept(discard) == ["plan.discard"]
    [step] = [one for one in DEPLOY["plan"]["steps"] if one.get("run") == discard]
    assert step["if"] == "github.event_name == 'pull_request'"


def run_comment(comments: list[dict[str, Any]], plan: str, folder: Path) -> list[Any]:
    """Run the comment's script as the action does, and return the calls that it makes."""
    [step] = [s for s in DEPLOY["comment"]["steps"] if "github-script" in s.get("uses", "")]
    (folder / "plan.md").write_text(plan)
    harness = f"""
      const calls = [];
      const call = name => async given => {{ calls.push([name, given]); }};
      const github = {{
        paginate: async (of, where) => (await of(where)).concat([]),
        rest: {{ issues: {{
          listComments: async () => {json.dumps(comments)},
          updateComment: call('update'), createComment: call('create'),
        }} }},
      }};
      const context = {{
        serverUrl: 'https://github.com', runId: 7, repo: {{ owner: 'o', repo: 'r' }},
        issue: {{ number: 5 }}, payload: {{ pull_request: {{ head: {{ sha: 'abc' }} }} }},
      }};
      (async () => {{ {step["with"]["script"]} }})().then(
        () => console.log(JSON.stringify(calls)));
    """
    node = shutil.which("node")
    assert node
    done = subprocess.run(
        [node, "-e", harness], cwd=folder, capture_output=True, text=True, check=True, timeout=30
    )
    calls: list[Any] = json.loads(done.stdout)
    return calls


@pytest.mark.skipif(shutil.which("node") is None, reason="the script is JavaScript; GitHub has it")
def test_the_plan_is_one_comment_that_is_brought_up_to_date(tmp_path: Path) -> None:
    [[name, given]] = run_comment([], "# Plan\n", tmp_path)
    assert (name, given["issue_number"]) == ("create", 5)
    assert given["body"].endswith("# Plan\n")
    person = {"id": 1, "user": {"type": "User"}, "body": given["body"]}
    ours = {"id": 2, "user": {"type": "Bot"}, "body": given["body"]}
    [[name, given]] = run_comment([person, ours], "| row |\n" * 20_000, tmp_path)
    assert (name, given["comment_id"]) == ("update", 2)
    assert len(given["body"]) < 65_536
    assert given["body"].endswith("| row |\n\nThe rest is in the run only.")


def test_the_comment_is_written_by_a_job_without_a_role_and_only_to_a_pull_request() -> None:
    job = DEPLOY["comment"]
    assert job["needs"] == "plan"
    assert "github.event_name == 'pull_request'" in job["if"]
    assert "needs.plan.result == 'success'" in job["if"]
    assert "environment" not in job
    [script] = [s["with"]["script"] for s in job["steps"] if "script" in s.get("with", {})]
    # As ${{ }} a title would be part of the script; the template strings of JavaScript are not.
    assert "${{" not in script


def test_a_stranger_s_pull_request_gets_no_plan_of_production() -> None:
    condition = " ".join(DEPLOY["plan"]["if"].split())
    assert "github.event.pull_request.head.repo.full_name == github.repository" in condition
    assert "github.actor != 'dependabot[bot]'" in condition
    assert "needs.staging.result == 'success'" in condition


@pytest.mark.parametrize("name", ["preview", "staging", "plan", "production"])
def test_credentials_last_as_long_as_the_job_and_no_longer_than_the_role_allows(name: str) -> None:
    [taking] = [
        step["with"]
        for step in DEPLOY[name]["steps"]
        if "configure-aws-credentials" in step.get("uses", "")
    ]
    role = (ROOT / "infrastructure" / "cloudformation" / "deploy-role.yaml").read_text()
    longest = re.search(r"MaxSessionDuration: (\d+)", role)
    assert longest
    assert DEPLOY[name]["timeout-minutes"] * 60 == taking["role-duration-seconds"]
    assert taking["role-duration-seconds"] <= int(longest[1])


def test_two_deployments_of_one_environment_never_overlap_and_none_is_cut_off() -> None:
    deploying = {name: job for name, job in DEPLOY.items() if "steps" in job}
    groups = {name: job["concurrency"]["group"] for name, job in deploying.items()}
    assert len(set(groups.values())) == len(groups)
    assert groups["staging"] == "deploy-staging"
    assert groups["production"] == "deploy-production"
    assert not any(job["concurrency"]["cancel-in-progress"] for job in deploying.values())


def test_no_run_agrees_to_a_loss_of_data() -> None:
    assert not any("--allow-data-loss" in command.values[0] for command in COMMANDS)
