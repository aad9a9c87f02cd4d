"""Find out who was denied what: from AWS's message, from its coded one, and from CloudTrail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from lib.causes.evidence import Case, Search
from lib.causes.wordings import Match

#: "CloudTrail typically delivers logs within an average of about 5 minutes of an API call."
#: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html
_BEFORE = timedelta(minutes=15)
_AFTER = timedelta(minutes=5)

#: One page; LookupEvents takes two requests a second per account and region.
#: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
_EVENTS = 50

#: How many of them are shown.
_SHOWN = 3

_DENIED = ("AccessDenied", "UnauthorizedOperation", "Forbidden", "NotAuthorized")


def look(search: Search, case: Case, match: Match) -> None:
    """Add what was denied to whom, and what CloudTrail has of it."""
    for name in ("action", "principal", "resource", "because"):
        search.add(_TITLES[name], match.group(name))
    action = match.group("action") or _decode(search, match.group("encoded"))
    _ask_cloudtrail(search, case, action)


_TITLES = {
    "action": "denied action",
    "principal": "denied to",
    "resource": "on",
    "because": "because",
}


def _decode(search: Search, encoded: str) -> str:
    """Add what a coded message says, and return the action that it names, "" for none.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html
    """
    if not encoded:
        return ""
    sts = search.access.aws.client("sts")
    answer = search.ask(
        "coded message", lambda: sts.decode_authorization_message(EncodedMessage=encoded)
    )
    told = _read_json(answer.get("DecodedMessage", "") if answer else "")
    context: Mapping[str, Any] = told.get("context", {})
    principal: Mapping[str, Any] = context.get("principal") or {}
    action = str(context.get("action", ""))
    search.add(_TITLES["action"], action)
    search.add(_TITLES["principal"], str(principal.get("arn", "")))
    search.add(_TITLES["resource"], str(context.get("resource", "")))
    if told.get("explicitDeny"):
        search.add(_TITLES["because"], "a policy denies it explicitly")
    return action


def _ask_cloudtrail(search: Search, case: Case, action: str) -> None:
    """Add the calls of the last minutes that were denied: which, to whom, in AWS's words.

    Without an action those of the service whose resource failed. Of a call only that is shown:
    what was asked for in it may hold anything.
    """
    if action:
        about = {"AttributeKey": "EventName", "AttributeValue": action.rpartition(":")[2]}
    else:
        service = case.type.split("::")[1].lower() if case.type.count("::") > 1 else ""
        about = {"AttributeKey": "EventSource", "AttributeValue": f"{service}.amazonaws.com"}
    cloudtrail = search.access.aws.client("cloudtrail")
    answer = search.ask(
        "CloudTrail",
        lambda: cloudtrail.lookup_events(
            LookupAttributes=[about],
            StartTime=case.time - _BEFORE,
            EndTime=case.time + _AFTER,
            MaxResults=_EVENTS,
        ),
    )
    if answer is None:
        return
    found = [_read_json(str(one.get("CloudTrailEvent", ""))) for one in answer.get("Events", [])]
    denied = [one for one in found if any(word in str(one.get("errorCode")) for word in _DENIED)]
    for event in denied[:_SHOWN]:
        search.add("CloudTrail", _describe(event))
    if not denied:
        search.give_up("CloudTrail", "has no denied call yet; it is some 5 minutes late")


def _describe(event: Mapping[str, Any]) -> str:
    """Say who was denied which call, and AWS's words for it."""
    who = event.get("userIdentity", {}).get("arn") or event.get("userIdentity", {}).get("type", "?")
    call = f"{event.get('eventTime', '')} {event.get('eventName', '')} by {who}"
    return f"{call}: {event.get('errorMessage') or event.get('errorCode')}"


def _read_json(text: str) -> dict[str, Any]:
    """Return a JSON object, an empty one for anything else."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
