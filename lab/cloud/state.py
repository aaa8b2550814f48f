"""Files by which the lab's AWS and the lab's reconciler tell each other things."""

import json
import os
from pathlib import Path
from typing import Any

# Target group's ARN -> instance id -> state, reason, description.
Health = dict[str, dict[str, dict[str, str]]]


def directory() -> Path:
    """The lab's state; CORRAL_LAB_STATE names another place."""
    return Path(os.environ.get("CORRAL_LAB_STATE", "/var/lib/corral-lab"))


def target_health() -> Health:
    """What the load balancer found; nothing when it has not looked yet."""
    try:
        found: Any = json.loads((directory() / "target-health.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return dict(found)


def ask_for_reboot(instance_id: str) -> None:
    """Let the reconciler reboot a host."""
    place = directory() / "reboot"
    place.mkdir(parents=True, exist_ok=True)
    (place / instance_id).touch()


def has_host(instance_id: str) -> bool:
    """Whether there is something of an instance's host on the machine yet, or still."""
    return (directory() / "hosts" / instance_id).exists()


def has_volume(instance_id: str, volume_id: str) -> bool:
    """Whether an instance's host has a volume as a disk, or is not done with letting go of it."""
    return (directory() / "hosts" / instance_id / "volumes" / volume_id).exists()
