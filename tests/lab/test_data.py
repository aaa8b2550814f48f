"""Data outlives its server: on a volume of its own, which the next server of the role takes over."""

import pytest
from playwright.sync_api import expect

from tests.lab.fleet import wait_for
from tests.lab.visitors import enter

SINGLETONS = ("db", "elk", "release")
MOUNTED = "findmnt -n -o SOURCE,FSTYPE,OPTIONS --mountpoint /srv/data"
SQL = 'runuser -u postgres -- psql -XAtc "{}"'


@pytest.fixture(params=SINGLETONS)
def member(fleet, request):
    return fleet.members(request.param)[0]


@pytest.fixture
def release(fleet):
    """A server whose data nobody misses for a moment."""
    return fleet.members("release")[0]


def volume_of(fleet, member):
    """The id of the volume that is attached to a host, as EC2 says."""
    attached = [{"Name": "attachment.instance-id", "Values": [member.instance_id]}]
    found = fleet.client("ec2").describe_volumes(Filters=attached)["Volumes"]
    (volume,) = [one["VolumeId"] for one in found if one["Attachments"][0]["Device"] == "/dev/sdf"]
    return volume


def answer(fleet, member, statement):
    return fleet.shell(member, SQL.format(statement)).stdout.strip()


def test_the_data_of_a_role_is_on_its_own_volume(fleet, member):
    assert volume_of(fleet, member) == member.data_volume
    source, kind, options = fleet.shell(member, MOUNTED).stdout.split()
    named = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{member.data_volume.replace('-', '')}"
    assert source == fleet.shell(member, f"readlink -f {named}").stdout.strip()
    assert kind == "ext4"
    assert {"noatime", "nodev", "nosuid", "rw"} <= set(options.split(","))
    assert fleet.host(member).check_output(f"e2label {source}") == f"corral-{member.role}"


def test_a_singleton_has_its_private_name(fleet, member):
    app = fleet.members("app")[0]
    found = fleet.shell(app, f"getent hosts {fleet.settings.host_name(member.role)}").stdout
    assert found.split()[0] == member.private_address


def test_a_volume_that_is_not_mounted_is_drift(fleet, release):
    fleet.shell(release, "umount /srv/data")
    # A dry run mounts nothing, so it finds what is on the volume missing, too.
    predicted = fleet.converge("--dry", "--limit", "release").predicted
    assert predicted["Mount the volume of data"] == [release.private_address]
    assert list(fleet.converge("--limit", "release").changed) == ["Mount the volume of data"]
    assert fleet.shell(release, MOUNTED).stdout
    assert fleet.converge("--limit", "release").changed == {}


def test_a_volume_that_grew_has_a_file_system_that_grows_with_the_next_converge(fleet, release):
    """A mounted one where the host may do that; at its next mount everywhere."""
    host = fleet.host(release)
    device = host.check_output(f"readlink -f /dev/disk/by-id/*_{release.data_volume.replace('-', '')}")
    host.check_output("echo kept >/srv/data/file")

    def size():
        return int(host.check_output(f"blockdev --getsize64 {device}"))

    def grow():
        wanted = size() + 2**30
        fleet.client("ec2").modify_volume(VolumeId=release.data_volume, Size=wanted // 2**30)
        wait_for("the host's disk has grown", lambda: size() == wanted, 20)

    def converge_and_look():
        changed = fleet.converge("--limit", "release").changed
        told = host.check_output(f"dumpe2fs -h {device} 2>/dev/null | grep -E '^Block (count|size):'")
        count, bytes_each = (int(line.split()[-1]) for line in told.splitlines())
        return list(changed), count * bytes_each

    before = size()
    grow()
    capabilities = int(host.check_output("sed -n 's/^CapEff://p' /proc/self/status"), 16)
    if capabilities >> 24 & 1:  # CAP_SYS_RESOURCE, which a lab in a container may have none of to give
        assert converge_and_look() == (["Mount the volume of data"], size())
    else:
        assert converge_and_look() == ([], before)

    grow()
    host.check_output("umount /srv/data")
    assert converge_and_look() == (["Mount the volume of data"], size())
    assert host.check_output("cat /srv/data/file; rm /srv/data/file") == "kept"
    assert fleet.converge("--limit", "release").changed == {}


def test_postgres_keeps_its_data_on_the_volume_and_trusts_no_c_library_with_its_order(fleet):
    (db,) = fleet.members("db")
    assert answer(fleet, db, "show data_directory") == "/srv/data/postgresql/17/main"
    assert answer(fleet, db, "show data_checksums") == "on"
    assert (
        answer(
            fleet,
            db,
            "select datlocprovider, pg_encoding_to_char(encoding) from pg_database where datname = 'chat'",
        )
        == "b|UTF8"
    )
    assert fleet.shell(db, "ls /var/lib/postgresql").stdout == ""


def test_a_database_server_that_reboots_serves_its_data_again(fleet):
    (db,) = fleet.members("db")
    fleet.reboot(db)
    wait_for(
        "the application's database",
        lambda: fleet.shell(db, "systemctl is-active corral-database", check=False).stdout == "active\n",
        120,
    )
    assert fleet.shell(db, MOUNTED).stdout
    assert fleet.converge("--limit", "db").changed == {}


def test_without_its_volume_there_is_no_database_and_the_converge_says_why(fleet):
    """The volume is in another server, which is no place to take it from."""
    ec2 = fleet.client("ec2")
    (db,), (elk,) = fleet.members("db"), fleet.members("elk")
    impatient = "/run/systemd/system/corral-data.service.d"
    fleet.shell(
        db,
        f"systemctl stop corral-data && umount /srv/data && mkdir -p {impatient}"
        f" && printf '[Service]\\nEnvironment=CORRAL_ATTACH_SECONDS=2\\n' >{impatient}/test.conf"
        " && systemctl daemon-reload",
    )
    ec2.detach_volume(VolumeId=db.data_volume)
    free = ec2.get_waiter("volume_available")
    free.wait(VolumeIds=[db.data_volume], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    ec2.attach_volume(VolumeId=db.data_volume, InstanceId=elk.instance_id, Device="/dev/sdg")
    try:
        done = fleet.converge("--limit", "db", check=False)
        assert done.returncode != 0
        said = done.stdout + done.stderr
        assert f"the volume {db.data_volume} for {db.instance_id}: still not after 2 s: " in said
        assert "VolumeInUse" in said
        assert "Traceback" not in said
        fleet.shell(db, "systemctl start postgresql@17-main", check=False)
        assert fleet.shell(db, "systemctl is-active postgresql@17-main", check=False).stdout != "active\n"
        assert fleet.shell(db, "ls -A /srv/data").stdout == ""
    finally:
        ec2.detach_volume(VolumeId=db.data_volume)
        free.wait(VolumeIds=[db.data_volume], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        fleet.shell(db, f"rm -r {impatient} && systemctl daemon-reload")
        fleet.converge("--limit", "db")
    assert fleet.converge().changed == {}


def test_the_next_database_server_adopts_the_data_and_takes_over_the_name(fleet, chromium):
    (before,) = fleet.members("db")
    role = f"select rolpassword from pg_authid where rolname = '{fleet.settings.db.user}'"
    password, identity = (
        answer(fleet, before, statement)
        for statement in (role, "select system_identifier from pg_control_system()")
    )
    said = f"Before the server went: {before.instance_id}"
    ada = enter(chromium, fleet, "Ada")
    ada.get_by_label("Message", exact=True).fill(said)
    ada.get_by_role("button", name="Send").click()
    expect(ada.get_by_text(said)).to_have_count(1)

    fleet.client("ec2").terminate_instances(InstanceIds=[before.instance_id])

    def replacement():
        return [one for one in fleet.members() if one.role == "db" and one.instance_id != before.instance_id]

    (db,) = wait_for("another database server is in service", replacement, 240)
    assert db.data_volume == before.data_volume
    wait_for("its SSH", lambda: fleet.shell(db, "systemctl is-active ssh", check=False).returncode == 0, 60)
    fleet.converge()
    assert fleet.converge().changed == {}

    assert answer(fleet, db, role) == password
    assert answer(fleet, db, "select system_identifier from pg_control_system()") == identity
    app = fleet.members("app")[0]
    name = fleet.settings.host_name("db")
    wait_for(
        "the name is the new server's",
        lambda: fleet.shell(app, f"getent hosts {name}").stdout.split()[:1] == [db.private_address],
        90,
    )
    carol = enter(chromium, fleet, "Carol")
    expect(carol.get_by_text(said).first).to_be_visible()
    again = f"After it came: {db.instance_id}"
    carol.get_by_label("Message", exact=True).fill(again)
    carol.get_by_role("button", name="Send").click()
    expect(carol.get_by_text(again)).to_have_count(1)
