"""Looks whether this machine can run the lab, before anything is touched."""

import ipaddress
import json
import os
import platform
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from corral.errors import CorralError
from lab.commands import run
from lab.paths import CACHE, LINK, LINK_NETWORK, REPOSITORY, STATE

SEE = "docs/lab.md"
_NEEDED_MEMORY = 3 * 2**30  # five hosts, Elasticsearch on one of them, the API and the rest
_NEEDED_DISK = 4 * 2**30  # image, packages, what the hosts write


def debian_packages() -> list[str]:
    """Names of the Debian packages that the lab needs, from requirements/debian-lab.txt."""
    text = (REPOSITORY / "requirements" / "debian-lab.txt").read_text()
    return [name for line in text.splitlines() if (name := line.partition("#")[0].strip())]


def check_user() -> None:
    """Raise CorralError unless this is Linux, root, and all packages are there."""
    if platform.system() != "Linux":
        raise CorralError(
            f"The lab needs Linux (network namespaces, systemd-nspawn); this is {platform.system()}.",
            "Use a Linux machine, or a Linux virtual machine.",
            SEE,
        )
    if os.geteuid() != 0:
        raise CorralError(
            "The lab needs root: it makes network namespaces and boots hosts.",
            "Run the same command with sudo.",
            SEE,
        )
    if missing := missing_packages(debian_packages()):
        raise CorralError(
            f"Debian packages are missing: {' '.join(missing)}.",
            "`make up` installs them.",
            SEE,
        )


def missing_packages(names: Iterable[str]) -> list[str]:
    """Those of the Debian packages that are not installed."""
    if not shutil.which("dpkg-query"):
        raise CorralError("This machine has no dpkg.", "The lab needs Debian 12 or later.", SEE)
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names],
        capture_output=True,
        text=True,
        check=False,  # it fails when one of them is unknown, which is what is asked
    )
    present = {line.split()[0] for line in shown.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in present]


def check_machine(cidr: str) -> None:
    """Raise CorralError when something of this machine is in the lab's way.

    `cidr`: the network of the lab's own environment.
    """
    if run("unshare", "--net", "--mount", "echo", "yes", check=False) != "yes\n":
        raise CorralError(
            "This machine lets nobody make network namespaces (it may be an unprivileged container).",
            "Use a virtual machine, or a privileged container.",
            SEE,
        )
    if not run("losetup", "--find", check=False):
        raise CorralError(
            "This machine has no loop devices, and the lab's volumes are some.",
            "Load the kernel's module for them: modprobe loop. A container must be given /dev/loop-control.",
            SEE,
        )
    _check_room()
    for network in (cidr, LINK_NETWORK):
        if taken := in_use(network):
            raise CorralError(
                f"The lab's network {network} is in use on this machine: {taken}.",
                "Choose another one: network.cidr in environments/lab.toml."
                if network == cidr
                else "Take that address away; the lab can't use another network for its link.",
                SEE,
            )
    for port, what in ((80, "package cache"), (443, "npm registry")):
        if taker := listens_everywhere(run("ss", "-Hltnp", f"sport = :{port}"), port):
            raise CorralError(
                f"A process of this machine listens on port {port} of every address ({taker}),"
                f" and the lab's {what} needs that port on an address of its own.",
                "Stop that process, or let it listen on its own address.",
                SEE,
            )


def listens_everywhere(shown: str, port: int) -> str | None:
    """Which process listens on a port of all addresses; None when none does (pure).

    `shown`: the lines of `ss -Hltnp` (ss(8)), whose fourth field is the local address.
    """
    for line in shown.splitlines():
        if line.split()[3] in (f"0.0.0.0:{port}", f"*:{port}", f"[::]:{port}"):
            found = re.search(r'users:\(\("([^"]+)",pid=(\d+)', line)
            return f"{found.group(1)}, pid {found.group(2)}" if found else "unknown"
    return None


def in_use(network: str) -> str | None:
    """What of this machine uses addresses of a network, in words; None when nothing does."""
    routes = json.loads(run("ip", "-j", "-4", "route", "show", "table", "all") or "[]")
    nameservers = re.findall(r"^nameserver\s+([\d.]+)\s*$", Path("/etc/resolv.conf").read_text(), re.M)
    return overlap(network, routes, nameservers)


def overlap(network: str, routes: Iterable[dict[str, str]], nameservers: Iterable[str]) -> str | None:
    """The same of what is given (pure).

    `routes`: those of `ip -j route`. The lab's own do not count, nor does a default route.
    """
    wanted = ipaddress.ip_network(network)
    for route in routes:
        if route.get("dev") == LINK or route.get("type") in ("unreachable", "broadcast"):
            continue
        gateway = route.get("gateway")
        if gateway and ipaddress.ip_address(gateway) in wanted:
            return f"its gateway {gateway}"
        if route["dst"] == "default":
            continue
        if ipaddress.ip_network(route["dst"], strict=False).overlaps(wanted):
            return f"the route to {route['dst']} by {route.get('dev', 'another way')}"
    for server in nameservers:
        if ipaddress.ip_address(server) in wanted:
            return f"its name server {server}"
    return None


def free_port(preferred: int) -> int:
    """The preferred port (443 or 80) of 127.0.0.1, or a free one from 8443 or 8080 on where it is taken."""
    high = range(8443, 8543) if preferred == 443 else range(8080, 8180)
    ports: list[int] = [preferred, *high]
    for port in ports:
        if can_bind("127.0.0.1", port):
            return port
    raise CorralError(f"No port of {preferred}, {high.start} to {high.stop - 1} is free.", "Free one.", SEE)


def can_bind(address: str, port: int) -> bool:
    """Whether a port can be listened on now."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((address, port))
            attempt.listen()
        except OSError:
            return False
    return True


def _check_room() -> None:
    available = int(re.findall(r"^MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)[0]) * 1024
    if available < _NEEDED_MEMORY:
        raise CorralError(
            f"Only {available / 2**30:.1f} GiB of memory are free; {_NEEDED_MEMORY / 2**30:.1f} are needed.",
            "Stop something, or use a machine with 8 GiB.",
            SEE,
        )
    for directory in (STATE, CACHE):
        there = next(path for path in (directory, *directory.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if free < _NEEDED_DISK:
            raise CorralError(
                f"Only {free / 2**30:.1f} GiB are free in {there}; {_NEEDED_DISK / 2**30:.0f} are needed.",
                f"Free some, or mount a larger disk at {directory}.",
                SEE,
            )
        kind = run("findmnt", "-n", "-o", "FSTYPE", "-T", there).strip()
        if directory == STATE and kind in ("overlay", "nfs", "nfs4", "tmpfs", "vfat"):
            raise CorralError(
                f"{there} is on {kind}, where the hosts' disks can't be (they are overlays).",
                f"Mount a disk with ext4, xfs or btrfs at {directory}.",
                SEE,
            )
