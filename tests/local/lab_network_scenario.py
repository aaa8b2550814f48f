"""Run as root of namespaces of its own: makes the lab's network there, with VPCs that come and go."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time

from lab import guard, network
from lab.commands import in_namespace
from lab.paths import LINK, LINK_NETWORK, ROUTER, host_namespace

A, B = "10.42.0.0/16", "10.44.0.0/16"
HOST_A, HOST_B = "10.42.0.5", "10.44.0.5"
SERVE = """
import socket, sys
server = socket.create_server(("", 22))
print("ready", flush=True)
connections = []
while True:
    connections.append(server.accept())
"""


def run(*command):
    return subprocess.run(command, text=True, check=True, capture_output=True).stdout


class World:
    """The other end of the machine's real interface, to which its default route leads: what arrives there."""

    def __init__(self):
        run("mount", "-t", "tmpfs", "none", "/run")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "world")
        run("ip", "link", "set", "world", "up")
        run("ip", "addr", "add", "192.0.2.1/24", "dev", "eth0")
        run("ip", "link", "set", "eth0", "up")
        mac = json.loads(run("ip", "-j", "link", "show", "world"))[0]["address"]
        run("ip", "neigh", "add", "192.0.2.2", "lladdr", mac, "dev", "eth0")
        run("ip", "route", "add", "default", "via", "192.0.2.2")
        self.ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # hears nothing before it is bound
        self.ear.bind(("world", 0x0800))
        self.ear.setblocking(False)

    def heard(self):
        """Destinations of what has arrived since the last time."""
        time.sleep(0.1)
        found = set()
        with contextlib.suppress(BlockingIOError):
            while True:
                found.add(socket.inet_ntoa(self.ear.recv(65535)[30:34]))
        return sorted(found)


def send(address):
    """One packet from the machine: "" or why it was not sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(b"x", (address, 9))
        except OSError as error:
            return str(error)
    return ""


def shape():
    """Everything that is there for the VPCs: the guard's networks, routes, resolvers."""
    shown = json.loads(run("ip", "-j", "route", "show", "dev", LINK))
    return {
        "guard": sorted(guard.covered() - {LINK_NETWORK}),
        "rules": [net for net in (A, B) if net in run("nft", "list", "ruleset")],
        "routes": sorted(each["dst"] for each in shown if "gateway" in each and each["dst"] != LINK_NETWORK),
        "resolvers": [a for a in ("10.42.0.2", "10.44.0.2") if a in run("ip", "-n", ROUTER, "addr")],
    }


def serve(instance_id):
    command = in_namespace(host_namespace(instance_id), sys.executable, "-c", SERVE)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


def cut_off(function, *arguments):
    """Run set_vpcs as far as to its first route, as if it was killed there."""
    whole, network.raise_link = network.raise_link, None
    with contextlib.suppress(TypeError):
        function(*arguments)
    network.raise_link = whole


def main():
    world, seen = World(), {}
    seen["without a guard"] = (send(HOST_A), world.heard())
    network.up()
    network.set_vpcs([A])
    network.attach_host("i-1", HOST_A)
    seen["one"] = shape()
    cut_off(network.set_vpcs, [A, B])
    seen["cut off"] = shape()
    seen["cut off, sent"] = (send(HOST_B), world.heard())
    network.set_vpcs([A, B])
    network.set_vpcs([A, B])
    network.attach_host("i-2", HOST_B)
    seen["two"] = shape()
    server = serve("i-2")
    held = socket.create_connection((HOST_B, 22), 2)
    seen["inhabited"] = [network.inhabited(A), network.inhabited(B)]

    # The host goes without a word, so that the machine still believes in its connection.
    run("ip", "-n", host_namespace("i-2"), "link", "set", "ens5", "down")
    server.kill()
    server.wait()
    network.detach_host("i-2")
    seen["deserted"] = [network.inhabited(A), network.inhabited(B)]
    held.sendall(b"still there?")
    network.set_vpcs([A])
    seen["one again"] = shape()
    held.settimeout(2)
    try:
        held.recv(1)
    except OSError as error:
        seen["connection"] = str(error)
    # What was sent before is sent again and again, the first time within a second.
    time.sleep(1)
    seen["after it"] = world.heard()

    # A closer route leads out: rules alone keep these packets back while VPCs come and go.
    run("ip", "route", "add", f"{HOST_A}/32", "via", "192.0.2.2")
    over, sent = threading.Event(), []

    def flood():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not over.is_set():
                with contextlib.suppress(PermissionError):
                    sent.append(sender.sendto(b"x", (HOST_A, 9)))

    thread = threading.Thread(target=flood)
    thread.start()
    for networks in ([A, B], [A]) * 8:
        network.set_vpcs(networks)
    over.set()
    thread.join()
    # What a rule drops on its way out is refused to the sender: none is ever sent.
    seen["flood"] = (len(sent), world.heard())
    network.down()
    seen["down"] = (sorted(guard.covered()), run("nft", "list", "ruleset"), network.namespaces())
    seen["down, sent"] = (send(HOST_B), world.heard())
    print(json.dumps(seen))


main()
