"""Bundle what a workflow reaches the outside by: AWS in one region, the person, the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lib.machine import Machine
from lib.operators import Level, Note, Operator
from lib.polling import Clock

if TYPE_CHECKING:
    from lib.session import Aws


def claim_nothing() -> bool:
    """Take no lock: what reads, or previews, needs none."""
    return False


@dataclass(frozen=True)
class Access:
    """One region's AWS, the operator and a clock, which tells the operator of long waits.

    `claim` is called before a stack is changed: it takes, or keeps, the lock that
    `lib.releases.turns.take_turn` has put there, and tells whether it was somebody else's until
    then, so that whatever was read before is to be read again.
    """

    aws: Aws
    operator: Operator
    clock: Clock = field(default_factory=Clock)
    machine: Machine = field(default_factory=Machine)
    claim: Callable[[], bool] = claim_nothing

    def __post_init__(self) -> None:
        """Have the clock tell the operator what is waited for."""
        told = replace(self.clock, explain=lambda text: self.say(text, Level.WARNING))
        object.__setattr__(self, "clock", told)

    def say(self, text: str, level: Level = Level.INFO) -> None:
        """Report one sentence."""
        self.operator.report(Note(text, level))
