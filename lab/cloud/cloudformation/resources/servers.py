"""Launch templates and auto-scaling groups."""
# ruff: noqa: D102 (what create, update, delete and attributes do is said once, in base.py)

from collections.abc import Callable
from typing import Any

from lab.cloud.cloudformation.resources.base import (
    Cloud,
    Kind,
    Properties,
    changed,
    names,
    pick,
    tag_differences,
)
from lab.cloud.cloudformation.resources.hooks import LIST, change_hooks, check_hooks
from lab.cloud.cloudformation.resources.rolling import Roll
from lab.cloud.cloudformation.resources.update_policy import SCHEDULED, policy_of

SIZES = "DesiredCapacity MaxSize MinSize"
GROUP = "AvailabilityZones HealthCheckGracePeriod HealthCheckType LaunchTemplate VPCZoneIdentifier"


class LaunchTemplate(Kind):
    """A launch template; a change makes a new version of it."""

    type = "AWS::EC2::LaunchTemplate"
    properties = names("LaunchTemplateData LaunchTemplateName TagSpecifications VersionDescription")
    replaced_by = names("LaunchTemplateName")
    name = "LaunchTemplateName"
    longest_name = 128

    def create(self, cloud: Cloud, given: Properties) -> str:
        made = cloud("ec2").create_launch_template(**given)["LaunchTemplate"]
        return str(made["LaunchTemplateId"])

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        put, take = tag_differences(_own_tags(given), _own_tags(before))
        if take:
            cloud("ec2").delete_tags(Resources=[physical], Tags=[{"Key": key} for key in take])
        if put:
            cloud("ec2").create_tags(Resources=[physical], Tags=put)
        words, had = (pick(each, "LaunchTemplateData VersionDescription") for each in (given, before))
        if words != had:
            cloud("ec2").create_launch_template_version(LaunchTemplateId=physical, **words)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("ec2").delete_launch_template(LaunchTemplateId=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        found = cloud("ec2").describe_launch_templates(LaunchTemplateIds=[physical])["LaunchTemplates"][0]
        return {
            "LaunchTemplateId": physical,
            "LatestVersionNumber": str(found["LatestVersionNumber"]),
            "DefaultVersionNumber": str(found["DefaultVersionNumber"]),
        }


def _own_tags(given: Properties) -> dict[str, Any]:
    """Tags of a launch template itself: not those of what is launched from it."""
    said = {each["ResourceType"]: each["Tags"] for each in given.get("TagSpecifications", [])}
    return {"Tags": said.get("launch-template", [])}


class AutoScalingGroup(Kind):
    """A group of servers. An update changes it where it stands; its UpdatePolicy may then replace members."""

    type = "AWS::AutoScaling::AutoScalingGroup"
    properties = names(f"{SIZES} {GROUP} {LIST} AutoScalingGroupName Tags TargetGroupARNs UpdatePolicy")
    replaced_by = names("AutoScalingGroupName")
    perhaps_replaced_by = names("LaunchTemplate VPCZoneIdentifier")
    name = "AutoScalingGroupName"

    def create(self, cloud: Cloud, given: Properties) -> str:
        group: str = given["AutoScalingGroupName"]
        _check(given)
        cloud("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=group,
            Tags=_tags(group, given),
            **_words(given, f"{SIZES} {GROUP} {LIST} TargetGroupARNs"),
        )
        return group

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        _check(given)
        groups = cloud("autoscaling")
        put, take = tag_differences({"Tags": _tags(physical, given)}, {"Tags": _tags(physical, before)})
        if take:
            old = [{"ResourceId": physical, "ResourceType": "auto-scaling-group", "Key": key} for key in take]
            groups.delete_tags(Tags=old)
        if put:
            groups.create_or_update_tags(Tags=put)
        change_hooks(groups, physical, given, before)
        words = f"{GROUP} {SIZES}" if self._sizes_count(given, before) else GROUP
        groups.update_auto_scaling_group(AutoScalingGroupName=physical, **_words(given, words))
        new, had = set(given.get("TargetGroupARNs", [])), set(before.get("TargetGroupARNs", []))
        if new - had:
            groups.attach_load_balancer_target_groups(
                AutoScalingGroupName=physical, TargetGroupARNs=sorted(new - had)
            )
        if had - new:
            groups.detach_load_balancer_target_groups(
                AutoScalingGroupName=physical, TargetGroupARNs=sorted(had - new)
            )

    def settle(
        self, cloud: Cloud, physical: str, given: Properties, before: Properties, say: Callable[[str], None]
    ) -> None:
        if policy := policy_of(given):
            roll = Roll(cloud("autoscaling"), cloud("ec2"), physical, policy, say)
            roll.run(_words(before, "LaunchTemplate VPCZoneIdentifier"))

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=physical, ForceDelete=True)
        _wait_for_the_last(cloud("ec2"), physical)

    def _sizes_count(self, given: Properties, before: Properties) -> bool:
        """Whether the template's sizes are to be set: CloudFormation, UpdatePolicy attribute."""
        policy = given.get("UpdatePolicy", {}).get(SCHEDULED, {})
        ignored = str(policy.get("IgnoreUnmodifiedGroupSizeProperties", False)).lower() == "true"
        return changed(given, before, SIZES) or not ignored


def _wait_for_the_last(ec2: Any, group: str) -> None:
    """Wait until no instance is left: they have volumes, addresses and security groups until then."""
    asked = [
        {"Name": "tag:aws:autoscaling:groupName", "Values": [group]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "shutting-down", "stopped"]},
    ]
    pages = ec2.get_paginator("describe_instances").paginate(Filters=asked)
    left = [each["InstanceId"] for page in pages for one in page["Reservations"] for each in one["Instances"]]
    if left:
        patience = {"Delay": 0.5, "MaxAttempts": 240}
        ec2.get_waiter("instance_terminated").wait(InstanceIds=left, WaiterConfig=patience)


def _check(given: Properties) -> None:
    check_hooks(given)
    policy_of(given)


def _words(given: Properties, keys: str) -> dict[str, Any]:
    words = pick(given, keys)
    if "VPCZoneIdentifier" in words:
        words["VPCZoneIdentifier"] = ",".join(words["VPCZoneIdentifier"])
    return words


def _tags(group: str, given: Properties) -> list[dict[str, Any]]:
    """Tags as the API takes them; a stack's own tags are given to instances too."""
    about = {"ResourceId": group, "ResourceType": "auto-scaling-group"}
    return [{"PropagateAtLaunch": True, **about, **tag} for tag in given.get("Tags", [])]
