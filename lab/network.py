"""The lab's network: a router namespace, the balancers' and one per host, and the one link to the machine."""

import ipaddress
import json
from collections.abc import Collection, Iterable
from pathlib import Path

from lab import guard
from lab.commands import in_namespace, ip_batch, run
from lab.paths import (
    BALANCER_NAMESPACE,
    FIRST_BALANCER,
    GATEWAY,
    LINK,
    LINK_NETWORK,
    MACHINE,
    METADATA,
    ROUTER,
    host_namespace,
    resolver,
)

# The on-link gateway of every host and of the balancer; it never leaves its veth pair.
_HOST_GATEWAY = "169.254.1.1"
_NAMESPACES = Path("/run/netns")

# Packets with a source address that is not routed back to where they came from are dropped, as AWS's
# source/destination check does. There is no default route: the lab's router knows the lab alone.
_ROUTER_SYSCTLS = (
    "net.ipv4.ip_forward=1",
    "net.ipv4.conf.all.rp_filter=1",
    "net.ipv4.conf.default.rp_filter=1",
    # Every refusal is said, so that what has no way fails at once and not by a timeout.
    "net.ipv4.icmp_ratelimit=0",
)


def up() -> None:
    """Make the router, the balancers' namespace and the link; there is no VPC yet."""
    guard.raise_guard([])
    run("ip", "netns", "add", ROUTER)
    run(*in_namespace(ROUTER, "sysctl", "-qw", *_ROUTER_SYSCTLS))
    run("ip", "link", "add", LINK, "type", "veth", "peer", "name", "up0", "netns", ROUTER)
    # Two ends and no network: of that the last address would be for broadcasts, and it is a balancer's.
    ip_batch([f"addr add {MACHINE} peer {GATEWAY} dev {LINK}"])
    ip_batch(
        [
            "link set lo up",
            f"addr add {METADATA}/32 dev lo",
            f"addr add {GATEWAY} peer {MACHINE} dev up0",
            "link set up0 up",
        ],
        ROUTER,
    )
    raise_link([])
    _join(BALANCER_NAMESPACE, "lb0", "eth0", FIRST_BALANCER, _mac(FIRST_BALANCER))


def raise_link(networks: Collection[str]) -> None:
    """Let the machine reach the lab and the VPCs' networks, and no others by this way.

    It mends a link that was taken down, for its routes went with it.
    """
    wanted = {*networks, LINK_NETWORK}
    shown = json.loads(run("ip", "-j", "route", "show", "dev", LINK) or "[]")
    gone = {route["dst"] for route in shown if route.get("gateway") == GATEWAY} - wanted
    ip_batch(
        [
            f"link set {LINK} up",
            *(f"route replace {network} via {GATEWAY} dev {LINK}" for network in sorted(wanted)),
            *(f"route del {network} via {GATEWAY} dev {LINK}" for network in sorted(gone)),
        ]
    )


def set_vpcs(networks: Collection[str]) -> None:
    """Have guard, routes and resolvers' addresses for these VPCs' networks, and for no others.

    The guard covers a network before anything else knows it, and until nothing else does any more.
    """
    guard.raise_guard({*networks, *guard.covered()})
    raise_link(networks)
    present = _addresses(ROUTER, "lo") - {"127.0.0.1", METADATA}
    wanted = {resolver(network) for network in networks}
    ip_batch(
        [f"addr add {address}/32 dev lo" for address in sorted(wanted - present)]
        + [f"addr del {address}/32 dev lo" for address in sorted(present - wanted)],
        ROUTER,
    )
    guard.raise_guard(networks)


def inhabited(network: str) -> bool:
    """Whether a host or a balancer still has an address in a VPC's network."""
    routes = json.loads(run("ip", "-n", ROUTER, "-j", "route", "show"))
    inside = ipaddress.ip_network(network)
    return any(ipaddress.ip_network(route["dst"]).overlaps(inside) for route in routes)


def set_balancer_addresses(addresses: Iterable[str]) -> None:
    """Let the balancers have these addresses, their own and one in each of their subnets, and no others."""
    wanted = {FIRST_BALANCER, *addresses}
    present = balancer_addresses()
    if present == wanted:
        return
    ip_batch(
        [f"addr add {address}/32 dev eth0" for address in sorted(wanted - present)]
        + [f"addr del {address}/32 dev eth0" for address in sorted(present - wanted)],
        BALANCER_NAMESPACE,
    )
    ip_batch(
        [f"route replace {address}/32 dev lb0" for address in sorted(wanted - present)]
        + [f"route del {address}/32 dev lb0" for address in sorted(present - wanted)],
        ROUTER,
    )


def balancer_addresses() -> set[str]:
    """All addresses of the balancers' namespace."""
    return _addresses(BALANCER_NAMESPACE, "eth0")


def attach_host(instance_id: str, address: str) -> None:
    """Make a host's namespace and its link to the router; `address`: its private IPv4 address."""
    _join(host_namespace(instance_id), host_interface(address), "ens5", address, host_mac(address))


def detach_host(instance_id: str) -> None:
    """Remove a host's link, with its route, and its namespace.

    The link first: a connection that nobody answers any more keeps a namespace without a name for minutes.
    """
    namespace = host_namespace(instance_id)
    run("ip", "-n", namespace, "link", "del", "ens5", check=False)
    remove_namespace(namespace)


def host_interface(address: str) -> str:
    """Name of the router's interface towards a host: "10.42.1.5" gives "h0a2a0105"."""
    return "h" + ipaddress.IPv4Address(address).packed.hex()


def host_mac(address: str) -> str:
    """A host's MAC address, made from its private address; locally administered, as EC2's are."""
    return _mac(address)


def namespaces() -> list[str]:
    """Names of all network namespaces of the lab that exist."""
    if not _NAMESPACES.is_dir():
        return []
    names = sorted(path.name for path in _NAMESPACES.iterdir())
    return [name for name in names if name in (ROUTER, BALANCER_NAMESPACE) or name.startswith(f"{ROUTER}-i-")]


def remove_namespace(name: str) -> None:
    """Remove one namespace, and a name that a killed `ip netns add` left without one behind it."""
    if (_NAMESPACES / name).exists():
        run("ip", "netns", "del", name, check=False)
        (_NAMESPACES / name).unlink(missing_ok=True)


def down() -> None:
    """Remove the link, every namespace and, last, the guard; whatever of them there is."""
    run("ip", "link", "del", LINK, check=False)
    for name in namespaces():
        remove_namespace(name)
    guard.lower_guard()


def _addresses(namespace: str, interface: str) -> set[str]:
    shown = run("ip", "-n", namespace, "-o", "-4", "addr", "show", "dev", interface)
    return {line.split()[3].partition("/")[0] for line in shown.splitlines()}


def _join(namespace: str, router_side: str, name: str, address: str, mac: str) -> None:
    """A new namespace with one interface `name`, joined to the router by a veth pair, routed both ways."""
    run("ip", "netns", "add", namespace)
    peer = f"peer name {name} address {mac} netns {namespace}"
    ip_batch(
        [
            f"link add {router_side} type veth {peer}",
            f"addr add {_HOST_GATEWAY}/32 dev {router_side}",
            f"link set {router_side} up",
            f"route add {address}/32 dev {router_side}",
        ],
        ROUTER,
    )
    ip_batch(
        [
            "link set lo up",
            f"addr add {address}/32 dev {name}",
            f"link set {name} up",
            f"route add {_HOST_GATEWAY} dev {name} scope link",
            f"route add default via {_HOST_GATEWAY} dev {name} onlink src {address}",
        ],
        namespace,
    )


def _mac(address: str) -> str:
    return ":".join(f"{byte:02x}" for byte in b"\x02\x00" + ipaddress.IPv4Address(address).packed)
