"""The VPCs' resolvers: each answers from the zones that its VPC sees, and Amazon's own names with the API."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.files import write_atomically
from lab.paths import GATEWAY, NAMES
from lab.vpcs import Vpc

Record = Mapping[str, Any]
# How many CNAMEs to follow before calling it a circle.
MOST_STEPS = 8
# Seconds that a client may keep an answer: short, so that what changes in Route 53 is seen soon.
TTL = 5


@dataclass(frozen=True)
class Zone:
    """A hosted zone. `vpcs`: ids of those that see it; None for a public one, which all the world sees."""

    name: str
    vpcs: frozenset[str] | None
    records: tuple[Record, ...]

    def covers(self, name: str) -> bool:
        """Whether a name is in the zone, or would be if there were one."""
        return f".{_plain(name)}".endswith(f".{_plain(self.name)}")


def read(route53: Any) -> list[Zone]:
    """All zones of Route 53 (a boto3 client) with their records."""
    zones = []
    for page in route53.get_paginator("list_hosted_zones").paginate():
        for said in page["HostedZones"]:
            records = route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=said["Id"])
            vpcs = None
            if said["Config"]["PrivateZone"]:
                vpcs = frozenset(vpc["VPCId"] for vpc in route53.get_hosted_zone(Id=said["Id"])["VPCs"])
            found = tuple(record for each in records for record in each["ResourceRecordSets"])
            zones.append(Zone(said["Name"], vpcs, found))
    return zones


def seen(zones: Iterable[Zone], vpc: str | None) -> list[Record]:
    """Records that are answered in a VPC; outside of all of them for None (pure).

    A name is looked for in one zone: of the VPC's private ones that cover it the closest, else of the public
    ones (Route 53's guide, "Considerations when working with a private hosted zone").
    """
    private = [zone for zone in zones if zone.vpcs is not None and vpc in zone.vpcs]
    public = [zone for zone in zones if zone.vpcs is None]
    return [
        record
        for zone in (*private, *public)
        for record in zone.records
        if (zone.name, zone.vpcs is None) == _closest(record["Name"], private, public)
    ]


def _closest(name: str, private: list[Zone], public: list[Zone]) -> tuple[str, bool]:
    """Name of the zone where a name is looked for, and whether it is a public one."""
    for zones, everywhere in ((private, False), (public, True)):
        if covering := [zone.name for zone in zones if zone.covers(name)]:
            return max(covering, key=len), everywhere
    return "", True


def render_config(vpc: Vpc, region: str, hosts: Path) -> str:
    """dnsmasq's configuration (pure). `hosts`: the file of names."""
    return "\n".join(
        [
            "# Written by the lab (lab/names.py).",
            "no-resolv",
            "no-hosts",
            "bind-interfaces",
            f"listen-address={vpc.resolver}",
            f"addn-hosts={hosts}",
            f"local-ttl={TTL}",
            # The AWS API, whatever the service. Names in the file of names, such as a load balancer's, win.
            f"address=/amazonaws.com/{GATEWAY}",
            # The names that EC2 gives to instances by their addresses ("Amazon EC2 instance hostname types").
            f"synth-domain={region}.compute.internal,{vpc.cidr},ip-",
            # There is nobody else to ask: what is not here does not exist.
            "address=/#/",
            "user=root",
            "group=root",
            "",
        ]
    )


def addresses(records: Iterable[Record], known: Mapping[str, str]) -> dict[str, list[str]]:
    """All names with their addresses, small and without the last dot (pure).

    `records`: Route 53's ResourceRecordSets; A, AAAA, CNAME and aliases are answered, the last two as the
    addresses that they lead to. `known`: names of AWS (a load balancer's) with their address.
    """
    table: dict[str, list[str]] = {_plain(name): [address] for name, address in known.items()}
    onward: dict[str, str] = {}
    for record in records:
        name = _plain(record["Name"])
        if "AliasTarget" in record:
            onward[name] = _plain(record["AliasTarget"]["DNSName"])
        elif record["Type"] == "CNAME":
            onward[name] = _plain(record["ResourceRecords"][0]["Value"])
        elif record["Type"] in {"A", "AAAA"}:
            table.setdefault(name, []).extend(value["Value"] for value in record["ResourceRecords"])
    return table | {name: found for name in onward if (found := _follow(name, onward, table))}


def render_hosts(found: Mapping[str, Iterable[str]]) -> str:
    """The file of names, in hosts(5)' format (pure). `found`: names with their addresses."""
    lines = {f"{address} {name}" for name, addresses in found.items() for address in addresses}
    return "".join(f"{line}\n" for line in sorted(lines))


def _follow(name: str, onward: Mapping[str, str], table: Mapping[str, list[str]]) -> list[str]:
    for _ in range(MOST_STEPS):
        if name in table:
            return table[name]
        if name not in onward:
            break
        name = onward[name]
    return []


def _plain(name: str) -> str:
    """A name as clients ask for it: Route 53 adds a dot at the end, its console "dualstack." to aliases.

    It writes a wildcard as \\052 (its guide, "DNS domain name format").
    """
    return name.lower().rstrip(".").removeprefix("dualstack.").replace("\\052", "*")


class Resolver:
    """A VPC's dnsmasq and its files. It runs in the router's namespace."""

    def __init__(self, vpc: Vpc, directory: Path = NAMES):
        self.vpc = vpc
        self.directory = directory / vpc.id
        self.config = self.directory / "dnsmasq.conf"
        self.hosts = self.directory / "hosts"

    def prepare(self, region: str) -> None:
        """Write its configuration, and no names yet."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config.write_text(render_config(self.vpc, region, self.hosts), encoding="utf-8")
        self.hosts.touch()

    def command(self) -> list[str]:
        """The resolver as a process that stays in the foreground; SIGHUP lets it read the names again."""
        return ["dnsmasq", "--keep-in-foreground", f"--conf-file={self.config}", "--log-facility=-"]

    def sync(self, zones: Iterable[Zone], known: Mapping[str, str], reload: Callable[[], None]) -> None:
        """Let the names be those that the VPC sees, and call `reload` when that changed them.

        `known`: names of AWS (a load balancer's) with their address.
        """
        names = render_hosts(addresses(seen(zones, self.vpc.id), known))
        if self.hosts.read_text(encoding="utf-8") != names:
            write_atomically(self.hosts, names)
            reload()

    def remove(self) -> None:
        """Remove its files, after it has ended."""
        shutil.rmtree(self.directory, ignore_errors=True)
