"""Lifecycle hooks: what a member of an auto-scaling group waits for when it comes, and when it goes.

EC2 Auto Scaling User Guide, "How lifecycle hooks work in Auto Scaling groups": a new member is Pending:Wait
until every hook of its launch is completed, then Pending:Proceed and in service; one that goes is drained as
Terminating, then it is Terminating:Wait, then Terminating:Proceed. A hook that nobody completes in time ends
with its default result.
"""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState, LifecycleHook

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
# States of members that count for the group's size; only the last of them serves.
LIVE = ("Pending", "Pending:Wait", "Pending:Proceed", "InService")
CONTINUE, ABANDON = "CONTINUE", "ABANDON"
# A member waits no longer than this for one hook, whatever its heartbeats: seconds, and heartbeat timeouts
# (API reference, LifecycleHook, GlobalTimeout).
MOST_SECONDS, MOST_HEARTBEATS = 172_800, 100


class Hook(LifecycleHook):
    """A hook of a group. Nobody is notified of it: there are no queues or topics in the lab."""

    def __init__(self, name: str, group: str, transition: str, seconds: int, result: str):
        super().__init__(name, group, transition, seconds, result)
        self.role_arn = self.notification_target_arn = None
        self.global_timeout = min(MOST_SECONDS, MOST_HEARTBEATS * seconds)


@dataclass
class Action:
    """One hook that one member waits for; times are seconds of the monotonic clock."""

    hook: LifecycleHook
    until: float
    latest: float
    result: str = ""
    reason: str = ""
    token: str = field(default_factory=lambda: str(uuid.uuid4()))

    def beat(self) -> None:
        """Start the hook's time anew."""
        self.until = min(now() + self.hook.heartbeat_timeout, self.latest)

    def look(self) -> None:
        """End it with its default result when its time is over."""
        if not self.result and now() > self.until:
            self.result, self.reason = self.hook.default_result, "Lifecycle Action Timed Out"

    def complete(self, result: str) -> None:
        """End it as somebody says."""
        self.result, self.reason = result, f"Lifecycle Action Completed with {result} Result"


def now() -> float:
    """The clock by which actions end."""
    return time.monotonic()


def hooks(group: FakeAutoScalingGroup, transition: str = "") -> list[LifecycleHook]:
    """The group's hooks, all or those of one transition."""
    found: list[LifecycleHook] = group.autoscaling_backend.describe_lifecycle_hooks(group.name)
    return [hook for hook in found if transition in {"", hook.lifecycle_transition}]


def begin(group: FakeAutoScalingGroup, member: InstanceState, transition: str) -> bool:
    """Let the member wait for the hooks of a transition; whether there are any."""
    start = now()
    member.actions = [  # type: ignore[attr-defined]
        Action(hook, start + hook.heartbeat_timeout, start + hook.global_timeout)
        for hook in hooks(group, transition)
    ]
    return bool(member.actions)  # type: ignore[attr-defined]


def actions(member: InstanceState) -> list[Action]:
    """What the member waits, or waited, for."""
    found: list[Action] = member.__dict__.get("actions", [])
    return found


def outcome(member: InstanceState) -> str:
    """CONTINUE when all that the member waits for is done, ABANDON when one was given up, else ""."""
    for action in actions(member):
        action.look()
    results = {action.result for action in actions(member)}
    return ABANDON if ABANDON in results else "" if "" in results else CONTINUE


def given_up(member: InstanceState) -> str:
    """Why a member's launch was abandoned, as its scaling activity says it."""
    failed: Any = next((each for each in actions(member) if each.result == ABANDON), None)
    if failed is None:
        return ""
    what = f"Lifecycle Action with token {failed.token} was abandoned: {failed.reason}"
    return f"Instance failed to complete user's Lifecycle Action: {what}"
