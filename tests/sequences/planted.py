"""Plant a defect in the product, to see whether the machine finds it.

Each is a change of one function or constant, of the kind that a hasty edit makes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Plant = Callable[[pytest.MonkeyPatch], None]


def a_guard_left_out(patch: pytest.MonkeyPatch) -> None:
    """Data that would be lost is never asked about."""
    from lib.data import consent

    patch.setattr(consent, "require_consent", lambda *_given, **_named: None)


def a_missing_verify(patch: pytest.MonkeyPatch) -> None:
    """What lies in the bucket is not looked at again before it is deployed."""
    from lib.deploy import publishing

    patch.setattr(publishing, "require_intact", lambda *_given: None)


def a_prune_off_by_one(patch: pytest.MonkeyPatch) -> None:
    """One release fewer is kept than was asked for."""
    from lib.releases import pruning

    plan = pruning._plan
    patch.setattr(pruning, "_plan", lambda *given: plan(*given[:-1], given[-1] - 1))


def a_lost_answer_taken_for_a_no(patch: pytest.MonkeyPatch) -> None:
    """A change set whose answer was lost is taken for somebody else's, or for none."""
    from lib.stacks import changesets

    patch.setattr(changesets, "find_own", lambda *_given, **_named: None)


def a_backup_not_proven(patch: pytest.MonkeyPatch) -> None:
    """A table goes although its backup never became available."""
    from lib.data import proving

    patch.setattr(proving, "require_complete", lambda _run: None)


def a_digest_not_compared(patch: pytest.MonkeyPatch) -> None:
    """A plan is applied whichever was approved."""
    from lib.deploy import plans

    read = plans.read
    patch.setattr(plans, "read", lambda path, **_named: read(path))


def a_change_set_not_discarded(patch: pytest.MonkeyPatch) -> None:
    """A change set that is not executed stays."""
    from lib.stacks import changesets

    patch.setattr(changesets, "discard", lambda *_given: None)


def an_exit_code_swapped(patch: pytest.MonkeyPatch) -> None:
    """A refusal ends like a failure."""
    from lib import errors

    patch.setattr(errors.Refused, "exit_code", 1)


def a_secret_printed(patch: pytest.MonkeyPatch) -> None:
    """The history keeps the values of NoEcho parameters."""
    from lib.inputs import parameters

    patch.setattr(parameters, "without_secrets", lambda values, _declared: dict(values))


def consent_taken_from_yes(patch: pytest.MonkeyPatch) -> None:
    """`--yes` agrees to a loss of data, too."""
    from lib.terminal.console import Console

    confirm = Console.confirm

    def agree(console: Console, question: str, word: str) -> bool:
        return True if console.yes else confirm(console, question, word)

    patch.setattr(Console, "confirm", agree)


def a_lock_passed_by(patch: pytest.MonkeyPatch) -> None:
    """A run changes a stack whose lock somebody else holds."""
    from lib.releases import locks

    take = locks.take

    def take_all(*given: Any) -> Any:
        etag, other = take(*given)
        found = locks.read(given[0], given[1].stack, given[3]) if other and not etag else None
        return (found.etag, None) if found else (etag, other)

    patch.setattr(locks, "take", take_all)


PLANTED: dict[str, Plant] = {
    plant.__name__.replace("_", " "): plant
    for plant in (
        a_guard_left_out,
        a_missing_verify,
        a_prune_off_by_one,
        a_lost_answer_taken_for_a_no,
        a_backup_not_proven,
        a_digest_not_compared,
        a_change_set_not_discarded,
        an_exit_code_swapped,
        a_secret_printed,
        consent_taken_from_yes,
        a_lock_passed_by,
    )
}


def describe(plant: Plant) -> Any:
    """Return what a defect does, in a sentence."""
    return plant.__doc__
