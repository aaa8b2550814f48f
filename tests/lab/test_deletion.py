"""The environment `lab` itself is deleted, keeps what it said it would, and comes back with it."""

import pytest
from botocore.exceptions import ClientError

from corral.cloudformation import stacks
from lab.hosts import present
from tests.lab.fleet import run, wait_for

DELETE = ("corral", "stack", "delete", "-e", "lab")
KEPT = {"ReleasesBucket", "LogsBucket", "SiteZone", "DbVolume", "ElkVolume", "ReleaseVolume"}


@pytest.fixture
def held(fleet):
    """{logical id: physical id} of what the stack holds."""
    stack = stacks.require(fleet.settings)
    return {each.logical: each.physical for each in stacks.resources(fleet.settings, stack)}


def test_who_does_not_say_yes_is_told_what_goes_and_what_stays_and_loses_nothing(fleet, held):
    done = run(*DELETE, check=False)
    assert done.returncode == 1
    assert "nobody to ask" in done.stderr
    stays = [line.split() for line in done.stdout.splitlines() if line.startswith("  stays: ")]
    policies = {"ReleasesBucketPolicy", "LogsBucketPolicy"}
    assert {words[1]: words[3] for words in stays} == {name: held[name] for name in KEPT | policies}
    assert stacks.require(fleet.settings).status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    assert len(fleet.members()) == 5


def test_a_protected_environment_is_not_deleted(fleet):
    cloud, name = fleet.client("cloudformation"), fleet.settings.stack_name
    cloud.update_termination_protection(StackName=name, EnableTerminationProtection=True)
    try:
        done = run(*DELETE, "--yes", "lab", check=False)
        assert done.returncode == 1
        assert f"Stack {name} is protected from its deletion" in done.stderr
        with pytest.raises(ClientError, match="TerminationProtection is enabled"):
            cloud.delete_stack(StackName=name)
    finally:
        run("corral", "stack", "apply", "-y", "-e", "lab")
    assert not stacks.require(fleet.settings).protected
    assert len(fleet.members()) == 5


def test_what_stays_outlives_the_stack_and_the_next_one_has_it(fleet, held):
    """The next one's bucket has a bundle, so it has hosts at once, which configure themselves."""
    s3, ec2 = fleet.client("s3"), fleet.client("ec2")
    bucket, pointer = fleet.settings.releases_bucket, "environments/lab/app/current.json"
    (volume,) = [member.data_volume for member in fleet.members("db")]
    before, published = set(present()), s3.get_object(Bucket=bucket, Key=pointer)["Body"].read()

    said = run(*DELETE, "--yes", "lab").stdout
    kept = said.partition("These stay, and cost money")[2]
    assert [name for name in KEPT if held[name] not in kept] == []
    wait_for("its hosts are gone", lambda: not before & set(present()), 60)
    (found,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    assert (found["State"], found["Attachments"]) == ("available", [])
    # A second zone of this name is not what the next stack takes over by itself.
    fleet.client("route53").delete_hosted_zone(Id=held["SiteZone"])

    said = run("corral", "stack", "apply", "-y", "-e", "lab").stdout
    assert "  imported  ReleasesBucket  " in said
    assert "Made the secret" not in said
    assert s3.get_object(Bucket=bucket, Key=pointer)["Body"].read() == published
    run("corral", "lab", "wait")
    (db,) = fleet.members("db")
    assert db.data_volume != volume
    ec2.attach_volume(VolumeId=volume, InstanceId=db.instance_id, Device="/dev/sdg")
    path = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"
    wait_for("its disk", lambda: fleet.shell(db, f"[ -b {path} ]", check=False).returncode == 0, 30)
    look = f"mount -o ro {path} /mnt && cat /mnt/postgresql/17/main/PG_VERSION && umount /mnt"
    assert fleet.shell(db, look).stdout == "17\n"
    ec2.detach_volume(VolumeId=volume)
