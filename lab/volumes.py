"""Lets the hosts' disks follow the API's volumes: each a sparse file, and a disk of the host that has it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from corral.errors import CorralError
from lab import attachments, loops
from lab.hosts import Host
from lab.paths import VOLUMES
from lab.plan import ON

GIB = 2**30


@dataclass(frozen=True)
class Disk:
    """A volume that an instance is to have as a disk; `size` in bytes."""

    volume_id: str
    size: int


def system_disks(instances: Iterable[Mapping[str, Any]]) -> set[str]:
    """Ids of the volumes that are the instances' own disks (pure): in the lab a host's root directory.

    Of an instance whose launch says nothing about it, the API calls that disk /dev/sda1.
    """
    return {
        mapping["Ebs"]["VolumeId"]
        for instance in instances
        for mapping in instance.get("BlockDeviceMappings", [])
        if mapping["DeviceName"] in (instance.get("RootDeviceName"), "/dev/sda1")
    }


def wanted(
    volumes: Iterable[Mapping[str, Any]], instances: Iterable[Mapping[str, Any]]
) -> dict[str, list[Disk]]:
    """The disks that each instance is to have, by its id (pure); both as EC2 describes them."""
    system = system_disks(instances)
    found: dict[str, list[Disk]] = {}
    for volume in volumes:
        for attachment in volume["Attachments"]:
            if attachment["State"] == "attached" and volume["VolumeId"] not in system:
                disk = Disk(volume["VolumeId"], volume["Size"] * GIB)
                found.setdefault(attachment["InstanceId"], []).append(disk)
    return found


def follow(
    volumes: list[dict[str, Any]], instances: list[dict[str, Any]], present: Mapping[str, Host]
) -> None:
    """Bring the disks of the hosts that are `present` to what the API says; delete files of deleted volumes.

    First all is taken, then given, so that no device's number has two meanings. Raises CorralError with what
    went wrong, after all the rest was done.
    """
    disks = wanted(volumes, instances)
    on = {one["InstanceId"] for one in instances if one["State"]["Name"] in ON}
    faults: list[str] = []
    for instance_id, host in present.items():
        kept = {disk.volume_id for disk in disks.get(instance_id, [])}
        for volume_id in attachments.held(host.directory).keys() - kept:
            _try(partial(attachments.take, host.directory, host.leader, volume_id), faults)
    for instance_id in present.keys() & on:
        for disk in disks.get(instance_id, []):
            _try(partial(_give, present[instance_id], disk), faults)
    _try(partial(_delete_all_but, {volume["VolumeId"] for volume in volumes}), faults)
    if faults:
        raise CorralError("; ".join(faults), "It is tried again.")


def _give(host: Host, disk: Disk) -> None:
    others = [one for one in attachments.holders(disk.volume_id) if one != host.instance_id]
    leader = host.leader
    if leader is not None and not others:
        attachments.give(host.directory, leader, disk.volume_id, disk.size)


def _delete_all_but(known: set[str]) -> None:
    for file in VOLUMES.glob("vol-*"):
        if file.name not in known and not attachments.holders(file.name) and loops.detach(file):
            file.unlink()


def _try(work: Callable[[], None], faults: list[str]) -> None:
    try:
        work()
    except (OSError, CorralError) as error:  # such as a host that has just ended
        faults.append(str(error))
