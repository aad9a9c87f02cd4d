"""Say what each tool is told for each piece of work, in a scratch folder of its own."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from bench.stage import BUCKET, REGION, STACK, Stage, copy_repository
from bench.templates import ENVIRONMENT, TemplateSet, write_parameters
from lib.templates.templates import MASTER

_CAPABILITIES = ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
_SCRIPT = Path(__file__).resolve().parent / "script" / "deploy.sh"

#: Regions for the rollout, in the order in which they are added.
REGIONS = (
    "us-east-1",
    "us-west-2",
    "eu-west-1",
    "ap-southeast-1",
    "eu-central-1",
    "us-east-2",
    "ap-northeast-1",
    "eu-west-2",
)


class Contestant:
    """One tool. A command is None for work that the tool has no means for."""

    name = ""
    needs_bucket = True
    local_urls = False

    def __init__(self, stage: Stage) -> None:
        """Work in a folder of the stage's."""
        self.stage = stage
        self.folder = stage.folder / self.name.replace(" ", "-")
        self.values: dict[str, str] = {}

    def load(self, templates: TemplateSet) -> None:
        """Put a template set into the folder."""
        files = templates.with_local_urls() if self.local_urls else templates.files
        place = self.template_folder
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for name, text in files.items():
            (place / name).write_text(text)
        self.set_values(templates.values)

    @property
    def template_folder(self) -> Path:
        """Return where the templates lie."""
        return self.folder / "infrastructure" / "cloudformation"

    def set_values(self, values: Mapping[str, str]) -> None:
        """Write down the values to deploy with."""
        self.values = dict(values)

    def deploy(self) -> Sequence[str] | None:
        """Return the command that creates or updates the stack."""

    def upload(self) -> Sequence[str] | None:
        """Return the command that uploads the templates."""

    def backup(self) -> Sequence[str] | None:
        """Return the command that backs up every table."""

    def preview(self) -> Sequence[str] | None:
        """Return the command that shows what would change and executes nothing."""

    def start(self) -> dict[str, Sequence[str]]:
        """Return commands that do nothing but start."""
        return {}

    def _tool(self, peer: str, program: str) -> str:
        return str(self.stage.peers / peer / "bin" / program)

    @property
    def _overrides(self) -> list[str]:
        return [f"{name}={value}" for name, value in self.values.items() if value]


class Ours(Contestant):
    """This repository's tasks, in a copy of the repository."""

    name = "this tool"
    needs_bucket = False
    inv = str(Path(sys.executable).with_name("inv"))

    def restore(self) -> None:
        """Copy the repository anew, with the regions that the rollout needs."""
        copy_repository(self.folder)
        path = self.folder / "infrastructure" / "regions.json"
        known = json.loads(path.read_text())
        first = known[REGION]
        for number, region in enumerate(REGIONS):
            entry = {**first, "VPCCidr": f"10.{number}.0.0/16"}
            known.setdefault(region, {**entry, "Parameters": {"DeployBudget": "false"}})
        path.write_text(json.dumps(known, indent=2))

    def set_values(self, values: Mapping[str, str]) -> None:
        """Write the parameter file; what regions.json says is left to it."""
        super().set_values(values)
        region = json.loads((self.folder / "infrastructure" / "regions.json").read_text())[REGION]
        derived = {"VpcCidr", "BedrockModelIds", "BedrockInferenceProfileIds"}
        own = {
            name: value
            for name, value in values.items()
            if name not in derived and name not in region.get("Parameters", {})
        }
        write_parameters(self.folder / "infrastructure" / "parameters" / f"{ENVIRONMENT}.json", own)

    def deploy(self) -> Sequence[str]:
        """Deploy as the peers do, without checking afterwards."""
        return [*self.deploy_and_verify(), "--no-verify"]

    def deploy_and_verify(self) -> Sequence[str]:
        """Deploy as by default: check afterwards that it answers and its data is protected."""
        return [self.inv, "deploy", "--yes", "--json"]

    def upload(self) -> Sequence[str]:
        """Publish a release."""
        return [self.inv, "upload", "--json"]

    def backup(self) -> Sequence[str]:
        """Back up and prove every table."""
        return [self.inv, "backup", "--json"]

    def preview(self) -> Sequence[str]:
        """Show a change set and the comparison of templates, delete the change set."""
        return [self.inv, "update", "--preview", "--yes", "--json"]

    def plan(self) -> Sequence[str]:
        """Keep the change set and write the plan of it."""
        return [self.inv, "plan", "--yes", "--json", "--out", str(self.folder / "plan.json")]

    def apply(self) -> Sequence[str]:
        """Apply that very plan, without checking afterwards."""
        return [self.inv, "apply", str(self.folder / "plan.json"), "--yes", "--json", "--no-verify"]

    def roll_out(self, count: int, *more: str) -> Sequence[str]:
        """Deploy to `count` regions."""
        names = ",".join(REGIONS[:count])
        return [
            *(self.inv, "deploy-multi-region", "--regions", names),
            *("--local", "--yes", "--json"),
            *more,
        ]

    def start(self) -> dict[str, Sequence[str]]:
        """Start in three ways."""
        return {
            "inv --list": [self.inv, "--list"],
            "inv --help": [self.inv, "--help"],
            "inv deploy --help": [self.inv, "deploy", "--help"],
        }


class Script(Contestant):
    """The requirements' steps as a shell script that drives the AWS CLI."""

    name = "script"
    needs_bucket = False

    def set_values(self, values: Mapping[str, str]) -> None:
        """Write the parameter file, with the bucket that the script uploads to."""
        given = {**values, "TemplatesBucketName": BUCKET}
        super().set_values(given)
        path = self.folder / "infrastructure" / "parameters" / f"{ENVIRONMENT}.json"
        write_parameters(path, given)

    def deploy(self) -> Sequence[str]:
        """Validate, upload, create or update through a change set, wait, show."""
        return self._step("deploy")

    def upload(self) -> Sequence[str]:
        """Sync to the bucket and validate each template."""
        return self._step("upload")

    def backup(self) -> Sequence[str]:
        """Ask for a backup of each table; nobody waits for it."""
        return self._step("backup")

    def preview(self) -> Sequence[str]:
        """Make a change set, show it, delete it."""
        return self._step("preview")

    def start(self) -> dict[str, Sequence[str]]:
        """Start the AWS CLI."""
        return {"aws --version": [self._tool("awscli", "aws"), "--version"]}

    def _step(self, name: str) -> Sequence[str]:
        return ["bash", str(_SCRIPT), name, STACK, REGION, ENVIRONMENT]


class Package(Contestant):
    """`aws cloudformation package` and `deploy`, one after the other."""

    name = "package and deploy"
    local_urls = True

    def deploy(self) -> Sequence[str]:
        """Package, then deploy."""
        return self._deploy()

    def _deploy(self, *more: str) -> Sequence[str]:
        command = [
            *("aws", "cloudformation", "deploy", "--template-file", "packaged.yaml"),
            *("--stack-name", STACK, "--s3-bucket", BUCKET, "--no-fail-on-empty-changeset"),
            *("--capabilities", *_CAPABILITIES, "--parameter-overrides", *self._overrides),
            *more,
        ]
        return ["bash", "-ec", f"{shlex.join(self._package())} > /dev/null; {shlex.join(command)}"]

    def upload(self) -> Sequence[str]:
        """Package only."""
        return self._package()

    def preview(self) -> Sequence[str]:
        """Leave a change set behind; the command cannot show it."""
        return self._deploy("--no-execute-changeset")

    def _package(self) -> list[str]:
        return [
            *("aws", "cloudformation", "package", "--s3-bucket", BUCKET),
            *("--template-file", f"infrastructure/cloudformation/{MASTER}"),
            *("--output-template-file", "packaged.yaml"),
        ]


class Sam(Contestant):
    """SAM CLI."""

    name = "SAM CLI"
    local_urls = True

    def deploy(self) -> Sequence[str]:
        """Package and deploy."""
        return self._deploy()

    def _deploy(self, *more: str) -> Sequence[str]:
        return [
            *(self._tool("aws-sam-cli", "sam"), "deploy", "--stack-name", STACK),
            *("--template-file", f"infrastructure/cloudformation/{MASTER}"),
            *("--s3-bucket", BUCKET, "--region", REGION, "--capabilities", *_CAPABILITIES),
            *("--no-confirm-changeset", "--no-fail-on-empty-changeset"),
            *("--parameter-overrides", *self._overrides),
            *more,
        ]

    def upload(self) -> Sequence[str]:
        """Package only."""
        return [
            *(self._tool("aws-sam-cli", "sam"), "package", "--s3-bucket", BUCKET),
            *("--template-file", f"infrastructure/cloudformation/{MASTER}"),
            *("--output-template-file", "packaged.yaml", "--region", REGION),
        ]

    def preview(self) -> Sequence[str]:
        """Show a change set and leave it behind."""
        return self._deploy("--no-execute-changeset")

    def start(self) -> dict[str, Sequence[str]]:
        """Start in two ways."""
        sam = self._tool("aws-sam-cli", "sam")
        return {"sam --version": [sam, "--version"], "sam deploy --help": [sam, "deploy", "--help"]}


class Sceptre(Contestant):
    """Sceptre, with a hook of the AWS CLI that uploads the nested templates."""

    name = "Sceptre"

    @property
    def template_folder(self) -> Path:
        """Return where Sceptre looks for templates."""
        return self.folder / "templates"

    def set_values(self, values: Mapping[str, str]) -> None:
        """Write the configuration."""
        super().set_values({**values, "TemplatesBucketName": BUCKET})
        config = self.folder / "config"
        (config / "dev").mkdir(parents=True, exist_ok=True)
        project = {"project_code": "bench", "region": REGION}
        (config / "config.yaml").write_text(yaml.safe_dump(project))
        stack = {
            "template": {"path": MASTER, "type": "file"},
            "stack_name": STACK,
            "parameters": self.values,
        }
        sync = f"aws s3 sync templates s3://{BUCKET} --exclude {MASTER}"
        hooks = "".join(
            f"  before_{event}:\n    - !cmd {json.dumps(sync)}\n" for event in ("create", "update")
        )
        (config / "dev" / "app.yaml").write_text(f"{yaml.safe_dump(stack)}hooks:\n{hooks}")

    def deploy(self) -> Sequence[str]:
        """Create or update, without a change set."""
        return [self._tool("sceptre", "sceptre"), "launch", "-y", "dev/app.yaml"]

    def start(self) -> dict[str, Sequence[str]]:
        """Start in two ways."""
        sceptre = self._tool("sceptre", "sceptre")
        return {
            "sceptre --version": [sceptre, "--version"],
            "sceptre launch --help": [sceptre, "launch", "--help"],
        }
