"""After a long operation a person sees what it waited for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from xml.etree import ElementTree as ET

from lib.stacks import durations
from lib.stacks.stacks import Event
from lib.templates.templates import STACK_TYPE
from tests.support.aws_fakes import START

SVG = "{http://www.w3.org/2000/svg}"


def happen(*told: tuple[float, str, str]) -> list[Event]:
    """Return events by second, path and status; what has no path is the stack itself."""
    return [
        Event(
            id=str(number),
            stack_id="arn:stack",
            time=START + timedelta(seconds=at),
            path=path,
            logical_id=path.rpartition("/")[2],
            physical_id="",
            type=STACK_TYPE if not path or path.endswith("Stack") else "AWS::X::Y",
            status=status,
            reason="",
            token="",
        )
        for number, (at, path, status) in enumerate(told)
    ]


CREATION = happen(
    (0, "", "CREATE_IN_PROGRESS"),
    (1, "DataStack", "CREATE_IN_PROGRESS"),
    (2, "DataStack/Jobs", "CREATE_IN_PROGRESS"),
    (2, "DataStack/Queue", "CREATE_IN_PROGRESS"),
    (12, "DataStack/Queue", "CREATE_COMPLETE"),
    (62, "DataStack/Jobs", "CREATE_COMPLETE"),
    (64, "DataStack", "CREATE_COMPLETE"),
    (64, "Api", "CREATE_IN_PROGRESS"),
    (94, "Api", "CREATE_COMPLETE"),
    (95, "", "CREATE_COMPLETE"),
)


def draw(found: Sequence[Event], width: int = 60) -> list[str]:
    shown = durations.list_longest("What took longest:", found)
    return [line.text for line in shown.draw(width, False)] if shown else []


def test_what_took_longest_comes_first_with_a_bar_that_shows_when() -> None:
    title, *lines = draw(CREATION)
    assert title == "What took longest:"
    assert [line.split()[:2] for line in lines] == [
        ["1:00", "DataStack/Jobs"],
        ["0:30", "Api"],
        ["0:10", "DataStack/Queue"],
    ]
    first, second, third = (line.index("━") for line in lines)
    assert second > first == third
    assert lines[0].rstrip().endswith("━" * lines[0].count("━"))
    assert abs(lines[0].count("━") - 2 * lines[1].count("━")) <= 1
    assert max(map(len, lines)) <= 60


def test_nothing_is_said_of_an_operation_that_nobody_had_to_wait_for() -> None:
    assert draw(CREATION[:5]) == []
    assert draw([]) == []


def test_of_an_update_that_cleans_up_each_resource_counts_once_with_its_longest_time() -> None:
    found = happen(
        (0, "", "UPDATE_IN_PROGRESS"),
        (1, "Api", "UPDATE_IN_PROGRESS"),
        (41, "Api", "UPDATE_IN_PROGRESS"),
        (61, "Api", "UPDATE_COMPLETE"),
        (62, "Api", "DELETE_IN_PROGRESS"),
        (70, "Api", "DELETE_COMPLETE"),
    )
    assert [(span.path, span.seconds) for span in durations.measure(found)] == [("Api", 60)]


def test_the_picture_has_every_resource_by_stack_in_order_of_time() -> None:
    root = ET.fromstring(durations.draw_chart("app", CREATION))
    words = [node.text for node in root.iter(f"{SVG}text")]
    names = ["app: 1:35", "DataStack", "Jobs", "1:00", "Queue", "0:10", "app", "Api", "0:30"]
    assert words == names
    assert len(list(root.iter(f"{SVG}rect"))) == 3


def test_a_picture_of_nothing_is_still_one() -> None:
    ET.fromstring(durations.draw_chart("app", []))
