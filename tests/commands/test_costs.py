"""The cost tasks keep the contract: JSON on stdout, people on stderr, the exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.support import warm
from tests.support.loopback import serving

ROOT = Path(__file__).resolve().parents[2]


def inv(*arguments: str, folder: Path = ROOT, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a task as a pipeline does: no terminal, no credentials unless given."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PLOT_PALETTE_"))}
    quiet = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    task = warm.starter().start(arguments, folder, {**kept, **quiet, **settings})
    out, err = task.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, task.wait(), out, err)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy what the tasks need, so that one may write to it."""
    # Named as coverage knows it, so that what runs here counts as tasks.py.
    clone = tmp_path / "clone"
    clone.mkdir()
    shutil.copy(ROOT / "tasks.py", clone)
    shutil.copytree(ROOT / "infrastructure", clone / "infrastructure")
    for code in ("commands", "emulator", "lib", "manual"):
        (clone / code).symlink_to(ROOT / code)
    return clone


def test_estimate_needs_no_credentials_and_prints_one_document() -> None:
    ran = inv("estimate", "--env", "production", "--json")
    assert ran.returncode == 0
    document = json.loads(ran.stdout)
    assert (document["environment"], document["region"]) == ("production", "us-east-1")
    assert document["currency"] == "USD"
    assert all(isinstance(document["monthly"][key], float) for key in ("min", "typical", "max"))
    assert isinstance(document["complete"], bool)
    for line in document["lines"]:
        assert isinstance(line["resource"], str)
        assert isinstance(line["status"], str)


def test_ap_southeast_1_reads_at_least() -> None:
    ran = inv("estimate", "--region", "ap-southeast-1")
    assert ran.returncode == 0
    assert ran.stdout.startswith("At least $")
    assert "no price in ap-southeast-1 for dynamodb.storage" in ran.stdout
    assert "Total, at least" in inv("estimate", "--region", "ap-southeast-1", "--detail").stdout


def test_a_second_source_is_held_against_the_book(tmp_path: Path) -> None:
    table = tmp_path / "table.json"
    prices = {"input_cost_per_token": 1e-06, "output_cost_per_token": 2.4e-07}
    table.write_text(
        json.dumps({"us.amazon.nova-lite-v1:0": {"litellm_provider": "bedrock", **prices}})
    )
    ran = inv("refresh-prices", "--cross-check", str(table))
    assert ran.returncode == 0
    assert "2 agree, 2 differ" in ran.stdout
    assert inv("refresh-prices", "--cross-check", str(tmp_path / "gone")).returncode == 2


def test_the_free_tier_can_be_left_out() -> None:
    amounts = [
        json.loads(inv("estimate", "--json", *flags).stdout)["free_tier"]["typical"]
        for flags in ((), ("--no-free-tier",))
    ]
    assert amounts[0] < 0
    assert amounts[1] == 0


def test_the_environments_stand_side_by_side_and_are_drawn(tmp_path: Path) -> None:
    chart = tmp_path / "costs.svg"
    ran = inv("estimate", "--all", "--svg", str(chart))
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[0].split() == [
        "USD", "in", "us-east-1", "development", "production", "staging",
    ]  # fmt: skip
    assert ET.parse(chart).getroot().tag.endswith("svg")


def test_above_the_limit_the_estimate_exits_1_and_is_still_printed() -> None:
    ran = inv("estimate", "--max-monthly", "0.01", "--json")
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["monthly"]["typical"] > 0.01
    assert "is above 0.01 USD" in ran.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--env", "nope"), "no environment 'nope'"),
        (("--region", "mars-1"), "'mars-1' is not configured"),
        (("--usage", "/nowhere.json"), "no usage file /nowhere.json"),
        (("--max-monthly", "lots"), "takes an amount"),
        (("--all", "--compare", "deployed"), "exclude each other"),
    ],
)
def test_bad_input_exits_2_and_says_what(flags: tuple[str, ...], said: str) -> None:
    ran = inv("estimate", "--json", *flags)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert json.loads(ran.stdout)["exit_code"] == 2


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("prices.json", "{"),
        ("prices.json", '{"currency": "USD", "dimensions": {}, "rows": 1}'),
        ("usage/development.json", '{"usage": {"A": {"b": {"min": 9}}}}'),
    ],
)
def test_a_broken_file_exits_2_and_names_file_and_key(copy: Path, file: str, text: str) -> None:
    (copy / "infrastructure" / file).write_text(text)
    ran = inv("estimate", folder=copy)
    assert ran.returncode == 2
    assert f"infrastructure/{file}" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_live_prices_without_credentials_fall_back_to_the_book_and_say_so(copy: Path) -> None:
    ran = inv("estimate", "--live", "--json", folder=copy)
    assert ran.returncode == 0
    assert "Live prices: the book's are used" in ran.stderr
    assert "no credentials" in ran.stderr
    assert {line["status"] for line in json.loads(ran.stdout)["lines"]} <= {"book", "missing"}


def test_a_comparison_without_credentials_exits_4() -> None:
    assert inv("estimate", "--compare", "deployed", "--json").returncode == 4


def test_costs_without_credentials_exits_4_and_says_how_to_sign_in() -> None:
    ran = inv("costs", "--json")
    assert ran.returncode == 4
    assert "sso login" in ran.stderr
    assert json.loads(ran.stdout)["exit_code"] == 4


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, str]]]:
    """Serve pages by path, or by the operation of an AWS JSON request, on the loopback."""
    pages: dict[str, str] = {}

    with serving(pages) as url:
        yield url, pages


IDENTITY = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/me</Arn><UserId>A</UserId>
<Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"""


STACK = """<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
<DescribeStacksResult><Stacks><member><StackName>plot-palette-development</StackName>
<StackId>arn:aws:cloudformation:us-east-1:123456789012:stack/plot-palette-development/1</StackId>
<CreationTime>2026-11-20T09:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>
<Outputs><member><OutputKey>BudgetName</OutputKey>
<OutputValue>MonthlyBudget-1A2B3C</OutputValue></member></Outputs></member></Stacks>
</DescribeStacksResult></DescribeStacksResponse>"""


def test_costs_shows_the_month_the_forecast_and_the_budget(
    server: tuple[str, dict[str, str]],
) -> None:
    url, pages = server
    pages["/"] = IDENTITY
    pages["/stacks/"] = STACK
    amount = {"Amount": "12.5", "Unit": "USD"}
    pages["GetCostAndUsage"] = json.dumps({"ResultsByTime": [{"Total": {"UnblendedCost": amount}}]})
    pages["GetCostForecast"] = json.dumps({"Total": amount})
    budget = {
        "BudgetName": "MonthlyBudget-1A2B3C",
        "BudgetLimit": amount,
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
    }
    pages["DescribeBudgets"] = json.dumps({"Budgets": [budget]})
    keys: dict[str, Any] = {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_ENDPOINT_URL": url,
        "AWS_ENDPOINT_URL_CLOUDFORMATION": f"{url}/stacks/",
    }
    ran = inv("costs", "--json", **keys)
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert (document["month_to_date"], document["forecast"]) == (12.5, 12.5)
    assert document["budgets"][0]["limit"] == 12.5


def test_refresh_prices_rewrites_the_book_and_tells_the_difference(
    copy: Path, server: tuple[str, dict[str, str]]
) -> None:
    url, pages = server
    path = "/offers/v1.0/aws/AmazonECR"
    entry = {"regionCode": "us-east-1", "currentVersionUrl": f"{path}/1/us-east-1/index.json"}
    pages[f"{path}/current/region_index.json"] = json.dumps({"regions": {"us-east-1": entry}})
    pages[f"{path}/1/us-east-1/index.csv"] = (
        '"FormatVersion","v1.0"\n'
        '"SKU","TermType","StartingRange","PricePerUnit","Currency","usageType","Region Code"\n'
        '"S","OnDemand","0","0.2","USD","TimedStorage-ByteHrs","us-east-1"\n'
    )
    ran = inv("refresh-prices", "--source", url, "--json", folder=copy)
    assert ran.returncode == 0, ran.stderr
    changes = json.loads(ran.stdout)["changes"]
    ecr = [change for change in changes if change["dimension"] == "ecr.storage"]
    assert {
        "dimension": "ecr.storage",
        "region": "us-east-1",
        "before": "$0.10",
        "after": "$0.20",
    } in ecr
    assert "AmazonEC2" in ran.stderr
    text = (copy / "infrastructure" / "prices.json").read_text()
    assert '"status": "stale"' in text
    after = inv("estimate", "--json", folder=copy)
    lines = json.loads(after.stdout)["lines"]
    (line,) = (line for line in lines if line["dimension"] == "ecr.storage")
    assert line["unit_price"] == "0.2"
    assert "Stale prices" in after.stderr


def test_refresh_prices_that_reaches_nobody_marks_every_row_and_exits_4(
    copy: Path, server: tuple[str, dict[str, str]]
) -> None:
    url, _ = server
    before = json.loads((copy / "infrastructure" / "prices.json").read_text())["rows"]
    ran = inv("refresh-prices", "--source", url, folder=copy)
    assert ran.returncode == 4
    after = json.loads((copy / "infrastructure" / "prices.json").read_text())["rows"]
    assert [row.get("price") for row in after] == [row.get("price") for row in before]
    assert "no price could be read again" in ran.stderr
