"""Several load balancers: behind one port of the machine, told apart by name in a real HAProxy."""

import json
import signal
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import replace

import pytest

from corral.errors import CorralError
from lab import ca
from lab.balancer import Proxy
from lab.balancer.config import Server, render
from lab.balancer.frontends import backend
from lab.balancer.places import Places, assign, source
from tests.local.balancer_shapes import BALANCER, FIXED, GROUP, PLAIN, SECURE
from tests.local.balancer_site import Upstream
from tests.local.lab_cloud import cloud, free_port, wait_for  # noqa: F401

TLS_1_3 = "ELBSecurityPolicy-TLS13-1-3-2021-06"
CLIENT = "127.0.0.9"


def says(listener, text):
    """The listener, such that it answers with its balancer's name."""
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": text}}
    return replace(listener, action=action)


class Doors:
    """Three balancers in a HAProxy: the third is shut over TLS, the second does not listen without."""

    def __init__(self, directory):
        self.directory = directory
        self.ports = {443: free_port(), 80: free_port()}
        self.upstream = Upstream("127.0.0.1", free_port())
        self.places = Places(directory, self.ports, f"127.0.0.1:{free_port()}", "127.0.0.1:1", False)
        ca.ensure(directory)
        (directory / "servers.state").write_text("1\n")
        self.write()
        self.log = (directory / "log").open("w")
        command = ["haproxy", "-W", "-db", "-f", str(directory / "haproxy.cfg")]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        wait_for(lambda: self.reachable(80))

    def balancer(self, number, name, names, listeners):
        certificates = (tuple(names),)
        return replace(
            BALANCER,
            name=name,
            address=f"127.0.0.{20 + number}",
            listeners=tuple(
                replace(each, domains=certificates) if each.protocol == "HTTPS" else each
                for each in listeners
            ),
        )

    def write(self, *more):
        """The configuration, with `more` names in Route 53."""
        upstream = replace(GROUP, check_path="/healthz", interval=1)
        strict = replace(SECURE, ssl_policy=TLS_1_3)
        balancers = [
            self.balancer(1, "one", ["one.localhost"], [SECURE, says(PLAIN, "one")]),
            self.balancer(2, "two", ["two.localhost", "*.two.localhost"], [says(strict, "two")]),
            self.balancer(3, "shut", ["shut.localhost", "a.two.localhost"], [says(SECURE, "shut"), PLAIN]),
        ]
        # Listeners at 443 and 80 are root's: here they have the balancers' own sockets only.
        balancers = [replace(each, target_groups=(upstream,)) for each in balancers]
        servers = {backend(GROUP): [Server("i-1", "127.0.0.1", self.upstream.server.server_port, "0.0.0.0")]}
        names = {"alias.localhost": "127.0.0.22", **dict.fromkeys(more, "127.0.0.21")}
        certificates = {
            domains: ca.certificate(self.directory, f"site-{domains[0].replace('*', '_')}", domains)
            for each in balancers
            for listener in each.listeners
            for domains in listener.domains
        }
        api = ca.certificate(self.directory, "aws", ["*.amazonaws.com"])
        open_doors = [("one", 443), ("one", 80), ("two", 443), ("shut", 80)]
        text = render(balancers, certificates, api, open_doors, names, servers, self.places)
        kept = [line for line in text.splitlines() if "bind 127.0.0.2" not in line]
        (self.directory / "haproxy.cfg").write_text("\n".join(kept) + "\n")

    def connect(self, port):
        return socket.create_connection(("127.0.0.1", self.ports[port]), 5, (CLIENT, 0))

    def reachable(self, port):
        try:
            self.connect(port).close()
        except OSError:
            return False
        return True

    def secure(self, name, **options):
        context = ssl.create_default_context(cafile=str(self.directory / "ca.pem"))
        context.check_hostname = False
        for option, value in options.items():
            setattr(context, option, value)
        return context.wrap_socket(self.connect(443), server_hostname=name)

    def certified(self, name):
        """Names of the certificate that a client is shown who calls `name`; None when it is hung up on."""
        try:
            with self.secure(name) as connection:
                return {value for _, value in connection.getpeercert()["subjectAltName"]}
        except (ssl.SSLEOFError, ConnectionResetError):
            return None

    def plain(self, host):
        """Status line of an answer to a plain request; "" when it is hung up on."""
        with self.connect(80) as connection:
            return ask(connection, host).split("\r\n")[0]

    def reload(self):
        self.process.send_signal(signal.SIGUSR2)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        self.upstream.stop()


def ask(connection, host, path="/"):
    """One request on a connection of its own; all that comes back."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    try:
        while part := connection.recv(4000):
            answer += part
    except ConnectionResetError:
        return ""
    return answer.decode()


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    made = Doors(tmp_path_factory.mktemp("doors"))
    yield made
    made.stop()


ONE, TWO = {"one.localhost"}, {"two.localhost", "*.two.localhost"}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("one.localhost", ONE),
        ("two.localhost", TWO),
        ("TWO.localhost", TWO),
        ("b.two.localhost", TWO),
        ("alias.localhost", TWO),  # has no certificate of that name: as on AWS, the default one is shown
        ("a.two.localhost", None),  # another's exact name goes before a wildcard, and that one is shut
        ("shut.localhost", None),
        ("strange.localhost", ONE),
        (None, ONE),
    ],
)
def test_over_tls_the_name_decides_whose_certificate_is_shown(doors, name, shown):
    assert doors.certified(name) == shown


def test_each_balancer_keeps_its_own_tls_policy(doors):
    old = ssl.TLSVersion.TLSv1_2
    with doors.secure("one.localhost", maximum_version=old) as connection:
        assert connection.version() == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        doors.secure("two.localhost", maximum_version=old)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("one.localhost", "HTTP/1.1 200 OK"),
        ("strange.localhost:8080", "HTTP/1.1 200 OK"),
        ("shut.localhost", "HTTP/1.1 301 Moved Permanently"),
        ("SHUT.localhost:8080", "HTTP/1.1 301 Moved Permanently"),
        ("two.localhost", ""),  # has no such listener
    ],
)
def test_over_plain_http_the_host_decides(doors, host, status):
    assert doors.plain(host) == status


def test_a_target_learns_the_clients_own_address(doors):
    with doors.secure("one.localhost") as connection:
        body = ask(connection, "one.localhost").partition("\r\n\r\n")[2]
    headers = {name.lower(): value for name, value in json.loads(body)["headers"].items()}
    assert headers["x-forwarded-for"] == CLIENT


def test_a_reload_drops_nothing(doors):
    """Names come and go while connections are open, requests under way, and new ones come."""
    failed, over = [], threading.Event()

    def go_on():
        while not over.is_set():
            try:
                with doors.secure("one.localhost") as connection:
                    answer = ask(connection, "one.localhost", "/slow?0.05")
                assert answer.startswith("HTTP/1.1 200"), answer
            except (OSError, AssertionError) as error:
                failed.append(repr(error))

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    held = doors.secure("one.localhost")
    for thread in threads:
        thread.start()
    assert doors.certified("new.localhost") == ONE
    for number in range(4):
        doors.write(f"more-{number}.localhost", "b.two.localhost")
        doors.reload()
        time.sleep(0.6)
    wait_for(lambda: doors.certified("b.two.localhost") == ONE)
    over.set()
    for thread in threads:
        thread.join()
    assert failed == []
    assert ask(held, "one.localhost").startswith("HTTP/1.1 200")


def test_addresses_stay_and_are_free_again():
    first = assign({}, ["a", "b"])
    assert first == {"a": "169.254.77.3", "b": "169.254.77.4"}
    assert assign(first, ["c", "b"]) == {"b": "169.254.77.4", "c": "169.254.77.3"}
    with pytest.raises(CorralError, match="no address left"):
        assign({}, [str(number) for number in range(253)])


def test_balancers_speak_from_addresses_of_their_own():
    assert source("169.254.77.3", "10.42.0.0/24") == "10.42.0.254"
    assert source("169.254.77.5", "10.42.0.0/24") == "10.42.0.252"
    with pytest.raises(CorralError, match="too small"):
        source("169.254.77.33", "10.42.0.0/27")


def test_what_one_balancer_asks_for_in_vain_leaves_the_others_as_they_are(cloud, tmp_path):
    elbv2, ec2, acm = (cloud.client(name) for name in ("elbv2", "ec2", "acm"))
    vpc = ec2.create_vpc(CidrBlock="10.60.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.60.{n}.0/24", AvailabilityZone=f"eu-west-1{zone}")[
            "Subnet"
        ]["SubnetId"]
        for n, zone in enumerate("ab")
    ]
    arns, listeners = {}, {}
    for name in ("first", "second"):
        tags = [{"Key": "corral:environment", "Value": f"env-{name}"}]
        made = elbv2.create_load_balancer(Name=name, Subnets=subnets, Tags=tags)
        arns[name] = made["LoadBalancers"][0]["LoadBalancerArn"]
        listeners[name] = elbv2.create_listener(
            LoadBalancerArn=arns[name], Port=80, Protocol="HTTP", DefaultActions=[dict(FIXED.action)]
        )["Listeners"][0]["ListenerArn"]
    proxy = Proxy(places=Places(tmp_path, {}), authority=tmp_path / "ca", health_file=tmp_path / "health")
    assert proxy.read([vpc], elbv2, ec2, acm) == {}
    assert [(each.name, each.environment, each.address, each.addresses) for each in proxy.balancers] == [
        ("first", "env-first", "169.254.77.3", ["10.60.0.254", "10.60.1.254"]),
        ("second", "env-second", "169.254.77.4", ["10.60.0.253", "10.60.1.253"]),
    ]

    elbv2.create_rule(
        ListenerArn=listeners["first"],
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/x"]}],
        Actions=[dict(FIXED.action)],
    )
    more = {"Port": 8080, "Protocol": "HTTP", "DefaultActions": [dict(FIXED.action)]}
    elbv2.create_listener(LoadBalancerArn=arns["second"], **more)
    (fault,) = proxy.read([vpc], elbv2, ec2, acm).items()
    assert fault[0] == "first"
    assert "has rules" in fault[1]
    assert [[each.port for each in one.listeners] for one in proxy.balancers] == [[80], [80, 8080]]

    elbv2.delete_load_balancer(LoadBalancerArn=arns["first"])
    # Another process, such as a reconciler that was started again, finds the addresses as they were.
    again = Proxy(places=Places(tmp_path, {}), authority=tmp_path / "ca", health_file=tmp_path / "health")
    assert again.read([vpc], elbv2, ec2, acm) == {}
    assert [(each.name, each.address) for each in again.balancers] == [("second", "169.254.77.4")]
    assert again.read(["vpc-without-a-network"], elbv2, ec2, acm) == {}
    assert again.balancers == []
