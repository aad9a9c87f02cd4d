"""Bring a stack back under control: what a bad night needs, and nobody every day."""

from __future__ import annotations

from commands.operation import operation
from commands.target import Target
from lib.document import as_document
from lib.operators import Answer


@operation(
    describe_error=lambda target, error: {
        "stack": target.place[1],
        "path": "",
        "reason": error.message,
        "evidence": [],
        "next_step": error.next_step,
    }
)
def explain(target: Target) -> Answer:
    """Look: find the cause behind the last failure.

    inv rescue.explain --env staging
    inv rescue.explain --env production --json
    """
    from lib.rescue import explanations

    found = explanations.explain(target.job, target.access)
    return Answer(as_document(found), explanations.draw_explanation(found))
