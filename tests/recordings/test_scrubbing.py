"""What nobody else may read is in no recording, wherever it was planted."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from lib.recordings.scrubbing import Scrubber, disguise, make_address

ACCOUNT = "390812345678"
ADDRESS = "jane.doe+ops@acme-corp.io"
NO_ECHO = "Tr0ub4dor&3/x"
ACCESS_KEY = "ASIAQ3EGRIVQ7PLANTED"
SESSION = "IQoJb3JpZ2luX2VjEPlantedSessionToken/+abc123=="
SIGNATURE = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


#: Everything that is planted, and every place that it is planted in.
PLANTED = (ACCOUNT, ADDRESS, NO_ECHO, ACCESS_KEY, SESSION, SIGNATURE)
PLACES: dict[str, Any] = {
    "a request": {
        "parameters": {
            "StackName": f"arn:aws:cloudformation:us-east-1:{ACCOUNT}:stack/x/1",
            "Parameters": [
                {"ParameterKey": "AdminEmail", "ParameterValue": ADDRESS},
                {"ParameterKey": "Phrase", "ParameterValue": NO_ECHO},
            ],
            "ExpectedBucketOwner": ACCOUNT,
        }
    },
    "a body": {
        "parameters": {
            "Body": {
                "__class__": "bytes",
                "text": json.dumps({"by": f"arn:aws:sts::{ACCOUNT}:assumed-role/r/{ADDRESS}"}),
            }
        }
    },
    "a header": {
        "HTTPHeaders": {
            "authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/us-east-1/s3/"
            f"aws4_request, SignedHeaders=host;x-amz-date, Signature={SIGNATURE}",
            "x-amz-security-token": SESSION,
            "set-cookie": f"session={SESSION}",
        }
    },
    "an answer": {
        "answer": {
            "Account": ACCOUNT,
            "Credentials": {"AccessKeyId": ACCESS_KEY, "SessionToken": SESSION},
            "Owner": {"DisplayName": ADDRESS},
        }
    },
    "a pre-signed address": {
        "uploadUrl": f"https://b.s3.amazonaws.com/k?X-Amz-Credential={ACCESS_KEY}%2F20260101&"
        f"X-Amz-Security-Token={quote(SESSION, safe='')}&X-Amz-Signature={SIGNATURE}"
    },
    "an older pre-signed address": {
        "url": f"https://b.s3.amazonaws.com/k?AWSAccessKeyId={ACCESS_KEY}&Signature={SIGNATURE}"
    },
    "an error": {
        "Message": f"User: arn:aws:iam::{ACCOUNT}:user/{ADDRESS} is not authorized; {NO_ECHO}"
    },
    "base64": {"UserData": b64(f"export A={ACCOUNT}; mail {ADDRESS}; export P='{NO_ECHO}'")},
    "base64 in a text": {"Message": f"Encoded message {b64(f'denied for {ACCOUNT}')} of {ADDRESS}"},
    "JSON in a text": {"PolicyDocument": json.dumps({"password": NO_ECHO, "a": {"p": ADDRESS}})},
    "an address of the web": {"Url": f"https://x.test/?mail={quote(ADDRESS)}&p={quote(NO_ECHO)}"},
    "a key": {f"arn:aws:iam::{ACCOUNT}:role/x": "there"},
}


def scrub(value: Any) -> str:
    scrubber = Scrubber()
    scrubber.hide([NO_ECHO, SESSION])
    return json.dumps(scrubber.value(value))


@pytest.mark.parametrize("place", PLACES)
def test_nothing_planted_is_left(place: str) -> None:
    left = scrub(PLACES[place])
    for secret in PLANTED:
        for written in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], b64(secret)):
            assert written not in left
    for piece in re.findall(r"[A-Za-z0-9+/]{16,}", left):
        decoded = base64.b64decode(piece[: len(piece) // 4 * 4])
        assert not any(secret.encode() in decoded for secret in PLANTED)


def test_a_secret_that_only_its_name_tells_of_is_taken_out_everywhere() -> None:
    scrubber = Scrubber()
    left = scrubber.value([{"MasterUserPassword": "hunter2-hunter2"}, "set to hunter2-hunter2"])
    assert "hunter2" not in json.dumps(left)


def test_in_what_a_token_s_life_is_counted_is_no_secret() -> None:
    units = {"TokenValidityUnits": {"AccessToken": "minutes", "RefreshToken": "days"}}
    told = [units, json.dumps(units), 'every "days", two minutes']
    assert Scrubber().value(told) == told


def test_a_short_secret_is_taken_out_where_it_stands_alone() -> None:
    scrubber = Scrubber()
    scrubber.hide(["abc"])
    left = scrubber.value({"Value": "abc", "Text": '{"a": "abc"}', "Word": "abcissa"})
    assert left["Value"] != "abc"
    assert '"abc"' not in left["Text"]
    assert left["Word"] == "abcissa"


def test_the_value_of_a_parameter_that_is_called_no_echo_is_taken_out() -> None:
    scrubber = Scrubber()
    scrubber.hide_named(["Phrase"])
    parameters = [{"ParameterKey": "Phrase", "ParameterValue": "open sesame"}]
    left = scrubber.value({"Parameters": parameters, "Reason": "Value open sesame is too short"})
    assert "open sesame" not in json.dumps(left)
    assert left["Reason"].startswith("Value ")


def test_equal_things_stay_equal_and_different_ones_different() -> None:
    scrubber = Scrubber()
    other = "390812345679"
    once, again, third = (scrubber.text(f"account {one}") for one in (ACCOUNT, ACCOUNT, other))
    assert once == again
    assert third != once
    assert scrubber.text(once) == once


def test_what_a_table_holds_is_taken_out_and_nothing_else_is_spoilt() -> None:
    item = {"id": {"S": "stack"}, "age": {"N": "41"}, "on": {"BOOL": True}, "of": {"SS": ["a"]}}
    scrubber = Scrubber()
    left = scrubber.value({"Items": [item], "Status": "stack"})
    again = scrubber.value({"ExclusiveStartKey": {"id": {"S": "stack"}}})
    assert left["Items"][0]["id"]["S"] not in ("stack", "")
    assert left["Items"][0]["age"]["N"] != "41"
    assert left["Items"][0]["on"] == {"BOOL": True}
    assert left["Status"] == "stack"
    assert again["ExclusiveStartKey"]["id"] == left["Items"][0]["id"]


def test_what_was_scrubbed_is_not_scrubbed_again() -> None:
    scrubber = Scrubber()
    # A number that is a key, too, is replaced by one that looks like an account's.
    scrubber.hide([ACCOUNT, NO_ECHO])
    once = scrubber.text(f"{ACCOUNT} {NO_ECHO} {ADDRESS} me@co.io")
    assert scrubber.text(once) == once
    assert scrubber.screen(once) == once


def test_what_is_shown_keeps_its_width() -> None:
    scrubber = Scrubber()
    text = f"stack in {ACCOUNT} for {ADDRESS}"
    assert len(scrubber.text(text)) == len(text)
    for length in range(10, 60):
        assert len(make_address(length, 7)) == length


def test_a_secret_that_was_folded_on_a_screen_is_found() -> None:
    scrubber = Scrubber()
    scrubber.text(ADDRESS)
    scrubber.hide([NO_ECHO])
    folded = f"mail {ADDRESS[:9]}\n    {ADDRESS[9:]} and {NO_ECHO[:4]}\n  {NO_ECHO[4:]}"
    left = scrubber.screen(folded)
    assert ADDRESS[:9] not in left
    assert NO_ECHO[4:] not in left
    assert [len(line) for line in left.split("\n")] == [len(line) for line in folded.split("\n")]


def test_a_digest_follows_what_it_is_of() -> None:
    scrubber = Scrubber()
    content = f"owner: {ACCOUNT}\n".encode()
    digest = hashlib.sha256(content).hexdigest()
    scrubber.replace_digest(content, digest)
    left = scrubber.text(content.decode())
    assert scrubber.text(f"releases/{digest[:12]}/x") == (
        f"releases/{hashlib.sha256(left.encode()).hexdigest()[:12]}/x"
    )
    checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert scrubber.text(checksum) == (
        base64.b64encode(hashlib.sha256(left.encode()).digest()).decode()
    )


@pytest.mark.parametrize(
    "harmless",
    [
        "000000000000",
        "someone@example.com",
        "3f10f149123456789012abcdef",
        "plot-palette-6dd4c83d-597e-479e-98d3-ba454d196b9a",
        "4528b0c9-6c28-4524-ae03-390812345678",
        "arn:aws:iam::aws:policy/ReadOnlyAccess",
        "1234567890123",
    ],
)
def test_what_is_nobody_s_is_left_alone(harmless: str) -> None:
    assert Scrubber().text(harmless) == harmless


def test_what_makes_a_request_recognisable_is_no_secret() -> None:
    token = {"ClientRequestToken": "plot-palette-6dd4c83d-597e-479e-98d3-ba454d196b9a"}
    assert Scrubber().value(token) == token


def test_a_disguise_has_nothing_of_what_it_hides() -> None:
    assert disguise("!!!", 1) == "xxx"
    assert disguise("Ab1-", 1) != "Ab1-"
    assert disguise("aaaa", 1) == disguise("zzzz", 1)
