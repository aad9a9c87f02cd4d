"""A region that cannot be looked at does not hide the others."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from lib.regions import survey
from lib.regions.plan import Site
from lib.session import Identity
from tests.support import aws_fakes, factories
from tests.support.aws_fakes import refusal
from tests.support.rehearsal import Person


class Sky:
    """What `lib.session.Aws` offers of a region whose stacks are answered with one refusal.

    There is no bucket in it, so that nobody holds a lock.
    """

    def __init__(self, answer: ClientError) -> None:
        self._answer = answer

    def identity(self) -> Identity:
        return Identity(aws_fakes.ACCOUNT, "arn")

    def client(self, service: str) -> Any:
        def refuse(_operation: str, _given: dict[str, Any]) -> Any:
            if service == "s3":
                raise refusal(
                    "NoSuchBucket", "The specified bucket does not exist", "GetObject", 404
                )
            raise self._answer

        made = aws_fakes.client(service)
        aws_fakes.intercept(made, refuse)
        return made


def test_a_region_that_denies_is_told_beside_one_without_a_stack() -> None:
    absent = refusal("ValidationError", "Stack with id x does not exist", "DescribeStacks")
    denied = refusal("AccessDenied", "Not you", "DescribeStacks")
    sites = [
        Site(factories.job(region=region), Sky(answer))  # type: ignore[arg-type]  # what is used of it
        for region, answer in (("us-east-1", absent), ("us-west-2", denied))
    ]
    told = survey.answer(survey.survey(sites, Person().operator(), detect=False))
    assert told.exit_code == 4
    assert told.document["failed"] == ["us-west-2"]
    first, second = told.document["regions"]
    assert first["status"] == "ABSENT"
    assert list(second) == ["region", "status", "error"]
    assert "AWS denies DescribeStacks to this identity: Not you" in second["error"]
    assert "AWS denies DescribeStacks" in told.text
