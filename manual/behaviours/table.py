"""Gather every behaviour, by subject, in the order in which the page tells them."""

from __future__ import annotations

from collections.abc import Mapping

from manual.behaviours import (
    account,
    change_sets,
    data,
    imports,
    refactors,
    stacks,
    templates,
)
from manual.behaviours.behaviour import Behaviour

BEHAVIOURS: Mapping[str, tuple[Behaviour, ...]] = {
    subject.SUBJECT: subject.BEHAVIOURS
    for subject in (change_sets, stacks, refactors, data, imports, account, templates)
}
