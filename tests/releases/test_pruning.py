"""Pruning removes what nothing needs, shows it first, and never half a release."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lib import session
from lib.document import as_document
from lib.errors import Declined, NotOurs, OperationFailed
from lib.inputs import jobs
from lib.operators import Listing
from lib.polling import Clock
from lib.releases import history, pruning, releases
from lib.releases.history import Record
from lib.releases.releases import Release
from lib.stacks import stacks
from lib.templates import templates
from tests.support.aws_fakes import ACCOUNT, START, intercept, refusal, stack_entry
from tests.support.factories import bucket, job, template
from tests.support.people import Person

REGION = "us-east-1"
BUCKET = jobs.bucket_name(ACCOUNT, REGION)


def release(size: int) -> Release:
    """Return a release whose one child differs by a number."""
    url = "https://s3/${TemplatesKeyPrefix}child.yaml"
    master = f"""
        Resources:
          Child: {{Type: 'AWS::CloudFormation::Stack', Properties: {{TemplateURL: '{url}'}}}}
        """
    child = f"Resources: {{Topic: {{Type: 'AWS::SNS::Topic', Properties: {{N: {size}}}}}}}"
    return releases.build(
        {"master-stack.yaml": template(master), "child.yaml": template(child, "child.yaml")}
    )


class World:
    """A bucket with published releases, and stacks that run some of them."""

    def __init__(self, count: int) -> None:
        self.person = Person()
        self.running: dict[str, Release] = {}
        self.change_sets: dict[str, list[dict[str, str]]] = {}
        self.discarded: list[str] = []
        self.code: dict[str, str] = {}
        self.stacks: list[dict[str, Any]] = []
        self.aws = session.connect(REGION)
        self.s3 = self.aws.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.published = [release(size) for size in range(count)]
        for age, one in enumerate(self.published):
            releases.publish(
                bucket(self.s3),
                one,
                published=frozenset(),
                commit="",
                now=START + timedelta(hours=age),
                by="me",
            )
        intercept(self.aws.client("cloudformation"), self.answer)

    def answer(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        if operation == "DescribeStacks":
            tags = [{"Key": "ManagedBy", "Value": "plot-palette-deploy"}]
            entries = [
                stack_entry(name, "UPDATE_COMPLETE", Tags=tags, Parameters=self.parameters(name))
                for name in self.running
            ]
            shells = self.change_sets.keys() - self.running.keys()
            entries += [stack_entry(name, "REVIEW_IN_PROGRESS", Tags=tags) for name in shells]
            others = [stack_entry("somebody-else-s", "CREATE_COMPLETE"), *self.stacks]
            return {"Stacks": [*entries, *others]}
        if operation == "DeleteChangeSet":
            self.discarded.append(arguments["ChangeSetName"])
            return {}
        name = arguments["StackName"].split("/")[1]
        if operation == "ListChangeSets":
            return {"Summaries": self.change_sets.get(name, [])}
        files = self.running[name].files
        return {"TemplateBody": files[-1].content.decode()} if files else {}

    def parameters(self, stack: str) -> list[dict[str, str]]:
        key = self.code.get(stack, "")
        return [{"ParameterKey": "LambdaCodeKey", "ParameterValue": key}]

    def record(self, stack: str, run: Release, key: str, hours: int) -> None:
        """Write down a deployment of a release with some code."""
        done = Record(
            run.name,
            history.stamp(START + timedelta(hours=hours)),
            *("update", "UPDATE_COMPLETE", "me", stack, "arn"),
            {"LambdaCodeKey": key},
        )
        history.write(bucket(self.s3), done)

    def prune(self, keep: int = 1) -> pruning.Removal:
        late = Clock(now=lambda: START + timedelta(days=40_000))
        return pruning.prune(job(region=REGION), self.person.access(self.aws, late), keep=keep)

    def left(self) -> set[str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {entry["Key"] for entry in found}


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World(4)


def keys_of(one: Release) -> set[str]:
    return {*(file.key for file in one.files), one.manifest_key}


def test_what_a_stack_runs_and_the_newest_stay_and_the_rest_goes(world: World) -> None:
    first, second, third, fourth = world.published
    world.running = {"plot-palette-staging": first}
    plan = world.prune(keep=1)
    assert set(plan.removed) == {second.name, third.name}
    assert world.left() == keys_of(first) | keys_of(fourth)
    [listing] = [told for told in world.person.told if isinstance(told, Listing)]
    assert listing.title == (f"Releases in {BUCKET} in {REGION} ({len(plan.objects)} objects go):")
    told = {row[0]: row[1] for row in listing.rows}
    assert told[second.name] == told[third.name] == "removed"
    assert told[first.name] == "kept: deployed as plot-palette-staging"
    assert told[fourth.name] == "kept: among the newest 1"
    document = as_document(plan)
    assert list(document) == ["removed", "objects", "kept"]
    assert {"release": fourth.name, "because": "among the newest 1"} in document["kept"]


def test_a_release_that_a_plan_waits_for_stays_and_what_expired_plans_keep_goes(
    world: World,
) -> None:
    _first, second, third, fourth = world.published
    world.running = {"plot-palette-staging": fourth}

    def planned(one: Release, until: str) -> dict[str, str]:
        name = f"update-20261001-120000-{one.name}-1a2b3c"
        said = f"Request plot-palette-1, a plan until {until}"
        return {"ChangeSetName": name, "ChangeSetId": f"arn:{one.name}", "Description": said}

    theirs = {"ChangeSetName": "theirs", "ChangeSetId": "arn:theirs", "Description": "Request x"}
    world.change_sets["plot-palette-staging"] = [
        planned(second, "2999-01-01T00:00:00+00:00"),
        planned(third, "2026-10-01T12:00:00+00:00"),
        theirs,
    ]
    plan = world.prune(keep=1)
    assert second.name not in plan.removed
    assert third.name in plan.removed
    assert {kept.release: kept.because for kept in plan.kept}[second.name] == (
        "planned for plot-palette-staging"
    )
    assert world.discarded == [f"arn:{third.name}"]


def test_the_shell_of_a_planned_creation_has_no_template_and_its_release_stays(
    world: World,
) -> None:
    first, *_ = world.published
    name = f"update-20261001-120000-{first.name}-1a2b3c"
    said = "Request plot-palette-1, a plan until 2999-01-01T00:00:00+00:00"
    world.change_sets["plot-palette-new"] = [{"ChangeSetName": name, "Description": said}]
    plan = world.prune(keep=1)
    assert first.name not in plan.removed
    assert "planned for plot-palette-new" in {kept.because for kept in plan.kept}


def test_declining_removes_nothing(world: World) -> None:
    before = world.left()
    world.person.answers = [False]
    with pytest.raises(Declined, match="Nothing was removed"):
        world.prune()
    assert world.left() == before


def test_with_nothing_to_remove_nothing_is_asked(world: World) -> None:
    world.person.answers = [False]
    assert world.prune(keep=4).objects == ()


def test_templates_that_belong_to_no_release_go_when_they_are_old(world: World) -> None:
    world.s3.put_object(Bucket=BUCKET, Key="templates/0123456789ab/lost.yaml", Body=b"x")
    assert "templates/0123456789ab/lost.yaml" in world.prune(keep=4).objects
    assert "templates/0123456789ab/lost.yaml" not in world.left()


def test_no_lock_is_ever_removed_however_old_it_is_and_whosever(world: World) -> None:
    others = {f"locks/{name}.json" for name in ("plot-palette-production", "gone")}
    for key in others:
        world.s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
    assert world.prune(keep=1).removed
    assert others <= world.left()


def test_what_was_uploaded_within_the_hour_stays_and_what_is_older_goes(world: World) -> None:
    key = "templates/0123456789ab/lost.yaml"
    world.s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    changed = world.s3.head_object(Bucket=BUCKET, Key=key)["LastModified"]

    def goes(age: timedelta) -> bool:
        access = world.person.access(world.aws, Clock(now=lambda: changed + age))
        world.person.answers = [Declined("only looking")]
        try:
            plan = pruning.prune(job(region=REGION), access, keep=4)
        except Declined:
            return True
        return key in plan.objects

    assert not goes(pruning.UNDER_WAY)
    assert goes(pruning.UNDER_WAY + timedelta(seconds=1))


def test_what_lies_beside_templates_code_and_releases_is_nobody_s_to_prune(world: World) -> None:
    keys = {"deployments/plot-palette-staging/1.json", "notes.txt", "releases/notes.txt"}
    for key in keys:
        world.s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
    world.prune(keep=1)
    assert keys <= world.left()


def test_a_removed_release_s_template_stays_while_another_release_shares_it(world: World) -> None:
    first = world.published[0]
    child, master = first.files
    text = master.content.decode() + "\n# a comment"
    twin = releases.build(
        {
            "master-stack.yaml": templates.parse("master-stack.yaml", text),
            "child.yaml": templates.parse("child.yaml", child.content.decode()),
        }
    )
    nothing: frozenset[str] = frozenset()
    now = START + timedelta(days=9)
    releases.publish(bucket(world.s3), twin, published=nothing, commit="", now=now, by="me")
    plan = world.prune(keep=1)
    assert first.name in plan.removed
    assert child.key not in plan.objects
    assert child.key in world.left()


def test_a_manifest_goes_first_then_the_masters_then_their_children(world: World) -> None:
    plan = world.prune(keep=3)
    (gone,) = [one for one in world.published if one.name in plan.removed]
    child, master = gone.files
    assert plan.objects == (gone.manifest_key, master.key, child.key)


def test_objects_are_deleted_in_that_order_and_only_from_the_account_s_own_bucket(
    world: World,
) -> None:
    calls = intercept(world.s3)
    plan = world.prune(keep=1)
    assert {call.arguments["ExpectedBucketOwner"] for call in calls} == {ACCOUNT}
    [delete] = [call.arguments for call in calls if call.operation == "DeleteObjects"]
    assert [entry["Key"] for entry in delete["Delete"]["Objects"]] == list(plan.objects)


def test_no_more_objects_go_with_a_call_than_aws_takes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # "Request contains a list of up to 1000 keys"
    assert pruning._DELETED_AT_ONCE == 1000
    monkeypatch.setattr(pruning, "_DELETED_AT_ONCE", 2)
    calls = intercept(world.s3)
    plan = world.prune(keep=2)
    batches = [c.arguments["Delete"]["Objects"] for c in calls if c.operation == "DeleteObjects"]
    assert [len(batch) for batch in batches] == [2] * (len(plan.objects) // 2)
    assert len(batches) > 1
    assert tuple(entry["Key"] for batch in batches for entry in batch) == plan.objects


def test_another_refusal_of_a_deletion_is_raised(world: World) -> None:
    def deny(operation: str, _arguments: Any) -> None:
        if operation == "DeleteObjects":
            raise refusal("AccessDenied", "not you")

    intercept(world.s3, deny)
    with pytest.raises(ClientError, match="not you"):
        world.prune(keep=3)


def test_the_question_says_how_many_objects_go_and_from_where(world: World) -> None:
    plan = world.prune(keep=3)
    where = f"{BUCKET} in {REGION}"
    assert world.person.asked == [(f"Remove {len(plan.objects)} objects from {where}?", "y")]
    world.prune(keep=3)
    assert world.person.notes == [f"Nothing to remove from {where}."]


def test_a_stack_of_the_job_s_name_is_live_even_without_this_tool_s_tags(world: World) -> None:
    first, *_ = world.published
    world.running = {"plot-palette-staging": first}
    answer = world.answer

    def untagged(operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        answered = answer(operation, arguments)
        return (
            {"Stacks": [{**s, "Tags": []} for s in answered["Stacks"]]}
            if (operation == "DescribeStacks")
            else answered
        )

    intercept(world.aws.client("cloudformation"), untagged)
    assert first.name not in world.prune(keep=1).removed


def test_a_nested_stack_is_no_stack_of_its_own(world: World) -> None:
    tags = [{"Key": "ManagedBy", "Value": "plot-palette-deploy"}]
    world.stacks = [stack_entry("child", "CREATE_COMPLETE", Tags=tags, ParentId="arn:parent")]
    # Nobody reads its template, which is its root's.
    assert len(world.prune(keep=1).removed) == 3


def test_the_releases_of_the_last_two_operations_stay_for_a_rollback_under_way(
    world: World,
) -> None:
    first, second, third, fourth = world.published
    world.running = {"plot-palette-staging": fourth}
    for minute, one in enumerate((first, second, third)):
        record(world, f"2026-01-02T00:0{minute}:00.000Z", one, "UPDATE_ROLLBACK_COMPLETE")
    plan = world.prune(keep=1)
    assert plan.removed == (first.name,)
    kept = {one.release: one.because for one in plan.kept}
    lately = "used lately by plot-palette-staging"
    assert kept == {
        second.name: lately,
        third.name: lately,
        fourth.name: "deployed as plot-palette-staging",
    }


def remember_a_switch(world: World, content: bytes) -> None:
    key = history.switch_key("plot-palette-staging")
    world.s3.put_object(Bucket=BUCKET, Key=key, Body=content)


def test_the_release_that_an_unfinished_switch_goes_on_from_stays(world: World) -> None:
    first, second, *_, last = world.published
    world.running = {"plot-palette-staging": last}
    remember_a_switch(world, json.dumps({"release": first.name}).encode())
    plan = world.prune(keep=1)
    assert first.name not in plan.removed
    assert second.name in plan.removed
    because = {one.release: one.because for one in plan.kept}[first.name]
    assert because == "needed to finish a switch of plot-palette-staging"


@pytest.mark.parametrize("content", [b"?", b"[]", b"{}", b"null"])
def test_nothing_is_removed_beside_a_switch_that_cannot_be_read(
    world: World, content: bytes
) -> None:
    world.running = {"plot-palette-staging": world.published[-1]}
    remember_a_switch(world, content)
    before = world.left()
    with pytest.raises(NotOurs, match=r"plot-palette-staging/switch\.json in .* is not a record"):
        world.prune(keep=1)
    assert world.left() == before


def test_an_object_that_s3_keeps_is_an_error_that_names_it(world: World) -> None:
    failed = [{"Key": "templates/x", "Code": "AccessDenied", "Message": "not you"}]
    intercept(
        world.s3,
        lambda operation, _: {"Errors": failed} if operation == "DeleteObjects" else None,
    )
    with pytest.raises(OperationFailed, match="templates/x: not you"):
        world.prune(keep=3)


def test_a_bucket_that_has_gone_meanwhile_needs_no_pruning(world: World) -> None:
    def gone(operation: str, _arguments: Any) -> None:
        if operation == "DeleteObjects":
            raise refusal("NoSuchBucket")

    intercept(world.s3, gone)
    assert world.prune(keep=3).removed


# What GetTemplate does to characters beyond ASCII


def mangled(one: Release) -> Release:
    """Return a release whose master comes back from CloudFormation as other bytes."""
    *children, master = one.files
    text = stacks.mangle(master.content.decode())
    return replace(one, files=(*children, replace(master, content=text.encode())))


def publish(world: World, comment: str) -> Release:
    """Publish a release with a comment in its master, older than all others."""
    text = f"# {comment}\nResources: {{Topic: {{Type: 'AWS::SNS::Topic'}}}}"
    made = releases.build({"master-stack.yaml": templates.parse("master-stack.yaml", text)})
    nothing: frozenset[str] = frozenset()
    old = START - timedelta(days=9)
    releases.publish(bucket(world.s3), made, published=nothing, commit="", now=old, by="me")
    return made


def test_a_live_release_with_a_dash_in_its_master_is_not_removed(world: World) -> None:
    dashed, curly = publish(world, "one \u2013 two"), publish(world, "one \u201c two")
    plain = publish(world, "one two")
    world.running = {"plot-palette-staging": mangled(dashed)}
    plan = world.prune(keep=1)
    # Both would come back as this text; which of them runs nobody can tell.
    assert {dashed.name, curly.name}.isdisjoint(plan.removed)
    assert plain.name in plan.removed
    assert keys_of(dashed) <= world.left()


def test_a_question_mark_that_the_author_wrote_is_no_riddle(world: World) -> None:
    asking, dashed = publish(world, "one ? two"), publish(world, "one \u2013 two")
    world.running = {"plot-palette-staging": asking}
    plan = world.prune(keep=1)
    assert asking.name not in plan.removed
    assert dashed.name in plan.removed


def test_what_the_history_says_was_deployed_last_stays_whatever_the_template_is_taken_for(
    world: World,
) -> None:
    first, second, third, _fourth = world.published
    by_hand = replace(first.files[-1], content=b"Resources: {}  # by hand")
    world.running = {"plot-palette-staging": replace(first, files=(by_hand,))}
    record(world, "2026-01-01T00:00:00.000Z", first, "UPDATE_COMPLETE")
    for minute in (1, 2):
        stamp = f"2026-01-02T00:0{minute}:00.000Z"
        record(world, stamp, second, "UPDATE_ROLLBACK_COMPLETE")
    plan = world.prune(keep=1)
    assert first.name not in plan.removed
    assert third.name in plan.removed


def record(world: World, time: str, one: Release, status: str) -> None:
    name = "plot-palette-staging"
    made = Record(one.name, time, "update", status, "me", name, "id", {})
    history.write(bucket(world.s3), made)


def test_a_stack_without_a_template_needs_no_release_by_it(world: World) -> None:
    world.running = {"plot-palette-staging": replace(world.published[0], files=())}
    assert world.published[0].name in world.prune(keep=1).removed


def key_of(name: str) -> str:
    return f"code/{name}/application.zip"


def test_code_stays_for_stacks_that_run_it_or_would_return_to_it(world: World) -> None:
    *_, older, newest = world.published
    world.running = {"plot-palette-staging": newest}
    world.code = {"plot-palette-staging": key_of("live")}
    for age, (run, name) in enumerate(
        [
            (older, "first"),
            (older, "newest-of-older"),
            (newest, "replaced"),
            (newest, "second-to-last"),
            (newest, "live"),
        ]
    ):
        world.record("plot-palette-staging", run, key_of(name), age)
    names = ("first", "newest-of-older", "replaced", "second-to-last", "live", "nobody-s")
    for name in names:
        world.s3.put_object(Bucket=BUCKET, Key=key_of(name), Body=b"x")
    gone = set(world.prune(keep=2).objects)
    assert {name for name in names if key_of(name) in gone} == {"first", "replaced", "nobody-s"}


def test_code_that_was_just_uploaded_may_be_about_to_be_deployed(world: World) -> None:
    world.s3.put_object(Bucket=BUCKET, Key=key_of("fresh"), Body=b"x")
    plan = pruning.prune(job(region=REGION), world.person.access(world.aws), keep=4)
    assert plan.objects == ()


def test_code_of_a_stack_that_was_created_without_a_record_stays(world: World) -> None:
    world.running = {"plot-palette-staging": world.published[0]}
    world.code = {"plot-palette-staging": key_of("live")}
    world.s3.put_object(Bucket=BUCKET, Key=key_of("live"), Body=b"x")
    world.prune(keep=1)
    assert key_of("live") in world.left()
