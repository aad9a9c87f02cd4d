"""Make up input of any shape, for tests that say what holds whatever is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from lib.errors import InputError

Read = TypeVar("Read")

#: The same examples in every run: a red build means a change, not luck. Coverage and a busy
#: machine make single examples slow without meaning anything.
tried = settings(
    deadline=None,
    derandomize=True,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

#: Text with halves of characters in it, as JSON's escapes can make them.
any_text = st.text(st.characters(codec=None), max_size=20)
any_scalar = st.none() | st.booleans() | st.integers() | st.floats() | any_text


def any_json(names: st.SearchStrategy[str] = any_text) -> st.SearchStrategy[object]:
    """Return any JSON value whose objects have some of the names given."""
    return st.recursive(
        any_scalar,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
        max_leaves=12,
    )


def attempt(read: Callable[[], Read]) -> Read | InputError:
    """Return what was read, or our error; any other exception is a bug and goes through."""
    try:
        return read()
    except InputError as error:
        return error
