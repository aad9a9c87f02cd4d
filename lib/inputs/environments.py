"""Find out what an environment in a region consists of: its values and where they come from.

Pure but for reading the files it is given. `--env` takes a name, which stands for
`infrastructure/parameters/<name>.json`, or the path of a file.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import InputError, ParameterError
from lib.inputs import parameters
from lib.inputs.parameters import Problem

PRODUCTION = "production"

_STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
_ACCOUNT = re.compile(r"[0-9]{12}")
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
#: and reference_iam-quotas.html: a path of 512 characters and a name of 64 at most.
_ROLE_ARN = re.compile(
    r"arn:aws(?:-[a-z]+)*:iam::([0-9]{12}):role/(?:[!-~]{1,510}/)?[\w+=,.@-]{1,64}", re.ASCII
)
_ACCOUNT_KEYS = frozenset({"account", "role_arn"})
_REGION_KEYS = frozenset({"BedrockModels", "VPCCidr", "Parameters"})
#: Cross-region inference profiles carry their geography before the model's id.
#: https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
_PROFILE = re.compile(r"(global|us|us-gov|eu|apac|au|jp|ca)\.(.+)")

#: What the tool fills in from regions.json; nothing else may set these.
_DERIVED = ("VpcCidr", "BedrockModelIds", "BedrockInferenceProfileIds")


@dataclass(frozen=True)
class Environment:
    """One environment's parameter file."""

    name: str
    path: Path
    values: Mapping[str, str]
    problems: tuple[Problem, ...]

    @property
    def is_production(self) -> bool:
        """Tell whether this is the environment that people depend on."""
        return self.name == PRODUCTION


@dataclass(frozen=True)
class Account:
    """One environment's entry in accounts.json: where it belongs, and as whom it is deployed.

    `number` is the account's 12 digits, `role_arn` the service role that CloudFormation takes,
    "" for none.
    """

    number: str
    role_arn: str = ""


@dataclass(frozen=True)
class Region:
    """One region's entry in regions.json."""

    name: str
    vpc_cidr: str
    bedrock_models: tuple[str, ...]
    overrides: Mapping[str, str]


def read_environment(name_or_path: str, folder: Path) -> Environment:
    """Read the parameter file of an environment.

    `folder` holds one JSON file per environment. A file given by path is named after its
    EnvironmentName value, else after itself. Raises `ParameterError` naming the
    environments there are when there is no such one.
    """
    looks_like_path = "/" in name_or_path or name_or_path.endswith(".json")
    path = Path(name_or_path) if looks_like_path else folder / f"{name_or_path}.json"
    if not _is_file(path):
        known = list_environments(folder)
        near = difflib.get_close_matches(name_or_path, known, n=1)
        raise ParameterError(
            f"There is no environment {name_or_path!r}: {path} does not exist. "
            f"Known: {', '.join(known) or 'none'}.{f' Did you mean {near[0]}?' if near else ''}",
            next_step="choose one with --env NAME, or give --env PATH",
        )
    file = parameters.read(path)
    name = file.values.get("EnvironmentName") or path.stem
    problems = list(file.problems)
    if not looks_like_path and name != name_or_path:
        problems.append(
            Problem("EnvironmentName", f"is {name!r} in the file of environment {name_or_path!r}")
        )
        name = name_or_path
    return Environment(name, path, file.values, tuple(problems))


def _is_file(path: Path) -> bool:
    """Tell whether a path leads to a file; one that is too long leads nowhere."""
    try:
        return path.is_file()
    except OSError:
        return False


def list_environments(folder: Path) -> list[str]:
    """Return the names of the environments that have a parameter file."""
    return sorted(path.stem for path in folder.glob("*.json"))


def read_accounts(path: Path, known: Collection[str]) -> dict[str, Account]:
    """Read accounts.json: the one account that each environment may be deployed to.

    A value is the account's 12 digits, or `{"account": DIGITS, "role_arn": ARN}` where
    CloudFormation is to take a service role. The file may be absent, and an environment may be
    left out of it. `known` are the environments there are. Raises `InputError` listing every
    fault.
    """
    if not path.exists():
        return {}
    document = parameters.load(path)
    if not isinstance(document, dict):
        raise InputError(f"{path} is not an object with an account for each environment.")
    entries = {
        name: value if isinstance(value, dict) else {"account": value}
        for name, value in document.items()
    }
    faults = [f"there is no environment {name!r}" for name in document if name not in known]
    faults += [fault for name, entry in entries.items() for fault in _account_faults(name, entry)]
    if faults:
        raise InputError(f"{path} cannot be used:", problems=faults)
    return {name: Account(e["account"], e.get("role_arn", "")) for name, e in entries.items()}


def _account_faults(name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with one environment's entry."""
    for key in sorted(entry.keys() - _ACCOUNT_KEYS):
        yield f"{name}: unknown key {key!r}"
    account, role = entry.get("account"), entry.get("role_arn", "")
    if not isinstance(account, str) or not _ACCOUNT.fullmatch(account):
        yield f"{name}: {account!r} is not an account's 12 digits in quotes"
    elif not isinstance(role, str) or (role and account_of(role) is None):
        yield f"{name}: role_arn {role!r} is not the ARN of a role"
    elif role and account_of(role) != account:
        yield f"{name}: role_arn {role!r} is a role of another account than {account}"


def account_of(role_arn: str) -> str | None:
    """Return the account that an IAM role's ARN names, None for what is no such ARN."""
    match = _ROLE_ARN.fullmatch(role_arn)
    return match[1] if match else None


def check_role_arn(text: str) -> str:
    """Return the ARN of an IAM role, or raise `InputError`."""
    if account_of(text) is None:
        raise InputError(
            f"--role-arn takes the ARN of an IAM role, not {text!r}.",
            next_step="arn:aws:iam::ACCOUNT:role/NAME stands in the outputs of the role's stack "
            "(infrastructure/cloudformation/service-role.yaml)",
        )
    return text


def read_regions(path: Path) -> dict[str, Region]:
    """Read regions.json.

    Raises `InputError` listing every fault: a key that is not known, a value of the wrong
    type, a CIDR that is none, an override of what the region's own keys set.
    """
    document = parameters.load(path)
    if not isinstance(document, dict) or not document:
        raise InputError(f"{path} is not an object with one entry per region.")
    faults = [fault for name, entry in document.items() for fault in _region_faults(name, entry)]
    if faults:
        raise InputError(f"{path} cannot be used:", problems=faults)
    return {
        name: Region(
            name,
            entry["VPCCidr"],
            tuple(entry["BedrockModels"]),
            dict(entry.get("Parameters", {})),
        )
        for name, entry in document.items()
    }


def _region_faults(name: str, entry: Any) -> list[str]:
    """Return what is wrong with one region's entry."""
    if not re.fullmatch(r"[a-z]{2,4}(-[a-z]+)+-\d", name):
        return [f"{name!r} is not the name of a region"]
    if not isinstance(entry, dict):
        return [f"{name} is not an object"]
    faults = [f"{name}: unknown key {key!r}" for key in sorted(set(entry) - _REGION_KEYS)]
    cidr = entry.get("VPCCidr")
    network = _as_network(cidr)
    if network is None or str(network) != cidr:
        faults.append(f"{name}: VPCCidr {cidr!r} is not an IPv4 network such as 10.0.0.0/16")
    elif not 16 <= network.prefixlen <= 28:
        faults.append(f"{name}: VPCCidr {network} must be between /16 and /28")
    models = entry.get("BedrockModels")
    if not isinstance(models, list) or not all(isinstance(m, str) and m for m in models):
        faults.append(f"{name}: BedrockModels is not a list of model ids")
    overrides = entry.get("Parameters", {})
    if not isinstance(overrides, dict) or not all(isinstance(v, str) for v in overrides.values()):
        return [*faults, f"{name}: Parameters is not an object of strings"]
    faults += [
        f"{name}: Parameters sets {key}, which the region's own keys decide"
        for key in _DERIVED
        if key in overrides
    ]
    if "EnvironmentName" in overrides:
        faults.append(f"{name}: Parameters sets EnvironmentName, which --env decides")
    return faults


def _as_network(text: object) -> ipaddress.IPv4Network | None:
    """Return an IPv4 network, or None."""
    try:
        return ipaddress.IPv4Network(text) if isinstance(text, str) else None
    except ValueError:
        return None


def choose(regions: Mapping[str, Region], name: str) -> Region:
    """Return a region's entry, or raise `InputError` naming those there are."""
    if name in regions:
        return regions[name]
    near = difflib.get_close_matches(name, regions, n=1)
    raise InputError(
        f"The region {name!r} is not configured. Known: {', '.join(sorted(regions))}."
        f"{f' Did you mean {near[0]}?' if near else ''}",
        next_step="choose one with --region, or add it to infrastructure/regions.json",
    )


def merge(environment: Environment, region: Region) -> dict[str, str]:
    """Return an environment's values with a region's laid over them.

    What the region's own keys say (VPC CIDR, Bedrock models) fills parameters that the
    file leaves out; the region's Parameters win over the file. What `find_clashes` finds
    has to be refused.
    """
    return {**environment.values, **_derive(region), **region.overrides}


def find_clashes(environment: Environment, region: Region) -> tuple[Problem, ...]:
    """Return a problem for each value that a file sets otherwise than the region's keys do."""
    return tuple(
        Problem(
            name,
            f"is {environment.values[name]!r} in {environment.path.name} "
            f"and {value!r} in regions.json for {region.name}",
        )
        for name, value in _derive(region).items()
        if environment.values.get(name, value) != value
    )


def _derive(region: Region) -> dict[str, str]:
    """Return the parameters that a region's own keys make."""
    return {"VpcCidr": region.vpc_cidr, **split_models(region.bedrock_models)}


def split_models(models: tuple[str, ...]) -> dict[str, str]:
    """Return the two template parameters that the Bedrock models of a region make.

    An inference profile is invoked under its own id but runs foundation models, so the
    model behind each profile is listed with the models.
    """
    behind = {model: _PROFILE.fullmatch(model) for model in models}
    profiles = [model for model, match in behind.items() if match]
    foundation = [match[2] if match else model for model, match in behind.items()]
    return {
        "BedrockModelIds": ",".join(dict.fromkeys(foundation)),
        "BedrockInferenceProfileIds": ",".join(profiles),
    }


def is_stack_name(name: str) -> bool:
    """Tell whether CloudFormation takes a name for a stack."""
    return _STACK_NAME.fullmatch(name) is not None


def check_stack_name(name: str) -> str:
    """Return a stack name that CloudFormation takes, or raise `InputError`."""
    if not is_stack_name(name):
        raise InputError(
            f"{name!r} cannot name a stack: letters, digits and hyphens, a letter first, "
            "128 characters at most."
        )
    return name
