"""Read what a team gives beside the templates: the function's code, an image's tag, a built site.

`infrastructure/artifacts.json` may name them for every deployment, flags for one. What neither
names stays as the stack has it; the word `none` takes it off, or leaves out what the file names.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lib.inputs import documents, parameters
from lib.inputs.parameters import Problem

#: The word that leaves an artefact out, on the command line and in the file.
NOTHING = "none"

#: The master's parameters that artefacts fill.
CODE_BUCKET, CODE_KEY, IMAGE_TAG = "LambdaCodeBucket", "LambdaCodeKey", "ImageTag"
PARAMETERS = (CODE_BUCKET, CODE_KEY, IMAGE_TAG)

#: What the template runs where no tag is named.
DEFAULT_TAG = "latest"

#: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 250 MB "unzipped".
MAX_CODE_BYTES = 262_144_000

_FILE = "artifacts.json"
_KEYS = ("code", "image", "site")

#: The same folder makes the same bytes whenever and wherever: the earliest time a zip can hold,
#: plain permissions, and no compression, which differs between builds of zlib.
_TIME = (1980, 1, 1, 0, 0, 0)
_READABLE, _EXECUTABLE = 0o100644, 0o100755


@dataclass(frozen=True)
class Archive:
    """An application function's zip under the key that it is published by."""

    content: bytes
    sha256: str

    @property
    def key(self) -> str:
        """Return where it lies in the templates bucket."""
        return f"code/{self.sha256[:12]}/application.zip"


@dataclass(frozen=True)
class Artifacts:
    """What is given beside the templates; "" and None are what nobody named.

    `code` is a zip or a folder, `site` the folder of a built web application, `image` a tag of the
    stack's own repository. `dropped` are those of them that are to be left out.
    """

    code: Path | None = None
    image: str = ""
    site: Path | None = None
    dropped: frozenset[str] = field(default=frozenset())

    @cached_property
    def archive(self) -> Archive | None:
        """Return the function's code as the bytes to publish, None where none is given."""
        if self.code is None:
            return None
        content = zip_folder(self.code) if self.code.is_dir() else self.code.read_bytes()
        return Archive(content, hashlib.sha256(content).hexdigest())


def read(root: Path) -> Artifacts:
    """Read artifacts.json of a checkout, which may be absent; its paths start at the checkout.

    Raises `InputError` naming file and key of what is wrong.
    """
    path = root / "infrastructure" / _FILE
    if not path.exists():
        return Artifacts()
    text = documents.read_text(path, "a file of artefacts", at_most=parameters.MAX_FILE_BYTES)
    document = documents.Value(str(path), "", documents.parse(text, str(path))).only(*_KEYS)
    return give(Artifacts(), root, **{name: value.stated() for name, value in document.members()})


def give(known: Artifacts, folder: Path, **given: str | None) -> Artifacts:
    """Return artefacts with those that are `given` in the place of the ones that are known.

    Paths start at `folder`. A pipeline passes a variable that may be unset, so an empty value is
    as good as none.
    """
    for name, text in given.items():
        if not text:
            continue
        leave_out = text == NOTHING
        value: Any = text if name == "image" else folder / text
        nothing: Any = "" if name == "image" else None
        dropped = known.dropped | {name} if leave_out else known.dropped - {name}
        changed: dict[str, Any] = {name: nothing if leave_out else value}
        known = replace(known, dropped=dropped, **changed)
    return known


def find_faults(given: Artifacts, declared: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Yield what is wrong with artefacts, by the parameters that the master declares."""
    if given.code:
        yield from (Problem("", f"the code {given.code} {fault}") for fault in _code_faults(given))
    if given.site and not (given.site / "index.html").is_file():
        yield Problem("", f"the site {given.site} is no folder with an index.html at its top")
    if given.image and IMAGE_TAG in declared:
        yield from parameters.check({IMAGE_TAG: given.image}, {IMAGE_TAG: declared[IMAGE_TAG]})


def _code_faults(given: Artifacts) -> Iterator[str]:
    """Yield why Lambda would not take some code, or could not call it."""
    path = given.code
    if path is None or not path.exists():
        yield "does not exist"
        return
    if not path.is_dir() and not zipfile.is_zipfile(path):
        yield "is neither a folder nor a zip"
        return
    try:
        with zipfile.ZipFile(io.BytesIO(given.archive.content if given.archive else b"")) as opened:
            inside = opened.infolist()
    except zipfile.BadZipFile as exc:
        yield f"is a broken zip ({exc})"
        return
    if not any(one.filename.startswith(("app.", "app/")) for one in inside):
        yield "has no module app at its top, whose function handler the API calls"
    if (size := sum(one.file_size for one in inside)) > MAX_CODE_BYTES:
        yield f"is {size / 1e6:.0f} MB unzipped; Lambda takes 250 MB"


def zip_folder(folder: Path, *, more: Mapping[str, bytes] | None = None) -> bytes:
    """Return a folder as a zip, `more` by name in the place of its files or beside them.

    What Python and a file manager leave behind is left out.
    """
    found = {
        str(path.relative_to(folder).as_posix()): path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != ".DS_Store"
    }
    given = dict(more or {})
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as opened:
        for name in sorted(found.keys() | given.keys()):
            path = found.get(name)
            content = given[name] if name in given or path is None else path.read_bytes()
            runs = name not in given and path is not None and path.stat().st_mode & 0o100
            entry = zipfile.ZipInfo(name, _TIME)
            # Written by a Unix, wherever it is made: Lambda reads the permissions.
            entry.create_system = 3
            entry.external_attr = (_EXECUTABLE if runs else _READABLE) << 16
            opened.writestr(entry, content)
    return written.getvalue()


def as_parameters(
    given: Artifacts, bucket: str, values: Mapping[str, str], deployed: Mapping[str, str]
) -> dict[str, str]:
    """Return the master's parameters that artefacts fill.

    What is given replaces a parameter file's `values`. What neither names stays as `deployed`, so
    that a change of the infrastructure alone does not take the application off; code that was not
    published by this tool is the parameter file's affair.
    """
    filled: dict[str, str] = {}
    if given.archive:
        filled = {CODE_BUCKET: bucket, CODE_KEY: given.archive.key}
    elif "code" in given.dropped:
        filled = {CODE_BUCKET: "", CODE_KEY: ""}
    elif CODE_KEY not in values and deployed.get(CODE_KEY, "").startswith("code/"):
        filled = {name: deployed[name] for name in (CODE_BUCKET, CODE_KEY)}
    if given.image:
        filled[IMAGE_TAG] = given.image
    elif "image" not in given.dropped and IMAGE_TAG not in values:
        tag = deployed.get(IMAGE_TAG, DEFAULT_TAG)
        filled |= {IMAGE_TAG: tag} if tag != DEFAULT_TAG else {}
    return filled
