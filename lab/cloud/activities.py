"""What an auto-scaling group did and why: DescribeScalingActivities."""

import uuid
from collections import defaultdict, deque
from typing import Any

from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from lab.cloud import revision

Activity = dict[str, Any]
# Newest first; no more than anyone reads.
_HISTORY: dict[str, deque[Activity]] = defaultdict(lambda: deque(maxlen=100))


def install() -> None:
    """Answer DescribeScalingActivities, which moto leaves empty."""
    AutoScalingResponse.describe_scaling_activities = _describe  # type: ignore[method-assign]


def launching(group: Any, instance_id: str) -> Activity:
    """An instance was launched, and is not in service yet."""
    cause = f"an instance was started because the group is to have {group.desired_capacity}"
    return _add(group, f"Launching a new EC2 instance: {instance_id}", cause)


def terminating(group: Any, instance_id: str, cause: str) -> Activity:
    """An instance is on its way out."""
    return _add(group, f"Terminating EC2 instance: {instance_id}", f"instance {instance_id} {cause}.")


def waits(activity: Activity) -> None:
    """What is done waits for somebody to complete a lifecycle action."""
    activity["StatusCode"] = "MidLifecycleAction"


def ends(activity: Activity, failure: str = "") -> None:
    """It is done; or it was given up, which the description says too, as on AWS."""
    activity |= {"StatusCode": "Cancelled" if failure else "Successful", "Progress": 100, "EndTime": utcnow()}
    if failure:
        activity["StatusMessage"] = failure
        activity["Description"] += f".  Status Reason: {failure}"
    revision.changed()


def failed(group: Any, reason: str) -> None:
    """The group could not be brought to its size; said once, not every second."""
    history = _HISTORY[group.name]
    if not history or history[0].get("StatusMessage") != reason:
        activity = _add(group, "Launching a new EC2 instance. ", "the group is not at its desired size")
        activity |= {"StatusCode": "Failed", "StatusMessage": reason, "Progress": 100, "EndTime": utcnow()}


def _add(group: Any, description: str, cause: str) -> Activity:
    revision.changed()
    now = utcnow()
    activity = {
        "ActivityId": str(uuid.uuid4()),
        "AutoScalingGroupName": group.name,
        "Description": description,
        "Cause": f"At {now:%Y-%m-%dT%H:%M:%SZ} {cause}",
        "StartTime": now,
        "StatusCode": "InProgress",
        "Progress": 30,
    }
    _HISTORY[group.name].appendleft(activity)
    return activity


def _describe(self: AutoScalingResponse) -> ActionResult:
    name = self._get_param("AutoScalingGroupName")
    found = [activity for group, history in _HISTORY.items() if name in {None, group} for activity in history]
    return ActionResult({"Activities": found})
