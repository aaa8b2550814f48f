"""Run inside a network namespace of its own: builds a router with hosts around it, and tries connections."""

import json
import subprocess
import sys

HOSTS = {
    "machine": "169.254.77.1",
    "app": "10.42.128.5",
    "db": "10.42.128.6",
    "lb": "10.42.0.4",
    "stranger": "10.42.200.1",
    "open": "10.42.144.8",
    "other": "10.43.128.5",
    "other_lb": "10.43.0.4",
    "other_lb_site": "169.254.77.4",
}
ROUTER = {
    "router": "169.254.77.2",
    "resolver": "10.42.0.2",
    "other_resolver": "10.43.0.2",
    "metadata": "169.254.169.254",
}
ADDRESSES = HOSTS | ROUTER

WAIT = """
import sys
print("there", flush=True)
sys.stdin.readline()
"""
SERVE = """
import selectors, socket, sys
poll = selectors.DefaultSelector()
for port in (22, 53, 80, 443, 4566, 5432):
    server = socket.create_server(("", port))
    poll.register(server, selectors.EVENT_READ, True)
print("ready", flush=True)
while True:
    for key, _ in poll.select():
        if key.data:
            connection, _ = key.fileobj.accept()
            poll.register(connection, selectors.EVENT_READ, False)
        elif data := key.fileobj.recv(100):
            key.fileobj.sendall(data)
        else:
            poll.unregister(key.fileobj)
            key.fileobj.close()
"""

CONNECT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def ping(address):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as icmp:
        icmp.settimeout(0.5)
        # An echo request of nothing; its checksum is the complement of its one word that is not zero.
        icmp.sendto(bytes([8, 0, 0xF7, 0xFF, 0, 0, 0, 0]), (address, 0))
        while (answer := icmp.recv(100))[20] != 0 or socket.inet_ntoa(answer[12:16]) != address:
            pass
def connects(wanted):
    pair, address, port = wanted
    try:
        if port == "ping":
            ping(address)
        else:
            socket.create_connection((address, port), timeout=0.5).close()
        return pair, True
    except OSError:
        return pair, False
with ThreadPoolExecutor(32) as pool:
    print(json.dumps(dict(pool.map(connects, json.loads(sys.argv[1])))))
"""

HOLD = """
import socket, sys
connection = socket.create_connection((sys.argv[1], 5432), timeout=2)
print("open", flush=True)
sys.stdin.readline()
connection.sendall(b"still")
print(connection.recv(5).decode(), flush=True)
"""


def run(*command, stdin=None):
    return subprocess.run(command, input=stdin, text=True, check=True, capture_output=True).stdout


def start(*command):
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def main():
    asked = json.load(sys.stdin)
    run("ip", "link", "set", "lo", "up")
    for address in ROUTER.values():
        run("ip", "addr", "add", f"{address}/32", "dev", "lo")
    run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    started, inside = [], {}
    for index, (host, address) in enumerate(HOSTS.items()):
        # A process of its own in a namespace of its own holds that open, and serves there.
        server = start("unshare", "--net", sys.executable, "-c", WAIT + SERVE)
        started.append(server)
        assert server.stdout.readline() == "there\n"
        inside[host] = ["nsenter", f"--net=/proc/{server.pid}/ns/net"]
        run(
            "ip", "link", "add", f"h{index}", "type", "veth", "peer", "name", "eth0", "netns", str(server.pid)
        )
        run("ip", "link", "set", f"h{index}", "up")
        run("ip", "addr", "add", "169.254.1.1/32", "dev", f"h{index}")
        run("ip", "route", "add", f"{address}/32", "dev", f"h{index}")
        for words in (
            ["addr", "add", f"{address}/32", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["route", "add", "169.254.1.1", "dev", "eth0"],
            ["route", "add", "default", "via", "169.254.1.1"],
        ):
            run(*inside[host], "ip", *words)
        server.stdin.write("go\n")
        server.stdin.flush()
        assert server.stdout.readline() == "ready\n"
    router = start(sys.executable, "-c", SERVE)
    started.append(router)
    assert router.stdout.readline() == "ready\n"

    run("nft", "-f", "-", stdin=asked["ruleset"])
    connected = {}
    for host in HOSTS:
        wanted = [
            (json.dumps([a, b, port]), ADDRESSES[b], port) for a, b, port in asked["pairs"] if a == host
        ]
        connected |= json.loads(run(*inside[host], sys.executable, "-c", CONNECT, json.dumps(wanted)))
    dropped = sum(
        expression["counter"]["packets"]
        for entry in json.loads(run("nft", "--json", "list", "ruleset"))["nftables"]
        for expression in entry.get("rule", {}).get("expr", [])
        if "counter" in expression
    )

    holder = start(*inside["app"], sys.executable, "-c", HOLD, HOSTS["db"])
    started.append(holder)
    assert holder.stdout.readline() == "open\n"
    # The same table without the app server: no rule lets it send anything any more.
    run("nft", "-f", "-", stdin=asked["ruleset"].replace("10.42.128.5", "10.42.128.99"))
    holder.stdin.write("go\n")
    holder.stdin.flush()
    still = holder.stdout.readline() == "still\n"
    for process in started:
        process.kill()
    print(
        json.dumps(
            {"connected": connected, "dropped_packets": dropped, "open_connection_still_echoes": still}
        )
    )


main()
