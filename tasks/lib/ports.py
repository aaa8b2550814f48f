"""How a task says what it opens: `PORTS = [Port(80, sources=("balancer_cidrs",))]`, and nothing else is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import collapse_addresses, ip_network
from typing import Any

from pyinfra.api.exceptions import OperationValueError


@dataclass(frozen=True)
class Port:
    """A port of this host that others may reach.

    `sources`: names of host data that hold a network or a list of networks ("balancer_cidrs", "app_cidrs",
    "release_cidrs", "ssh_cidrs"); only from there.
    """

    number: int
    sources: tuple[str, ...]
    protocol: str = "tcp"


def _networks(port: Port, data: Mapping[str, Any]) -> list[str]:
    """The networks that may reach `port`, each once, in order."""
    found = []
    for source in port.sources:
        if source not in data:
            raise OperationValueError(
                f"Port {port.number} is for {source}, which this host's data has not: see "
                "inventory/group_data/."
            )
        value = data[source]
        found += [value] if isinstance(value, str) else list(value)
    networks = [ip_network(text) for text in found]
    merged = [
        *collapse_addresses([network for network in networks if network.version == 4]),
        *collapse_addresses([network for network in networks if network.version == 6]),
    ]
    return [str(network) for network in merged]


def rules(ports: Sequence[Port], data: Mapping[str, Any]) -> list[str]:
    """A rule of nftables for each port and family of addresses: "ip saddr { … } tcp dport 80 accept".

    `data`: the host's data, in which the ports' sources are looked up. A port whose sources are all empty
    gets no rule. Raises OperationValueError when a source is not in `data`.
    """
    found = []
    for port in sorted(ports, key=lambda port: (port.number, port.protocol)):
        networks = _networks(port, data)
        for family, mark in (("ip", "."), ("ip6", ":")):
            if members := [network for network in networks if mark in network]:
                found.append(
                    f"{family} saddr {{ {', '.join(members)} }} {port.protocol} dport {port.number} accept"
                )
    return found
