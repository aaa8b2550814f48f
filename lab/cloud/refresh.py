"""Instance refreshes: replace the members of an auto-scaling group some at a time, behind health checks.

EC2 Auto Scaling User Guide, "How an instance refresh works": percentages are of the desired capacity; when
all must be healthy, new members come before old ones go. A new member counts when it has been healthy for
the warm-up. AWS goes on for an hour when new members fail; here the first that does ends the refresh.
"""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Any

from moto.autoscaling import models
from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState
from moto.core.utils import utcnow

from lab.cloud import lifecycle, revision, state
from lab.cloud.lifecycle import LIVE
from lab.cloud.members import alone, balance, retire

Group = FakeAutoScalingGroup

# Seconds that a new member in service may be ill or unknown to the load balancer. AWS waits for an hour.
PATIENCE = 300.0
CAUSE = "was taken out of service in response to an instance refresh"


@dataclass
class Refresh:
    """One refresh. Ids of members: `old` ones, to be replaced; `leaving`, gone anyway; `fresh` ones, with
    when each was last ill.
    """

    group: Group
    preferences: dict[str, Any]
    old: set[str]
    leaving: set[str]
    fresh: dict[str, float] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    began: datetime = field(default_factory=utcnow)
    ended: datetime | None = None
    status: str = "InProgress"
    reason: str = ""
    done: int = 0
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self.total = len(self.old)

    @property
    def bounds(self) -> tuple[int, int]:
        """How many members serve at least, and how many there are at most; one at least is replaced."""
        desired = self.group.desired_capacity or 0
        least = ceil(desired * self.preferences["MinHealthyPercentage"] / 100)
        most = max(desired, desired * self.preferences["MaxHealthyPercentage"] // 100)
        return least, max(most, desired + 1) if least >= desired else most

    def extra(self) -> int:
        """How many members more than desired the group is to have for now; none once a new one has failed."""
        live = {member.instance_id for member in _live(self.group)}
        if self.fresh.keys() - live:
            return 0
        return min(self.bounds[1] - (self.group.desired_capacity or 0), len(self.old & live))

    def end(self, status: str, reason: str = "") -> None:
        """Let nothing more be touched."""
        self.status, self.reason, self.ended = status, reason, utcnow()
        self.group.__dict__.pop("refresh", None)
        revision.changed()


# Refreshes of each group by its name, the newest first.
_refreshes: dict[str, list[Refresh]] = {}


def begin(group: Group, preferences: dict[str, Any]) -> Refresh | None:
    """Begin one, of all members that there are; None when one is under way."""
    if "refresh" in group.__dict__:
        return None
    old = {member.instance_id for member in _live(group)}
    refresh = Refresh(group, preferences, old, {member.instance_id for member in group.instance_states} - old)
    group.__dict__["refresh"] = refresh
    _refreshes.setdefault(group.name, []).insert(0, refresh)
    return refresh


def cancel(group: Group) -> Refresh | None:
    """End the one that is under way, and touch nothing more; None when there is none."""
    refresh: Refresh | None = group.__dict__.get("refresh")
    if refresh:
        refresh.end("Cancelled", "Cancelled due to user request.")
        _take_back(refresh)
    return refresh


def of(group: Group) -> list[Refresh]:
    """All refreshes of a group, the newest first."""
    return _refreshes.get(group.name, [])


@alone
def tick() -> None:
    """Once a second: bring each refresh one step further."""
    for backend in _backends():
        for group in list(backend.autoscaling_groups.values()):
            refresh: Refresh | None = group.__dict__.get("refresh")
            if refresh:
                _step(refresh)


def _step(refresh: Refresh) -> None:
    group, health = refresh.group, state.target_health()
    for member in group.instance_states:
        if member.instance_id not in refresh.old | refresh.leaving:
            refresh.fresh.setdefault(member.instance_id, time.monotonic())
    if failure := _failure(refresh, health):
        refresh.end("Failed", failure)
        _take_back(refresh)
        return
    ready = [member for member in _live(group) if _ready(refresh, member, health)]
    left = [member for member in ready if member.instance_id in refresh.old]
    refresh.done = min(len(ready) - len(left), refresh.total)
    least, _ = refresh.bounds
    for member in left[: max(0, len(ready) - least)]:
        retire(group, member, CAUSE)
    here = {member.instance_id for member in group.instance_states}
    if not here & refresh.old and len(ready) >= (group.desired_capacity or 0):
        refresh.done = refresh.total
        refresh.end("Successful")
    balance(group)


def _ready(refresh: Refresh, member: InstanceState, health: state.Health) -> bool:
    """Whether a member serves: an old one in service, a new one that has been healthy for the warm-up."""
    serves = member.lifecycle_state == "InService"
    if member.instance_id in refresh.old:
        return serves
    now = time.monotonic()
    if not serves or not _healthy(refresh.group, member, health):
        refresh.fresh[member.instance_id] = now
        return False
    return bool(now - refresh.fresh[member.instance_id] >= refresh.preferences["InstanceWarmup"])


def _healthy(group: Group, member: InstanceState, health: state.Health) -> bool:
    states = {health.get(arn, {}).get(member.instance_id, {}).get("state") for arn in group.target_group_arns}
    return states <= {"healthy"}


def _failure(refresh: Refresh, health: state.Health) -> str:
    """Why the refresh fails, if it does: what is wrong with a new member."""
    members = {member.instance_id: member for member in refresh.group.instance_states}
    for instance_id in refresh.fresh:
        member = members.get(instance_id)
        if member is None or member.lifecycle_state not in LIVE:
            why = lifecycle.given_up(member) if member else ""
            return f"Instance {instance_id} failed: {why or 'it was terminated.'}"
        ill = time.time() - member.__dict__.get("in_service_since", time.time())
        if ill > PATIENCE and not _healthy(refresh.group, member, health):
            return f"Instance {instance_id} did not become healthy in the load balancer's target groups."
    return ""


def _take_back(refresh: Refresh) -> None:
    """Have no more members than desired: those that came last go first, and no old one."""
    live = _live(refresh.group)
    surplus = max(0, len(live) - (refresh.group.desired_capacity or 0))
    fresh = [member for member in live if member.instance_id not in refresh.old]
    for member in list(reversed(fresh))[:surplus]:
        retire(refresh.group, member, CAUSE)


def _live(group: Group) -> list[InstanceState]:
    return [member for member in group.instance_states if member.lifecycle_state in LIVE]


def _backends() -> Iterator[Any]:
    for regions in list(models.autoscaling_backends.values()):
        yield from list(regions.values())
