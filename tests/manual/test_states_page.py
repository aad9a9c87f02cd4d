"""The table of states has every state and can be read."""

from __future__ import annotations

import re

from lib.stacks.statuses import Status
from manual import states_page


def test_the_state_table_has_a_row_for_every_state() -> None:
    page = states_page.draw_states()
    table = page.split("## The table")[1].split("## After")[0]
    rows = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert rows == [str(status) for status in Status]
    assert "{target}" not in page
