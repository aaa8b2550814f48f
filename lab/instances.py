"""Reads from the AWS API what the lab must know of its instances, each lasting fact once."""

import base64
from collections.abc import Callable
from typing import Any

from lab.metadata_tree import Facts

Clients = Callable[[str], Any]


class Reader:
    """Asks the API; what can't change in an instance's life is remembered.

    `client`: gives a boto3 client for a service's name.
    """

    def __init__(self, client: Clients, account: str, region: str):
        self.client = client
        self.account = account
        self.region = region
        self._lasting: dict[str, dict[str, Any]] = {}
        self._profiles: dict[str, dict[str, str]] = {}

    def instances(self) -> list[dict[str, Any]]:
        """All instances in any state, as DescribeInstances gives them, with what that leaves out.

        ReservationId; LifecycleState of those in auto-scaling groups.
        """
        members = self.client("autoscaling").get_paginator("describe_auto_scaling_instances").paginate()
        states = {
            each["InstanceId"]: {"LifecycleState": each["LifecycleState"]}
            for page in members
            for each in page["AutoScalingInstances"]
        }
        pages = self.client("ec2").get_paginator("describe_instances").paginate()
        return [
            {
                **instance,
                "ReservationId": reservation["ReservationId"],
                **states.get(instance["InstanceId"], {}),
            }
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        ]

    def volumes(self) -> list[dict[str, Any]]:
        """All volumes, as DescribeVolumes gives them."""
        pages = self.client("ec2").get_paginator("describe_volumes").paginate()
        return [volume for page in pages for volume in page["Volumes"]]

    def facts(self, instance: dict[str, Any]) -> Facts:
        """What the metadata service says of an instance."""
        instance_id = instance["InstanceId"]
        if instance_id not in self._lasting:
            self._lasting[instance_id] = self._read_lasting(instance)
        # An instance gets its profile a moment after it was made.
        profile = self._profile(instance.get("IamInstanceProfile"))
        return Facts(instance, self.account, self.region, profile=profile, **self._lasting[instance_id])

    def forget(self, gone: set[str]) -> None:
        """Drop what is remembered of instances that are no more."""
        for instance_id in gone & self._lasting.keys():
            del self._lasting[instance_id]

    def _read_lasting(self, instance: dict[str, Any]) -> dict[str, Any]:
        ec2 = self.client("ec2")
        asked = ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
        encoded = asked.get("UserData", {}).get("Value", "")
        subnet = ec2.describe_subnets(SubnetIds=[instance["SubnetId"]])["Subnets"][0]
        vpc = ec2.describe_vpcs(VpcIds=[instance["VpcId"]])["Vpcs"][0]
        return {
            "user_data": base64.b64decode(encoded).decode(),
            "public_key": self._public_key(instance.get("KeyName")),
            "subnet_cidr": subnet["CidrBlock"],
            "vpc_cidr": vpc["CidrBlock"],
        }

    def _public_key(self, name: str | None) -> str | None:
        if not name:
            return None
        pairs = self.client("ec2").describe_key_pairs(KeyNames=[name], IncludePublicKey=True)["KeyPairs"]
        key: str = pairs[0]["PublicKey"]
        return key.strip()

    def _profile(self, named: dict[str, Any] | None) -> dict[str, str]:
        if not named:
            return {}
        arn = named["Arn"]
        if arn not in self._profiles:
            name = arn.rpartition("/")[2]
            profile = self.client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
            if not profile["Roles"]:
                return {}
            role = profile["Roles"][0]
            self._profiles[arn] = {
                "Arn": profile["Arn"],
                "InstanceProfileId": profile["InstanceProfileId"],
                "RoleName": role["RoleName"],
                "RoleArn": role["Arn"],
            }
        return self._profiles[arn]
