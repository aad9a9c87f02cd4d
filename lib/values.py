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

#: Longer values are cut: a table of changes is read by people.
LONGEST_VALUE = 240

_SECRET = re.compile(
    r"password|passphrase|secret|token|credential|(?:key.?material|private.?key|api.?key|access.?key)",
    re.IGNORECASE,
)

_HARMLESS = frozenset({"", "true", "false", "null"})

#: The members by which a list's items are named.
_NAMES = ("Name", "Key", "name", "key", "ParameterKey")


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
    return cut_alike(_write(old), _write(new), LONGEST_VALUE)


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
            elif key not in (*_NAMES, "Sid", "Id"):
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
    try:
        old, new = json.loads(before), json.loads(after)
    except ValueError:
        return before, after
    if not isinstance(old, Mapping | list) or type(old) is not type(new):
        return before, after
    narrowed = _narrow(old, new)
    # Spaces, so that long ones can be folded.
    return json.dumps(narrowed[0], sort_keys=True), json.dumps(narrowed[1], sort_keys=True)


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
