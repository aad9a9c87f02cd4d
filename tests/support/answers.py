"""Answer for CloudFormation by what is asked, where Stubber's one fixed order is too strict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.validate import validate_parameters

from tests.support.aws_fakes import client, intercept, refusal

Json = dict[str, Any]


class Aws:
    """A CloudFormation client whose answers are looked up by what is asked, from any thread.

    Answers are checked against botocore's model when they are prepared. A list is used up one
    by one, its last entry again and again.
    """

    def __init__(self) -> None:
        self.client = client("cloudformation", "us-west-2")
        self.answers: dict[tuple[str, str], list[Json]] = {}
        self._calls = intercept(self.client, self._answer)

    @property
    def asked(self) -> list[tuple[str, Json]]:
        return [(call.operation, dict(call.arguments)) for call in self._calls]

    def reply(self, operation: str, about: str, *answers: Json) -> None:
        model = self.client.meta.service_model.operation_model(operation)
        for answer in answers:
            if model.output_shape is not None and "Error" not in answer:
                validate_parameters(answer, model.output_shape)
        self.answers[operation, about] = list(answers)

    def calls(self, operation: str) -> list[Json]:
        return [arguments for name, arguments in self.asked if name == operation]

    def _answer(self, operation: str, arguments: Json) -> Mapping[str, Any]:
        named = arguments.get("ChangeSetName") or arguments.get("StackName", "")
        about = f"{named}{arguments.get('NextToken', '')}"
        waiting = self.answers.get((operation, about))
        assert waiting, f"nothing prepared for {operation} of {about}"
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if "Error" in answer:
            raise refusal(answer["Error"]["Code"], answer["Error"]["Message"], operation)
        return answer


def error(code: str, message: str = "no") -> Json:
    return {"Error": {"Code": code, "Message": message}}
