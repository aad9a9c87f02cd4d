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
    restored: Restored, current: TableSettings | None, *, stack: str, region: str, shell: str = ""
) -> tuple[str, ...]:
    """Return the steps, line by line, that bring restored data into use.

    `current` is the table that the stack uses now, None when it has none. `stack` is the
    root stack, `shell` what has to stand before a command that is to reach the same AWS. A
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
        *_explain_import(name, stack, region),
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


def _explain_import(name: str, stack: str, region: str) -> list[str]:
    return [
        f"  b) let the stack take {name} over, without copying:",
        "     1. In infrastructure/cloudformation, add a table under a new logical ID, with",
        f"        TableName: {name}, DeletionPolicy and UpdateReplacePolicy Retain, and the",
        "        properties that it has now; change nothing else.",
        "     2. Publish it and import it from the root stack:",
        f"        inv upload --region {region} --stack-name {stack}",
        f"        aws cloudformation create-change-set --region {region} --stack-name {stack} \\",
        "          --change-set-name import-restored-table --change-set-type UPDATE \\",
        "          --include-nested-stacks --import-existing-resources \\",
        "          --capabilities CAPABILITY_IAM CAPABILITY_NAMED_IAM CAPABILITY_AUTO_EXPAND \\",
        "          --template-url URL_OF_THE_RELEASE \\",
        "          --parameters ParameterKey=KEY,UsePreviousValue=true (one for each parameter)",
        "        Look at it with describe-change-set: the table must say Import, all else nothing",
        "        or Modify of its nested stack. Then execute-change-set.",
        "     3. Point every reference (outputs, policies, functions) at the new logical ID and",
        "        run `inv update`; take the old table out in an update of its own. Its Retain",
        "        policy keeps it until you delete it.",
    ]
