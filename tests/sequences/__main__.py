"""Play sequences of tasks, in a process of their own.

    python -m tests.sequences                            a short run, the same each time
    python -m tests.sequences --minutes 60               a long one, another each time
    python -m tests.sequences --replay FILE.json --show  what was kept of a finding
    python -m tests.sequences --planted                  whether planted defects are found
    python -m tests.sequences --troubled                 the same with more that goes wrong

A finding is shrunk to a script of tasks, printed, and with `--keep FILE.json` written so that it
can be replayed; a file in tests/sequences/regressions is replayed by the unit tests.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Read the command line and play."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--sequences", type=int, default=25)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", type=Path, nargs="+")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--planted", nargs="*", metavar="NAME")
    parser.add_argument("--troubled", action="store_true", help="only what goes wrong half way")
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        from tests.sequences import play

        return play.run(Path(folder), given)


if __name__ == "__main__":
    sys.exit(main())
