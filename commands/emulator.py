"""Run the embedded emulator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from commands.operation import operation
from commands.target import Target, local_state, start_emulator
from lib.document import as_document
from lib.operators import Answer

if TYPE_CHECKING:
    from emulator.control import Emulator


def emulator_answer(emulator: Emulator) -> Answer:
    """Tell whether the emulator runs, and where."""
    text = f"running at {emulator.endpoint}" if emulator.running else "not running"
    return Answer(as_document(emulator), f"Emulator {text} (state in {emulator.state})")


@operation(common=("json",))
def start(target: Target) -> Answer:
    """Emulator: start it in the background, or reuse it.

    inv local.start
    inv local.start --json
    """
    return emulator_answer(start_emulator(target.console))


@operation(common=("json",))
def stop(_target: Target) -> Answer:
    """Emulator: stop it; its state is kept on disk.

    inv local.stop
    inv local.stop --json
    """
    from emulator import control

    control.stop(local_state())
    return emulator_answer(control.status(local_state()))


@operation(common=("json",))
def reset(_target: Target) -> Answer:
    """Emulator: empty it; every stack and table goes.

    inv local.reset
    inv local.reset --json
    """
    from emulator import control

    control.reset(local_state())
    return emulator_answer(control.status(local_state()))


@operation(common=("json",))
def local_status(_target: Target) -> Answer:
    """Emulator: show whether it runs, and where.

    inv local.status
    inv local.status --json
    """
    from emulator import control

    answer = emulator_answer(control.status(local_state()))
    limits = "\n".join(f"  - {limit}" for limit in control.LIMITS)
    return replace(answer, text=f"{answer.text}\nWhat it does not do:\n{limits}")
