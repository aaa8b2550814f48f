"""The machine's doors, 127.0.0.1:443 and :80: each leads to the load balancer that a client names. Pure."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from lab.balancer.model import Balancer
from lab.balancer.places import MACHINE_NAMESPACE, Places

# A listener: its balancer's name and its port.
Door = tuple[str, int]

# Whom a client calls in its first bytes, and how to know that they have come: by the listener's protocol.
_CALLED = {
    "HTTPS": ("req.ssl_sni", "{ req.ssl_hello_type 1 }"),
    "HTTP": ("req.hdr(host),field(1,:)", "HTTP"),
}
# Route 53 takes stranger ones, which no client calls and no line of the configuration may hold.
_NAME = re.compile(r"(\*\.)?[a-z0-9_.-]+")


def leading(balancers: Iterable[Balancer], names: Mapping[str, str]) -> list[tuple[str, Balancer]]:
    """Every name with the balancer that it leads to, wildcards last.

    `names`: with their address, as Route 53 has them for the world. What is in nobody's zone leads to the
    balancer that has a certificate for it.
    """
    by_address = {balancer.address: balancer for balancer in balancers}
    found = {name: by_address[address] for name, address in names.items() if address in by_address}
    for balancer in by_address.values():
        for listener in balancer.listeners:
            for name in (name for certificate in listener.domains for name in certificate):
                found.setdefault(name, balancer)
    sound = [(name, balancer) for name, balancer in found.items() if _NAME.fullmatch(name)]
    return sorted(sound, key=lambda item: (item[0].startswith("*"), -len(item[0]), item[0]))


def render(
    balancers: Sequence[Balancer], open_doors: Collection[Door], names: Mapping[str, str], places: Places
) -> list[str]:
    """Parts of HAProxy's configuration, the last ones, as they have defaults of their own.

    TLS ends and requests are read at each balancer's own listener; here they are passed on as they come, with
    the client's address before them. Who calls nobody by name, or a stranger, is led to the first balancer.
    `open_doors`: listeners that the security groups open to the machine. `names`: as for `leading`.
    """
    parts = []
    for port in sorted(places.ports):
        inside = [balancer for balancer in balancers if (balancer.name, port) in open_doors]
        if inside:
            parts.append(_frontend(port, inside, leading(balancers, names), places))
            parts += [_backend(balancer, port, places) for balancer in inside]
    return [_DEFAULTS, _NOBODY, *parts] if parts else []


# Each balancer's listener has its own, shorter times; what it hangs up on is hung up on here too.
_DEFAULTS = """\
defaults machine
    mode tcp
    timeout connect 10s
    timeout client 7d
    timeout server 7d"""

# Behind the names of balancers that do not listen there, or do not let the machine in.
_NOBODY = """\
backend machine:nobody
    tcp-request content reject"""


def _frontend(
    port: int, inside: Sequence[Balancer], named: Iterable[tuple[str, Balancer]], places: Places
) -> str:
    protocol = next(each.protocol for each in inside[0].listeners if each.port == port)
    called, come = _CALLED[protocol]
    lines = [
        f"frontend machine:{port}",
        f"bind 127.0.0.1:{places.ports[port]}{places.within(MACHINE_NAMESPACE)}",
        "tcp-request inspect-delay 10s",
        f"tcp-request content accept if {come}",
    ]
    for name, balancer in named:
        match = f"-m end -i {name[1:]}" if name.startswith("*") else f"-i {name}"
        where = _name(balancer, port) if balancer in inside else "machine:nobody"
        lines.append(f"use_backend {where} if {{ {called} {match} }}")
    return "\n    ".join([*lines, f"default_backend {_name(inside[0], port)}"])


def _backend(balancer: Balancer, port: int, places: Places) -> str:
    where = places.socket(balancer.name, port)
    return f"backend {_name(balancer, port)}\n    server listener {where} send-proxy-v2"


def _name(balancer: Balancer, port: int) -> str:
    return f"machine:{balancer.name}-{port}"
