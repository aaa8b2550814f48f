"""Ways in a network and out of it: route tables, gateways, endpoints."""
# ruff: noqa: D102 (what create, update, delete and attributes do is said once, in base.py)

from typing import Any

from lab.cloud.cloudformation.resources.base import Cloud, Kind, Properties, Refused, names, pick
from lab.cloud.cloudformation.resources.network import Ec2Kind, tag


class InternetGateway(Ec2Kind):
    """The way to the internet; in the lab there is none behind it."""

    type = "AWS::EC2::InternetGateway"
    properties = names("Tags")

    def create(self, cloud: Cloud, given: Properties) -> str:
        gateway = cloud("ec2").create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        return tag(cloud, gateway, given)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("ec2").delete_internet_gateway(InternetGatewayId=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        return {"InternetGatewayId": physical}


class GatewayAttachment(Kind):
    """An internet gateway's place at a VPC."""

    type = "AWS::EC2::VPCGatewayAttachment"
    properties = replaced_by = names("InternetGatewayId VpcId")

    def create(self, cloud: Cloud, given: Properties) -> str:
        cloud("ec2").attach_internet_gateway(**given)
        return f"IGW|{given['VpcId']}"

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("ec2").detach_internet_gateway(**given)


class RouteTable(Ec2Kind):
    """A table of routes."""

    type = "AWS::EC2::RouteTable"
    properties = names("Tags VpcId")
    replaced_by = names("VpcId")

    def create(self, cloud: Cloud, given: Properties) -> str:
        table = cloud("ec2").create_route_table(VpcId=given["VpcId"])["RouteTable"]["RouteTableId"]
        return tag(cloud, table, given)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("ec2").delete_route_table(RouteTableId=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        return {"RouteTableId": physical}


class Route(Kind):
    """One route."""

    type = "AWS::EC2::Route"
    properties = names("DestinationCidrBlock GatewayId NatGatewayId RouteTableId")
    replaced_by = names("DestinationCidrBlock RouteTableId")

    def create(self, cloud: Cloud, given: Properties) -> str:
        cloud("ec2").create_route(**given)
        return f"{given['RouteTableId']}|{given['DestinationCidrBlock']}"

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        cloud("ec2").replace_route(**given)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("ec2").delete_route(**pick(given, "DestinationCidrBlock RouteTableId"))


class RouteTableAssociation(Kind):
    """Which table a subnet uses."""

    type = "AWS::EC2::SubnetRouteTableAssociation"
    properties = replaced_by = names("RouteTableId SubnetId")

    def create(self, cloud: Cloud, given: Properties) -> str:
        association: str = cloud("ec2").associate_route_table(**given)["AssociationId"]
        return association

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("ec2").disassociate_route_table(AssociationId=physical)


class Address(Ec2Kind):
    """A public address that stays."""

    type = "AWS::EC2::EIP"
    properties = names("Domain Tags")

    def create(self, cloud: Cloud, given: Properties) -> str:
        made = cloud("ec2").allocate_address(Domain="vpc")
        tag(cloud, made["AllocationId"], given)
        return str(made["PublicIp"])

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        super().update(cloud, self._allocation(cloud, physical), given, before)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("ec2").release_address(AllocationId=self._allocation(cloud, physical))

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        return {"AllocationId": self._allocation(cloud, physical), "PublicIp": physical}

    def _allocation(self, cloud: Cloud, physical: str) -> str:
        found: list[dict[str, Any]] = cloud("ec2").describe_addresses(PublicIps=[physical])["Addresses"]
        return str(found[0]["AllocationId"])


class NatGateway(Ec2Kind):
    """A way out for private subnets; in the lab nothing goes through it."""

    type = "AWS::EC2::NatGateway"
    properties = names("AllocationId SubnetId Tags")
    replaced_by = names("AllocationId SubnetId")

    def create(self, cloud: Cloud, given: Properties) -> str:
        made = cloud("ec2").create_nat_gateway(**pick(given, "AllocationId SubnetId"))
        return tag(cloud, made["NatGateway"]["NatGatewayId"], given)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("ec2").delete_nat_gateway(NatGatewayId=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        return {"NatGatewayId": physical}


class Endpoint(Ec2Kind):
    """A gateway endpoint, such as that of S3."""

    type = "AWS::EC2::VPCEndpoint"
    properties = names("RouteTableIds ServiceName Tags VpcEndpointType VpcId")
    replaced_by = names("ServiceName VpcEndpointType VpcId")

    def create(self, cloud: Cloud, given: Properties) -> str:
        if given.get("VpcEndpointType", "Gateway") != "Gateway":
            raise Refused("The lab knows gateway endpoints only; Amazon's names lead to its API anyway.")
        words = pick(given, "RouteTableIds ServiceName VpcEndpointType VpcId")
        endpoint: str = cloud("ec2").create_vpc_endpoint(**words)["VpcEndpoint"]["VpcEndpointId"]
        return tag(cloud, endpoint, given)

    def change(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        new, old = set(given.get("RouteTableIds", [])), set(before.get("RouteTableIds", []))
        cloud("ec2").modify_vpc_endpoint(
            VpcEndpointId=physical, AddRouteTableIds=sorted(new - old), RemoveRouteTableIds=sorted(old - new)
        )

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("ec2").delete_vpc_endpoints(VpcEndpointIds=[physical])
