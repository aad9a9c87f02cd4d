"""Take out of a recording what nobody else may read, the same thing always in the same way.

A replay decides by what is left, so nothing is blanked: an account becomes another account, an
address another address, a secret other characters of the same kinds and number. Equal things
stay equal, and what is drawn from them keeps its width.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import json
import random
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from lib.values import MASK

#: The accounts of AWS's own examples, which are nobody's, and the emulator's.
EXAMPLES = ("123456789012", "111122223333", "444455556666", "777788889999")
_NOBODYS = frozenset({*EXAMPLES, "000000000000", "111111111111"})

#: What an account's number looks like, wherever it stands: never within a word, a longer number or
#: a UUID, whose end may be digits alone.
_ACCOUNT = re.compile(
    r"(?P<uuid>\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b)"
    r"|(?<![0-9A-Za-z.])\d{12}(?![0-9A-Za-z])"
)
_EMAIL = re.compile(r"[\w.+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}")
_EXAMPLE_DOMAINS = ("example.com", "example.org", "example.net", "x.test")

#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")

#: What proves a request to be somebody's: in a pre-signed URL, in a header.
#: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
#: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
_PROOFS = (
    re.compile(
        r"(?i)((?:X-Amz-(?:Signature|Credential|Security-Token)|[?&](?:Signature|AWSAccessKeyId))=)"
        r"([^&\s\"'<>]+)"
    ),
    re.compile(r"(AWS4-HMAC-SHA256[^\n\"]*?Signature=)([0-9a-fA-F]+)"),
    re.compile(r"(AWS4-HMAC-SHA256 Credential=)([^,\s]+)"),
    re.compile(r"\b((?:Bearer|Basic) )([A-Za-z0-9+/=._~-]{8,})"),
)

#: What the name of a secret has in it, and what it ends in.
_PART = r"password|passphrase|secret|private.?key|api.?key|access.?key|key.?material"
_END = r"tokens?|credentials?|authorization|cookies?"
_NAMES_SECRET = re.compile(rf"{_PART}|(?:{_END})$", re.IGNORECASE)
#: What is called a token and is none that opens anything: it makes a request recognisable.
_NAMES_NONE = re.compile(r"ClientRequestToken|ClientToken|RequestToken|OperationId", re.IGNORECASE)
#: A member of JSON within a text whose name looks secret.
_MEMBER = re.compile(
    rf"""(["'][\w.-]*(?:(?:{_PART})[\w.-]*|{_END})["']\s*:\s*["'])"""
    r"""([^"'\\]+)(["'])""",
    re.IGNORECASE,
)

#: The names under which a list of AWS keeps a name beside its value.
_PAIRS = (
    ("ParameterKey", "ParameterValue"),
    ("Key", "Value"),
    ("Name", "Value"),
    ("name", "value"),
)

#: How DynamoDB writes a value that is no structure.
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
_ATTRIBUTES = frozenset({"S", "N", "SS", "NS"})

#: A shorter value goes where it stands alone; elsewhere it would spoil every word it is in.
_SHORTEST = 6
#: In what a token's life is counted is said under the token's own name.
#: https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_TokenValidityUnitsType.html
_UNITS = ("seconds", "minutes", "hours", "days")
_HARMLESS = frozenset({"", "true", "false", "null", MASK, *_UNITS})

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")


class Scrubber:
    """What has to go and what stands for it; it learns while a run goes on, and any thread may."""

    def __init__(self) -> None:
        self._stand_ins: dict[str, str] = {}
        self._alone: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._words: re.Pattern[str] | None = None
        self._loose: list[str] = []
        self._made: set[str] = set()
        self._names: set[str] = set()
        self._attributes: dict[str, str] = {}
        self._lock = threading.RLock()

    def hide(self, secrets: Iterable[str]) -> None:
        """Replace these values from now on, as they are and as JSON and URLs write them."""
        with self._lock:
            for secret in secrets:
                if secret in _HARMLESS or secret in self._stand_ins or secret in self._made:
                    continue
                if len(secret) < _SHORTEST:
                    self._alone.setdefault(secret, disguise(secret, self._count("secret")))
                    continue
                self._replace(secret, disguise(secret, self._count("secret")))
                self._loose.append(secret)

    def hide_named(self, names: Iterable[str]) -> None:
        """Replace from now on whatever is said to be the value of these parameters."""
        self._names.update(names)

    def _is_secret(self, name: str) -> bool:
        return name in self._names or bool(
            _NAMES_SECRET.search(name) and not _NAMES_NONE.search(name)
        )

    def replace_digest(self, content: bytes, digest: str) -> None:
        """Have a digest stand for what is written down in the place of what it was taken of."""
        with self._lock:
            scrubbed = self.text(content.decode(errors="surrogateescape"))
            made = hashlib.sha256(scrubbed.encode(errors="surrogateescape")).hexdigest()
            if made != digest and digest not in self._stand_ins:
                self._replace(digest, made)
                self._replace(digest[:12], made[:12])
                raw = (base64.b64encode(bytes.fromhex(one)).decode() for one in (digest, made))
                self._replace(*raw)

    def value(self, value: Any, name: str = "") -> Any:
        """Return a value of JSON without what has to go; `name` is the member that it is of."""
        if isinstance(value, str):
            return self._named(name, value)
        if isinstance(value, list):
            return [self.value(item, name) for item in value]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1 and (kind := next(iter(value))) in _ATTRIBUTES:
            return {kind: self._attribute(value[kind])}
        self._learn_pairs(value)
        return {self.text(key): self.value(item, key) for key, item in value.items()}

    def _attribute(self, value: Any) -> Any:
        """Return what stands for a value in an item of a table, which is its owner's affair."""
        if isinstance(value, list):
            return [self._attribute(one) for one in value]
        if not isinstance(value, str):
            return value
        with self._lock:
            if value not in self._attributes:
                # Only here: what tables hold may be any word, and would spoil it everywhere.
                self._attributes[value] = disguise(value, len(self._attributes) + 1)
            return self._attributes[value]

    def _learn_pairs(self, value: Mapping[str, Any]) -> None:
        """Hide what stands beside a name that looks secret."""
        for key, beside in _PAIRS:
            named, told = value.get(key), value.get(beside)
            if isinstance(named, str) and isinstance(told, str) and self._is_secret(named):
                self.hide([told])

    def _named(self, name: str, value: str) -> str:
        if self._is_secret(name) and not value.startswith("arn:"):
            self.hide([value])
        return self._alone.get(value) or self.text(value)

    def text(self, text: str) -> str:
        """Return a text without what has to go, also in what is base64 within it."""
        with self._lock:
            return _BASE64.sub(self._within, self._plain(text))

    def screen(self, text: str) -> str:
        """Return what was shown without what has to go, also where lines were folded within it."""
        with self._lock:
            for secret in sorted(self._loose, key=len, reverse=True):
                folded = re.compile(r"\s*".join(map(re.escape, secret)))
                stand_in = self._stand_ins[secret]
                text = folded.sub(functools.partial(_refold, stand_in), text)
            return self.text(text)

    def _plain(self, text: str) -> str:
        for pattern in _PROOFS:
            text = pattern.sub(lambda m: m[1] + self._stand_in(m[2]), text)
        text = _ACCESS_KEY.sub(lambda m: self._stand_in(m[0]), text)
        for found in _MEMBER.finditer(text):
            if not _NAMES_NONE.search(found[1]):
                self.hide([found[2]])
        text = _EMAIL.sub(lambda m: self._address(m[0]), text)
        text = _ACCOUNT.sub(lambda m: m["uuid"] or self._account(m[0]), text)
        for secret, stand_in in self._alone.items():
            for mark in "\"'":
                text = text.replace(f"{mark}{secret}{mark}", f"{mark}{stand_in}{mark}")
        if self._words is None and self._stand_ins:
            longest_first = sorted(self._stand_ins, key=len, reverse=True)
            self._words = re.compile("|".join(map(re.escape, longest_first)))
        return self._words.sub(lambda m: self._stand_ins[m[0]], text) if self._words else text

    def _within(self, found: re.Match[str]) -> str:
        """Return base64 whose text is scrubbed; what is none, or holds nothing, as it is."""
        text = found[0]
        is_url = "-" in text or "_" in text
        try:
            padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
            inside = base64.b64decode(padded, altchars=b"-_" if is_url else None).decode()
        except (binascii.Error, ValueError):
            return text
        scrubbed = self._plain(inside)
        if scrubbed == inside:
            return text
        made = base64.b64encode(scrubbed.encode(), altchars=b"-_" if is_url else None).decode()
        return made if text.endswith("=") else made.rstrip("=")

    def _account(self, number: str) -> str:
        if number in _NOBODYS or number in self._made:
            return number
        known = self._stand_ins.get(number)
        if known is None:
            count = self._count("account")
            known = EXAMPLES[count - 1] if count <= len(EXAMPLES) else f"9{count:011d}"
            self._replace(number, known)
        return known

    def _address(self, address: str) -> str:
        at = "%40" if "%40" in address else "@"
        local, _, domain = address.partition(at)
        if domain in _EXAMPLE_DOMAINS:
            return address
        plain = f"{local}@{domain}"
        known = self._stand_ins.get(plain)
        if known is None:
            known = make_address(len(plain), self._count("address"))
            self._replace(plain, known)
            self._loose.append(plain)
        return known.replace("@", at)

    def _stand_in(self, secret: str) -> str:
        """Return what stands for something that is found by its form."""
        if secret in self._made:
            return secret
        if secret not in self._stand_ins:
            self._replace(secret, disguise(secret, self._count("secret")))
        return self._stand_ins[secret]

    def _replace(self, secret: str, stand_in: str) -> None:
        """Learn what stands for a secret, in every way that it may be written."""
        writings: tuple[Callable[[str], str], ...] = (
            str,
            lambda text: json.dumps(text)[1:-1],
            lambda text: quote(text, safe=""),
            quote_plus,
        )
        for write in writings:
            self._stand_ins.setdefault(write(secret), write(stand_in))
            self._made.add(write(stand_in))
        self._words = None

    def _count(self, kind: str) -> int:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return self._counts[kind]


def disguise(secret: str, number: int) -> str:
    """Return other characters of the same kinds; nothing of the secret decides which."""
    chance = random.Random(number)  # noqa: S311 (nothing is to be guessed from it)
    letters = "abcdefghijklmnopqrstuvwxyz"

    def choose(character: str) -> str:
        if character.isdigit():
            return str(chance.randrange(10))
        if character.isalpha():
            chosen = chance.choice(letters)
            return chosen.upper() if character.isupper() else chosen
        return character

    made = "".join(map(choose, secret))
    return made if made != secret else "x" * len(secret)


def make_address(length: int, number: int) -> str:
    """Return an address that is nobody's, of a length; one of less than 10 may get longer."""
    domain = "@example.com" if length > len("p99@example.com") else "@x.test"
    return f"p{number}".ljust(max(length - len(domain), 1), "x") + domain


def _refold(stand_in: str, found: re.Match[str]) -> str:
    """Return a stand-in folded where what it stands for was."""
    folded, left = found[0], iter(stand_in)
    return "".join(one if one.isspace() else next(left, "") for one in folded) + "".join(left)
