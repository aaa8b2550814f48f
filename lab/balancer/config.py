"""HAProxy's configuration out of what the API says: as an application load balancer does it. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.balancer import doors
from lab.balancer.frontends import backend, frontend
from lab.balancer.model import Balancer, TargetGroup
from lab.balancer.places import Places
from lab.paths import ROUTER


@dataclass(frozen=True)
class Server:
    """A target as HAProxy knows it."""

    name: str
    address: str
    port: int
    source: str


def render(
    balancers: Sequence[Balancer],
    certificates: Mapping[tuple[str, ...], Path],
    api_certificate: Path,
    open_doors: Collection[doors.Door],
    names: Mapping[str, str],
    servers: Mapping[str, Iterable[Server]],
    places: Places,
) -> str:
    """The whole configuration.

    `certificates`: names -> PEM. `open_doors`: listeners that the security groups open to the machine.
    `names`: those that lead to the balancers' addresses. `servers`: backend -> its servers at this moment.
    They come and go by the socket (runtime.py), and are written here for a reload to keep them.
    """
    parts = [_top(places), _api(api_certificate, places)]
    for balancer in balancers:
        for listener in balancer.listeners:
            parts.append(frontend(balancer, listener, certificates, open_doors, places))
        used = {listener.target_group for listener in balancer.listeners}
        for group in balancer.target_groups:
            if group.arn in used:
                parts.append(_backend(balancer, group, servers.get(backend(group), ())))
    parts += doors.render(balancers, open_doors, names, places)
    return "\n\n".join(parts) + "\n"


def server_words(group: TargetGroup, server: Server) -> str:
    """A server's own words: its health check as the target group says, its source in its zone."""
    tls = " ssl verify none" if group.protocol == "HTTPS" else ""
    check_tls = " check-ssl verify none" if group.check_protocol == "HTTPS" and not tls else ""
    port = server.port if group.check_port == "traffic-port" else group.check_port
    return (
        f"{server.address}:{server.port} source {server.source}{tls} check{check_tls} port {port} "
        f"inter {group.interval}s rise {group.healthy} fall {group.unhealthy}"
    )


def open_words(group: TargetGroup, server: Server) -> str:
    """The same server unchecked, as a backup: used with all others when no target is healthy (fail open)."""
    tls = " ssl verify none" if group.protocol == "HTTPS" else ""
    return f"{server.address}:{server.port} source {server.source}{tls} backup"


def _top(places: Places) -> str:
    directory = places.directory
    return f"""\
# Written by the lab (lab/balancer/config.py).
global
    stats socket {directory}/admin.sock mode 600 level admin expose-fd listeners
    server-state-file {directory}/servers.state
    log stdout format raw local0 info
    # The first check of a new target comes at once, not after a whole interval.
    max-spread-checks 200
    # As the balancer it stands for: a websocket comes as HTTP/1.1.
    h2-workaround-bogus-websocket-clients

defaults
    mode http
    log global
    option httplog
    # Elastic Load Balancing gives a target 10 seconds to take a connection, and does not try another one.
    timeout connect 10s
    retries 0
    timeout client 60s
    timeout server 60s
    timeout http-request 60s
    load-server-state-from-file global"""


def _api(certificate: Path, places: Places) -> str:
    """Amazon's names lead here: TLS ends, and who calls is marked as a host."""
    return f"""\
frontend aws:api
    bind {places.api_listen}{places.within(ROUTER)} ssl crt {certificate} alpn http/1.1 ssl-min-ver TLSv1.2
    http-request set-header X-Forwarded-Proto https
    default_backend aws:api

backend aws:api
    option http-server-close
    server moto {places.api_server}{places.within(ROUTER)}"""


def _backend(balancer: Balancer, group: TargetGroup, servers: Iterable[Server]) -> str:
    idle = balancer.attributes.get("idle_timeout.timeout_seconds", "60")
    # A check names no site: its Host is the target's address (Elastic Load Balancing, "Health checks").
    headers = "hdr Host %[bc_dst]:%[bc_dst_port] hdr User-Agent ELB-HealthChecker/2.0"
    lines = [
        f"backend {backend(group)}",
        "balance roundrobin",
        "option allbackups",
        f"timeout server {idle}s",
        # A websocket that nothing passes through is as idle as any connection.
        f"timeout tunnel {idle}s",
        f"timeout check {group.timeout}s",
        "option httpchk",
        f"http-check send meth GET uri {group.check_path} ver HTTP/1.1 {headers}",
        f"http-check expect status {group.check_codes}",
    ]
    for server in servers:
        lines.append(f"server {server.name} {server_words(group, server)}")
        lines.append(f"server {server.name}-open {open_words(group, server)}")
    return "\n    ".join(lines)
