"""Applying the stack: against moto's CloudFormation where it behaves, else against recorded answers."""

import boto3
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner

from corral import cloudformation, secrets
from corral.aws import client
from corral.cli.common import Chosen
from corral.cli.stack import stack
from corral.errors import CorralError
from corral.settings import load
from corral.stack import render
from corral.stack.template import parameters

PASSWORD = "/corral/test/app/database-password"

# moto says so of what it leaves out of a stack: bucket policies.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(cloudformation, "PAUSE", 0)


def corral_stack(settings, *words):
    """Run `corral stack …` in the environment of the settings; errors as they are raised."""
    chosen = Chosen()
    chosen.__dict__["settings"] = settings
    return CliRunner().invoke(stack, words, obj=chosen, catch_exceptions=False)


def group(settings, role):
    found = client(settings, "autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[settings.role_name(role)]
    )
    return found["AutoScalingGroups"][0]


def test_apply_creates_then_changes_nothing_then_updates(settings):
    first = corral_stack(settings, "apply", "-y")
    assert first.exit_code == 0
    assert "Stack chat-test (account 123456789012, eu-west-1) will be created: " in first.output
    assert "CREATE_COMPLETE" in first.output
    assert "https://test.chat.example.com/" in first.output
    assert len(group(settings, "app")["Instances"]) == 2
    assert len(group(settings, "db")["Instances"]) == 1

    second = corral_stack(settings, "apply", "-y")
    assert second.exit_code == 0
    assert "is as its settings say: nothing to change." in second.output

    bigger = settings.model_copy(update={"app": settings.app.model_copy(update={"desired": 3})})
    third = corral_stack(bigger, "apply", "-y")
    assert third.exit_code == 0
    assert "Modify  AppGroup" in third.output
    assert group(bigger, "app")["DesiredCapacity"] == 3

    assert "nothing to change" in corral_stack(bigger, "apply", "-y").output


def test_the_password_is_made_once_and_shown_to_nobody(settings):
    outputs = [corral_stack(settings, "apply", "-y").output]
    ssm = client(settings, "ssm")
    kept = ssm.get_parameter(Name=PASSWORD, WithDecryption=True)["Parameter"]
    outputs.append(corral_stack(settings, "apply", "-y").output)
    again = ssm.get_parameter(Name=PASSWORD, WithDecryption=True)["Parameter"]
    assert kept["Type"] == "SecureString"
    assert len(kept["Value"]) >= 32
    assert again["Value"] == kept["Value"]
    assert again["Version"] == 1
    assert not [output for output in outputs if kept["Value"] in output]
    assert [PASSWORD in output for output in outputs] == [True, False]


def test_two_secrets_differ(settings):
    assert secrets.make_once(settings, "app", "one")
    assert secrets.make_once(settings, "app", "two")
    ssm = client(settings, "ssm")
    values = {
        ssm.get_parameter(Name=settings.parameter("app", name))["Parameter"]["Value"]
        for name in ("one", "two")
    }
    assert len(values) == 2


def test_outputs(settings):
    with pytest.raises(CorralError, match="There is no stack chat-test in eu-west-1"):
        corral_stack(settings, "outputs")
    corral_stack(settings, "apply", "-y")
    shown = corral_stack(settings, "outputs", "--json").output
    assert '"ReleasesBucket": "chat-test-releases-123456789012"' in shown


def test_another_account_is_refused_before_anything_is_made(settings):
    elsewhere = settings.model_copy(update={"account": "999999999999"})
    with pytest.raises(
        CorralError, match="are for account 123456789012, but environment test lives in 999999999999"
    ):
        corral_stack(elsewhere, "apply", "-y")
    assert client(settings, "cloudformation").describe_stacks()["Stacks"] == []
    assert client(settings, "ssm").describe_parameters()["Parameters"][0]["Name"] == "/images/debian"


def test_nobody_to_ask_is_no_yes(settings):
    with pytest.raises(CorralError, match="nobody to ask"):
        corral_stack(settings, "apply")
    assert client(settings, "cloudformation").describe_stacks()["Stacks"] == []


def test_no_is_no(settings, monkeypatch):
    monkeypatch.setattr("corral.cli.stack._a_person_is_there", lambda: True)
    chosen = Chosen()
    chosen.__dict__["settings"] = settings
    run = CliRunner().invoke(stack, ["apply"], obj=chosen, input="n\n")
    assert run.exit_code == 1
    assert client(settings, "cloudformation").describe_stacks()["Stacks"] == []


def test_a_change_that_is_declined_is_forgotten(settings):
    corral_stack(settings, "apply", "-y")
    bigger = settings.model_copy(update={"app": settings.app.model_copy(update={"desired": 3})})
    with pytest.raises(CorralError, match="nobody to ask"):
        corral_stack(bigger, "apply")
    assert client(settings, "cloudformation").list_change_sets(StackName="chat-test")["Summaries"] == []
    assert group(settings, "app")["DesiredCapacity"] == 2


def test_a_stack_that_moto_refuses_fails_with_a_sentence(settings):
    without = settings.model_copy(
        update={"certificate_arn": "arn:aws:acm:eu-west-1:123456789012:certificate/none"}
    )
    with pytest.raises(CorralError, match="Supplied certificate was not found"):
        corral_stack(without, "apply", "-y")


# What moto never answers: recorded in the shape of the API reference.

STACK_ID = "arn:aws:cloudformation:eu-west-1:111122223333:stack/chat-live/1"


@pytest.fixture
def recorded(monkeypatch):
    """Settings of the live environment, and the stub of the one CloudFormation client there is."""
    cloud = boto3.client(
        "cloudformation", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    monkeypatch.setattr(cloudformation, "client", lambda settings, service: cloud)
    with Stubber(cloud) as stub:
        yield load("live"), stub
        stub.assert_no_pending_responses()


def stack_in(status):
    return {
        "Stacks": [{"StackName": "chat-live", "StackId": STACK_ID, "StackStatus": status, "CreationTime": 0}]
    }


def event(number, resource, status, reason=""):
    return {
        "StackId": STACK_ID,
        "EventId": str(number),
        "StackName": "chat-live",
        "Timestamp": number,
        "LogicalResourceId": resource,
        "ResourceType": "AWS::EC2::Vpc",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


@pytest.mark.parametrize(
    ("status", "way_out"),
    [
        ("UPDATE_IN_PROGRESS", "Somebody is changing it. Wait"),
        ("DELETE_IN_PROGRESS", "Somebody is changing it. Wait"),
        ("REVIEW_IN_PROGRESS", "aws --region eu-west-1 cloudformation delete-stack --stack-name chat-live"),
        ("ROLLBACK_COMPLETE", "delete-stack --stack-name chat-live"),
        ("ROLLBACK_FAILED", "delete-stack --stack-name chat-live"),
        ("DELETE_FAILED", "delete-stack --stack-name chat-live"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback --stack-name chat-live"),
    ],
)
def test_a_stack_that_takes_no_change_is_left_alone_with_the_way_out(recorded, status, way_out):
    live, stub = recorded
    stub.add_response("describe_stacks", stack_in(status), {"StackName": "chat-live"})
    with pytest.raises(CorralError) as caught:
        cloudformation.propose(live, render(live))
    assert caught.value.problem == f"Stack chat-live is in state {status}."
    assert way_out in caught.value.remedy


def test_events_come_in_order_once_each_and_the_first_cause_is_named(recorded):
    live, stub = recorded
    events = [
        event(1, "chat-live", "CREATE_IN_PROGRESS"),
        event(2, "Vpc", "CREATE_IN_PROGRESS"),
        event(3, "Balancer", "CREATE_FAILED", "Resource creation cancelled"),
        event(4, "Vpc", "CREATE_FAILED", "The maximum number of VPCs has been reached."),
        event(5, "AppRole", "CREATE_FAILED", "Resource creation cancelled"),
        event(6, "chat-live", "ROLLBACK_IN_PROGRESS"),
        event(7, "chat-live", "DELETE_COMPLETE"),
    ]
    stub.add_response("create_stack", {"StackId": STACK_ID})
    for status, seen in (("CREATE_IN_PROGRESS", 2), ("ROLLBACK_IN_PROGRESS", 5), ("DELETE_COMPLETE", 7)):
        stub.add_response("describe_stacks", stack_in(status), {"StackName": STACK_ID})
        stub.add_response("describe_stack_events", {"StackEvents": events[:seen][::-1]})
    shown = []
    with pytest.raises(CorralError) as caught:
        for each in cloudformation.carry_out(live, cloudformation.Proposal(render(live), ())):
            shown.append(each)  # kept, though it raises at its end
    assert [each.resource for each in shown] == [each["LogicalResourceId"] for each in events]
    assert caught.value.problem == (
        "Stack chat-live ended in state DELETE_COMPLETE."
        " First failure: Vpc (AWS::EC2::Vpc): The maximum number of VPCs has been reached."
    )


def change_set(status, **more):
    return {"ChangeSetId": "arn:change", "Status": status, **more}


def test_an_update_shows_what_is_replaced_and_only_its_own_events(recorded):
    live, stub = recorded
    change = {
        "Action": "Modify",
        "LogicalResourceId": "Vpc",
        "ResourceType": "AWS::EC2::VPC",
        "Replacement": "True",
    }
    stub.add_response("describe_stacks", stack_in("UPDATE_COMPLETE"))
    stub.add_response("create_change_set", {"Id": "arn:change", "StackId": STACK_ID})
    stub.add_response("describe_change_set", change_set("CREATE_IN_PROGRESS"))
    stub.add_response(
        "describe_change_set",
        change_set("CREATE_COMPLETE", Changes=[{"Type": "Resource", "ResourceChange": change}]),
    )
    proposal = cloudformation.propose(live, render(live))
    assert proposal.changes == (cloudformation.Change("Modify", "Vpc", "AWS::EC2::VPC", True),)

    old, new = event(1, "old", "UPDATE_COMPLETE"), event(2, "new", "UPDATE_COMPLETE")
    stub.add_response("describe_stacks", stack_in("UPDATE_COMPLETE"))
    stub.add_response("describe_stack_events", {"StackEvents": [old]})
    stub.add_response("execute_change_set", {}, {"ChangeSetName": "arn:change"})
    stub.add_response("describe_stacks", stack_in("UPDATE_COMPLETE"))
    stub.add_response("describe_stack_events", {"StackEvents": [new, old]})
    assert [each.resource for each in cloudformation.carry_out(live, proposal)] == ["new"]


@pytest.mark.parametrize(
    "reason",
    [
        "The submitted information didn't contain changes. Submit different information to create another.",
        "No updates are to be performed.",
    ],
)
def test_no_updates_are_no_failure(recorded, reason):
    live, stub = recorded
    stub.add_response("describe_stacks", stack_in("CREATE_COMPLETE"))
    stub.add_response("create_change_set", {"Id": "arn:change", "StackId": STACK_ID})
    stub.add_response("describe_change_set", change_set("FAILED", StatusReason=reason))
    stub.add_response("delete_change_set", {}, {"ChangeSetName": "arn:change"})
    assert cloudformation.propose(live, render(live)) is None


def test_a_change_that_cloudformation_refuses_is_a_failure(recorded):
    live, stub = recorded
    stub.add_response("describe_stacks", stack_in("CREATE_COMPLETE"))
    stub.add_response("create_change_set", {"Id": "arn:change", "StackId": STACK_ID})
    stub.add_response("describe_change_set", change_set("FAILED", StatusReason="Template error"))
    stub.add_response("delete_change_set", {})
    with pytest.raises(CorralError, match="CloudFormation refuses the change: Template error"):
        cloudformation.propose(live, render(live))


def test_termination_protection_follows_the_settings(recorded):
    live, stub = recorded
    stub.add_response("describe_stacks", stack_in("CREATE_COMPLETE"))
    stub.add_response(
        "update_termination_protection",
        {"StackId": STACK_ID},
        {"StackName": "chat-live", "EnableTerminationProtection": True},
    )
    cloudformation.protect(live)


def test_parameters_are_said_outright():
    assert parameters(render(load("live"))) == {"Image": "/aws/service/debian/release/13/latest/amd64"}


def test_progress_is_plain_where_there_is_no_terminal(settings):
    output = corral_stack(settings, "apply", "-y").output
    assert "\x1b" not in output
