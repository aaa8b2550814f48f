"""A control group per host: the init of one can't take another's services for its own, nor open its disks."""

import os
from contextlib import suppress
from functools import partial
from pathlib import Path

from lab import processes
from lab.commands import run
from lab.loops import MAJOR

_MOUNT = Path("/sys/fs/cgroup")
_JOIN = """
for group in {groups}; do
    mkdir -p "$group" && echo $$ >"$group/cgroup.procs" || exit 1
done
exec "$@"
"""
# As systemd-nspawn@.service has it, beside null, zero, full, random, urandom, tty and ptmx ("closed").
_ALLOWED = ("DeviceAllow=/dev/net/tun rwm", "DeviceAllow=char-pts rw")
# The same in the words of the kernel (its docs, "Device Whitelist Controller"), and to make any node, for a
# node is checked when it is opened.
_HARMLESS = (
    *("c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm"),
    *("c 5:0 rwm", "c 5:2 rwm", "c 136:* rw", "c 10:200 rwm"),
)


def inside_its_own(instance_id: str, command: list[str]) -> list[str]:
    """The command, such that it runs in a control group of its own (a scope where systemd is init).

    It can open no device of the machine but harmless ones, and what `allow_loops` adds.
    """
    if _systemd():
        properties = [f"--property={each}" for each in ("Delegate=yes", "DevicePolicy=closed", *_ALLOWED)]
        scope = ["--quiet", "--scope", "--collect", f"--unit={_scope(instance_id)}", *properties]
        return ["systemd-run", *scope, *command]
    groups = [root / instance_id for root in _roots() if root != _devices()]
    if limit := _limit_devices(instance_id):
        groups.append(limit)
    return ["sh", "-c", _JOIN.format(groups=" ".join(map(str, groups))), "sh", *command]


def allow_loops(instance_id: str, numbers: list[int]) -> None:
    """Let a host that runs open these loop devices, and no others."""
    if _systemd():
        # An empty one takes back what was allowed before (systemd.resource-control(5)).
        allowed = ["DeviceAllow=", *_ALLOWED, *(f"DeviceAllow=/dev/loop{number} rw" for number in numbers)]
        run("systemctl", "set-property", "--runtime", _scope(instance_id), *allowed)
        return
    group = _devices() / instance_id
    if not group.is_dir():
        return
    present = {line for line in (group / "devices.list").read_text().splitlines() if line.startswith("b 7:")}
    wanted = {f"b {MAJOR}:{number} rw" for number in numbers}
    for line in sorted(present - wanted):
        (group / "devices.deny").write_text(line)
    for line in sorted(wanted - present):
        # A group has no more than the one above it, and does not get what that gets later.
        (group / "devices.allow").write_text(line)
        (group / "host" / "devices.allow").write_text(line)


def remove(instance_id: str) -> None:
    """Kill what is left in a host's control groups, and remove them; harmless when there are none."""
    for root in _roots():
        processes.wait_until(partial(_cleared, root / instance_id), seconds=5)


def remove_all() -> None:
    """Remove the control groups of all hosts."""
    for root in _roots():
        for group in root.glob("i-*/"):
            remove(group.name)
        if root.is_dir():
            root.rmdir()


def present() -> list[Path]:
    """The lab's control groups that there are."""
    return [root for root in _roots() if root.is_dir()]


def _limit_devices(instance_id: str) -> Path | None:
    """A group for a host's processes; None where the kernel has no such groups.

    The limit is the group's above it, which a host does not see: whoever is root there can't lift it.
    """
    group = _devices() / instance_id
    if not _devices().parent.is_dir():
        return None
    if not (group / "host").is_dir():
        group.mkdir(parents=True, exist_ok=True)
        (group / "devices.deny").write_text("a")
        for line in _HARMLESS:
            (group / "devices.allow").write_text(line)
        (group / "host").mkdir()
    return group / "host"


def _systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _scope(instance_id: str) -> str:
    return f"corral-lab-{instance_id}.scope"


def _devices() -> Path:
    return _MOUNT / "devices" / "corral-lab"


def _roots() -> list[Path]:
    """Directories that hold the hosts' control groups, one in each hierarchy.

    Those that systemd needs, name=systemd and unified on a hybrid machine, and that of devices; one unified
    where it is alone.
    """
    names = ("systemd", "unified", "devices")
    hierarchies = [_MOUNT / name for name in names] if (_MOUNT / "systemd").is_dir() else [_MOUNT]
    return [hierarchy / "corral-lab" for hierarchy in hierarchies if hierarchy.is_dir()]


def _cleared(top: Path) -> bool:
    """Kill and remove what can be now; whether nothing is left. The dying init removes groups meanwhile."""
    # os.walk goes on where a group vanishes before it looks into it; Path.glob does not.
    for directory, _, _ in os.walk(top, topdown=False):
        group = Path(directory)
        with suppress(FileNotFoundError):
            for pid in (group / "cgroup.procs").read_text().split():
                processes.kill(int(pid))
        with suppress(OSError):  # its processes have not gone yet: there is a next look
            group.rmdir()
    return not top.exists()
