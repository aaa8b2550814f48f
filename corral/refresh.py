"""Replaces all app servers by an instance refresh of their group, and stops it when a new one fails."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from corral import reports
from corral.aws import client, explained
from corral.errors import CorralError
from corral.members import survey
from corral.releases.bucket import Bucket
from corral.settings import Settings
from corral.status.hosts import reason

SEE = "docs/refresh.md"
# Seconds between two looks at a refresh.
PAUSE = 5.0
# Scaling activities that are looked through for what became of a server.
ACTIVITIES = 50

# Statuses of a refresh (Auto Scaling API reference, InstanceRefresh).
UNDER_WAY = {"Pending", "InProgress", "Baking", "Cancelling", "RollbackInProgress"}
DONE = "Successful"


@dataclass(frozen=True)
class Progress:
    """How far a refresh is. `percent` done; `remaining`: servers that are not replaced yet."""

    id: str
    status: str
    since: datetime
    percent: int = 0
    remaining: int | None = None
    reason: str = ""

    @property
    def under_way(self) -> bool:
        """Whether it goes on."""
        return self.status in UNDER_WAY


@dataclass
class Newcomers:
    """Members that came since a refresh began. `old`: those that were there before."""

    old: frozenset[str]
    seen: set[str] = field(default_factory=set)

    def lost(self, members: list[dict[str, Any]]) -> list[str]:
        """Those that failed: gone again, on their way out, or found unhealthy.

        `members`: the group's, as DescribeAutoScalingGroups returns them.
        """
        well = {
            member["InstanceId"]
            for member in members
            if not member["LifecycleState"].startswith("Terminat")
            and member["HealthStatus"].lower() == "healthy"
        }
        self.seen |= {member["InstanceId"] for member in members} - self.old
        return sorted(self.seen - well)


def start(settings: Settings) -> Progress:
    """Start one. Raises CorralError when one is under way already."""
    group, wanted = settings.role_name("app"), settings.refresh
    with explained(settings):
        try:
            client(settings, "autoscaling").start_instance_refresh(
                AutoScalingGroupName=group,
                Strategy="Rolling",
                Preferences={
                    "MinHealthyPercentage": wanted.min_healthy_percent,
                    "MaxHealthyPercentage": wanted.max_healthy_percent,
                    "InstanceWarmup": wanted.warmup_seconds,
                    "SkipMatching": False,
                    "AutoRollback": False,
                },
            )
        except ClientError as error:
            if _code(error) != "InstanceRefreshInProgress":
                raise
            where = f"-e {settings.reference}"
            raise CorralError(
                f"A refresh of {group} is under way already.",
                f"Follow it: corral refresh --follow {where}. Or stop it: corral refresh --cancel {where}",
                SEE,
            ) from None
    return newest(settings)


def newest(settings: Settings) -> Progress:
    """The newest refresh of the app servers. Raises CorralError when there was none."""
    group = settings.role_name("app")
    with explained(settings):
        found = client(settings, "autoscaling").describe_instance_refreshes(
            AutoScalingGroupName=group, MaxRecords=1
        )["InstanceRefreshes"]
    if not found:
        raise CorralError(
            f"There has been no refresh of {group}.",
            f"Start one: corral refresh -e {settings.reference}",
            SEE,
        )
    one = found[0]
    return Progress(
        one["InstanceRefreshId"],
        one["Status"],
        one["StartTime"],
        one.get("PercentageComplete", 0),
        one.get("InstancesToUpdate"),
        one.get("StatusReason", ""),
    )


def cancel(settings: Settings) -> bool:
    """Stop the refresh that is under way: servers that it has not replaced stay. False if there is none."""
    with explained(settings):
        try:
            client(settings, "autoscaling").cancel_instance_refresh(
                AutoScalingGroupName=settings.role_name("app")
            )
        except ClientError as error:
            if _code(error) != "ActiveInstanceRefreshNotFound":
                raise
            return False
    return True


def follow(settings: Settings, began: Progress, pause: float = PAUSE) -> Iterator[Progress]:
    """Follow a refresh to its end; yields how far it is, whenever that changes.

    Raises CorralError when it fails. AWS goes on for an hour when new servers fail one after the other; here
    the first one that does ends it.
    """
    _, members = survey(settings)
    old = {one.instance_id for one in members if one.launched and one.launched < began.since}
    newcomers, last = Newcomers(frozenset(old)), began
    yield began
    while last.under_way:
        time.sleep(pause)
        if lost := newcomers.lost(_members(settings)):
            _stop(settings, lost)
        now = newest(settings)
        if now != last:
            yield now
        last = now
    if last.status != DONE:
        raise CorralError(
            f"The refresh ended as {last.status}: {last.reason or 'AWS gives no reason.'}",
            f"Servers that it has not replaced are as they were: corral status -e {settings.reference}",
            SEE,
        )


def _stop(settings: Settings, lost: list[str]) -> None:
    """Cancel the refresh, since new servers failed, and say why they did."""
    stopped = cancel(settings)
    why = "\n".join(f"  {instance_id}: {_why(settings, instance_id)}" for instance_id in lost)
    state = "was stopped" if stopped else "had ended by itself"
    raise CorralError(
        f"New servers failed, and the refresh {state}:\n{why}",
        "Servers that it has not replaced are as they were. Mend what the new ones fail at; then try again.",
        "docs/when-a-node-fails.md",
    )


def _why(settings: Settings, instance_id: str) -> str:
    """What a new server failed at: its own report says so, or else its group."""
    with explained(settings):
        bucket = Bucket(client(settings, "s3"), settings.releases_bucket, settings.environment)
        received = reports.read(bucket, reports.only(reports.listed(bucket), [instance_id]))
        report = received[instance_id].report if instance_id in received else None
        if report and report.result != "healthy":
            return reason(report)
        said = client(settings, "autoscaling").describe_scaling_activities(
            AutoScalingGroupName=settings.role_name("app"), MaxRecords=ACTIVITIES
        )
    about = [one for one in said["Activities"] if instance_id in one["Description"]]
    words = [one.get("StatusMessage") or one["Cause"] for one in about]
    return words[0] if words else "its group gives no reason."


def _members(settings: Settings) -> list[dict[str, Any]]:
    with explained(settings):
        found = client(settings, "autoscaling").describe_auto_scaling_groups(
            AutoScalingGroupNames=[settings.role_name("app")]
        )["AutoScalingGroups"]
    return [member for group in found for member in group["Instances"]]


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
