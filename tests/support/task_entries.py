"""The tasks as the manual sees them, read once: Invoke gives a flag's help away only once."""

from __future__ import annotations

import tasks
from commands.docs import describe_tasks

ENTRIES = describe_tasks(tasks.ns)
