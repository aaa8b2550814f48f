"""Who this node is, as its boot learnt it from its metadata and wrote it down (files/user-data.sh)."""

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path

from corral import ROOT
from corral.errors import CorralError

NODE = Path("/etc/corral/node.env")
# Gone at no reboot: what the last converge asked, found and reported.
STATE = Path("/var/lib/corral/node")
SEE = "docs/boot.md"
# Only singletons have a volume of data.
MAY_BE_EMPTY = {"CORRAL_DATA_VOLUME"}


@dataclass(frozen=True)
class Node:
    """One host. `settings`: what CORRAL_ENV calls its environment, such as "lab" or "branch/feature-x".

    `group`: name of its auto-scaling group. `bucket`: that of releases. `data_volume`: id of an EBS volume.
    Each is the file's value of the same name: CORRAL_ROLE and so on.
    """

    role: str
    environment: str
    settings: str
    instance: str
    address: str
    zone: str
    group: str
    bucket: str
    private_zone_id: str
    data_volume: str


def this_node(file: Path = NODE) -> Node:
    """The node that this machine is. Raises CorralError when its boot did not write so, or not all of it."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CorralError(
            f"{file} cannot be read ({error.strerror}): it would say which host of a fleet this machine is.",
            "Run this on a host, as root. What its first boot said: /var/log/cloud-init-output.log",
            SEE,
        ) from None
    said = dict(line.partition("=")[::2] for line in lines)
    names = {field.name: f"CORRAL_{field.name.upper()}" for field in fields(Node)}
    missing = [
        name for name in names.values() if name not in said or not (said[name] or name in MAY_BE_EMPTY)
    ]
    if missing:
        raise CorralError(
            f"{file} does not say {', '.join(missing)}.",
            "An older stack launched this host. Apply the stack and terminate the host: the next one knows.",
            SEE,
        )
    return Node(**{field: said[name] for field, name in names.items()})


def commit(root: Path = ROOT) -> str:
    """The commit that the bundle at `root` was built of."""
    return str(json.loads((root / "bundle.json").read_text(encoding="utf-8"))["commit"])


def bundle_digest(root: Path = ROOT) -> str:
    """The SHA-256 that names the folder of the bundle at `root`."""
    return Path(os.path.realpath(root)).name
