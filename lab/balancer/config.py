"""HAProxy's configuration out of what the API says: as an application load balancer does it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.balancer.model import Balancer, Listener, TargetGroup
from lab.paths import API_PORT, BALANCER, GATEWAY, ROUTER

# Name under which the balancer's own mount namespace knows the machine's network.
MACHINE_NAMESPACE = "machine"


@dataclass(frozen=True)
class Places:
    """Where the balancer listens and whom it asks; without namespaces in tests.

    `ports`: a listener's port -> the port of the machine's 127.0.0.1 that leads to it.
    """

    directory: Path
    ports: Mapping[int, int]
    public: str = BALANCER
    api_listen: str = f"{GATEWAY}:443"
    api_server: str = f"{GATEWAY}:{API_PORT}"
    namespaces: bool = True

    def within(self, namespace: str) -> str:
        """The word that puts a socket into a namespace."""
        return f" namespace {namespace}" if self.namespaces else ""


@dataclass(frozen=True)
class Server:
    """A target as HAProxy knows it."""

    name: str
    address: str
    port: int
    source: str


def backend(group: TargetGroup) -> str:
    """Name of a target group's backend: the end of its ARN, which is unique."""
    return "-".join(group.arn.split("/")[-2:])


def render(
    balancers: Iterable[Balancer],
    certificates: Mapping[tuple[str, ...], Path],
    api_certificate: Path,
    open_ports: Iterable[int],
    servers: Mapping[str, Iterable[Server]],
    places: Places,
) -> str:
    """The whole configuration.

    `certificates`: names -> PEM. `open_ports`: listeners that the security groups open to the machine.
    `servers`: backend -> its servers at this moment. They come and go by the socket (runtime.py), and are
    written here for a reload to keep them.
    """
    parts = [_top(places), _api(api_certificate, places)]
    for balancer in balancers:
        for listener in balancer.listeners:
            parts.append(_frontend(balancer, listener, certificates, set(open_ports), places))
        used = {listener.target_group for listener in balancer.listeners}
        for group in balancer.target_groups:
            if group.arn in used:
                parts.append(_backend(balancer, group, servers.get(backend(group), ())))
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
frontend aws-api
    bind {places.api_listen}{places.within(ROUTER)} ssl crt {certificate} alpn http/1.1 ssl-min-ver TLSv1.2
    http-request set-header X-Forwarded-Proto https
    default_backend aws-api

backend aws-api
    option http-server-close
    server moto {places.api_server}{places.within(ROUTER)}"""


def _frontend(
    balancer: Balancer,
    listener: Listener,
    certificates: Mapping[tuple[str, ...], Path],
    open_ports: set[int],
    places: Places,
) -> str:
    secure = listener.protocol == "HTTPS"
    tls = ""
    if secure:
        files = " ".join(f"crt {certificates[names]}" for names in listener.domains)
        tls = f" ssl {files} alpn h2,http/1.1 ssl-min-ver {_least_tls(listener.ssl_policy)}"
    idle = balancer.attributes.get("idle_timeout.timeout_seconds", "60")
    lines = [f"frontend {balancer.name}-{listener.port}"]
    if listener.port in places.ports and listener.port in open_ports:
        here = f"127.0.0.1:{places.ports[listener.port]}{places.within(MACHINE_NAMESPACE)}"
        lines.append(f"bind {here}{tls}")
    lines += [
        f"bind {places.public}:{listener.port}{tls}",
        f"timeout client {idle}s",
        f"timeout http-keep-alive {balancer.attributes.get('client_keep_alive.seconds', '3600')}s",
    ]
    if balancer.attributes.get("routing.http.drop_invalid_header_fields.enabled") == "true":
        lines.append('http-request del-header "[^-A-Za-z0-9]" -m reg')
    lines += _forwarded(balancer, "https" if secure else "http", listener.port)
    lines += _action(balancer, listener)
    return "\n    ".join(lines)


def _forwarded(balancer: Balancer, scheme: str, port: int) -> list[str]:
    """The headers that a load balancer adds (Elastic Load Balancing, "HTTP headers")."""
    trace = "Root=1-%[date,hex,bytes(8,8),lower]-%[uuid(),regsub(-,,g),bytes(0,24)]"
    lines = [
        f"http-request set-header X-Forwarded-Proto {scheme}",
        f"http-request set-header X-Forwarded-Port {port}",
        f'http-request set-header X-Amzn-Trace-Id "{trace}" unless {{ req.hdr(X-Amzn-Trace-Id) -m found }}',
    ]
    mode = balancer.attributes.get("routing.http.xff_header_processing.mode", "append")
    if mode == "append":
        known = "{ req.hdr(X-Forwarded-For) -m found }"
        both = '"%[req.fhdr(X-Forwarded-For)], %[src]"'
        lines += [
            f"http-request set-header X-Forwarded-For {both} if {known}",
            f"http-request set-header X-Forwarded-For %[src] unless {known}",
        ]
    elif mode == "remove":
        lines.append("http-request del-header X-Forwarded-For")
    return lines


def _action(balancer: Balancer, listener: Listener) -> list[str]:
    action = listener.action
    if action["Type"] == "redirect":
        said = action["RedirectConfig"]
        scheme = {"HTTPS": "https", "HTTP": "http"}.get(said.get("Protocol", ""), listener.protocol.lower())
        port = said.get("Port", "#{port}").replace("#{port}", str(listener.port))
        usual = (scheme, port) in {("https", "443"), ("http", "80")}
        where = said.get("Host", "#{host}") + ("" if usual else f":{port}")
        query = said.get("Query", "#{query}")
        url = f"{scheme}://{where}{said.get('Path', '/#{path}')}" + (f"?{query}" if query else "")
        for word, sample in (
            ("#{host}", "%[req.hdr(host),field(1,:)]"),
            ("#{path}", '%[path,regsub(^/,"")]'),
            ("#{query}", "%[query]"),
        ):
            url = url.replace(word, sample)
        code = said["StatusCode"].removeprefix("HTTP_")
        return [f"http-request redirect location {url} code {code}"]
    if action["Type"] == "fixed-response":
        said = action["FixedResponseConfig"]
        body = said.get("MessageBody", "").replace('"', r"\"")
        kind = said.get("ContentType", "text/plain")
        return [f'http-request return status {said["StatusCode"]} content-type {kind} string "{body}"']
    group = next(each for each in balancer.target_groups if each.arn == listener.target_group)
    return [f"default_backend {backend(group)}"]


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


def _least_tls(policy: str) -> str:
    """The oldest TLS of a security policy; what is older than 1.2 the lab does not speak."""
    return "TLSv1.3" if policy.startswith("ELBSecurityPolicy-TLS13-1-3-") else "TLSv1.2"
