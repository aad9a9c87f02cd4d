"""What AWS wants to be allowed for a call, beside the action of the call's own name.

Neither botocore's models nor CloudFormation's resource schemas say it: the schema of a nested
stack, for one, lists CreateStack and not the TagResource that AWS checks with it. The authority
is the Service Authorization Reference and the guides it points to. What follows was written
down from there by hand on 2026-11-25; what the reference says of resources and condition keys
comes as data with cfn-lint, see `REFERENCE`.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable
from importlib import resources
from typing import Any

_SAR = "https://docs.aws.amazon.com/service-authorization/latest/reference/"
_CFN = "https://docs.aws.amazon.com/AWSCloudFormation/latest/"
CLOUDFORMATION = _SAR + "list_cloudformation.html"
TAGGING = _CFN + "UserGuide/control-access-with-iam.html"
SERVICE_ROLE = _CFN + "UserGuide/using-iam-servicerole.html"
GET_AZS = _CFN + "TemplateReference/intrinsic-function-reference-getavailabilityzones.html"
PARAMETER_TYPES = _CFN + "UserGuide/cloudformation-supplied-parameter-types.html"

#: Tags go with these calls always (`Project`, `Environment`, `ManagedBy`), and AWS checks the
#: right to give and to take them. Without it: "is not authorized to perform:
#: cloudformation:TagResource".
_TAGS = frozenset({"cloudformation:TagResource", "cloudformation:UntagResource"})

#: Whoever hands a role to CloudFormation passes it.
_PASSES = frozenset({"iam:PassRole"})

#: What Fn::GetAZs looks at in the name of whoever proposes or creates, and what the values of
#: AWS's own parameter types are checked against.
_LOOKS = frozenset(
    f"ec2:Describe{name}"
    for name in ("AccountAttributes", "AvailabilityZones", "SecurityGroups", "Subnets", "Vpcs")
)

#: By service and operation: the actions beside the one of the operation's name, and the pages.
BESIDE: dict[tuple[str, str], tuple[frozenset[str], tuple[str, ...]]] = {
    ("cloudformation", "CreateStack"): (
        _TAGS | _PASSES | _LOOKS,
        (CLOUDFORMATION, TAGGING, SERVICE_ROLE, GET_AZS, PARAMETER_TYPES),
    ),
    ("cloudformation", "CreateChangeSet"): (
        _TAGS | _PASSES | _LOOKS,
        (CLOUDFORMATION, TAGGING, SERVICE_ROLE, GET_AZS, PARAMETER_TYPES),
    ),
    ("cloudformation", "UpdateStack"): (
        _TAGS | _PASSES | _LOOKS,
        (CLOUDFORMATION, TAGGING, SERVICE_ROLE, GET_AZS, PARAMETER_TYPES),
    ),
    ("cloudformation", "ExecuteChangeSet"): (_TAGS, (CLOUDFORMATION, TAGGING)),
    ("cloudformation", "ContinueUpdateRollback"): (_PASSES, (CLOUDFORMATION, SERVICE_ROLE)),
    ("cloudformation", "DeleteStack"): (_PASSES, (CLOUDFORMATION, SERVICE_ROLE)),
    ("cloudformation", "RollbackStack"): (_PASSES, (CLOUDFORMATION, SERVICE_ROLE)),
}

#: By service prefix: its actions with the resource types that each can be held to, and its
#: resource types with the form of their ARNs and the condition keys that come with them.
#: cfn-lint's extract of the Service Authorization Reference.
REFERENCE: dict[str, Any] = json.loads(
    (resources.files("cfnlint") / "data" / "AdditionalSpecs" / "Policies.json").read_text()
)


def beside(calls: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return what AWS wants beside the actions of some calls' own names."""
    return frozenset().union(*(BESIDE[call][0] for call in calls if call in BESIDE))


def matching(action: str) -> list[str]:
    """List the actions that an action of a policy, maybe with a wildcard, stands for."""
    service, _, name = action.partition(":")
    known = REFERENCE[service]["Actions"]
    return [f"{service}:{one}" for one in known if fnmatch.fnmatchcase(one, name.lower())]


def resource_types(action: str) -> list[str]:
    """List the types of resource that a statement can hold an action to."""
    service, _, name = action.partition(":")
    return [one.lower() for one in REFERENCE[service]["Actions"][name.lower()].get("Resources", [])]


def is_of_type(arn: str, service: str, resource_type: str) -> bool:
    """Tell whether an ARN of a policy can be one of a resource type."""
    forms = REFERENCE[service]["Resources"][resource_type]["ARNFormats"]
    return any(_resource_part(arn, form) for form in forms)


def _resource_part(arn: str, form: str) -> bool:
    """Compare the last field of two ARNs, up to where either leaves it open."""
    mine, theirs = (re.split(r"\.?\*", text.split(":", 5)[5])[0] for text in (arn, form))
    return mine.startswith(theirs) or theirs.startswith(mine)


def condition_keys(service: str, resource_type: str) -> set[str]:
    """Return the condition keys that come with a resource of a type, without their suffix."""
    keys = REFERENCE[service]["Resources"][resource_type].get("ConditionKeys", [])
    return {key.partition("/")[0] for key in keys}
