"""Serve the emulator with a memory: its state can be kept under a name and brought back.

    python -m tests.faults.world --port 4700

A sweep starts every run from the same state. Bringing a state back takes milliseconds,
deploying it again would take a second. `POST /_faults/save/NAME` keeps, `/_faults/load/NAME`
brings back.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emulator import HOST, server

PREFIX = "/_faults/"

#: Kept states: the content of each of the emulator's stores by module and attribute.
States = dict[str, dict[tuple[str, str], Any]]


def stores() -> Iterator[tuple[tuple[str, str], Any]]:
    """Yield everything in which the emulator's services keep what belongs to an account."""
    from ministack.core.responses import AccountRegionScopedDict, AccountScopedDict

    for name, module in list(sys.modules.items()):
        if name.startswith("ministack.services."):
            for attribute, value in vars(module).items():
                if isinstance(value, AccountRegionScopedDict | AccountScopedDict):
                    yield (name, attribute), value


def remember(app: server.Application, states: States) -> server.Application:
    """Wrap the emulator so that it keeps states and brings them back."""

    async def answer(scope: server.Message, receive: server.Receive, send: server.Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await app(scope, receive, send)
            return
        action, name = scope["path"].removeprefix(PREFIX).split("/")
        if action == "save":
            states[name] = {place: copy.deepcopy(store._data) for place, store in stores()}
        else:
            for place, store in stores():
                store._data.clear()
                store._data.update(copy.deepcopy(states[name].get(place, {})))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return answer


async def serve(port: int) -> None:
    """Serve until SIGTERM."""
    from hypercorn.asyncio import serve as listen
    from hypercorn.config import Config
    from ministack import app

    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    config = Config()
    config.bind = [f"{HOST}:{port}"]
    config.loglevel = "CRITICAL"
    config.graceful_timeout = 0.1
    states: States = {}
    application: Any = remember(app.app, states)
    await listen(application, config, shutdown_trigger=stopping.wait)


def main() -> None:
    """Read the command line and serve, amended as `emulator` is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    state: Path | None = None
    server.prepare_environment(port, state)
    from emulator import amendments

    amendments.apply(endpoint=server.endpoint(port), delay=0.0)
    asyncio.run(serve(port))


if __name__ == "__main__":
    main()
