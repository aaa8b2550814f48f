"""Replaces a group's members batch by batch after an update, as its UpdatePolicy says.

CloudFormation's reference, "UpdatePolicy attribute", AutoScalingRollingUpdate: when members are not as the
group's launch template or subnets say. The events are worded as CloudFormation words them.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from lab.cloud.cloudformation.resources.base import Properties, Refused
from lab.cloud.cloudformation.resources.update_policy import Policy

# Seconds between two looks; and that a group may take to settle, beyond what its hooks allow.
PAUSE, PATIENCE = 0.5, 600.0

Say = Callable[[str], None]


class Roll:
    """One group's rolling update. `groups`, `ec2`: clients of the lab's API. `say`: adds an event."""

    def __init__(self, groups: Any, ec2: Any, name: str, policy: Policy, say: Say):
        self.groups = groups
        self.ec2 = ec2
        self.name = name
        self.policy = policy
        self.say = say
        hooks = groups.describe_lifecycle_hooks(AutoScalingGroupName=name)["LifecycleHooks"]
        self.patience = PATIENCE + sum(hook["HeartbeatTimeout"] for hook in hooks)

    def run(self, former: Properties) -> None:
        """Replace the members that are not as they are to be.

        `former`: what the group had before, and has again when new members do not come into service. Raises
        Refused then.
        """
        group = self._group()
        old = self._obsolete(group)
        if not old:
            return
        desired = group["DesiredCapacity"]
        size = min(self.policy.most, len(old), group["MaxSize"] - self.policy.least)
        room = max(desired, self.policy.least + size)
        self.say(self._announcement(len(old), size))
        with self._suspended(self.policy.suspended):
            try:
                if room > desired:
                    self._resize(room)
                    self.say(f"Temporarily setting autoscaling group MinSize and DesiredCapacity to {room}.")
                    self._settle(old)
                for start in range(0, len(old), size):
                    self._replace(old, old[start : start + size], desired)
                    done = 100 * min(start + size, len(old)) // len(old)
                    listed = ",".join(old[start : start + size])
                    self.say(f"Successfully terminated instance(s) [{listed}] (Progress {done}%).")
                    time.sleep(self.policy.pause)
            except Refused:
                self._take_back(old, former, desired)
                raise
            finally:
                self._update(MinSize=group["MinSize"], DesiredCapacity=desired)

    def _announcement(self, count: int, size: int) -> str:
        text = f"Rolling update initiated. Terminating {count} obsolete instance(s) in batches of {size}"
        if self.policy.least:
            text += f", while keeping at least {self.policy.least} instance(s) in service"
        if self.policy.pause:
            text += f". Pausing for {self.policy.pause_text} when new instances are added"
            text += " to the autoscaling group"
        return f"{text}."

    def _replace(self, old: list[str], batch: list[str], desired: int) -> None:
        fresh = self._live().keys() - set(old)
        new = max(0, min(len(batch), desired - len(fresh)))
        self.say(f"Terminating instance(s) [{','.join(batch)}]; replacing with {new} new instance(s).")
        for index, instance in enumerate(batch):
            self._terminate(instance, replaced=index < new)
        self._settle(old, gone=batch)

    def _settle(self, old: list[str], gone: list[str] | None = None) -> None:
        """Wait until as many members as desired are in service, and those of a batch are gone."""
        end = time.monotonic() + self.patience
        coming: set[str] = set()
        while True:
            group = self._group()
            states = {each["InstanceId"]: each["LifecycleState"] for each in group["Instances"]}
            serving = [name for name, state in states.items() if state == "InService"]
            if len(serving) == group["DesiredCapacity"] and not set(gone or ()) & states.keys():
                return
            pending = {
                name for name, state in states.items() if state.startswith("Pending") and name not in old
            }
            lost = coming - pending - set(serving)
            if lost or time.monotonic() > end:
                raise Refused(f"Group did not stabilize. Last scaling activity: {self._last_failure(lost)}")
            coming = pending
            time.sleep(PAUSE)

    def _last_failure(self, lost: set[str]) -> str:
        said = self.groups.describe_scaling_activities(AutoScalingGroupName=self.name)["Activities"]
        failed = [each for each in said if each.get("StatusMessage")]
        about = [each for each in failed if any(name in each["Description"] for name in lost)] or failed
        if about:
            return str(about[0]["StatusMessage"])
        return f"{', '.join(sorted(lost)) or 'new instances'} did not come into service in time."

    def _take_back(self, old: list[str], former: Properties, desired: int) -> None:
        """Let the group launch as before, and lose what did not come into service."""
        with self._suspended(["Launch"]):
            self._update(**former)
            for instance, state in self._live().items():
                if instance not in old and state != "InService":
                    self._terminate(instance, replaced=self._group()["DesiredCapacity"] <= desired)
            self._update(MinSize=0, DesiredCapacity=desired)

    def _obsolete(self, group: dict[str, Any]) -> list[str]:
        """Members that are not of the group's launch template in its version, or in none of its subnets."""
        said = group["LaunchTemplate"]
        wanted = (said["LaunchTemplateId"], self._version(said["LaunchTemplateId"], said["Version"]))
        subnets = [subnet for subnet in group.get("VPCZoneIdentifier", "").split(",") if subnet]
        live = {each["InstanceId"]: each for each in group["Instances"] if each["InstanceId"] in self._live()}
        if not live:
            return []
        pages = self.ec2.get_paginator("describe_instances").paginate(InstanceIds=list(live))
        places = {
            instance["InstanceId"]: instance.get("SubnetId")
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        }
        return [
            name
            for name, each in live.items()
            if tuple(each.get("LaunchTemplate", {}).get(key) for key in ("LaunchTemplateId", "Version"))
            != wanted
            or (subnets and places.get(name) not in subnets)
        ]

    def _version(self, template: str, version: str) -> str:
        if not version.startswith("$"):
            return version
        found = self.ec2.describe_launch_templates(LaunchTemplateIds=[template])["LaunchTemplates"][0]
        return str(found["LatestVersionNumber" if version == "$Latest" else "DefaultVersionNumber"])

    def _group(self) -> dict[str, Any]:
        found = self.groups.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        group: dict[str, Any] = found["AutoScalingGroups"][0]
        return group

    def _live(self) -> dict[str, str]:
        """Members that are not on their way out, and their states."""
        members = {each["InstanceId"]: each["LifecycleState"] for each in self._group()["Instances"]}
        return {name: state for name, state in members.items() if not state.startswith("Terminating")}

    def _update(self, **words: Any) -> None:
        self.groups.update_auto_scaling_group(AutoScalingGroupName=self.name, **words)

    def _resize(self, size: int) -> None:
        self._update(MinSize=size, DesiredCapacity=size)

    def _terminate(self, instance: str, *, replaced: bool) -> None:
        if not replaced:
            self._update(MinSize=max(0, self._group()["DesiredCapacity"] - 1))
        try:
            self.groups.terminate_instance_in_auto_scaling_group(
                InstanceId=instance, ShouldDecrementDesiredCapacity=not replaced
            )
        except ClientError as error:
            # It was given up a moment ago, and is gone.
            if "Instance Id not found" not in str(error):
                raise

    @contextmanager
    def _suspended(self, processes: list[str]) -> Iterator[None]:
        """Suspend processes for a while; those that were suspended before stay so afterwards."""
        before = {each["ProcessName"] for each in self._group().get("SuspendedProcesses", [])}
        mine = [process for process in processes if process not in before]
        words = {"AutoScalingGroupName": self.name, "ScalingProcesses": mine}
        if mine:
            self.groups.suspend_processes(**words)
        try:
            yield
        finally:
            if mine:
                self.groups.resume_processes(**words)
