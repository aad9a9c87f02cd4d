"""Say what became of one recorded row, and why a disagreement is none of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One statement of AWS held against ours.

    `room` is what read it, `case` where it was recorded, `subject` what it is about.
    `dangerous` is a row where AWS says that data is replaced or removed and we say less.
    `outside` names what has a say in it that no template shows.
    """

    room: str
    case: str
    subject: str
    aws: str
    ours: str
    dangerous: bool = False
    outside: frozenset[str] = frozenset()

    @property
    def agrees(self) -> bool:
        """Tell whether both say the same."""
        return self.aws == self.ours


@dataclass(frozen=True)
class Explanation:
    """Why some disagreements are expected, told for all of them at once."""

    reason: str
    covers: Callable[[Row], bool]


def explain(row: Row, explanations: Sequence[Explanation]) -> str:
    """Return why a disagreement is expected, "" when nobody knows."""
    return next((one.reason for one in explanations if one.covers(row)), "")


def draw(rows: Sequence[Row], explanations: Sequence[Explanation]) -> str:
    """Return the summary, then every disagreement with its explanation."""
    differing = [row for row in rows if not row.agrees]
    lines = []
    for row in differing:
        why = explain(row, explanations) or "UNEXPLAINED"
        lines.append(f"{row.room}: {row.case}: {row.subject}")
        lines.append(f"    AWS:  {row.aws}")
        lines.append(f"    ours: {row.ours}{'  DANGEROUS' if row.dangerous else ''}")
        lines.append(f"    {why}")
    rooms: dict[str, list[bool]] = {}
    for row in rows:
        rooms.setdefault(row.room, []).append(row.agrees)
    lines += [f"{room}: {sum(found)} of {len(found)}" for room, found in sorted(rooms.items())]
    agreeing = len(rows) - len(differing)
    lines.append(f"agrees with AWS on {agreeing} of {len(rows)} recorded rows")
    unexplained = sum(not explain(row, explanations) for row in differing)
    if unexplained:
        lines.append(f"{unexplained} disagreements are unexplained")
    dangerous = sum(row.dangerous for row in differing)
    if dangerous:
        lines.append(f"{dangerous} times AWS replaced or removed what we called safe")
    return "\n".join(lines)


def is_acceptable(rows: Sequence[Row], explanations: Sequence[Explanation]) -> bool:
    """Tell whether there are rows, and each disagreement is explained and harmless."""
    return bool(rows) and all(
        row.agrees or (explain(row, explanations) and not row.dangerous) for row in rows
    )
