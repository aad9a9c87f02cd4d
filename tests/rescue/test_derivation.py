"""A derived release differs from its base in what was edited and in what loads it."""

from __future__ import annotations

import json

from lib.releases import releases
from lib.releases.releases import Manifest
from lib.rescue import derivation
from lib.rescue.derivation import Base
from lib.templates import templates
from lib.templates.templates import MASTER
from tests.rescue.stage import folder


def base() -> Base:
    built = releases.build(folder())
    manifest = Manifest(built.name, built.digest, built.checksums, "", "", "")
    published = {f.name: templates.parse(f.name, f.content.decode()) for f in built.files}
    return Base(manifest, published)


def test_an_edited_template_and_its_parents_get_keys_of_their_own() -> None:
    before = {file.name: file for file in releases.build(folder()).files}
    text = json.dumps(dict(folder()["database-stack.yaml"].body))
    derived = derivation.derive(base(), {"database-stack.yaml": text})
    after = {file.name: file for file in derived.files}
    assert after["api-stack.yaml"] == before["api-stack.yaml"]
    assert after["database-stack.yaml"].content.decode() == text
    assert after["database-stack.yaml"].key != before["database-stack.yaml"].key
    master = after[MASTER].content.decode()
    assert after["database-stack.yaml"].key in master
    assert before["database-stack.yaml"].key not in master
    assert derived.files[-1].name == MASTER
    assert derived.name == releases.name_of(master) != base().name


def test_nothing_edited_is_the_base_itself() -> None:
    assert derivation.derive(base(), {}).name == base().name
