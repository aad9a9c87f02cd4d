"""Make and try the mutants of one room, inside a copy of the repository.

    python -m tests.mutants.inside ROOM SAMPLE SEED RESULT [MUTANT...]

A SAMPLE of 0 is all of them, and MUTANTS are tried instead of a sample. Writes what became of
each to RESULT. A process of its own for each room, because mutmut imports what it changes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mutmut.__main__ import _run
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.runners.harness import PytestRunner
from mutmut.state import state
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import get_mutant_name

from tests.mutants import operators
from tests.mutants.rooms import draw_sample


def try_shortest_first() -> None:
    """Have mutmut run a mutant's shortest tests first: the first that fails ends the trial."""
    arguments = PytestRunner._pytest_args_regular_run

    def sort(runner: PytestRunner, tests: Iterable[str]) -> list[str]:
        seconds = state().duration_by_test
        return arguments(runner, sorted(tests, key=lambda test: seconds.get(test, 0.0)))

    PytestRunner._pytest_args_regular_run = sort


def main(room: str, size: int, seed: int, result: Path, only: Sequence[str]) -> None:
    """Try the mutants of one room, and keep what became of them."""
    operators.install()
    try_shortest_first()
    made = mutate_file_contents(room, Path(room).read_text()).mutant_names
    names = [get_mutant_name(Path(room), name) for name in made]
    chosen = list(only) or draw_sample(names, size, seed)
    _run(chosen, 1)
    data = SourceFileMutationData(path=room)
    data.load()
    codes = data.exit_code_by_key
    tried = {
        name: (status_by_exit_code[codes[name]], get_diff_for_mutant(name, path=room))
        for name in chosen
    }
    result.write_text(json.dumps({"made": len(names), "tried": tried}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5:])
