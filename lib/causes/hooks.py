"""Find out what a hook has against a resource."""

from __future__ import annotations

from lib.causes.evidence import Case, Search


def look(search: Search, case: Case) -> None:
    """Add what a hook's checks say, and what they advise.

    DescribeStackEvents gives a HookInvocationId; that GetHookResult takes it nobody has seen, and
    AWS names ListHookResults as where its HookResultId comes from. Both have the same form.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_GetHookResult.html
    """
    cfn = search.access.aws.client("cloudformation")
    answer = search.ask("hook result", lambda: cfn.get_hook_result(HookResultId=case.hook_id))
    if answer is None:
        return
    search.add("hook", str(answer.get("HookStatusReason") or ""))
    for one in answer.get("Annotations", []):
        if one.get("Status") != "FAILED":
            continue
        parts = (one.get("AnnotationName"), one.get("StatusMessage"))
        told = ": ".join(str(part) for part in parts if part)
        advice = " ".join(
            str(one[key]) for key in ("RemediationMessage", "RemediationLink") if one.get(key)
        )
        search.add("hook", f"{told}\n{advice}".strip())
