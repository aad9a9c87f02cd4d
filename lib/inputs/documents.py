"""Read JSON that people edit, naming file and key of whatever is wrong with it.

Pure: works on text. Numbers are read as `Decimal`, so that a price is what the file says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from lib.errors import InputError

#: No price book or usage file comes near this size.
MAX_CHARACTERS = 20_000_000

#: Numbers in these files are money and monthly quantities. Beyond these bounds they are
#: mistakes, and would make exact arithmetic slow or overflow.
MAX_NUMBER = Decimal("1e15")
MAX_DECIMALS = 15

_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")


@dataclass(frozen=True)
class Node:
    """One value of a document that knows its file and its key (`rows[3].tiers[0].price`)."""

    file: str
    key: str
    value: Any

    def fail(self, problem: str) -> NoReturn:
        """Raise `InputError` naming file and key."""
        raise InputError(f"{self.file}: {self.key or 'the document'} {problem}.")

    def _child(self, name: str, value: Any) -> Node:
        return Node(self.file, f"{self.key}.{name}" if self.key else name, value)

    def members(self, allowed: Sequence[str] = ()) -> Iterator[tuple[str, Node]]:
        """Yield the members of an object, refusing names that are not `allowed` if any are."""
        if not isinstance(self.value, Mapping):
            self.fail("is not an object")
        for name, value in self.value.items():
            if allowed and name not in allowed:
                self._child(name, value).fail(f"is not known here; known: {', '.join(allowed)}")
            yield name, self._child(name, value)

    def items(self) -> Iterator[Node]:
        """Yield the items of an array."""
        if not isinstance(self.value, list):
            self.fail("is not a list")
        for position, value in enumerate(self.value):
            yield Node(self.file, f"{self.key}[{position}]", value)

    def member(self, name: str) -> Node:
        """Return a member that has to be there."""
        if not isinstance(self.value, Mapping):
            self.fail("is not an object")
        if name not in self.value:
            self.fail(f"has no {name}")
        return self._child(name, self.value[name])

    def optional(self, name: str, default: Any) -> Node:
        """Return a member, or a node with the default."""
        present = isinstance(self.value, Mapping) and name in self.value
        return self.member(name) if present else self._child(name, default)

    def text(self) -> str:
        """Return a text."""
        if not isinstance(self.value, str):
            self.fail("is not a text")
        return self.value

    def stated(self) -> str:
        """Return a text that says something."""
        text = self.text()
        if not text.strip():
            self.fail("is empty")
        return text

    def choice(self, allowed: Sequence[str]) -> str:
        """Return a text that is one of those allowed."""
        text = self.text()
        if text not in allowed:
            self.fail(f"is {text!r} and not one of {', '.join(allowed)}")
        return text

    def date(self) -> str:
        """Return a date as `YYYY-MM-DD`, or `YYYY-MM` where the source names no day."""
        text = self.text()
        try:
            date.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)
        except ValueError:
            self.fail(f"is {text!r} and not a date such as 2026-10-01 or 2026-10")
        return text

    def number(self) -> Decimal:
        """Return a number from zero up, given as a JSON number or as text."""
        number = self.value if isinstance(self.value, Decimal) else None
        if isinstance(self.value, str):
            try:
                number = Decimal(self.value)
            except InvalidOperation:
                number = None
        if number is None or not number.is_finite():
            self.fail("is not a number")
        if not 0 <= number <= MAX_NUMBER:
            self.fail(f"is {number} and not between 0 and {MAX_NUMBER}")
        exponent = number.as_tuple().exponent
        if isinstance(exponent, int) and exponent < -MAX_DECIMALS:
            self.fail(f"has more than {MAX_DECIMALS} decimals")
        return number


def read(text: str, file: str) -> Node:
    """Read a document. `file` is its name in messages.

    Raises `InputError` for text that is not JSON, is too large or nested too deeply, or has
    a key that stands twice.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{file} is too large (over {MAX_CHARACTERS:,} characters).")
    try:
        value = json.loads(
            text.removeprefix("\ufeff"),
            parse_float=Decimal,
            parse_int=Decimal,
            parse_constant=_reject_constant,
            object_pairs_hook=_reject_double_keys,
        )
    except json.JSONDecodeError as exc:
        raise InputError(f"{file}:{exc.lineno}:{exc.colno} is not valid JSON: {exc.msg}.") from None
    except RecursionError:
        raise InputError(f"{file} is nested too deeply.") from None
    except (_Unusable, InvalidOperation) as exc:
        raise InputError(f"{file} cannot be used: {exc}.") from None
    return Node(file, "", value)


class _Unusable(Exception):
    """Carry the reason out of the JSON reader's hooks."""


def _reject_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which Python's JSON would let through."""
    raise _Unusable(f"{name} is not a number")


def _reject_double_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, refusing a key that stands twice: readers silently keep the last."""
    built: dict[str, Any] = {}
    for key, value in pairs:
        if key in built:
            raise _Unusable(f"the key {key!r} stands twice")
        built[key] = value
    return built
