"""The API of auto-scaling groups, where moto lets through what AWS refuses, or forgets what AWS does."""

from typing import Any

from moto.autoscaling import models
from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from lab.cloud import activities, group_targets, hooks
from lab.cloud.members import alone, balance, leave, retire

Group = FakeAutoScalingGroup

_update = Group.update


def install() -> None:
    """Put our ways in the place of moto's."""
    Group.set_desired_capacity = _set_desired  # type: ignore[method-assign]
    Group.update = _checked_update  # type: ignore[method-assign]
    AutoScalingBackend.update_attached_target_groups = alone(group_targets.follow)  # type: ignore[method-assign]
    AutoScalingBackend.notify_terminate_instances = _terminated  # type: ignore[method-assign]
    AutoScalingBackend.terminate_instance = _terminate_one  # type: ignore[method-assign]
    AutoScalingBackend.delete_auto_scaling_group = _delete  # type: ignore[method-assign]
    AutoScalingResponse.delete_auto_scaling_group = _delete_response  # type: ignore[method-assign]
    launched_by = property(lambda self: getattr(self, "launched_by", None))
    InstanceState.launch_template = launched_by  # type: ignore[assignment, method-assign]
    activities.install()
    hooks.install()


@alone
def _set_desired(self: Group, new_capacity: int | None) -> None:
    wanted = int(self.min_size or 0) if new_capacity is None else int(new_capacity)
    above, below = wanted > int(self.max_size or 0), wanted < int(self.min_size or 0)
    if above or below:
        bound = f"above max value {self.max_size}" if above else f"below min value {self.min_size}"
        raise ValidationError(f"New SetDesiredCapacity value {wanted} is {bound} for the AutoScalingGroup.")
    self.desired_capacity = wanted
    balance(self)


@alone
def _checked_update(self: Group, *words: Any, **more: Any) -> None:
    least = self.min_size if more.get("min_size") is None else more["min_size"]
    most = self.max_size if more.get("max_size") is None else more["max_size"]
    if int(least or 0) > int(most or 0):
        raise ValidationError(f"Max bound, {most}, must be greater than or equal to min bound, {least}")
    desired = more.get("desired_capacity")
    if desired is None:
        desired = min(max(self.desired_capacity or 0, int(least or 0)), int(most or 0))
    elif not int(least or 0) <= desired <= int(most or 0):
        raise ValidationError(
            f"Desired capacity:{desired} must be between the specified min size:{least} and max size:{most}"
        )
    _update(self, *words, **(more | {"desired_capacity": desired}))


@alone
def _terminated(self: AutoScalingBackend, instance_ids: list[str]) -> None:
    """Members that somebody terminated by EC2's API: the group learns of it at once, and replaces them."""
    for group in self.autoscaling_groups.values():
        gone = [member for member in group.instance_states if member.instance_id in instance_ids]
        for member in gone:
            leave(group, member)
            cause = "was terminated outside of the group"
            activities.ends(activities.terminating(group, member.instance_id, cause))
        if gone:
            balance(group)


@alone
def _terminate_one(self: AutoScalingBackend, instance_id: str, should_decrement: bool) -> Any:
    for group in self.autoscaling_groups.values():
        for member in group.instance_states:
            if member.instance_id != instance_id:
                continue
            before = group.desired_capacity or 0
            if should_decrement:
                if before - 1 < int(group.min_size or 0):
                    raise ValidationError(
                        f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance "
                        "without replacement will violate group's min size constraint. Either set "
                        "shouldDecrementDesiredCapacity flag to false or lower group's min size."
                    )
                group.desired_capacity = before - 1
            retire(group, member, "was taken out of service in response to a user request")
            balance(group)
            return models.TerminateInstanceActivity(member.instance, before)
    raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


@alone
def _delete(self: AutoScalingBackend, group_name: str, force: bool = False) -> None:
    if group_name not in self.autoscaling_groups:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{group_name}' not found")
    group = self.autoscaling_groups[group_name]
    if group.instance_states and not force:
        raise AutoscalingClientError(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance "
            "request(s) still in the group.",
        )
    members, group.instance_states = group.instance_states, []
    group.desired_capacity = group.min_size = 0
    self.update_attached_target_groups(group_name)
    for member in members:
        if member.instance.state != "terminated":
            self.ec2_backend.terminate_instances([member.instance_id])
    del self.autoscaling_groups[group_name]
    hooks.forget(self, group_name)


def _delete_response(self: AutoScalingResponse) -> ActionResult:
    force = self._get_bool_param("ForceDelete", False)
    _delete(self.autoscaling_backend, self._get_param("AutoScalingGroupName"), force)
    return EmptyResult()
