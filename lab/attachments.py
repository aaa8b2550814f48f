"""The volumes that one host has: of each a record in its directory, a loop device, and names in its /dev.

The record comes first and goes last: while it is there, no other host gets the volume, and the API says that
this one has it (lab/cloud/state.py).
"""

import itertools
from pathlib import Path

from corral.errors import CorralError
from lab import cgroups, devices, loops
from lab.files import write_atomically
from lab.paths import HOSTS, VOLUMES

# How long a file system takes at most to be unmounted after the last process of its host.
_PATIENCE_SECONDS = 15


def held(host: Path) -> dict[str, str]:
    """Volume ids of a host, each with its device's name; `host`: its directory."""
    return {record.name: record.read_text() for record in (host / "volumes").glob("vol-*")}


def holders(volume_id: str) -> list[str]:
    """Instance ids of the hosts that have a volume: one, or none."""
    return [record.parts[-3] for record in HOSTS.glob(f"*/volumes/{volume_id}")]


def give(host: Path, leader: int, volume_id: str, size: int) -> None:
    """Let a running host have a volume of `size` bytes, where anything of it is missing.

    `leader`: pid of the host's pid 1. The volume's file is made, or grows; it never shrinks.
    """
    file = VOLUMES / volume_id
    _stretch(file, size)
    names = held(host)
    if volume_id not in names:
        names[volume_id] = _free_name(names.values())
        (host / "volumes").mkdir(exist_ok=True)
        write_atomically(host / "volumes" / volume_id, names[volume_id])
    number = loops.attach(file)
    loops.fit(number, size)
    if not devices.shown(leader, names[volume_id], number):
        _allow(host)
        devices.show(leader, names[volume_id], number, volume_id)


def take(host: Path, leader: int | None, volume_id: str) -> None:
    """Take a volume from a host; one that is mounted there is not gone before it is unmounted."""
    if leader is not None:
        devices.hide(leader, held(host)[volume_id], volume_id)
    if loops.detach(VOLUMES / volume_id):
        (host / "volumes" / volume_id).unlink()
        if leader is not None:
            _allow(host)


def release(host: Path) -> None:
    """Take all volumes from a host whose processes have ended; raises CorralError when one stays in use."""
    for volume_id in held(host):
        if not loops.detach(VOLUMES / volume_id, _PATIENCE_SECONDS):
            device = f"/dev/loop{loops.of(VOLUMES / volume_id)}"
            raise CorralError(
                f"{volume_id} of {host.name} is still in use on this machine, as {device}.",
                f"See who has it: grep {device} /proc/*/mounts; lsof {device}",
                "docs/lab.md",
            )
        (host / "volumes" / volume_id).unlink()


def _allow(host: Path) -> None:
    numbers = [loops.of(VOLUMES / volume_id) for volume_id in held(host)]
    cgroups.allow_loops(host.name, [number for number in numbers if number is not None])


def _free_name(taken: object) -> str:
    """nvme0n1 is the disk of the system itself."""
    return next(name for number in itertools.count(1) if (name := f"nvme{number}n1") not in taken)


def _stretch(file: Path, size: int) -> None:
    file.parent.mkdir(exist_ok=True)
    with file.open("ab") as content:
        if content.tell() < size:
            content.truncate(size)
