"""The members of an auto-scaling group: as many as desired, over all zones, in step with target groups."""

import functools
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import UTC
from typing import Any, TypeVar, cast

from moto.autoscaling import models
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.elbv2.exceptions import InvalidTargetError, TargetGroupNotFoundError

from lab.cloud import activities, revision, state
from lab.cloud.launch import launch

Group = FakeAutoScalingGroup
F = TypeVar("F", bound=Callable[..., Any])

# Seconds in which the balancer sees that a target is to go; before, it does not know it as draining yet.
NOTICE = 5.0

# Requests and the clock change groups at the same time.
_lock = threading.RLock()


def alone(function: F) -> F:
    """Let the function run while no other of these does."""

    @functools.wraps(function)
    def call(*words: Any, **more: Any) -> Any:
        with _lock:
            return function(*words, **more)

    return cast(F, call)


@alone
def tick() -> None:
    """Once a second: members that died or are ill go, the drained are terminated, gaps are filled."""
    for regions in list(models.autoscaling_backends.values()):
        for backend in list(regions.values()):
            for group in list(backend.autoscaling_groups.values()):
                try:
                    _keep(group)
                except Exception as error:  # One group's fault is no reason to forget the others.
                    traceback.print_exc()
                    activities.failed(group, str(error))


def _keep(group: Group) -> None:
    health = state.target_health()
    for member in list(group.instance_states):
        instance = member.instance
        if instance.state == "terminated":
            group.instance_states.remove(member)
        elif member.lifecycle_state == "Terminating":
            if time.monotonic() > member.until or _drained(group, member, health):  # type: ignore[attr-defined]
                _end(group, member)
        elif member.lifecycle_state == "InService":
            if instance.state not in {"running", "pending"} or _ill(group, member, health):
                member.health_status = "Unhealthy"
            if member.health_status == "Unhealthy" and _may(group, "ReplaceUnhealthy"):
                retire(group, member, "was taken out of service in response to a health check")
    balance(group)


def balance(group: Group) -> None:
    """Launch or retire members until there are as many as desired, evenly over the subnets."""
    live = [member for member in group.instance_states if member.lifecycle_state == "InService"]
    missing = (group.desired_capacity or 0) - len(live)
    if missing > 0 and _may(group, "Launch"):
        for _ in range(missing):
            launch(group, _emptiest(group))
    elif missing < 0 and _may(group, "Terminate"):
        for _ in range(-missing):
            chosen = _superfluous(group)
            if chosen is None:
                break
            retire(group, chosen, "was selected for termination to shrink the group")
    group.autoscaling_backend.update_attached_target_groups(group.name)


def _emptiest(group: Group) -> str | None:
    subnets = group.vpc_zone_identifier.split(",") if group.vpc_zone_identifier else []
    count = Counter(
        member.instance.subnet_id
        for member in group.instance_states
        if member.lifecycle_state != "Terminating"
    )
    return min(subnets, key=lambda subnet: (count[subnet], subnets.index(subnet)), default=None)


def _superfluous(group: Group) -> InstanceState | None:
    """The default policy: in the fullest zone, the one with the oldest template, and of those the oldest."""
    live = [
        member
        for member in group.instance_states
        if member.lifecycle_state == "InService" and not member.protected_from_scale_in
    ]
    zones = Counter(member.availability_zone for member in live)
    return min(
        live,
        key=lambda member: (
            -zones[member.availability_zone],
            int((member.launch_template or {}).get("Version") or 0),
            member.instance.launch_time,
        ),
        default=None,
    )


def retire(group: Group, member: InstanceState, cause: str) -> None:
    """Take a member out of its target groups; it is terminated when its connections have ended."""
    member.lifecycle_state = "Terminating"
    delays = [_delay(group, arn) for arn in group.target_group_arns]
    member.since = time.monotonic()  # type: ignore[attr-defined]
    member.until = member.since + max(delays, default=0.0)  # type: ignore[attr-defined]
    activities.terminating(group, member.instance_id, cause)
    group.autoscaling_backend.update_attached_target_groups(group.name)


def _end(group: Group, member: InstanceState) -> None:
    group.instance_states.remove(member)
    revision.changed()
    if member.instance.state != "terminated":
        group.ec2_backend.terminate_instances([member.instance_id])
    group.autoscaling_backend.elbv2_backend.notify_terminate_instances([member.instance_id])


def _drained(group: Group, member: InstanceState, health: state.Health) -> bool:
    """Whether the balancer has seen the member go and has nothing open to it any more."""
    known = [health.get(arn, {}) for arn in group.target_group_arns]
    seen = time.monotonic() - member.since > NOTICE  # type: ignore[attr-defined]
    return seen and all(member.instance_id not in targets for targets in known)


def _ill(group: Group, member: InstanceState, health: state.Health) -> bool:
    if group.health_check_type != "ELB":
        return False
    age = time.time() - member.instance.launch_time.replace(tzinfo=UTC).timestamp()
    if age < float(group.health_check_grace_period or 0):
        return False
    states = [health.get(arn, {}).get(member.instance_id, {}).get("state") for arn in group.target_group_arns]
    return "unhealthy" in states


def _may(group: Group, process: str) -> bool:
    return process not in {each["ProcessName"] for each in group.suspended_processes}


def _delay(group: Group, arn: str) -> float:
    target_group = group.autoscaling_backend.elbv2_backend.target_groups.get(arn)
    attributes = target_group.attributes if target_group else {}
    return float(attributes.get("deregistration_delay.timeout_seconds") or 300)


@alone
def follow_targets(self: AutoScalingBackend, group_name: str) -> None:
    """Register members with the group's target groups, and deregister those that no longer serve."""
    group = self.autoscaling_groups.get(group_name)
    if group is None:
        return
    mine: dict[str, set[str]] = group.__dict__.setdefault("registered", {})
    serving = {
        member.instance_id
        for member in group.instance_states
        if member.lifecycle_state == "InService" and member.instance.state == "running"
    }
    for arn in {*group.target_group_arns, *mine}:
        wanted = serving if arn in group.target_group_arns else set()
        had = mine.get(arn, set())
        try:
            for instance_id in sorted(had - wanted):
                try:
                    self.elbv2_backend.deregister_targets(arn, [{"Id": instance_id}])
                except InvalidTargetError:
                    continue  # It went with its instance already.
            port = (
                self.elbv2_backend.target_groups[arn].port if arn in self.elbv2_backend.target_groups else 0
            )
            if wanted - had:
                new = [{"Id": instance_id, "Port": port} for instance_id in sorted(wanted - had)]
                self.elbv2_backend.register_targets(arn, new)
        except TargetGroupNotFoundError:
            wanted = set()  # A target group may be deleted before its auto-scaling group.
        mine[arn] = set(wanted)
