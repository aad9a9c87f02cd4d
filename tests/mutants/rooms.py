"""Name the rooms where a wrong line loses data or money, their tests, and what to try of each."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

#: By wing; what is not here changes nothing that cannot be had again.
ROOMS = tuple(
    f"lib/{wing}/{room}.py"
    for wing, rooms in {
        "data": (
            *("loss", "consent", "pruning", "catalogue", "proving", "backups", "restores"),
            *("new_tables", "sources", "settings"),
        ),
        "releases": ("releases", "pruning", "history", "store"),
        "deploy": ("rollbacks", "proposals", "review", "applying", "deletions"),
        "stacks": ("changesets", "previews", "rows"),
        "costs": ("pricing", "metering", "charges", "estimates"),
        "regions": ("rollout", "turns", "desk", "work", "crews"),
    }.items()
    for room in rooms
)
#: Rooms without a file of tests of their own, because they are one half of another.
ELSEWHERE = {
    "lib/costs/charges.py": ("tests/costs/test_metering.py", "tests/costs/test_pricing.py"),
    "lib/stacks/rows.py": ("tests/stacks/test_previews.py",),
}


def judges_of(room: str) -> tuple[str, ...]:
    """Return the tests that judge a room: the file that mirrors it, but for a few."""
    wing, _, name = room.removeprefix("lib/").rpartition("/")
    return ELSEWHERE.get(room, (f"tests/{wing}/test_{name}",))


def draw_sample(names: Sequence[str], size: int, seed: int) -> list[str]:
    """Return `size` of the names, one from each of as many equal stretches; 0 is all."""
    if not size or size >= len(names):
        return list(names)
    dice = random.Random(seed)
    ends = [len(names) * part // size for part in range(size + 1)]
    return [names[dice.randrange(*pair)] for pair in itertools.pairwise(ends)]
