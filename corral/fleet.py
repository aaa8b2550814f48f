"""The fleet: which hosts of an environment are in service. Two API calls, and pure selection."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from corral.aws import client, explained
from corral.errors import CorralError
from corral.settings import Settings

SEE = "docs/converge.md"
# What the two calls take at most (Auto Scaling and EC2 API references).
GROUPS_A_PAGE = 100
INSTANCES_A_PAGE = 1000

Groups = list[dict[str, Any]]
Instances = Iterator[dict[str, Any]]


@dataclass(frozen=True, order=True)
class Host:
    """One server in service. `group`: name of its auto-scaling group. `data_volume`: id of an EBS volume."""

    role: str
    private_address: str
    instance_id: str
    zone: str
    group: str
    private_zone_id: str = ""
    data_volume: str = ""


def hosts(settings: Settings) -> list[Host]:
    """All hosts of the environment that are in service, sorted by role and address. Raises CorralError."""
    with explained(settings):
        found_groups = groups(settings)
        members = in_service(found_groups)
        # Without members there is nothing to ask EC2 about.
        found = select(members, instances(settings)) if members else []
    if not found:
        raise CorralError(
            f"Environment {settings.environment} has no host in service: {describe(found_groups)}.",
            _how_to_get_some(settings, found_groups),
            SEE,
        )
    return found


def _how_to_get_some(settings: Settings, groups: Groups) -> str:
    if any(group["DesiredCapacity"] for group in groups):
        return "Wait until its instances are in service, or raise the groups' desired capacity."
    return (
        "A new environment gets servers with its bundle:"
        f" corral stack apply -e {settings.reference} says how."
        " In any other, raise the groups' desired capacity."
    )


def in_service(groups: Groups) -> dict[str, tuple[str, str]]:
    """Role and group by instance id, of members that are healthy and neither coming, going, nor put aside.

    `groups` as DescribeAutoScalingGroups returns them. Every other state (Pending:Wait, Terminating, Standby,
    Detaching…) is no host to converge: see "Amazon EC2 Auto Scaling instance lifecycle".
    """
    return {
        member["InstanceId"]: (tags(group)["corral:role"], group["AutoScalingGroupName"])
        for group in groups
        for member in group["Instances"]
        if member["LifecycleState"] == "InService" and member["HealthStatus"].lower() == "healthy"
    }


def select(members: dict[str, tuple[str, str]], described: Iterable[dict[str, Any]]) -> list[Host]:
    """The members among `described` (of DescribeInstances) that run and have an address, sorted."""
    return sorted(
        Host(
            role=members[instance["InstanceId"]][0],
            private_address=instance["PrivateIpAddress"],
            instance_id=instance["InstanceId"],
            zone=instance["Placement"]["AvailabilityZone"],
            group=members[instance["InstanceId"]][1],
            private_zone_id=tags(instance).get("corral:private-zone-id", ""),
            data_volume=tags(instance).get("corral:data-volume", ""),
        )
        for instance in described
        # EC2 and Auto Scaling are each right in time of their own: one may not know yet what the other does.
        if instance["InstanceId"] in members
        and instance["State"]["Name"] == "running"
        and instance.get("PrivateIpAddress")
    )


def describe(groups: Groups) -> str:
    """What the groups hold, for a sentence: "chat-lab-app wants 2 and has 1 Pending"."""

    def states(group: dict[str, Any]) -> str:
        counts: dict[str, int] = {}
        for member in group["Instances"]:
            state = member["LifecycleState"]
            if state == "InService" and member["HealthStatus"].lower() != "healthy":
                state = "Unhealthy"
            counts[state] = counts.get(state, 0) + 1
        return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"

    return "; ".join(
        f"{group['AutoScalingGroupName']} wants {group['DesiredCapacity']} and has {states(group)}"
        for group in groups
    )


def by_role(found: Iterable[Host]) -> dict[str, list[Host]]:
    """The hosts of each role."""
    roles: dict[str, list[Host]] = {}
    for host in found:
        roles.setdefault(host.role, []).append(host)
    return roles


def groups(settings: Settings) -> Groups:
    """The environment's auto-scaling groups with their members. Raises CorralError when there are none."""
    pages = client(settings, "autoscaling").get_paginator("describe_auto_scaling_groups")
    of_environment = [
        {"Name": "tag:corral:project", "Values": [settings.project]},
        {"Name": "tag:corral:environment", "Values": [settings.environment]},
        {"Name": "tag-key", "Values": ["corral:role"]},
    ]
    answers = pages.paginate(Filters=of_environment, PaginationConfig={"PageSize": GROUPS_A_PAGE})
    found = [group for page in answers for group in page["AutoScalingGroups"]]
    if not found:
        raise CorralError(
            f"Environment {settings.environment} has no auto-scaling groups in {settings.region},"
            f" account {settings.account}: its stack {settings.stack_name} does not exist.",
            f"Create it: corral stack apply -e {settings.reference}",
            SEE,
        )
    return found


def instances(settings: Settings, states: Iterable[str] = ("running",)) -> Instances:
    """The environment's instances that are in one of EC2's `states`, page by page."""
    # By tag, not by id: InstanceIds and MaxResults exclude each other, and many come by pages only.
    pages = client(settings, "ec2").get_paginator("describe_instances")
    of_environment = [
        {"Name": "tag:corral:project", "Values": [settings.project]},
        {"Name": "tag:corral:environment", "Values": [settings.environment]},
        {"Name": "instance-state-name", "Values": list(states)},
    ]
    for page in pages.paginate(Filters=of_environment, PaginationConfig={"PageSize": INSTANCES_A_PAGE}):
        for reservation in page["Reservations"]:
            yield from reservation["Instances"]


def tags(thing: dict[str, Any]) -> dict[str, str]:
    """A thing's tags by their keys."""
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags", [])}
