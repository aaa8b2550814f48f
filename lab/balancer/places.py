"""Where the lab's balancers listen and speak from, and whom they ask."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corral.errors import CorralError
from lab.paths import API_PORT, FIRST_BALANCER, GATEWAY, LINK_NETWORK

# Name under which the balancers' own mount namespace knows the machine's network.
MACHINE_NAMESPACE = "machine"


@dataclass(frozen=True)
class Places:
    """Where the balancers listen and whom they ask; without namespaces in tests.

    `ports`: a listener's port -> the port of the machine's 127.0.0.1 that leads to it.
    """

    directory: Path
    ports: Mapping[int, int]
    api_listen: str = f"{GATEWAY}:443"
    api_server: str = f"{GATEWAY}:{API_PORT}"
    namespaces: bool = True

    def within(self, namespace: str) -> str:
        """The word that puts a socket into a namespace."""
        return f" namespace {namespace}" if self.namespaces else ""

    def socket(self, balancer: str, port: int) -> str:
        """Where a balancer takes what comes in by the machine's door."""
        return f"unix@{self.directory}/{balancer}-{port}.sock"


def assign(known: Mapping[str, str], arns: Sequence[str]) -> dict[str, str]:
    """An address of its own for each load balancer: the one that it has, or the first that is free (pure).

    `known`: address by ARN, as it was. Raises CorralError when there are more balancers than addresses.
    """
    kept = {arn: known[arn] for arn in arns if arn in known}
    every = [str(address) for address in ipaddress.ip_network(LINK_NETWORK).hosts()]
    free = [each for each in every[every.index(FIRST_BALANCER) :] if each not in kept.values()]
    new = [arn for arn in arns if arn not in kept]
    if len(new) > len(free):
        raise CorralError("The lab has no address left for another load balancer.", "Delete some.")
    return kept | dict(zip(new, free, strict=False))


def source(address: str, subnet: str) -> str:
    """The address in a subnet from which a balancer speaks there (pure).

    EC2 gives out a subnet's first addresses: the first balancer takes the last one, the second the one before
    it, and so on. `address`: the balancer's own. Raises CorralError when the subnet is too small for that.
    """
    number = int(ipaddress.ip_address(address)) - int(ipaddress.ip_address(FIRST_BALANCER))
    network = ipaddress.ip_network(subnet)
    # Elastic Load Balancing wants 8 free addresses in a subnet (its guide, "Subnets for your load balancer").
    if number > network.num_addresses - 8:
        raise CorralError(
            f"The subnet {subnet} is too small for the lab's load balancer number {number + 1}.",
            "Use a larger one.",
        )
    return str(network[-2 - number])
