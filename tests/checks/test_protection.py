"""A bucket policy counts as TLS only when nobody gets anything over plain HTTP.

The flaws of real tables, buckets and pools are looked for in `test_verification.py`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from lib.checks import protection


def policy(**changed: Any) -> str:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [{**statement, **changed}]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (policy(), True),
        (policy(Principal={"AWS": "*"}, Action=["s3:*"]), True),
        (policy(Effect="Allow"), False),
        (policy(Principal={"AWS": "arn:aws:iam::123456789012:root"}), False),
        (policy(Action="s3:GetObject"), False),
        (policy(Resource="arn:aws:s3:::data"), False),
        (policy(Condition={"Bool": {"aws:SecureTransport": "true"}}), False),
        (policy(Condition={}), False),
        ("", False),
        ("[]", False),
        ('{"Statement": "none"}', False),
    ],
)
def test_only_a_denial_of_everything_to_everybody_counts_as_tls_only(
    text: str, expected: bool
) -> None:
    assert protection.requires_tls(text) is expected
