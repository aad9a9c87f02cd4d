"""Write the page about what each operation does in each state of a stack."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lib.stacks import statuses
from lib.stacks.statuses import Move, Operation, Status
from manual.parts import NOTICE, draw_table

_INTRODUCTION = (
    "A stack is in one of CloudFormation's 23 states, or absent. Before sending anything, "
    "a task looks its row up; a refusal (exit 3) gives the reason and the next command. "
    "The table is `TABLE` in [lib/stacks/statuses.py](../../lib/stacks/statuses.py), "
    "by which tasks "
    "decide; `inv status` shows which state a stack is in."
)
_HOW_TO_READ = (
    "Each cell says in **bold** how the task proceeds, then why, and in a refusal the next "
    "command. `inv deploy` is the column *deploy*, `inv update` and "
    "`inv rollback --to RELEASE` are *update*, `inv rollback` is "
    "*rollback* and `inv deploy --delete` is *delete*."
)


def draw_states() -> str:
    """Return the page about what each operation does in each state of a stack."""
    rows = [
        (f"`{status}`", *(_draw_cell(statuses.decide(o, status)) for o in Operation))
        for status in Status
    ]
    ends = [
        (f"`{status}`", statuses.describe_ending(status), _draw_next(statuses.next_after(status)))
        for status in Status
        if statuses.describe_ending(status)
    ]
    moves = [(move.value, _MOVES[move]) for move in Move if move in _MOVES]
    parts = [
        "# What happens in which state",
        NOTICE,
        _INTRODUCTION,
        "## How to read it",
        _HOW_TO_READ,
        draw_table(("Cell", "What is sent to AWS"), moves),
        "## The table",
        draw_table(("State", *(str(operation) for operation in Operation)), rows),
        "## After a failure",
        (
            "What CloudFormation has done by itself when an operation ends badly, and the command "
            "that the task prints."
        ),
        draw_table(("Ended as", "What CloudFormation did", "Next"), ends),
        (
            "CloudFormation's own description of the states: [stack status codes]"
            "(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/"
            "view-stack-events.html)."
        ),
    ]
    return "\n\n".join(parts) + "\n"


_MOVES: Mapping[Move, str] = {
    Move.CREATE: "`CreateChangeSet` of type CREATE, then `ExecuteChangeSet`",
    Move.CREATE_BY_CHANGE_SET: "`CreateChangeSet` of type CREATE, then `ExecuteChangeSet`",
    Move.UPDATE: "`CreateChangeSet`, the preview, your consent, then `ExecuteChangeSet`",
    Move.REPLACE: "after asking: `DeleteStack`, then as above",
    Move.DELETE: "after asking: `DeleteStack`",
    Move.ROLL_BACK: "after asking: `RollbackStack`",
    Move.CONTINUE_ROLLBACK: "after asking: `ContinueUpdateRollback`",
    Move.CANCEL_UPDATE: "after asking: `CancelUpdateStack`",
    Move.WAIT: "nothing: the task follows what runs, then looks the new state up",
    Move.NOTHING: "nothing, and exit 0",
    Move.REFUSE: "nothing, and exit 3",
}


def _draw_cell(decision: statuses.Decision) -> str:
    """Return one cell of the table."""
    why = f": {decision.why}" if decision.why else ""
    step = f" → {_draw_next(decision.next_step)}" if decision.next_step else ""
    return f"**{decision.move.value}**{why}{step}"


def _draw_next(text: str) -> str:
    """Return a next step with its commands set as code."""
    text = text.replace(" {target}", "")
    return re.sub(r"inv [a-z-]+(?: --[a-z-]+(?: [A-Z]+)?)*", lambda m: f"`{m[0]}`", text)
