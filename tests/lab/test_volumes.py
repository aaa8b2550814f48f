"""A volume through the plain API: a disk of the host that has it, with its data from host to host."""

import pytest
from botocore.exceptions import ClientError

from lab import hosts as lab_hosts
from lab import loops
from lab.paths import VOLUMES
from tests.lab.fleet import run, wait_for

DEVICE = "/dev/sdf"


class Hosts:
    """Instances of the test's own, in the zone of one of the fleet's, and what runs in their hosts."""

    def __init__(self, fleet):
        self.ec2 = fleet.client("ec2")
        member = self.instance(fleet.members("db")[0].instance_id)
        self.zone, self.image = member["Placement"]["AvailabilityZone"], member["ImageId"]
        self.subnet, self.started = member["SubnetId"], []

    def instance(self, instance_id):
        return self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]

    def start(self):
        made = self.ec2.run_instances(
            ImageId=self.image, SubnetId=self.subnet, MinCount=1, MaxCount=1, InstanceType="t3.small"
        )
        self.started.append(made["Instances"][0]["InstanceId"])
        self.wait_for_boot(self.started[-1])
        return self.started[-1]

    def wait_for_boot(self, instance_id):
        asked = "corral", "lab", "shell", instance_id, "--", "systemctl", "is-system-running"
        wait_for("the host has booted", lambda: run(*asked, check=False).stdout == "running\n", 60)

    def leader(self, instance_id):
        """Pid of its pid 1; None while it is off."""
        host = lab_hosts.present().get(instance_id)
        return host.leader if host else None

    def run(self, instance_id, command, check=True):
        """What a service of the host's own prints: its control group is the host's, a visitor's is not."""
        inside = ["systemd-run", "--quiet", "--wait", "--pipe", "sh", "-c", command]
        done = run("corral", "lab", "shell", instance_id, "--", *inside, check=check)
        return done.stdout + done.stderr


class Volume:
    """A volume and its names in a host."""

    def __init__(self, hosts):
        self.ec2 = hosts.ec2
        made = self.ec2.create_volume(AvailabilityZone=hosts.zone, Size=1, VolumeType="gp3", Encrypted=True)
        self.id = made["VolumeId"]
        self.path = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{self.id.replace('-', '')}"
        self.file = VOLUMES / self.id

    def attach(self, instance_id):
        self.ec2.attach_volume(VolumeId=self.id, InstanceId=instance_id, Device=DEVICE)

    def attach_when_free(self, instance_id):
        """As a host does that takes over from one which is on its way out."""

        def try_it():
            try:
                self.attach(instance_id)
            except ClientError as error:
                assert error.response["Error"]["Code"] in ("VolumeInUse", "IncorrectState")
                return False
            return True

        wait_for(f"{self.id} can be attached", try_it, 60)

    def state(self):
        found = self.ec2.describe_volumes(VolumeIds=[self.id])["Volumes"][0]
        return found["State"], [attachment["State"] for attachment in found["Attachments"]]


@pytest.fixture(scope="module")
def hosts(fleet):
    made = Hosts(fleet)
    yield made
    made.ec2.terminate_instances(InstanceIds=made.started)


@pytest.fixture(scope="module")
def host(hosts):
    return hosts.start()


@pytest.fixture(scope="module")
def volume(hosts, host):
    """A volume that is mounted in `host`, and has a file."""
    made = Volume(hosts)
    made.attach_when_free(host)
    wait_for("its disk", lambda: "block special" in hosts.run(host, f"stat -L {made.path}", check=False), 30)
    hosts.run(host, f"mkfs.ext4 -q {made.path} && mkdir /srv/disk && mount {made.path} /srv/disk")
    hosts.run(host, "echo precious >/srv/disk/file && sync")
    return made


def test_a_volume_is_a_disk_of_its_host(hosts, host, volume):
    assert hosts.run(host, f"readlink -f {volume.path}").strip() == "/dev/nvme1n1"
    assert hosts.run(host, "findmnt -no SOURCE,FSTYPE /srv/disk").split() == ["/dev/nvme1n1", "ext4"]
    assert hosts.run(host, f"blockdev --getsize64 {volume.path}").strip() == str(2**30)


def test_no_other_device_of_the_machine_is_the_hosts(hosts, host, volume, tmp_path):
    (tmp_path / "disk").write_bytes(b"secret" + bytes(4090))
    number = loops.attach(tmp_path / "disk")
    try:
        made = f"mknod /dev/other b {loops.MAJOR} {number}; head -c 6 /dev/other; rm /dev/other"
        assert "Operation not permitted" in hosts.run(host, made)
        everything = f"mount -t devtmpfs all /mnt && head -c 6 /mnt/loop{number}; umount /mnt"
        assert "Operation not permitted" in hosts.run(host, everything)
    finally:
        loops.detach(tmp_path)


def test_it_grows_while_it_is_in_use(hosts, host, volume):
    hosts.ec2.modify_volume(VolumeId=volume.id, Size=3)
    grown = str(3 * 2**30)
    wait_for("3 GiB", lambda: hosts.run(host, f"blockdev --getsize64 {volume.path}").strip() == grown, 30)
    # A mounted file system grows too, where the machine's root has CAP_SYS_RESOURCE; not everywhere it does.
    grow = f"umount /srv/disk && e2fsck -fp {volume.path} && resize2fs {volume.path}"
    hosts.run(host, f"{grow} && mount {volume.path} /srv/disk")
    assert int(hosts.run(host, "stat -fc '%b' /srv/disk")) * 4096 > 2 * 2**30
    assert hosts.run(host, "cat /srv/disk/file") == "precious\n"
    assert volume.file.stat().st_blocks * 512 < 2**30, "the file is as large as what is in it"


@pytest.mark.parametrize("way", ["reboot", "stop"])
def test_a_restart_leaves_it_attached(hosts, host, volume, way):
    before = hosts.leader(host)
    if way == "reboot":
        hosts.ec2.reboot_instances(InstanceIds=[host])
    else:
        hosts.ec2.stop_instances(InstanceIds=[host])
        wait_for("it is off", lambda: hosts.leader(host) is None, 40)
        assert volume.state() == ("in-use", ["attached"])
        hosts.ec2.start_instances(InstanceIds=[host])
    wait_for("another boot", lambda: hosts.leader(host) not in (None, before), 40)
    hosts.wait_for_boot(host)
    wait_for("its disk", lambda: hosts.run(host, f"mount {volume.path} /srv/disk", check=False) == "", 30)
    assert hosts.run(host, "cat /srv/disk/file") == "precious\n"


def test_one_that_is_mounted_is_detached_when_it_no_longer_is(hosts, host, volume):
    hosts.ec2.detach_volume(VolumeId=volume.id)
    wait_for("its name is gone", lambda: "No such" in hosts.run(host, f"stat {volume.path}", check=False), 30)
    assert volume.state() == ("in-use", ["detaching"])
    assert hosts.run(host, "cat /srv/disk/file; umount /srv/disk") == "precious\n"
    wait_for("it is free", lambda: volume.state() == ("available", []), 30)
    volume.attach(host)
    wait_for("its disk", lambda: hosts.run(host, f"mount {volume.path} /srv/disk", check=False) == "", 30)


def test_the_next_host_finds_what_the_last_one_wrote(hosts, host, volume):
    following = hosts.start()
    hosts.run(host, "echo last >/srv/disk/last; sync")
    hosts.ec2.terminate_instances(InstanceIds=[host])
    volume.attach_when_free(following)
    assert hosts.instance(host)["State"]["Name"] == "terminated"
    hosts.run(following, "mkdir /srv/disk")
    wait_for(
        "its disk", lambda: hosts.run(following, f"mount {volume.path} /srv/disk", check=False) == "", 10
    )
    assert hosts.run(following, "cat /srv/disk/file /srv/disk/last") == "precious\nlast\n"

    hosts.ec2.terminate_instances(InstanceIds=[following])
    wait_for("it is free", lambda: volume.state() == ("available", []), 60)
    assert volume.file.exists()
    hosts.ec2.delete_volume(VolumeId=volume.id)
    wait_for("its file is gone", lambda: not volume.file.exists(), 30)
