"""Turn what a task's work comes to into text, one JSON document and an exit code.

The only place where our errors become exit codes. A bug is not caught here and keeps its
traceback.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from lib.errors import DeploymentError, Interrupted
from lib.operators import Answer, Level, Note
from lib.terminal.console import Console


def finish(
    console: Console,
    work: Callable[[], Answer],
    *,
    as_json: bool,
    place: Callable[[], tuple[str, str]],
    describe_error: Callable[[DeploymentError], Mapping[str, Any]],
) -> int:
    """Do a task's work, write its answer and return its exit code.

    `place` gives region and stack as far as they are known, `describe_error` the JSON
    document of a task that an error of ours ended.
    """
    try:
        answer = work()
    except DeploymentError as exc:
        return _fail(console, exc, as_json, describe_error)
    except KeyboardInterrupt:
        region, stack = place()
        interrupted = Interrupted(
            f"Interrupted before any operation was left running on stack {stack} in {region}.",
            next_step="run the same command again; it goes on where it stopped",
        )
        return _fail(console, interrupted, as_json, describe_error)
    except Exception as exc:
        # Not at the top: refusals imports botocore, which a task that needs no AWS can spare.
        from lib.refusals import explain

        explained = explain(exc, *place())
        if explained is None:
            raise
        return _fail(console, explained, as_json, describe_error)
    if as_json:
        console.result(json.dumps(answer.document, indent=2, default=str))
    elif answer.text:
        console.result(answer.text)
    return answer.exit_code


def _fail(
    console: Console,
    error: DeploymentError,
    as_json: bool,
    describe_error: Callable[[DeploymentError], Mapping[str, Any]],
) -> int:
    console.report(Note(error.message, Level.ERROR))
    if error.next_step:
        console.line(f"  Next: {error.next_step}")
    if as_json:
        document = {
            **describe_error(error),
            **error.details,
            "error": error.message,
            "next_step": error.next_step,
            "exit_code": error.exit_code,
        }
        console.result(json.dumps(document, indent=2, default=str))
    return error.exit_code
