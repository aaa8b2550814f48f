"""`corral refresh`: what it asks of AWS, and that a new server's failure ends it."""

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner

from corral import refresh
from corral.cli import corral
from corral.errors import CorralError
from corral.members import Member
from corral.reports import store
from corral.settings import load
from tests.shared import simulated

LIVE = load("live")
GROUP = "chat-live-app"
BEGAN = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
OLD, NEW = "i-0000000000000000a", "i-0000000000000000b"


def member(instance_id, state="InService", health="Healthy"):
    return {
        "InstanceId": instance_id,
        "AvailabilityZone": "eu-west-1a",
        "LifecycleState": state,
        "HealthStatus": health,
        "ProtectedFromScaleIn": False,
    }


class Scaling:
    """Auto Scaling as botocore's Stubber plays it, call by call."""

    def __init__(self, stub):
        self.stub = stub

    def says(self, status, percent=0, left=1, **more):
        answer = {
            "InstanceRefreshId": "the-refresh",
            "Status": status,
            "StartTime": BEGAN,
            "PercentageComplete": percent,
            "InstancesToUpdate": left,
        }
        self.stub.add_response(
            "describe_instance_refreshes",
            {"InstanceRefreshes": [answer | more]},
            {"AutoScalingGroupName": GROUP, "MaxRecords": 1},
        )

    def has(self, *members):
        group = {
            "AutoScalingGroupName": GROUP,
            "MinSize": 0,
            "MaxSize": 9,
            "DesiredCapacity": 1,
            "DefaultCooldown": 300,
            "AvailabilityZones": ["eu-west-1a"],
            "HealthCheckType": "ELB",
            "CreatedTime": BEGAN,
            "Instances": list(members),
        }
        asked = {"AutoScalingGroupNames": [GROUP]}
        self.stub.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [group]}, asked)


@pytest.fixture
def scaling(monkeypatch):
    client = boto3.client(
        "autoscaling", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    monkeypatch.setattr(refresh, "client", lambda settings, service: client)
    old = Member("app", GROUP, OLD, "eu-west-1a", "InService", launched=BEGAN - timedelta(days=1))
    monkeypatch.setattr(refresh, "survey", lambda settings: ([], [old]))
    monkeypatch.setattr(refresh.reports, "listed", lambda bucket: {})
    with Stubber(client) as stub:
        yield Scaling(stub)
        stub.assert_no_pending_responses()


def began(scaling, status="Pending"):
    scaling.says(status)
    return refresh.newest(LIVE)


def test_it_is_started_as_the_settings_say(scaling):
    preferences = {
        "MinHealthyPercentage": 100,
        "MaxHealthyPercentage": 110,
        "InstanceWarmup": 60,
        "SkipMatching": False,
        "AutoRollback": False,
    }
    scaling.stub.add_response(
        "start_instance_refresh",
        {"InstanceRefreshId": "the-refresh"},
        {"AutoScalingGroupName": GROUP, "Strategy": "Rolling", "Preferences": preferences},
    )
    scaling.says("Pending", left=4)
    assert refresh.start(LIVE) == refresh.Progress("the-refresh", "Pending", BEGAN, 0, 4)


def test_one_at_a_time(scaling):
    scaling.stub.add_client_error("start_instance_refresh", "InstanceRefreshInProgress", "no")
    with pytest.raises(CorralError) as caught:
        refresh.start(LIVE)
    assert caught.value.problem == "A refresh of chat-live-app is under way already."
    assert "corral refresh --follow -e live" in caught.value.remedy


def test_it_is_followed_to_its_end(scaling):
    start = began(scaling)
    for status, percent, left, there in (
        ("InProgress", 0, 1, [member(OLD), member(NEW, "Pending:Wait")]),
        ("InProgress", 0, 1, [member(OLD), member(NEW)]),
        ("InProgress", 50, 1, [member(OLD, "Terminating:Wait"), member(NEW)]),
        ("Successful", 100, 0, [member(NEW)]),
    ):
        scaling.has(*there)
        scaling.says(status, percent, left)
    told = [(one.status, one.percent) for one in refresh.follow(LIVE, start, 0)]
    assert told == [("Pending", 0), ("InProgress", 0), ("InProgress", 50), ("Successful", 100)]


@pytest.mark.parametrize(
    "there",
    [
        [member(OLD), member(NEW, "Terminating")],
        [member(OLD)],
        [member(OLD), member(NEW, health="Unhealthy")],
    ],
)
def test_a_new_server_that_fails_ends_it(scaling, there):
    start = began(scaling)
    scaling.has(member(OLD), member(NEW, "Pending:Wait"))
    scaling.says("InProgress")
    scaling.has(*there)
    scaling.stub.add_response(
        "cancel_instance_refresh", {"InstanceRefreshId": "the-refresh"}, {"AutoScalingGroupName": GROUP}
    )
    activity = {
        "ActivityId": "1",
        "AutoScalingGroupName": GROUP,
        "Description": f"Launching a new EC2 instance: {NEW}",
        "Cause": "because",
        "StartTime": BEGAN,
        "StatusCode": "Cancelled",
        "StatusMessage": "Lifecycle Action Timed Out",
    }
    others = activity | {"Description": f"Terminating EC2 instance: {OLD}", "StatusMessage": "no"}
    scaling.stub.add_response("describe_scaling_activities", {"Activities": [others, activity]})
    with pytest.raises(CorralError) as caught:
        list(refresh.follow(LIVE, start, 0))
    assert caught.value.problem == (
        f"New servers failed, and the refresh was stopped:\n  {NEW}: Lifecycle Action Timed Out"
    )
    assert caught.value.remedy.startswith("Servers that it has not replaced are as they were.")


def test_its_own_report_says_why_it_failed(scaling, monkeypatch):
    new = Member("app", GROUP, NEW, "eu-west-1a", "Pending:Wait")
    failed = {"operation": "Run nginx", "output": ["it did not start"]}
    body = simulated.json.dumps(simulated.report(LIVE, new, result="failed", failed=failed)).encode()
    received = store.judge(NEW, "live", BEGAN, body)
    monkeypatch.setattr(refresh.reports, "listed", lambda bucket: {NEW: store.Listed("key", BEGAN, 1)})
    monkeypatch.setattr(refresh.reports, "read", lambda bucket, wanted: dict.fromkeys(wanted, received))
    start = began(scaling)
    scaling.has(member(OLD), member(NEW, "Pending:Wait"))
    scaling.says("InProgress")
    scaling.has(member(OLD))
    scaling.stub.add_client_error("cancel_instance_refresh", "ActiveInstanceRefreshNotFound", "no")
    with pytest.raises(CorralError) as caught:
        list(refresh.follow(LIVE, start, 0))
    assert caught.value.problem == (
        f"New servers failed, and the refresh had ended by itself:\n  {NEW}: “Run nginx”: it did not start"
    )


@pytest.mark.parametrize("status", ["Failed", "Cancelled", "RollbackSuccessful"])
def test_any_other_end_is_an_error_with_aws_s_reason(scaling, status):
    start = began(scaling)
    scaling.has(member(OLD))
    scaling.says(status, StatusReason="The group could not stabilize.")
    with pytest.raises(CorralError, match=f"The refresh ended as {status}: The group could not stabilize."):
        list(refresh.follow(LIVE, start, 0))


def test_it_is_cancelled(scaling):
    scaling.stub.add_response("cancel_instance_refresh", {"InstanceRefreshId": "the-refresh"})
    assert refresh.cancel(LIVE)
    scaling.stub.add_client_error("cancel_instance_refresh", "ActiveInstanceRefreshNotFound", "none")
    assert not refresh.cancel(LIVE)


def test_without_one_there_is_nothing_to_follow(scaling):
    scaling.stub.add_response("describe_instance_refreshes", {"InstanceRefreshes": []})
    with pytest.raises(CorralError, match="There has been no refresh of chat-live-app"):
        refresh.newest(LIVE)


def test_nobody_s_servers_are_replaced_unasked():
    asked = CliRunner().invoke(corral, ["refresh", "-e", "live"])
    assert isinstance(asked.exception, CorralError)
    assert asked.exception.problem == "There is nobody to ask whether to go on."
    assert "at least 100 % of them serve all the time, at most 110 % are there" in asked.stdout
