"""VPC and subnets, and what resources of EC2 have in common: tags."""
# ruff: noqa: D102 (what create, update, delete and attributes do is said once, in base.py)

from lab.cloud.cloudformation.resources.base import (
    Cloud,
    Kind,
    Properties,
    names,
    pick,
    tag_differences,
)


class Ec2Kind(Kind):
    """A resource of EC2 whose tags can change where it stands."""

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        put, take = tag_differences(given, before)
        if take:
            cloud("ec2").delete_tags(Resources=[physical], Tags=[{"Key": key} for key in take])
        if put:
            cloud("ec2").create_tags(Resources=[physical], Tags=put)
        if any(given.get(key) != before.get(key) for key in {*given, *before} - {"Tags"}):
            self.change(cloud, physical, given, before)

    def change(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        """Bring what is not a tag to what is given."""
        Kind.update(self, cloud, physical, given, before)


def tag(cloud: Cloud, physical: str, given: Properties) -> str:
    """Put the given tags on a resource of EC2; its id."""
    if given.get("Tags"):
        cloud("ec2").create_tags(Resources=[physical], Tags=given["Tags"])
    return physical


class Vpc(Ec2Kind):
    """The network."""

    type = "AWS::EC2::VPC"
    properties = names("CidrBlock EnableDnsHostnames EnableDnsSupport InstanceTenancy Tags")
    replaced_by = names("CidrBlock InstanceTenancy")

    def create(self, cloud: Cloud, given: Properties) -> str:
        vpc = cloud("ec2").create_vpc(**pick(given, "CidrBlock InstanceTenancy"))["Vpc"]["VpcId"]
        self.change(cloud, vpc, given, {})
        return tag(cloud, vpc, given)

    def change(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        for key in ("EnableDnsSupport", "EnableDnsHostnames"):
            if key in given:
                cloud("ec2").modify_vpc_attribute(VpcId=physical, **{key: {"Value": given[key]}})

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("ec2").delete_vpc(VpcId=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        vpc = cloud("ec2").describe_vpcs(VpcIds=[physical])["Vpcs"][0]
        groups = cloud("ec2").describe_security_groups(
            Filters=[{"Name": "vpc-id", "Values": [physical]}, {"Name": "group-name", "Values": ["default"]}]
        )
        default = groups["SecurityGroups"][0]["GroupId"]
        return {"VpcId": physical, "CidrBlock": vpc["CidrBlock"], "DefaultSecurityGroup": default}


class Subnet(Ec2Kind):
    """A subnet in one zone."""

    type = "AWS::EC2::Subnet"
    properties = names("AvailabilityZone CidrBlock MapPublicIpOnLaunch Tags VpcId")
    replaced_by = names("AvailabilityZone CidrBlock VpcId")

    def create(self, cloud: Cloud, given: Properties) -> str:
        made = cloud("ec2").create_subnet(**pick(given, "AvailabilityZone CidrBlock VpcId"))
        subnet = made["Subnet"]["SubnetId"]
        self.change(cloud, subnet, given, {})
        return tag(cloud, subnet, given)

    def change(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        public = {"Value": given.get("MapPublicIpOnLaunch", False)}
        cloud("ec2").modify_subnet_attribute(SubnetId=physical, MapPublicIpOnLaunch=public)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("ec2").delete_subnet(SubnetId=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        subnet = cloud("ec2").describe_subnets(SubnetIds=[physical])["Subnets"][0]
        return {key: subnet[key] for key in ("SubnetId", "VpcId", "CidrBlock", "AvailabilityZone")}
