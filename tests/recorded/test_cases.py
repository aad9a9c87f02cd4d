"""What AWS was seen to answer, written down small, is read as AWS means it."""

from __future__ import annotations

import pytest

from tests.recorded import replay, singles, verdicts
from tests.recorded.explanations import EXPLANATIONS
from tests.recorded.verdicts import Row

ROWS = list(replay.judge(replay.CASES))
INCIDENTS = list(replay.judge(replay.INCIDENTS))


def name_case(row: Row) -> str:
    """Return the name of a row's case, without the file and the change set it is from."""
    return row.case.rpartition(":")[2].removesuffix(" 2")


@pytest.mark.parametrize("case", sorted({name_case(row) for row in [*ROWS, *INCIDENTS]}))
def test_we_read_it_as_aws_means_it(case: str) -> None:
    rows = [row for row in [*ROWS, *INCIDENTS] if name_case(row) == case]
    assert verdicts.is_acceptable(rows, EXPLANATIONS), verdicts.draw(rows, EXPLANATIONS)


def test_every_case_has_its_source() -> None:
    told = (replay.CASES / "README.md").read_text()
    missing = [name for name in {name_case(row) for row in ROWS} if name not in told]
    assert not missing


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_what_s3_says_of_a_conditional_write_is_read_as_it_means_it(code: str) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    content = {"put": {"Error": {"Code": code, "Message": "AWS's words"}}}
    rows = list(singles.judge_writes("written small", content))
    assert len(rows) == 1
    assert verdicts.is_acceptable(rows, EXPLANATIONS), verdicts.draw(rows, EXPLANATIONS)
