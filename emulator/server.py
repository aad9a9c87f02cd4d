"""Serve the emulator on loopback until SIGTERM or SIGINT, then write its state to disk.

    python -m emulator.server --port 4600 --state .local --delay 0.5

`--plain` leaves the amendments out; the canary tests use it to learn what upstream has mended.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from emulator import HOST, IDENTITY_PATH

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def endpoint(port: int) -> str:
    """Return the URL under which the emulator on `port` is reached from this machine."""
    return f"http://{HOST}:{port}"


def prepare_environment(port: int, state: Path | None) -> None:
    """Set what ministack reads from its environment when it is first imported.

    Every AWS setting of the shell goes: Lambda functions inherit this environment, and a
    function of the emulated stack must never reach a real account. A Docker socket that does
    not exist keeps the emulator from starting containers on machines that have Docker.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        AWS_ENDPOINT_URL=endpoint(port),
        AWS_EC2_METADATA_DISABLED="true",
        DOCKER_HOST=f"unix://{os.devnull}/no-docker",
        GATEWAY_PORT=str(port),
        IOT_MTLS_ENABLED="0",
        LAMBDA_EXECUTOR="local",
        LOG_LEVEL=os.environ.get("LOG_LEVEL", "WARNING"),
        MINISTACK_HOST="localhost",
        PERSIST_STATE="1" if state else "0",
        S3_PERSIST="1" if state else "0",
        SFTP_ENABLED="0",
    )
    if state:
        os.environ.update(
            STATE_DIR=str(state / "services"),
            S3_DATA_DIR=str(state / "objects"),
        )


def identified(app: Application, token: str) -> Application:
    """Wrap `app` so that it says whose it is, by `token` and process id, at IDENTITY_PATH."""
    body = json.dumps({"token": token, "pid": os.getpid()}).encode()

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != IDENTITY_PATH:
            await app(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


async def _serve(port: int, token: str) -> None:
    """Serve until a signal asks to stop; hypercorn's shutdown makes ministack save its state."""
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack import app

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    config = Config()
    config.bind = [f"{HOST}:{port}"]
    config.loglevel = "WARNING"
    config.graceful_timeout = 1.0
    await serve(
        identified(app.app, token),  # type: ignore[arg-type]  # ASGI by duck
        config,
        shutdown_trigger=stopping.wait,
    )
    # The state is on disk. A stack that waits in a thread would hold the process for minutes.
    os._exit(0)


def run(
    port: int, state: Path | None, *, delay: float = 0.0, token: str = "", plain: bool = False
) -> None:
    """Serve the emulator until a signal asks to stop, then end this process.

    `state` is the folder that keeps everything between runs, None keeps nothing. `delay` is
    in seconds per resource that a stack creates, changes or deletes. `plain` leaves the
    amendments out.
    """
    prepare_environment(port, state)
    if not plain:
        from emulator import amendments

        amendments.apply(endpoint=endpoint(port), delay=delay)
    asyncio.run(_serve(port, token))


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--token", default="")
    parser.add_argument("--plain", action="store_true")
    given = parser.parse_args()
    run(given.port, given.state, delay=given.delay, token=given.token, plain=given.plain)


if __name__ == "__main__":
    main()
