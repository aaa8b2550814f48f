"""Volumes of the lab's API: EBS's rules, the end of their instance, who may attach them, and stacks."""

import json
import shutil

import pytest
from botocore.exceptions import ClientError

from tests.local.lab_cloud import cloud, wait_for  # noqa: F401

ZONE, OTHER_ZONE = "eu-west-1a", "eu-west-1b"
IMAGE = "ami-0deb1a13000000001"


class Ebs:
    """EC2 as a customer uses it, and the reconciler's side of it: what is below the lab's state."""

    def __init__(self, api):
        self.api = api
        self.ec2 = api.client("ec2")
        vpc = self.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        self.subnets = {
            zone: self.ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"][
                "SubnetId"
            ]
            for zone, cidr in ((ZONE, "10.9.1.0/24"), (OTHER_ZONE, "10.9.2.0/24"))
        }

    def instance(self, zone=ZONE, tags=None, **words):
        made = self.ec2.run_instances(
            ImageId=IMAGE,
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnets[zone],
            InstanceType="t3.small",
            **words,
        )["Instances"][0]["InstanceId"]
        self.tag(made, tags)
        return made

    def volume(self, zone=ZONE, tags=None, **words):
        words = {"Size": 1, "VolumeType": "gp3"} | words
        made = self.ec2.create_volume(AvailabilityZone=zone, **words)
        assert made["State"] == "creating"
        wait_for(lambda: self.described(made["VolumeId"])["State"] == "available")
        self.tag(made["VolumeId"], tags)
        return made["VolumeId"]

    def tag(self, name, tags):
        if tags:
            self.ec2.create_tags(
                Resources=[name], Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
            )

    def described(self, volume):
        return self.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]

    def attach(self, volume, instance, device="/dev/sdf"):
        return self.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)

    def state(self, instance):
        found = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return found["State"]["Name"]

    def host(self, instance, *volumes):
        """What the reconciler keeps of a host that is there, with the volumes that it has as disks."""
        place = self.api.state / "hosts" / instance
        (place / "volumes").mkdir(parents=True, exist_ok=True)
        for volume in volumes:
            (place / "volumes" / volume).touch()
        return place


@pytest.fixture(scope="module")
def ebs(cloud):
    return Ebs(cloud)


def refused(code, message=""):
    return pytest.raises(ClientError, match=rf"\({code}\).*{message}")


def test_a_volume_is_attached_to_one_instance_at_a_time(ebs):
    first, second, volume = ebs.instance(), ebs.instance(), ebs.volume(Encrypted=True)
    assert ebs.attach(volume, first)["State"] == "attaching"
    found = ebs.described(volume)
    assert (found["State"], found["Encrypted"], found["Size"]) == ("in-use", True, 1)
    attachment = found["Attachments"][0]
    assert {key: attachment[key] for key in ("InstanceId", "Device", "State", "DeleteOnTermination")} == {
        "InstanceId": first,
        "Device": "/dev/sdf",
        "State": "attached",
        "DeleteOnTermination": False,
    }
    for instance in (first, second):
        with refused("VolumeInUse", "is already attached to an instance"):
            ebs.attach(volume, instance, "/dev/sdg")
    with refused("VolumeInUse"):
        ebs.ec2.delete_volume(VolumeId=volume)
    with refused("InvalidParameterValue", "Attachment point /dev/sdf is already in use"):
        ebs.attach(ebs.volume(), first)
    with refused("InvalidAttachment.NotFound"):
        ebs.ec2.detach_volume(VolumeId=volume, InstanceId=second)
    with refused("InvalidAttachment.NotFound"):
        ebs.ec2.detach_volume(VolumeId=volume, Device="/dev/sdz")

    assert ebs.ec2.detach_volume(VolumeId=volume)["State"] == "detaching"
    assert ebs.described(volume)["State"] == "available"
    with refused("IncorrectState", "is in the 'available' state"):
        ebs.ec2.detach_volume(VolumeId=volume)
    ebs.attach(volume, second)
    ebs.ec2.detach_volume(VolumeId=volume, InstanceId=second)
    ebs.ec2.delete_volume(VolumeId=volume)
    with refused("InvalidVolume.NotFound"):
        ebs.described(volume)


def test_what_can_not_be_attached_is_refused(ebs):
    instance, volume = ebs.instance(), ebs.volume()
    with refused("InvalidZone.NotFound"):
        ebs.ec2.create_volume(AvailabilityZone="eu-west-9z", Size=1)
    with refused("InvalidVolume.ZoneMismatch"):
        ebs.attach(ebs.volume(OTHER_ZONE), instance)
    with refused("InvalidVolume.NotFound"):
        ebs.attach("vol-0123456789abcdef0", instance)
    with refused("InvalidInstanceID.NotFound"):
        ebs.attach(volume, "i-0123456789abcdef0")
    new = ebs.ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    with refused("IncorrectState", "is not 'available'"):
        ebs.attach(new, instance)
    root = ebs.ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])
    with refused("OperationNotPermitted", "Unable to detach root volume"):
        ebs.ec2.detach_volume(VolumeId=root["Volumes"][0]["VolumeId"])

    ebs.ec2.stop_instances(InstanceIds=[instance])
    ebs.attach(volume, instance)
    ebs.ec2.detach_volume(VolumeId=volume)
    ebs.ec2.terminate_instances(InstanceIds=[instance])
    with refused("IncorrectState", "is not 'running'"):
        ebs.attach(volume, instance)


def test_an_instance_has_its_volumes_until_its_host_is_gone(ebs):
    old, new = ebs.instance(), ebs.instance()
    kept, gone = ebs.volume(), ebs.volume()
    ebs.attach(kept, old)
    ebs.attach(gone, old, "/dev/sdg")
    ebs.ec2.modify_instance_attribute(
        InstanceId=old,
        BlockDeviceMappings=[{"DeviceName": "/dev/sdg", "Ebs": {"DeleteOnTermination": True}}],
    )
    host = ebs.host(old, kept, gone)
    ended = ebs.ec2.terminate_instances(InstanceIds=[old])["TerminatingInstances"][0]
    assert (ended["PreviousState"]["Name"], ended["CurrentState"]["Name"]) == ("running", "shutting-down")
    assert ebs.state(old) == "shutting-down"
    assert ebs.described(kept)["Attachments"][0]["State"] == "attached"
    with refused("VolumeInUse"):
        ebs.attach(kept, new)
    with refused("IncorrectInstanceState", "not in a state in which volumes can be detached"):
        ebs.ec2.detach_volume(VolumeId=kept)
    for change in (ebs.ec2.start_instances, ebs.ec2.stop_instances):
        with refused("IncorrectInstanceState"):
            change(InstanceIds=[old])
    again = ebs.ec2.terminate_instances(InstanceIds=[old])["TerminatingInstances"][0]
    assert again["PreviousState"]["Name"] == "shutting-down"

    shutil.rmtree(host)
    wait_for(lambda: ebs.state(old) == "terminated")
    assert ebs.described(kept)["State"] == "available"
    with refused("InvalidVolume.NotFound"):
        ebs.described(gone)
    ebs.attach(kept, new)


def test_a_volume_that_a_host_holds_is_detaching(ebs):
    first, second, volume = ebs.instance(), ebs.instance(), ebs.volume()
    ebs.attach(volume, first)
    host = ebs.host(first, volume)
    ebs.ec2.detach_volume(VolumeId=volume)
    found = ebs.described(volume)
    assert (found["State"], found["Attachments"][0]["State"]) == ("in-use", "detaching")
    with refused("VolumeInUse"):
        ebs.attach(volume, second)
    (host / "volumes" / volume).unlink()
    wait_for(lambda: ebs.described(volume)["State"] == "available")
    ebs.attach(volume, second)


def test_a_volume_grows_and_never_shrinks(ebs):
    volume = ebs.volume(Size=2)
    ebs.ec2.modify_volume(VolumeId=volume, Size=3, Iops=4000)
    assert (ebs.described(volume)["Size"], ebs.described(volume)["Iops"]) == (3, 4000)
    with refused("InvalidParameterValue", "New size cannot be smaller than existing size"):
        ebs.ec2.modify_volume(VolumeId=volume, Size=2)
    assert ebs.described(volume)["Size"] == 3


TAGGED = {"StringEquals": {"aws:ResourceTag/corral:role": "db"}}
VOLUMES, INSTANCES = "arn:aws:ec2:eu-west-1:123456789012:volume/*", "arn:aws:ec2:*:*:instance/*"
BOTH = ["ec2:AttachVolume", "ec2:DetachVolume"]


def statement(resource, actions=BOTH, **condition):
    return {"Effect": "Allow", "Action": actions, "Resource": resource} | (
        {"Condition": condition["condition"]} if condition else {}
    )


@pytest.mark.parametrize(
    ("name", "statements", "own", "foreign"),
    [
        ("both", [statement([VOLUMES, INSTANCES])], True, True),
        ("volume-alone", [statement(VOLUMES)], False, False),
        ("instance-alone", [statement(INSTANCES)], False, False),
        ("both-tagged", [statement([VOLUMES, INSTANCES], condition=TAGGED)], True, False),
        (
            "by-ec2s-key",
            [
                statement(
                    [VOLUMES, INSTANCES], condition={"StringLike": {"ec2:ResourceTag/corral:role": "d*"}}
                )
            ],
            True,
            False,
        ),
        ("volume-tagged", [statement(VOLUMES, condition=TAGGED), statement(INSTANCES)], True, False),
        (
            "other-tag",
            [statement([VOLUMES, INSTANCES], condition={"StringEquals": {"aws:ResourceTag/other": "db"}})],
            False,
            False,
        ),
    ],
)
def test_volume_and_instance_must_both_be_allowed(ebs, name, statements, own, foreign):
    instance, mine = ebs.instance(tags={"corral:role": "db"}), ebs.volume(tags={"corral:role": "db"})
    other = ebs.volume(tags={"corral:role": "elk"})
    host = ebs.api.as_host("ec2", f"role-{name}", statements)
    for volume, allowed in ((mine, own), (other, foreign)):
        if allowed:
            host.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
            host.detach_volume(VolumeId=volume)
        else:
            with refused("UnauthorizedOperation", "ec2:AttachVolume"):
                host.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
            ebs.attach(volume, instance)
            with refused("UnauthorizedOperation", "ec2:DetachVolume"):
                host.detach_volume(VolumeId=volume)
            ebs.ec2.detach_volume(VolumeId=volume)


def test_describing_volumes_is_for_all_or_none(ebs):
    volume = ebs.volume()
    described = ebs.api.as_host("ec2", "sees", [statement("*", ["ec2:DescribeVolumes"])]).describe_volumes
    assert described(VolumeIds=[volume])["Volumes"][0]["VolumeId"] == volume
    with refused("UnauthorizedOperation", "ec2:DescribeVolumes"):
        ebs.api.as_host("ec2", "blind", [statement(VOLUMES, ["ec2:DescribeVolumes"])]).describe_volumes()


def stack_body(policy="Delete", **properties):
    tags = [{"Key": "Name", "Value": "data"}]
    given = {"AvailabilityZone": ZONE, "Size": "2", "VolumeType": "gp3", "Encrypted": True, "Tags": tags}
    return {
        "Resources": {
            "Data": {
                "Type": "AWS::EC2::Volume",
                "DeletionPolicy": policy,
                "Properties": given | properties,
            }
        },
        "Outputs": {
            "Ref": {"Value": {"Ref": "Data"}},
            "Id": {"Value": {"Fn::GetAtt": ["Data", "VolumeId"]}},
        },
    }


class Stack:
    """One stack of the lab's CloudFormation."""

    def __init__(self, api, name, body):
        self.client, self.id = api.client("cloudformation"), name
        self.id = self.client.create_stack(StackName=name, TemplateBody=json.dumps(body))["StackId"]
        self.rest()

    def rest(self):
        wait_for(lambda: not self.found()["StackStatus"].endswith("_IN_PROGRESS"))
        return self.found()["StackStatus"]

    def found(self):
        return self.client.describe_stacks(StackName=self.id)["Stacks"][0]

    def update(self, body):
        self.client.update_stack(StackName=self.id, TemplateBody=json.dumps(body))
        return self.rest()

    def delete(self):
        self.client.delete_stack(StackName=self.id)
        return self.rest()

    @property
    def volume(self):
        outputs = {each["OutputKey"]: each["OutputValue"] for each in self.found()["Outputs"]}
        assert outputs["Ref"] == outputs["Id"]
        return outputs["Ref"]


def test_a_stacks_volume_grows_where_it_stands_and_is_never_replaced(ebs):
    stack = Stack(ebs.api, "grows", stack_body())
    volume = stack.volume
    found = ebs.described(volume)
    assert (found["AvailabilityZone"], found["Size"], found["VolumeType"]) == (ZONE, 2, "gp3")
    assert (found["State"], found["Encrypted"]) == ("available", True)
    assert {"Key": "Name", "Value": "data"} in found["Tags"]

    tags = [{"Key": "Name", "Value": "more"}]
    assert stack.update(stack_body(Size=4, Tags=tags, Throughput=200)) == "UPDATE_COMPLETE"
    assert stack.volume == volume
    found = ebs.described(volume)
    assert (found["Size"], found["Throughput"], found["Tags"]) == (4, 200, tags)
    for impossible in ({"Size": 3}, {"AvailabilityZone": OTHER_ZONE}, {"Encrypted": False}):
        changed = stack_body(**{"Size": 4, "Tags": tags, "Throughput": 200} | impossible)
        assert stack.update(changed) == "UPDATE_ROLLBACK_COMPLETE", impossible
        assert (stack.volume, ebs.described(volume)["Size"]) == (volume, 4)
    assert stack.delete() == "DELETE_COMPLETE"
    with refused("InvalidVolume.NotFound"):
        ebs.described(volume)


def test_an_update_that_fails_leaves_a_grown_volume_grown(ebs):
    stack = Stack(ebs.api, "goes-back", stack_body())
    failing = stack_body(Size=3)
    failing["Resources"]["Never"] = {
        "Type": "AWS::EC2::Subnet",
        "DependsOn": "Data",
        "Properties": {"VpcId": "vpc-none", "CidrBlock": "10.9.9.0/24"},
    }
    assert stack.update(failing) == "UPDATE_ROLLBACK_COMPLETE"
    assert ebs.described(stack.volume)["Size"] == 3


@pytest.mark.parametrize(
    ("policy", "stays"), [("Retain", True), ("RetainExceptOnCreate", True), ("Delete", False)]
)
def test_a_deletion_policy_decides_what_is_left_of_a_volume(ebs, policy, stays):
    stack = Stack(ebs.api, f"policy-{policy}", stack_body(policy))
    volume = stack.volume
    assert stack.delete() == "DELETE_COMPLETE"
    left = ebs.ec2.describe_volumes(Filters=[{"Name": "volume-id", "Values": [volume]}])["Volumes"]
    assert bool(left) is stays


def test_a_volume_in_use_is_not_deleted_with_its_stack(ebs):
    stack = Stack(ebs.api, "in-use", stack_body())
    ebs.attach(stack.volume, ebs.instance())
    assert stack.delete() == "DELETE_FAILED"


def test_a_group_is_deleted_when_its_last_host_is_gone(ebs):
    body = {
        "Resources": {
            "Template": {
                "Type": "AWS::EC2::LaunchTemplate",
                "Properties": {"LaunchTemplateData": {"ImageId": IMAGE, "InstanceType": "t3.small"}},
            },
            "Group": {
                "Type": "AWS::AutoScaling::AutoScalingGroup",
                "Properties": {
                    "MinSize": "1",
                    "MaxSize": "1",
                    "DesiredCapacity": "1",
                    "VPCZoneIdentifier": [ebs.subnets[ZONE]],
                    "LaunchTemplate": {
                        "LaunchTemplateId": {"Ref": "Template"},
                        "Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]},
                    },
                },
            },
        },
        "Outputs": {"Group": {"Value": {"Ref": "Group"}}},
    }
    stack = Stack(ebs.api, "group", body)
    name = stack.found()["Outputs"][0]["OutputValue"]
    groups = ebs.api.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    instance = groups["AutoScalingGroups"][0]["Instances"][0]["InstanceId"]
    host = ebs.host(instance)
    stack.client.delete_stack(StackName=stack.id)
    wait_for(lambda: ebs.state(instance) == "shutting-down")
    assert stack.found()["StackStatus"] == "DELETE_IN_PROGRESS"
    shutil.rmtree(host)
    assert stack.rest() == "DELETE_COMPLETE"
    assert ebs.state(instance) == "terminated"
