"""Replay a folder of recorded answers: `python -m tests.recorded FOLDER`.

`--renew FILE` writes into a recorded run how this checkout ends it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.recorded import replay, runs

if __name__ == "__main__":
    paths = [Path(argument) for argument in sys.argv[1:] if argument != "--renew"]
    if "--renew" in sys.argv:
        for path in paths:
            runs.renew(path)
    else:
        sys.exit(replay.main(paths))
