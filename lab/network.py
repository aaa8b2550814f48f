"""The lab's network: a router namespace, the balancer's and one per host, and the one link to the machine."""

import ipaddress
from pathlib import Path

from lab import guard
from lab.commands import in_namespace, ip_batch, run
from lab.paths import (
    BALANCER,
    BALANCER_NAMESPACE,
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


def up(cidr: str) -> None:
    """Make the router, the balancer's namespace and the link; `cidr`: the VPC's network."""
    guard.raise_guard(cidr)
    run("ip", "netns", "add", ROUTER)
    run(*in_namespace(ROUTER, "sysctl", "-qw", *_ROUTER_SYSCTLS))
    run("ip", "link", "add", LINK, "type", "veth", "peer", "name", "up0", "netns", ROUTER)
    ip_batch([f"addr add {MACHINE}/30 dev {LINK}"])
    ip_batch(
        [
            "link set lo up",
            f"addr add {METADATA}/32 dev lo",
            f"addr add {resolver(cidr)}/32 dev lo",
            f"addr add {GATEWAY}/30 dev up0",
            "link set up0 up",
        ],
        ROUTER,
    )
    raise_link(cidr)
    _join(BALANCER_NAMESPACE, "lb0", "eth0", BALANCER, _mac(BALANCER))


def raise_link(cidr: str) -> None:
    """Let the machine reach the lab; mends a link that was taken down, for its routes went with it."""
    routes = [f"route replace {network} via {GATEWAY} dev {LINK}" for network in (cidr, LINK_NETWORK)]
    ip_batch([f"link set {LINK} up", *routes])


def set_balancer_addresses(addresses: list[str]) -> None:
    """Let the balancer speak from these addresses (one in each public subnet), and from no others."""
    wanted = {BALANCER, *addresses}
    present = set()
    for line in run("ip", "-n", BALANCER_NAMESPACE, "-o", "-4", "addr", "show", "dev", "eth0").splitlines():
        present.add(line.split()[3].partition("/")[0])
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


def attach_host(instance_id: str, address: str) -> None:
    """Make a host's namespace and its link to the router; `address`: its private IPv4 address."""
    _join(host_namespace(instance_id), host_interface(address), "ens5", address, host_mac(address))


def detach_host(instance_id: str) -> None:
    """Remove a host's namespace; its link and its route go with it."""
    remove_namespace(host_namespace(instance_id))


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
