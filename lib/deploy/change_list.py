"""Lay out what a change would do: what is at risk first, what merely follows last.

Pure. Every list of changes looks like this, whoever shows it. Each resource stands once: at
risk, replaced, changed in place, following, added or removed, as the headline counts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from lib.drawing import wrap
from lib.operators import Drawing, DrawnLine, Tone
from lib.values import MASK, list_differences

if TYPE_CHECKING:
    from lib.templates.changes import Cause, Change

_SIGNS = {"Add": "+", "Import": "+", "Remove": "-", "Modify": "~", "Dynamic": "~"}
_REPLACED = "-/+"
_TONES = {
    "+": Tone.ADDED,
    "~": Tone.CHANGED,
    "-": Tone.REMOVED,
    _REPLACED: Tone.REMOVED,
}

#: How far in a resource's path stands, its properties, and what does not fit beside them.
_PATH, _PROPERTY, _VALUE = 4, 6, 10

#: What a kind of changes is called in the headline and above its list; all but the second are
#: counted even where there are none.
_KINDS = {
    "risk": ("at risk", "At risk"),
    "replaced": ("replaced", "Replaced"),
    "changed": ("changed in place", "Changed in place"),
    "follows": ("follow from them", "Follow from them"),
    "added": ("added", "Added"),
    "removed": ("removed", "Removed"),
}


def list_changes(title: str, changes: Sequence[Change]) -> Drawing:
    """Return changes as something to show."""
    return Drawing(partial(_draw, title, changes))


def count(changes: Sequence[Change]) -> str:
    """Return the headline: how many resources are at risk, change, follow, come and go."""
    found = _sort(changes)
    return " · ".join(
        f"{len(found[kind])} {words}"
        for kind, (words, _) in _KINDS.items()
        if found[kind] or kind != "replaced"
    )


def _draw(title: str, changes: Sequence[Change], width: int, unfold: bool) -> Sequence[DrawnLine]:
    """Return the lines of a list of changes."""
    lines = [DrawnLine(text, Tone.TITLE) for text in wrap(title, width, hang=2)]
    lines += [DrawnLine(text, Tone.TITLE) for text in wrap(f"  {count(changes)}", width, hang=2)]
    for kind, found in _sort(changes).items():
        if not found:
            continue
        folds = not unfold and (kind == "follows" or _is_dull(kind, found))
        more = " (each with --all)" if folds else ""
        lines += [DrawnLine(""), DrawnLine(f"{_KINDS[kind][1]}{more}", Tone.TITLE)]
        draw = _fold if folds else _draw_each
        lines += draw(found, width)
    return lines


def _sort(changes: Sequence[Change]) -> Mapping[str, list[Change]]:
    """Return changes by their kind, each in the order given."""
    found: dict[str, list[Change]] = {kind: [] for kind in _KINDS}
    for change in changes:
        found[_kind_of(change)].append(change)
    return found


def _kind_of(change: Change) -> str:
    """Return under which headline a change stands."""
    if change.data_loss != "none":
        return "risk"
    if change.action in ("Add", "Import"):
        return "added"
    if change.action == "Remove":
        return "removed"
    if change.replacement != "False":
        return "replaced"
    return "follows" if change.follows else "changed"


def _is_dull(kind: str, found: Sequence[Change]) -> bool:
    """Tell whether so much goes, or comes, at once that nobody reads it line by line."""
    return kind in ("added", "removed") and len(found) > _READ_AT_MOST


#: A whole environment comes or goes with some seventy resources.
_READ_AT_MOST = 20


def _draw_each(found: Sequence[Change], width: int) -> Iterator[DrawnLine]:
    """Yield the block of each change."""
    for change in found:
        sign = _sign(change)
        for text in wrap(f"{sign:<{_PATH}}{_name(change)}", width, hang=_PATH):
            yield DrawnLine(text, _TONES[sign])
        if change.data_loss != "none":
            named = f"{'':<{_PATH}}{change.physical_id}"
            yield from (DrawnLine(text) for text in wrap(named, width) if text.strip())
            yield from _indent(f"! {change.verdict}", width, Tone.REMOVED)
        elif change.replacement == "Conditional" and change.action == "Modify":
            yield from _indent(change.verdict or "may be replaced", width)
        for cause in _distinct(change.causes):
            yield from _draw_cause(cause, width, change.replacement)
        if change.proof:
            yield from _indent(f"stays: {change.proof}", width, Tone.ASIDE)


def _sign(change: Change) -> str:
    """Return the sign of a change."""
    if change.action == "Modify" and change.replacement != "False":
        return _REPLACED
    return _SIGNS.get(change.action, "~")


def _name(change: Change) -> str:
    """Return what a change is about: path, type, and the physical ID where it matters."""
    special = "" if change.action in _SIGNS else f"({change.action})"
    kind = change.type.removeprefix("AWS::")
    return "  ".join(filter(None, (change.path, kind, special)))


def _distinct(causes: Sequence[Cause]) -> list[Cause]:
    """Return causes, each that reads the same only once.

    AWS names a member of a structure, and our comparison the structure that it is in.
    """
    shown: dict[tuple[str, str, str], Cause] = {}
    for cause in causes:
        differences = list_differences(cause.before, cause.after)
        path, before, after = (
            differences[0] if len(differences) == 1 else ("", cause.before, cause.after)
        )
        shown.setdefault((_join(cause.property, path), before, after), cause)
    return list(shown.values())


def _join(name: str, path: str) -> str:
    """Return the path of what is in a property."""
    return f"{name}/{path}" if path and not path.startswith("[") else f"{name}{path}"


def _draw_cause(cause: Cause, width: int, replaced: str) -> Iterator[DrawnLine]:
    """Yield one property: what differs in it, each difference on a line where there is room."""
    decides = _DECIDES[replaced] if cause.requires_recreation in _REPLACING else ""
    name = f"{cause.property}{decides}"
    if not cause.before and not cause.after:
        yield from _indent(name, width)
    elif cause.before == cause.after:
        yield from _indent(f"{name}: {_explain_alike(cause)}", width)
    elif len(differences := list_differences(cause.before, cause.after)) == 1:
        [(path, before, after)] = differences
        inside = f"{_join(cause.property, path)}{decides}"
        yield from _draw_difference(inside, before, after, width)
    else:
        yield from _indent(f"{name}:", width)
        for path, before, after in differences:
            yield from _draw_difference(f"  {path}".rstrip(), before, after, width)


def _draw_difference(name: str, before: str, after: str, width: int) -> Iterator[DrawnLine]:
    """Yield one difference: on a line where there is room, else a line to each value."""
    colon = ": " if name else "  "
    text = f"{name}{colon}{before or '-'} → {after or '-'}"
    if len(text) + _PROPERTY <= width and "\n" not in text:
        yield from _indent(text, width)
        return
    if name:
        yield from _indent(f"{name}:", width)
    for part in (f"    {before or '-'}", f"  → {after or '-'}"):
        for line in part.splitlines():
            yield from _indent(line, width)


#: What such a property comes to, by whether the resource is replaced.
_REPLACING = ("Always", "Conditionally")
_DECIDES = {"True": " (replaces it)", "Conditional": " (may replace it)", "False": ""}


def _explain_alike(cause: Cause) -> str:
    """Say what there is to show of a difference whose two sides read the same."""
    if MASK in cause.before:
        return f"{cause.before} (what differs is secret)"
    return f"{cause.before} (AWS knows the new value only when it gets there)"


def _indent(text: str, width: int, tone: Tone = Tone.PLAIN) -> list[DrawnLine]:
    """Return the lines of something said about a resource."""
    lines = wrap(" " * _PROPERTY + text, width, hang=_VALUE, breaks=True)
    return [DrawnLine(line, tone) for line in lines]


def _fold(found: Sequence[Change], width: int) -> Iterator[DrawnLine]:
    """Yield a line for the changes of each stack, and below it why none of them is replaced."""
    stacks: dict[tuple[str, str], list[Change]] = {}
    for change in found:
        stacks.setdefault((_sign(change), change.path.rpartition("/")[0]), []).append(change)
    for (sign, path), inside in stacks.items():
        names = [change.path.rpartition("/")[2] for change in inside]
        amount = f"{len(names)} resource{'s' if len(names) > 1 else ''}"
        text = f"{sign:<{_PATH}}{path or '(the stack itself)'}  {amount}: {', '.join(names)}"
        for line in wrap(text, width, hang=_PATH):
            yield DrawnLine(line, _TONES[sign])
        proofs = list(dict.fromkeys(change.proof for change in inside if change.proof))
        if proofs:
            rest = len(proofs) - 1
            others = f" (and {rest} more reason{'s' if rest > 1 else ''})" if rest else ""
            yield from _indent(f"{proofs[0]}{others}", width, Tone.ASIDE)
