"""Name the rooms where a wrong line loses data or money, and the tests that judge each."""

from __future__ import annotations

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
