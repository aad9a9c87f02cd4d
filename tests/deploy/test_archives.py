"""A function's archive that a parameter file names is looked for before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lib.deploy import archives, deployments
from lib.errors import StateForbids
from lib.inputs.artifacts import Artifacts
from lib.inputs.jobs import Options
from lib.stacks.statuses import Status
from tests.deploy.world import World
from tests.support import factories
from tests.support.aws_fakes import refusal

VALUES = {"LambdaCodeBucket": "theirs", "LambdaCodeKey": "api.zip"}


MASTER = """
Parameters: {LambdaCodeBucket: {Type: String}, LambdaCodeKey: {Type: String}}
Resources: {First: {Type: 'AWS::SSM::Parameter', Properties: {Type: String, Value: x}}}
"""


class Shelf(World):
    """A bucket that answers each look with an error, or with the archive."""

    def __init__(self, error: str = "") -> None:
        super().__init__()
        self.error = error
        self.looks: list[tuple[str, Mapping[str, Any]]] = []
        folder = {"master-stack.yaml": factories.template(MASTER)}
        self.job = replace(self.job, templates=folder, values=VALUES)

    def keep(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        self.looks.append((operation, arguments))
        if self.error:
            raise refusal(self.error, "Not Found")
        return {}

    def require(self, **live: str) -> None:
        stack = factories.stack(Status.UPDATE_COMPLETE, parameters=live) if live else None
        archives.require(self.job, self.access, stack)


def test_an_archive_that_is_there_is_looked_at_once_and_passes() -> None:
    shelf = Shelf()
    shelf.require()
    assert shelf.looks == [("HeadObject", {"Bucket": "theirs", "Key": "api.zip"})]
    assert shelf.told == []


@pytest.mark.parametrize(
    ("error", "words", "help_"),
    [
        ("404", "There is no s3://theirs/api.zip", "aws s3 cp ARCHIVE s3://theirs/api.zip"),
        ("NoSuchBucket", "There is no s3://theirs/api.zip", "aws s3 cp ARCHIVE"),
    ],
)
def test_an_archive_that_lambda_would_not_find_is_refused(
    error: str, words: str, help_: str
) -> None:
    shelf = Shelf(error)
    with pytest.raises(StateForbids, match=words) as caught:
        shelf.require(LambdaCodeBucket="theirs", LambdaCodeKey="older.zip")
    assert caught.value.next_step.startswith(help_)


def test_an_archive_that_may_not_be_seen_is_told_and_does_not_stop_anything() -> None:
    shelf = Shelf("403")
    shelf.require()
    [note] = shelf.notes
    assert note.startswith("s3://theirs/api.zip may not be looked at")


def test_what_else_the_bucket_answers_is_not_taken_for_a_missing_archive() -> None:
    with pytest.raises(ClientError):
        Shelf("503").require()


def test_what_the_stack_runs_already_or_a_flag_replaces_is_not_looked_at() -> None:
    shelf = Shelf("404")
    shelf.require(**VALUES)
    for given in (Artifacts(code=Path("app.zip")), Artifacts(dropped=frozenset({"code"}))):
        archives.require(replace(shelf.job, artifacts=given), shelf.access, None)
    assert shelf.looks == []


def test_nothing_is_published_when_the_archive_is_missing() -> None:
    shelf = Shelf("404")
    with pytest.raises(StateForbids, match="There is no"):
        deployments.deploy(shelf.job, shelf.access, Options())
    assert [operation for operation, _ in shelf.looks] == ["HeadObject"]
    assert shelf.changes == []
