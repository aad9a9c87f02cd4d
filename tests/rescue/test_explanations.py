"""An explanation begins with the answer, and ends with what helps."""

from __future__ import annotations

import pytest

from lib.causes.evidence import Evidence
from lib.rescue import explanations
from lib.rescue.explanations import Explanation


def explanation(**given: object) -> Explanation:
    said = {
        "stack": "app",
        "region": "eu-west-1",
        "status": "UPDATE_ROLLBACK_COMPLETE",
        "path": "ComputeStack/Worker",
        "type": "AWS::ECS::Service",
        "reason": "ECS Deployment Circuit Breaker was triggered",
        "means": "the service's tasks stopped again and again, and ECS gave up",
        "evidence": (
            Evidence("ECS task 0a1b", "Essential container in task exited\nworker: exit code 1"),
            Evidence("log /plot/worker", "KeyError: 'REGION'"),
        ),
        "next_step": "mend what stops the task, then inv deploy --env staging --region eu-west-1",
    }
    return Explanation(**{**said, **given})  # type: ignore[arg-type]  # as said


def test_the_answer_comes_first_and_what_helps_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = explanations.draw_explanation(explanation()).splitlines()
    assert lines[0].startswith("Stack app in eu-west-1 (UPDATE_ROLLBACK_COMPLETE): ComputeStack/")
    assert lines[0].endswith("Worker failed.")
    assert "  worker: exit code 1" in lines
    assert "log /plot/worker: KeyError: 'REGION'" in lines
    assert lines[-1].startswith("Next: mend what stops the task")
    assert all(len(line) <= 80 for line in lines)


def test_where_nothing_failed_it_says_so() -> None:
    told = explanations.draw_explanation(
        explanation(reason="", path="", means="", evidence=(), next_step="")
    )
    assert "nothing failed in its last operation" in " ".join(told.split())
    assert "Next" not in told
