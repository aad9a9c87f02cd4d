"""Read JSON that people edit, naming file and key of whatever is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NoReturn

from lib.errors import InputError

#: No price book or usage file comes near this size.
MAX_CHARACTERS = 20_000_000

#: Numbers in these files are money and monthly quantities. Beyond these bounds they are
#: mistakes, and would make exact arithmetic slow or overflow.
MAX_NUMBER = Decimal("1e15")
MAX_DECIMALS = 15

_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_NOT_A_NUMBER = Decimal("NaN")


@dataclass(frozen=True)
class Value:
    """One value of a document that knows its file and its key (`rows[3].tiers[0].price`)."""

    file: str
    key: str
    value: Any

    def fail(self, problem: str) -> NoReturn:
        """Raise `InputError` naming file and key."""
        raise InputError(f"{self.file}: {self.key or 'the document'} {problem}.")

    def _child(self, name: str, value: Any) -> Value:
        return Value(self.file, f"{self.key}.{name}" if self.key else name, value)

    def members(self) -> Iterator[tuple[str, Value]]:
        """Yield the members of an object."""
        if not isinstance(self.value, Mapping):
            self.fail("is not an object")
        for name, value in self.value.items():
            yield name, self._child(name, value)

    def only(self, *known: str) -> Value:
        """Return the same object, refusing members that are not known."""
        for name, member in self.members():
            if name not in known:
                member.fail(f"is not known here; known: {', '.join(known)}")
        return self

    def items(self) -> Iterator[Value]:
        """Yield the items of an array."""
        if not isinstance(self.value, list):
            self.fail("is not a list")
        for position, value in enumerate(self.value):
            yield Value(self.file, f"{self.key}[{position}]", value)

    def member(self, name: str) -> Value:
        """Return a member that has to be there."""
        if not isinstance(self.value, Mapping):
            self.fail("is not an object")
        if name not in self.value:
            self.fail(f"has no {name}")
        return self._child(name, self.value[name])

    def optional(self, name: str, default: Any) -> Value:
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
        try:
            number = Decimal(self.value) if isinstance(self.value, str | Decimal) else _NOT_A_NUMBER
        except InvalidOperation:
            number = _NOT_A_NUMBER
        if not number.is_finite():
            self.fail("is not a number")
        if not 0 <= number <= MAX_NUMBER:
            self.fail(f"is {number} and not between 0 and {MAX_NUMBER}")
        exponent = number.as_tuple().exponent
        if isinstance(exponent, int) and exponent < -MAX_DECIMALS:
            self.fail(f"has more than {MAX_DECIMALS} decimals")
        return number


def read_text(path: Path, kind: str, *, at_most: int = MAX_CHARACTERS) -> str:
    """Return the text of a file of at most so many bytes, without a byte order mark.

    `kind` is what the file should be, in messages: "a usage file". Raises `InputError` for a
    file that is absent, too large for its kind, may not be read or is no text.
    """
    try:
        if path.stat().st_size > at_most:
            raise InputError(f"{path} is too large for {kind} (over {at_most // 1_000_000} MB).")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (OSError, ValueError) as exc:
        raise InputError(f"{path} cannot be read: {exc}.") from None


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; raise `InputError` where it cannot be."""
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as exc:
        raise InputError(f"{path} cannot be written: {exc}.") from None


def read(text: str, file: str) -> Value:
    """Read a document of amounts, its numbers as `Decimal`: a price is what the file says.

    `file` is its name in messages. Raises `InputError` as `parse` does, and for a document
    that is too large.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{file} is too large (over {MAX_CHARACTERS:,} characters).")
    return Value(file, "", parse(text.removeprefix("\ufeff"), file, exact=True))


def parse(text: str, file: str, *, exact: bool = False) -> Any:
    """Return what JSON text says. `file` is its name in messages.

    With `exact` numbers become `Decimal`, and NaN and the infinities are refused. Without, so
    is half a character, which JSON can escape and nothing can write down again. Raises
    `InputError` for text that is not JSON or nests too deeply, and for a key that stands twice.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_reject_double_keys, **(_EXACTLY if exact else {})
        )
        if not exact:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as exc:
        raise InputError(f"{file}:{exc.lineno}:{exc.colno} is not valid JSON: {exc.msg}.") from None
    except RecursionError:
        raise InputError(f"{file} is nested too deeply.") from None
    except (ValueError, InvalidOperation) as exc:
        raise InputError(f"{file} cannot be used: {exc}.") from None
    return value


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


_EXACTLY: Mapping[str, Any] = {
    "parse_constant": _reject_constant,
    "parse_float": Decimal,
    "parse_int": Decimal,
}


def _reject_double_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, refusing a key that stands twice: readers silently keep the last."""
    built: dict[str, Any] = {}
    for key, value in pairs:
        if key in built:
            raise ValueError(f"the key {key!r} stands twice")
        built[key] = value
    return built
