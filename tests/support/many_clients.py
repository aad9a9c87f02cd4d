"""An account whose services answer by operation, for looks that ask several of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lib.session import Identity
from tests.support import aws_fakes

USER = f"arn:aws:iam::{aws_fakes.ACCOUNT}:user/alice"

#: An answer, an error to raise, or what makes either of the arguments of a call.
Said = Mapping[str, Any] | Exception | Callable[[dict[str, Any]], Mapping[str, Any]]


class Account:
    """One region's clients, all of which answer as a test says; stands in for `lib.session.Aws`."""

    partition = "aws"
    url_suffix = "amazonaws.com"
    endpoint_url = None

    def __init__(self, region: str, *, arn: str = USER, **answers: Said) -> None:
        self.region, self.arn, self.answers = region, arn, answers
        self.calls: list[aws_fakes.Call] = []
        self._clients: dict[str, Any] = {}

    def identity(self) -> Identity:
        return Identity(aws_fakes.ACCOUNT, self.arn)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            made = aws_fakes.client(service, self.region)
            aws_fakes.intercept(made, self._answer)
            self._clients[service] = made
        return self._clients[service]

    def asked(self, operation: str) -> list[Mapping[str, Any]]:
        """Return the arguments of each call of an operation."""
        return [call.arguments for call in self.calls if call.operation == operation]

    def _answer(self, operation: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        self.calls.append(aws_fakes.Call(operation, arguments))
        assert operation in self.answers, f"nothing prepared for {operation} {arguments}"
        said = self.answers[operation]
        if isinstance(said, Exception):
            raise said
        return said(arguments) if callable(said) else said
