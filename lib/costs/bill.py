"""Ask AWS what an environment has cost this month, and what its budgets say.

Cost Explorer filters by the tags that a deployment puts on its stacks, which has to be
switched on once per account. Each of its requests costs one US cent.
https://docs.aws.amazon.com/cost-management/latest/userguide/ce-api-best-practices.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from lib import refusals
from lib.costs.pricing import dollars
from lib.document import keys
from lib.drawing import draw_table
from lib.errors import AwsUnavailable, DeploymentError
from lib.inputs.jobs import BUDGET_OUTPUT, PROJECT, list_budget_owners
from lib.stacks import stacks

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient

    from lib.inputs.jobs import Job

#: Cost Explorer and Budgets are global services with one endpoint.
#: https://docs.aws.amazon.com/general/latest/gr/billing.html
API_REGION = "us-east-1"

T = TypeVar("T")


@dataclass(frozen=True)
class BudgetState:
    """One budget: its monthly limit, what is spent and what AWS forecasts, in USD."""

    name: str
    limit: Decimal
    actual: Decimal
    forecast: Decimal | None


@dataclass(frozen=True)
class Spending:
    """A month of an environment, in USD; None for what could not be found out.

    `forecast` is for the days from today on. `problems` says what is missing and why.
    """

    environment: str
    month_to_date: Decimal | None
    forecast: Decimal | None
    budgets: tuple[BudgetState, ...]
    problems: tuple[str, ...]

    currency: ClassVar = "USD"
    KEYS: ClassVar = keys("environment currency month_to_date forecast budgets problems")


def read(
    ce: Any,
    budgets: Any,
    *,
    account: str,
    environment: str,
    tags: Mapping[str, str],
    today: date,
    named: Callable[[], Collection[str]],
) -> Spending:
    """Ask Cost Explorer and Budgets about one environment.

    `ce` and `budgets` are clients of `API_REGION`, `account` is the 12 digits, `tags` are
    those of the deployment, `named` looks up what its budgets are called. Returns what could be
    found out. Raises `AwsUnavailable` when nothing could.
    """
    refused: dict[str, tuple[str, str]] = {}
    spent = _ask("month to date", lambda: _month_to_date(ce, tags, today), refused)
    forecast = _ask("forecast", lambda: _forecast(ce, tags, today), refused)
    found = _ask("budgets", lambda: _budgets(budgets, account, named()), refused)
    problems = [f"{what}: {reason}" for what, (reason, _) in refused.items()]
    if spent is None and forecast is None and not found:
        raise AwsUnavailable(
            "\n".join(["Costs cannot be read.", *(f"  - {text}" for text in problems)]),
            next_step=refused["month to date"][1],
        )
    if spent == 0:
        pairs = ", ".join(f"{name}={value}" for name, value in tags.items())
        problems.append(
            f"no cost carries {pairs}: activate these as cost allocation tags in the Billing "
            "console; they count from the next day on"
        )
    if found == ():
        problems.append(f"no stack of {environment} has a budget; inv preflight says which could")
    return Spending(environment, spent, forecast, found or (), tuple(problems))


def _ask(what: str, call: Callable[[], T], refused: dict[str, tuple[str, str]]) -> T | None:
    """Return AWS's answer, or None with the reason and the next step added to `refused`."""
    try:
        return call()
    except (ClientError, BotoCoreError) as exc:
        if refusals.is_unsupported(exc):
            error: DeploymentError = AwsUnavailable("not available at this endpoint")
        else:
            error = refusals.explain(exc, API_REGION)
        early = refusals.error_code(exc) == "DataUnavailableException"
        reason = "AWS has too little history for it yet" if early else error.message
        refused[what] = (reason, error.next_step)
        return None


def allocation_tags(environment: str) -> dict[str, str]:
    """Return the tags of a deployment's stacks by which costs are told apart."""
    return {"Project": PROJECT, "Environment": environment}


def _tag_filter(tags: Mapping[str, str]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"Tags": {"Key": name, "Values": [value]}} for name, value in tags.items()
    ]
    # Cost Explorer refuses an And of one.
    return parts[0] if len(parts) == 1 else {"And": parts}


def _month_to_date(ce: Any, tags: Mapping[str, str], today: date) -> Decimal:
    """Add up the unblended cost since the first of the month."""
    # The end of a period is the day after its last.
    end = (today + timedelta(days=1)).isoformat()
    period = {"Start": today.replace(day=1).isoformat(), "End": end}
    total, token = Decimal(0), ""
    while True:
        more = {"NextPageToken": token} if token else {}
        answer = ce.get_cost_and_usage(
            TimePeriod=period,
            Granularity="MONTHLY",
            Metrics=["UnblendedCost"],
            Filter=_tag_filter(tags),
            **more,
        )
        for result in answer.get("ResultsByTime", []):
            total += _amount(result.get("Total", {}).get("UnblendedCost"))
        token = answer.get("NextPageToken", "")
        if not token:
            return total


def _forecast(ce: Any, tags: Mapping[str, str], today: date) -> Decimal:
    """Return what Cost Explorer expects from today to the end of the month."""
    first_of_next = (today.replace(day=28) + timedelta(days=4)).replace(day=1)
    answer = ce.get_cost_forecast(
        TimePeriod={"Start": today.isoformat(), "End": first_of_next.isoformat()},
        Metric="UNBLENDED_COST",
        Granularity="MONTHLY",
        Filter=_tag_filter(tags),
    )
    return _amount(answer.get("Total"))


def _amount(metric: Mapping[str, Any] | None) -> Decimal:
    return Decimal(str((metric or {}).get("Amount", "0")))


def find_budget_names(job: Job, clients: Callable[[str], CloudFormationClient]) -> list[str]:
    """Return the names of an environment's budgets: the output of the stacks that own one.

    AWS names them, since a budget with a name of ours could not be changed, and of such a name
    only the stack tells whose it is. `clients` gives the client of a region; a region without
    the stack has none.
    """
    regions = dict.fromkeys((job.region, *list_budget_owners(job)))
    found = [stacks.describe(clients(region), job.stack_name) for region in regions]
    return [one.outputs[BUDGET_OUTPUT] for one in found if one and BUDGET_OUTPUT in one.outputs]


def _budgets(budgets: Any, account: str, named: Collection[str]) -> tuple[BudgetState, ...]:
    """Return the budgets of these names."""
    if not named:
        return ()
    pages = budgets.get_paginator("describe_budgets").paginate(AccountId=account)
    return tuple(
        _read_budget(entry)
        for page in pages
        for entry in page.get("Budgets", [])
        if entry["BudgetName"] in named
    )


def _read_budget(entry: Mapping[str, Any]) -> BudgetState:
    spend = entry.get("CalculatedSpend", {})
    forecast = spend.get("ForecastedSpend")
    return BudgetState(
        entry["BudgetName"],
        _amount(entry.get("BudgetLimit")),
        _amount(spend.get("ActualSpend")),
        _amount(forecast) if forecast else None,
    )


def draw(spending: Spending) -> str:
    """Return a month as text: what is spent, what is to come, each budget."""
    rows = [
        ("Spent this month", _dollars(spending.month_to_date)),
        ("Forecast for the rest", _dollars(spending.forecast)),
    ]
    text = "\n".join(f"{name:<22} {amount}" for name, amount in rows)
    if spending.budgets:
        table = [
            (b.name, _dollars(b.limit), _dollars(b.actual), _dollars(b.forecast))
            for b in spending.budgets
        ]
        text += "\n\n" + draw_table(("Budget", "Limit", "Spent", "Forecast"), table)
    return text


def _dollars(amount: Decimal | None) -> str:
    return "unknown" if amount is None else dollars(amount)
