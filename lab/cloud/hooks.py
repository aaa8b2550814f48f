"""The API of lifecycle hooks. moto keeps hooks and does nothing about them."""

from collections.abc import Mapping
from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from lab.cloud import lifecycle
from lab.cloud.lifecycle import ABANDON, CONTINUE, LAUNCHING, TERMINATING, Action, Hook
from lab.cloud.members import alone, look

# Seconds (API reference, PutLifecycleHook, HeartbeatTimeout).
LEAST, MOST, USUAL = 30, 7200, 3600
NOTIFYING = ("NotificationMetadata", "NotificationTargetARN", "RoleARN")

_create_group = AutoScalingResponse.create_auto_scaling_group


def install() -> None:
    """Answer the calls."""
    AutoScalingResponse.create_auto_scaling_group = _create_with_hooks  # type: ignore[method-assign]
    AutoScalingResponse.put_lifecycle_hook = _put  # type: ignore[method-assign]
    AutoScalingResponse.delete_lifecycle_hook = _delete  # type: ignore[method-assign]
    AutoScalingResponse.complete_lifecycle_action = _complete  # type: ignore[attr-defined]
    AutoScalingResponse.record_lifecycle_action_heartbeat = _beat  # type: ignore[attr-defined]


def forget(backend: AutoScalingBackend, group_name: str) -> None:
    """Drop the hooks of a group that is no more."""
    for hook in backend.describe_lifecycle_hooks(group_name):
        backend.delete_lifecycle_hook(group_name, hook.name)


@alone
def _create_with_hooks(self: AutoScalingResponse) -> ActionResult:
    name, backend = self._get_param("AutoScalingGroupName"), self.autoscaling_backend
    # Before the group: its first members wait for them too.
    for said in self._get_param("LifecycleHookSpecificationList") or []:
        _keep(backend, name, said)
    try:
        return _create_group(self)
    except Exception:
        if name not in backend.autoscaling_groups:
            forget(backend, name)
        raise


@alone
def _put(self: AutoScalingResponse) -> ActionResult:
    group = _group(self)
    words = ("LifecycleHookName", "LifecycleTransition", "HeartbeatTimeout", "DefaultResult", *NOTIFYING)
    said = {word: value for word in words if (value := self._get_param(word)) is not None}
    present = next((hook for hook in lifecycle.hooks(group) if hook.name == said["LifecycleHookName"]), None)
    _keep(self.autoscaling_backend, group.name, {**(_said(present) if present else {}), **said})
    return EmptyResult()


def _said(hook: Any) -> dict[str, Any]:
    """A hook in the words of its making: what a change does not say stays."""
    return {
        "LifecycleTransition": hook.lifecycle_transition,
        "HeartbeatTimeout": hook.heartbeat_timeout,
        "DefaultResult": hook.default_result,
    }


def _keep(backend: AutoScalingBackend, group_name: str, said: Mapping[str, Any]) -> None:
    name, transition = said["LifecycleHookName"], said.get("LifecycleTransition")
    if transition not in {LAUNCHING, TERMINATING}:
        raise ValidationError(
            f"Lifecycle hook {name}: its LifecycleTransition is {LAUNCHING} or {TERMINATING}."
        )
    seconds = int(said.get("HeartbeatTimeout", USUAL))
    if not LEAST <= seconds <= MOST:
        raise ValidationError(
            f"Lifecycle hook {name}: its HeartbeatTimeout is from {LEAST} to {MOST} seconds."
        )
    result = said.get("DefaultResult", ABANDON)
    if result not in {CONTINUE, ABANDON}:
        raise ValidationError(f"Lifecycle hook {name}: its DefaultResult is {CONTINUE} or {ABANDON}.")
    if unknown := [word for word in NOTIFYING if word in said]:
        raise ValidationError(f"Lifecycle hook {name}: the lab notifies nobody ({', '.join(unknown)}).")
    backend.lifecycle_hooks[f"{group_name}_{name}"] = Hook(name, group_name, str(transition), seconds, result)


@alone
def _delete(self: AutoScalingResponse) -> ActionResult:
    # What is outstanding is completed first, as the API's reference says.
    group, name = _group(self), self._get_param("LifecycleHookName")
    for member in list(group.instance_states):
        for action in _outstanding(member, name):
            action.complete(ABANDON if action.hook.lifecycle_transition == LAUNCHING else CONTINUE)
            look(group, member)
    self.autoscaling_backend.delete_lifecycle_hook(group.name, name)
    return EmptyResult()


@alone
def _complete(self: AutoScalingResponse) -> ActionResult:
    result = self._get_param("LifecycleActionResult")
    if result not in {CONTINUE, ABANDON}:
        raise ValidationError(f"LifecycleActionResult is {CONTINUE} or {ABANDON}, not {result}.")
    group = _group(self)
    member, action = _asked(self, group)
    action.complete(result)
    look(group, member)
    return EmptyResult()


@alone
def _beat(self: AutoScalingResponse) -> ActionResult:
    _, action = _asked(self, _group(self))
    action.beat()
    return EmptyResult()


def _group(self: AutoScalingResponse) -> FakeAutoScalingGroup:
    name = self._get_param("AutoScalingGroupName")
    group = self.autoscaling_backend.autoscaling_groups.get(name)
    if group is None:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return group


def _asked(self: AutoScalingResponse, group: FakeAutoScalingGroup) -> tuple[InstanceState, Action]:
    """The member and the action of the request, named by the instance or by the action's token."""
    name = self._get_param("LifecycleHookName")
    token, instance_id = self._get_param("LifecycleActionToken"), self._get_param("InstanceId")
    for member in group.instance_states:
        for action in _outstanding(member, name):
            if action.token == token or (token is None and member.instance_id == instance_id):
                return member, action
    what = f"token {token}" if token else f"instance ID {instance_id}"
    raise ValidationError(f"No active Lifecycle Action found with {what}")


def _outstanding(member: InstanceState, hook: str) -> list[Action]:
    waits = member.lifecycle_state.endswith(":Wait")
    return [
        each for each in lifecycle.actions(member) if waits and each.hook.name == hook and not each.result
    ]
