"""Write answers as JSON and read them back as they were: times, bytes, streams and errors too.

Times are written as placebo writes them, whose recordings `nox -s recorded` reads as well.
https://github.com/garnaat/placebo
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import botocore.exceptions
from botocore.exceptions import BotoCoreError, ClientError
from botocore.response import StreamingBody

from lib import errors
from lib.errors import DeploymentError

CLASS = "__class__"

_TIME = ("year", "month", "day", "hour", "minute", "second", "microsecond")


def encode(value: Any) -> Any:
    """Return a value as JSON has it. A stream is read to its end."""
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, datetime):
        told = value.astimezone(UTC)
        return {CLASS: "datetime", **{part: getattr(told, part) for part in _TIME}}
    if isinstance(value, bytes | bytearray):
        return {CLASS: "bytes", **_encode_bytes(bytes(value))}
    if hasattr(value, "read"):
        return {CLASS: "stream", **_encode_bytes(value.read())}
    return value


def _encode_bytes(content: bytes) -> dict[str, str]:
    """Return bytes as text where they are text, which can be read and scrubbed."""
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def encode_request(value: Any) -> Any:
    """Return what is asked as JSON has it, of what is no text the digest only."""
    return without_binary(encode(value))


def without_binary(value: Any) -> Any:
    """Return a value of JSON with the digest of what is no text in its place.

    It cannot be searched for what must not be written down.
    """
    if isinstance(value, list):
        return [without_binary(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if value.get(CLASS) in ("bytes", "stream") and "base64" in value:
        digest = hashlib.sha256(base64.b64decode(value["base64"])).digest()
        return {**value, "base64": base64.b64encode(digest).decode()}
    return {key: without_binary(item) for key, item in value.items()}


def decode(value: Any) -> Any:
    """Return what `encode` was given."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get(CLASS) == "datetime":
        return datetime(**{part: value[part] for part in _TIME}, tzinfo=UTC)
    if value.get(CLASS) in ("bytes", "stream"):
        text = value.get("text")
        content = base64.b64decode(value["base64"]) if text is None else text.encode()
        is_stream = value[CLASS] == "stream"
        return StreamingBody(io.BytesIO(content), len(content)) if is_stream else content
    return {key: decode(item) for key, item in value.items()}


def describe_error(error: BaseException) -> dict[str, Any]:
    """Return an error as JSON has it."""
    name = type(error).__name__
    if isinstance(error, KeyboardInterrupt):
        return {"kind": "interrupt"}
    if isinstance(error, ClientError):
        response = encode(error.response)
        return {"kind": "aws", "response": response, "operation": error.operation_name}
    if isinstance(error, BotoCoreError):
        told = {key: str(item) for key, item in error.kwargs.items()}
        return {"kind": "botocore", "name": name, "text": str(error), "arguments": told}
    if isinstance(error, DeploymentError):
        told = {"message": error.message, "next_step": error.next_step}
        return {"kind": "ours", "name": name, **told, "details": encode(error.details)}
    return {"kind": "other", "name": name, "text": str(error)}


def make_error(told: Mapping[str, Any]) -> BaseException:
    """Return the error that `describe_error` was given.

    One that is neither AWS's, nor botocore's, nor ours comes as an `OSError`: it is what is
    caught of those that a network raises.
    """
    kind, name = told["kind"], told.get("name", "")
    if kind == "interrupt":
        return KeyboardInterrupt()
    if kind == "aws":
        return ClientError(decode(told["response"]), told["operation"])
    if kind == "botocore":
        made: BaseException = getattr(botocore.exceptions, name)(**told["arguments"])
        made.args = (told["text"],)
        return made
    if kind == "ours":
        chosen: type[DeploymentError] = getattr(errors, name)
        return chosen(told["message"], next_step=told["next_step"], details=told["details"])
    return OSError(told["text"])
