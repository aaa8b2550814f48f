"""Lifecycle hooks: those that a group is made with, and those that stand beside it."""
# ruff: noqa: D102 (what create, update, delete and attributes do is said once, in base.py)

from typing import Any

from lab.cloud.cloudformation.resources.base import Cloud, Kind, Properties, Refused, names

HOOK = names("DefaultResult HeartbeatTimeout LifecycleHookName LifecycleTransition")
LIST = "LifecycleHookSpecificationList"


class LifecycleHook(Kind):
    """A hook beside its group. Members that come with the group, before it, do not wait for it."""

    type = "AWS::AutoScaling::LifecycleHook"
    properties = HOOK | {"AutoScalingGroupName"}
    replaced_by = names("AutoScalingGroupName LifecycleHookName")
    name = "LifecycleHookName"

    def create(self, cloud: Cloud, given: Properties) -> str:
        cloud("autoscaling").put_lifecycle_hook(**given)
        return str(given["LifecycleHookName"])

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        cloud("autoscaling").put_lifecycle_hook(**given)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("autoscaling").delete_lifecycle_hook(
            AutoScalingGroupName=given["AutoScalingGroupName"], LifecycleHookName=physical
        )


def check_hooks(given: Properties) -> None:
    """Raise Refused for what a group's own hooks say and the lab does nothing about."""
    for hook in given.get(LIST, []):
        if unknown := sorted(set(hook) - HOOK):
            raise Refused(f"The lab's lifecycle hooks know nothing of {', '.join(unknown)}.")


def change_hooks(groups: Any, group: str, given: Properties, before: Properties) -> None:
    """Bring a group's own hooks to those given. `groups`: a client of the auto-scaling API."""
    new, old = ({hook["LifecycleHookName"]: hook for hook in each.get(LIST, [])} for each in (given, before))
    for name in old.keys() - new.keys():
        groups.delete_lifecycle_hook(AutoScalingGroupName=group, LifecycleHookName=name)
    for name, hook in new.items():
        if old.get(name) != hook:
            groups.put_lifecycle_hook(AutoScalingGroupName=group, **hook)
