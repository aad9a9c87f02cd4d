"""Answer for CloudFormation by what is asked, where Stubber's one fixed order is too strict."""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.validate import ParamValidator

#: One session for all tests: it keeps the service models it has read.
SESSION = botocore.session.get_session()

Json = dict[str, Any]


class Aws:
    """A CloudFormation client whose answers are looked up by what is asked, from any thread.

    Answers are checked against botocore's model, as Stubber does. A list is used up one by
    one, its last entry again and again.
    """

    def __init__(self) -> None:
        self.client = SESSION.create_client(
            "cloudformation",
            region_name="us-west-2",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        self.asked: list[tuple[str, Json]] = []
        self.answers: dict[tuple[str, str], list[Json]] = {}
        events = self.client.meta.events
        events.register("before-parameter-build.cloudformation", self._note)
        events.register("before-call.cloudformation", self._answer)

    def reply(self, operation: str, about: str, *answers: Json) -> None:
        model = self.client.meta.service_model.operation_model(operation)
        for answer in answers:
            if model.output_shape is not None and "Error" not in answer:
                report = ParamValidator().validate(answer, model.output_shape)
                assert not report.has_errors(), report.generate_report()
        self.answers[operation, about] = list(answers)

    def calls(self, operation: str) -> list[Json]:
        return [params for name, params in self.asked if name == operation]

    def _note(self, params: Json, model: Any, context: Json, **_: Any) -> None:
        self.asked.append((model.name, dict(params)))
        about = params.get("ChangeSetName") or params.get("StackName", "")
        context["about"] = f"{about}{params.get('NextToken', '')}"

    def _answer(self, model: Any, context: Json, **_: Any) -> Any:
        waiting = self.answers.get((model.name, context["about"]))
        assert waiting, f"nothing prepared for {model.name} of {context['about']}"
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        status = 400 if "Error" in answer else 200
        metadata = {"ResponseMetadata": {"HTTPStatusCode": status}}
        return AWSResponse("https://test", status, {}, None), {**answer, **metadata}


def error(code: str, message: str = "no") -> Json:
    return {"Error": {"Code": code, "Message": message}}
