"""`corral lab down` leaves nothing behind, also after a kill -9 in the middle of `up`, which recovers."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lab.processes import marked
from tests.lab.conftest import STATE
from tests.lab.fleet import BIN, ROOT, Fleet, guarded, routed, run, wait_for


def names(*command, key):
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [entry[key] for entry in json.loads(out or "[]")]


def processes():
    """The processes that belong to the lab, and all in another process namespace (its hosts)."""
    own = Path("/proc/self/ns/pid").readlink()
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            line = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            elsewhere = (proc / "ns/pid").readlink() != own
            dead = (proc / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue  # it ended meanwhile
        if dead:
            continue  # it waits for this machine's init to read its exit code
        if elsewhere or "corral-lab" in line or marked(int(proc.name)):
            yield f"process {proc.name}: {line.strip()}"


SECOND = "10.44.0.0/16"


def traces(cidr):
    """Everything of the lab that is on this machine now, beside its cache; `cidr`: its own VPC's network."""
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    loops = subprocess.run(["losetup", "--all"], capture_output=True, text=True, check=True).stdout
    return [
        *[f"namespace {n}" for n in names("ip", "-j", "netns", key="name") if "corral" in n],
        *[f"interface {n}" for n in names("ip", "-j", "link", key="ifname") if "corral" in n],
        *[
            f"route {n}"
            for n in names("ip", "-j", "route", "show", "table", "all", key="dst")
            if n in (cidr, SECOND)
        ],
        *[f"nft {line}" for line in tables.splitlines() if "corral" in line],
        *[f"mount {line}" for line in mounts if "corral-lab" in line],
        *[f"loop device {line}" for line in loops.splitlines() if "corral-lab" in line],
        *processes(),
        *([f"directory {STATE}"] if STATE.exists() else []),
    ]


@pytest.fixture
def cidr(fleet):
    yield fleet.settings.network.cidr
    # The session's fleet is expected up by whoever comes after, and taken down at the end.


def test_up_leaves_a_running_lab_as_it_is(cidr, fleet):
    def pids():
        files = [*STATE.glob("services/*.pid"), *STATE.glob("hosts/*/pid")]
        return {str(path.relative_to(STATE)): path.read_text() for path in files}

    before = pids()
    hosts = {f"hosts/{member.instance_id}/pid" for member in fleet.members()}
    assert hosts | {"services/api.pid"} <= set(before)
    done = run("corral", "lab", "up")
    assert "the lab is running already\n" in done.stdout
    assert pids() == before


def mount_a_volume(fleet):
    """Give a host of the fleet one more disk, and mount it there."""
    host, ec2 = fleet.members("db")[0], fleet.client("ec2")
    instance = ec2.describe_instances(InstanceIds=[host.instance_id])["Reservations"][0]["Instances"][0]
    zone = instance["Placement"]["AvailabilityZone"]
    volume = ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1})
    ec2.attach_volume(VolumeId=volume, InstanceId=host.instance_id, Device="/dev/sdz")
    path = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"
    mount = f"mkfs.ext4 -q {path} && mkdir /mnt/disk && mount {path} /mnt/disk && echo mounted"
    wait_for("its disk", lambda: fleet.shell(host, f"[ -b {path} ]", check=False).returncode == 0, 30)
    assert fleet.shell(host, mount).stdout == "mounted\n"


def test_down_leaves_nothing(cidr, fleet):
    mount_a_volume(fleet)
    # And there is a second network, whose VPC nobody deletes.
    fleet.client("ec2").create_vpc(CidrBlock=SECOND)
    wait_for("a second network", lambda: SECOND in guarded() and SECOND in routed(), seconds=60)
    assert "loop device" in " ".join(traces(cidr)), "the lab is up, so there must be something to find"
    # Nobody is left to follow the API, and the host dies with its disk mounted.
    (reconciler,) = [line.split()[1].rstrip(":") for line in processes() if "lab.reconciler" in line]
    os.kill(int(reconciler), signal.SIGKILL)
    run("corral", "lab", "down")
    assert traces(cidr) == []


def test_down_when_nothing_is_up_says_so_and_is_no_error(cidr):
    done = run("corral", "lab", "down")
    assert done.returncode == 0
    assert traces(cidr) == []


@pytest.mark.parametrize("seconds", [0.4, 1.5, 3.0])
def test_a_killed_up_leaves_nothing_after_down(cidr, seconds):
    up = subprocess.Popen([BIN / "corral", "lab", "up"], cwd=ROOT, stdout=subprocess.DEVNULL)
    time.sleep(seconds)
    up.send_signal(signal.SIGKILL)
    up.wait()
    run("corral", "lab", "down")
    assert traces(cidr) == []


def test_a_second_up_recovers_from_a_killed_one(cidr):
    up = subprocess.Popen([BIN / "corral", "lab", "up"], cwd=ROOT, stdout=subprocess.DEVNULL)
    time.sleep(1.0)
    up.send_signal(signal.SIGKILL)
    up.wait()
    run("corral", "lab", "up")
    assert Fleet().client("sts").get_caller_identity()["Account"] == Fleet().settings.account


def test_the_reconciler_killed_is_found_by_status_and_mended_by_up(cidr):
    pids = {int(line.split()[1].rstrip(":")) for line in processes() if "reconciler" in line}
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for("status says so", lambda: run("corral", "lab", "status", check=False).returncode != 0, seconds=5)
    run("corral", "lab", "up")
    assert run("corral", "lab", "status").returncode == 0
    run("corral", "lab", "down")
    assert traces(cidr) == []
