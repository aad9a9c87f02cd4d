"""Run one command and print what it cost as JSON.

    python -I -S measure.py LOG TIMEOUT COMMAND...

A process of its own: Linux counts what the parent held when it forked towards the peak
memory of the child, so the parent has to be small.
"""

import json
import os
import signal
import sys
import time


def main() -> None:
    """Run, wait, print."""
    log, limit, *command = sys.argv[1:]
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    began = time.time()
    pid = os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setpgroup=0,
    )
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(pid, signal.SIGKILL))
    signal.alarm(int(limit))
    _, status, usage = os.wait4(pid, 0)
    signal.alarm(0)
    ended = time.time()
    print(  # noqa: T201 (the answer)
        json.dumps(
            {
                "began": began,
                "ended": ended,
                "wall": ended - began,
                "cpu": usage.ru_utime + usage.ru_stime,
                "memory": usage.ru_maxrss / 1024,
                "code": os.waitstatus_to_exitcode(status),
            }
        )
    )


if __name__ == "__main__":
    main()
