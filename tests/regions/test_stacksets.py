"""StackSets needs two roles, and says which are missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lib.errors import Refused
from lib.regions import stacksets
from tests.support import aws_fakes
from tests.support.aws_fakes import refusal
from tests.support.rehearsal import Person


def test_missing_roles_are_named_with_the_page_that_says_how_to_make_them() -> None:
    iam = aws_fakes.client("iam")

    def answer(_operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        code = "NoSuchEntity" if "Execution" in arguments["RoleName"] else "AccessDenied"
        raise refusal(code, "hidden", "GetRole")

    aws_fakes.intercept(iam, answer)
    person = Person()
    with pytest.raises(Refused, match="AWSCloudFormationStackSetExecutionRole") as caught:
        stacksets.require_roles(iam, person.operator())
    assert "stacksets-prereqs-self-managed" in caught.value.next_step
    assert any("could not be looked up" in text for text in person.seen)
