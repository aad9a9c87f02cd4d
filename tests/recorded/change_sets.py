"""Replay described change sets: through the reader, and both templates through the comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from lib.errors import TemplateError
from lib.polling import Clock
from lib.stacks import previews
from lib.templates import comparison, resolution, templates
from lib.templates.changes import Change
from lib.templates.unknowns import Unknown
from lib.values import walk
from tests.recorded.recordings import ChangeSetCase, Json, fit
from tests.recorded.verdicts import Row
from tests.support.aws_fakes import client, intercept

REGION = "us-east-1"
ACCOUNT = "111111111111"

#: Where a recording holds AWS's account, region and partition as words.
_PLACES = {"<region>": REGION, "<partition>": "aws"}

NONE = "no row"

#: What may have a say in a resource and stands in no template: the transform of AWS's SAM, a
#: value in the Parameter Store, a macro.
SAM = "AWS::Serverless-2016-10-31"
SSM = "ssm:"
MACRO = "Fn::Transform"


def judge(case: ChangeSetCase) -> Iterator[Row]:
    """Yield a row for each resource that AWS or we say something of."""
    for number in (1, 2):
        plain = case.answers.get(f"describe-change-set-{number}")
        valued = case.answers.get(f"describe-change-set-{number}-prop-values")
        if plain and valued:
            told = _by_resource(plain)
            yield from _judge_reading(case, number, plain, valued)
            if number == 2:
                yield from _judge_comparison(case, told)


def _by_resource(answer: Json) -> dict[str, Json]:
    """Return AWS's rows by logical ID; a replaced type is a Remove and an Add of one name."""
    rows = (row["ResourceChange"] for row in answer.get("Changes", []))
    return {f"{row['LogicalResourceId']} {row['Action']}": row for row in rows}


def _judge_reading(case: ChangeSetCase, number: int, plain: Json, valued: Json) -> Iterator[Row]:
    """Hold what the reader makes of both answers against the plain one, which is complete."""
    found = _read(plain, valued)
    if plain["Status"] == "FAILED":
        ours = "nothing to change" if found.is_empty else found.reason
        aws = plain["StatusReason"]
        aws = "nothing to change" if previews.says_no_changes(aws) else aws
        yield Row("change sets", f"{case.name} {number}", "failed", aws, ours)
    read = {f"{change.path} {change.action}": change for change in found.changes}
    for subject, row in _by_resource(plain).items():
        ours = read.get(subject)
        yield _row("change sets", f"{case.name} {number}", subject, row, ours)
    told = set(_by_resource(plain)) | set(_by_resource(valued))
    for subject in sorted(set(read) - told):
        yield Row("change sets", f"{case.name} {number}", subject, NONE, _say(read[subject]))


def _read(plain: Json, valued: Json) -> previews.ChangeSet:
    """Pass both descriptions through the reader, as AWS gives them."""

    def answer(operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "DescribeEvents":  # of early validation, which is recorded nowhere
            return {"OperationEvents": []}
        chosen = valued if arguments.get("IncludePropertyValues") else plain
        return fit("cloudformation", operation, _place(chosen))  # type: ignore[no-any-return]  # a mapping

    aws = client("cloudformation", REGION)
    intercept(aws, answer)
    name = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:changeSet/recorded/0"
    return previews.wait(aws, name, kind="UPDATE", clock=Clock())


def _place(value: Any) -> Any:
    """Put a region and a partition where a recording has words for them."""
    if isinstance(value, str):
        for word, meant in _PLACES.items():
            value = value.replace(word, meant)
        return value
    if isinstance(value, dict):
        return {key: _place(item) for key, item in value.items()}
    return [_place(item) for item in value] if isinstance(value, list) else value


def _judge_comparison(case: ChangeSetCase, told: Mapping[str, Json]) -> Iterator[Row]:
    """Hold our own comparison of the templates against AWS's rows."""
    try:
        before = _resolve(case.before, case.values_before)
        after = _resolve(case.after, case.values_after)
    except TemplateError as exc:
        yield Row("comparison", case.name, "templates", "described", f"unreadable: {exc}")
        return
    compared = {f"{c.path} {c.action}": c for c in comparison.compare(before, after, region=REGION)}
    for subject, row in told.items():
        outside = _find_outside(case.after, after, row["LogicalResourceId"])
        judged = _row("comparison", case.name, subject, row, compared.get(subject))
        yield replace(judged, outside=outside)
    for subject in sorted(set(compared) - set(told)):
        yield Row("comparison", case.name, subject, NONE, _say(compared[subject]))


def _find_outside(text: str, tree: resolution.Tree, logical_id: str) -> frozenset[str]:
    """Return what beside the templates decides what a resource is."""
    transform = templates.parse(templates.MASTER, _place(text)).body.get("Transform")
    written = {resource.path for resource in tree.resources}
    found = {SAM} if transform == SAM and logical_id not in written else set()
    for resource in tree.resources:
        if resource.path == logical_id:
            texts = [str(v) for v in walk(resource.properties) if isinstance(v, Unknown)]
            found |= {one for one in (SSM, MACRO) if any(f"${{{one}" in t for t in texts)}
    return frozenset(found)


def _resolve(body: str, values: Mapping[str, str]) -> resolution.Tree:
    folder = {templates.MASTER: templates.parse(templates.MASTER, _place(body))}
    return resolution.resolve(folder, values, region=REGION, account=ACCOUNT, stack_name="recorded")


def _row(room: str, case: str, subject: str, told: Json, ours: Change | None) -> Row:
    """Hold one of AWS's rows against ours of the same resource and action."""
    aws = f"{told['Action']} {_replacement(told)}".rstrip()
    gone = told["Action"] == "Remove" or told.get("Replacement") in ("True", "Conditional")
    said = _say(ours) if ours else NONE
    return Row(room, case, subject, aws, said, dangerous=gone and aws != said and _is_mild(ours))


def _replacement(told: Json) -> str:
    """Return AWS's word on replacement, which means something for a Modify only."""
    return str(told.get("Replacement", "False")) if told["Action"] == "Modify" else ""


def _say(change: Change) -> str:
    """Return what our change says, in the words that AWS's row is told in."""
    if change.action != "Modify" and change.replacement == "False":
        return change.action
    return f"{change.action} {change.replacement}"


def _is_mild(ours: Change | None) -> bool:
    """Tell whether we say that nothing is lost."""
    return ours is None or (ours.action == "Modify" and ours.replacement == "False")
