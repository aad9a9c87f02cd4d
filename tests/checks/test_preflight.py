"""What is certain to fail is found before anything is changed; what cannot be asked is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from lib import session
from lib.checks import preflight, quotas
from lib.checks.findings import Readiness
from lib.templates.resolution import Resource
from tests.support import aws_fakes
from tests.support.aws_fakes import refusal

REGION = "us-west-2"

VPC = "AWS::EC2::VPC"
QUOTA = "GetServiceQuota"


def resource(kind: str, condition: str = "", **properties: Any) -> Resource:
    return Resource("Path", "Path", kind, properties, "Delete", "Delete", "t.yaml", condition)


NETWORK = (
    resource(VPC),
    resource("AWS::EC2::VPCEndpoint"),
    resource("AWS::EC2::VPCEndpoint", VpcEndpointType="Gateway"),
    resource("AWS::EC2::VPCEndpoint", VpcEndpointType="Interface"),
)


class Account:
    """Clients of one account, with quotas and uses that a test sets."""

    def __init__(self, **limits: float) -> None:
        self.limits = {"vpc": 5.0, "cognito-idp": 1000.0, "fargate": 6.0} | limits
        self.answers: dict[str, Any] = {
            "DescribeVpcs": {"Vpcs": [{}] * 2},
            "DescribeVpcEndpoints": {"VpcEndpoints": [{}] * 3},
            "ListUserPools": {"UserPools": []},
        }
        self._clients: dict[str, Any] = {}
        self.calls: dict[str, list[aws_fakes.Call]] = {}

    def client(self, service: str) -> Any:
        if service not in self._clients:
            made = aws_fakes.client(service, REGION)
            self.calls[service] = aws_fakes.intercept(made, self._answer)
            self._clients[service] = made
        return self._clients[service]

    def _answer(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        found = self.answers.get(operation)
        if isinstance(found, Exception):
            raise found
        if found is not None:
            return dict(found)
        return {"Quota": {"Value": self.limits[arguments["ServiceCode"]]}}


def test_a_quota_is_held_against_what_is_used_and_what_is_added() -> None:
    rows, findings = quotas.measure(REGION, Account().client, NETWORK, NETWORK)
    assert [(r.name, r.used, r.needed, r.limit) for r in rows] == [
        ("VPCs", 2, 1, 5),
        ("gateway endpoints", 3, 2, 5),
    ]
    assert findings == []


def test_a_quota_without_room_is_an_error_that_names_the_figures() -> None:
    _, findings = quotas.measure(REGION, Account(vpc=2.0).client, NETWORK[:1], NETWORK)
    assert findings[0].stops
    assert "2 VPCs is too small: 2 are in use, 1 more are needed" in findings[0].message


def test_the_last_free_place_suffices() -> None:
    _, findings = quotas.measure(REGION, Account(vpc=3.0).client, NETWORK[:1], NETWORK[:1])
    assert findings == []


def test_a_stack_that_exists_needs_room_for_its_tasks_only() -> None:
    task = resource("AWS::ECS::TaskDefinition", Cpu="4096")
    account = Account(fargate=2.0)
    rows, findings = quotas.measure(REGION, account.client, (), (*NETWORK, task))
    assert [row.name for row in rows] == ["Fargate on-demand vCPUs", "Fargate Spot vCPUs"]
    assert all(f.stops and "4 more are needed" in f.message for f in findings)
    assert set(account.calls) == {"service-quotas"}


def test_what_only_aws_can_decide_to_create_is_not_counted() -> None:
    maybe = resource(VPC, condition="IsRich")
    assert quotas.measure(REGION, Account().client, (maybe,), (maybe,)) == ((), [])


def test_the_default_counts_where_nobody_asked_for_more() -> None:
    account = Account()
    account.answers[QUOTA] = refusal("NoSuchResourceException", "none", QUOTA)
    rows, _ = quotas.measure(REGION, account.client, NETWORK[:1], NETWORK[:1])
    assert rows[0].limit == 5
    operations = [call.operation for call in account.calls["service-quotas"]]
    assert operations == [QUOTA, "GetAWSDefaultServiceQuota"]


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (refusal("400", "", QUOTA), "not available at this endpoint"),
        (refusal("AccessDeniedException", "no permission", QUOTA), "no permission"),
        (EndpointConnectionError(endpoint_url="https://quotas"), "https://quotas"),
    ],
)
def test_a_quota_that_cannot_be_read_is_one_warning(problem: Exception, words: str) -> None:
    account = Account()
    account.answers[QUOTA] = problem
    rows, findings = quotas.measure(REGION, account.client, NETWORK, NETWORK)
    assert [(f.state, f.region) for f in findings] == [(Readiness.UNKNOWN, REGION)]
    assert "VPCs, gateway endpoints" in findings[0].check
    assert words in findings[0].message
    assert all(row.limit is None for row in rows)


def test_a_use_that_cannot_be_counted_is_a_warning_too() -> None:
    account = Account()
    account.answers["DescribeVpcs"] = refusal("UnauthorizedOperation", "hidden")
    rows, findings = quotas.measure(REGION, account.client, NETWORK[:1], NETWORK[:1])
    assert (rows[0].used, rows[0].limit) == (None, 5)
    assert findings[0].state is Readiness.UNKNOWN


def iam(answer: Any) -> Any:
    made = aws_fakes.client("iam")

    def give(_operation: str, _arguments: dict[str, Any]) -> Mapping[str, Any]:
        if isinstance(answer, ClientError):
            raise answer
        return {"SummaryMap": answer}

    aws_fakes.intercept(made, give)
    return made


def test_roles_of_all_regions_count_together() -> None:
    client = iam({"Roles": 990, "RolesQuota": 1000})
    assert quotas.measure_roles(client, {"us-east-1": 5, "us-west-2": 5})[1] == []
    row, findings = quotas.measure_roles(client, {"us-east-1": 6, "us-west-2": 5})
    assert row is not None
    assert row.needed == 11
    assert findings[0].stops


def test_no_new_role_asks_nothing_and_an_unread_quota_warns() -> None:
    assert quotas.measure_roles(None, {"us-east-1": 0}) == (None, [])
    _, findings = quotas.measure_roles(iam(refusal("AccessDenied", "no")), {"us-east-1": 1})
    assert findings[0].state is Readiness.UNKNOWN


def ec2(answer: Any) -> Any:
    made = aws_fakes.client("ec2")

    def give(_operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        assert arguments == {"AllRegions": True}
        if isinstance(answer, ClientError):
            raise answer
        states = answer.items()
        return {"Regions": [{"RegionName": name, "OptInStatus": state} for name, state in states]}

    aws_fakes.intercept(made, give)
    return made


def test_a_region_that_is_off_or_unknown_to_the_account_is_an_error() -> None:
    states = {"us-east-1": "opt-in-not-required", "af-south-1": "not-opted-in", "x": "opted-in"}
    found = preflight.find_disabled(ec2(states), ["us-east-1", "af-south-1", "x", "cn-north-1"])
    assert [(f.region, f.stops) for f in found] == [("af-south-1", True), ("cn-north-1", True)]
    assert "not enabled" in found[0].message


def test_regions_that_cannot_be_listed_are_warned_of() -> None:
    found = preflight.find_disabled(ec2(refusal("UnauthorizedOperation", "no")), ["us-east-1"])
    assert [f.state for f in found] == [Readiness.UNKNOWN]


@pytest.mark.parametrize(
    ("region", "home"),
    [
        ("eu-west-1", "us-east-1"),
        ("cn-northwest-1", "cn-north-1"),
        ("us-gov-east-1", "us-gov-west-1"),
    ],
)
def test_each_partition_has_a_region_that_is_always_on(region: str, home: str) -> None:
    assert session.home_of(region) == home


def test_figures_that_nobody_knows_are_shown_as_such() -> None:
    table = quotas.list_headroom([quotas.Headroom(REGION, "VPCs", 1, None, 5)])
    assert list(table.rows) == [(REGION, "VPCs", "?", "1", "5")]
