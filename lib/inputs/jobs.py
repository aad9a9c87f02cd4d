"""Say what is wanted: which templates, with which values, as which stack in which region.

Reads the repository's files and nothing else; every fault in them is found before AWS is
asked for anything.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lib import outside
from lib.errors import InputError, NotOurs
from lib.inputs import artifacts, environments, parameters
from lib.inputs.artifacts import Artifacts
from lib.inputs.environments import Region
from lib.inputs.parameters import Problem
from lib.templates import contracts, templates
from lib.templates.templates import Template

PROJECT = "plot-palette"
MANAGED_BY = "plot-palette-deploy"


@dataclass(frozen=True)
class Job:
    """What is wanted: these templates with these values, as this stack.

    `folder` holds the templates, `path` is the parameter file. `values` are the
    environment's, merged with the region's. `flags` is how an operator names the same target
    on the command line, for the commands in messages. `models` are the Bedrock models that
    the region is to use. `problems` are the faults found while reading the parameter file.
    `lint_memory` is where `lib.templates.linting` remembers what is clean. `account` is the only
    one that the environment may be in, "" where none is named. `role_arn` is the service role
    that CloudFormation takes, "" for the caller's own rights. `artifacts` is what is given beside
    the templates. With `waits` the job queues behind another operator's lock.
    """

    environment: str
    region: str
    stack_name: str
    folder: Path
    path: Path
    templates: Mapping[str, Template]
    values: Mapping[str, str]
    flags: str
    models: tuple[str, ...] = ()
    commit: str = ""
    problems: tuple[Problem, ...] = ()
    lint_memory: Path | None = None
    account: str = ""
    role_arn: str = ""
    artifacts: Artifacts = field(default_factory=Artifacts)
    waits: bool = False


@dataclass(frozen=True)
class Options:
    """How to go about it; see the task's flags of the same names.

    `settles` has an update executed that changes no resource, so that what is deployed is the
    release that was published, to the letter. `known` is what references to resources come to,
    by path or `PATH.ATTRIBUTE`, where that is known although only AWS tells.
    """

    preview: bool = False
    allow_data_loss: frozenset[str] = frozenset()
    backup: bool = True
    express: bool = False
    disable_rollback: bool = False
    revert_drift: bool = False
    retain: frozenset[str] = frozenset()
    force: bool = False
    shallow: bool = False
    settles: bool = False
    known: Mapping[str, str] = field(default_factory=dict)


def prepare(
    root: Path, environment: str, region: str, stack_name: str | None, *, flags: str
) -> Job:
    """Read everything that a deployment of one environment to one region consists of.

    `root` is the repository, `environment` a name or the path of a parameter file. Raises
    `InputError` or a subclass for an unknown environment or region, for files that cannot
    be read and for an environment whose name cannot name a stack; other faults in values are
    left to `validate`.
    """
    job = read(root, environment, region, stack_name, flags=flags)
    if not environments.is_stack_name(job.stack_name):
        require_valid(job)
    return job


def read(root: Path, environment: str, region: str, stack_name: str | None, *, flags: str) -> Job:
    """Read a job like `prepare`, leaving even an impossible stack name to `validate`."""
    infrastructure = root / "infrastructure"
    chosen = environments.read_environment(environment, infrastructure / "parameters")
    regions = environments.read_regions(infrastructure / "regions.json")
    place: Region = environments.choose(regions, region)
    known = environments.list_environments(infrastructure / "parameters")
    accounts = environments.read_accounts(infrastructure / "accounts.json", known)
    account = accounts.get(chosen.name, environments.Account(""))
    problems = [*chosen.problems, *environments.find_clashes(chosen, place)]
    name = environments.check_stack_name(stack_name) if stack_name else f"{PROJECT}-{chosen.name}"
    if not environments.is_stack_name(name):
        problems.append(Problem("EnvironmentName", f"makes {name!r}, which cannot name a stack"))
    folder = infrastructure / "cloudformation"
    return Job(
        environment=chosen.name,
        region=place.name,
        stack_name=name,
        folder=folder,
        path=chosen.path,
        templates=templates.read_folder(folder),
        values=environments.merge(chosen, place),
        flags=flags,
        models=place.bedrock_models,
        commit=read_commit(root),
        problems=tuple(problems),
        lint_memory=root / ".cache" / "lint",
        account=account.number,
        role_arn=account.role_arn,
        artifacts=artifacts.read(root),
    )


def read_commit(root: Path) -> str:
    """Return the commit that is checked out, marked when files differ, or "" outside git."""
    return outside.ask("commit", {}, lambda: _ask_git(root))


def _ask_git(root: Path) -> str:
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty"]
        ran = subprocess.run(  # noqa: S603 (a fixed command)
            command, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return ran.stdout.strip()


def validate(job: Job) -> tuple[Problem, ...]:
    """Check a job without AWS: values against the master, every parent against its children.

    Returns every problem; `severity` tells errors from warnings.
    """
    master = job.templates.get(templates.MASTER)
    if master is None:
        return (Problem("", f"there is no {templates.MASTER} in {job.folder}"),)
    broken = tuple(Problem("", text) for text in contracts.check_contracts(job.templates))
    found = parameters.check(job.values, master.parameters)
    return (
        *job.problems,
        *found,
        *artifacts.find_faults(job.artifacts, master.parameters),
        *broken,
    )


def require_valid(job: Job) -> None:
    """Raise `InputError` with every problem that `validate` finds."""
    problems = [problem for problem in validate(job) if problem.severity == parameters.ERROR]
    if problems:
        raise InputError(
            f"Environment {job.environment} cannot be deployed to {job.region} as it is:",
            problems=[describe_problem(problem) for problem in problems],
            next_step=f"mend the file, then inv validate-params {job.flags}",
        )


def require_account(job: Job, actual: Callable[[], str]) -> None:
    """Raise `NotOurs` when a job's environment, or its service role, is another account's.

    `actual` asks AWS for the credentials' account, and is not called where none is named. A
    role can only be passed within its account, which AWS would say after the release is
    published.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    """
    if not (job.account or job.role_arn):
        return
    account = actual()
    if job.account and account != job.account:
        raise NotOurs(
            f"Environment {job.environment} belongs in account {job.account}, but these "
            f"credentials are account {account}'s. Nothing was touched.",
            next_step="choose the right --profile; infrastructure/accounts.json names the accounts",
        )
    if job.role_arn and account != environments.account_of(job.role_arn):
        raise NotOurs(
            f"CloudFormation cannot take {job.role_arn} for stack {job.stack_name} in "
            f"{job.region}: the role is another account's than these credentials, which are "
            f"account {account}'s. Nothing was touched.",
            next_step="choose the right --profile, or name a role of this account with --role-arn",
        )


def choose_role(job: Job, asked: str | None, *, is_local: bool) -> Job:
    """Return a job with the service role that `--role-arn` names, else accounts.json's.

    A pipeline passes a variable that may be unset, so an empty value is as good as none. What
    accounts.json says is about AWS and not about the emulator. Raises `InputError` for what is
    not the ARN of a role.
    """
    if asked:
        return replace(job, role_arn=environments.check_role_arn(asked))
    return replace(job, role_arn="") if is_local else job


def list_secret_values(job: Job) -> frozenset[str]:
    """Return the values that may not be written down: those of the master's NoEcho parameters."""
    master = job.templates.get(templates.MASTER)
    names = parameters.list_secrets(master.parameters) if master else frozenset()
    return frozenset(job.values[name] for name in names if job.values.get(name))


def describe_problem(problem: Problem) -> str:
    """Return a problem as one sentence."""
    return f"{problem.parameter} {problem.message}".strip()


def bucket_name(account: str, region: str) -> str:
    """Return the name of the templates bucket of an account in a region."""
    return f"plot-palette-cfn-{account}-{region}"


def fill_in(job: Job, bucket: str, deployed: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the values a stack is given: the job's, with bucket and artefacts filled in.

    `deployed` are the parameters of the stack as it is, for what stays when nobody names it.
    """
    declared = job.templates[templates.MASTER].parameters
    values = dict(job.values)
    if "TemplatesBucketName" in declared:
        values["TemplatesBucketName"] = bucket
    filled = artifacts.as_parameters(job.artifacts, bucket, values, deployed or {})
    return values | {name: value for name, value in filled.items() if name in declared}


def give_artifacts(job: Job, folder: Path, **given: str | None) -> Job:
    """Return a job with the artefacts that flags name; see `lib.inputs.artifacts.give`."""
    return replace(job, artifacts=artifacts.give(job.artifacts, folder, **given))


#: The parameter by which one region of an environment owns its budget, and the stack's output
#: that names it: AWS makes the name.
BUDGET_PARAMETER = "DeployBudget"
BUDGET_OUTPUT = "BudgetName"


def list_budget_owners(job: Job) -> tuple[str, ...]:
    """Return the regions of `regions.json` whose stacks make the budget of a job's environment.

    A budget is global to the account, so that one region should. The job's own stands first.
    """
    declared = job.templates[templates.MASTER].parameters.get(BUDGET_PARAMETER)
    if declared is None:
        return ()
    environment = environments.read_environment(str(job.path), job.path.parent)
    regions = environments.read_regions(job.folder.parent / "regions.json")
    default = str(declared.get("Default", ""))
    owners = [
        name
        for name, region in regions.items()
        if environments.merge(environment, region).get(BUDGET_PARAMETER, default) == "true"
    ]
    return tuple(sorted(owners, key=lambda name: name != job.region))


def tags_of(job: Job) -> dict[str, str]:
    """Return the stack's tags.

    The release is not among them: CloudFormation hands stack tags to every resource, so a
    tag that changes with each release would make each release change everything.
    """
    return {"Project": PROJECT, "Environment": job.environment, "ManagedBy": MANAGED_BY}
