"""Ask the deployed API whether it is well."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING

from lib import outside, polling

if TYPE_CHECKING:
    from lib.polling import Clock

#: A new API answers 404 or 5xx for some seconds until its stage and permission have spread.
WARM_UP = 20.0

#: HTTP APIs give up on a function after 30 s and say so themselves.
#: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
ANSWER_TIMEOUT = 35.0

_BODY_BYTES_AT_MOST = 100_000

#: Gets a URL; returns the HTTP status and the body, or raises `OSError`.
Fetch = Callable[[str], tuple[int, bytes]]


@dataclass(frozen=True)
class Health:
    """Whether the endpoint answers 200, and what it says."""

    ok: bool
    detail: str


def ask(url: str, fetch: Fetch, clock: Clock) -> Health:
    """Ask the health endpoint until it answers 200 or has had time to warm up."""
    asked: list[Health] = []

    def look(_waited: float) -> Health | None:
        asked.append(_ask_once(url, fetch))
        return asked[-1] if asked[-1].ok else None

    polling.until(look, clock, longest=WARM_UP)
    return asked[-1]


def _ask_once(url: str, fetch: Fetch) -> Health:
    try:
        status, body = fetch(url)
    except (OSError, HTTPException) as error:
        return Health(False, f"{url} does not answer: {error}")
    return Health(status == 200, f"{url} answers {status}{_describe_tables(body)}")


def _describe_tables(body: bytes) -> str:
    """Return the tables' states from the endpoint's answer, "" when it has none."""
    try:
        tables = json.loads(body)["tables"]
        states = ", ".join(f"{name} {state}" for name, state in tables.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return f": {states}" if states else ""


def fetcher(*, direct: bool) -> Fetch:
    """Return what gets a URL over HTTP; `direct` goes past any proxy, as on this machine."""
    proxies = (urllib.request.ProxyHandler({}),) if direct else ()
    opener = urllib.request.build_opener(*proxies)

    def fetch(url: str) -> tuple[int, bytes]:
        status, body = outside.ask("get", {"url": url}, lambda: get(url))
        return status, body

    def get(url: str) -> tuple[int, bytes]:
        if not url.startswith(("https://", "http://")):
            raise OSError(f"{url!r} is no web address")
        try:
            with opener.open(url, timeout=ANSWER_TIMEOUT) as response:
                return int(response.status), response.read(_BODY_BYTES_AT_MOST)
        except urllib.error.HTTPError as error:
            # Any other status than 2xx; its body says which table is missing.
            with error:
                return error.code, error.read(_BODY_BYTES_AT_MOST)

    return fetch
