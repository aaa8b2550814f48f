"""What EC2's metadata service says of one instance, as a tree made from the API's answers (pure).

The paths are those of EC2's user guide, "Instance metadata categories".
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from lab import network

Tree = dict[str, Any]


@dataclass
class Facts:
    """All that the API knows of an instance that its metadata shows; kept in instances.json."""

    instance: dict[str, Any]  # DescribeInstances' own dictionary
    account: str
    region: str
    user_data: str | None = None  # text; EC2 hands it out decoded
    public_key: str | None = None  # one line of authorized_keys
    profile: dict[str, str] = field(default_factory=dict)  # Arn, InstanceProfileId, RoleName, RoleArn
    subnet_cidr: str = ""
    vpc_cidr: str = ""


def tree(facts: Facts) -> Tree:
    """The whole tree below the version: directories are dictionaries, leaves are text."""
    return {
        "meta-data": _meta_data(facts),
        "dynamic": {"instance-identity": {"document": json.dumps(_identity(facts), indent=2)}},
        **({"user-data": facts.user_data} if facts.user_data else {}),
    }


def find(top: Tree, path: str) -> str | None:
    """What a path below the version answers, with or without a slash at its end; None where EC2 says 404."""
    node: Tree | str = top
    for name in filter(None, path.split("/")):
        if not isinstance(node, dict):
            return None
        entry = next((key for key in node if unquote(name) in (key, key.partition("=")[0])), None)
        if entry is None:
            return None
        node = node[entry]
    return _listing(node) if isinstance(node, dict) else node


def _listing(directory: Tree) -> str:
    # A public key's directory is the one whose name tells more than its path: "0=name", and without a slash.
    return "\n".join(
        f"{name}/" if isinstance(node, dict) and "=" not in name else name for name, node in directory.items()
    )


def _meta_data(facts: Facts) -> Tree:
    instance = facts.instance
    groups = instance.get("SecurityGroups", [])
    address, name = instance["PrivateIpAddress"], instance["PrivateDnsName"]
    mac = network.host_mac(address)
    found: Tree = {
        "ami-id": instance["ImageId"],
        "ami-launch-index": str(instance.get("AmiLaunchIndex", 0)),
        "block-device-mapping": {"ami": "xvda", "root": "/dev/xvda"},
        "hostname": name,
        "instance-action": "none",
        "instance-id": instance["InstanceId"],
        "instance-life-cycle": "on-demand",
        "instance-type": instance["InstanceType"],
        "local-hostname": name,
        "local-ipv4": address,
        "mac": mac,
        "network": {"interfaces": {"macs": {mac: _interface(facts, address, name, mac)}}},
        "placement": {
            "availability-zone": instance["Placement"]["AvailabilityZone"],
            "region": facts.region,
        },
        "reservation-id": instance.get("ReservationId", "r-0"),
        "security-groups": "\n".join(group["GroupName"] for group in groups),
        "services": {"domain": "amazonaws.com", "partition": "aws"},
    }
    if "LifecycleState" in instance:
        found["autoscaling"] = {"target-lifecycle-state": _target(instance["LifecycleState"])}
    if facts.public_key:
        found["public-keys"] = {f"0={instance['KeyName']}": {"openssh-key": facts.public_key}}
    if facts.profile:
        info = {
            "Code": "Success",
            "InstanceProfileArn": facts.profile["Arn"],
            "InstanceProfileId": facts.profile["InstanceProfileId"],
        }
        # The service fills the credentials in; they are of the moment.
        found["iam"] = {"info": json.dumps(info), "security-credentials": {facts.profile["RoleName"]: ""}}
    if instance.get("MetadataOptions", {}).get("InstanceMetadataTags") == "enabled":
        found["tags"] = {"instance": {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}}
    return found


def _target(lifecycle_state: str) -> str:
    """The steady state that a member of an auto-scaling group is on its way to, or in.

    (EC2 Auto Scaling User Guide, "Retrieve the target lifecycle state through instance metadata".)
    """
    if lifecycle_state.startswith("Terminat"):
        return "Terminated"
    return {"EnteringStandby": "Standby", "Standby": "Standby", "Detaching": "Detached"}.get(
        lifecycle_state, "InService"
    )


def _interface(facts: Facts, address: str, name: str, mac: str) -> Tree:
    instance = facts.instance
    groups = instance.get("SecurityGroups", [])
    interfaces = instance.get("NetworkInterfaces") or [{}]
    return {
        "device-number": "0",
        "interface-id": interfaces[0].get("NetworkInterfaceId", "eni-0"),
        "local-hostname": name,
        "local-ipv4s": address,
        "mac": mac,
        "owner-id": facts.account,
        "security-group-ids": "\n".join(group["GroupId"] for group in groups),
        "security-groups": "\n".join(group["GroupName"] for group in groups),
        "subnet-id": instance.get("SubnetId", ""),
        "subnet-ipv4-cidr-block": facts.subnet_cidr,
        "vpc-id": instance.get("VpcId", ""),
        "vpc-ipv4-cidr-block": facts.vpc_cidr,
        "vpc-ipv4-cidr-blocks": facts.vpc_cidr,
    }


def _identity(facts: Facts) -> dict[str, Any]:
    instance = facts.instance
    return {
        "accountId": facts.account,
        "architecture": instance.get("Architecture", "x86_64"),
        "availabilityZone": instance["Placement"]["AvailabilityZone"],
        "imageId": instance["ImageId"],
        "instanceId": instance["InstanceId"],
        "instanceType": instance["InstanceType"],
        "pendingTime": re.sub(r"\+00:00$", "Z", str(instance.get("LaunchTime", ""))),
        "privateIp": instance["PrivateIpAddress"],
        "region": facts.region,
        "version": "2017-09-30",
    }
