"""The application that is edited: what a checkout holds, and what may become of its templates.

Four nested stacks at most: tables, a bucket, parameters of Systems Manager, and an annex with a
table and a parameter of its own, which comes and goes. An edit is a word and its arguments, so that
a sequence of edits is plain data and says what a person would do in an editor.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

#: Values of the NoEcho parameter; none may ever be written by the tool.
SECRETS = ("correct-horse-battery-staple", "hunter2-hunter2-hunter2")

REGIONS = ("us-east-1", "eu-west-1")

_URL = (
    "https://s3.${AWS::Region}.${AWS::URLSuffix}/plot-palette-cfn-${AWS::AccountId}-${AWS::Region}"
)
_STRING = {"Type": "String"}
#: The parameter by which a table that was imported keeps its name.
_UNNAMED = {"Type": "String", "Default": ""}

#: Names that an edit chooses among.
TABLES = ("Notes", "Drafts", "Jobs", "Costs")
NOTES = ("First", "Second", "Third")


@dataclass
class Table:
    """A table of the database stack."""

    policy: str = "Delete"
    key: str = "id"
    ttl: str = ""
    pitr: bool = False
    protected: bool = False
    #: The nested stack that it stands in, database or storage.
    home: str = "database"
    #: The parameter that names it, which stays when the table is given another logical ID.
    named: str = ""


@dataclass
class Application:
    """What the templates and parameters of a checkout say."""

    comment: int = 0
    word: str = "one"
    switch: str = "off"
    secret: int = 0
    tag: str = "word"
    tables: dict[str, Table] = field(
        default_factory=lambda: {"Notes": Table("Retain", ttl="gone", pitr=True), "Drafts": Table()}
    )
    #: Each parameter of the API stack, by logical ID: how often it was given another name.
    notes: dict[str, int] = field(default_factory=lambda: {"First": 0})
    output: bool = False
    spare: bool = False
    annex: bool = False

    def copy(self) -> Application:
        """Return another one that says the same."""
        return copy.deepcopy(self)

    def edit(self, kind: str, *given: str) -> bool:
        """Make an edit; false where there is nothing that it could be made to."""
        done: bool = getattr(self, f"_edit_{kind.replace('-', '_')}")(*given)
        return done

    def _edit_comment(self) -> bool:
        self.comment += 1
        return True

    def _edit_word(self, word: str) -> bool:
        self.word = word
        return True

    def _edit_switch(self) -> bool:
        self.switch = "off" if self.switch == "on" else "on"
        return True

    def _edit_secret(self) -> bool:
        self.secret = 1 - self.secret
        return True

    def _edit_tag(self) -> bool:
        self.tag = "word" if self.tag == "topic" else "topic"
        return True

    def _edit_output(self) -> bool:
        self.output = not self.output
        return True

    def _edit_spare(self) -> bool:
        self.spare = not self.spare
        return True

    def _edit_annex(self) -> bool:
        self.annex = not self.annex
        return True

    def _edit_add_table(self, name: str, policy: str) -> bool:
        if name in self.tables:
            return False
        taken = {self.naming(other) for other in self.tables}
        named = f"{name}Name" if f"{name}Name" not in taken else f"Other{name}Name"
        self.tables[name] = Table(policy, named=named)
        return True

    def _edit_remove_table(self, name: str) -> bool:
        # A template without any resource is none.
        if not self._is_movable(name):
            return False
        del self.tables[name]
        return True

    def _edit_rename_table(self, name: str, other: str) -> bool:
        if name not in self.tables or other in self.tables:
            return False
        named = self.naming(name)
        self.tables[other] = self.tables.pop(name)
        self.tables[other].named = named
        return True

    def _edit_key(self, name: str) -> bool:
        return self._change(name, key={"id": "key", "key": "id"})

    def _edit_policy(self, name: str) -> bool:
        return self._change(name, policy={"Retain": "Delete", "Delete": "Retain"})

    def _edit_ttl(self, name: str) -> bool:
        return self._change(name, ttl={"": "gone", "gone": ""})

    def _edit_pitr(self, name: str) -> bool:
        return self._change(name, pitr={False: True, True: False})

    def _edit_protect(self, name: str) -> bool:
        return self._change(name, protected={False: True, True: False})

    def _change(self, name: str, **following: dict[Any, Any]) -> bool:
        if name not in self.tables:
            return False
        for attribute, after in following.items():
            setattr(self.tables[name], attribute, after[getattr(self.tables[name], attribute)])
        return True

    def _edit_add_note(self, name: str) -> bool:
        if name in self.notes:
            return False
        self.notes[name] = 0
        return True

    def _edit_remove_note(self, name: str) -> bool:
        if name not in self.notes or len(self.notes) == 1:
            return False
        del self.notes[name]
        return True

    def _edit_rename_note(self, name: str) -> bool:
        if name not in self.notes:
            return False
        self.notes[name] += 1
        return True

    def _edit_move_table(self, name: str) -> bool:
        return self._is_movable(name) and self._change(
            name, home={"database": "storage", "storage": "database"}
        )

    def _is_movable(self, name: str) -> bool:
        """Tell whether a table is there whose going leaves the database stack one."""
        return name in self.tables and self.tables_in("database") != [name]

    def naming(self, name: str) -> str:
        """Return the parameter that names a table."""
        return self.tables[name].named or f"{name}Name"

    def tables_in(self, home: str) -> list[str]:
        """Return the names of the tables in the database stack, or in the storage stack."""
        return [name for name, table in self.tables.items() if table.home == home]

    # --- as files

    def write(self, folder: Path) -> None:
        """Write templates and parameters into a checkout."""
        place = folder / "infrastructure" / "cloudformation"
        wanted = {f"{name}-stack.yaml": text for name, text in self.templates().items()}
        for path in place.glob("*-stack.yaml"):
            if path.name not in wanted:
                path.unlink()
        for name, text in wanted.items():
            (place / name).write_text(text)
        values = {"Word": self.word, "Secret": SECRETS[self.secret], "Switch": self.switch}
        entries = [{"ParameterKey": k, "ParameterValue": v} for k, v in values.items()]
        path = folder / "infrastructure" / "parameters" / "development.json"
        path.write_text(json.dumps(entries))

    def templates(self) -> dict[str, str]:
        """Return each template's text by its name; JSON is YAML, too."""
        found = {
            "master": self._master(),
            "database": self._database(),
            "storage": self._storage(),
            "api": self._api(),
        }
        if self.annex:
            found["annex"] = self._annex()
        note = f"# Edited {self.comment} times.\n"
        return {name: note + json.dumps(body, indent=1) + "\n" for name, body in found.items()}

    def paths(self, switch: str) -> set[str]:
        """Return the paths of all resources that a stack of this application holds."""
        found = {"DatabaseStack", "StorageStack", "StorageStack/Files", "ApiStack"}
        found |= {f"{home_of(table.home)}/{name}" for name, table in self.tables.items()}
        found |= {f"ApiStack/{name}" for name in [*self.notes, "Hidden"]}
        if self.spare and switch == "on":
            found.add("ApiStack/Spare")
        if self.annex:
            found |= {"AnnexStack", "AnnexStack/Ledger", "AnnexStack/Note"}
        return found

    def _master(self) -> Json:
        names = [self.naming(name) for name in self.tables_in("database")]
        nested = {
            "DatabaseStack": _nest("database", **{name: {"Ref": name} for name in names}),
            "StorageStack": _nest("storage", Word={"Ref": "Word"}),
            "ApiStack": _nest(
                "api",
                Word={"Ref": "Word"},
                Secret={"Ref": "Secret"},
                Switch={"Ref": "Switch"},
                Notes={"Fn::GetAtt": ["DatabaseStack", "Outputs.Notes"]},
            ),
        }
        if self.annex:
            nested["AnnexStack"] = _nest("annex", Word={"Ref": "Word"})
        given = ("VpcCidr", "BedrockModelIds", "BedrockInferenceProfileIds", "Word", "Switch")
        outputs: Json = {
            "Notes": {"Value": {"Fn::GetAtt": ["DatabaseStack", "Outputs.Notes"]}},
            "Word": {"Value": {"Fn::GetAtt": ["ApiStack", "Outputs.Word"]}},
        }
        if self.output:
            outputs["Files"] = {"Value": {"Fn::GetAtt": ["StorageStack", "Outputs.Files"]}}
        return _template(
            "A small application",
            nested,
            {
                **dict.fromkeys(given, _STRING),
                **dict.fromkeys(names, _UNNAMED),
                "Secret": {"Type": "String", "NoEcho": True},
            },
            outputs,
        )

    def _database(self) -> Json:
        tables = {name: self.naming(name) for name in self.tables_in("database")}
        made = _template(
            "Tables",
            {name: _table(self.tables[name], named) for name, named in tables.items()},
            dict.fromkeys(tables.values(), _UNNAMED),
            {"Notes": {"Value": {"Ref": next(iter(tables))}}},
        )
        made["Conditions"] = {
            f"Has{named}": {"Fn::Not": [{"Fn::Equals": [{"Ref": named}, ""]}]}
            for named in tables.values()
        }
        return made

    def _storage(self) -> Json:
        files = {
            "Type": "AWS::S3::Bucket",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {"Tags": [{"Key": self.tag, "Value": {"Ref": "Word"}}]},
        }
        outputs = {"Files": {"Value": {"Ref": "Files"}}}
        tables = {name: _table(self.tables[name]) for name in self.tables_in("storage")}
        return _template("A bucket", {"Files": files, **tables}, {"Word": _STRING}, outputs)

    def _api(self) -> Json:
        resources: Json = {
            name: _note({"Ref": "Word"}, Description={"Ref": "Notes"}, **_name(name, count))
            for name, count in self.notes.items()
        }
        resources["Hidden"] = _note({"Ref": "Secret"})
        if self.spare:
            resources["Spare"] = {"Condition": "IsOn", **_note("spare")}
        names = dict.fromkeys(("Word", "Notes", "Switch"), _STRING)
        made = _template(
            "Notes, one of them secret",
            resources,
            {**names, "Secret": {"Type": "String", "NoEcho": True}},
            {"Word": {"Value": {"Ref": next(iter(self.notes))}}},
        )
        return {**made, "Conditions": {"IsOn": {"Fn::Equals": [{"Ref": "Switch"}, "on"]}}}

    def _annex(self) -> Json:
        resources = {"Ledger": _table(Table()), "Note": _note({"Ref": "Word"})}
        return _template("A table and a note", resources, {"Word": _STRING})


#: Every edit that a sequence may make: its word, and what each argument is chosen among.
EDITS: dict[str, tuple[tuple[str, ...], ...]] = {
    "comment": (),
    "word": (("one", "two", "three"),),
    "switch": (),
    "secret": (),
    "tag": (),
    "output": (),
    "spare": (),
    "annex": (),
    "add-table": (TABLES, ("Retain", "Delete")),
    "remove-table": (TABLES,),
    "rename-table": (TABLES, TABLES),
    "move-table": (TABLES,),
    "key": (TABLES,),
    "policy": (TABLES,),
    "ttl": (TABLES,),
    "pitr": (TABLES,),
    "protect": (TABLES,),
    "add-note": (NOTES,),
    "remove-note": (NOTES,),
    "rename-note": (NOTES,),
}

_SAID = {
    "comment": "change a comment in every template",
    "word": "development.json: Word = {0}",
    "switch": "development.json: Switch the other way (on or off)",
    "secret": "development.json: Secret = another value",
    "tag": "storage-stack.yaml: rename the bucket's tag",
    "output": "master-stack.yaml: add the output Files, or take it out",
    "spare": "api-stack.yaml: add Spare, on condition IsOn, or take it out",
    "annex": "add AnnexStack with its template, or take both out",
    "add-table": "database-stack.yaml: add the table {0}, policies {1}",
    "remove-table": "database-stack.yaml: take the table {0} out",
    "rename-table": "database-stack.yaml: rename the table {0} to {1}",
    "move-table": "move the table {0} between database-stack.yaml and storage-stack.yaml",
    "key": "database-stack.yaml: give {0} another key (id or key)",
    "policy": "database-stack.yaml: the other policies for {0} (Retain or Delete)",
    "ttl": "database-stack.yaml: time to live of {0} on or off",
    "pitr": "database-stack.yaml: point-in-time recovery of {0} on or off",
    "protect": "database-stack.yaml: deletion protection of {0} on or off",
    "add-note": "api-stack.yaml: add the parameter {0}",
    "remove-note": "api-stack.yaml: take the parameter {0} out",
    "rename-note": "api-stack.yaml: give the parameter {0} another Name",
}


def describe_edit(kind: str, *given: str) -> str:
    """Say what a person does in an editor."""
    return _SAID[kind].format(*given)


def _nest(name: str, **given: Any) -> Json:
    properties: Json = {"TemplateURL": {"Fn::Sub": f"{_URL}/{name}-stack.yaml"}}
    return {
        "Type": "AWS::CloudFormation::Stack",
        "Properties": {**properties, **({"Parameters": given} if given else {})},
    }


def _template(
    said: str, resources: Json, parameters: Json | None = None, outputs: Json | None = None
) -> Json:
    body: Json = {"AWSTemplateFormatVersion": "2010-09-09", "Description": said}
    if parameters:
        body["Parameters"] = parameters
    body["Resources"] = resources
    if outputs:
        body["Outputs"] = outputs
    return body


def home_of(home: str) -> str:
    """Return the logical ID of the nested stack that a table stands in."""
    return f"{home.capitalize()}Stack"


def _table(table: Table, name: str = "") -> Json:
    """Return a table, with the parameter that may name it."""
    properties: Json = {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": table.key, "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": table.key, "KeyType": "HASH"}],
    }
    if name:
        chosen = [f"Has{name}", {"Ref": name}, {"Ref": "AWS::NoValue"}]
        properties["TableName"] = {"Fn::If": chosen}
    if table.ttl:
        properties["TimeToLiveSpecification"] = {"AttributeName": table.ttl, "Enabled": True}
    if table.pitr:
        recovery = {"PointInTimeRecoveryEnabled": True}
        properties["PointInTimeRecoverySpecification"] = recovery
    if table.protected:
        properties["DeletionProtectionEnabled"] = True
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": table.policy,
        "UpdateReplacePolicy": table.policy,
        "Properties": properties,
    }


def _note(value: Any, **more: Any) -> Json:
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value, **more}}


def _name(logical: str, count: int) -> Json:
    return {"Name": {"Fn::Sub": f"/${{AWS::StackName}}/{logical}-{count}"}} if count else {}
