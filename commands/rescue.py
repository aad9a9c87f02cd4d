"""Help on a bad night."""

from __future__ import annotations

import sys
from pathlib import Path

from commands.operation import operation, rerun
from commands.target import Target
from lib.operators import Answer


@operation(
    help={"file": "The recording, as --record wrote it."},
    common=(),
)
def replay(target: Target, file: str) -> Answer:
    """Rescue: run a recorded run again, offline.

    inv rescue.replay incident.jsonl
    inv rescue.replay tests/recorded/runs/incident.jsonl
    """
    from commands import taping
    from lib.recordings import recordings

    recording = recordings.read(Path(file))
    ended = rerun(recording, sys.stdout, sys.stderr)
    return Answer(None, exit_code=taping.judge(target.console, recording, ended))
