"""DescribeTargetHealth as the load balancer sees it; moto calls every target healthy."""

from typing import Any

from moto.elbv2.exceptions import TargetGroupNotFoundError
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus

from lab.cloud import state

# Elastic Load Balancing's reason codes and descriptions (API reference, "TargetHealth").
NOT_REGISTERED = ("unused", "Target.NotRegistered", "Target is not registered to the target group")
REGISTERING = ("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
DRAINING = ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
STOPPED = ("unused", "Target.InvalidState", "Target is in the stopped state")


def install() -> None:
    """Answer from the balancer's file."""
    ELBv2Backend.describe_target_health = _describe  # type: ignore[method-assign]


def _describe(
    self: ELBv2Backend, target_group_arn: str, targets: list[dict[str, Any]]
) -> list[FakeHealthStatus]:
    group = self.target_groups.get(target_group_arn)
    if group is None:
        raise TargetGroupNotFoundError()
    seen = state.target_health().get(target_group_arn, {})
    # What the balancer still knows and nobody registers any more is on its way out.
    draining = [name for name in seen if name not in group.targets]
    asked = [target["Id"] for target in targets] or [*group.targets, *draining]
    # Asked for one by one, moto would look through all of them for each.
    stopped = {each.id for each in self.ec2_backend.all_instances() if each.state == "stopped"}
    found = []
    for name in dict.fromkeys(asked):
        registered = group.targets.get(name)
        if registered and name in stopped:
            about = STOPPED
        elif name in draining:
            about = DRAINING
        elif name in seen and registered:
            health = seen[name]
            about = (health["state"], health.get("reason", ""), health.get("description", ""))
        else:
            about = REGISTERING if registered else NOT_REGISTERED
        port = (registered or {}).get("Port") or group.port
        status, reason, description = about
        found.append(
            FakeHealthStatus(
                name, str(port), str(group.health_check_port), status, reason or None, description or None
            )
        )
    return found
