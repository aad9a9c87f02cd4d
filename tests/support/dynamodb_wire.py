"""A wire between a DynamoDB client and moto.

What the two halves of the data's life, backing up and restoring, are tested with.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError, ConnectionClosedError

REGION = "eu-west-1"
NOW = datetime(2026, 11, 22, 9, 30, 5, tzinfo=UTC)
STAMP = "20261122-093005"

#: One session: it reads DynamoDB's model once for all clients.
SESSION = boto3.Session("testing", "testing", region_name=REGION)


class Wire:
    """Stands between the client and moto: records every call and answers some by itself.

    Unlike a Stubber it may be used from several threads.
    """

    def __init__(self, client: Any) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._rules: list[Callable[[str, dict[str, Any]], Any]] = []
        self._lock = threading.Lock()
        client.meta.events.register("before-call.dynamodb", self._answer)

    def _answer(self, model: Any, params: dict[str, Any], **_: Any) -> Any:
        asked = json.loads(params["body"])
        with self._lock:
            self.calls.append((model.name, asked))
            for rule in self._rules:
                answer = rule(model.name, asked)
                if isinstance(answer, ClientError):
                    raise ClientError(answer.response, model.name)
                if isinstance(answer, BaseException):
                    raise answer
                if answer is not None:
                    return answer
        return None

    def count(self, operation: str) -> int:
        return sum(1 for name, _ in self.calls if name == operation)

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [asked for name, asked in self.calls if name == operation]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def rule(self, rule: Callable[[str, dict[str, Any]], Any]) -> None:
        self._rules.append(rule)

    def answer(self, operation: str, *answers: Any, table: str = "") -> None:
        """Give these answers to the next calls; None lets one through to moto."""
        waiting = list(answers)

        def rule(name: str, asked: dict[str, Any]) -> Any:
            if name == operation and waiting and table in ("", asked.get("TableName")):
                return waiting.pop(0)
            return None

        self.rule(rule)

    def always(self, operation: str, answer: Any, table: str = "") -> None:
        self.rule(
            lambda name, asked: (
                answer if name == operation and table in ("", asked.get("TableName")) else None
            )
        )


class Response:
    """What botocore looks at in an HTTP response."""

    def __init__(self, status: int) -> None:
        self.status_code = status
        self.headers: dict[str, str] = {}


def reply(**parsed: Any) -> Any:
    return Response(200), {**parsed, "ResponseMetadata": {"HTTPStatusCode": 200}}


def cut() -> ConnectionClosedError:
    return ConnectionClosedError(endpoint_url="https://dynamodb.eu-west-1.amazonaws.com")
