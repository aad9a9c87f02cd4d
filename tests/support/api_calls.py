"""Find every AWS operation that the code can call, by reading the code.

Reading finds what no test run reaches: the call after a refusal, the one for production only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import botocore.session
from botocore import xform_name

_SESSION = botocore.session.get_session()

ROOT = Path(__file__).resolve().parents[2]

#: The name that clients of a service have in the code, where it is not botocore's own.
CLIENT_NAMES = {
    "cfn": "cloudformation",
    "cognito": "cognito-idp",
    "quotas": "service-quotas",
    "lambda_": "lambda",
    "functions": "lambda",
}

SERVICES = (
    "account",
    "amplify",
    "bedrock",
    "budgets",
    "ce",
    "cloudformation",
    "cloudtrail",
    "cognito-idp",
    "dynamodb",
    "ec2",
    "ecr",
    "ecs",
    "iam",
    "lambda",
    "logs",
    "pricing",
    "s3",
    "service-quotas",
    "sts",
)

#: Variables called so hold a client of this service, in this file.
CLIENTS_BY_ANOTHER_NAME = {("restores.py", "client"): "dynamodb"}


@cache
def methods(service: str) -> dict[str, str]:
    """Return a service's operations by the name of the client's method."""
    model = _SESSION.get_service_model(service)
    return {xform_name(operation): operation for operation in model.operation_names}


#: Not for a pipeline's role: who rolls out by StackSets administers the organisation's, with
#: rights over the two roles that StackSets itself works with.
LEFT_OUT = {"stacksets.py"}


def sources() -> list[Path]:
    """List the code that runs against AWS; the emulator stands in for it."""
    found = [path for wing in ("lib", "commands") for path in sorted((ROOT / wing).rglob("*.py"))]
    return [path for path in found if path.name not in LEFT_OUT]


def find_calls() -> set[tuple[str, str]]:
    """Return every (service, operation) that the code names."""
    return {call for path in sources() for call in _calls_of(path)}


def find_unknown_clients() -> set[tuple[str, str]]:
    """Return (file, name) for what is called like a client and is none that is known.

    A name is a variable that gets a paginator, or a service that nothing here knows.
    """
    found = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner, method = node.func.value, node.func.attr
            if method == "get_paginator" and _service_of(owner, path.name) is None:
                found.add((path.name, ast.unparse(owner)))
            if method == "client" and node.args and isinstance(node.args[0], ast.Constant):
                service = str(node.args[0].value)
                found |= {(path.name, service)} - {(path.name, known) for known in SERVICES}
    return found


def _calls_of(path: Path) -> Iterator[tuple[str, str]]:
    tree = ast.parse(path.read_text())
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            service = _service_of(node.value, path.name)
            if service and node.attr in methods(service):
                yield service, methods(service)[node.attr]
        if isinstance(node, ast.Call):
            yield from _calls_by_text(node, path.name, texts)


def _calls_by_text(node: ast.Call, file: str, texts: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the operations of a paginator, or of a method looked up by its name."""
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr == "get_paginator":
        service = _service_of(function.value, file)
        [name] = [a.value for a in node.args if isinstance(a, ast.Constant)]
        if service:
            yield service, methods(service)[str(name)]
    if isinstance(function, ast.Name) and function.id == "getattr":
        service = _service_of(node.args[0], file)
        if service:
            yield from ((service, methods(service)[t]) for t in texts if t in methods(service))


def _service_of(node: ast.expr, file: str) -> str | None:
    """Return the service whose client an expression is: `s3`, `….s3` or `….client("s3")`."""
    if isinstance(node, ast.Name | ast.Attribute):
        called = node.id if isinstance(node, ast.Name) else node.attr
        name = CLIENT_NAMES.get(called, called)
        known = name if name in SERVICES else None
        return CLIENTS_BY_ANOTHER_NAME.get((file, called), known)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "client"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    ):
        return str(node.args[0].value)
    return None
