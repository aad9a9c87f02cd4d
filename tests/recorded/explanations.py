"""Why some recorded answers differ from ours, in one table.

An explanation covers what cannot be otherwise, and no row that is merely known to differ: it
asks for the reason in the recorded templates themselves.
"""

from __future__ import annotations

from tests.recorded.change_sets import MACRO, NONE, SAM, SSM
from tests.recorded.verdicts import Explanation, Row


def _is_blind(row: Row, action: str, outside: str) -> bool:
    """Tell whether the comparison says nothing of what something outside decides."""
    told = (row.room, row.aws, row.ours)
    return told == ("comparison", action, NONE) and outside in row.outside


EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        "SAM turns one resource into several; no template has them, and we never use it",
        lambda row: _is_blind(row, "Add", SAM),
    ),
    Explanation(
        "the value stands in the Parameter Store and changed there; AWS's change set shows it",
        lambda row: _is_blind(row, "Modify False", SSM),
    ),
    Explanation(
        "a macro makes the value, another one each time; AWS's change set shows it",
        lambda row: _is_blind(row, "Modify False", MACRO),
    ),
)
