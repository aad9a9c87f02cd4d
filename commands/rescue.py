"""Help on a bad night."""

from __future__ import annotations

from pathlib import Path

from commands.operation import operation, replay_run
from commands.target import Target
from lib.operators import Answer


@operation(
    help={"file": "The recording, as --record wrote it."},
    common=(),
)
def replay(target: Target, file: str) -> Answer:
    """Rescue: run a recorded run again, offline.

    inv rescue.replay incident.jsonl
    """
    return Answer(None, exit_code=replay_run(target.console, Path(file)))
