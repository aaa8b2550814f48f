"""The VPCs that the lab has networks for: those of the API that find room on this machine."""

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from typing import Any

from corral.settings.sections import PRIVATE
from lab.files import write_atomically
from lab.paths import VPCS, resolver


@dataclass(frozen=True)
class Vpc:
    """A VPC and its network, such as "10.42.0.0/16"."""

    id: str
    cidr: str

    @property
    def resolver(self) -> str:
        """Address of its resolver."""
        return resolver(self.cidr)


def read(ec2: Any) -> list[Vpc]:
    """All VPCs of the API (a boto3 client), the oldest first; without the account's default VPC.

    That one comes with every account and nobody chose its network: in the lab it is a record only.
    """
    pages = ec2.get_paginator("describe_vpcs").paginate()
    found = [vpc for page in pages for vpc in page["Vpcs"] if not vpc["IsDefault"]]
    return [Vpc(vpc["VpcId"], vpc["CidrBlock"]) for vpc in found]


def choose(
    wanted: Iterable[Vpc], present: Collection[Vpc], in_use: Callable[[str], str | None]
) -> tuple[list[Vpc], dict[str, str]]:
    """Those that can have a network, and of the others why not, by id (pure).

    `present`: those that have one; they keep it. `in_use`: says what of this machine uses addresses of a
    network; None when nothing does.
    """
    chosen: list[Vpc] = []
    refused = {}
    for vpc in sorted(wanted, key=lambda vpc: vpc not in present):
        if why := None if vpc in present else _hindrance(vpc, chosen, in_use):
            refused[vpc.id] = f"it has no network here, nor have its hosts and load balancers: {why}"
        else:
            chosen.append(vpc)
    return chosen, refused


def saved() -> list[Vpc]:
    """Those that have, or are about to have, a network now."""
    return [Vpc(**each) for each in json.loads(VPCS.read_text())] if VPCS.exists() else []


def save(chosen: Iterable[Vpc]) -> None:
    """Remember them, for the lab's other processes and for a reconciler that starts again."""
    write_atomically(VPCS, json.dumps([asdict(vpc) for vpc in chosen]))


def _hindrance(vpc: Vpc, chosen: Iterable[Vpc], in_use: Callable[[str], str | None]) -> str | None:
    network = IPv4Network(vpc.cidr)
    if not any(network.subnet_of(private) for private in PRIVATE):
        return f"{vpc.cidr} is no private network, and who has it in the world would be out of reach"
    for other in chosen:
        if network.overlaps(IPv4Network(other.cidr)):
            return f"{vpc.cidr} overlaps {other.cidr} of {other.id}"
    taken = in_use(vpc.cidr)
    return f"{vpc.cidr} is in use on this machine: {taken}" if taken else None
