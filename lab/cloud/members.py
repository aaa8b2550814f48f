"""The members of an auto-scaling group: as many as desired, over all zones, each on its way in or out."""

import functools
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import UTC
from typing import Any, TypeVar, cast

from moto.autoscaling import models
from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState

from lab.cloud import activities, group_targets, lifecycle, revision, state
from lab.cloud.launch import launch
from lab.cloud.lifecycle import ABANDON, LIVE, TERMINATING

Group = FakeAutoScalingGroup
F = TypeVar("F", bound=Callable[..., Any])

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
    """Once a second: members go on their ways, those that died or are ill are replaced, gaps are filled."""
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
        if member.instance.state == "terminated":
            leave(group, member)
        else:
            _go_on(group, member, health)
    balance(group)


def _go_on(group: Group, member: InstanceState, health: state.Health) -> None:
    """Bring a member one state further, if it is time."""
    now = member.lifecycle_state
    if now in {"Pending:Wait", "Terminating:Wait"}:
        look(group, member)
    elif now == "Pending:Proceed":
        serve(group, member)
    elif now == "Terminating" and group_targets.drained(group, member, health):
        if lifecycle.begin(group, member, TERMINATING):
            activities.waits(_activity(member))
            _enter(member, "Terminating:Wait")
        else:
            _end(group, member)
    elif now == "Terminating:Proceed":
        _end(group, member)
    elif now == "InService":
        gone = member.instance.state not in {"running", "pending"}
        if _may(group, "HealthCheck") and (gone or _ill(group, member, health)):
            member.health_status = "Unhealthy"
        if member.health_status == "Unhealthy" and _may(group, "ReplaceUnhealthy"):
            retire(group, member, "was taken out of service in response to a health check")


def look(group: Group, member: InstanceState) -> None:
    """See whether a member that waits has waited long enough, and for what."""
    outcome = lifecycle.outcome(member)
    if not outcome:
        return
    if member.lifecycle_state == "Terminating:Wait":
        _enter(member, "Terminating:Proceed")
    elif outcome == ABANDON:
        activities.ends(_activity(member), lifecycle.given_up(member))
        retire(group, member, "was taken out of service as its launch was abandoned")
    else:
        _enter(member, "Pending:Proceed")


def serve(group: Group, member: InstanceState) -> None:
    """Put a member in service; its grace begins now."""
    member.in_service_since = time.time()  # type: ignore[attr-defined]
    _enter(member, "InService")
    activities.ends(_activity(member))
    group.autoscaling_backend.update_attached_target_groups(group.name)


def balance(group: Group) -> None:
    """Launch or retire members until there are as many as desired, evenly over the subnets."""
    live = [member for member in group.instance_states if member.lifecycle_state in LIVE]
    missing = (group.desired_capacity or 0) + _extra(group) - len(live)
    if missing > 0 and _may(group, "Launch"):
        for _ in range(missing):
            new = launch(group, _emptiest(group))
            if new and not lifecycle.begin(group, new, lifecycle.LAUNCHING):
                serve(group, new)
            elif new:
                activities.waits(_activity(new))
                _enter(new, "Pending:Wait")
    elif missing < 0 and _may(group, "Terminate"):
        for _ in range(-missing):
            chosen = _superfluous(group)
            if chosen is None:
                break
            retire(group, chosen, "was selected for termination to shrink the group")
    group.autoscaling_backend.update_attached_target_groups(group.name)


def _extra(group: Group) -> int:
    """How many members more than desired an instance refresh wants for now (refresh.py)."""
    refresh = group.__dict__.get("refresh")
    return refresh.extra() if refresh else 0


def _emptiest(group: Group) -> str | None:
    subnets = group.vpc_zone_identifier.split(",") if group.vpc_zone_identifier else []
    count = Counter(
        member.instance.subnet_id
        for member in group.instance_states
        if not member.lifecycle_state.startswith("Terminating")
    )
    return min(subnets, key=lambda subnet: (count[subnet], subnets.index(subnet)), default=None)


def _superfluous(group: Group) -> InstanceState | None:
    """The default policy: in the fullest zone, the one with the oldest template, and of those the oldest."""
    live = [
        member
        for member in group.instance_states
        if member.lifecycle_state in LIVE and not member.protected_from_scale_in
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
    """Take a member out of its target groups; it goes when its connections have ended, and its hooks."""
    _enter(member, "Terminating")
    member.activity = activities.terminating(group, member.instance_id, cause)  # type: ignore[attr-defined]
    group_targets.drain(group, member)


def leave(group: Group, member: InstanceState) -> None:
    """Forget a member whose instance is gone, whatever it was waiting for."""
    group.instance_states.remove(member)
    activity = _activity(member)
    if activity.get("StatusCode") in {"InProgress", "MidLifecycleAction"}:
        going = member.lifecycle_state.startswith("Terminating")
        activities.ends(activity, "" if going else "The instance was terminated.")
    revision.changed()


def _end(group: Group, member: InstanceState) -> None:
    leave(group, member)
    if member.instance.state != "terminated":
        group.ec2_backend.terminate_instances([member.instance_id])
    group.autoscaling_backend.elbv2_backend.notify_terminate_instances([member.instance_id])


def _enter(member: InstanceState, lifecycle_state: str) -> None:
    member.lifecycle_state = lifecycle_state
    revision.changed()


def _activity(member: InstanceState) -> activities.Activity:
    return member.__dict__.setdefault("activity", {})


def _ill(group: Group, member: InstanceState, health: state.Health) -> bool:
    if group.health_check_type != "ELB":
        return False
    launched = member.instance.launch_time.replace(tzinfo=UTC).timestamp()
    age = time.time() - member.__dict__.get("in_service_since", launched)
    if age < float(group.health_check_grace_period or 0):
        return False
    states = [health.get(arn, {}).get(member.instance_id, {}).get("state") for arn in group.target_group_arns]
    return "unhealthy" in states


def _may(group: Group, process: str) -> bool:
    return process not in {each["ProcessName"] for each in group.suspended_processes}
