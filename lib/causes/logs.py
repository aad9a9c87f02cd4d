"""Read the end of a log in CloudWatch Logs."""

from __future__ import annotations

from lib.causes.evidence import LINE_WIDTH, LOG_LINES, Search


def read_tail(search: Search, group: str, stream: str = "") -> None:
    """Add the last lines of a log stream, of the newest one of a group where none is named.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
    """
    logs = search.access.aws.client("logs")
    stream = stream or _find_newest(search, group)
    if not stream:
        return
    answer = search.ask(
        f"log {group}",
        lambda: logs.get_log_events(
            logGroupName=group, logStreamName=stream, limit=LOG_LINES, startFromHead=False
        ),
    )
    lines = [str(event.get("message", "")).rstrip() for event in (answer or {}).get("events", [])]
    told = [line for message in lines for line in message.splitlines() if line.strip()]
    search.add(f"log {group}", "\n".join(line[:LINE_WIDTH] for line in told[-LOG_LINES:]))
    if answer is not None and not told:
        search.give_up(f"log {group}", "nothing was written to it")


def _find_newest(search: Search, group: str) -> str:
    """Return the stream of a log group that was written to last, "" where there is none."""
    logs = search.access.aws.client("logs")
    answer = search.ask(
        f"log {group}",
        lambda: logs.describe_log_streams(
            logGroupName=group, orderBy="LastEventTime", descending=True, limit=1
        ),
    )
    found = [str(one["logStreamName"]) for one in (answer or {}).get("logStreams", [])]
    if answer is not None and not found:
        search.give_up(f"log {group}", "nothing was written to it")
    return found[0] if found else ""
