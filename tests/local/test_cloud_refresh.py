"""Instance refreshes in the lab's API: batches within the percentages, behind hooks and health; failures."""

import json
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from corral import aws, refresh
from corral.errors import CorralError
from lab.cloud import refresh as engine
from lab.files import write_atomically
from tests.local.lab_cloud import cloud, wait_for  # noqa: F401
from tests.shared import simulated

GROUP = "chat-lab-app"
HOOK = {"LifecycleHookName": "launch", "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING"}


class Fleet:
    """App servers, which get ready, and which the load balancer finds healthy, as the test says."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.settings = simulated.environment(cloud.endpoint)
        simulated.populate(self.settings, 2)
        self.scaling, balancers = (aws.client(self.settings, name) for name in ("autoscaling", "elbv2"))
        self.arns = [each["TargetGroupArn"] for each in balancers.describe_target_groups()["TargetGroups"]]
        for arn in self.arns:
            delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "1"}
            balancers.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
        self.scaling.put_lifecycle_hook(AutoScalingGroupName=GROUP, **HOOK)
        self.most = self.least = 0

    def members(self):
        found = self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
        return {each["InstanceId"]: each["LifecycleState"] for each in found[0]["Instances"]}

    def healthy(self, *instance_ids):
        seen = {arn: {name: {"state": "healthy"} for name in instance_ids} for arn in self.arns}
        write_atomically(self.cloud.state / "target-health.json", json.dumps(seen))

    def complete(self, instance_id, result="CONTINUE"):
        self.scaling.complete_lifecycle_action(
            AutoScalingGroupName=GROUP,
            LifecycleHookName="launch",
            InstanceId=instance_id,
            LifecycleActionResult=result,
        )

    def work(self, stop, result="CONTINUE"):
        """Let new members get ready, or fail, until told to stop; note how many serve and are there."""
        while not stop.is_set():
            members = self.members()
            if members != self.members():
                continue  # one answer may hold what was before, and what came after
            serving = [name for name, state in members.items() if state == "InService"]
            self.healthy(*serving)
            self.least = min(self.least, len(serving))
            self.most = max(self.most, sum(not state.startswith("Terminat") for state in members.values()))
            for name in [name for name, state in members.items() if state == "Pending:Wait"]:
                with suppress(ClientError):  # it went meanwhile
                    self.complete(name, result)
            time.sleep(0.1)


@pytest.fixture(scope="module")
def fleet(cloud):
    made = Fleet(cloud)
    wait_for(lambda: list(made.members().values()) == ["InService"] * 2)
    return made


@pytest.fixture
def settled(fleet):
    """The fleet with nobody on the way in or out, and no refresh."""
    stop = threading.Event()
    worker = threading.Thread(target=fleet.work, args=[stop])
    worker.start()
    try:
        refresh.cancel(fleet.settings)
        wait_for(lambda: list(fleet.members().values()) == ["InService"] * 2)
    finally:
        stop.set()
        worker.join()
    fleet.most, fleet.least = 0, 9
    return fleet


def start(fleet, **wanted):
    values = fleet.settings.refresh.model_copy(update={"warmup_seconds": 0} | wanted)
    return refresh.start(fleet.settings.model_copy(update={"refresh": values}))


def during(fleet, began, result="CONTINUE"):
    """Follow a refresh while the fleet does its work; what was told."""
    stop = threading.Event()
    worker = threading.Thread(target=fleet.work, args=[stop, result])
    worker.start()
    try:
        return list(refresh.follow(fleet.settings, began, 0.2))
    finally:
        stop.set()
        worker.join()


def test_new_members_come_before_old_ones_go(settled):
    old = settled.members().keys()
    told = during(settled, start(settled))
    assert (told[0].status, told[0].remaining, told[0].percent) == ("InProgress", 2, 0)
    assert (told[-1].status, told[-1].remaining, told[-1].percent) == ("Successful", 0, 100)
    assert not old & settled.members().keys()
    assert (settled.least, settled.most) == (2, 3)


def test_old_members_go_first_when_fewer_may_serve(settled):
    old = settled.members().keys()
    during(settled, start(settled, min_healthy_percent=50, max_healthy_percent=100))
    assert not old & settled.members().keys()
    assert (settled.least, settled.most) == (1, 2)


def test_one_that_is_not_healthy_holds_it_up(settled):
    old = list(settled.members())
    start(settled)
    new = wait_for(lambda: settled.members().keys() - set(old)).pop()
    settled.healthy(*old)
    settled.complete(new)
    wait_for(lambda: settled.members()[new] == "InService")
    time.sleep(2.5)  # more than two looks of the clock
    assert {name: settled.members()[name] for name in old} == dict.fromkeys(old, "InService")
    settled.healthy(*old, new)
    wait_for(lambda: list(settled.members().values()).count("InService") != 3)


def test_one_that_is_abandoned_ends_it_and_nothing_old_is_touched(settled):
    old = settled.members().keys()
    # By whichever of the two saw it first: the lab's AWS, or who watches it.
    either = "New servers failed, and the refresh|The refresh ended as Failed: Instance i-"
    with pytest.raises(CorralError, match=either):
        during(settled, start(settled), "ABANDON")
    said = wait_for(
        lambda: not refresh.newest(settled.settings).under_way and refresh.newest(settled.settings)
    )
    assert said.status in {"Failed", "Cancelled"}
    wait_for(lambda: settled.members() == dict.fromkeys(old, "InService"))


def test_a_failure_has_aws_s_words(settled):
    old = settled.members().keys()
    start(settled)
    new = wait_for(lambda: settled.members().keys() - old).pop()
    settled.complete(new, "ABANDON")
    wait_for(lambda: not refresh.newest(settled.settings).under_way)
    said = refresh.newest(settled.settings)
    assert said.status == "Failed"
    assert said.reason.startswith(
        f"Instance {new} failed: Instance failed to complete user's Lifecycle Action"
    )
    wait_for(lambda: settled.members() == dict.fromkeys(old, "InService"))


def test_it_is_cancelled_and_the_rest_stays(settled):
    old = settled.members().keys()
    start(settled)
    wait_for(lambda: settled.members().keys() - old)
    assert refresh.cancel(settled.settings)
    wait_for(lambda: settled.members() == dict.fromkeys(old, "InService"))
    assert (refresh.newest(settled.settings).status, refresh.cancel(settled.settings)) == ("Cancelled", False)


def test_only_one_at_a_time(settled):
    start(settled)
    with pytest.raises(CorralError, match="is under way already"):
        start(settled)


@pytest.mark.parametrize(
    ("preferences", "said"),
    [
        ({"SkipMatching": True}, "neither skips"),
        ({"AutoRollback": True}, "neither skips"),
        ({"BakeTime": 5}, "does not know these preferences: BakeTime"),
        ({"MinHealthyPercentage": 0, "MaxHealthyPercentage": 101}, "at most 100 apart"),
    ],
)
def test_what_the_lab_can_not_do_is_refused(settled, preferences, said):
    with pytest.raises(ClientError, match=said):
        settled.scaling.start_instance_refresh(AutoScalingGroupName=GROUP, Preferences=preferences)


def test_one_that_stays_ill_ends_it():
    member = SimpleNamespace(
        instance_id="i-1", lifecycle_state="InService", in_service_since=time.time() - 301
    )
    group = SimpleNamespace(instance_states=[member], target_group_arns=["arn"])
    one = SimpleNamespace(group=group, fresh={"i-1": 0.0})
    ill = {"arn": {"i-1": {"state": "unhealthy"}}}
    assert engine._failure(one, ill) == (
        "Instance i-1 did not become healthy in the load balancer's target groups."
    )
    assert engine._failure(one, {"arn": {"i-1": {"state": "healthy"}}}) == ""
    member.in_service_since = time.time()
    assert engine._failure(one, ill) == ""
