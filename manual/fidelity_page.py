"""Write the page about what vouches for each behaviour of AWS, and what nobody has seen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from emulator.sources import Source, Witness, unvouched
from lib import drawing
from manual.behaviours.behaviour import Behaviour
from manual.parts import NOTICE

_INTRODUCTION = (
    "Nobody has run this on AWS yet. What is here rests on what others recorded of AWS, on AWS's "
    "own documents and models, and on answers that people quoted when something failed for them. "
    "This page says which, behaviour by behaviour, and where it is handled; and what nobody has "
    "seen. `nox -s recorded` holds the code to the recorded answers."
)
_WITNESSES: Mapping[Witness, str] = {
    Witness.RECORDED: "AWS answered so, and somebody kept the answer",
    Witness.DOCUMENT: "a guide or a reference says so, GitHub's where it is about its tokens",
    Witness.QUOTED: "an issue, a log or another tool's source repeats AWS's words",
    Witness.MODEL: "the service's model says so, from which botocore is made",
    Witness.SCHEMA: "the resource type's schema says so, from which CloudFormation works",
    Witness.EMULATOR: "only the emulator does so, which is evidence of little",
    Witness.NONE: "it was assumed, since something has to be",
}
_NEVER = (
    "*Either answer* stands where the product copes with both. The others may go wrong in the way "
    "that is named, the first time that they happen."
)
_EMULATOR = (
    "Where the emulator is amended to be as strict as AWS, the amendment is evidence of nothing by "
    "itself, unless AWS's own words stand beside it. The table is "
    "[emulator/sources.py](../emulator/sources.py)."
)
_PRODUCT = (
    "What the tool says to AWS and makes of the answer, and what AWS makes of the templates. The "
    "table is in [manual/behaviours](../manual/behaviours/table.py)."
)


def draw_fidelity(
    behaviours: Mapping[str, Sequence[Behaviour]], sources: tuple[Source, ...]
) -> str:
    """Return the page: counts, what was never seen, the product's behaviours, the emulator's."""
    ours = [behaviour for group in behaviours.values() for behaviour in group]
    parts = [
        "# How sure this is to be right on AWS",
        NOTICE,
        _INTRODUCTION,
        _draw_counts(ours, sources),
        "## Never seen on AWS",
        _NEVER,
        *_draw_never_seen(ours, sources),
        "## The product",
        _PRODUCT,
        *(part for subject, group in behaviours.items() for part in _draw_group(subject, group)),
        "## The emulator",
        _EMULATOR,
        *_draw_amendments(sources),
    ]
    return "\n\n".join(parts) + "\n"


def _draw_counts(ours: Sequence[Behaviour], sources: tuple[Source, ...]) -> str:
    """Return how many behaviours there are, and who vouches for how many."""
    product = Counter(behaviour.witness for behaviour in ours)
    emulator = Counter(source.witness for source in sources)
    rows = [
        (witness.value, meaning, str(product[witness]), str(emulator[witness]))
        for witness, meaning in _WITNESSES.items()
    ]
    rows.append(("all", "", str(len(ours)), str(len(sources))))
    table = drawing.draw_markdown(("Vouched for by", "Which is", "Product", "Emulator"), rows)
    unseen = [behaviour for behaviour in ours if behaviour.never_seen]
    coped = sum(behaviour.either_way for behaviour in unseen)
    return (
        f"{table}\n\nOf the product's {len(ours)} behaviours, {len(unseen)} have something about "
        f"them that [was never seen on AWS](#never-seen-on-aws); with {coped} of these the product "
        "copes either way."
    )


def _draw_never_seen(ours: Iterable[Behaviour], sources: tuple[Source, ...]) -> Iterator[str]:
    """Yield what nobody has seen, of the product and of the emulator."""
    yield _as_list(
        f"{_escape(_capital(behaviour.never_seen))}"
        f"{' (*either answer*)' if behaviour.either_way else ''}: "
        f"{', '.join(map(_link_place, behaviour.handled))}"
        for behaviour in ours
        if behaviour.never_seen
    )
    yield "And what the emulator assumes, which its tests therefore do not prove:"
    yield _as_list(
        f"{_escape(source.behaviour)} (`{source.amendment}`)" for source in unvouched(sources)
    )


def _draw_group(subject: str, group: Iterable[Behaviour]) -> Iterator[str]:
    """Yield the behaviours of one subject."""
    yield f"### {subject}"
    yield _as_list(map(_draw_behaviour, group))


def _draw_behaviour(behaviour: Behaviour) -> str:
    """Return one behaviour: what, who vouches for it in which words, where it is handled."""
    handled = ", ".join(map(_link_place, behaviour.handled))
    said = _draw_witness(behaviour.witness, behaviour.text, behaviour.where)
    extra = [
        f"Never seen: {_escape(behaviour.never_seen)}." if behaviour.never_seen else "",
        "Either answer is handled." if behaviour.either_way else "",
        f"Left so, because {behaviour.reason}." if behaviour.reason else "",
    ]
    return " ".join(
        [f"**{_escape(behaviour.sentence)}.** {said}", f"In {handled}.", *filter(None, extra)]
    )


def _draw_amendments(sources: Iterable[Source]) -> Iterator[str]:
    """Yield the emulator's amendments, each with its behaviours."""
    for amendment, group in groupby(sources, key=lambda source: source.amendment):
        yield f"`{amendment}`"
        yield _as_list(
            f"{_escape(source.behaviour)}. "
            f"{_draw_witness(source.witness, source.text, source.where)}"
            for source in group
        )


def _draw_witness(witness: Witness, text: str, where: str) -> str:
    """Return who vouches for a behaviour, in which words, and where they stand."""
    # Literal, so that nothing in it is taken for Markdown.
    words = f": `{text}`" if text else ""
    place = f" ({_link_source(where)})" if where else ""
    return f"*{_capital(witness.value)}*{words}{place}."


def _link_source(where: str) -> str:
    """Return a source as a link, as far as it begins with an address."""
    address, _, rest = where.partition(" ")
    if not address.startswith("https://"):
        return _escape(where)
    address = address.rstrip(",")
    name = address.rstrip("/").rsplit("//", 1)[-1].removeprefix("docs.aws.amazon.com/")
    return f"[{_escape(name)}]({address})" + (f" {_escape(rest)}" if rest else "")


def _link_place(place: str) -> str:
    """Return a place that handles something as a link to its file."""
    path, name = read_place(place)
    shown = f"{path.rpartition('/')[2]}: {name}" if "#" in place else place
    return f"[`{shown}`](../{path})"


def read_place(place: str) -> tuple[str, str]:
    """Return the file of a place from the repository's root, and the name in it, "" for none.

    `wing/room.function` lies below lib; anything with a `#`, or a file's ending, is a path.
    """
    if "#" in place or re.search(r"\.(py|ya?ml|json)$", place):
        path, _, name = place.partition("#")
        return path, name
    room, _, name = place.partition(".")
    return f"lib/{room}.py", name


def _as_list(items: Iterable[str]) -> str:
    """Return items as a list."""
    return "\n".join(f"- {item}" for item in items)


def _capital(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def _escape(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return re.sub(r"([*_<>\[\]{}])", r"\\\1", text)
