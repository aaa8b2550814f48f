"""Which running servers a change leaves behind or replaces, as Auto Scaling tells of its groups."""

import boto3
import pytest
from botocore.stub import Stubber

from corral.cli.stack.showing import said
from corral.cloudformation import servers
from corral.cloudformation.change_sets import Proposal
from corral.cloudformation.changes import Change, Difference
from corral.cloudformation.servers import Effect, effects, pointless
from corral.settings import load
from tests.unit.stacks import rendered

GROUP = "AWS::AutoScaling::AutoScalingGroup"
CONSENT = (Difference("UpdatePolicy.AutoScalingRollingUpdate", None, "{}"),)


@pytest.fixture
def groups(monkeypatch):
    """Lets Auto Scaling tell of groups: name, current version, versions of its servers."""
    cloud = boto3.client(
        "autoscaling", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    monkeypatch.setattr(servers, "client", lambda settings, service: cloud)

    def launch(version):
        return {"LaunchTemplateId": "lt-1", "Version": version}

    def tell(*told):
        stub.add_response(
            "describe_auto_scaling_groups",
            {
                "AutoScalingGroups": [
                    {
                        "AutoScalingGroupName": name,
                        "MinSize": 1,
                        "MaxSize": 1,
                        "DesiredCapacity": 1,
                        "DefaultCooldown": 0,
                        "AvailabilityZones": ["eu-west-1a"],
                        "HealthCheckType": "EC2",
                        "CreatedTime": 0,
                        "LaunchTemplate": launch(current),
                        "Instances": [
                            {
                                "InstanceId": f"i-{number}",
                                "AvailabilityZone": "eu-west-1a",
                                "LifecycleState": "InService",
                                "HealthStatus": "Healthy",
                                "ProtectedFromScaleIn": False,
                                "LaunchTemplate": launch(version),
                            }
                            for number, version in enumerate(versions)
                        ],
                    }
                    for name, current, *versions in told
                ]
            },
            {"AutoScalingGroupNames": [name for name, *_ in told]},
        )

    with Stubber(cloud) as stub:
        yield tell
        stub.assert_no_pending_responses()


def changed(role, launch=True, group=True):
    """What a change set tells of a role: its launch template, its group, or both."""
    found = [Change("changed", f"{role}Launch", "AWS::EC2::LaunchTemplate", "lt-1")] * launch
    return found + [Change("changed", f"{role}Group", GROUP, f"chat-live-{role.lower()}")] * group


def found(changes, consent):
    return effects(load("live"), rendered("live"), changes, consent)


def test_without_consent_servers_of_another_launch_template_are_left_behind(groups):
    groups(("chat-live-app", "7", "7", "7", "6"))
    assert found(changed("App") + changed("Db", launch=False), consent=False) == [
        Effect("AppGroup", "chat-live-app", 3)
    ]


def test_nothing_is_asked_where_no_launch_template_changes(groups):
    assert found(changed("Db", launch=False), consent=False) == []
    assert found(changed("App", group=False), consent=False) == []


def test_with_consent_those_left_behind_by_an_earlier_change_go_too(groups):
    groups(
        ("chat-live-app", "7", "7", "7", "6"),
        ("chat-live-db", "2", "1"),
        ("chat-live-elk", "3", "3"),
    )
    changes = changed("App") + changed("Db", launch=False) + changed("Elk", launch=False)
    assert found(changes, consent=True) == [
        Effect("AppGroup", "chat-live-app", 3),
        Effect("DbGroup", "chat-live-db", 1),
        Effect("ElkGroup", "chat-live-elk", 0),
    ]


@pytest.mark.parametrize(
    ("effect", "consent", "sentence"),
    [
        (
            4,
            False,
            "chat-live-app: 4 running servers stay as they are; those to come are launched the new way.",
        ),
        (1, False, "chat-live-app: 1 running server stays as it is; those to come are launched the new way."),
        (4, True, "chat-live-app: 4 running servers will be replaced, one by one."),
        (1, True, "chat-live-app: 1 running server will be replaced."),
        (0, True, "chat-live-app: no server is to be replaced."),
    ],
)
def test_what_becomes_of_servers_is_a_sentence(effect, consent, sentence):
    assert said(Effect("AppGroup", "chat-live-app", effect), consent) == sentence


@pytest.mark.parametrize(
    ("leaving", "sentence"),
    [
        (("i-1", "i-2"), "Of its servers i-1, i-2 would go, others perhaps, for new ones elsewhere."),
        ((), "Of its servers some would go, for new ones elsewhere."),
    ],
)
def test_servers_that_would_move_are_named(leaving, sentence):
    effect = Effect("AppGroup", "chat-live-app", len(leaving), moves=True, leaving=leaving)
    assert said(effect, consent=False) == f"chat-live-app: other subnets. {sentence}"
    assert said(effect, consent=True).startswith("chat-live-app: ")
    assert "other subnets" not in said(effect, consent=True)


def test_the_mere_consent_is_pointless_where_no_server_is_to_be_replaced():
    only = Change("changed", "AppGroup", GROUP, differences=CONSENT)
    more = Change("changed", "AppGroup", GROUP, differences=(*CONSENT, Difference("MaxSize", "1", "2")))
    nobody, somebody = Effect("AppGroup", "chat-live-app", 0), Effect("AppGroup", "chat-live-app", 1)

    def proposal(*changes, parameters=()):
        return Proposal({}, False, "", "", parameters, changes)

    assert pointless(proposal(only), [nobody])
    assert not pointless(proposal(only), [somebody])
    assert not pointless(proposal(only, more), [nobody])
    assert not pointless(proposal(only, parameters=(Difference("Expires", "a", "b"),)), [nobody])
    assert not pointless(proposal(), [])
