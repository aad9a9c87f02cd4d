"""What the foreign emulator cannot do, in its own words, and our templates without it.

Nothing is rewritten until the emulator agrees: a nested stack that it refuses is taken out,
and what other stacks would have read from it is given as a fixed value. `play` puts each one
back and sees it refused in the same words, so that the list shrinks as the emulator grows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LeftOut:
    """A nested stack that the foreign emulator refuses.

    `answer` is a part of its literal refusal, `outputs` what is given in the place of the
    stack's outputs where other stacks read them.
    """

    stack: str
    template: str
    answer: str
    outputs: Mapping[str, str]


LEFT_OUT = (
    LeftOut(
        "NetworkStack",
        "network-stack.yaml",
        # It has no Fn::Cidr, which gives this Fn::Select its list.
        "Template error: Fn::Select requires a list argument with two elements: "
        "an integer index and a list",
        {
            "PublicSubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
            "PrivateSubnetIds": "",
            "ECSSecurityGroupId": "sg-0123456789abcdef0",
        },
    ),
    LeftOut(
        "AuthStack",
        "auth-stack.yaml",
        "The AWS::Cognito::UserPool resource is not currently emulated by LocalEmu.",
        {"UserPoolId": "us-east-1_Example00", "UserPoolClientId": "example"},
    ),
    LeftOut(
        "ComputeStack",
        "compute-stack.yaml",
        "The AWS::ECS::Cluster resource is not currently emulated by LocalEmu.",
        {
            "ClusterName": "example",
            "TaskDefinitionArn": "arn:aws:ecs:us-east-1:000000000000:task-definition/example:1",
            "TaskNetworkConfiguration": "{}",
        },
    ),
    LeftOut(
        "APIStack",
        "api-stack.yaml",
        "The AWS::ApiGatewayV2::Api resource is not currently emulated by LocalEmu.",
        {"ApiEndpoint": "https://api.example.com"},
    ),
    LeftOut(
        "FrontendStack",
        "frontend-stack.yaml",
        "The AWS::Amplify::App resource is not currently emulated by LocalEmu.",
        {},
    ),
    LeftOut(
        "BudgetStack",
        "budget-stack.yaml",
        "The AWS::Budgets::Budget resource is not currently emulated by LocalEmu.",
        {},
    ),
)

#: Findings of the linter that taking a stack out brings about: parameters and
#: conditions without a use.
_LEFT_WITHOUT_USE = "W2001, W8001"


def leave_out(folder: Path, left_out: Collection[LeftOut]) -> None:
    """Take nested stacks out of the templates in a folder, and what only they give."""
    path = folder / "master-stack.yaml"
    text = path.read_text()
    for one in left_out:
        text = _cut(text, re.escape(one.stack), f"{one.stack}:")
        text = _cut(text, r"\w+", f"Value: !GetAtt {one.stack}.")
        for name, value in one.outputs.items():
            text = text.replace(f"!GetAtt {one.stack}.Outputs.{name}", json.dumps(value))
        if re.search(rf"\b{one.stack}\b", text):
            raise ValueError(f"{path.name} still reads {one.stack}; give its outputs a value")
        (folder / one.template).unlink()
    text, found = re.subn(
        r"(\n      ignore_checks: \[)", rf"\1{_LEFT_WITHOUT_USE}, ", text, count=1
    )
    if not found:
        raise ValueError(f"{path.name} has no ignore_checks of its own")
    path.write_text(text)


def _cut(text: str, name: str, containing: str) -> str:
    """Take the blocks of a name at the second level out of a template that contain a text."""
    block = re.compile(rf"(?<=\n)  (?:{name}):\n(?:(?:    .*)?\n)*")
    return block.sub(lambda found: "" if containing in found[0] else found[0], text)


@dataclass(frozen=True)
class Lack:
    """Something smaller that the emulator does not do; `answer` is what it says instead."""

    name: str
    answer: str


#: What our tasks need beside the stacks, looked at in every run, too.
NO_RECOVERY = Lack("point-in-time recovery of tables", "has no point-in-time recovery")
NO_NESTED_UPDATE = Lack(
    "updates inside a nested stack",
    "the parent is UPDATE_COMPLETE, the nested stack is still CREATE_COMPLETE",
)
NO_FAILED_CREATION = Lack(
    "the failure of a creation by change set in which a nested stack fails",
    "the nested stack is CREATE_FAILED, the parent is CREATE_COMPLETE",
)
NO_FAILED_UPDATE = Lack(
    "the failure of an update in which a nested stack fails",
    "the nested stack is CREATE_FAILED, the parent is UPDATE_COMPLETE",
)
NO_ROLLBACK = Lack(
    "RollbackStack",
    "API for service 'cloudformation' has not yet been implemented in LocalEmu.",
)
