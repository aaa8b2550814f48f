"""Every member of an environment's groups: also those that come, go, are ill or put aside."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from corral import fleet
from corral.aws import client, explained
from corral.settings import Settings

# All of EC2's states of an instance but "terminated": what is gone is no member (EC2 API, InstanceState).
THERE = ("pending", "running", "stopping", "stopped", "shutting-down")


@dataclass(frozen=True)
class Group:
    """An auto-scaling group. `targets`: ARNs of its target groups. `suspended`: processes that don't run."""

    name: str
    role: str
    desired: int
    targets: tuple[str, ...] = ()
    suspended: tuple[str, ...] = ()


@dataclass(frozen=True)
class Member:
    """One instance of a group. `state`: of its life in the group, such as "InService" or "Pending:Wait".

    `healthy`: the group finds so. `launched`, `address`: None and empty as long as EC2 doesn't tell.
    """

    role: str
    group: str
    instance_id: str
    zone: str
    state: str
    healthy: bool = True
    address: str = ""
    launched: datetime | None = None

    @property
    def in_service(self) -> bool:
        """Whether it is one of those that the group counts as doing their work."""
        return self.state == "InService" and self.healthy

    @property
    def order(self) -> tuple[Any, ...]:
        """What members are sorted by: role, address as numbers, id."""
        return self.role, tuple(int(part) for part in self.address.split(".") if part), self.instance_id


@dataclass(frozen=True)
class Target:
    """A member as the load balancer sees it. `group`: the target group's name. `why` it is not healthy."""

    group: str
    state: str
    why: str = ""


Targets = dict[str, tuple[Target, ...]]


def survey(settings: Settings) -> tuple[list[Group], list[Member]]:
    """All groups of the environment and all their members, by role and address. Raises CorralError."""
    with explained(settings):
        groups = fleet.groups(settings)
        # Of each instance only what is needed: as EC2 describes them, thousands take a lot of memory.
        described = {
            one["InstanceId"]: (one.get("PrivateIpAddress", ""), one.get("LaunchTime"))
            for one in fleet.instances(settings, THERE)
        }
    members = [member for group in groups for member in _members(group, described)]
    return sorted((_group(group) for group in groups), key=lambda one: one.role), sorted(
        members, key=lambda one: one.order
    )


def targets(settings: Settings, groups: list[Group]) -> Targets:
    """How the load balancer finds the members of `groups`, by instance. One request for each target group."""
    found: dict[str, list[Target]] = {}
    with explained(settings):
        for arn in dict.fromkeys(arn for group in groups for arn in group.targets):
            answer = client(settings, "elbv2").describe_target_health(TargetGroupArn=arn)
            for description in answer["TargetHealthDescriptions"]:
                found.setdefault(description["Target"]["Id"], []).append(_target(arn, description))
    return {instance_id: tuple(seen) for instance_id, seen in found.items()}


def target_group(arn: str) -> str:
    """A target group's name; its ARN ends in targetgroup/<name>/<number> (User Guide, "Target groups")."""
    return arn.split("/")[-2]


def _group(group: dict[str, Any]) -> Group:
    return Group(
        name=group["AutoScalingGroupName"],
        role=fleet.tags(group)["corral:role"],
        desired=group["DesiredCapacity"],
        targets=tuple(group.get("TargetGroupARNs", ())),
        suspended=tuple(sorted(each["ProcessName"] for each in group.get("SuspendedProcesses", ()))),
    )


def _members(group: dict[str, Any], described: dict[str, tuple[str, datetime | None]]) -> Iterator[Member]:
    for member in group["Instances"]:
        address, launched = described.get(member["InstanceId"], ("", None))
        yield Member(
            role=fleet.tags(group)["corral:role"],
            group=group["AutoScalingGroupName"],
            instance_id=member["InstanceId"],
            zone=member["AvailabilityZone"],
            state=member["LifecycleState"],
            healthy=member["HealthStatus"].lower() == "healthy",
            address=address,
            launched=launched,
        )


def _target(arn: str, description: dict[str, Any]) -> Target:
    health = description["TargetHealth"]
    words = [health.get("Reason", ""), health.get("Description", "")]
    return Target(target_group(arn), health["State"], ": ".join(word for word in words if word))
