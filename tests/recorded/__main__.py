"""Replay a folder of recorded answers: `python -m tests.recorded FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.recorded import replay

if __name__ == "__main__":
    sys.exit(replay.main([Path(argument) for argument in sys.argv[1:]]))
