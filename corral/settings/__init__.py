"""What differs between environments: one TOML file each in `environments/`, checked as a whole when read."""

import os
import re
from pathlib import Path

from corral import ROOT
from corral.errors import CorralError
from corral.settings.kinds import NAME
from corral.settings.model import LOGS_SECONDS, SINGLETONS, Settings
from corral.settings.sections import Aws
from corral.settings.sentences import SEE

__all__ = [
    "ENVIRONMENTS",
    "LOGS_SECONDS",
    "ROOT",
    "SINGLETONS",
    "STATE",
    "Settings",
    "branch_name",
    "known",
    "load",
    "of_branch",
]

ENVIRONMENTS = ROOT / "environments"
# What corral keeps on this machine (builds, hosts' keys, logs), elsewhere where the code is another user's.
STATE = Path(os.environ.get("CORRAL_STATE") or ROOT / ".corral")


def known() -> list[str]:
    """Names of all environments, sorted."""
    return sorted(path.stem for path in ENVIRONMENTS.glob("*.toml"))


def load(name: str | None = None) -> Settings:
    """Settings of environment `name`; without one, of CORRAL_ENV, else of "live". Raises CorralError.

    A name such as "branch/feature-x" is an environment of its own, feature-x, made from that file.
    """
    chosen = name or os.environ.get("CORRAL_ENV") or "live"
    file, slash, branch = chosen.partition("/")
    if file not in known():
        origin = "" if name else " (from CORRAL_ENV)" if os.environ.get("CORRAL_ENV") else " (the default)"
        remedy = (
            f"Choose one of: {', '.join(known()) or 'none yet'}; by CORRAL_ENV or -e. Or write that file."
        )
        shown = file if re.fullmatch(NAME, file) else chosen
        raise CorralError(f"There is no environments/{shown}.toml{origin}.", remedy, SEE)
    branch = branch_name(branch) if slash else ""
    if branch in known():
        remedy = "Give the branch's environment another name, or use that file: -e " + branch
        raise CorralError(f"There is an environments/{branch}.toml already.", remedy, SEE)
    settings = Settings.from_toml(ENVIRONMENTS / f"{file}.toml", branch or None)
    return _of_a_host(settings) if os.environ.get("CORRAL_OWN_ROLE") else settings


def _of_a_host(settings: Settings) -> Settings:
    """A host knows the AWS API by Amazon's names and has a role; who logs in brings the SSH key."""
    ssh = settings.ssh.model_copy(update={"private_key": None})
    return settings.model_copy(update={"aws": Aws(), "ssh": ssh})


def of_branch(name: str | None, branch: str) -> str:
    """What `load` calls the environment of a branch: "branch/feature-x", or of the file that `name` names.

    Without a `name`, a CORRAL_ENV such as "lab-branch/feature-y" names the file. Raises CorralError.
    """
    file, slash, another = (name or os.environ.get("CORRAL_ENV") or "").partition("/")
    if name and slash and branch_name(another) != branch_name(branch):
        problem = f"-e {name} and --branch {branch} are two branches."
        raise CorralError(problem, "Give one of them.", SEE)
    return f"{file if name or slash else 'branch'}/{branch_name(branch)}"


def branch_name(branch: str) -> str:
    """A branch's environment: "Feature/Login" gives "feature-login". Raises CorralError."""
    name = re.sub(r"[^a-z0-9]+", "-", branch.lower()).strip("-")
    if re.fullmatch(NAME, name):
        return name
    shorter = name[:15].strip("-") if name[:1].isalpha() else f"b-{name[:13]}".strip("-")
    raise CorralError(
        f"{branch!r} gives {name!r}, which is no name for an environment: at most 15 small letters, digits"
        " and hyphens, first a letter.",
        f"Give a name that fits, such as --branch {shorter}",
        SEE,
    )
