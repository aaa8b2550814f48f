"""What an auto-scaling group did and why: DescribeScalingActivities."""

import uuid
from collections import defaultdict, deque
from typing import Any

from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from lab.cloud import revision

# Newest first; no more than anyone reads.
_HISTORY: dict[str, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=100))


def install() -> None:
    """Answer DescribeScalingActivities, which moto leaves empty."""
    AutoScalingResponse.describe_scaling_activities = _describe  # type: ignore[method-assign]


def launched(group: Any, instance_id: str) -> None:
    """An instance was launched."""
    cause = f"an instance was started because the group is to have {group.desired_capacity}"
    _add(group, f"Launching a new EC2 instance: {instance_id}", cause, "Successful")


def terminating(group: Any, instance_id: str, cause: str) -> None:
    """An instance is on its way out."""
    _add(group, f"Terminating EC2 instance: {instance_id}", f"instance {instance_id} {cause}.", "Successful")


def failed(group: Any, reason: str) -> None:
    """The group could not be brought to its size; said once, not every second."""
    history = _HISTORY[group.name]
    if not history or history[0]["StatusMessage"] != reason:
        _add(
            group, "Launching a new EC2 instance. ", "the group is not at its desired size", "Failed", reason
        )


def _add(group: Any, description: str, cause: str, status: str, message: str = "") -> None:
    revision.changed()
    now = utcnow()
    _HISTORY[group.name].appendleft(
        {
            "ActivityId": str(uuid.uuid4()),
            "AutoScalingGroupName": group.name,
            "Description": description,
            "Cause": f"At {now:%Y-%m-%dT%H:%M:%SZ} {cause}",
            "StartTime": now,
            "EndTime": now,
            "StatusCode": status,
            "StatusMessage": message,
            "Progress": 100,
        }
    )


def _describe(self: AutoScalingResponse) -> ActionResult:
    name = self._get_param("AutoScalingGroupName")
    found = [activity for group, history in _HISTORY.items() if name in {None, group} for activity in history]
    return ActionResult({"Activities": found})
