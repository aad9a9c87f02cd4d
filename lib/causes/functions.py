"""Find out why a Lambda function failed, also one behind a custom resource."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lib.causes import logs
from lib.causes.evidence import Case, Search

FUNCTION = "AWS::Lambda::Function"
CUSTOM = "AWS::CloudFormation::CustomResource"

#: Where cfn-response leaves the reason: "See the details in CloudWatch Log Stream:
#: 2021/08/17/[$LATEST]0a1b".
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-lambda-function-code-cfnresponsemodule.html
_STREAM = re.compile(r"CloudWatch Log Stream: (\d{4}/\d\d/\d\d/\S+)")


def is_custom(kind: str) -> bool:
    """Tell whether a resource is made by code of somebody's own."""
    return kind == CUSTOM or kind.startswith("Custom::")


def look(search: Search, case: Case) -> None:
    """Add what a function says of its state, and the last lines of its log."""
    name = _find_function(case)
    if not name:
        search.give_up("function", "CloudFormation does not say which one it is")
        return
    functions = search.access.aws.client("lambda")
    answer = search.ask(
        f"function {_short(name)}",
        lambda: functions.get_function_configuration(FunctionName=name),
    )
    config = answer or {}
    hide_environment(search, _short(name), config if answer else None)
    for key in ("StateReason", "LastUpdateStatusReason"):
        search.add(f"function {_short(name)}", str(config.get(key) or ""))
    stream = _STREAM.search(case.reason)
    if _short(name) not in search.told:
        search.give_up("log", "the function's environment is not known, and must not be shown")
        return
    group = config.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{_short(name)}"
    logs.read_tail(search, str(group), stream[1] if stream else "")


def hide_environment(search: Search, name: str, config: Mapping[str, Any] | None) -> None:
    """Mask the values of a function's environment, as its configuration or properties have it."""
    if config is None:
        return
    search.hide(((config.get("Environment") or {}).get("Variables") or {}).values())
    search.told.add(name)


def _find_function(case: Case) -> str:
    """Return a function's name or ARN, "" where it cannot be told.

    A custom resource names it as its ServiceToken, which may be an SNS topic as well.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-customresource.html
    """
    if case.type == FUNCTION:
        return case.physical_id
    try:
        token = json.loads(case.properties or "{}").get("ServiceToken", "")
    except ValueError:
        return ""
    return str(token) if ":lambda:" in str(token) else ""


def _short(name: str) -> str:
    """Return a function's name without the rest of its ARN, and without a version."""
    return name.rsplit(":function:", maxsplit=1)[-1].split(":", maxsplit=1)[0]
