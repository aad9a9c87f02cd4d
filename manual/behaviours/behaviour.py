"""Hold one behaviour of AWS: who handles it, and what vouches for it."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.sources import Witness


@dataclass(frozen=True)
class Behaviour:
    """One thing that AWS does, or wants, and that the product relies on.

    `handled` are the places that do: `wing/room.function` below lib, or a file of the repository
    with a name in it, `infrastructure/cloudformation/api-stack.yaml#HttpApi`. `text` is literal:
    AWS's words as they were recorded, documented or quoted, empty where there are none, and
    `where` is the page, the issue or the recording they stand in. `never_seen` says what of it
    nobody who is known has seen on AWS, and `either_way` that the product copes with either
    answer. `reason` says why it is left as it is, where nothing was built for it.
    """

    sentence: str
    handled: tuple[str, ...]
    witness: Witness
    text: str = ""
    where: str = ""
    never_seen: str = ""
    either_way: bool = False
    reason: str = ""
