"""Walk values, write them as CloudFormation writes them, and keep secrets out of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any


def walk(value: Any) -> Iterator[Any]:
    """Yield a value and then, depth first, every value inside its mappings and lists."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value, str):
            continue
        if isinstance(value, Mapping):
            waiting += reversed([*value.values()])
        elif isinstance(value, list | tuple):
            waiting += reversed(value)


def as_text(value: object) -> str:
    """Return a value as CloudFormation writes it, all of which is text to it.

    A structure, which it has no text for, comes as JSON; what is not there is empty.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list | tuple):
        return canonical(value)
    return "" if value is None else str(value)


def canonical(value: object) -> str:
    """Return JSON that is equal for equal values, to digest or compare them."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def plain(number: Decimal) -> str:
    """Return a decimal without exponent and trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


#: What CloudFormation itself shows instead of the value of a NoEcho parameter.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
MASK = "****"

#: Longer values are cut: a table of changes is read by people. Structures, of which only what
#: differs is left, have room for more: they are shown member by member.
LONGEST_VALUE = 240
_LONGEST_STRUCTURE = 4000

_SECRET = re.compile(
    r"password|passphrase|secret|token|credential|(?:key.?material|private.?key|api.?key|access.?key)",
    re.IGNORECASE,
)

_HARMLESS = frozenset({"", "true", "false", "null"})

#: The members by which a list's items are named.
_NAMES = ("Name", "Key", "name", "key", "ParameterKey")
_IDENTITIES = (*_NAMES, "Sid", "Id")


def show_value(path: str, value: object, *, contexts: Sequence[object] = ()) -> str:
    """Return a property's value as text that may be shown, masked where it looks secret.

    `path` is the property's path with every list index in it. `contexts` are whole sets of
    properties around it: they tell that `Environment/2/Value` belongs to a variable named
    DB_PASSWORD.
    """
    return _shorten(_write(_mask(path, value, contexts)))


def show_difference(
    path: str, before: object, after: object, *, contexts: Sequence[object] = ((), ())
) -> tuple[str, str]:
    """Return a property's two values as texts that may be shown, and that show what differs.

    Of long structures only the members that differ are left, of long texts the part around the
    first difference. `path` is as in `show_value`, `contexts` are the properties before and
    after.
    """
    old, new = (
        _mask(path, value, [context])
        for value, context in zip((before, after), contexts, strict=True)
    )
    if max(len(_write(old)), len(_write(new))) > LONGEST_VALUE:
        # What only differs in what is masked has nothing else to show.
        old, new = (MASK, MASK) if old == new and before != after else _narrow(old, new)
    longest = LONGEST_VALUE if isinstance(old, str) or isinstance(new, str) else _LONGEST_STRUCTURE
    return cut_alike(_write(old), _write(new), longest)


def cut_alike(before: str, after: str, width: int) -> tuple[str, str]:
    """Cut two long texts to some `width` characters that show where they differ."""
    if max(len(before), len(after)) <= width:
        return before, after
    pairs = enumerate(zip(before, after, strict=False))
    shared = next((i for i, (old, new) in pairs if old != new), min(len(before), len(after)))
    start = max(shared - width // 4, 0) if before and after else 0
    return _cut(before, start, width), _cut(after, start, width)


def _cut(text: str, start: int, width: int) -> str:
    """Return a piece of a text, with dots where something is left out."""
    piece = text[start : start + width]
    return f"{'…' if start else ''}{piece}{'…' if start + width < len(text) else ''}"


def _narrow(before: Any, after: Any) -> tuple[Any, Any]:
    """Return two structures without the members that are the same in both, names apart."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        old, new = dict(before), dict(after)
        for key in before.keys() & after.keys():
            if before[key] != after[key]:
                old[key], new[key] = _narrow(before[key], after[key])
            elif key not in _IDENTITIES:
                del old[key], new[key]
        return old, new
    if isinstance(before, list) and isinstance(after, list):
        gone = [item for item in before if item not in after]
        come = [item for item in after if item not in before]
        if gone and len(gone) == len(come):
            pairs = [_narrow(one, other) for one, other in zip(gone, come, strict=True)]
            return [one for one, _ in pairs], [other for _, other in pairs]
        if gone or come:
            return gone, come
    return before, after


def narrow_texts(before: str, after: str) -> tuple[str, str]:
    """Return two structures, given as JSON, without what is the same in both; other texts as is."""
    pair = _read_structures(before, after)
    if pair is None:
        return before, after
    old, new = (json.dumps(one, sort_keys=True) for one in _narrow(*pair))
    return old, new


def _read_structures(before: str, after: str) -> tuple[Any, Any] | None:
    """Return two structures of one kind that are given as JSON, None for anything else."""
    try:
        old, new = json.loads(before), json.loads(after)
    except ValueError:
        return None
    return (old, new) if isinstance(old, Mapping | list) and type(old) is type(new) else None


def list_differences(before: str, after: str) -> list[tuple[str, str, str]]:
    """Return where two structures, given as JSON, differ: the path, and what stands there in each.

    Members of a list are told apart by their name where they have one. What is no structure
    differs as a whole, at "".
    """
    pair = _read_structures(before, after)
    return [("", before, after)] if pair is None else list(_differ("", *pair))


def _differ(path: str, before: Any, after: Any) -> Iterator[tuple[str, str, str]]:
    """Yield the differences of two values, the deepest that there are."""
    if before == after:
        return
    old, new = _name_members(before, after)
    if old is None or new is None:
        yield path, _write_member(before), _write_member(after)
        return
    for key in dict.fromkeys([*old, *new]):
        inner = f"{path}{key}" if key.startswith("[") or not path else f"{path}/{key}"
        if key in old and key in new:
            yield from _differ(inner, old[key], new[key])
        else:
            # What a list merely has or lacks is known by what it is.
            place = path if key.startswith("[]") else inner
            yield place, _write_member(old.get(key)), _write_member(new.get(key))


def _name_members(before: Any, after: Any) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the members of two structures by name, None where there is no telling them apart."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return dict(before), dict(after)
    if not (isinstance(before, list) and isinstance(after, list)):
        return None, None
    for name in _IDENTITIES:
        named = [
            {
                f"[{item[name]}]": item
                for item in items
                if isinstance(item, Mapping) and name in item
            }
            for items in (before, after)
        ]
        if [len(one) for one in named] == [len(before), len(after)]:
            return named[0], named[1]
    gone = [item for item in before if item not in after]
    come = [item for item in after if item not in before]
    if not gone and not come:
        # Only their order differs, or how often one stands there.
        return None, None
    if len(gone) == len(come) == 1:
        return {"[]": gone[0]}, {"[]": come[0]}
    return (
        {f"[]{canonical(item)}": item for item in gone},
        {f"[]{canonical(item)}": item for item in come},
    )


def _write_member(value: Any) -> str:
    """Return a member as text, with spaces to fold it at."""
    return (
        json.dumps(value, sort_keys=True) if isinstance(value, Mapping | list) else as_text(value)
    )


def _shorten(text: str) -> str:
    """Cut a long text."""
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _names_secret(path: str, context: object) -> bool:
    """Tell whether a list item on the way to a property has a name that looks secret."""
    for part in path.split("/"):
        if isinstance(context, list) and part.isdecimal() and int(part) < len(context):
            context = context[int(part)]
        elif isinstance(context, Mapping) and part in context:
            context = context[part]
        else:
            return False
        if _is_secret_pair(context):
            return True
    return False


def _is_secret_pair(value: object) -> bool:
    """Recognise `{"Name": "DB_PASSWORD", "Value": …}` and its like."""
    if not isinstance(value, Mapping):
        return False
    names = (value.get(key) for key in _NAMES)
    return any(isinstance(name, str) and _SECRET.search(name) for name in names)


def _mask(path: str, value: object, contexts: Sequence[object]) -> Any:
    """Return a value with all that looks secret in it masked: a structure, or text."""
    text = as_text(value)
    if text in _HARMLESS:
        return text
    if _SECRET.search(path) or any(_names_secret(path, context) for context in contexts):
        return MASK
    return _mask_inside(value, text)


def _write(value: Any) -> str:
    """Return what was masked as text."""
    return value if isinstance(value, str) else canonical(value)


def _mask_inside(value: object, text: str) -> Any:
    """Mask what is secret inside a structure, given as such or as its JSON text."""
    if isinstance(value, str):
        if value[:1] not in ("{", "["):
            return text
        try:
            value = json.loads(value)
        except ValueError:
            # A cut structure cannot be searched; if anything in it looks secret, all is.
            return MASK if _SECRET.search(text) else text
    if not isinstance(value, Mapping | list | tuple):
        return text
    return _mask_structure(value)


def _mask_structure(value: Any) -> Any:
    """Return a structure with every secret-looking member masked."""
    if isinstance(value, list | tuple):
        return [_mask_structure(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if _is_secret_pair(value):
        return {key: item if key in _NAMES else MASK for key, item in value.items()}
    return {key: _mask_member(str(key), item) for key, item in value.items()}


def _mask_member(key: str, value: Any) -> Any:
    """Return one member of a structure, masked when its key looks secret."""
    if _SECRET.search(key) and as_text(value) not in _HARMLESS:
        return MASK
    return _mask_structure(value)
