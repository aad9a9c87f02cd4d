"""Who installs where no budget is made is told so, unless another region has one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lib.checks import budget_owner
from lib.checks.findings import Readiness, RegionFinding
from lib.inputs import jobs
from lib.inputs.jobs import Job
from tests.support import factories
from tests.support.aws_fakes import FakeTime, no_such_stack, refusal, stack_entry
from tests.support.many_clients import Account
from tests.support.people import Person

MASTER = factories.MASTER.replace(
    "Resources:", "  DeployBudget: {Type: String, Default: 'true'}\nResources:"
)
ENTRY: dict[str, Any] = {"VPCCidr": "10.2.0.0/16", "BedrockModels": []}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Return a job for eu-west-1, whose budget us-east-1 owns."""
    root = factories.repository(tmp_path, master=MASTER)
    without = {**ENTRY, "Parameters": {"DeployBudget": "false"}}
    regions = {"eu-west-1": without, "us-east-1": ENTRY}
    (root / "infrastructure" / "regions.json").write_text(json.dumps(regions))
    return jobs.prepare(root, "staging", "eu-west-1", None, flags="")


def look(job: Job, answer: Any) -> tuple[RegionFinding, Account]:
    other = Account("us-east-1", DescribeStacks=answer)
    access = Person().access(Account(job.region), FakeTime().clock)  # type: ignore[arg-type]
    return budget_owner.look([job], access, {"us-east-1": other}.__getitem__), other  # type: ignore[arg-type]


def stack(*outputs: str) -> dict[str, Any]:
    named = [{"OutputKey": key, "OutputValue": "MonthlyBudget-1A"} for key in outputs]
    return {"Stacks": [stack_entry("plot-palette-staging", "CREATE_COMPLETE", Outputs=named)]}


@pytest.mark.parametrize("answer", [no_such_stack("plot-palette-staging"), stack()])
def test_a_region_alone_without_a_budget_is_warned_of(job: Job, answer: Any) -> None:
    found, _ = look(job, answer)
    assert found.state is Readiness.MISSING
    assert not found.stops
    assert "nothing watches what staging costs" in found.message
    assert "us-east-1 would" in found.message
    assert '"DeployBudget": "true" for eu-west-1' in found.next_step


def test_a_second_region_beside_the_owner_is_not_warned_of(job: Job) -> None:
    found, _ = look(job, stack("BudgetName"))
    assert found.state is Readiness.READY
    assert found.message == "us-east-1 owns the budget of staging"


def test_an_owner_that_may_not_be_looked_at_cannot_be_told(job: Job) -> None:
    found, _ = look(job, refusal("AccessDenied", "no"))
    assert found.state is Readiness.UNKNOWN


def test_a_run_that_includes_the_owner_asks_nothing(job: Job, tmp_path: Path) -> None:
    owner = jobs.prepare(tmp_path, "staging", "us-east-1", None, flags="")
    access = Person().access(Account(job.region), FakeTime().clock)  # type: ignore[arg-type]
    found = budget_owner.look([job, owner], access, {}.__getitem__)
    assert found.message == "us-east-1 owns the budget of staging"


def test_the_environments_own_file_can_leave_the_budget_out(job: Job, tmp_path: Path) -> None:
    values = {"EnvironmentName": "staging", "AdminEmail": "a@b.io", "DeployBudget": "false"}
    factories.write_values(job.path, values)
    assert jobs.list_budget_owners(job) == ()
    found, other = look(job, stack("BudgetName"))
    assert found.state is Readiness.MISSING
    assert other.calls == []
