"""Auto-scaling groups, instances and target health in the lab's API."""

import json
import time
from collections import Counter

import pytest
from botocore.exceptions import ClientError

from lab.instances import Reader
from tests.local.lab_cloud import cloud, prepared, sent, wait_for  # noqa: F401

GROUP = "chat-lab-app"


class Fleet:
    """The lab's stack, and its group of app servers."""

    def __init__(self, api):
        self.api = api
        self.autoscaling, self.ec2, self.elbv2 = (api.client(s) for s in ("autoscaling", "ec2", "elbv2"))
        stacks = api.client("cloudformation")
        template = prepared(api)
        for resource in template["Resources"].values():
            # Nobody is here who would complete them; test_cloud_lifecycle.py has hooks of its own.
            resource.get("Properties", {}).pop("LifecycleHookSpecificationList", None)
        iam = ["CAPABILITY_NAMED_IAM"]
        stacks.create_stack(StackName="chat-lab", Capabilities=iam, **sent(api, template))
        wait_for(
            lambda: (
                stacks.describe_stacks(StackName="chat-lab")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
            )
        )
        groups = self.elbv2.describe_target_groups()["TargetGroups"]
        self.target_groups = [each["TargetGroupArn"] for each in groups]
        for arn in self.target_groups:
            self.drain(arn, 2)

    def drain(self, arn, seconds):
        attribute = {"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}
        self.elbv2.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[attribute])

    def group(self):
        found = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])
        return found["AutoScalingGroups"][0]

    def members(self, state="InService"):
        return {each["InstanceId"] for each in self.group()["Instances"] if each["LifecycleState"] == state}

    def zones(self):
        return Counter(
            each["AvailabilityZone"]
            for each in self.group()["Instances"]
            if each["LifecycleState"] == "InService"
        )

    def scale(self, desired):
        self.autoscaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=desired)

    def targets(self, arn):
        found = self.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {each["Target"]["Id"] for each in found if each["TargetHealth"]["State"] != "draining"}

    def state_of(self, instance_id):
        found = self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
        return found[0]["Instances"][0]["State"]["Name"]

    def instance(self, instance_id):
        return self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]


@pytest.fixture(scope="module")
def fleet(cloud):
    return Fleet(cloud)


@pytest.fixture(autouse=True)
def two_members(fleet):
    fleet.scale(2)
    wait_for(lambda: len(fleet.members()) == 2)


def test_members_are_as_the_launch_template_says(fleet):
    for instance_id in fleet.members():
        instance = fleet.instance(instance_id)
        assert instance["ImageId"] == "ami-0deb1a13000000001"
        assert instance["InstanceType"] == "t3.small"
        assert instance["KeyName"] == "corral-lab"
        assert instance["IamInstanceProfile"]["Arn"].endswith(":instance-profile/chat-lab-app")
        options = instance["MetadataOptions"]
        assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
        assert options["InstanceMetadataTags"] == "enabled"
        tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
        assert tags["aws:autoscaling:groupName"] == GROUP
        assert tags["corral:role"] == "app"
        asked = fleet.ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        assert asked["UserData"]["Value"]
        volume = instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
        found = fleet.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]
        assert (found["VolumeType"], found["Encrypted"]) == ("gp3", True)


def test_scaling_spreads_over_zones_and_keeps_target_groups_in_step(fleet):
    fleet.scale(6)
    assert len(fleet.members()) == 6
    assert set(fleet.zones().values()) == {2}
    for arn in fleet.target_groups:
        assert fleet.targets(arn) == fleet.members()

    six = fleet.members()
    fleet.scale(3)
    assert len(fleet.members()) == 3
    assert set(fleet.zones().values()) == {1}
    leaving = six - fleet.members()
    assert leaving <= fleet.members("Terminating")
    assert {fleet.state_of(each) for each in leaving} == {"running"}, "they drain first"
    for arn in fleet.target_groups:
        assert fleet.targets(arn) == fleet.members()
    wait_for(lambda: {fleet.state_of(each) for each in leaving} == {"terminated"})
    activities = fleet.autoscaling.describe_scaling_activities(AutoScalingGroupName=GROUP)["Activities"]
    assert {each.split(": ")[-1] for each in (a["Description"] for a in activities[:3])} == leaving
    fleet.scale(2)


@pytest.mark.parametrize(
    ("desired", "message"),
    [
        (7, "New SetDesiredCapacity value 7 is above max value 6 for the AutoScalingGroup."),
        (1, "New SetDesiredCapacity value 1 is below min value 2 for the AutoScalingGroup."),
    ],
)
def test_a_size_out_of_bounds_is_refused(fleet, desired, message):
    with pytest.raises(ClientError, match=message):
        fleet.scale(desired)
    assert len(fleet.members()) == 2


def test_bounds_that_move_take_the_size_with_them(fleet):
    update = fleet.autoscaling.update_auto_scaling_group
    with pytest.raises(ClientError, match="must be between the specified min size:2 and max size:6"):
        update(AutoScalingGroupName=GROUP, DesiredCapacity=9)
    with pytest.raises(ClientError, match="must be greater than or equal to min bound"):
        update(AutoScalingGroupName=GROUP, MinSize=5, MaxSize=3)
    update(AutoScalingGroupName=GROUP, MinSize=3)
    assert fleet.group()["DesiredCapacity"] == 3
    assert len(fleet.members()) == 3
    update(AutoScalingGroupName=GROUP, MinSize=2)
    assert fleet.group()["DesiredCapacity"] == 3


def test_a_terminated_instance_is_replaced_in_its_zone(fleet):
    victim = sorted(fleet.members())[0]
    zone = fleet.instance(victim)["Placement"]["AvailabilityZone"]
    fleet.ec2.terminate_instances(InstanceIds=[victim])
    assert victim not in fleet.members()
    assert len(fleet.members()) == 2
    assert set(fleet.zones().values()) == {1}, f"the new one is in {zone}"
    for arn in fleet.target_groups:
        assert fleet.targets(arn) == fleet.members()


def test_a_stopped_or_unhealthy_instance_is_replaced(fleet):
    victim, other = sorted(fleet.members())
    fleet.ec2.stop_instances(InstanceIds=[victim])
    wait_for(lambda: victim not in fleet.members() and len(fleet.members()) == 2)
    fleet.autoscaling.set_instance_health(InstanceId=other, HealthStatus="Unhealthy")
    wait_for(lambda: other not in fleet.members() and len(fleet.members()) == 2)
    wait_for(lambda: {fleet.state_of(victim), fleet.state_of(other)} == {"terminated"})


def test_suspended_processes_do_nothing(fleet):
    fleet.autoscaling.suspend_processes(AutoScalingGroupName=GROUP, ScalingProcesses=["Launch"])
    victim = sorted(fleet.members())[0]
    fleet.ec2.terminate_instances(InstanceIds=[victim])
    assert len(fleet.members()) == 1
    fleet.autoscaling.resume_processes(AutoScalingGroupName=GROUP, ScalingProcesses=["Launch"])
    wait_for(lambda: len(fleet.members()) == 2)


def test_without_health_checks_a_stopped_instance_stays_a_member(fleet):
    words = {"AutoScalingGroupName": GROUP, "ScalingProcesses": ["HealthCheck"]}
    fleet.autoscaling.suspend_processes(**words)
    stopped = sorted(fleet.members())[0]
    fleet.ec2.stop_instances(InstanceIds=[stopped])
    time.sleep(1)  # ten looks of this API's clock
    assert stopped in fleet.members()
    fleet.autoscaling.resume_processes(**words)
    wait_for(lambda: stopped not in fleet.members())


def test_terminating_one_member_can_make_the_group_smaller(fleet):
    terminate = fleet.autoscaling.terminate_instance_in_auto_scaling_group
    with pytest.raises(ClientError, match="violate group's min size"):
        terminate(InstanceId=sorted(fleet.members())[0], ShouldDecrementDesiredCapacity=True)
    fleet.scale(3)
    victim = sorted(fleet.members())[0]
    terminate(InstanceId=victim, ShouldDecrementDesiredCapacity=True)
    assert fleet.group()["DesiredCapacity"] == 2
    assert victim in fleet.members("Terminating")
    assert len(fleet.members()) == 2


def test_standby_members_leave_the_target_groups_and_come_back(fleet):
    member = sorted(fleet.members())[0]
    fleet.scale(3)
    fleet.autoscaling.enter_standby(
        AutoScalingGroupName=GROUP, InstanceIds=[member], ShouldDecrementDesiredCapacity=True
    )
    assert member not in fleet.targets(fleet.target_groups[0])
    assert len(fleet.members()) == 2
    fleet.autoscaling.exit_standby(AutoScalingGroupName=GROUP, InstanceIds=[member])
    assert member in fleet.targets(fleet.target_groups[0])


def test_a_member_that_the_balancer_finds_unhealthy_is_replaced_after_its_grace(fleet):
    update = fleet.autoscaling.update_auto_scaling_group
    update(AutoScalingGroupName=GROUP, HealthCheckType="ELB", HealthCheckGracePeriod=600)
    ill = sorted(fleet.members())[0]
    about = {"state": "unhealthy", "reason": "Target.Timeout", "description": "Request timed out"}
    file = fleet.api.state / "target-health.json"
    file.write_text(json.dumps({fleet.target_groups[0]: {ill: about}}))
    described = fleet.elbv2.describe_target_health(TargetGroupArn=fleet.target_groups[0])
    health = {each["Target"]["Id"]: each["TargetHealth"] for each in described["TargetHealthDescriptions"]}
    assert health[ill] == {
        "State": "unhealthy",
        "Reason": "Target.Timeout",
        "Description": "Request timed out",
    }
    assert {each["State"] for key, each in health.items() if key != ill} == {"initial"}
    update(AutoScalingGroupName=GROUP, HealthCheckGracePeriod=0)
    wait_for(lambda: ill not in fleet.members() and len(fleet.members()) == 2)
    file.unlink()
    update(AutoScalingGroupName=GROUP, HealthCheckType="EC2")


def test_a_group_with_members_is_not_deleted_without_force(fleet):
    with pytest.raises(ClientError, match="still in the group"):
        fleet.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=GROUP)


def test_a_reboot_reaches_the_reconciler(fleet):
    member = sorted(fleet.members())[0]
    fleet.ec2.reboot_instances(InstanceIds=[member])
    assert (fleet.api.state / "reboot" / member).exists()


def test_the_newest_debian_is_a_public_parameter_and_an_image(fleet):
    name = "/aws/service/debian/release/13/latest/amd64"
    ami = fleet.api.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    images = fleet.ec2.describe_images(ImageIds=[ami])["Images"]
    assert [(each["Architecture"], each["RootDeviceName"]) for each in images] == [("x86_64", "/dev/xvda")]
    with pytest.raises(ClientError, match="InvalidAMIID"):
        fleet.ec2.run_instances(ImageId="ami-00000000000000000", MinCount=1, MaxCount=1)


def test_changes_are_numbered_and_questions_are_not(fleet):
    import urllib.request

    def number():
        with urllib.request.urlopen(f"{fleet.api.endpoint}/corral/revision") as answer:
            return int(answer.read())

    # Whoever went in a test before is gone by now, and changes nothing any more.
    wait_for(lambda: len(fleet.group()["Instances"]) == 2)
    before = number()
    fleet.group()
    fleet.ec2.describe_instances()
    assert number() == before
    fleet.scale(3)
    assert number() > before


def test_a_profile_that_comes_a_moment_after_its_instance_is_not_missed(fleet):
    reader = Reader(fleet.api.client, "123456789012", "eu-west-1")
    instance = next(each for each in reader.instances() if each.get("LifecycleState") == "InService")
    instance.pop("KeyName", None)  # nobody made the key here
    early = {key: value for key, value in instance.items() if key != "IamInstanceProfile"}
    assert reader.facts(early).profile == {}
    assert reader.facts(instance).profile["RoleName"].startswith("chat-lab-")
