"""One host of the lab: a Debian system that systemd-nspawn boots over the base image."""

import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import attachments, cgroups, mounts, network, processes
from lab.paths import HOSTS, host_namespace, resolver
from lab.plan import Condition

# A shutdown that takes longer than this is cut off, as EC2 does after some minutes.
_SHUTDOWN_SECONDS = 20
_POWER_OFF = signal.SIGRTMIN + 4  # systemd(1), "SIGNALS"
_REBOOT = signal.SIGINT
# With --keep-unit, systemd-nspawn leaves it to its caller to start it again: when its host reboots, it exits
# with 133 (nspawn.c, EXIT_FORCE_RESTART).
_AGAIN_AFTER_REBOOT = 'while "$@"; [ $? -eq 133 ]; do :; done'


@dataclass(frozen=True)
class Host:
    """What the lab must know of a host to find it again; kept in its directory as host.json."""

    instance_id: str
    address: str
    created: float

    @property
    def directory(self) -> Path:
        """All that the host has on the machine."""
        return HOSTS / self.instance_id

    @property
    def console(self) -> Path:
        """What the host has printed while it boots and stops."""
        return self.directory / "console.log"

    @property
    def process(self) -> processes.Process | None:
        """The parent of systemd-nspawn; None when the host was never started or has been stopped."""
        return processes.recorded(self.directory / "pid")

    @property
    def running(self) -> bool:
        """Whether the host is on, booted or not."""
        process = self.process
        return process is not None and process.alive

    @property
    def condition(self) -> Condition:
        """Running, off, or ended by itself: then its pid file is still there."""
        process = self.process
        if process is None:
            return Condition.OFF
        return Condition.RUNNING if process.alive else Condition.ENDED

    @property
    def leader(self) -> int | None:
        """Pid of the host's own pid 1, seen from the machine; None while there is none."""
        process = self.process
        if process is None or not process.alive:
            return None
        nspawn = processes.children(process.pid)
        return next((pid for parent in nspawn for pid in processes.children(parent) if _is_init(pid)), None)


def create(instance_id: str, address: str, image: Path, cidr: str, region: str) -> Host:
    """Make a host's root and network; it is not booted yet. What an interrupted attempt left goes first.

    `address`: its private IPv4 address. `image`: the base image's root. `cidr`: the VPC's network.
    """
    host = Host(instance_id, address, time.time())
    destroy(host)
    for name in ("upper", "work", "root", "hypervisor"):
        (host.directory / name).mkdir(parents=True)
    # cloud-init knows an EC2 instance by this file's first letters (its docs, "datasource: EC2").
    (host.directory / "hypervisor" / "uuid").write_text(f"ec2{instance_id.removeprefix('i-')}\n")
    etc = host.directory / "upper" / "etc"
    etc.mkdir(mode=0o755)
    search = f"{region}.compute.internal"
    (etc / "resolv.conf").write_text(f"nameserver {resolver(cidr)}\nsearch {search}\n")
    mounts.overlay(image, host.directory / "upper", host.directory / "work", host.directory / "root")
    network.attach_host(instance_id, address)
    (host.directory / "host.json.new").write_text(json.dumps(asdict(host)))
    (host.directory / "host.json.new").rename(host.directory / "host.json")
    return host


def boot(host: Host) -> None:
    """Turn a created or stopped host on; returns at once."""
    command = [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        "--register=no",
        "--keep-unit",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        f"--machine={host.instance_id}",
        f"--directory={host.directory / 'root'}",
        f"--network-namespace-path=/run/netns/{host_namespace(host.instance_id)}",
        # For nftables; and to grow a mounted file system (fs/ext4/resize.c), where this machine's root can.
        "--capability=CAP_NET_ADMIN,CAP_SYS_RESOURCE",
        f"--bind-ro={host.directory / 'hypervisor'}:/sys/hypervisor",
    ]
    processes.spawn(
        host.directory / "pid",
        ["sh", "-c", _AGAIN_AFTER_REBOOT, "sh", *cgroups.inside_its_own(host.instance_id, command)],
        host.console,
        # Without it /sys is read-only, and the file for cloud-init can't be bound into it.
        {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"},
    )


def reboot(host: Host) -> None:
    """Restart a running host's system, keeping its disk."""
    if leader := host.leader:
        os.kill(leader, _REBOOT)


def shut_down(host: Host) -> None:
    """Turn a host off in good order, or after a bound by force; its disk and network stay."""
    process = host.process
    if process is None:
        return
    if leader := host.leader:
        os.kill(leader, _POWER_OFF)
        processes.wait_until(lambda: not process.alive, seconds=_SHUTDOWN_SECONDS)
    processes.stop(process, grace=1)
    cgroups.remove(host.instance_id)
    (host.directory / "pid").unlink(missing_ok=True)


def destroy(host: Host) -> None:
    """Turn a host off at once and remove all that it had; harmless when there is nothing.

    Its volumes stay, as files. Raises CorralError when one of them is still in use.
    """
    (host.directory / "host.json").unlink(missing_ok=True)
    if process := host.process:
        process.signal(signal.SIGKILL)
        processes.stop(process, grace=1)
    cgroups.remove(host.instance_id)
    attachments.release(host.directory)
    network.detach_host(host.instance_id)
    mounts.remove_tree(host.directory)


def present() -> dict[str, Host]:
    """All hosts on this machine by instance id, running or not, but half-made ones."""
    found = {}
    for path in HOSTS.glob("*/host.json"):
        # One that is being removed may be gone by now.
        with suppress(FileNotFoundError):
            found[path.parent.name] = Host(**json.loads(path.read_text()))
    return found


def half_made() -> list[Host]:
    """What is there of hosts whose making, or removal, is under way or was cut off."""
    directories = [path for path in HOSTS.glob("*/") if not (path / "host.json").exists()]
    return [Host(path.name, "", 0) for path in directories]


def _is_init(pid: int) -> bool:
    """Whether a process is pid 1 of a pid namespace below the machine's (NSpid of /proc/PID/status)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    line = next(line for line in status.splitlines() if line.startswith("NSpid:"))
    return len(line.split()) > 2 and line.split()[-1] == "1"
