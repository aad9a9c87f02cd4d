"""A rollout handed to StackSets: every call fits botocore's models, every answer AWS's shapes.

No emulator has StackSets. Requests pass botocore's validation here, and what is answered is
held against the service model; what AWS then really does was never run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from lib.access import Access
from lib.errors import DataLossRefused, Declined, InputError, Refused, StateForbids
from lib.inputs.artifacts import Artifacts
from lib.inputs.jobs import Job, Options
from lib.regions import handover
from lib.regions.desk import Desk
from lib.regions.plan import OnFailure, Plan, Rollout, Site, require_one_release
from lib.releases.releases import Published
from lib.stacks.deployed import Deployed
from lib.stacks.statuses import Move
from tests.support import aws_fakes, factories
from tests.support.aws_fakes import FakeTime, refusal
from tests.support.rehearsal import THREE, Person, Rehearsal, create, look_at, plan_of

ACCOUNT = factories.ACCOUNT
NAME = factories.STACK


def test_a_preview_is_refused_because_there_is_none() -> None:
    rehearsal = Rehearsal(Person(), dict.fromkeys(THREE, create), Plan(Options(preview=True)))
    with pytest.raises(InputError, match="no change sets"):
        handover.carry_out(rehearsal.desk, rehearsal)


@pytest.mark.parametrize("given", [Artifacts(image="v1"), Artifacts(site=Path("dist"))])
def test_what_stacksets_can_neither_look_up_nor_deploy_is_refused_before_anything_is_looked_at(
    given: Artifacts,
) -> None:
    rehearsal = Rehearsal(Person(), dict.fromkeys(THREE, create))
    sites = {
        region: replace(site, job=replace(site.job, artifacts=given))
        for region, site in rehearsal.desk.sites.items()
    }
    rehearsal.desk.sites = sites
    with pytest.raises(InputError, match="neither an image") as caught:
        handover.carry_out(rehearsal.desk, rehearsal)
    assert "--image none --site none" in caught.value.next_step


@dataclass
class Cloud:
    """StackSets as AWS answers: one set, its instances, one operation after the other.

    `failing` regions fail; `refused` raises for an operation's name; an operation takes two
    looks. `deployed` is the template of every stack that exists.
    """

    instances: dict[str, dict[str, str]] = field(default_factory=dict)
    failing: frozenset[str] = frozenset()
    refused: dict[str, Exception] = field(default_factory=dict)
    exists: bool = False
    deployed: str = factories.MASTER
    changed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    results: dict[str, list[str]] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    interrupt: bool = False
    parameters: dict[str, str] = field(default_factory=dict)

    def client(self, region: str) -> Any:
        made = aws_fakes.client("cloudformation", region)
        aws_fakes.intercept(made, lambda name, given: self._answer(name, given, region))
        return made

    def _answer(self, name: str, given: dict[str, Any], region: str) -> Mapping[str, Any]:
        if name in self.refused:
            raise self.refused[name]
        if name in (
            "CreateStackSet",
            "UpdateStackSet",
            "CreateStackInstances",
            "UpdateStackInstances",
        ):
            return self._change(name, given)
        answer: Mapping[str, Any] = getattr(self, f"_{name}")(given, region)
        return answer

    def _change(self, name: str, given: dict[str, Any]) -> Mapping[str, Any]:
        self.changed.append((name, given))
        if name == "CreateStackSet":
            self.exists = True
            return {"StackSetId": f"{NAME}:1"}
        chosen = given.get("Regions", [])
        self.results[given["OperationId"]] = chosen
        for region in chosen:
            status = "OUTDATED" if region in self.failing else "CURRENT"
            self.instances[region] = {"Status": status}
        return {"OperationId": given["OperationId"]}

    def _DescribeStackSet(self, _given: Any, _region: str) -> Mapping[str, Any]:  # noqa: N802
        if not self.exists:
            raise refusal("StackSetNotFoundException", "none", "DescribeStackSet")
        pairs = [{"ParameterKey": k, "ParameterValue": v} for k, v in self.parameters.items()]
        return {"StackSet": {"StackSetName": NAME, "TemplateBody": "old", "Parameters": pairs}}

    def _ListStackInstances(self, _given: Any, _region: str) -> Mapping[str, Any]:  # noqa: N802
        return {
            "Summaries": [
                {
                    "Region": region,
                    "Account": ACCOUNT,
                    "Status": entry["Status"],
                    "StackId": f"arn:aws:cloudformation:{region}:{ACCOUNT}:stack/StackSet-x/1",
                }
                for region, entry in self.instances.items()
            ]
        }

    def _DescribeStackInstance(self, given: Any, _region: str) -> Mapping[str, Any]:  # noqa: N802
        return {"StackInstance": {"Region": given["StackInstanceRegion"]}}

    def _DescribeStackSetOperation(self, given: Any, _region: str) -> Mapping[str, Any]:  # noqa: N802
        operation = given["OperationId"]
        if self.interrupt:
            raise KeyboardInterrupt
        self.looks[operation] = self.looks.get(operation, 0) + 1
        failed = self.failing & set(self.results[operation])
        ended = "FAILED" if failed else "SUCCEEDED"
        status = ended if self.looks[operation] > 1 else "RUNNING"
        return {"StackSetOperation": {"OperationId": operation, "Status": status}}

    def _ListStackSetOperationResults(self, given: Any, _region: str) -> Mapping[str, Any]:  # noqa: N802
        running = self.looks[given["OperationId"]] < 2
        return {"Summaries": [self._result(r, running) for r in self.results[given["OperationId"]]]}

    def _result(self, region: str, running: bool) -> dict[str, str]:
        if running:
            return {"Region": region, "Account": ACCOUNT, "Status": "RUNNING"}
        if region in self.failing:
            reason = "ResourceLogicalId:VPC, limit exceeded"
            return {"Region": region, "Status": "FAILED", "StatusReason": reason}
        return {"Region": region, "Status": "SUCCEEDED"}

    def _DescribeStacks(self, given: Any, region: str) -> Mapping[str, Any]:  # noqa: N802
        entry = {
            "StackId": given["StackName"],
            "StackName": "StackSet-x",
            "StackStatus": "CREATE_COMPLETE",
            "CreationTime": factories.NOON,
            "Outputs": [{"OutputKey": "Url", "OutputValue": f"https://{region}"}],
        }
        return {"Stacks": [entry]}

    def _DescribeStackEvents(self, _given: Any, _region: str) -> Mapping[str, Any]:  # noqa: N802
        return {"StackEvents": []}

    def _GetTemplate(self, _given: Any, _region: str) -> Mapping[str, Any]:  # noqa: N802
        return {"TemplateBody": self.deployed}

    def _ListStackResources(self, _given: Any, _region: str) -> Mapping[str, Any]:  # noqa: N802
        row = {
            "LogicalResourceId": "Table",
            "PhysicalResourceId": "the-table",
            "ResourceType": "AWS::DynamoDB::Table",
            "ResourceStatus": "CREATE_COMPLETE",
            "LastUpdatedTimestamp": factories.NOON,
        }
        return {"StackResourceSummaries": [row]}


class OneRegion:
    """What `lib.session.Aws` offers, for one region of a fake cloud."""

    partition, url_suffix = "aws", "amazonaws.com"

    def __init__(self, cloud: Cloud, region: str, release: Mapping[str, str]) -> None:
        self.region, self._release = region, release
        self._clients = {
            "cloudformation": cloud.client(region),
            "dynamodb": self._dynamodb(),
            "s3": self._s3(),
        }

    def client(self, service: str) -> Any:
        return self._clients[service]

    def identity(self) -> Any:
        from lib.session import Identity

        return Identity(ACCOUNT, "arn:aws:iam::1:user/me")

    def _dynamodb(self) -> Any:
        made = aws_fakes.client("dynamodb", self.region)
        aws_fakes.intercept(made, lambda _name, _given: {"Table": {"ItemCount": 1234}})
        return made

    def _s3(self) -> Any:
        import base64

        made = aws_fakes.client("s3", self.region)
        sums = {key: base64.b64encode(bytes.fromhex(hexa)) for key, hexa in self._release.items()}
        aws_fakes.intercept(
            made, lambda _name, given: {"ChecksumSHA256": sums[given["Key"]].decode()}
        )
        return made


def hand_over(cloud: Cloud, person: Person, plan: Plan | None = None, **job: Any) -> Rollout:
    """Carry out what comes after checking and publishing."""
    jobs = [factories.job(region=region, **job) for region in THREE]
    release = require_one_release([Site(one, None) for one in jobs])  # type: ignore[arg-type]  # nothing is called
    sums = release.checksums
    sites = [Site(one, OneRegion(cloud, one.region, sums)) for one in jobs]  # type: ignore[arg-type]  # what is used of it
    clock = FakeTime().clock
    desk = Desk(sites, person.operator(), plan or Plan(Options()), clock, None)
    published = {
        region: Published("bucket", region, release.name, 0, 1, "https://m.yaml")
        for region in THREE
    }
    return handover.Handover(desk, published).carry_out()


def test_a_first_rollout_makes_the_set_and_then_one_instance_after_the_other() -> None:
    cloud, person = Cloud(), Person()
    rollout = hand_over(cloud, person)
    assert [name for name, _ in cloud.changed] == ["CreateStackSet", *["CreateStackInstances"] * 3]
    made = cloud.changed[0][1]
    assert made["PermissionModel"] == "SELF_MANAGED"
    assert made["ManagedExecution"] == {"Active": True}
    assert cloud.changed[1][1]["Regions"] == ["us-east-1"]
    assert cloud.changed[1][1]["Accounts"] == [ACCOUNT]
    assert [outcome.action for outcome in rollout.outcomes] == ["created"] * 3
    assert rollout.outcomes[1].outputs == {"Url": "https://us-west-2"}
    assert person.words == ["y"]


def test_what_lies_where_an_instance_would_be_made_is_left_to_a_person_first() -> None:
    asked: list[str] = []

    def require_decided(job: Job, _access: Access) -> None:
        asked.append(job.region)
        raise Refused("a table lies there")

    there = {r: {"Status": "CURRENT"} for r in THREE[:2]}
    cloud, plan = Cloud(instances=there, exists=True), plan_of(require_decided=require_decided)
    with pytest.raises(Refused, match=f"{THREE[2]}: a table lies there"):
        hand_over(cloud, Person(), plan)
    assert asked == [THREE[2]]
    assert cloud.changed == []


def test_a_failed_canary_stops_the_rollout_and_is_named_with_its_reason() -> None:
    cloud = Cloud(failing=frozenset({"us-east-1"}))
    rollout = hand_over(cloud, Person())
    assert [outcome.action for outcome in rollout.outcomes] == ["failed", "declined", "declined"]
    assert rollout.exit_code == 1
    failure = rollout.outcomes[0].failure
    assert failure is not None
    assert "limit exceeded" in failure.reason


def test_continue_goes_on_after_a_failure() -> None:
    cloud = Cloud(failing=frozenset({"us-east-1"}))
    rollout = hand_over(cloud, Person(), Plan(Options(), on_failure=OnFailure.CONTINUE))
    assert [outcome.action for outcome in rollout.outcomes] == ["failed", "created", "created"]


def test_an_update_goes_to_the_canary_and_then_in_one_operation_to_the_rest() -> None:
    cloud = Cloud(instances={r: {"Status": "CURRENT"} for r in THREE}, exists=True)
    rollout = hand_over(cloud, Person())
    assert [(name, given["Regions"]) for name, given in cloud.changed] == [
        ("UpdateStackSet", ["us-east-1"]),
        ("UpdateStackInstances", ["us-west-2", "eu-west-1"]),
    ]
    assert "ParameterOverrides" not in cloud.changed[1][1]
    assert [outcome.action for outcome in rollout.outcomes] == ["updated"] * 3


def test_an_update_that_names_no_code_leaves_that_of_the_stack_set_where_it_is() -> None:
    key = "code/0123456789ab/application.zip"
    cloud = Cloud(instances={r: {"Status": "CURRENT"} for r in THREE}, exists=True)
    cloud.parameters = {"LambdaCodeBucket": "b", "LambdaCodeKey": key}
    master = factories.MASTER.replace(
        "Resources:",
        "  LambdaCodeBucket: {Type: String, Default: ''}\n"
        "  LambdaCodeKey: {Type: String, Default: ''}\nResources:",
    )
    hand_over(cloud, Person(), templates={"master-stack.yaml": factories.template(master)})
    sent = {one["ParameterKey"]: one["ParameterValue"] for one in cloud.changed[0][1]["Parameters"]}
    assert sent["LambdaCodeKey"] == key


def test_a_table_that_would_go_needs_consent_by_region_and_path() -> None:
    cloud = Cloud(instances={r: {"Status": "CURRENT"} for r in THREE}, exists=True)
    without = factories.template(
        factories.MASTER.replace(
            "Table: {Type: 'AWS::DynamoDB::Table'}", "Q: {Type: 'AWS::SQS::Queue'}"
        )
    )
    with pytest.raises(DataLossRefused, match="us-east-1:Table") as caught:
        hand_over(cloud, Person(Refused("nobody")), templates={"master-stack.yaml": without})
    assert "--allow-data-loss us-east-1:Table" in caught.value.next_step
    assert "it holds some 1,234 items" in caught.value.message
    assert cloud.changed == []
    consents = {region: frozenset({"Table"}) for region in THREE}
    priced: list[tuple[str, str]] = []

    def price(job: Job, live: Deployed | None) -> str:
        assert live is not None
        priced.append((job.region, job.stack_name))
        return "Cost: as before."

    plan = Plan(Options(backup=False), consents, price=price)
    person = Person()
    hand_over(cloud, person, plan, templates={"master-stack.yaml": without})
    assert person.words == ["y"]
    assert any("No backup is taken" in text for text in person.seen)
    assert [region for region, _ in priced] == list(THREE)
    assert f"info: {THREE[1]}: Cost: as before." in person.seen


def test_no_to_the_question_changes_nothing() -> None:
    cloud = Cloud()
    with pytest.raises(Declined):
        hand_over(cloud, Person(False))
    assert cloud.changed == []


def test_what_aws_refuses_to_start_is_that_region_s_failure() -> None:
    busy = refusal("OperationInProgressException", "another one runs", "CreateStackInstances")
    rollout = hand_over(Cloud(refused={"CreateStackInstances": busy}), Person())
    assert rollout.failed == ("us-east-1",)
    failure = rollout.outcomes[0].failure
    assert failure is not None
    assert "another one runs" in failure.reason


def test_ctrl_c_leaves_the_operation_to_stacksets_and_says_how_to_stop_it() -> None:
    person = Person()
    rollout = hand_over(Cloud(interrupt=True), person)
    assert rollout.exit_code == 130
    assert any("stop-stack-set-operation" in text for text in person.seen)


def test_a_region_with_a_stack_of_its_own_is_not_given_a_second_one() -> None:
    looks = {"us-east-1": look_at("us-east-1", Move.UPDATE, stack=factories.stack())}
    with pytest.raises(StateForbids, match="second one beside it"):
        handover.require_no_own_stacks(looks)
