"""Every error of ours has one exit code and a message that says what to do next."""

from __future__ import annotations

import inspect
import re

import pytest

from lib import errors
from lib.errors import DeploymentError, InputError

#: The contract's exit codes, by the branch of the tree that carries each.
BRANCHES: dict[type[DeploymentError], int] = {
    errors.OperationFailed: 1,
    errors.InputError: 2,
    errors.Refused: 3,
    errors.AwsUnavailable: 4,
    errors.Interrupted: 130,
}
CLASSES = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, DeploymentError)
]


def test_every_class_is_drawn_in_the_tree() -> None:
    drawn = re.findall(r"[─ ]{2,}(\w+)|^    (DeploymentError)$", errors.__doc__ or "", re.MULTILINE)
    assert {c.__name__ for c in CLASSES} <= {name for pair in drawn for name in pair}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_has_the_exit_code_of_its_branch(cls: type[DeploymentError]) -> None:
    if cls is not DeploymentError:
        (code,) = [code for branch, code in BRANCHES.items() if issubclass(cls, branch)]
        assert cls("what").exit_code == code


def test_the_next_step_stands_on_a_line_of_its_own() -> None:
    assert str(DeploymentError("It failed.", next_step="inv status")) == (
        "It failed.\nNext: inv status"
    )
    assert str(DeploymentError("It failed.")) == "It failed."


def test_an_input_error_lists_every_problem() -> None:
    error = InputError("It cannot be used:", problems=["one", "two"])
    assert error.message == "It cannot be used:\n  - one\n  - two"
    assert error.problems == ("one", "two")


def test_details_are_a_copy_that_the_caller_cannot_change_later() -> None:
    details: dict[str, object] = {"a": 1}
    error = DeploymentError("It failed.", details=details)
    details["a"] = 2
    assert error.details == {"a": 1}
