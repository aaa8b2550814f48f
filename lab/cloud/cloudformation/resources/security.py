"""Security groups, and rules that stand beside them."""
# ruff: noqa: D102 (what create, update, delete and attributes do is said once, in base.py)

from typing import Any

from lab.cloud.cloudformation.resources.base import Cloud, Kind, Properties, Refused, names, pick
from lab.cloud.cloudformation.resources.network import Ec2Kind, tag

RULE = "CidrIp Description FromPort IpProtocol ToPort"
PEERS = "DestinationPrefixListId DestinationSecurityGroupId SourceSecurityGroupId"
KNOWN = names(f"{RULE} {PEERS} GroupId")
# What EC2 lets a new group of a VPC send; CloudFormation takes it away when a template says what may be sent.
ALL_OUT = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}


class SecurityGroup(Ec2Kind):
    """A security group with its own rules."""

    type = "AWS::EC2::SecurityGroup"
    properties = names("GroupDescription GroupName SecurityGroupEgress SecurityGroupIngress Tags VpcId")
    replaced_by = names("GroupDescription GroupName VpcId")
    name = "GroupName"

    def create(self, cloud: Cloud, given: Properties) -> str:
        about = {"Description": given["GroupDescription"], **pick(given, "GroupName VpcId")}
        group: str = cloud("ec2").create_security_group(**about)["GroupId"]
        self.change(cloud, group, given, {})
        return tag(cloud, group, given)

    def change(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        ec2 = cloud("ec2")
        for key, allow, revoke, always in (
            ("SecurityGroupIngress", "authorize_security_group_ingress", "revoke_security_group_ingress", []),
            (
                "SecurityGroupEgress",
                "authorize_security_group_egress",
                "revoke_security_group_egress",
                [ALL_OUT],
            ),
        ):
            new = [permission(rule) for rule in given.get(key) or always]
            old = [permission(rule) for rule in before.get(key) or always]
            for rule in old:
                if rule not in new:
                    getattr(ec2, revoke)(GroupId=physical, IpPermissions=[rule])
            for rule in new:
                if rule not in old:
                    getattr(ec2, allow)(GroupId=physical, IpPermissions=[rule])

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("ec2").delete_security_group(GroupId=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        group = cloud("ec2").describe_security_groups(GroupIds=[physical])["SecurityGroups"][0]
        return {"GroupId": physical, "VpcId": group["VpcId"]}


class Ingress(Kind):
    """What a group may receive, said beside it."""

    type = "AWS::EC2::SecurityGroupIngress"
    properties = replaced_by = names(f"{RULE} GroupId SourceSecurityGroupId")
    verbs = ("authorize_security_group_ingress", "revoke_security_group_ingress")

    def create(self, cloud: Cloud, given: Properties) -> str:
        rule = permission(given)
        getattr(cloud("ec2"), self.verbs[0])(GroupId=given["GroupId"], IpPermissions=[rule])
        return f"{given['GroupId']}|{rule['IpProtocol']}|{rule.get('FromPort')}|{rule.get('ToPort')}"

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        rule = permission(given)
        getattr(cloud("ec2"), self.verbs[1])(GroupId=given["GroupId"], IpPermissions=[rule])


class Egress(Ingress):
    """What a group may send, said beside it."""

    type = "AWS::EC2::SecurityGroupEgress"
    properties = replaced_by = names(f"{RULE} DestinationPrefixListId DestinationSecurityGroupId GroupId")
    verbs = ("authorize_security_group_egress", "revoke_security_group_egress")


def permission(rule: Properties) -> dict[str, Any]:
    """A template's rule as EC2's API takes it (IpPermission)."""
    if unknown := set(rule) - KNOWN:
        raise Refused(f"The lab's security groups know nothing of {', '.join(sorted(unknown))}.")
    found = pick(rule, "IpProtocol FromPort ToPort")
    about = pick(rule, "Description")
    if "CidrIp" in rule:
        found["IpRanges"] = [{"CidrIp": rule["CidrIp"], **about}]
    for key in ("SourceSecurityGroupId", "DestinationSecurityGroupId"):
        if key in rule:
            found["UserIdGroupPairs"] = [{"GroupId": rule[key], **about}]
    if "DestinationPrefixListId" in rule:
        found["PrefixListIds"] = [{"PrefixListId": rule["DestinationPrefixListId"], **about}]
    return found
