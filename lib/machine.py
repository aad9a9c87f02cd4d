"""Tell which process of which machine this is, and whether another one of it has ended."""

from __future__ import annotations

import hashlib
import os
import platform
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lib import outside

#: How many hex digits name a machine. They tell two apart and give no name away.
_DIGITS = 16

#: What on Linux tells one boot, and one container, from others of the same host name.
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_CONTAINER = Path("/proc/self/ns/pid")


def _name_machine() -> str:
    """Return a digest of what tells this machine, and on Linux this container, from others."""
    try:
        parts = [_BOOT.read_text(), str(_CONTAINER.readlink())]
    except OSError:
        parts = [f"{uuid.getnode():x}"]
    said = "|".join([platform.node(), *parts])
    return hashlib.sha256(said.encode()).hexdigest()[:_DIGITS]


def _is_gone(process: str) -> bool:
    """Tell whether no process of this machine has a number; False where that cannot be told.

    Signal 0 only asks: on Windows any signal would end the process.
    """
    if os.name != "posix" or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


@dataclass(frozen=True)
class Machine:
    """The machine that a workflow runs on: its name as a digest, this process, and others.

    `is_gone(process)` is true of a process that was started here and has ended.
    """

    name: Callable[[], str] = lambda: outside.ask("machine", {}, _name_machine)
    process: Callable[[], str] = lambda: outside.ask("process", {}, lambda: str(os.getpid()))
    is_gone: Callable[[str], bool] = lambda process: outside.ask(
        "process ended", {"process": process}, lambda: _is_gone(process)
    )
