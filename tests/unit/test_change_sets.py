"""Changes shown before they run: what neither moto nor the lab answers, in the shape of the API reference."""

import json

import boto3
import pytest
from botocore.stub import ANY, Stubber

from corral.cloudformation import change_sets, events, request, stacks
from corral.cloudformation.change_sets import Proposal
from corral.cloudformation.changes import Change, Difference
from corral.cloudformation.request import Wishes
from corral.errors import CorralError
from corral.settings import load
from corral.stack import render

STACK_ID = "arn:aws:cloudformation:eu-west-1:111122223333:stack/chat-live/1"
ID = "arn:aws:cloudformation:eu-west-1:111122223333:changeSet/corral/1"
SMALL = json.dumps({"Resources": {}})


@pytest.fixture
def recorded(monkeypatch):
    """Settings of the live environment, and the stub of the one CloudFormation client there is."""
    cloud = boto3.client(
        "cloudformation", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    for module in (change_sets, events, stacks):
        monkeypatch.setattr(module, "client", lambda settings, service: cloud)
    monkeypatch.setattr(events, "PAUSE", 0)
    with Stubber(cloud) as stub:
        yield load("live"), stub
        stub.assert_no_pending_responses()


def stack_in(status, **more):
    about = {"StackName": "chat-live", "StackId": STACK_ID, "StackStatus": status, "CreationTime": 0}
    return {"Stacks": [about | more]}


def event(number, resource, status, reason=""):
    return {
        "StackId": STACK_ID,
        "EventId": str(number),
        "StackName": "chat-live",
        "Timestamp": number,
        "LogicalResourceId": resource,
        "PhysicalResourceId": STACK_ID if resource == "chat-live" else f"{resource.lower()}-1",
        "ResourceType": "AWS::EC2::VPC",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


def expect_proposal(stub, *answers, status="UPDATE_COMPLETE"):
    """A change set is made for a stack in `status`, and described so often."""
    stub.add_response("describe_stacks", stack_in(status), {"StackName": "chat-live"})
    stub.add_response("create_change_set", {"Id": ID, "StackId": STACK_ID})
    for answer in answers:
        stub.add_response("describe_change_set", {"ChangeSetId": ID, **answer})


def expect_forgotten(stub, others=()):
    """A change set of a new stack is deleted, and the shell with it if nobody else has one."""
    stub.add_response("delete_change_set", {}, {"ChangeSetName": ID})
    stub.add_response("describe_stacks", stack_in("REVIEW_IN_PROGRESS"), {"StackName": STACK_ID})
    summaries = [{"ChangeSetId": each} for each in (ID, *others)]
    stub.add_response("list_change_sets", {"Summaries": summaries}, {"StackName": STACK_ID})


# Which states take a change


@pytest.mark.parametrize(
    ("status", "way_out"),
    [
        ("CREATE_IN_PROGRESS", "Somebody is changing it. Wait"),
        ("UPDATE_IN_PROGRESS", "Somebody is changing it. Wait"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", "Somebody is changing it. Wait"),
        ("DELETE_IN_PROGRESS", "Somebody is changing it. Wait"),
        ("CREATE_FAILED", "corral stack delete -e live"),
        ("ROLLBACK_COMPLETE", "it holds nothing. Delete it, then apply again: corral stack delete -e live"),
        ("ROLLBACK_FAILED", "corral stack delete -e live"),
        ("DELETE_FAILED", "corral stack delete -e live"),
        (
            "UPDATE_ROLLBACK_FAILED",
            "aws --region eu-west-1 cloudformation continue-update-rollback --stack-name chat-live",
        ),
    ],
)
def test_a_stack_that_takes_no_change_is_left_alone_with_the_way_out(recorded, status, way_out):
    live, stub = recorded
    stub.add_response("describe_stacks", stack_in(status), {"StackName": "chat-live"})
    with pytest.raises(CorralError) as caught:
        change_sets.propose(live, SMALL, Wishes())
    assert caught.value.problem == f"Stack chat-live is in state {status}."
    assert way_out in caught.value.remedy


def test_the_shell_that_a_killed_corral_left_is_taken_over(recorded):
    live, stub = recorded
    stub.add_response("describe_stacks", stack_in("REVIEW_IN_PROGRESS"), {"StackName": "chat-live"})
    asked = {
        "StackName": "chat-live",
        "ChangeSetName": ANY,
        "ChangeSetType": "CREATE",
        "OnStackFailure": "DELETE",
        "ImportExistingResources": True,
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Parameters": [],
        "Tags": [
            {"Key": "corral:project", "Value": "chat"},
            {"Key": "corral:environment", "Value": "live"},
            {"Key": "corral:file", "Value": "live"},
        ],
        "TemplateBody": '{"Resources":{}}',
    }
    stub.add_response("create_change_set", {"Id": ID, "StackId": STACK_ID}, asked)
    made = {"ChangeSetId": ID, "Status": "CREATE_COMPLETE", "Changes": []}
    stub.add_response("describe_change_set", made, {"ChangeSetName": ID})
    stub.add_response("describe_change_set", made, {"ChangeSetName": ID, "IncludePropertyValues": True})
    assert change_sets.propose(live, SMALL, Wishes()) == Proposal({"Resources": {}}, True, ID, STACK_ID)


# What CloudFormation proposes


def resource_change(number):
    about = {"Action": "Add", "LogicalResourceId": f"Thing{number}", "ResourceType": "AWS::EC2::VPC"}
    return {"Type": "Resource", "ResourceChange": about}


def test_the_changes_are_read_when_they_are_worked_out_page_by_page(recorded):
    live, stub = recorded
    expect_proposal(
        stub,
        {"Status": "CREATE_PENDING"},
        {"Status": "CREATE_IN_PROGRESS"},
        {"Status": "CREATE_COMPLETE"},
        {"Status": "CREATE_COMPLETE", "Changes": [resource_change(1)], "NextToken": "more"},
        {"Status": "CREATE_COMPLETE", "Changes": [resource_change(2)]},
    )
    proposal = change_sets.propose(live, SMALL, Wishes())
    assert not proposal.creates
    assert proposal.changes == tuple(Change("added", f"Thing{number}", "AWS::EC2::VPC") for number in (1, 2))


@pytest.mark.parametrize(
    "reason",
    [
        "The submitted information didn't contain changes. Submit different information to create another.",
        "No updates are to be performed.",
    ],
)
def test_no_updates_are_no_failure_and_leave_no_change_set(recorded, reason):
    live, stub = recorded
    expect_proposal(stub, {"Status": "FAILED", "StatusReason": reason})
    stub.add_response("delete_change_set", {}, {"ChangeSetName": ID})
    assert change_sets.propose(live, SMALL, Wishes()) is None


def test_a_change_that_cloudformation_refuses_is_a_sentence_and_leaves_nothing(recorded):
    live, stub = recorded
    stub.add_client_error(
        "describe_stacks", "ValidationError", "Stack with id chat-live does not exist", http_status_code=400
    )
    stub.add_response("create_change_set", {"Id": ID, "StackId": STACK_ID})
    stub.add_response(
        "describe_change_set", {"ChangeSetId": ID, "Status": "FAILED", "StatusReason": "Template error"}
    )
    expect_forgotten(stub)
    stub.add_response("delete_stack", {}, {"StackName": STACK_ID})
    with pytest.raises(CorralError, match="CloudFormation refuses the change: Template error") as caught:
        change_sets.propose(live, SMALL, Wishes())
    assert caught.value.remedy.startswith("Nothing was changed.")


def test_what_an_early_validation_found_is_told(recorded):
    live, stub = recorded
    reason = "The following validation failed: [AWS::EarlyValidation::ResourceExistenceCheck]."
    expect_proposal(stub, {"Status": "FAILED", "StatusReason": reason})
    found = {"LogicalResourceId": "LogsBucket", "ValidationStatusReason": "The bucket is somebody else's."}
    stub.add_response(
        "describe_events",
        {"OperationEvents": [found, {"LogicalResourceId": "Vpc"}]},
        {"ChangeSetName": ID, "Filters": {"FailedEvents": True}},
    )
    stub.add_response("delete_change_set", {}, {"ChangeSetName": ID})
    with pytest.raises(CorralError, match="LogsBucket: The bucket is somebody else's"):
        change_sets.propose(live, SMALL, Wishes())


@pytest.mark.parametrize(
    ("code", "message", "problem"),
    [
        (
            "InsufficientCapabilitiesException",
            "Requires capabilities : [CAPABILITY_AUTO_EXPAND]",
            "The template asks for more than corral allows CloudFormation: Requires capabilities"
            " : [CAPABILITY_AUTO_EXPAND]",
        ),
        (
            "ValidationError",
            f"Stack:{STACK_ID} is in UPDATE_IN_PROGRESS state and can not be updated.",
            "Somebody else changed stack chat-live at the same moment: this change is void, and did nothing.",
        ),
        (
            "ValidationError",
            "Unable to fetch parameters [/corral/live/image] from parameter store for this account.",
            "CloudFormation refuses the change: Unable to fetch parameters [/corral/live/image] from"
            " parameter store for this account.",
        ),
        ("ExpiredToken", "The security token is expired", "The AWS credentials have expired."),
    ],
)
def test_a_change_set_that_cannot_be_made_is_a_sentence(recorded, code, message, problem):
    live, stub = recorded
    stub.add_response("describe_stacks", stack_in("UPDATE_COMPLETE"))
    stub.add_client_error("create_change_set", code, message)
    with pytest.raises(CorralError) as caught:
        change_sets.propose(live, SMALL, Wishes())
    assert caught.value.problem == problem


def test_interrupted_while_it_is_worked_out_no_change_set_is_left(recorded, monkeypatch):
    live, stub = recorded

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(change_sets.time, "sleep", interrupt)
    expect_proposal(stub, {"Status": "CREATE_IN_PROGRESS"})
    stub.add_response("delete_change_set", {}, {"ChangeSetName": ID})
    with pytest.raises(KeyboardInterrupt):
        change_sets.propose(live, SMALL, Wishes())


def test_a_shell_that_somebody_else_proposes_for_stays(recorded):
    live, stub = recorded
    expect_forgotten(stub, others=["arn:aws:cloudformation:eu-west-1:1:changeSet/theirs/2"])
    change_sets.forget(live, Proposal({}, True, ID, STACK_ID))


def test_a_stack_that_somebody_else_is_creating_is_left_alone(recorded):
    live, stub = recorded
    stub.add_client_error("delete_change_set", "ChangeSetNotFound", "ChangeSet [x] does not exist")
    stub.add_response("describe_stacks", stack_in("CREATE_IN_PROGRESS"), {"StackName": STACK_ID})
    change_sets.forget(live, Proposal({}, True, ID, STACK_ID))


# Carrying it out


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ChangeSetNotFound", "ChangeSet [x] does not exist"),
        ("InvalidChangeSetStatus", "cannot be executed in its current execution status of [OBSOLETE]"),
        ("ValidationError", f"Stack:{STACK_ID} is in UPDATE_IN_PROGRESS state and can not be updated."),
    ],
)
def test_of_two_applies_at_once_the_second_is_void(recorded, code, message):
    live, stub = recorded
    stub.add_response("describe_stack_events", {"StackEvents": []})
    stub.add_client_error("execute_change_set", code, message)
    with pytest.raises(CorralError) as caught:
        list(change_sets.carry_out(live, Proposal({}, False, ID, STACK_ID)))
    assert caught.value.problem == (
        "Somebody else changed stack chat-live at the same moment: this change is void, and did nothing."
    )
    assert caught.value.remedy.endswith("corral stack diff -e live")


def test_only_events_of_this_change_come_in_order_once_each_until_the_stack_is_at_rest(recorded):
    live, stub = recorded
    old = event(1, "Vpc", "UPDATE_COMPLETE")
    begun = event(2, "chat-live", "UPDATE_IN_PROGRESS")
    vpc = [event(3, "Vpc", "UPDATE_IN_PROGRESS"), event(4, "Vpc", "UPDATE_COMPLETE")]
    cleaning = event(5, "chat-live", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    done = event(6, "chat-live", "UPDATE_COMPLETE")
    stub.add_response("describe_stack_events", {"StackEvents": [old]}, {"StackName": STACK_ID})
    stub.add_response("execute_change_set", {}, {"ChangeSetName": ID})
    for seen in ([old], [begun, old], [vpc[0], begun, old], [cleaning, vpc[1], vpc[0], begun, old]):
        stub.add_response("describe_stack_events", {"StackEvents": seen}, {"StackName": STACK_ID})
    stub.add_response("describe_stack_events", {"StackEvents": [done, cleaning], "NextToken": "older"})
    stub.add_response("describe_stacks", stack_in("UPDATE_COMPLETE"), {"StackName": STACK_ID})
    found = list(change_sets.carry_out(live, Proposal({}, False, ID, STACK_ID)))
    assert [(each.resource, each.status) for each in found] == [
        (each["LogicalResourceId"], each["ResourceStatus"]) for each in (begun, *vpc, cleaning, done)
    ]


def fail(recorded, happened, status, resources=()):
    """Carry out a change of which `happened`; the error that tells of it."""
    live, stub = recorded
    stub.add_response("describe_stack_events", {"StackEvents": []})
    stub.add_response("execute_change_set", {})
    stub.add_response("describe_stack_events", {"StackEvents": happened[::-1]})
    for _ in range(2):
        stub.add_response("describe_stacks", stack_in(status), {"StackName": STACK_ID})
    if resources:
        stub.add_response("list_stack_resources", {"StackResourceSummaries": resources})
    with pytest.raises(CorralError) as caught:
        list(change_sets.carry_out(live, Proposal({}, True, ID, STACK_ID)))
    return caught.value


def resource(name, status):
    return {
        "LogicalResourceId": name,
        "PhysicalResourceId": f"{name.lower()}-1",
        "ResourceType": "AWS::EC2::VPC",
        "ResourceStatus": status,
        "LastUpdatedTimestamp": 0,
    }


CANCELLED = event(3, "Balancer", "CREATE_FAILED", "Resource creation cancelled")
CAUSE = event(4, "Vpc", "CREATE_FAILED", "The maximum number of VPCs has been reached.")


def test_of_a_creation_that_failed_the_first_cause_is_named_and_nothing_is_left(recorded):
    error = fail(
        recorded,
        [
            event(1, "chat-live", "CREATE_IN_PROGRESS"),
            event(2, "Vpc", "CREATE_IN_PROGRESS"),
            CANCELLED,
            CAUSE,
            event(5, "AppRole", "CREATE_FAILED", "Resource creation cancelled"),
            event(6, "chat-live", "DELETE_IN_PROGRESS"),
            event(7, "chat-live", "DELETE_COMPLETE"),
        ],
        "DELETE_COMPLETE",
    )
    assert error.problem.splitlines() == [
        "Stack chat-live ended in state DELETE_COMPLETE.",
        "First failure: Vpc (AWS::EC2::VPC): The maximum number of VPCs has been reached.",
        "What was made is deleted again: there is no stack. What was there before is kept.",
    ]
    assert error.remedy == "Mend the cause, then apply again."


def test_of_a_clean_up_that_failed_it_is_said_what_is_left(recorded):
    error = fail(
        recorded,
        [CAUSE, event(5, "Nat", "DELETE_FAILED", "in use"), event(6, "chat-live", "DELETE_FAILED")],
        "DELETE_FAILED",
        [resource("Nat", "DELETE_FAILED"), resource("Vpc", "DELETE_COMPLETE")],
    )
    assert error.problem.splitlines()[1:] == [
        "First failure: Vpc (AWS::EC2::VPC): The maximum number of VPCs has been reached.",
        "These are still there: Nat (nat-1).",
    ]
    assert error.remedy == "Mend the cause, then: corral stack delete -e live"


def test_an_update_that_went_back_says_so(recorded):
    error = fail(
        recorded,
        [CAUSE, event(5, "chat-live", "UPDATE_ROLLBACK_COMPLETE")],
        "UPDATE_ROLLBACK_COMPLETE",
        [resource("Vpc", "UPDATE_COMPLETE")],
    )
    assert error.problem.splitlines()[0] == "Stack chat-live ended in state UPDATE_ROLLBACK_COMPLETE."
    assert error.problem.splitlines()[2] == "Everything is as it was before."


def test_an_update_that_went_back_says_that_new_servers_stay(recorded):
    done = "Successfully terminated instance(s) [i-1] (Progress 50%)."
    error = fail(
        recorded,
        [
            event(1, "AppGroup", "UPDATE_IN_PROGRESS", done),
            CAUSE,
            event(5, "chat-live", "UPDATE_ROLLBACK_COMPLETE"),
        ],
        "UPDATE_ROLLBACK_COMPLETE",
        [resource("Vpc", "UPDATE_COMPLETE")],
    )
    assert error.problem.splitlines()[2:] == [
        "Everything is as it was before.",
        "Servers that were replaced already stay so.",
    ]


def test_an_update_that_could_not_go_back_says_where_it_stands(recorded):
    error = fail(
        recorded,
        [CAUSE, event(5, "chat-live", "UPDATE_ROLLBACK_FAILED")],
        "UPDATE_ROLLBACK_FAILED",
        [resource("Vpc", "UPDATE_COMPLETE"), resource("Nat", "UPDATE_FAILED")],
    )
    assert error.problem.splitlines()[2] == "It is half-way back. These could not be brought back: Nat."
    assert "continue-update-rollback --stack-name chat-live" in error.remedy


def test_when_only_consequences_are_known_the_first_one_is_better_than_nothing(recorded):
    error = fail(recorded, [CANCELLED, event(5, "chat-live", "DELETE_COMPLETE")], "DELETE_COMPLETE")
    assert "First failure: Balancer" in error.problem


def test_who_loses_sight_of_a_change_is_told_that_it_goes_on(recorded):
    live, stub = recorded
    stub.add_response("describe_stack_events", {"StackEvents": []})
    stub.add_response("execute_change_set", {})
    stub.add_client_error("describe_stack_events", "ExpiredToken", "expired")
    with pytest.raises(CorralError) as caught:
        list(change_sets.carry_out(live, Proposal({}, False, ID, STACK_ID)))
    assert caught.value.problem == (
        "The AWS credentials have expired.\nWhat was begun with stack chat-live goes on without us."
    )


# What is asked for


def given(wishes, stack=None, environment="live"):
    asked = request.parameters(json.loads(render(load(environment))), stack, wishes)
    return {each["ParameterKey"]: each.get("ParameterValue", "as it was") for each in asked}


def has(**parameters):
    """A stack with these parameters."""
    return stacks.Stack(STACK_ID, "chat-live", "UPDATE_COMPLETE", parameters, {}, {}, None, False)


def test_parameters_are_said_outright_and_the_expiry_is_kept():
    first = {"Image": "/corral/live/image", "ReplaceServers": "no", "Expires": "never", "Servers": "no"}
    assert given(Wishes()) == first
    later = first | {"Servers": "yes"}
    assert given(Wishes(), has(Expires="2026-01-01")) == later | {"Expires": "as it was"}
    assert given(Wishes(), has()) == later, "a stack from before there was an expiry, or a choice of servers"
    asked = Wishes(replace_servers=True, image="/other", expires="2026-02-01")
    assert given(asked, has(Expires="2026-01-01")) == {
        "Image": "/other",
        "ReplaceServers": "yes",
        "Expires": "2026-02-01",
        "Servers": "yes",
    }


@pytest.mark.parametrize("there", ["no", "yes"])
def test_a_stack_is_never_told_that_it_has_no_servers_any_more(there):
    assert given(Wishes(), has(Servers=there))["Servers"] == "as it was"
    assert given(Wishes(servers=True), has(Servers=there))["Servers"] == "yes"
    assert request.has_servers(has(Servers=there)) == (there == "yes")


def test_parameters_that_differ_are_told_but_for_the_consent():
    there = has(Expires="2026-01-01", ReplaceServers="no", Image="/corral/live/image")
    template = json.loads(render(load("live")))
    asked = request.parameters(template, there, Wishes(replace_servers=True, expires="2026-02-01"))
    assert request.differences(asked, there) == (Difference("Expires", "2026-01-01", "2026-02-01"),)
    assert request.differences(request.parameters(template, there, Wishes()), there) == ()
    assert request.differences(asked, None) == ()


def test_the_stack_of_a_branch_says_which_file_it_was_made_from():
    tags = {tag["Key"]: tag["Value"] for tag in request.tags(load("branch/feature-x"))}
    assert tags == {
        "corral:project": "chat",
        "corral:environment": "feature-x",
        "corral:file": "branch",
    }
