"""What a team gives beside the templates is read, checked and made into the same bytes."""

from __future__ import annotations

import json
import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from lib.errors import InputError
from lib.inputs import artifacts, jobs
from lib.inputs.artifacts import Artifacts
from lib.templates import templates
from tests.support.factories import REGION, REPOSITORY, job, repository, template

EXAMPLES = REPOSITORY / "tests" / "support" / "artifacts"
CODE = EXAMPLES / "api"
DECLARED = templates.read_folder(REPOSITORY / "infrastructure" / "cloudformation")[
    templates.MASTER
].parameters


def faults(given: Artifacts) -> list[str]:
    return [jobs.describe_problem(one) for one in artifacts.find_faults(given, DECLARED)]


def test_the_example_of_each_artefact_has_no_fault() -> None:
    assert faults(Artifacts(CODE, "v1", EXAMPLES / "site")) == []


def test_a_folder_makes_the_same_key_wherever_and_whenever_it_is_zipped(tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    (copy / "__pycache__").mkdir(parents=True)
    (copy / "__pycache__" / "app.pyc").write_bytes(b"left behind")
    (copy / "app.py").write_bytes((CODE / "app.py").read_bytes())
    os.utime(copy / "app.py", (1, 1))
    one, other = Artifacts(CODE).archive, Artifacts(copy).archive
    assert one
    assert one == other
    assert one.key == f"code/{one.sha256[:12]}/application.zip"
    with zipfile.ZipFile(BytesIO(one.content)) as opened:
        assert opened.namelist() == ["app.py"]


def test_lambda_may_read_every_file_and_run_what_could_be_run(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("")
    (tmp_path / "tool").write_text("")
    (tmp_path / "app.py").chmod(0o600)
    (tmp_path / "tool").chmod(0o700)
    with zipfile.ZipFile(BytesIO(artifacts.zip_folder(tmp_path))) as opened:
        modes = {one.filename: one.external_attr >> 16 & 0o777 for one in opened.infolist()}
    assert modes == {"app.py": 0o644, "tool": 0o755}


def test_a_zip_is_published_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "my build.zip"
    path.write_bytes(artifacts.zip_folder(CODE))
    assert Artifacts(path).archive == Artifacts(CODE).archive


def broken(folder: Path) -> Path:
    path = folder / "broken.zip"
    whole = artifacts.zip_folder(CODE)
    path.write_bytes(whole.replace(b"PK\x01\x02", b"PK\x01\x07"))
    return path


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda folder: folder / "nowhere", "does not exist"),
        (lambda _folder: CODE / "app.py", "is neither a folder nor a zip"),
        (lambda _folder: EXAMPLES / "site", "has no module app at its top"),
        (broken, "is a broken zip"),
    ],
)
def test_code_that_lambda_could_not_call_is_named_with_the_reason(
    tmp_path: Path, make: object, fault: str
) -> None:
    assert callable(make)
    [found] = faults(Artifacts(make(tmp_path)))
    assert fault in found


def test_code_that_lambda_would_not_take_is_named_with_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(artifacts, "MAX_CODE_BYTES", 10)
    assert "MB unzipped; Lambda takes 250 MB" in faults(Artifacts(CODE))[0]


def test_a_site_without_a_page_and_a_tag_that_is_none_are_faults(tmp_path: Path) -> None:
    site, tag = faults(Artifacts(image="a tag", site=tmp_path))
    assert "no folder with an index.html at its top" in site
    assert tag.startswith("ImageTag 'a tag' does not match")


def test_the_file_names_artefacts_from_the_checkout_on_and_a_flag_outweighs_it(
    tmp_path: Path,
) -> None:
    root = repository(tmp_path)
    file = root / "infrastructure" / "artifacts.json"
    file.write_text(json.dumps({"code": "build/api", "image": "v1", "site": "web/dist"}))
    read = jobs.prepare(root, "staging", REGION, None, flags="").artifacts
    assert read == Artifacts(root / "build/api", "v1", root / "web/dist")
    given = artifacts.give(read, tmp_path, code="other", image="", site="none")
    assert given == Artifacts(tmp_path / "other", "v1", None, frozenset({"site"}))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"lambda": "x"}', "lambda is not known here; known: code, image, site"),
        ('{"image": 7}', "image is not a text"),
        ("[]", "the document is not an object"),
        ("{", "is not valid JSON"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_key(
    tmp_path: Path, text: str, fault: str
) -> None:
    root = repository(tmp_path)
    (root / "infrastructure" / "artifacts.json").write_text(text)
    with pytest.raises(InputError, match=fault):
        artifacts.read(root)


def test_faults_of_artefacts_stop_a_deployment_as_bad_input() -> None:
    with pytest.raises(InputError) as caught:
        jobs.require_valid(jobs.give_artifacts(job(), Path("/nowhere"), code="x"))
    assert "the code /nowhere/x does not exist" in caught.value.problems


MASTER = template(
    """
    Parameters:
      LambdaCodeBucket: {Type: String, Default: ''}
      LambdaCodeKey: {Type: String, Default: ''}
      ImageTag: {Type: String, Default: latest}
    Resources:
      Table: {Type: 'AWS::DynamoDB::Table'}
    """
)
DEPLOYED = {"LambdaCodeBucket": "b", "LambdaCodeKey": "code/1/application.zip", "ImageTag": "v1"}


def filled(deployed: dict[str, str] | None = None, **given: str) -> dict[str, str]:
    wanted = job(templates={templates.MASTER: MASTER}, values={})
    return jobs.fill_in(jobs.give_artifacts(wanted, CODE.parent, **given), "bucket", deployed)


def test_what_is_given_fills_the_master_s_parameters() -> None:
    archive = Artifacts(CODE).archive
    assert archive
    assert filled(code="api", image="v2") == {
        "LambdaCodeBucket": "bucket",
        "LambdaCodeKey": archive.key,
        "ImageTag": "v2",
    }


def test_what_nobody_names_stays_as_deployed_and_none_takes_it_off() -> None:
    assert filled(DEPLOYED) == DEPLOYED
    assert filled(DEPLOYED, code="none", image="none") == {
        "LambdaCodeBucket": "",
        "LambdaCodeKey": "",
    }


def test_code_that_somebody_else_put_there_is_the_parameter_file_s_affair() -> None:
    theirs = {"LambdaCodeBucket": "theirs", "LambdaCodeKey": "app.zip", "ImageTag": "latest"}
    assert filled(theirs) == {}


def test_the_default_of_the_template_is_the_tag_that_stands_for_none() -> None:
    assert DECLARED["ImageTag"]["Default"] == artifacts.DEFAULT_TAG
