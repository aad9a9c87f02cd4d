"""One table tells a first day: what is missing and how to mend it, before what is ready."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib.checks import first_day, preflight
from lib.checks.findings import NOT_HERE, Readiness, RegionFinding, missing, ready, unknown
from lib.checks.first_day import Preparedness
from lib.document import as_document
from lib.errors import Declined, StateForbids
from lib.inputs import jobs
from lib.inputs.jobs import Job
from tests.support import api_calls, factories
from tests.support.aws_fakes import ACCOUNT, START, FakeTime, no_such_stack, refusal, stack_entry
from tests.support.many_clients import Account
from tests.support.people import Person

REGION = "us-west-2"
STACK = "plot-palette-staging"
COMMAND = "aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com"
ROLE = {
    "Path": "/",
    "RoleName": "AWSServiceRoleForECS",
    "RoleId": "AROAEXAMPLEEXAMPLE",
    "Arn": f"arn:aws:iam::{ACCOUNT}:role/AWSServiceRoleForECS",
    "CreateDate": START,
}


@pytest.fixture(scope="module")
def job() -> Job:
    flags = f"--env staging --region {REGION}"
    return jobs.prepare(api_calls.ROOT, "staging", REGION, None, flags=flags)


def allowing(arguments: dict[str, Any]) -> dict[str, Any]:
    decided = [
        {"EvalActionName": one, "EvalDecision": "allowed"} for one in arguments["ActionNames"]
    ]
    return {"EvaluationResults": decided, "IsTruncated": False}


def available(arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "modelId": arguments["modelId"],
        "agreementAvailability": {"status": "AVAILABLE"},
        "authorizationStatus": "AUTHORIZED",
        "entitlementAvailability": "AVAILABLE",
        "regionAvailability": "AVAILABLE",
    }


def account(job: Job, **answers: Any) -> Account:
    """Return an account in which everything is ready for a first deployment."""
    profiles = [
        {
            "inferenceProfileName": name,
            "inferenceProfileArn": f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/{name}",
            "models": [{"modelArn": f"arn:aws:bedrock:{REGION}::foundation-model/x"}],
            "inferenceProfileId": name,
            "status": "ACTIVE",
            "type": "SYSTEM_DEFINED",
        }
        for name in job.models
    ]
    said = {
        "DescribeRegions": {
            "Regions": [{"RegionName": REGION, "OptInStatus": "opt-in-not-required"}]
        },
        "DescribeStacks": no_such_stack(STACK),
        "HeadBucket": refusal("404", "Not Found", "HeadBucket", 404),
        "ListFoundationModels": {"modelSummaries": []},
        "ListInferenceProfiles": {"inferenceProfileSummaries": profiles},
        "GetFoundationModelAvailability": available,
        "SimulatePrincipalPolicy": allowing,
        "GetRole": {"Role": ROLE},
        "GetAccountSummary": {"SummaryMap": {"Roles": 10, "RolesQuota": 1000}},
        "GetServiceQuota": {"Quota": {"Value": 100.0}},
        "DescribeVpcs": {"Vpcs": []},
        "DescribeVpcEndpoints": {"VpcEndpoints": []},
        "ListUserPools": {"UserPools": []},
    }
    return Account(REGION, **{**said, **answers})


def owner(*outputs: str) -> Account:
    """Return the region that owns the budget, with or without its stack."""
    named = [{"OutputKey": key, "OutputValue": "MonthlyBudget-1A"} for key in outputs]
    there = {"Stacks": [stack_entry(STACK, "CREATE_COMPLETE", Outputs=named)]}
    return Account("us-east-1", DescribeStacks=there if outputs else no_such_stack(STACK))


def survey(job: Job, aws: Account, *, home: bool = True, budget: bool = True) -> Preparedness:
    access = Person().access(aws, FakeTime().clock)  # type: ignore[arg-type]  # stands in
    other = owner("BudgetName") if budget else owner()
    return first_day.survey(
        [(job, access)],
        home=aws if home else None,  # type: ignore[arg-type]
        connect=lambda _region: other,  # type: ignore[arg-type,return-value]
    )


def by_check(found: Preparedness) -> dict[str, RegionFinding]:
    return {one.check: one for one in found.findings}


def test_an_account_in_which_nothing_is_missing_is_ready(job: Job) -> None:
    found = survey(job, account(job))
    assert {one.state for one in found.findings} == {Readiness.READY}
    assert set(by_check(found)) == {
        "account",
        "region",
        "stack",
        "templates bucket",
        "names",
        "Bedrock models",
        "permissions",
        "quotas",
        "service-linked roles",
        "budget",
    }
    answer = first_day.answer(found)
    assert answer.exit_code == 0
    assert answer.text.startswith(
        "Ready to deploy staging: nothing is missing, all could be told.\n"
    )


def test_what_is_missing_comes_first_with_what_to_do_about_it(job: Job) -> None:
    fresh = account(job, GetRole=refusal("NoSuchEntity"))
    found = survey(job, fresh, budget=False)
    answer = first_day.answer(found)
    assert answer.exit_code == 1
    text = answer.text
    assert text.startswith("Not ready to deploy staging: 2 missing, all could be told.\n")
    assert text.index("✗   service-linked") < text.index("✓")
    assert f"- service-linked roles:\n  {COMMAND}" in text
    assert all(len(line) <= first_day.WIDTH for line in text.splitlines())


def test_the_document_has_the_contracts_keys(job: Job) -> None:
    document = as_document(survey(job, account(job)))
    assert document["ready"] is True
    assert set(document["findings"][0]) == {"check", "state", "region", "message", "next_step"}
    assert {one["state"] for one in document["findings"]} == {"ready"}
    assert json.dumps(document)


def test_nothing_is_changed(job: Job) -> None:
    aws = account(job, GetRole=refusal("NoSuchEntity"))
    survey(job, aws)
    reading = ("Describe", "Get", "Head", "List", "Simulate")
    assert {one.operation for one in aws.calls if not one.operation.startswith(reading)} == set()


def test_what_the_emulator_lacks_is_one_line(job: Job) -> None:
    aws = account(job)
    found = survey(job, aws, home=False)
    unclear = found.list(Readiness.UNKNOWN)
    assert [one.message for one in unclear] == [NOT_HERE]
    assert unclear[0].check.startswith("region, permissions, service-linked roles")
    assert found.ready
    assert "1 cannot be told" in first_day.draw(found)
    assert aws.asked("GetServiceQuota") == []


def test_everything_denied_is_unknown_and_not_missing(job: Job) -> None:
    names = account(job).answers
    denied = {name: refusal("AccessDenied", "no", name) for name in names}
    found = survey(job, Account(REGION, **denied))
    assert found.list(Readiness.MISSING) == []
    assert {one.check for one in found.list(Readiness.UNKNOWN)} >= {
        "region",
        "stack",
        "templates bucket",
        "Bedrock models",
        "permissions",
        "service-linked roles",
    }


def test_credentials_that_end_half_way_end_the_survey(job: Job) -> None:
    with pytest.raises(ClientError, match="ExpiredToken"):
        survey(job, account(job, HeadBucket=refusal("ExpiredToken")))


def test_a_stack_that_may_not_be_deployed_says_why_and_what_helps(job: Job) -> None:
    stuck = {"Stacks": [stack_entry(STACK, "UPDATE_ROLLBACK_FAILED")]}
    found = by_check(survey(job, account(job, DescribeStacks=stuck)))["stack"]
    assert found.state is Readiness.MISSING
    assert found.next_step == f"inv rollback {job.flags}"


def test_a_stack_that_others_change_is_not_waited_for(job: Job) -> None:
    busy = {"Stacks": [stack_entry(STACK, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")]}
    aws = account(job, DescribeStacks=busy)
    assert by_check(survey(job, aws))["stack"].state is Readiness.READY
    assert len(aws.asked("DescribeStacks")) == 1


def test_a_region_that_is_off_is_not_asked_anything_else(job: Job) -> None:
    states = {"Regions": [{"RegionName": REGION, "OptInStatus": "not-opted-in"}]}
    aws = account(job, DescribeRegions=states)
    found = by_check(survey(job, aws))
    assert found["region"].state is Readiness.MISSING
    assert aws.asked("DescribeStacks") == []


def test_a_bucket_of_ones_own_that_is_not_there_is_missing(job: Job) -> None:
    named = replace(job, values={**job.values, "TemplatesBucketName": "ours"})
    found = by_check(survey(named, account(job)))["templates bucket"]
    assert found.state is Readiness.MISSING
    assert "TemplatesBucketName" in found.message


def test_regions_of_which_the_same_is_true_share_a_row() -> None:
    found = Preparedness(
        "staging",
        (
            ready("eu-west-1", "names", "free"),
            ready("us-east-1", "names", "free"),
            missing("us-east-1", "stack", "stuck", "inv rollback --region us-east-1"),
            unknown("eu-west-1", "stack", "denied"),
        ),
    )
    text = first_day.draw(found)
    assert text.count("free") == 1
    assert text.index("stuck") < text.index("denied") < text.index("free")
    assert "1 missing, 1 cannot be told" in text


# The first part of a creation


def prepare(job: Job, aws: Account, person: Person, *, preview: bool = False) -> None:
    access = person.access(aws, FakeTime().clock)  # type: ignore[arg-type]  # stands in
    budget = owner()
    preflight.prepare(job, access, lambda _region: budget, preview=preview)  # type: ignore[arg-type,return-value]


def test_a_creation_begins_with_few_looks_and_warns_of_the_budget(job: Job) -> None:
    aws, person = account(job), Person()
    prepare(job, aws, person)
    assert [call.operation for call in aws.calls] == ["GetRole"]
    assert person.asked == []
    assert any("nothing watches what staging costs" in note for note in person.notes)


def test_a_creation_without_the_role_offers_to_make_it_and_stops_at_a_no(job: Job) -> None:
    aws = account(job, GetRole=refusal("NoSuchEntity"))
    with pytest.raises(Declined, match="AWSServiceRoleForECS"):
        prepare(job, aws, Person(False))


def test_a_preview_of_a_creation_asks_nothing_and_makes_nothing(job: Job) -> None:
    aws, person = account(job, GetRole=refusal("NoSuchEntity")), Person()
    prepare(job, aws, person, preview=True)
    assert person.asked == []
    assert any("AWSServiceRoleForECS is missing" in note for note in person.notes)


def test_a_look_that_is_denied_stops_no_creation(job: Job) -> None:
    person = Person()
    prepare(job, account(job, GetRole=refusal("AccessDenied", "no")), person)
    assert any(note.startswith("Not checked: service-linked roles") for note in person.notes)


def test_a_name_that_is_taken_stops_the_creation_before_anything_is_touched(
    tmp_path: Path,
) -> None:
    master = factories.MASTER.replace(
        "{Type: 'AWS::DynamoDB::Table'}",
        "{Type: 'AWS::DynamoDB::Table', Properties: {TableName: jobs}}",
    )
    named = factories.job(templates={"master-stack.yaml": factories.template(master)})
    aws = Account(named.region, DescribeTable={"Table": {"TableName": "jobs"}})
    with pytest.raises(StateForbids, match="Table is to be named jobs, which exists") as caught:
        prepare(named, aws, Person())
    assert f"inv deploy {named.flags}" in caught.value.next_step
    assert f"{named.stack_name} in {named.region}" in caught.value.message
