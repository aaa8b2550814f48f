"""Volumes on this machine: which host is to have which, files as loop devices, and names in a host's /dev."""

import os
import subprocess
from pathlib import Path

import pytest

from corral.errors import CorralError
from lab import attachments, cgroups, devices, loops, volumes
from lab.volumes import GIB, Disk

needs_loops = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists(), reason="needs root and loop devices"
)


def volume(name, size=1, instance=None, device="/dev/sdf", state="attached"):
    attachment = {"InstanceId": instance, "Device": device, "State": state}
    return {"VolumeId": name, "Size": size, "Attachments": [attachment] if instance else []}


def instance(name, root="/dev/xvda", **devices):
    mappings = [{"DeviceName": f"/dev/{key}", "Ebs": {"VolumeId": value}} for key, value in devices.items()]
    return {"InstanceId": name, "RootDeviceName": root, "BlockDeviceMappings": mappings}


def test_a_host_has_the_volumes_that_are_attached_but_its_own_disk():
    instances = [
        instance("i-1", xvda="vol-root", sdf="vol-data", sdg="vol-more"),
        instance("i-2", sda1="vol-default", sdf="vol-leaving"),
        instance("i-3"),
    ]
    all_volumes = [
        volume("vol-root", 8, "i-1", "/dev/xvda"),
        volume("vol-data", 20, "i-1"),
        volume("vol-more", 1, "i-1", "/dev/sdg"),
        volume("vol-default", 8, "i-2", "/dev/sda1"),
        volume("vol-leaving", 1, "i-2", state="detaching"),
        volume("vol-free"),
    ]
    assert volumes.system_disks(instances) == {"vol-root", "vol-default"}
    assert volumes.wanted(all_volumes, instances) == {
        "i-1": [Disk("vol-data", 20 * GIB), Disk("vol-more", GIB)],
    }


def test_udev_would_name_a_volume_so():
    name = "nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0"
    assert devices.link("vol-0123456789abcdef0") == name


@needs_loops
def test_a_file_is_a_loop_device_until_it_is_detached(tmp_path):
    file = tmp_path / "volumes" / "vol-1"
    file.parent.mkdir()
    file.touch()
    os.truncate(file, 2**20)
    try:
        number = loops.attach(file)
        assert loops.attach(file) == number
        assert loops.attached(tmp_path) == {file: [number]}
        device = Path(f"/dev/loop{number}")
        device.write_bytes(b"content")
        with device.open("r+b") as content:
            os.fsync(content.fileno())
        assert file.read_bytes()[:7] == b"content"

        os.truncate(file, 2**21)
        loops.fit(number, 2**21)
        with device.open("rb") as content:
            assert content.seek(0, os.SEEK_END) == 2**21
            # While somebody has it open it stays, and goes when he closes it.
            assert not loops.detach(file)
        assert loops.detach(tmp_path, seconds=5)
        assert loops.of(file) is None
    finally:
        loops.detach(tmp_path)


@needs_loops
def test_the_loop_device_of_a_deleted_file_is_found(tmp_path):
    file = tmp_path / "vol-1"
    file.write_bytes(bytes(4096))
    loops.attach(file)
    file.unlink()
    assert list(loops.attached(tmp_path)) == [file]
    assert loops.detach(tmp_path, seconds=5)
    assert loops.attached(tmp_path) == {}


class Host:
    """As much of a running host as its disks need: a directory, and a process with a /dev of its own."""

    def __init__(self, directory):
        directory.mkdir(parents=True)
        self.instance_id, self.directory = directory.name, directory
        self.boot()

    def boot(self):
        inside = "mount -t tmpfs dev /dev && echo ready && exec sleep 1000"
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", inside],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"
        self.leader = self.process.pid

    def end(self):
        self.process.kill()
        self.process.wait()

    def disks(self):
        """{name in /dev: number of the loop device}, and what each volume's own name leads to."""
        dev = Path(f"/proc/{self.leader}/root/dev")
        numbers = {
            each.name: os.minor(each.stat().st_rdev) for each in dev.iterdir() if each.is_block_device()
        }
        links = {each.name: str(each.readlink()) for each in dev.glob("disk/by-id/*")}
        return numbers, links

    def give(self, volume_id, size=GIB):
        attachments.give(self.directory, self.leader, volume_id, size)

    def take(self, volume_id):
        attachments.take(self.directory, self.leader, volume_id)


class Machine:
    """Hosts' directories, volumes' files, and the loop devices that hosts were allowed to open."""

    def __init__(self, tmp_path, monkeypatch):
        self.place, self.volumes, self.allowed = tmp_path / "hosts", tmp_path / "volumes", {}
        self.hosts = {}
        monkeypatch.setattr(attachments, "HOSTS", self.place)
        monkeypatch.setattr(attachments, "VOLUMES", self.volumes)
        monkeypatch.setattr(volumes, "VOLUMES", self.volumes)
        # The hosts here have no control groups. (The lab's own tests see what these do.)
        monkeypatch.setattr(cgroups, "allow_loops", self.allowed.__setitem__)

    def host(self, name="i-1"):
        self.hosts[name] = Host(self.place / name)
        return self.hosts[name]

    def loop(self, volume_id):
        return loops.of(self.volumes / volume_id)

    def open(self, volume_id):
        return Path(f"/dev/loop{self.loop(volume_id)}").open("rb")

    def follow(self, *described):
        instances = [instance(name) | {"State": {"Name": "running"}} for name in self.hosts]
        volumes.follow(list(described), instances, self.hosts)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    made = Machine(tmp_path, monkeypatch)
    yield made
    for host in made.hosts.values():
        host.end()
    assert loops.detach(tmp_path, seconds=5)


@needs_loops
def test_a_volume_is_given_once_grows_and_is_taken(machine):
    host = machine.host()
    host.give("vol-1")
    host.give("vol-2")
    first, second = machine.loop("vol-1"), machine.loop("vol-2")
    both = {devices.link("vol-1"): "../../nvme1n1", devices.link("vol-2"): "../../nvme2n1"}
    assert host.disks() == ({"nvme1n1": first, "nvme2n1": second}, both)
    assert set(machine.allowed["i-1"]) == {first, second}
    assert attachments.holders("vol-1") == ["i-1"]
    assert (machine.volumes / "vol-1").stat().st_blocks == 0, "it is sparse"

    host.give("vol-1", 2 * GIB)
    assert (machine.volumes / "vol-1").stat().st_size == 2 * GIB
    assert Path(f"/sys/block/loop{first}/size").read_text() == f"{2 * GIB // 512}\n"
    host.give("vol-1", GIB)
    assert (machine.volumes / "vol-1").stat().st_size == 2 * GIB

    with machine.open("vol-1"):
        host.take("vol-1")
        assert host.disks() == ({"nvme2n1": second}, {devices.link("vol-2"): "../../nvme2n1"})
        assert attachments.holders("vol-1") == ["i-1"], "somebody still reads it"
    host.take("vol-1")
    assert (attachments.holders("vol-1"), machine.loop("vol-1")) == ([], None)
    assert machine.allowed["i-1"] == [second]

    host.give("vol-3")
    assert attachments.held(host.directory) == {"vol-2": "nvme2n1", "vol-3": "nvme1n1"}
    attachments.release(host.directory)
    assert (attachments.held(host.directory), loops.attached(machine.volumes)) == ({}, {})


@needs_loops
def test_what_a_restart_took_is_given_again(machine):
    host = machine.host()
    host.give("vol-1")
    before = host.disks()
    host.end()
    host.boot()
    assert host.disks() == ({}, {})
    machine.follow(volume("vol-1", 1, "i-1"))
    assert host.disks() == before


@needs_loops
def test_a_host_that_still_has_a_volume_in_use_is_not_done_with(machine, monkeypatch):
    host = machine.host()
    host.give("vol-1")
    monkeypatch.setattr(attachments, "_PATIENCE_SECONDS", 0.2)
    with machine.open("vol-1"), pytest.raises(CorralError, match="vol-1 of i-1 is still in use"):
        attachments.release(host.directory)
    assert attachments.holders("vol-1") == ["i-1"]
    attachments.release(host.directory)
    assert attachments.holders("vol-1") == []


@needs_loops
def test_disks_follow_the_api_one_host_after_the_other(machine):
    first, second = machine.host("i-1"), machine.host("i-2")
    machine.follow(volume("vol-1", 1, "i-1"), volume("vol-2"))
    assert list(first.disks()[0]) == ["nvme1n1"]
    assert not (machine.volumes / "vol-2").exists(), "a file comes with the first host"

    with machine.open("vol-1"):
        machine.follow(volume("vol-1", 1, "i-2"))
        assert second.disks() == ({}, {}), "it waits for whoever has it open, whatever the API says"
    machine.follow(volume("vol-1", 1, "i-2"))
    assert (first.disks()[0], list(second.disks()[0])) == ({}, ["nvme1n1"])

    machine.follow(volume("vol-1"))
    assert (second.disks()[0], attachments.holders("vol-1")) == ({}, [])
    assert (machine.volumes / "vol-1").exists(), "its data stays"
    machine.follow()
    assert not (machine.volumes / "vol-1").exists()


@needs_loops
def test_one_hosts_fault_keeps_nobody_from_his_disks(machine):
    machine.host("i-1").end()
    second = machine.host("i-2")
    with pytest.raises(CorralError, match="No such file or directory"):
        machine.follow(volume("vol-1", 1, "i-1"), volume("vol-2", 1, "i-2"))
    assert list(second.disks()[0]) == ["nvme1n1"]


@needs_loops
def test_names_are_made_in_a_hosts_own_dev_only(machine):
    """Not in the machine's, which a host has until it is set up, and not where a host's links lead to."""
    devices.show(os.getpid(), "nvme1n1", 0, "vol-1")
    assert not Path("/dev/nvme1n1").exists()
    host = machine.host()
    (Path(f"/proc/{host.leader}/root/dev") / "disk").symlink_to("/etc")
    with pytest.raises(OSError, match="disk"):
        devices.show(host.leader, "nvme1n1", 0, "vol-1")
    assert not Path("/etc/by-id").exists()
