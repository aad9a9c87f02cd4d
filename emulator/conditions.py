"""Let the Conditions of a template see what CloudFormation lets them see."""

from __future__ import annotations

import copy
from typing import Any

from ministack.services.cloudformation import changesets, engine, handlers, provisioners, stacks

Json = dict[str, Any]

# Upstream evaluates these; all that stands inside them is resolved here first.
LOGICAL = frozenset({"Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals"})


def _known(value: Any, template: Json, params: Json) -> Any:
    """Return an argument of a condition with its pseudo parameters and functions resolved."""
    if isinstance(value, list):
        return [_known(item, template, params) for item in value]
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((key, argument),) = value.items()
    if key in LOGICAL:
        return {key: _known(argument, template, params)}
    if key == "Condition" or (key == "Ref" and not str(argument).startswith("AWS::")):
        return value
    try:
        # Without a stack's name: a condition is evaluated where upstream does not hand it on.
        return engine._resolve_refs(
            copy.deepcopy(value), {}, params, {}, template.get("Mappings", {}), "", ""
        )
    except (ValueError, KeyError, TypeError, IndexError):
        return value


def install() -> None:
    """Put the resolution before upstream's evaluation, wherever it is called from."""
    upstream = engine._evaluate_conditions

    def evaluate(template: Json, params: Json) -> dict[str, bool]:
        declared = template.get("Conditions") or {}
        known = {name: _known(value, template, params) for name, value in declared.items()}
        evaluated: dict[str, bool] = upstream({**template, "Conditions": known}, params)
        return evaluated

    for module in (engine, changesets, handlers, provisioners, stacks):
        if hasattr(module, "_evaluate_conditions"):
            module._evaluate_conditions = evaluate
