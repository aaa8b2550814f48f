"""Lifecycle hooks in the lab's API: members that wait when they come, and when they go."""

import json

import boto3
import pytest
from botocore.exceptions import ClientError

from lab.cloud import lifecycle
from lab.instances import Reader
from tests.local.lab_cloud import Stacks, cloud, wait_for  # noqa: F401

LAUNCH = {
    "LifecycleHookName": "launch",
    "LifecycleTransition": lifecycle.LAUNCHING,
    "HeartbeatTimeout": 900,
    "DefaultResult": "ABANDON",
}
TERMINATE = {
    "LifecycleHookName": "terminate",
    "LifecycleTransition": lifecycle.TERMINATING,
    "HeartbeatTimeout": 600,
    "DefaultResult": "CONTINUE",
}


class Group:
    """A group of its own for each test, with both hooks and a target group."""

    def __init__(self, api, name):
        self.name = name
        self.autoscaling, self.ec2, self.elbv2 = (api.client(s) for s in ("autoscaling", "ec2", "elbv2"))
        subnet = self.ec2.describe_subnets()["Subnets"][0]
        made = self.elbv2.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=subnet["VpcId"])
        self.targets = made["TargetGroups"][0]["TargetGroupArn"]
        drain = {"Key": "deregistration_delay.timeout_seconds", "Value": "1"}
        self.elbv2.modify_target_group_attributes(TargetGroupArn=self.targets, Attributes=[drain])
        template = self.ec2.create_launch_template(
            LaunchTemplateName=name, LaunchTemplateData={"ImageId": "ami-0deb1a13000000001"}
        )["LaunchTemplate"]
        self.autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=4,
            DesiredCapacity=1,
            VPCZoneIdentifier=subnet["SubnetId"],
            LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"]},
            TargetGroupARNs=[self.targets],
            LifecycleHookSpecificationList=[LAUNCH, TERMINATE],
            Tags=[{"Key": "corral:role", "Value": "app"}],
        )

    def states(self):
        found = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        return {
            each["InstanceId"]: each["LifecycleState"] for each in found["AutoScalingGroups"][0]["Instances"]
        }

    def wait(self, *states):
        """Until the members' states are these; the members in that order."""
        wait_for(lambda: sorted(self.states().values()) == sorted(states))
        return [key for state in states for key, found in self.states().items() if found == state]

    def answer(self, hook, instance, result="CONTINUE", call="complete_lifecycle_action", **more):
        words = {"LifecycleActionResult": result} if call.startswith("complete") else {}
        getattr(self.autoscaling, call)(
            AutoScalingGroupName=self.name, LifecycleHookName=hook, InstanceId=instance, **words, **more
        )

    def scale(self, desired):
        self.autoscaling.set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=desired)

    def registered(self):
        found = self.elbv2.describe_target_health(TargetGroupArn=self.targets)["TargetHealthDescriptions"]
        return {each["Target"]["Id"] for each in found}

    def activities(self):
        found = self.autoscaling.describe_scaling_activities(AutoScalingGroupName=self.name)["Activities"]
        return [(each["Description"], each["StatusCode"]) for each in found]

    def instance_state(self, instance):
        found = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return found["State"]["Name"]


@pytest.fixture
def group(cloud, request):
    made = Group(cloud, request.node.name.replace("_", "-")[-32:].strip("-"))
    yield made
    made.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=made.name, ForceDelete=True)


def test_a_member_comes_and_goes_when_it_says_so(group, cloud):
    [member] = group.wait("Pending:Wait")
    assert group.registered() == set()
    assert group.activities() == [(f"Launching a new EC2 instance: {member}", "MidLifecycleAction")]
    shown = group.autoscaling.describe_auto_scaling_instances(InstanceIds=[member])["AutoScalingInstances"]
    assert shown[0]["LifecycleState"] == "Pending:Wait"
    with pytest.raises(ClientError, match=f"No active Lifecycle Action found with instance ID {member}"):
        group.answer("terminate", member)
    group.answer("launch", member)
    group.wait("InService")
    assert group.registered() == {member}
    assert group.activities() == [(f"Launching a new EC2 instance: {member}", "Successful")]

    group.scale(0)
    assert group.registered() == set(), "it drains first"
    assert group.states() in ({member: "Terminating"}, {member: "Terminating:Wait"})
    group.wait("Terminating:Wait")
    assert group.instance_state(member) == "running"
    assert group.activities()[0] == (f"Terminating EC2 instance: {member}", "MidLifecycleAction")
    reader = Reader(cloud.client, "123456789012", "eu-west-1")
    known = {each["InstanceId"]: each.get("LifecycleState") for each in reader.instances()}
    assert known[member] == "Terminating:Wait"
    group.answer("terminate", member, call="record_lifecycle_action_heartbeat")
    group.answer("terminate", member)
    group.wait()
    assert group.instance_state(member) == "terminated"
    assert group.activities()[0] == (f"Terminating EC2 instance: {member}", "Successful")


def test_a_launch_that_is_abandoned_is_replaced(group):
    [member] = group.wait("Pending:Wait")
    with pytest.raises(ClientError, match="LifecycleActionResult"):
        group.answer("launch", member, "PERHAPS")
    group.answer("launch", member, "ABANDON")
    old, new = group.wait("Terminating:Wait", "Pending:Wait")
    assert old == member
    assert group.registered() == set()
    [(description, status)] = [
        each for each in group.activities() if f"Launching a new EC2 instance: {old}" in each[0]
    ]
    assert status == "Cancelled"
    assert "Instance failed to complete user's Lifecycle Action" in description
    assert description.endswith("was abandoned: Lifecycle Action Completed with ABANDON Result")
    group.answer("terminate", old, "ABANDON")
    group.wait("Pending:Wait")
    assert new in group.states()
    assert group.instance_state(old) == "terminated"


def test_all_hooks_of_a_transition_must_be_completed_and_one_abandons_all(group):
    other = LAUNCH | {"LifecycleHookName": "other"}
    group.autoscaling.put_lifecycle_hook(AutoScalingGroupName=group.name, **other)
    group.scale(2)
    states = wait_for(lambda: len(group.states()) == 2 and group.states())
    first, second = states  # only the second waits for the new hook too
    group.answer("launch", first)
    group.answer("launch", second)
    wait_for(lambda: group.states()[first] == "InService")
    assert group.states()[second] == "Pending:Wait"
    with pytest.raises(ClientError, match="No active Lifecycle Action"):
        group.answer("launch", second)
    group.answer("other", second, "ABANDON")
    wait_for(lambda: group.states()[second].startswith("Terminating"))


def test_a_hook_that_is_deleted_completes_what_waits_for_it(group):
    [member] = group.wait("Pending:Wait")
    group.answer("launch", member)
    group.wait("InService")
    group.scale(2)
    group.wait("InService", "Pending:Wait")
    group.autoscaling.delete_lifecycle_hook(AutoScalingGroupName=group.name, LifecycleHookName="launch")
    group.wait("InService", "InService", "Terminating:Wait")
    group.autoscaling.delete_lifecycle_hook(AutoScalingGroupName=group.name, LifecycleHookName="terminate")
    group.wait("InService", "InService")


def test_a_member_that_is_terminated_by_ec2_waits_for_nothing(group):
    [member] = group.wait("Pending:Wait")
    group.ec2.terminate_instances(InstanceIds=[member])
    [second] = group.wait("Pending:Wait")
    assert second != member
    group.answer("launch", second)
    group.wait("InService")
    group.ec2.terminate_instances(InstanceIds=[second])
    [third] = group.wait("Pending:Wait")
    assert third not in {member, second}


def test_an_unhealthy_member_goes_the_long_way(group):
    [member] = group.wait("Pending:Wait")
    group.answer("launch", member)
    group.wait("InService")
    group.autoscaling.set_instance_health(InstanceId=member, HealthStatus="Unhealthy")
    group.wait("Terminating:Wait", "Pending:Wait")
    assert group.states()[member] == "Terminating:Wait"


def test_hooks_are_told_changed_and_checked(group):
    put = group.autoscaling.put_lifecycle_hook
    put(AutoScalingGroupName=group.name, LifecycleHookName="launch", HeartbeatTimeout=60)
    told = group.autoscaling.describe_lifecycle_hooks(AutoScalingGroupName=group.name)["LifecycleHooks"]
    assert {each["LifecycleHookName"]: each for each in told} == {
        "launch": {
            **LAUNCH,
            "AutoScalingGroupName": group.name,
            "HeartbeatTimeout": 60,
            "GlobalTimeout": 6000,
        },
        "terminate": {**TERMINATE, "AutoScalingGroupName": group.name, "GlobalTimeout": 60000},
    }
    for wrong in (
        {"LifecycleTransition": "autoscaling:EC2_INSTANCE_DREAMING"},
        {"HeartbeatTimeout": 29},
        {"HeartbeatTimeout": 7201},
        {"DefaultResult": "PERHAPS"},
        {"NotificationTargetARN": "arn:aws:sqs:eu-west-1:123456789012:q", "RoleARN": "arn:aws:iam::1:role/r"},
    ):
        with pytest.raises(ClientError, match="Lifecycle hook other"):
            put(AutoScalingGroupName=group.name, **(LAUNCH | {"LifecycleHookName": "other"} | wrong))
    with pytest.raises(ClientError, match="AutoScalingGroup name not found"):
        put(AutoScalingGroupName="nobody", **LAUNCH)


def test_a_host_may_answer_for_its_own_group_only(group, cloud):
    [member] = group.wait("Pending:Wait")
    iam, sts = cloud.client("iam"), cloud.client("sts")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName="host", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))

    def allow(name, **condition):
        where = "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup"
        statement = {
            "Effect": "Allow",
            "Action": "autoscaling:CompleteLifecycleAction",
            "Resource": f"{where}:*:autoScalingGroupName/{name}",
            **({"Condition": {"StringEquals": condition}} if condition else {}),
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName="host", PolicyName="hooks", PolicyDocument=document)

    keys = sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/host", RoleSessionName=member)[
        "Credentials"
    ]
    host = boto3.client(
        "autoscaling",
        region_name="eu-west-1",
        endpoint_url=cloud.endpoint,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    words = {"AutoScalingGroupName": group.name, "LifecycleHookName": "launch", "InstanceId": member}
    for name, condition in (("another", {}), (group.name, {"aws:ResourceTag/corral:role": "db"})):
        allow(name, **condition)
        with pytest.raises(ClientError, match=r"AccessDenied.*CompleteLifecycleAction"):
            host.complete_lifecycle_action(**words, LifecycleActionResult="CONTINUE")
    allow(group.name, **{"autoscaling:ResourceTag/corral:role": "app"})
    with pytest.raises(ClientError, match="AccessDenied"):
        host.record_lifecycle_action_heartbeat(**words)
    host.complete_lifecycle_action(**words, LifecycleActionResult="CONTINUE")
    group.wait("InService")


def test_a_stack_has_hooks_in_its_group_and_beside_it(cloud):
    stacks, autoscaling = Stacks(cloud), cloud.client("autoscaling")
    properties = {
        "AutoScalingGroupName": "hooked",
        "MinSize": "1",
        "MaxSize": "2",
        "AvailabilityZones": ["eu-west-1a"],
        "LaunchTemplate": {"LaunchTemplateId": {"Ref": "Launch"}, "Version": "1"},
        "LifecycleHookSpecificationList": [LAUNCH, TERMINATE],
    }
    launch = {"LaunchTemplateData": {"ImageId": "ami-0deb1a13000000001"}}
    beside = {**LAUNCH, "AutoScalingGroupName": {"Ref": "Group"}, "LifecycleHookName": "beside"}
    template = {
        "Resources": {
            "Launch": {"Type": "AWS::EC2::LaunchTemplate", "Properties": launch},
            "Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": properties},
            "Beside": {"Type": "AWS::AutoScaling::LifecycleHook", "Properties": beside},
        }
    }

    def hooks():
        found = autoscaling.describe_lifecycle_hooks(AutoScalingGroupName="hooked")["LifecycleHooks"]
        return {each["LifecycleHookName"]: each["HeartbeatTimeout"] for each in found}

    def states():
        found = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["hooked"])[
            "AutoScalingGroups"
        ]
        return {each["InstanceId"]: each["LifecycleState"] for each in found[0]["Instances"]}

    assert stacks.create(template, "hooked")["StackStatus"] == "CREATE_COMPLETE", stacks.reasons("hooked")
    assert hooks() == {"launch": 900, "terminate": 600, "beside": 900}
    [member] = states()
    assert states() == {member: "Pending:Wait"}
    words = {"AutoScalingGroupName": "hooked", "LifecycleActionResult": "CONTINUE"}
    autoscaling.complete_lifecycle_action(**words, LifecycleHookName="launch", InstanceId=member)
    wait_for(lambda: states() == {member: "InService"})

    properties["LifecycleHookSpecificationList"] = [TERMINATE | {"HeartbeatTimeout": 60}]
    beside["HeartbeatTimeout"] = 30
    assert stacks.update(template, "hooked")["StackStatus"] == "UPDATE_COMPLETE", stacks.reasons("hooked")
    assert hooks() == {"terminate": 60, "beside": 30}
    properties["LifecycleHookSpecificationList"][0]["RoleARN"] = "arn:aws:iam::123456789012:role/r"
    assert stacks.update(template, "hooked")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "know nothing of RoleARN" in stacks.reasons("hooked")["Group"]
    identity = stacks.rest("hooked")["StackId"]
    stacks.client.delete_stack(StackName="hooked")
    assert stacks.rest(identity)["StackStatus"] == "DELETE_COMPLETE", stacks.reasons(identity)
    assert hooks() == {}


class Member:
    """Stands for a member that waits, as far as its actions go."""

    def __init__(self, *hooks):
        start = lifecycle.now()
        self.actions = [
            lifecycle.Action(hook, start + hook.heartbeat_timeout, start + hook.global_timeout)
            for hook in hooks
        ]


def hook(name, result, seconds=60):
    return lifecycle.Hook(name, "group", lifecycle.LAUNCHING, seconds, result)


def test_what_nobody_completes_ends_with_its_default(monkeypatch):
    waiting = Member(hook("a", "CONTINUE"), hook("b", "CONTINUE", 90))
    start = lifecycle.now()
    monkeypatch.setattr(lifecycle, "now", lambda: start + 61)
    assert lifecycle.outcome(waiting) == ""
    monkeypatch.setattr(lifecycle, "now", lambda: start + 91)
    assert lifecycle.outcome(waiting) == "CONTINUE"
    assert lifecycle.given_up(waiting) == ""

    monkeypatch.setattr(lifecycle, "now", lambda: start)
    waiting = Member(hook("a", "ABANDON"), hook("b", "CONTINUE", 90))
    monkeypatch.setattr(lifecycle, "now", lambda: start + 61)
    assert lifecycle.outcome(waiting) == "ABANDON"
    assert lifecycle.given_up(waiting).endswith("was abandoned: Lifecycle Action Timed Out")


def test_heartbeats_put_the_end_off_but_not_for_ever(monkeypatch):
    waiting = Member(hook("a", "ABANDON"))
    start = lifecycle.now()
    for beats in range(1, 100):
        monkeypatch.setattr(lifecycle, "now", lambda beats=beats: start + 59 * beats)
        assert lifecycle.outcome(waiting) == ""
        waiting.actions[0].beat()
    monkeypatch.setattr(lifecycle, "now", lambda: start + 60 * 100 + 1)
    waiting.actions[0].beat()
    assert lifecycle.outcome(waiting) == "ABANDON"
