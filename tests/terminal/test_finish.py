"""At the edge, work becomes text, one JSON document and an exit code; a bug stays a bug."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from lib.errors import DeploymentError, InputError, Interrupted, Refused
from lib.operators import Answer
from lib.terminal import finish as edge
from tests.support import factories


def finish(work: Callable[[], Answer], *, as_json: bool = False) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of a piece of work."""
    console, out, err = factories.console()
    code = edge.finish(
        console,
        work,
        as_json=as_json,
        place=lambda: ("eu-west-1", "plot-palette-staging"),
        describe_error=lambda error: {"action": "failed", "reason": error.message},
    )
    return code, out.getvalue(), err.getvalue()


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def work() -> NoReturn:
        raise error

    return work


def test_people_read_text_and_programs_one_document() -> None:
    answer = Answer({"a": datetime(2026, 10, 1, tzinfo=UTC)}, "All is well.", 0)
    assert finish(lambda: answer) == (0, "All is well.\n", "")
    code, out, err = finish(lambda: answer, as_json=True)
    assert (code, err) == (0, "")
    assert json.loads(out) == {"a": "2026-10-01 00:00:00+00:00"}


def test_an_answer_without_text_prints_nothing() -> None:
    assert finish(lambda: Answer({}, exit_code=1)) == (1, "", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("Bad.", problems=["one"], next_step="mend it"), 2),
        (Refused("No.", next_step="ask"), 3),
        (Interrupted("Left.", next_step="inv events --follow"), 130),
        (DeploymentError("It failed."), 1),
    ],
)
def test_an_error_of_ours_is_a_message_and_an_exit_code(error: DeploymentError, code: int) -> None:
    got, out, err = finish(raising(error))
    assert (got, out) == (code, "")
    assert err.startswith(f"✗ {error.message}\n")
    assert (f"  Next: {error.next_step}\n" in err) is bool(error.next_step)


def test_an_error_is_one_document_too() -> None:
    error = InputError("Bad.", next_step="mend it", details={"extra": 1, "reason": "better"})
    code, out, err = finish(raising(error), as_json=True)
    assert code == 2
    assert json.loads(out) == {
        "action": "failed",
        "reason": "better",
        "extra": 1,
        "error": "Bad.",
        "next_step": "mend it",
        "exit_code": 2,
    }
    assert "Bad." in err


def test_an_interruption_says_where_and_what_to_do() -> None:
    code, out, err = finish(raising(KeyboardInterrupt()))
    assert (code, out) == (130, "")
    assert "plot-palette-staging in eu-west-1" in err
    assert err.splitlines()[-1].startswith("  Next: ")


@pytest.mark.parametrize(
    "error",
    [
        NoCredentialsError(),
        ClientError(
            {"Error": {"Code": "ExpiredToken", "Message": "Too late"}}, "GetCallerIdentity"
        ),
        ClientError({"Error": {"Code": "AccessDenied", "Message": "Not you"}}, "DescribeStacks"),
    ],
    ids=["none", "expired", "denied"],
)
def test_an_error_of_aws_is_explained_in_one_paragraph(error: Exception) -> None:
    code, out, err = finish(raising(error))
    assert (code, out) == (4, "")
    assert "Traceback" not in err


@pytest.mark.parametrize("bug", [KeyError("a"), AttributeError("b"), AssertionError("c")])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_bug_keeps_its_traceback(bug: Exception, as_json: bool) -> None:
    with pytest.raises(type(bug)) as caught:
        finish(raising(bug), as_json=as_json)
    assert caught.value is bug
