"""Bring a stack and its data back under control after a bad night."""

from __future__ import annotations

from commands.answers import add_verification, settle_harmless_questions
from commands.flags import COMMON, VERIFY_HELP, as_list
from commands.operation import operation
from commands.target import Target
from lib.operators import Answer


@operation(
    help={
        "resource": "Where it is to go: NestedStack/LogicalId, comma-separated for several.",
        "physical-id": "The existing table or bucket, as many as there are resources.",
        "preview": "Show the whole way; change nothing.",
        **VERIFY_HELP,
    },
    common=(*COMMON, "role_arn"),
    changes=True,
)
def adopt(
    target: Target,
    resource: str | None = None,
    physical_id: str | None = None,
    preview: bool = False,
    no_verify: bool = False,
) -> Answer:
    """Data: put an existing table or bucket under the stack.

    inv rescue.adopt --resource DatabaseStack/JobsTable --physical-id jobs-2026
    inv rescue.adopt --resource StorageStack/DataBucket --physical-id NAME --preview
    """
    from lib.rescue import adoption

    settle_harmless_questions(target)
    wanted = adoption.read_pairs(as_list(resource), as_list(physical_id))
    told = adoption.adopt(target.job, target.access, wanted, preview=preview)
    return told if preview or no_verify else add_verification(target, told)
