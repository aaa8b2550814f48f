"""How a task says what it opens: `PORTS = [Port(80, sources=("balancer_cidrs",))]`, and nothing else is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Port:
    """A port of this host that others may reach.

    `sources`: names of host data that hold a network or a list of networks ("balancer_cidrs", "app_cidrs",
    "vpc_cidr", "operator_cidrs"); only from there.
    """

    number: int
    sources: tuple[str, ...]
    protocol: str = "tcp"
