"""Keeps an auto-scaling group's target groups in step with the members that serve."""

import time

from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.elbv2.exceptions import InvalidTargetError, TargetGroupNotFoundError

from lab.cloud import state

# Seconds in which the balancer sees that a target is to go; before, it does not know it as draining yet.
NOTICE = 5.0


def follow(backend: AutoScalingBackend, group_name: str) -> None:
    """Register members with the group's target groups, and deregister those that no longer serve."""
    group = backend.autoscaling_groups.get(group_name)
    if group is None:
        return
    mine: dict[str, set[str]] = group.__dict__.setdefault("registered", {})
    serving = {
        member.instance_id
        for member in group.instance_states
        if member.lifecycle_state == "InService" and member.instance.state == "running"
    }
    balancers = backend.elbv2_backend
    for arn in {*group.target_group_arns, *mine}:
        wanted = serving if arn in group.target_group_arns else set()
        had = mine.get(arn, set())
        try:
            for instance_id in sorted(had - wanted):
                try:
                    balancers.deregister_targets(arn, [{"Id": instance_id}])
                except InvalidTargetError:
                    continue  # It went with its instance already.
            port = balancers.target_groups[arn].port if arn in balancers.target_groups else 0
            if wanted - had:
                new = [{"Id": instance_id, "Port": port} for instance_id in sorted(wanted - had)]
                balancers.register_targets(arn, new)
        except TargetGroupNotFoundError:
            wanted = set()  # A target group may be deleted before its auto-scaling group.
        mine[arn] = set(wanted)


def drain(group: FakeAutoScalingGroup, member: InstanceState) -> None:
    """Take a member out of the target groups; note how long its open connections may last."""
    served = any(member.instance_id in targets for targets in group.__dict__.get("registered", {}).values())
    delays = [_delay(group, arn) for arn in group.target_group_arns] if served else []
    member.since = time.monotonic()  # type: ignore[attr-defined]
    member.until = member.since + max(delays, default=0.0)  # type: ignore[attr-defined]
    group.autoscaling_backend.update_attached_target_groups(group.name)


def drained(group: FakeAutoScalingGroup, member: InstanceState, health: state.Health) -> bool:
    """Whether the balancer has seen the member go and has nothing open to it any more, or time is over."""
    now = time.monotonic()
    known = [health.get(arn, {}) for arn in group.target_group_arns]
    seen = now - member.since > NOTICE  # type: ignore[attr-defined]
    over: bool = now > member.until  # type: ignore[attr-defined]
    return over or (seen and all(member.instance_id not in targets for targets in known))


def _delay(group: FakeAutoScalingGroup, arn: str) -> float:
    target_group = group.autoscaling_backend.elbv2_backend.target_groups.get(arn)
    attributes = target_group.attributes if target_group else {}
    return float(attributes.get("deregistration_delay.timeout_seconds") or 300)
