"""One region's part of a rollout treats artefacts as `inv deploy` does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from lib import session
from lib.checks import preflight, verification
from lib.checks.preflight import Look
from lib.checks.verification import Check, Verification
from lib.deploy import archives, change, images, publishing
from lib.deploy import site as site_room
from lib.deploy.outcomes import Outcome
from lib.deploy.publishing import Run
from lib.errors import Declined, StateForbids
from lib.inputs import jobs
from lib.inputs.artifacts import Artifacts
from lib.inputs.jobs import Options
from lib.operators import Operator
from lib.regions.desk import Desk
from lib.regions.plan import Plan, Site
from lib.regions.work import Work
from lib.regions.work import verify as verify_one
from lib.releases import releases, store
from lib.releases.releases import Published
from lib.stacks.statuses import Move
from lib.templates.templates import STACK_TYPE
from tests.support import factories
from tests.support.aws_fakes import START, FakeTime
from tests.support.people import Person as People
from tests.support.rehearsal import Person, look_at, plan_of, sites


def test_an_image_that_cannot_be_there_stops_every_region_before_any_is_touched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [site] = sites(["us-east-1"])
    job = replace(site.job, artifacts=Artifacts(image="v7"))
    operator: Operator = Person().operator()
    desk = Desk(
        [Site(job, session.connect("us-east-1"))], operator, plan_of(), FakeTime().clock, None
    )
    monkeypatch.setattr(preflight, "look", lambda *_, **__: look_at("us-east-1"))
    with pytest.raises(StateForbids, match="no repository yet"):
        Work(desk).look("us-east-1")


# What a region's thread does, with its neighbours noting what they are given

REGION = "us-east-1"
MASTER = """
Parameters: {TemplatesBucketName: {Type: String}}
Resources: {Topic: {Type: 'AWS::SNS::Topic'}}
"""


def prepare(person: People, plan: Plan | None = None, **job: Any) -> Work:
    """Return the work of one region, for a person who sits in the very thread."""
    given = {"templates": {"master-stack.yaml": factories.template(MASTER)}, "values": {}, **job}
    [site] = sites([REGION], **given)
    desk = Desk(
        [Site(site.job, session.connect(REGION))],
        Person().operator(),
        plan or plan_of(),
        FakeTime().clock,
        None,
    )
    work = Work(desk)
    work.access = {REGION: person.access(desk.sites[REGION].aws, FakeTime().clock)}
    return work


@pytest.mark.parametrize(("home", "emulated"), [(None, True), (session.connect(REGION), False)])
def test_a_region_is_looked_at_as_what_it_is(
    monkeypatch: pytest.MonkeyPatch, home: Any, emulated: bool
) -> None:
    work = prepare(People(), plan_of(home=home))
    found, seen = look_at(REGION), list[tuple[Any, ...]]()

    def look(*given: Any, **more: Any) -> Look:
        seen.append((*given, more))
        return found

    monkeypatch.setattr(preflight, "look", look)
    assert work.look(REGION) is found
    assert seen == [(work.sites[REGION].job, work.access[REGION], {"emulated": emulated})]


@pytest.mark.parametrize(
    ("move", "there"), [(Move.UPDATE, True), (Move.CREATE, False), (Move.REPLACE, False)]
)
def test_artefacts_are_looked_for_beside_the_stack_that_is_updated(
    monkeypatch: pytest.MonkeyPatch, move: Move, there: bool
) -> None:
    work, stack = prepare(People()), factories.stack()
    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr(preflight, "look", lambda *_, **__: look_at(REGION, move, stack=stack))
    monkeypatch.setattr(images, "require", lambda *given: seen.append(given))
    monkeypatch.setattr(archives, "require", lambda *given: seen.append(given))
    work.look(REGION)
    expected = (work.sites[REGION].job, work.access[REGION], stack if there else None)
    assert seen == [expected, expected]


@mock_aws
def test_only_templates_that_a_region_s_bucket_never_held_are_new_there() -> None:
    child = "Resources: {Topic: {Type: 'AWS::SNS::Topic'}}"
    url = "https://s3/${TemplatesKeyPrefix}child.yaml"
    master = f"Resources: {{C: {{Type: {STACK_TYPE}, Properties: {{TemplateURL: '{url}'}}}}}}"
    folder = {
        "master-stack.yaml": factories.template(master),
        "child.yaml": factories.template(child, "child.yaml"),
    }
    work = prepare(People(), templates=folder)
    assert work.list_new(REGION) == ["child.yaml", "master-stack.yaml"]
    s3 = work.sites[REGION].aws.client("s3")
    bucket = store.bucket_of(work.sites[REGION].job, work.access[REGION])
    s3.create_bucket(Bucket=bucket.name)
    first, last = work.release.files
    s3.put_object(Bucket=bucket.name, Key=first.key, Body=first.content)
    assert work.list_new(REGION) == ["master-stack.yaml"]
    nothing: frozenset[str] = frozenset()
    releases.publish(bucket, work.release, published=nothing, commit="", now=START, by="me")
    assert work.list_new(REGION) == []
    assert last.name == "master-stack.yaml"


def test_what_was_linted_for_all_regions_is_not_linted_again_in_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work, seen = prepare(People()), list[tuple[Any, ...]]()

    def publish(*given: Any, **more: Any) -> str:
        seen.append((*given, more))
        return "published"

    monkeypatch.setattr(publishing, "publish", publish)
    assert work.publish(REGION) == "published"
    keys = frozenset(file.key for file in work.release.files)
    assert seen == [(work.sites[REGION].job, work.access[REGION], {"linted": keys})]


PUBLISHED = Published("the-bucket", REGION, "0123456789ab", 0, 1, "https://master")


class Deployed:
    """What is carried out instead of a deployment, and what it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.carried: list[tuple[Run, Any, Any]] = []
        self.followed: list[tuple[Run, Any]] = []
        self.outcome = factories.outcome("created", region=REGION)
        monkeypatch.setattr(change, "carry_out", self.carry_out)
        monkeypatch.setattr(site_room, "follow_up", self.follow_up)

    def carry_out(self, run: Run, stack: Any, decision: Any) -> str:
        self.carried.append((run, stack, decision))
        return "carried out"

    def follow_up(self, run: Run, outcome: Any) -> Outcome:
        self.followed.append((run, outcome))
        return self.outcome


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Deployed:
    return Deployed(monkeypatch)


def test_a_region_is_deployed_with_its_own_consents_values_and_bucket(deployed: Deployed) -> None:
    consents = {REGION: frozenset({"A/B"}), "us-west-2": frozenset({"C/D"})}
    plan = replace(plan_of(consents=consents), options=Options(express=True))
    work, stack = prepare(People(), plan), factories.stack()
    look = look_at(REGION, Move.UPDATE, stack=stack)
    assert work.deploy(REGION, look, PUBLISHED) is deployed.outcome
    [(run, given, decision)] = deployed.carried
    assert (given, decision) == (stack, look.decision)
    assert deployed.followed == [(run, "carried out")]
    assert run.options == Options(express=True, allow_data_loss=frozenset({"A/B"}))
    assert run.values == {"TemplatesBucketName": "the-bucket"}
    assert (run.job, run.access) == (work.sites[REGION].job, work.access[REGION])
    assert (run.release, run.published) == (work.release, PUBLISHED)


def test_a_region_s_change_is_priced_as_that_of_one_region_alone(deployed: Deployed) -> None:
    def price(_job: Any, _live: Any) -> str:
        return "Cost: as before."

    work = prepare(People(), plan_of(price=price))
    work.deploy(REGION, look_at(REGION, Move.UPDATE), PUBLISHED)
    assert deployed.carried[0][0].price is price


def test_a_region_that_no_consent_names_may_lose_nothing(deployed: Deployed) -> None:
    plan = replace(plan_of(), options=Options(allow_data_loss=frozenset({"A/B"})))
    prepare(People(), plan).deploy(REGION, look_at(REGION, Move.UPDATE), PUBLISHED)
    assert deployed.carried[0][0].options.allow_data_loss == frozenset()


@pytest.mark.parametrize(("move", "kept"), [(Move.UPDATE, True), (Move.REPLACE, False)])
def test_what_a_stack_runs_with_stays_where_nobody_names_it_and_the_stack_stands(
    monkeypatch: pytest.MonkeyPatch, deployed: Deployed, move: Move, kept: bool
) -> None:
    seen: list[tuple[Any, ...]] = []

    def fill_in(*given: Any) -> dict[str, str]:
        seen.append(given)
        return {}

    monkeypatch.setattr(jobs, "fill_in", fill_in)
    work, stack = prepare(People()), factories.stack(parameters={"ImageTag": "v7"})
    work.deploy(REGION, look_at(REGION, move, stack=stack), PUBLISHED)
    expected = {"ImageTag": "v7"} if kept else {}
    assert seen == [(work.sites[REGION].job, "the-bucket", expected)]
    assert deployed.carried[0][1] is stack


@pytest.mark.parametrize(
    ("move", "own"),
    [(Move.CREATE, True), (Move.REPLACE, True), (Move.CREATE, False), (Move.UPDATE, False)],
)
def test_a_stack_is_created_over_what_an_earlier_one_retained_where_that_is_wanted(
    deployed: Deployed, move: Move, own: bool
) -> None:
    made, seen = factories.outcome("created"), list[tuple[Any, ...]]()

    def create_over(*given: Any) -> Outcome | None:
        seen.append(given)
        return made if own else None

    look = look_at(REGION, move, stack=factories.stack())
    prepare(People(), plan_of(create=create_over)).deploy(REGION, look, PUBLISHED)
    assert len(deployed.carried) == (0 if own else 1)
    [(run, outcome)] = deployed.followed
    assert outcome == (made if own else "carried out")
    assert seen == ([] if move is Move.UPDATE else [(run, look.stack, look.decision)])


@pytest.mark.parametrize("agreed", [True, False])
def test_a_creation_waits_for_its_turn(deployed: Deployed, agreed: bool) -> None:
    person = People(agreed)
    work = prepare(person)
    look = look_at(REGION, Move.CREATE)
    if agreed:
        work.deploy(REGION, look, PUBLISHED)
    else:
        with pytest.raises(Declined) as caught:
            work.deploy(REGION, look, PUBLISHED)
        name = work.sites[REGION].job.stack_name
        assert caught.value.message == f"Stack {name} in {REGION} was not created."
    assert person.asked == [(f"Create stack {factories.STACK} in {REGION}?", "y")]
    assert len(deployed.carried) == int(agreed)


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize("move", [Move.CREATE, Move.CREATE_BY_CHANGE_SET, Move.UPDATE])
def test_only_a_creation_that_asks_nothing_itself_is_asked_about(
    deployed: Deployed, move: Move, preview: bool
) -> None:
    person = People()
    work = prepare(person, replace(plan_of(), options=Options(preview=preview)))
    work.deploy(REGION, look_at(REGION, move), PUBLISHED)
    assert bool(person.asked) is (move is Move.CREATE and not preview)
    assert len(deployed.carried) == 1


@pytest.mark.parametrize("wanted", [True, False])
def test_a_region_is_verified_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, deployed: Deployed, wanted: bool
) -> None:
    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr(verification, "follow_up", lambda *given: seen.append(given))
    plan = replace(plan_of(verify=wanted), options=Options(express=True))
    work = prepare(People(), plan)
    assert work.deploy(REGION, look_at(REGION, Move.UPDATE), PUBLISHED) is deployed.outcome
    options, known = Options(express=True), deployed.outcome.seen
    given = (work.sites[REGION].job, work.access[REGION], options, known)
    assert seen == ([given] if wanted else [])


def verify(monkeypatch: pytest.MonkeyPatch, found: Verification | None, action: str) -> Outcome:
    monkeypatch.setattr(verification, "follow_up", lambda *_: found)
    work = prepare(People())
    outcome = factories.outcome(action, region=REGION)
    return verify_one(work.sites[REGION].job, work.access[REGION], outcome, Options())


FINE = Check("stack", True, "stands")
BAD = Verification("app", REGION, (FINE, Check("health", False, "503"), Check("url", False, "404")))


@pytest.mark.parametrize(
    ("found", "action"),
    [(None, "created"), (Verification("app", REGION, (FINE,)), "updated"), (BAD, "declined")],
)
def test_a_region_that_passes_or_has_nothing_to_check_keeps_its_outcome(
    monkeypatch: pytest.MonkeyPatch, found: Verification | None, action: str
) -> None:
    assert verify(monkeypatch, found, action) == factories.outcome(action, region=REGION)


@pytest.mark.parametrize(
    ("action", "stands"),
    [("created", "deployed"), ("updated", "deployed"), ("unchanged", "up to date")],
)
def test_a_region_that_does_not_pass_has_failed_with_each_reason_and_the_next_command(
    monkeypatch: pytest.MonkeyPatch, action: str, stands: str
) -> None:
    outcome = verify(monkeypatch, BAD, action)
    assert outcome.action == "failed"
    assert outcome.failure is not None
    assert outcome.failure.reason == f"{stands}, but health: 503; url: 404"
    assert (outcome.failure.type, outcome.failure.status) == (STACK_TYPE, "CREATE_COMPLETE")
    assert (outcome.failure.path, outcome.failure.logical_id) == ("", "")
    assert outcome.next_step == f"inv verify --region {REGION}"
