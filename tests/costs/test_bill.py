"""What was spent is told with what could not be found out, and why.

Neither emulator answers for Cost Explorer, so Stubber holds every call against botocore's
model.
"""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber

from lib.costs import bill
from lib.costs.bill import BudgetState, Spending
from lib.document import as_document
from lib.errors import AwsUnavailable
from lib.inputs import jobs
from tests.support import aws_fakes, factories

TODAY = date(2026, 12, 31)
TAGS = {"Project": "plot-palette", "Environment": "staging"}
FILTER = {
    "And": [
        {"Tags": {"Key": "Project", "Values": ["plot-palette"]}},
        {"Tags": {"Key": "Environment", "Values": ["staging"]}},
    ]
}


class Clients:
    """Stubbed Cost Explorer and Budgets."""

    def __init__(self) -> None:
        session = botocore.session.Session()
        keys: dict[str, Any] = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        self.ce = session.create_client("ce", region_name="us-east-1", **keys)
        self.budgets = session.create_client("budgets", region_name="us-east-1", **keys)
        self.ce_stub, self.budgets_stub = Stubber(self.ce), Stubber(self.budgets)
        self.named = ["MonthlyBudget-1A2B3C"]

    def read(self) -> Spending:
        with self.ce_stub, self.budgets_stub:
            found = bill.read(
                self.ce, self.budgets, account="123456789012", environment="staging",
                tags=TAGS, today=TODAY, named=lambda: self.named,
            )  # fmt: skip
            self.ce_stub.assert_no_pending_responses()
            self.budgets_stub.assert_no_pending_responses()
        return found


@pytest.fixture
def clients() -> Clients:
    return Clients()


def usd(amount: str) -> dict[str, str]:
    return {"Amount": amount, "Unit": "USD"}


def add_usage(clients: Clients, *pages: str) -> None:
    token: dict[str, str] = {}
    for number, amount in enumerate(pages, start=1):
        more = {"NextPageToken": str(number)} if number < len(pages) else {}
        clients.ce_stub.add_response(
            "get_cost_and_usage",
            {"ResultsByTime": [{"Total": {"UnblendedCost": usd(amount)}}], **more},
            {
                "TimePeriod": {"Start": "2026-12-01", "End": "2027-01-01"},
                "Granularity": "MONTHLY",
                "Metrics": ["UnblendedCost"],
                "Filter": FILTER,
                **token,
            },
        )
        token = more


def add_forecast(clients: Clients, amount: str) -> None:
    clients.ce_stub.add_response(
        "get_cost_forecast",
        {"Total": usd(amount)},
        {
            "TimePeriod": {"Start": "2026-12-31", "End": "2027-01-01"},
            "Metric": "UNBLENDED_COST",
            "Granularity": "MONTHLY",
            "Filter": FILTER,
        },
    )


def add_budgets(clients: Clients, *names: str) -> None:
    clients.budgets_stub.add_response(
        "describe_budgets",
        {
            "Budgets": [
                {
                    "BudgetName": name,
                    "TimeUnit": "MONTHLY",
                    "BudgetType": "COST",
                    "BudgetLimit": usd("50"),
                    "CalculatedSpend": {"ActualSpend": usd("12.5")},
                }
                for name in names
            ]
        },
        {"AccountId": "123456789012"},
    )


def test_the_month_so_far_the_rest_of_it_and_the_budget_are_told(clients: Clients) -> None:
    add_usage(clients, "10.004", "2.5")
    add_forecast(clients, "3.25")
    add_budgets(clients, "MonthlyBudget-1A2B3C", "MonthlyBudget-9Z9Z9Z", "other")
    found = clients.read()
    assert found.month_to_date == Decimal("12.504")
    assert found.forecast == Decimal("3.25")
    assert found.budgets == (
        BudgetState("MonthlyBudget-1A2B3C", Decimal(50), Decimal("12.5"), None),
    )
    assert found.problems == ()
    assert as_document(found)["month_to_date"] == 12.5
    text = bill.draw(found)
    assert "Spent this month       $12.50" in text
    assert "MonthlyBudget-1A2B3C" in text


def test_costs_without_the_tag_and_a_missing_budget_say_what_to_switch_on(clients: Clients) -> None:
    add_usage(clients, "0")
    add_forecast(clients, "0")
    add_budgets(clients)
    problems = clients.read().problems
    assert "activate these as cost allocation tags" in problems[0]
    assert problems[1].startswith("no stack of staging has a budget")


def test_a_forecast_without_history_is_a_gap_and_not_a_failure(clients: Clients) -> None:
    add_usage(clients, "1")
    clients.ce_stub.add_client_error("get_cost_forecast", "DataUnavailableException")
    add_budgets(clients, "MonthlyBudget-1A2B3C")
    found = clients.read()
    assert found.forecast is None
    assert found.problems == ("forecast: AWS has too little history for it yet",)
    assert "unknown" in bill.draw(found)


def test_one_denied_service_does_not_hide_the_other(clients: Clients) -> None:
    for operation in ("get_cost_and_usage", "get_cost_forecast"):
        clients.ce_stub.add_client_error(operation, "AccessDeniedException", f"not {operation}")
    add_budgets(clients, "MonthlyBudget-1A2B3C")
    found = clients.read()
    assert found.month_to_date is None
    assert len(found.budgets) == 1
    assert "not get_cost_and_usage" in found.problems[0]


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        ("ExpiredTokenException", "expired", "credentials have expired"),
        ("AccessDeniedException", "denied", "AWS denies"),
        ("400", "", "not available at this endpoint"),
    ],
)
def test_when_nothing_can_be_read_aws_is_unavailable_and_says_why(
    clients: Clients, code: str, message: str, said: str
) -> None:
    for operation in ("get_cost_and_usage", "get_cost_forecast"):
        clients.ce_stub.add_client_error(operation, code, message)
    clients.budgets_stub.add_client_error("describe_budgets", code, message)
    with pytest.raises(AwsUnavailable, match=said) as caught:
        clients.read()
    assert "month to date" in caught.value.message


def test_a_single_tag_is_not_wrapped_in_an_and() -> None:
    assert bill._tag_filter({"A": "b"}) == {"Tags": {"Key": "A", "Values": ["b"]}}


def test_costs_are_told_apart_by_the_tags_of_the_deployment() -> None:
    assert bill.allocation_tags("staging") == TAGS


def test_amounts_come_from_aws_as_text_and_stay_exact() -> None:
    answer: Any = {"Amount": "0.1"}
    assert bill._amount(answer) * 3 == Decimal("0.3")
    assert bill._amount(None) == 0


def test_without_a_stack_that_has_a_budget_none_is_asked_for(clients: Clients) -> None:
    add_usage(clients, "1")
    add_forecast(clients, "1")
    clients.named = []
    found = clients.read()
    assert found.budgets == ()
    assert found.problems == ("no stack of staging has a budget; inv preflight says which could",)


def test_a_budget_is_found_by_the_output_of_the_stack_that_owns_it(tmp_path: Path) -> None:
    # AWS names it: no part of the name says whose budget it is.
    master = factories.MASTER.replace(
        "Resources:", "  DeployBudget: {Type: String, Default: 'true'}\nResources:"
    )
    root = factories.repository(tmp_path, master=master)
    regions = root / "infrastructure" / "regions.json"
    entry = {"VPCCidr": "10.2.0.0/16", "BedrockModels": []}
    here = {**entry, "Parameters": {"DeployBudget": "false"}}
    regions.write_text(json.dumps({"eu-west-1": here, "us-east-1": entry}))
    job = jobs.prepare(root, "staging", "eu-west-1", None, flags="")
    asked = []

    def client(region: str) -> Any:
        asked.append(region)
        made = aws_fakes.client("cloudformation", region)
        outputs = [{"OutputKey": "BudgetName", "OutputValue": "MonthlyBudget-1A2B3C"}]
        entry = aws_fakes.stack_entry(
            job.stack_name, "CREATE_COMPLETE", Outputs=outputs if region == "us-east-1" else []
        )
        aws_fakes.intercept(made, lambda _operation, _arguments: {"Stacks": [entry]})
        return made

    assert bill.find_budget_names(job, client) == ["MonthlyBudget-1A2B3C"]
    assert asked == ["eu-west-1", "us-east-1"]
