"""The load balancer: its configuration whole, and a real HAProxy that follows the lab's API."""

import contextlib
import json
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from corral.errors import CorralError
from lab import ca
from lab.balancer import Proxy
from lab.balancer.config import Server, render
from lab.balancer.frontends import backend
from lab.balancer.health import judge
from lab.balancer.model import Balancer, Listener, Target, TargetGroup
from lab.balancer.places import Places
from lab.balancer.runtime import Row
from tests.local.lab_cloud import cloud, wait_for  # noqa: F401
from tests.local.ports import free_port

GOLDEN = Path(__file__).parent / "golden" / "haproxy.cfg"

GROUP = TargetGroup(
    arn="arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/site/0123456789abcdef",
    name="site",
    protocol="HTTP",
    targets=(Target("i-1", 80),),
    check_protocol="HTTP",
    check_port="traffic-port",
    check_path="/readyz",
    check_codes="200-299,301",
    interval=10,
    timeout=5,
    healthy=2,
    unhealthy=3,
    drain=20,
)
SECURE = Listener(
    443,
    "HTTPS",
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
    (("chat.localhost",),),
    {"Type": "forward", "TargetGroupArn": GROUP.arn},
)
PLAIN = Listener(
    80,
    "HTTP",
    "",
    (),
    {
        "Type": "redirect",
        "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"},
    },
)
FIXED = Listener(
    8080,
    "HTTP",
    "",
    (),
    {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "MessageBody": "Nothing here"}},
)
BALANCER = Balancer(
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/chat-lab/0123456789abcdef",
    "chat-lab",
    "chat-lab-1.eu-west-1.elb.amazonaws.com",
    "169.254.77.3",
    "lab",
    ("sg-lb",),
    {"eu-west-1a": "10.42.15.254", "eu-west-1b": "10.42.31.254"},
    {
        "idle_timeout.timeout_seconds": "90",
        "routing.http.drop_invalid_header_fields.enabled": "true",
    },
    (PLAIN, SECURE, FIXED),
    (GROUP,),
)


def rendered(directory=Path("/state"), namespaces=True, api=Path("/ca/aws.pem"), site=Path("/ca/site.pem")):
    places = Places(directory, {443: 8443, 80: 8080}, namespaces=namespaces)
    servers = {backend(GROUP): [Server("i-1", "10.42.128.4", 80, "10.42.15.254")]}
    listeners = (replace(SECURE, action=FIXED.action),)
    more = {
        name: replace(BALANCER, name=name, address=address, listeners=listeners, target_groups=())
        for name, address in (("chat-two", "169.254.77.4"), ("chat-shut", "169.254.77.5"))
    }
    # The second has a certificate for the same name; Route 53 says whose it is.
    names = {
        "chat.localhost": "169.254.77.3",
        "two.localhost": "169.254.77.4",
        "*.two.localhost": "169.254.77.4",
        "shut.localhost": "169.254.77.5",
        "no name; at all": "169.254.77.5",
    }
    open_doors = [("chat-lab", 443), ("chat-lab", 80), ("chat-two", 443)]
    balancers = [BALANCER, *more.values()]
    return render(balancers, {("chat.localhost",): site}, api, open_doors, names, servers, places)


def test_the_configuration_is_the_golden_one():
    assert rendered() == GOLDEN.read_text()


def test_haproxy_takes_the_configuration(tmp_path):
    ca.ensure(tmp_path)
    api = ca.certificate(tmp_path, "aws", ["*.amazonaws.com"])
    site = ca.certificate(tmp_path, "site", ["chat.localhost"])
    (tmp_path / "servers.state").write_text("1\n")
    (tmp_path / "haproxy.cfg").write_text(rendered(tmp_path, False, api, site))
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr


# A target that redirects to wherever a request says.
REDIRECTS = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(301)
        self.send_header("Location", self.headers["X-To"])
        self.end_headers()
HTTPServer(("10.42.128.4", 80), Handler).serve_forever()
"""
# The configuration's addresses, in a network that has nothing else.
IN_A_NETWORK = """
ip link set lo up
for address in 169.254.77.2 169.254.77.3 169.254.77.4 169.254.77.5 10.42.15.254 10.42.128.4; do
    ip addr add "$address/32" dev lo
done
python3 -c "$1" & haproxy -q -f haproxy.cfg & shift
until curl -so /dev/null 10.42.128.4 && curl -so /dev/null 169.254.77.3; do sleep 0.02; done
for to in "$@"; do
    for by in 127.0.0.1:8443 169.254.77.3:443; do
        curl -sko /dev/null -w '%header{location}\n' -H "X-To: $to" --connect-to "::$by" https://chat.localhost:8443/
    done
done
curl -so /dev/null -w '%header{location}\n' --connect-to ::127.0.0.1:8080 'http://chat.localhost:8080/a?b=c'
curl -so /dev/null -w '%header{location}\n' --connect-to ::169.254.77.3:80 'http://chat.localhost/a?b=c'
"""


def test_a_redirect_leads_to_the_machines_own_port_and_nothing_else_changes(tmp_path):
    ca.ensure(tmp_path)
    api = ca.certificate(tmp_path, "aws", ["*.amazonaws.com"])
    site = ca.certificate(tmp_path, "site", ["chat.localhost"])
    (tmp_path / "servers.state").write_text("1\n")
    (tmp_path / "haproxy.cfg").write_text(rendered(tmp_path, False, api, site))
    own = "https://chat.localhost:8443"
    leads = {
        "https://chat.localhost/rooms/a,b?c=d&e=https://chat.localhost/": f"{own}/rooms/a,b?c=d&e=https://chat.localhost/",
        "https://chat.localhost": own,
        "http://chat.localhost/": "http://chat.localhost:8080/",
        "https://chat.localhost:9000/": "https://chat.localhost:9000/",
        "https://chat.localhost.example/": "https://chat.localhost.example/",
        "/rooms": "/rooms",
    }
    alone = ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
    asked = subprocess.run(
        [*alone, "timeout", "60", "sh", "-c", IN_A_NETWORK, "-", REDIRECTS, *leads],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    answers = asked.stdout.splitlines()
    assert answers[:-2:2] == list(leads.values()), asked.stderr
    assert answers[1:-2:2] == list(leads), "whoever came by the balancer's own address"
    assert answers[-2:] == [f"{own}/a?b=c", "https://chat.localhost/a?b=c"]


@pytest.mark.parametrize(
    ("status", "check", "code", "seconds", "state", "reason", "description"),
    [
        ("UP", "L7OK", "200", 1, "healthy", "", ""),
        ("UP 1/2", "L7STS", "500", 99, "healthy", "", ""),
        ("DOWN", "INI", "", 1, "initial", "Elb.InitialHealthChecking", "Initial health checks in progress"),
        ("DOWN", "L4CON", "", 1, "initial", "Elb.InitialHealthChecking", "Initial health checks in progress"),
        ("DOWN", "L4CON", "", 99, "unhealthy", "Target.FailedHealthChecks", "Health checks failed"),
        ("DOWN", "L7TOUT", "", 99, "unhealthy", "Target.Timeout", "Request timed out"),
        (
            "DOWN 1/2",
            "L7STS",
            "503",
            99,
            "unhealthy",
            "Target.ResponseCodeMismatch",
            "Health checks failed with these codes: [503]",
        ),
    ],
)
def test_health_in_the_words_of_elastic_load_balancing(
    status, check, code, seconds, state, reason, description
):
    row = Row("site", "i-1", status, check, code, 0, 1, "10.0.0.1:80")
    assert judge(row, seconds, 20).words() == {"state": state, "reason": reason, "description": description}


def test_what_the_balancer_cannot_do_is_said():
    arns = [{"TargetGroupArn": "a", "Weight": 1}, {"TargetGroupArn": "b", "Weight": 1}]
    listener = Listener(80, "HTTP", "", (), {"Type": "forward", "ForwardConfig": {"TargetGroups": arns}})
    with pytest.raises(CorralError, match="one target group per listener"):
        listener.target_group  # noqa: B018


class Upstream:
    """A real server behind the balancer: says who it is, echoes after an upgrade, and is ready or not."""

    def __init__(self, address, port):
        upstream = self
        self.ready = 200
        self.address = address
        self.checked_as = set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.headers.get("Upgrade") == "websocket":
                    self.send_response(101)
                    self.send_header("Upgrade", "websocket")
                    self.send_header("Connection", "Upgrade")
                    # Made of the key that the client below always sends (RFC 6455, 1.3).
                    self.send_header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
                    self.end_headers()
                    self.close_connection = True
                    while data := self.connection.recv(100):
                        self.connection.sendall(data)
                    return
                if self.path.startswith("/slow"):
                    time.sleep(float(self.path.partition("?")[2]))
                if self.path == "/readyz":
                    upstream.checked_as.add(self.headers["Host"])
                status = upstream.ready if self.path == "/readyz" else 200
                body = json.dumps({"server": address, "headers": dict(self.headers)}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer((address, port), Handler)
        self.server.handle_error = lambda *_: None  # the balancer may hang up on it
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Site:
    """The lab's API, HAProxy, and a loop that keeps the two in step as the lab's reconciler does."""

    def __init__(self, api, directory):
        self.elbv2, self.ec2, self.acm = (api.client(name) for name in ("elbv2", "ec2", "acm"))
        self.directory = directory
        self.port, self.secure_port, self.target_port = free_port(), free_port(), free_port()
        self.reloads = 0
        port = free_port()
        places = Places(directory, {}, f"127.0.0.1:{port}", f"127.0.0.1:{api.port}", namespaces=False)
        self.api = ("127.0.0.1", port)
        self.proxy = Proxy(
            places=places, authority=directory / "ca", health_file=api.state / "target-health.json"
        )
        self.proxy.prepare()
        self.log = (directory / "haproxy.log").open("w")
        self.process = subprocess.Popen(self.proxy.command(), stdout=self.log, stderr=self.log)
        self._make()
        self._stop = threading.Event()
        self.faults = []
        self._loop = threading.Thread(target=self._follow, daemon=True)
        self._loop.start()

    def _make(self):
        self.vpc = vpc = self.ec2.create_vpc(CidrBlock="10.50.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            self.ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"10.50.{n}.0/24", AvailabilityZone=f"eu-west-1{zone}"
            )["Subnet"]["SubnetId"]
            for n, zone in enumerate("ab")
        ]
        self.subnets = subnets
        self.balancer = self.elbv2.create_load_balancer(Name="test", Subnets=subnets)["LoadBalancers"][0]
        self.group = self.elbv2.create_target_group(
            Name="site",
            Protocol="HTTP",
            Port=self.target_port,
            VpcId=vpc,
            TargetType="ip",
            HealthCheckPath="/readyz",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        self.set_drain(4)
        certificate = self.acm.request_certificate(DomainName="site.localhost")["CertificateArn"]
        forward = [{"Type": "forward", "TargetGroupArn": self.group}]
        common = {"LoadBalancerArn": self.balancer["LoadBalancerArn"], "DefaultActions": forward}
        self.elbv2.create_listener(Port=self.port, Protocol="HTTP", **common)
        self.elbv2.create_listener(
            Port=self.secure_port,
            Protocol="HTTPS",
            Certificates=[{"CertificateArn": certificate}],
            SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
            **common,
        )

    def set_drain(self, seconds):
        self.elbv2.modify_target_group_attributes(
            TargetGroupArn=self.group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}],
        )

    def _follow(self):
        while not self._stop.wait(0.2):
            try:
                assert self.proxy.read([self.vpc], self.elbv2, self.ec2, self.acm) == {}
                self.proxy.balancers = [self._here(each) for each in self.proxy.balancers]
                self.proxy.sync([], [], {}, self.reload)
            except OSError:
                continue  # HAProxy is starting, or reloading.
            except Exception as error:
                self.faults.append(error)

    @staticmethod
    def _here(balancer):
        """The same on this machine's loopback, checking every second: the API takes no less than five."""
        return replace(
            balancer,
            address="127.0.0.1",
            zones=dict.fromkeys(balancer.zones, "127.0.0.1"),
            target_groups=tuple(replace(each, interval=1) for each in balancer.target_groups),
        )

    def reload(self):
        self.reloads += 1
        self.process.send_signal(12)  # SIGUSR2

    def register(self, *addresses):
        self.elbv2.register_targets(TargetGroupArn=self.group, Targets=[self.target(a) for a in addresses])

    def deregister(self, *addresses):
        self.elbv2.deregister_targets(TargetGroupArn=self.group, Targets=[self.target(a) for a in addresses])

    def target(self, address):
        return {"Id": address, "Port": self.target_port}

    def health(self, group=None):
        group = group or self.group
        found = self.elbv2.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return {each["Target"]["Id"]: each["TargetHealth"]["State"] for each in found}

    def get(self, path="/", headers=None):
        """Status, and who answered (None for the balancer itself)."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None
        except urllib.error.URLError:
            return 0, None  # nobody listens

    def servers(self, times=20):
        answers = [self.get() for _ in range(times)]
        return {answer["server"] if answer else status for status, answer in answers}

    def websocket(self):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        sock.sendall(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(1000)
        assert head.startswith(b"HTTP/1.1 101"), head
        return sock

    def stop(self):
        self._stop.set()
        self._loop.join()
        self.process.terminate()
        self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def site(cloud, tmp_path_factory):  # noqa: F811
    made = Site(cloud, tmp_path_factory.mktemp("balancer"))
    wait_for(lambda: made.reloads == 1)
    yield made
    made.stop()
    assert made.faults == []


@pytest.fixture
def upstreams(site):
    made = [Upstream(address, site.target_port) for address in ("127.0.0.11", "127.0.0.12")]
    yield made
    with contextlib.suppress(site.elbv2.exceptions.InvalidTargetException):
        site.deregister(*site.health())
    wait_for(lambda: site.health() == {})
    for each in made:
        each.stop()


def echoes(sock, text=b"hello"):
    sock.sendall(text)
    return sock.recv(len(text)) == text


def test_a_target_serves_when_its_checks_are_good_and_never_before(site, upstreams):
    wait_for(lambda: site.get()[0] == 503)  # nobody registered
    first, second = upstreams
    second.ready = 503
    site.register(first.address)
    wait_for(lambda: site.health() == {first.address: "healthy"})
    before = site.reloads
    site.register(second.address)
    wait_for(lambda: site.health().get(second.address) == "initial")
    assert site.servers() == {first.address}

    second.ready = 200
    wait_for(lambda: site.health().get(second.address) == "healthy")
    assert site.servers() == {first.address, second.address}

    first.ready = 500
    wait_for(lambda: site.health().get(first.address) == "unhealthy")
    described = site.elbv2.describe_target_health(
        TargetGroupArn=site.group, Targets=[site.target(first.address)]
    )
    assert described["TargetHealthDescriptions"][0]["TargetHealth"] == {
        "State": "unhealthy",
        "Reason": "Target.ResponseCodeMismatch",
        "Description": "Health checks failed with these codes: [500]",
    }
    assert site.servers() == {second.address}

    # As an application load balancer does: with nobody healthy, everybody is asked.
    second.ready = 500
    wait_for(lambda: site.health().get(second.address) == "unhealthy")
    assert site.servers() == {first.address, second.address}
    assert site.reloads == before, "targets came and fell without a reload"


def test_a_leaving_target_finishes_what_it_has_and_gets_nothing_new(site, upstreams):
    first, second = upstreams
    site.set_drain(4)
    site.register(first.address)
    wait_for(lambda: site.health() == {first.address: "healthy"})
    socket_of_first = site.websocket()
    site.register(second.address)
    wait_for(lambda: site.health().get(second.address) == "healthy")
    slow = {}
    thread = threading.Thread(target=lambda: slow.update(answer=site.get("/slow?1.5")))
    thread.start()

    site.deregister(first.address)
    wait_for(lambda: site.health().get(first.address) == "draining")
    assert echoes(socket_of_first), "a websocket outlives the deregistration"
    wait_for(lambda: site.servers() == {second.address})
    thread.join()
    assert slow["answer"][0] == 200

    wait_for(lambda: first.address not in site.health())
    assert socket_of_first.recv(10) == b"", "after the delay it is closed"


def test_nothing_open_means_no_delay(site, upstreams):
    site.set_drain(300)
    wait_for(lambda: site.proxy.balancers[0].target_groups[0].drain == 300)
    first, _ = upstreams
    site.register(first.address)
    wait_for(lambda: site.health() == {first.address: "healthy"})
    assert site.servers() == {first.address}
    site.deregister(first.address)
    wait_for(lambda: site.health() == {})
    assert site.get()[0] == 503
    site.set_drain(4)


def test_a_change_of_the_listeners_keeps_health_and_open_connections(site, upstreams):
    first, second = upstreams
    second.ready = 503
    site.register(first.address, second.address)
    wait_for(lambda: site.health() == {first.address: "healthy", second.address: "unhealthy"})
    held, before, more = site.websocket(), site.reloads, free_port()
    listener = site.elbv2.create_listener(
        LoadBalancerArn=site.balancer["LoadBalancerArn"],
        Port=more,
        Protocol="HTTP",
        DefaultActions=[
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "MessageBody": "No."}}
        ],
    )["Listeners"][0]["ListenerArn"]
    wait_for(lambda: site.reloads == before + 1)

    def answers():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", more), timeout=2) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"404" in sock.recv(100)

    wait_for(answers)
    assert site.servers() == {first.address}, "the one that was not healthy still is not"
    assert echoes(held)
    site.elbv2.delete_listener(ListenerArn=listener)
    wait_for(lambda: site.reloads == before + 2)
    assert echoes(held)
    held.close()


def test_each_balancers_targets_have_their_own_health(site, upstreams):
    first, second = upstreams
    site.register(first.address)
    more, port = site.elbv2.create_load_balancer(Name="more", Subnets=site.subnets), free_port()
    arn = more["LoadBalancers"][0]["LoadBalancerArn"]
    group = site.elbv2.create_target_group(
        Name="more", Protocol="HTTP", Port=site.target_port, VpcId=site.vpc, TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]
    site.elbv2.register_targets(TargetGroupArn=group, Targets=[site.target(second.address)])
    wait_for(lambda: site.health() == {first.address: "healthy"})
    wait_for(lambda: site.health(group) == {second.address: "unused"})

    forward = [{"Type": "forward", "TargetGroupArn": group}]
    site.elbv2.create_listener(LoadBalancerArn=arn, Port=port, Protocol="HTTP", DefaultActions=forward)
    wait_for(lambda: site.health(group) == {second.address: "healthy"})
    assert site.health() == {first.address: "healthy"}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        assert json.load(answer)["server"] == second.address

    site.elbv2.delete_load_balancer(LoadBalancerArn=arn)
    site.elbv2.delete_target_group(TargetGroupArn=group)
    wait_for(lambda: _refused(port))
    assert site.servers() == {first.address}


def test_headers_and_tls_are_an_application_load_balancers(site, upstreams):
    first, _ = upstreams
    site.register(first.address)
    wait_for(lambda: site.health() == {first.address: "healthy"})
    assert first.checked_as == {f"{first.address}:{site.target_port}"}
    _, answer = site.get(headers={"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "spoofed"})
    headers = {key.lower(): value for key, value in answer["headers"].items()}
    assert headers["x-forwarded-for"] == "203.0.113.7, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-port"] == str(site.port)
    root, epoch, unique = headers["x-amzn-trace-id"].split("-")
    assert (root, len(unique)) == ("Root=1", 24)
    assert abs(int(epoch, 16) - time.time()) < 60

    context = ssl.create_default_context(cafile=str(site.directory / "ca" / "ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", site.secure_port), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname="site.localhost") as secure,
    ):
        assert secure.version() in {"TLSv1.3", "TLSv1.2"}
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", site.secure_port), timeout=5) as raw,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        old.wrap_socket(raw)


def test_a_killed_haproxy_comes_back_with_its_targets(site, upstreams):
    first, _ = upstreams
    site.register(first.address)
    wait_for(lambda: site.health() == {first.address: "healthy"})
    site.process.kill()
    site.process.wait()
    # The master is gone; its worker notices by itself.
    wait_for(lambda: _refused(site.port))
    # As the lab starts it again: another process prepares it than the one that follows the API.
    Proxy(places=site.proxy.places, authority=site.directory / "ca").prepare()
    site.process = subprocess.Popen(site.proxy.command(), stdout=site.log, stderr=site.log)
    wait_for(lambda: site.get()[0] == 200)
    assert site.servers() == {first.address}


def _refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_amazons_names_lead_to_the_api_for_roles_only(site):
    context = ssl.create_default_context(cafile=str(site.directory / "ca" / "ca.pem"))
    with (
        socket.create_connection(site.api, timeout=5) as raw,
        context.wrap_socket(raw, server_hostname="ssm.eu-west-1.amazonaws.com") as secure,
    ):
        secure.sendall(
            b"POST / HTTP/1.1\r\nHost: ssm.eu-west-1.amazonaws.com\r\n"
            b"X-Amz-Target: AmazonSSM.GetParameter\r\nAuthorization: AWS4-HMAC-SHA256 "
            b"Credential=lab/20260101/eu-west-1/ssm/aws4_request, Signature=0\r\n"
            b"Content-Type: application/x-amz-json-1.1\r\nContent-Length: 12\r\n\r\n"
            b'{"Name":"x"}'
        )
        answer = b""
        while b"}" not in answer and (part := secure.recv(4000)):
            answer += part
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"InvalidClientTokenId" in answer
