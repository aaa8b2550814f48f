"""The fleet: who is in it (purely), and that two kinds of calls find a thousand (botocore's Stubber)."""

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from corral import fleet
from corral.errors import CorralError
from corral.settings import load

# Every state of "Amazon EC2 Auto Scaling instance lifecycle" (API reference, Instance.LifecycleState).
STATES = [
    "Pending",
    "Pending:Wait",
    "Pending:Proceed",
    "Quarantined",
    "InService",
    "Terminating",
    "Terminating:Wait",
    "Terminating:Proceed",
    "Terminating:Retained",
    "Terminated",
    "Detaching",
    "Detached",
    "EnteringStandby",
    "Standby",
    "Warmed:Pending",
    "Warmed:Pending:Wait",
    "Warmed:Running",
    "Warmed:Stopped",
    "Warmed:Hibernated",
]


def member(number, state="InService", health="Healthy"):
    return {
        "InstanceId": f"i-{number:04}",
        "AvailabilityZone": "eu-west-1a",
        "LifecycleState": state,
        "HealthStatus": health,
        "ProtectedFromScaleIn": False,
    }


def group(role, *members, environment="live"):
    return {
        "AutoScalingGroupName": f"chat-{environment}-{role}",
        "MinSize": 0,
        "MaxSize": 1000,
        "DesiredCapacity": len(members),
        "DefaultCooldown": 300,
        "AvailabilityZones": ["eu-west-1a"],
        "HealthCheckType": "EC2",
        "CreatedTime": 0,
        "Instances": list(members),
        "Tags": [{"Key": "corral:role", "Value": role}],
    }


def instance(number, state="running", address=True):
    found = {
        "InstanceId": f"i-{number:04}",
        "Placement": {"AvailabilityZone": "eu-west-1a"},
        "State": {"Name": state},
        "Tags": [
            {"Key": "corral:private-zone-id", "Value": "ZPRIVATE"},
            {"Key": "corral:data-volume", "Value": "vol-0123456789abcdef0"},
        ],
    }
    return found | ({"PrivateIpAddress": f"10.10.{number // 250}.{number % 250}"} if address else {})


@given(st.lists(st.tuples(st.sampled_from(STATES), st.sampled_from(["Healthy", "Unhealthy", "HEALTHY"]))))
def test_only_healthy_members_in_service_are_hosts(states):
    members = [member(number, *state) for number, state in enumerate(states)]
    wanted = {
        f"i-{n:04}"
        for n, (state, health) in enumerate(states)
        if (state, health.lower()) == ("InService", "healthy")
    }
    assert set(fleet.in_service([group("app", *members)])) == wanted


def test_a_member_that_does_not_run_or_has_no_address_yet_is_no_host():
    members = fleet.in_service([group("app", *map(member, range(5)))])
    instances = [instance(0), instance(1, "pending"), instance(2, address=False), instance(3, "terminated")]
    assert fleet.select(members, [*instances, instance(99)]) == [
        fleet.Host(
            role="app",
            private_address="10.10.0.0",
            instance_id="i-0000",
            zone="eu-west-1a",
            group="chat-live-app",
            private_zone_id="ZPRIVATE",
            data_volume="vol-0123456789abcdef0",
        )
    ]


@pytest.fixture
def recorded(monkeypatch):
    """Settings of the live environment, and stubs of the two clients that there are."""
    keys = {"region_name": "eu-west-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    clients = {name: boto3.client(name, **keys) for name in ("autoscaling", "ec2")}
    monkeypatch.setattr(fleet, "client", lambda settings, service: clients[service])
    with Stubber(clients["autoscaling"]) as groups, Stubber(clients["ec2"]) as instances:
        yield load("live"), groups, instances
        groups.assert_no_pending_responses()
        instances.assert_no_pending_responses()


MINE = [
    {"Name": "tag:corral:project", "Values": ["chat"]},
    {"Name": "tag:corral:environment", "Values": ["live"]},
]
ROLES = [*MINE, {"Name": "tag-key", "Values": ["corral:role"]}]
RUNNING = [*MINE, {"Name": "instance-state-name", "Values": ["running"]}]


def test_a_thousand_members_take_one_call_of_each_kind(recorded):
    live, groups, instances = recorded
    everyone = [member(number) for number in range(1000)]
    groups.add_response(
        "describe_auto_scaling_groups",
        {"AutoScalingGroups": [group("app", *everyone[1:]), group("db", everyone[0])]},
        {"Filters": ROLES, "MaxRecords": 100},
    )
    instances.add_response(
        "describe_instances",
        {"Reservations": [{"Instances": [instance(number) for number in range(1000)]}]},
        {"Filters": RUNNING, "MaxResults": 1000},
    )
    roles = fleet.by_role(fleet.hosts(live))
    assert {role: len(hosts) for role, hosts in roles.items()} == {"app": 999, "db": 1}


def test_more_come_page_by_page(recorded):
    live, groups, instances = recorded
    first = {"AutoScalingGroups": [group("app", *map(member, range(3)))], "NextToken": "more groups"}
    groups.add_response("describe_auto_scaling_groups", first, {"Filters": ROLES, "MaxRecords": 100})
    groups.add_response(
        "describe_auto_scaling_groups",
        {"AutoScalingGroups": [group("db", member(3))]},
        {"Filters": ROLES, "MaxRecords": 100, "NextToken": "more groups"},
    )
    for number in range(4):
        token = {"NextToken": str(number)} if number else {}
        instances.add_response(
            "describe_instances",
            {
                "Reservations": [{"Instances": [instance(number)]}],
                **({"NextToken": str(number + 1)} if number < 3 else {}),
            },
            {"Filters": RUNNING, "MaxResults": 1000, **token},
        )
    assert [(host.role, host.instance_id) for host in fleet.hosts(live)] == [
        ("app", "i-0000"),
        ("app", "i-0001"),
        ("app", "i-0002"),
        ("db", "i-0003"),
    ]


def test_no_groups_means_that_there_is_no_stack(recorded):
    live, groups, _ = recorded
    groups.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": []})
    with pytest.raises(CorralError) as caught:
        fleet.hosts(live)
    assert "no auto-scaling groups in eu-west-1, account 111122223333" in caught.value.problem
    assert caught.value.remedy == "Create it: corral stack apply -e live"


def test_an_empty_fleet_says_what_the_groups_hold(recorded):
    live, groups, _ = recorded
    members = [member(1, "Pending:Wait"), member(2, "Pending:Wait"), member(3, health="Unhealthy")]
    groups.add_response(
        "describe_auto_scaling_groups", {"AutoScalingGroups": [group("app", *members), group("db")]}
    )
    with pytest.raises(CorralError) as caught:
        fleet.hosts(live)
    assert caught.value.problem == (
        "Environment live has no host in service:"
        " chat-live-app wants 3 and has 2 Pending:Wait, 1 Unhealthy; chat-live-db wants 0 and has none."
    )
    assert caught.value.remedy.startswith("Wait until")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("AccessDenied", "No permission for DescribeAutoScalingGroups: the message"),
        ("ExpiredToken", "The AWS credentials have expired."),
        ("InvalidClientTokenId", "AWS does not know these credentials"),
        ("SignatureDoesNotMatch", "AWS refuses the signature"),
        ("ValidationError", "DescribeAutoScalingGroups: the message (ValidationError)"),
    ],
)
def test_what_aws_refuses_is_a_sentence(recorded, code, sentence):
    live, groups, _ = recorded
    groups.add_client_error("describe_auto_scaling_groups", code, "the message")
    with pytest.raises(CorralError) as caught:
        fleet.hosts(live)
    assert caught.value.problem.startswith(sentence)
