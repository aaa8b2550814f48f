"""Nothing of the lab leaves by the machine's real interfaces, whatever hosts try and whatever breaks."""

import contextlib
import ipaddress
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lab import guard
from lab.paths import LINK, LINK_NETWORK
from tests.lab.fleet import run

# Private addresses that are not the lab's; a host must not reach them, nor may a packet for them leave.
ELSEWHERE = ("192.168.213.7", "172.31.213.7", "10.213.7.7")
FROM_ROUTER = ("nsenter", "--net=/run/netns/corral-lab", "timeout", "1", "bash", "-c")
ETHERNET_ALL, IPV4 = 3, b"\x08\x00"
SPEAK = "from socket import *; s = socket(type=SOCK_DGRAM)\nwhile True: s.sendto(b'x', ('127.0.0.1', 9))"


class Wire:
    """Listens to all that passes an interface, and keeps the IPv4 packets from or to some networks."""

    def __init__(self, interface, networks):
        self.networks = [ipaddress.ip_network(network) for network in networks]
        self.seen = []
        # No protocol before the interface: until it is bound, a socket with one hears every interface.
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind((interface, ETHERNET_ALL))
        self.socket.settimeout(0.1)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._listen)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        time.sleep(0.3)
        self.over.set()
        self.thread.join()
        self.socket.close()

    def _listen(self):
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                frame = self.socket.recv(65535)
                if frame[12:14] == IPV4:
                    ends = (ipaddress.ip_address(frame[26:30]), ipaddress.ip_address(frame[30:34]))
                    if any(end in network for end in ends for network in self.networks):
                        self.seen.append(f"{ends[0]} > {ends[1]}")


def real_interfaces():
    """The machine's interfaces that are none of the lab's: those with a device, or with the default route."""
    named = {path.name for path in Path("/sys/class/net").iterdir() if (path / "device").exists()}
    route = run("ip", "-o", "route", "show", "default").stdout.split()
    return sorted(named | {route[i + 1] for i, word in enumerate(route) if word == "dev"})


@contextlib.contextmanager
def nothing_leaves(cidr, *others):
    """Fails when a packet from or for the lab, or for `others`, passes a real interface meanwhile."""
    with contextlib.ExitStack() as stack:
        watched = [cidr, LINK_NETWORK, "169.254.169.254/32", *others]
        wires = [stack.enter_context(Wire(name, watched)) for name in real_interfaces()]
        assert wires
        yield
    assert [packet for wire in wires for packet in wire.seen] == []


@pytest.fixture
def cidr(fleet):
    return fleet.settings.network.cidr


@pytest.fixture
def member(fleet):
    return fleet.members("app")[0]


def connect(address, port, seconds=3.0):
    """What a TCP connect gives ("" when it works), and how long it took in seconds."""
    started = time.monotonic()
    try:
        socket.create_connection((address, port), seconds).close()
        return "", time.monotonic() - started
    except OSError as error:
        return str(error), time.monotonic() - started


def test_the_ear_hears(fleet, member, cidr):
    """On the lab's own link the same ear hears the lab, so its silence elsewhere means something."""
    with Wire(LINK, [cidr]) as wire:
        assert connect(member.private_address, 22)[0] == ""
    assert wire.seen


def test_the_ear_hears_its_own_interface_only(fleet):
    """Whatever passes elsewhere while it is put up, as packets of the lab's link always may."""
    with subprocess.Popen([sys.executable, "-c", SPEAK]) as speaker, contextlib.ExitStack() as stack:
        time.sleep(0.5)
        wires = [stack.enter_context(Wire(LINK, ["127.0.0.0/8"])) for _ in range(20)]
        speaker.kill()
    assert [wire.seen for wire in wires if wire.seen] == []


@pytest.mark.parametrize("address", ELSEWHERE)
def test_a_host_reaches_no_other_private_address(fleet, member, cidr, address):
    with nothing_leaves(cidr, f"{address}/32"):
        for command in (
            f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/80'",
            f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/443'",
            f"ping -c 1 -W 2 {address}",
        ):
            done = fleet.shell(member, command, check=False)
            assert done.returncode != 0, f"{command}: {done.stdout} {done.stderr}"


def test_a_host_reaches_nothing_public_either(fleet, member, cidr):
    with nothing_leaves(cidr):
        assert fleet.shell(member, "ping -c 1 -W 2 198.51.100.7", check=False).returncode != 0


@pytest.mark.parametrize("address", ELSEWHERE)
def test_the_package_cache_is_no_way_out(fleet, member, cidr, address):
    proxy = "curl -s -o /dev/null --max-time 5 -w '%{http_code} %{http_connect}' -x http://169.254.77.1:80"
    with nothing_leaves(cidr, f"{address}/32"):
        plain = fleet.shell(member, f"{proxy} http://{address}/debian/", check=False).stdout
        tunnel = fleet.shell(member, f"{proxy} -k https://{address}/", check=False).stdout
    assert plain.startswith("403")
    assert tunnel.split()[1] in ("403", "405")


def test_a_host_reaches_nothing_of_this_machine_but_the_cache(fleet, member):
    counted = guard.dropped()["from the lab to this machine"]
    with socket.create_server(("169.254.77.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert connect("169.254.77.1", port)[0] == ""
        # The router has no security group: from there, only the machine's own guard is in the way.
        command = f"exec 3<>/dev/tcp/169.254.77.1/{port}"
        assert subprocess.run([*FROM_ROUTER, command], check=False).returncode == 124
        cache = "exec 3<>/dev/tcp/169.254.77.1/80"
        assert subprocess.run([*FROM_ROUTER, cache], check=False).returncode == 0
    assert guard.dropped()["from the lab to this machine"] > counted


def test_this_machine_forwards_nothing(fleet):
    """A packet from the lab for elsewhere is dropped by the guard even where the machine is a router."""
    counted = guard.dropped()["out of the lab"]
    forward = Path("/proc/sys/net/ipv4/ip_forward")
    before = forward.read_text()
    routes = ["ip", "-n", "corral-lab", "route"]
    with nothing_leaves("192.168.213.7/32"):
        try:
            forward.write_text("1")
            run(*routes, "add", "192.168.213.7", "via", "169.254.77.1")
            command = "exec 3<>/dev/tcp/192.168.213.7/80"
            assert subprocess.run([*FROM_ROUTER, command], check=False).returncode == 124
        finally:
            run(*routes, "del", "192.168.213.7")
            forward.write_text(before)
    assert guard.dropped()["out of the lab"] > counted


@pytest.fixture
def link_down(fleet):
    """The link to the lab taken down, as by accident; `corral lab up` mends it."""
    run("ip", "link", "set", LINK, "down")
    yield
    run("corral", "lab", "up")


def test_without_the_link_a_connect_fails_at_once_and_leaves_nothing(fleet, member, cidr, link_down):
    with nothing_leaves(cidr):
        for address in (member.private_address, "169.254.77.2"):
            error, seconds = connect(address, 22)
            assert "No route to host" in error
            assert seconds < 2


def test_without_link_and_route_the_guard_still_drops(fleet, member, cidr, link_down):
    for route in guard.routes():
        run("ip", "route", "del", *route.split())
    counted = guard.dropped()["to the lab by another way"]
    try:
        with nothing_leaves(cidr):
            assert connect(member.private_address, 22, seconds=1.5)[0]
            assert connect("169.254.77.2", 4566, seconds=1.5)[0]
        assert guard.dropped()["to the lab by another way"] > counted
    finally:
        guard.raise_guard([cidr])


SECOND, THIRD = "10.44.0.0/16", "10.45.0.0/16"


@pytest.fixture
def second(fleet):
    """A second VPC, without a host yet."""
    with fleet.vpc(SECOND) as vpc:
        yield vpc


def test_a_second_vpc_is_guarded_as_the_first(fleet, second, member, cidr):
    """No host there, no way there, no rule but the guard's: nothing leaves."""
    assert guard.covered() == {cidr, SECOND, LINK_NETWORK}, "not the account's default VPC"
    with nothing_leaves(cidr, SECOND):
        for address in ("10.44.0.5", "10.44.255.254"):
            error, seconds = connect(address, 22)
            assert error
            assert seconds < 2, "the router says so"
            assert fleet.shell(member, f"ping -c 1 -W 1 {address}", check=False).returncode != 0
        run("ip", "link", "set", LINK, "down")
        try:
            assert "No route to host" in connect("10.44.0.5", 22)[0]
            for route in guard.routes():
                run("ip", "route", "del", *route.split())
            counted = guard.dropped()["to the lab by another way"]
            assert connect("10.44.0.5", 22, seconds=1.5)[0]
            assert guard.dropped()["to the lab by another way"] > counted
        finally:
            run("corral", "lab", "up")
    assert connect(member.private_address, 22)[0] == ""


def test_nothing_leaves_while_vpcs_come_and_go(fleet, second, member, cidr):
    over, sent = threading.Event(), []

    def speak():
        while not over.is_set():
            for address in (member.private_address, "10.44.0.5", "169.254.77.9"):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
                    sender.sendto(b"x", (address, 9))
                    sent.append(address)

    speaker = threading.Thread(target=speak)
    with nothing_leaves(cidr, SECOND):
        speaker.start()
        for _ in range(2):
            with fleet.vpc(THIRD):
                assert connect(member.private_address, 22)[0] == ""
        over.set()
        speaker.join()
    assert set(sent) == {member.private_address, "10.44.0.5", "169.254.77.9"}


def test_after_up_the_link_works_again(fleet, member):
    assert connect(member.private_address, 22)[0] == ""
