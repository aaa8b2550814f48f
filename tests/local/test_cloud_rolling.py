"""Rolling updates of the lab's CloudFormation: a group's members replaced batch by batch, or left alone."""

import contextlib
import threading
import time

import pytest
from botocore.exceptions import ClientError

from lab.cloud import lifecycle
from lab.cloud.cloudformation.resources import Refused
from lab.cloud.cloudformation.resources.rolling import Roll
from lab.cloud.cloudformation.resources.update_policy import policy_of
from tests.local.lab_cloud import Stacks, cloud  # noqa: F401

IMAGE = "ami-0deb1a13000000001"
INITIATED = "Rolling update initiated. Terminating 2 obsolete instance(s)"


@pytest.fixture(scope="module")
def stacks(cloud):
    return Stacks(cloud)


class Fleet:
    """A stack with one group."""

    def __init__(self, stacks, name, *, rolling, size=2, most=3, **properties):
        self.stacks, self.name = stacks, name
        self.autoscaling = stacks.api.client("autoscaling")
        policy = {
            "AutoScalingRollingUpdate": {
                "Fn::If": ["MayReplace", rolling, {"Ref": "AWS::NoValue"}],
            },
            "AutoScalingScheduledAction": {"IgnoreUnmodifiedGroupSizeProperties": True},
        }
        self.group = {
            "AutoScalingGroupName": name,
            "MinSize": "1",
            "MaxSize": str(most),
            "DesiredCapacity": str(size),
            "LaunchTemplate": {
                "LaunchTemplateId": {"Ref": "Launch"},
                "Version": {"Fn::GetAtt": ["Launch", "LatestVersionNumber"]},
            },
            **(properties or {"AvailabilityZones": ["eu-west-1a"]}),
        }
        self.data = {"ImageId": IMAGE, "InstanceType": "t3.micro"}
        self.template = {
            "Parameters": {"Replace": {"Type": "String", "Default": "no"}},
            "Conditions": {"MayReplace": {"Fn::Equals": [{"Ref": "Replace"}, "yes"]}},
            "Resources": {
                "Launch": {
                    "Type": "AWS::EC2::LaunchTemplate",
                    "Properties": {"LaunchTemplateData": self.data},
                },
                "Group": {
                    "Type": "AWS::AutoScaling::AutoScalingGroup",
                    "Properties": self.group,
                    "UpdatePolicy": policy,
                },
            },
        }
        made = stacks.create(self.template, name)
        assert made["StackStatus"] == "CREATE_COMPLETE", stacks.reasons(name)

    def update(self, replace="yes", **data):
        self.data.update(data)
        before = len(self.stacks.events(self.name))
        given = [{"ParameterKey": "Replace", "ParameterValue": replace}]
        found = self.stacks.update(self.template, self.name, Parameters=given)
        news = self.stacks.events(self.name)[before:]
        told = [reason for name, status, reason in news if name == "Group" and status == "UPDATE_IN_PROGRESS"]
        return found["StackStatus"], [reason for reason in told if reason]

    def described(self):
        found = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        return found["AutoScalingGroups"][0]

    def members(self):
        """Versions by instance of those that are not on their way out."""
        return {
            each["InstanceId"]: each["LaunchTemplate"]["Version"]
            for each in self.described()["Instances"]
            if not each["LifecycleState"].startswith("Terminating")
        }

    def sizes(self):
        return tuple(self.described()[key] for key in ("MinSize", "DesiredCapacity", "MaxSize"))


def test_members_are_replaced_one_by_one_while_enough_serve(stacks):
    rolling = {"MinInstancesInService": "2", "MaxBatchSize": "1", "SuspendProcesses": ["AZRebalance"]}
    fleet = Fleet(stacks, "one-by-one", rolling=rolling)
    first, second = fleet.members()
    fleet.autoscaling.suspend_processes(
        AutoScalingGroupName="one-by-one", ScalingProcesses=["AlarmNotification"]
    )
    serving, done = [], threading.Event()

    def watch():
        while not done.is_set():
            states = [each["LifecycleState"] for each in fleet.described()["Instances"]]
            serving.append(states.count("InService"))
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        status, told = fleet.update(InstanceType="t3.small")
    finally:
        done.set()
        watcher.join()
    assert status == "UPDATE_COMPLETE", stacks.reasons("one-by-one")
    assert min(serving) >= 2
    assert told == [
        f"{INITIATED} in batches of 1, while keeping at least 2 instance(s) in service.",
        "Temporarily setting autoscaling group MinSize and DesiredCapacity to 3.",
        f"Terminating instance(s) [{first}]; replacing with 1 new instance(s).",
        f"Successfully terminated instance(s) [{first}] (Progress 50%).",
        f"Terminating instance(s) [{second}]; replacing with 0 new instance(s).",
        f"Successfully terminated instance(s) [{second}] (Progress 100%).",
    ]
    assert set(fleet.members().values()) == {"2"}
    assert fleet.members().keys().isdisjoint({first, second})
    assert fleet.sizes() == (1, 2, 3)
    suspended = {each["ProcessName"] for each in fleet.described()["SuspendedProcesses"]}
    assert suspended == {"AlarmNotification"}


def test_a_group_of_one_is_replaced_too(stacks):
    fleet = Fleet(stacks, "single", rolling={"PauseTime": "PT0S"}, size=1, most=1)
    [only] = fleet.members()
    status, told = fleet.update(InstanceType="t3.small")
    assert status == "UPDATE_COMPLETE", stacks.reasons("single")
    assert told == [
        "Rolling update initiated. Terminating 1 obsolete instance(s) in batches of 1.",
        f"Terminating instance(s) [{only}]; replacing with 1 new instance(s).",
        f"Successfully terminated instance(s) [{only}] (Progress 100%).",
    ]
    assert list(fleet.members().values()) == ["2"]


def test_without_consent_nothing_is_replaced_and_with_it_later_all_that_is_behind(stacks):
    fleet = Fleet(stacks, "consent", rolling={"MaxBatchSize": "5"})
    before = fleet.members()
    assert fleet.update(replace="no", InstanceType="t3.small") == ("UPDATE_COMPLETE", [])
    assert fleet.members() == before
    status, told = fleet.update(replace="yes")
    assert status == "UPDATE_COMPLETE"
    assert told[0] == f"{INITIATED} in batches of 2."
    assert set(fleet.members().values()) == {"2"}
    after = fleet.members()
    with pytest.raises(ClientError, match="No updates are to be performed"):
        fleet.update(replace="yes")
    assert fleet.update(replace="no") == ("UPDATE_COMPLETE", [])
    assert fleet.members() == after


def test_other_subnets_replace_members_too(stacks):
    found = stacks.api.client("ec2").describe_subnets()["Subnets"]
    one, two = sorted(each["SubnetId"] for each in found)[:2]
    fleet = Fleet(stacks, "subnets", rolling={}, VPCZoneIdentifier=[one])
    before = fleet.members()
    fleet.group["VPCZoneIdentifier"] = [two]
    assert fleet.update()[0] == "UPDATE_COMPLETE", stacks.reasons("subnets")
    assert fleet.members().keys().isdisjoint(before)
    pages = stacks.api.client("ec2").describe_instances(InstanceIds=list(fleet.members()))["Reservations"]
    assert {each["SubnetId"] for page in pages for each in page["Instances"]} == {two}


def test_new_members_that_never_serve_fail_the_update_and_the_old_ones_stay(stacks):
    hook = {
        "LifecycleHookName": "launch",
        "LifecycleTransition": lifecycle.LAUNCHING,
        "HeartbeatTimeout": 900,
        "DefaultResult": "ABANDON",
    }
    fleet = Fleet(stacks, "broken", rolling={"MinInstancesInService": "2"})
    before = fleet.members()
    fleet.group["LifecycleHookSpecificationList"] = [hook]
    done = threading.Event()

    def give_up():
        while not done.is_set():
            for each in fleet.described()["Instances"]:
                if each["LifecycleState"] == "Pending:Wait" and each["LaunchTemplate"]["Version"] == "2":
                    with contextlib.suppress(ClientError):  # it went meanwhile
                        fleet.autoscaling.complete_lifecycle_action(
                            AutoScalingGroupName="broken",
                            LifecycleHookName="launch",
                            InstanceId=each["InstanceId"],
                            LifecycleActionResult="ABANDON",
                        )
            time.sleep(0.2)

    host = threading.Thread(target=give_up)
    host.start()
    try:
        status, told = fleet.update(InstanceType="t3.small")
    finally:
        done.set()
        host.join()
    assert status == "UPDATE_ROLLBACK_COMPLETE", stacks.reasons("broken")
    assert told[:2] == [
        f"{INITIATED} in batches of 1, while keeping at least 2 instance(s) in service.",
        "Temporarily setting autoscaling group MinSize and DesiredCapacity to 3.",
    ]
    reason = stacks.reasons("broken")["Group"]
    assert reason.startswith(
        "Group did not stabilize. Last scaling activity: Instance failed to complete user's"
    )
    assert fleet.members() == before, "and nothing of what did not come"
    assert fleet.sizes() == (1, 2, 3)
    version = fleet.described()["LaunchTemplate"]["Version"]
    ids = stacks.ids("broken")
    [now] = stacks.api.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=ids["Launch"], Versions=[version]
    )["LaunchTemplateVersions"]
    assert now["LaunchTemplateData"]["InstanceType"] == "t3.micro"


def test_a_member_that_is_gone_already_stops_nothing(stacks):
    """It may be given up between two looks."""
    fleet = Fleet(stacks, "gone", rolling={"MinInstancesInService": "1"})
    roll = Roll(fleet.autoscaling, stacks.api.client("ec2"), "gone", None, print)
    roll._terminate("i-0123456789abcdef0", replaced=True)
    assert len(fleet.members()) == 2


@pytest.mark.parametrize(
    ("rolling", "problem"),
    [
        ({"WaitOnResourceSignals": True}, "send no signals"),
        ({"MinActiveInstancesPercent": 50}, "know nothing of MinActiveInstancesPercent"),
        ({"PauseTime": "5 minutes"}, "no duration"),
        ({"MinInstancesInService": "3"}, "must be less than the autoscaling group's MaxSize"),
    ],
)
def test_what_the_lab_does_not_do_is_refused(rolling, problem):
    with pytest.raises(Refused, match=problem):
        policy_of({"MaxSize": "3", "UpdatePolicy": {"AutoScalingRollingUpdate": rolling}})
    with pytest.raises(Refused, match="knows no AutoScalingReplacingUpdate"):
        policy_of({"MaxSize": "3", "UpdatePolicy": {"AutoScalingReplacingUpdate": {"WillReplace": True}}})


def test_a_policy_is_read():
    said = {
        "MaxBatchSize": 2,
        "MinInstancesInService": "1",
        "PauseTime": "PT1H2M3S",
        "WaitOnResourceSignals": False,
    }
    found = policy_of({"MaxSize": "3", "UpdatePolicy": {"AutoScalingRollingUpdate": said}})
    assert (found.most, found.least, found.pause) == (2, 1, 3723.0)
    assert policy_of({"MaxSize": "3", "UpdatePolicy": {"AutoScalingScheduledAction": {}}}) is None
    assert policy_of({"MaxSize": "3"}) is None
