"""Security groups as nftables rules of the lab's router: who may send what to whom. All of it is pure."""

import ipaddress
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from lab.paths import GATEWAY, MACHINE, METADATA, resolver

Group = Mapping[str, Any]
Instance = Mapping[str, Any]

TABLE = "corral_security_groups"
# Instances in these states have no network any more.
GONE = {"terminated", "stopped"}
PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp"}


def ruleset(
    instances: Iterable[Instance],
    groups: Sequence[Group],
    balancers: Iterable[Any],
    networks: Sequence[str],
) -> str:
    """The whole table, for `nft -f -` in the router's namespace: it takes the old one's place in one step.

    `instances` and `groups`: as EC2's DescribeInstances and DescribeSecurityGroups give them. `balancers`:
    with `address`, `addresses` and `groups` (ids). `networks`: of the VPCs. A packet passes when it stays in
    its VPC, a group of its sender lets it out and a group of its receiver lets it in; answers pass (EC2,
    "Security group connection tracking").
    """
    members = _members(instances, balancers)
    sets = sorted(set(members.values()))
    by_id = {group["GroupId"]: group for group in groups}
    lines = [f"table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    for group_id in sorted(by_id):
        belong = sorted((a for a, ids in members.items() if group_id in ids), key=ipaddress.ip_address)
        elements = f"elements = {{ {', '.join(belong)} }}; " if belong else ""
        lines.append(f"\tset {_name(group_id)} {{ type ipv4_addr; {elements}}}")
    for ids in sets:
        for way, key in (("out", "IpPermissionsEgress"), ("in", "IpPermissions")):
            allowed = [each for group_id in ids for each in by_id.get(group_id, {}).get(key, [])]
            rules = _rules(allowed, way, by_id)
            lines += _chain(_name(way, *ids), [*dict.fromkeys(rules), "counter drop"])
    out = {address: _name("out", *ids) for address, ids in members.items()}
    into = {address: _name("in", *ids) for address, ids in members.items()}
    lines += _chain("sender", [f"ip saddr {MACHINE} return", *_map("saddr", out), "counter drop"])
    # The packages stand on the machine: what a host sees of the world.
    world = f"ip daddr {MACHINE} tcp dport {{ 80, 443 }} return"
    lines += _chain("receiver", [world, *_map("daddr", into), "counter drop"])
    # Into a VPC come packets of its own and of the machine only, whatever the groups say: VPCs have no peers.
    own = [f"ip daddr {net} ip saddr != {net} ip saddr != {MACHINE} counter drop" for net in networks]
    lines += _chain("vpcs", own)
    # Never filtered on AWS (VPC, "Security group basics"); each VPC has a resolver of its own.
    dns = "meta l4proto { tcp, udp } th dport 53 accept"
    resolvers = [f"ip saddr {net} ip daddr {resolver(net)} {dns}" for net in networks]
    lines += _chain(
        "forward",
        [
            "type filter hook forward priority filter; policy drop",
            "ct state established,related accept",
            "jump vpcs",
            "jump sender",
            "jump receiver",
            "accept",
        ],
    )
    lines += _chain(
        "input",
        [
            "type filter hook input priority filter; policy drop",
            "ct state established,related accept",
            'iifname "lo" accept',
            f"ip saddr {MACHINE} accept",
            f"ip daddr {METADATA} tcp dport 80 accept",
            *resolvers,
            # The AWS API over TLS, for whom its groups let out; the plain one believes everybody.
            "jump sender",
            f"ip daddr {GATEWAY} tcp dport 443 accept",
            "counter drop",
        ],
    )
    return "\n".join([*lines, "}", ""])


def sources(
    group_ids: Iterable[str],
    groups: Iterable[Group],
    instances: Iterable[Instance],
    balancers: Iterable[Any],
    port: int,
) -> list[str]:
    """Networks and addresses from which `group_ids` let TCP to `port` in: for a load balancer."""
    members = _members(instances, balancers)
    found: set[str] = set()
    for group in groups:
        if group["GroupId"] not in set(group_ids):
            continue
        for permission in group["IpPermissions"]:
            every = permission["IpProtocol"] == "-1"
            in_range = permission.get("FromPort", -1) <= port <= permission.get("ToPort", -1)
            if not every and not (permission["IpProtocol"] == "tcp" and in_range):
                continue
            found |= {each["CidrIp"] for each in permission.get("IpRanges", [])}
            peers = {each["GroupId"] for each in permission.get("UserIdGroupPairs", [])}
            found |= {address for address, ids in members.items() if peers & set(ids)}
    return sorted(found)


def contains(networks: Iterable[str], address: str) -> bool:
    """Whether one of the networks (CIDR or single addresses) contains the address."""
    return any(
        ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False) for network in networks
    )


def _members(instances: Iterable[Instance], balancers: Iterable[Any]) -> dict[str, tuple[str, ...]]:
    """Every address that hosts and balancers have, with the ids of its groups."""
    members = {
        instance["PrivateIpAddress"]: tuple(sorted(group["GroupId"] for group in instance["SecurityGroups"]))
        for instance in instances
        if instance["State"]["Name"] not in GONE and instance.get("PrivateIpAddress")
    }
    for balancer in balancers:
        members |= dict.fromkeys([*balancer.addresses, balancer.address], tuple(sorted(balancer.groups)))
    return dict(sorted(members.items(), key=lambda item: ipaddress.ip_address(item[0])))


def _rules(permissions: Iterable[Mapping[str, Any]], way: str, known: Container[str]) -> list[str]:
    peer = "daddr" if way == "out" else "saddr"
    rules = []
    for permission in permissions:
        match = _match(permission)
        addresses = [each["CidrIp"] for each in permission.get("IpRanges", [])]
        # Prefix lists name Amazon's own networks; the lab has one address for all of them.
        addresses += [GATEWAY for _ in permission.get("PrefixListIds", [])]
        rules += [_words(_from(peer, address), match, "return") for address in addresses]
        peers = [each["GroupId"] for each in permission.get("UserIdGroupPairs", [])]
        rules += [_words(f"ip {peer} @{_name(each)}", match, "return") for each in peers if each in known]
    return rules


def _match(permission: Mapping[str, Any]) -> str:
    """What a rule says of protocol and ports; IPv6 has no place in the lab."""
    protocol = PROTOCOLS.get(permission["IpProtocol"], permission["IpProtocol"])
    first, last = permission.get("FromPort", -1), permission.get("ToPort", -1)
    if protocol == "-1":
        return ""
    if protocol == "icmp":
        # The ports are then type and code, -1 for any.
        kind = f"icmp type {first}" if first != -1 else "ip protocol icmp"
        return kind if last == -1 or first == -1 else f"{kind} icmp code {last}"
    if protocol in {"tcp", "udp"}:
        if (first, last) in {(-1, -1), (0, 65535)}:
            return f"meta l4proto {protocol}"
        return f"{protocol} dport {first}" if first == last else f"{protocol} dport {first}-{last}"
    return f"meta l4proto {protocol}"


def _from(peer: str, cidr: str) -> str:
    return "meta nfproto ipv4" if cidr == "0.0.0.0/0" else f"ip {peer} {cidr}"


def _map(field: str, chains: Mapping[str, str]) -> list[str]:
    pairs = ", ".join(f"{address} : goto {chain}" for address, chain in chains.items())
    return [f"ip {field} vmap {{ {pairs} }}"] if pairs else []


def _chain(name: str, rules: Iterable[str]) -> list[str]:
    return [f"\tchain {name} {{", *(f"\t\t{rule}" for rule in rules), "\t}"]


def _name(*parts: str) -> str:
    return "_".join(part.replace("-", "_") for part in parts)


def _words(*parts: str) -> str:
    return " ".join(part for part in parts if part)
