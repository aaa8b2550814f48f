"""A site of one's own for tests: a real HAProxy that follows the lab's API, and servers behind it."""

import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lab.balancer import Proxy
from lab.balancer.places import Places
from tests.local.ports import free_port


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
