"""A listener in HAProxy's words: TLS, the headers that a load balancer adds, and what it does. Pure."""

from collections.abc import Collection, Mapping
from pathlib import Path

from lab.balancer.doors import Door
from lab.balancer.model import Balancer, Listener, TargetGroup
from lab.balancer.places import Places

# What comes in by the machine's own port.
DOOR = "door"


def backend(group: TargetGroup) -> str:
    """Name of a target group's backend: the end of its ARN, which is unique."""
    return "-".join(group.arn.split("/")[-2:])


def frontend(
    balancer: Balancer,
    listener: Listener,
    certificates: Mapping[tuple[str, ...], Path],
    open_doors: Collection[Door],
    places: Places,
) -> str:
    """One listener.

    `certificates`: names -> PEM. `open_doors`: listeners that the security groups open to the machine.
    """
    secure = listener.protocol == "HTTPS"
    tls = ""
    if secure:
        files = " ".join(f"crt {certificates[names]}" for names in listener.domains)
        tls = f" ssl {files} alpn h2,http/1.1 ssl-min-ver {_least_tls(listener.ssl_policy)}"
    idle = balancer.attributes.get("idle_timeout.timeout_seconds", "60")
    lines = [f"frontend {balancer.name}-{listener.port}"]
    if listener.port in places.ports and (balancer.name, listener.port) in open_doors:
        # What comes by the machine's door, with the client's address before it (doors.py).
        here = f"{places.socket(balancer.name, listener.port)} mode 600 accept-proxy"
        lines.append(f"bind {here} name {DOOR}{tls}")
    lines += [
        f"bind {balancer.address}:{listener.port}{tls}",
        f"timeout client {idle}s",
        f"timeout http-keep-alive {balancer.attributes.get('client_keep_alive.seconds', '3600')}s",
    ]
    if balancer.attributes.get("routing.http.drop_invalid_header_fields.enabled") == "true":
        lines.append('http-request del-header "[^-A-Za-z0-9]" -m reg')
    lines += _forwarded(balancer, "https" if secure else "http", listener.port)
    lines += _back_through_the_door(listener.port, places)
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


def _back_through_the_door(port: int, places: Places) -> list[str]:
    """Let a redirect lead to the machine's ports where they are not the usual ones.

    The site knows the usual ones only, as on AWS. A redirect to another site is left alone.
    """
    usual = {"https": 443, "http": 80}
    others = {scheme: places.ports[at] for scheme, at in usual.items() if places.ports.get(at, at) != at}
    if port not in places.ports or not others:
        return []
    lines = ["http-request set-var(txn.host) req.hdr(host),field(1,:)"]
    same = f"{{ so_name {DOOR} }} {{ res.fhdr(location),field(3,/),strcmp(txn.host) eq 0 }}"
    for scheme, here in others.items():
        words = rf"'^{scheme}://([^:/]+)(/.*)?$' '{scheme}://\1:{here}\2'"
        lines.append(f"http-after-response replace-header Location {words} if {same}")
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


def _least_tls(policy: str) -> str:
    """The oldest TLS of a security policy; what is older than 1.2 the lab does not speak."""
    return "TLSv1.3" if policy.startswith("ELBSecurityPolicy-TLS13-1-3-") else "TLSv1.2"
