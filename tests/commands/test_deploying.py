"""What is said of an earlier stack's data reaches a rollout, and what cannot be done is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from commands import deploying
from lib.errors import InputError
from lib.inputs.jobs import Options
from lib.regions.plan import Plan


def test_where_nothing_is_said_of_what_is_retained_a_rollout_asks_and_a_preview_shows_it() -> None:
    plain = Plan(Options())
    silent = deploying._heed_leftovers(plain, "direct", None)
    assert silent.require_decided is deploying._require_adoption
    for engine, answer in (("direct", "all"), ("direct", "none"), ("stacksets", "none")):
        told = deploying._heed_leftovers(plain, engine, answer)
        assert told.require_decided is plain.require_decided
        assert told.create is not plain.create
    previewed = deploying._heed_leftovers(
        replace(plain, options=Options(preview=True)), "direct", None
    )
    assert previewed.require_decided is plain.require_decided


def test_stack_sets_take_nothing_over() -> None:
    with pytest.raises(InputError, match="imports nothing") as refused:
        deploying._heed_leftovers(Plan(Options()), "stacksets", "all")
    assert refused.value.next_step == "leave out --engine, or say --adopt none"
