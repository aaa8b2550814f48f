"""What a group's UpdatePolicy asks for, as far as the lab does it. Pure."""

import re
from dataclasses import dataclass

from lab.cloud.cloudformation.resources.base import Properties, Refused, names

SCHEDULED, ROLLING = "AutoScalingScheduledAction", "AutoScalingRollingUpdate"
KNOWN = names("MaxBatchSize MinInstancesInService PauseTime SuspendProcesses WaitOnResourceSignals")
DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")


@dataclass(frozen=True)
class Policy:
    """What an AutoScalingRollingUpdate asks for."""

    most: int
    least: int
    pause: float
    pause_text: str
    suspended: list[str]


def policy_of(given: Properties) -> Policy | None:
    """The policy in a group's properties, if it has one. Raises Refused for what the lab does not do."""
    whole = given.get("UpdatePolicy", {})
    if unknown := sorted(set(whole) - {SCHEDULED, ROLLING}):
        raise Refused(f"The lab knows no {', '.join(unknown)} in an UpdatePolicy.")
    said = whole.get(ROLLING)
    if said is None:
        return None
    if unknown := sorted(set(said) - KNOWN):
        raise Refused(f"The lab's rolling updates know nothing of {', '.join(unknown)}.")
    if str(said.get("WaitOnResourceSignals", False)).lower() == "true":
        raise Refused("The lab's servers send no signals to CloudFormation: leave WaitOnResourceSignals out.")
    text = said.get("PauseTime", "PT0S")
    duration = DURATION.fullmatch(text)
    if duration is None:
        raise Refused(f"PauseTime {text} is no duration such as PT5M.")
    hours, minutes, seconds = (int(part or 0) for part in duration.groups())
    least, most = int(said.get("MinInstancesInService", 0)), int(said.get("MaxBatchSize", 1))
    if least >= int(given["MaxSize"]):
        raise Refused("MinInstancesInService must be less than the autoscaling group's MaxSize")
    pause = hours * 3600.0 + minutes * 60 + seconds
    return Policy(most, least, pause, text, list(said.get("SuspendProcesses", [])))
