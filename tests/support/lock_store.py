"""A bucket in memory that answers conditional writes and deletes as S3 documents them.

Words and codes are those of
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html
"""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from lib.access import Access
from lib.machine import Machine
from lib.polling import Clock
from lib.session import Identity
from tests.support.aws_fakes import ACCOUNT, START, FakeTime, refusal
from tests.support.people import Person

UNMET = "At least one of the pre-conditions you specified did not hold"


@dataclass(frozen=True)
class Entry:
    """One object; `written` counts seconds since `START` by the bucket's own clock."""

    body: bytes
    written: float

    @property
    def etag(self) -> str:
        """Return the ETag of an object that is encrypted with SSE-S3: its MD5."""
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


Objects = Mapping[str, Entry]


def answer(
    objects: Objects, operation: str, asked: Mapping[str, Any], now: float
) -> tuple[Objects, Any]:
    """Return the objects after a request, and its answer: a document, or the error to raise."""
    key = asked["Key"]
    entry = objects.get(key)
    refused = _refuse(operation, asked, entry)
    if refused:
        return objects, refused
    if operation == "PutObject":
        made = Entry(asked["Body"], now)
        return {**objects, key: made}, {"ETag": made.etag}
    if operation == "DeleteObject":
        return {name: one for name, one in objects.items() if name != key}, {}
    if entry is None:
        message = "The specified key does not exist."
        return objects, refusal("NoSuchKey", message, operation, 404)
    said = format_datetime(START + timedelta(seconds=now), usegmt=False)
    return objects, {
        "Body": io.BytesIO(entry.body),
        "ETag": entry.etag,
        # S3 tells whole seconds.
        "LastModified": START + timedelta(seconds=int(entry.written)),
        "ResponseMetadata": {"HTTPHeaders": {"date": said}},
    }


def _refuse(operation: str, asked: Mapping[str, Any], entry: Entry | None) -> Exception | None:
    """Return S3's refusal where a condition is not met."""
    if asked.get("IfNoneMatch") == "*" and entry:
        return refusal("PreconditionFailed", UNMET, operation, 412)
    if operation != "GetObject" and asked.get("IfMatch"):
        if entry is None:
            return refusal("NoSuchKey", "The specified key does not exist.", operation, 404)
        if asked["IfMatch"] != entry.etag:
            return refusal("PreconditionFailed", UNMET, operation, 412)
    return None


@functools.cache
def _shapes() -> Any:
    return botocore.session.get_session().get_service_model("s3")


@dataclass
class LockStore:
    """The bucket of one account, its clock, and what was asked of it.

    `spoil` is asked before each call and may raise what AWS answers instead, or return an error to
    raise once the request was carried out, as if its answer was lost.
    """

    time: FakeTime = field(default_factory=FakeTime)
    objects: Objects = field(default_factory=dict)
    calls: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    spoil: Callable[[str, Mapping[str, Any]], BaseException | None] = lambda *_: None

    def ask(self, operation: str, **asked: Any) -> Any:
        """Answer one request, which has to be one that botocore would send."""
        report = ParamValidator().validate(asked, _shapes().operation_model(operation).input_shape)
        assert not report.has_errors(), report.generate_report()
        assert asked["ExpectedBucketOwner"] == ACCOUNT
        self.calls.append((operation, asked))
        lost = self.spoil(operation, asked)
        self.objects, said = answer(self.objects, operation, asked, self.time.seconds)
        if lost or isinstance(said, Exception):
            raise lost or said
        return said

    @property
    def operations(self) -> list[str]:
        """Return the operations that were asked for, in order."""
        return [operation for operation, _ in self.calls]

    @property
    def client(self) -> Any:
        """Return what stands for a client of S3."""
        return SimpleNamespace(
            put_object=functools.partial(self.ask, "PutObject"),
            get_object=functools.partial(self.ask, "GetObject"),
            delete_object=functools.partial(self.ask, "DeleteObject"),
        )

    def access(self, person: Person, name: str = "ann", *, clock: Clock | None = None) -> Access:
        """Return the access of somebody on a machine of that name, whose processes all live."""
        aws: Any = SimpleNamespace(
            client=lambda _service: self.client,
            identity=lambda: Identity(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/{name}"),
            region="eu-west-1",
        )
        machine = Machine(lambda: f"machine of {name}", lambda: "1", lambda _process: False)
        return Access(aws, person.operator(), clock or self.time.clock, machine)
