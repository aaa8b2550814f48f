"""What an environment costs a month as it stands, whatever its users do: read off its template. Pure."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from corral.errors import CorralError
from corral.settings import SINGLETONS, Settings
from corral.settings.sections import Server
from corral.stack.template import assemble

PRICES = Path(__file__).with_name("prices.toml")
# A year's hours by its months, as Amazon's own calculator counts.
HOURS = 730
SEE = "docs/cost.md"


@dataclass(frozen=True)
class Line:
    """One kind of thing that is paid for: how much of it, and US dollars a month for one and for all."""

    what: str
    count: float
    each: float

    @property
    def total(self) -> float:
        """US dollars a month."""
        return self.count * self.each


def monthly(settings: Settings) -> list[Line]:
    """What is paid for by the hour or the month, at the settings' desired number of servers.

    Traffic, requests and what is in the buckets come on top. Raises CorralError for a type of instance that
    `prices.toml` has no price for.
    """
    resources = assemble(settings).to_dict()["Resources"]
    of_kind: dict[str, list[Any]] = {}
    for each in resources.values():
        of_kind.setdefault(each["Type"], []).append(each.get("Properties", {}))

    def count(kind: str) -> int:
        return len(of_kind.get(kind, []))

    hour, month = _prices()["hour"], _prices()["month"]
    addresses = count("AWS::EC2::EIP") + len(settings.zones)
    disks = sum(each["Size"] for each in of_kind.get("AWS::EC2::Volume", []))
    disks += sum(count * options.disk_gib for _, count, options in _desired(settings))
    zones = count("AWS::Route53::HostedZone")
    lines = [
        *_servers(settings),
        Line("load balancer", count("AWS::ElasticLoadBalancingV2::LoadBalancer"), hour["balancer"] * HOURS),
        Line("NAT gateway", count("AWS::EC2::NatGateway"), hour["nat"] * HOURS),
        Line("public IPv4 address", addresses, hour["address"] * HOURS),
        Line("disk, GiB of gp3", disks, month["disk_gib"]),
        Line("hosted zone", zones, month["zone"]),
        Line("alarm", count("AWS::CloudWatch::Alarm"), month["alarm"]),
    ]
    return [line for line in lines if line.count]


def _servers(settings: Settings) -> list[Line]:
    prices, lines = _prices()["instance_hour"], []
    for role, count, options in _desired(settings):
        instance_type = options.instance_type
        if instance_type not in prices:
            raise CorralError(
                f"There is no price for a {instance_type} ({role}.instance_type).",
                f"Add it to corral/stack/{PRICES.name}, under [instance_hour]: US dollars an hour.",
                SEE,
            )
        lines.append(Line(f"{role} server, {instance_type}", count, prices[instance_type] * HOURS))
    return lines


def _desired(settings: Settings) -> list[tuple[str, int, Server]]:
    singletons = [(role, 1, settings.singleton(role)) for role in SINGLETONS]
    return [("app", settings.app.desired, settings.app), *singletons]


@cache
def _prices() -> Mapping[str, Mapping[str, float]]:
    return tomllib.loads(PRICES.read_text(encoding="utf-8"))
