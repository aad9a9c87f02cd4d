"""Say how restored data comes into use."""

from __future__ import annotations

from lib.data.new_tables import Restored
from lib.data.settings import TableSettings
from lib.data.sources import Source


def explain_counts(restored: Restored, source: Source) -> str:
    """Return one sentence that compares the items restored with those expected."""
    if restored.items is None:
        return f"The items of {restored.table} were not counted."
    text = f"{restored.table} holds {restored.items} items"
    if restored.expected_items is not None:
        return f"{text}; {source.table} holds {restored.expected_items} now."
    if source.recorded_items:
        return f"{text}; the backup was recorded with about {source.recorded_items}."
    return f"{text}."


def explain_switch_over(
    restored: Restored,
    current: TableSettings | None,
    *,
    stack: str,
    region: str,
    shell: str = "",
    flags: str = "",
) -> tuple[str, ...]:
    """Return the steps, line by line, that bring restored data into use.

    `current` is the table that the stack uses now, None when it has none. `stack` is the
    root stack, `shell` what has to stand before a command that is to reach the same AWS, `flags`
    how a task names the stack. A
    table restored under the name of the stack's own lost table is in use at once.
    CloudFormation chose that table's name, and a table cannot be renamed, so
    either the items go to the table or the stack takes over the new one.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
    """
    name = restored.table
    if current and current.is_gone:
        if current.table == name:
            return (
                f"The data is in {name}, the table that stack {stack} uses; nothing is to switch.",
                "Check what a restore leaves out with `inv status --drift` and `inv verify`.",
            )
        current = None
    where = f"--region {region} --table-name {name}"
    return (
        f"The data is in {name}; no table of stack {stack} was changed. To use it, either",
        "",
        *_explain_copy(name, current, region, shell),
        "",
        *_explain_import(name, current, flags or f"--region {region} --stack-name {stack}"),
        "",
        f"Or, when {name} is not needed any more:",
        f"     {shell}aws dynamodb update-table {where} --no-deletion-protection-enabled",
        f"     {shell}aws dynamodb delete-table {where}",
    )


def _explain_copy(name: str, current: TableSettings | None, region: str, shell: str) -> list[str]:
    if current is None:
        into, keys = "TABLE", "its key attributes"
        intro = ["  a) let the stack create its table (`inv update`), then copy the items into it:"]
    else:
        into, keys = current.table, " and ".join(current.keys)
        intro = [f"  a) copy the items into {into}:"]
    return [
        *intro,
        "     1. Stop whatever writes to it.",
        f"     2. Every item needs {keys}; one of the same key is replaced, the others stay.",
        "     3. Run, in this folder:",
        f"        {shell}{copy_command(name, into, region)}",
    ]


def copy_command(source: str, target: str, region: str) -> str:
    """Return a shell command, on one line, that puts one table's items into another.

    The AWS CLI has no command for it; boto3 is installed wherever this tool runs.
    """
    program = "; ".join(
        (
            "import boto3, contextlib",
            f'dynamodb = boto3.resource("dynamodb", region_name="{region}")',
            'pages = dynamodb.meta.client.get_paginator("scan")',
            f'pages = pages.paginate(TableName="{source}", ConsistentRead=True)',
            "closing = contextlib.ExitStack()",
            f'target = closing.enter_context(dynamodb.Table("{target}").batch_writer())',
            '[target.put_item(Item=item) for page in pages for item in page["Items"]]',
            "closing.close()",
        )
    )
    return f".venv/bin/python -c '{program}'"


def _explain_import(name: str, current: TableSettings | None, flags: str) -> list[str]:
    table = current.table if current else "TABLE"
    return [
        f"  b) let the stack take {name} over in its place, without copying:",
        f"     inv restore --switch --table {table} --target-table {name} {flags}",
    ]
