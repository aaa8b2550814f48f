"""The lab's resolver: answers from Route 53's records, and Amazon's own names with the lab's API."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lab.paths import BALANCER, GATEWAY, STATE, resolver

Record = Mapping[str, Any]
# How many CNAMEs to follow before calling it a circle.
MOST_STEPS = 8
# Seconds that a client may keep an answer: short, so that what changes in Route 53 is seen soon.
TTL = 5


def render_config(cidr: str, region: str, hosts: Path) -> str:
    """dnsmasq's configuration (pure).

    `cidr`: the VPC's network; the resolver stands at its third address. `hosts`: the file of names.
    """
    network = ipaddress.ip_network(cidr)
    return "\n".join(
        [
            "# Written by the lab (lab/names.py).",
            "no-resolv",
            "no-hosts",
            "bind-interfaces",
            f"listen-address={resolver(cidr)}",
            f"addn-hosts={hosts}",
            f"local-ttl={TTL}",
            # The AWS API, whatever the service. Names in the file of names, such as a load balancer's, win.
            f"address=/amazonaws.com/{GATEWAY}",
            # The names that EC2 gives to instances by their addresses ("Amazon EC2 instance hostname types").
            f"synth-domain={region}.compute.internal,{network},ip-",
            # There is nobody else to ask: what is not here does not exist.
            "address=/#/",
            "user=root",
            "group=root",
            "",
        ]
    )


def render_hosts(records: Iterable[Record], known: Mapping[str, str]) -> str:
    """The file of names, in hosts(5)' format (pure).

    `records`: Route 53's ResourceRecordSets of all zones; A, AAAA, CNAME and aliases are answered, the last
    two as the addresses that they lead to. `known`: names of AWS (a load balancer's) with their address.
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
    lines = [f"{address} {name}" for name, addresses in table.items() for address in addresses]
    for name in onward:
        lines += [f"{address} {name}" for address in _follow(name, onward, table)]
    return "".join(f"{line}\n" for line in sorted(set(lines)))


def _follow(name: str, onward: Mapping[str, str], table: Mapping[str, list[str]]) -> list[str]:
    for _ in range(MOST_STEPS):
        if name in table:
            return table[name]
        if name not in onward:
            break
        name = onward[name]
    return []


def _plain(name: str) -> str:
    """A name as clients ask for it: Route 53 adds a dot at the end, its console "dualstack." to aliases."""
    return name.lower().rstrip(".").removeprefix("dualstack.")


class Resolver:
    """dnsmasq and its files. The reconciler starts it in the router's namespace."""

    def __init__(self, directory: Path = STATE / "names"):
        self.config = directory / "dnsmasq.conf"
        self.hosts = directory / "hosts"

    def prepare(self, cidr: str, region: str) -> None:
        """Write the first configuration; `cidr`: the VPC's network."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(render_config(cidr, region, self.hosts), encoding="utf-8")
        self.hosts.touch()

    def command(self) -> list[str]:
        """The resolver as a process that stays in the foreground; SIGHUP lets it read the names again."""
        return ["dnsmasq", "--keep-in-foreground", f"--conf-file={self.config}", "--log-facility=-"]

    def sync(self, route53: Any, balancers: Iterable[Any], reload: Callable[[], None]) -> None:
        """Let the names be what Route 53 says, and call `reload` when that changed them.

        `route53`: a boto3 client. `balancers`: lab.balancer.Balancer, whose names lead to the lab's balancer.
        """
        known = {balancer.dns_name: BALANCER for balancer in balancers}
        names = render_hosts(_records(route53), known)
        if self.hosts.read_text(encoding="utf-8") != names:
            beside = self.hosts.with_suffix(".new")
            beside.write_text(names, encoding="utf-8")
            beside.replace(self.hosts)
            reload()


def _records(route53: Any) -> Iterable[Record]:
    for page in route53.get_paginator("list_hosted_zones").paginate():
        for zone in page["HostedZones"]:
            records = route53.get_paginator("list_resource_record_sets")
            for record_page in records.paginate(HostedZoneId=zone["Id"]):
                yield from record_page["ResourceRecordSets"]
