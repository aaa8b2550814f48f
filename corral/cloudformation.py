"""Brings the stack to its template: what would change, the change with its events, and why it failed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from botocore.exceptions import ClientError

from corral.aws import client, explained
from corral.errors import CorralError
from corral.settings import Settings
from corral.stack.template import compact, parameters

SEE = "docs/stack.md"
# Seconds between two looks at a stack that is being changed.
PAUSE = 2.0
# CloudFormation says this of resources that it stopped because another one failed: no cause, a consequence.
CONSEQUENCE = "cancelled"

STUCK = {
    "REVIEW_IN_PROGRESS": "It is an empty shell of a change set. Delete it: {delete}",
    "ROLLBACK_COMPLETE": "Its creation failed, and it holds nothing. Delete it, then apply again: {delete}",
    "ROLLBACK_FAILED": "Its creation failed, and so did the clean-up. Delete it, then apply again: {delete}",
    "CREATE_FAILED": "Its creation failed. Delete it, then apply again: {delete}",
    "DELETE_FAILED": "Its deletion stopped half-way. Delete it again, and see what holds on: {delete}",
    "UPDATE_ROLLBACK_FAILED": "Mend what its events complain of, then: {aws} continue-update-rollback {name}",
}


@dataclass(frozen=True)
class Change:
    """What would happen to one resource: Add, Modify or Remove; `replaces` when a new one takes its place."""

    action: str
    resource: str
    kind: str
    replaces: bool


@dataclass(frozen=True)
class Event:
    """Something that happened to one resource."""

    resource: str
    kind: str
    status: str
    reason: str


@dataclass(frozen=True)
class Proposal:
    """A change that has not run yet. Without a change set the stack is to be created."""

    template: str
    changes: tuple[Change, ...]
    change_set: str | None = None


def propose(settings: Settings, template: str) -> Proposal | None:
    """What it takes to bring the stack to `template` (JSON); None when nothing does.

    Raises CorralError when the stack is in a state that allows no change.
    """
    with explained(settings):
        cloud = client(settings, "cloudformation")
        stack = _describe(cloud, settings.stack_name)
        if stack is None:
            return Proposal(template, ())
        _refuse_unless_at_rest(settings, stack["StackStatus"])
        return _change_set(settings, cloud, template)


def carry_out(settings: Settings, proposal: Proposal) -> Iterator[Event]:
    """Run the proposal; yields events as they come. Raises CorralError with the first failure's reason."""
    with explained(settings):
        cloud = client(settings, "cloudformation")
        if proposal.change_set:
            stack_id = _describe(cloud, settings.stack_name)["StackId"]
            last = next(_events(cloud, stack_id), {}).get("EventId")
            cloud.execute_change_set(ChangeSetName=proposal.change_set)
        else:
            last = None
            stack_id = cloud.create_stack(
                **_request(settings, proposal.template),
                # A creation that fails leaves nothing behind, so that the next attempt is a plain one. For
                # the same reason termination protection comes afterwards: see `protect`.
                OnFailure="DELETE",
            )["StackId"]
        failures: list[Event] = []
        while True:
            # The state first: whatever happened before it was reached is then among the events.
            status = _describe(cloud, stack_id)["StackStatus"]
            news = list(takewhile(lambda event: event["EventId"] != last, _events(cloud, stack_id)))  # noqa: B023
            last = news[0]["EventId"] if news else last
            for event in map(_event, reversed(news)):
                failures += [event] if event.status.endswith("_FAILED") else []
                yield event
            if not status.endswith("_IN_PROGRESS"):
                break
            time.sleep(PAUSE)
    if status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        raise _why(settings, status, failures)


def discard(settings: Settings, proposal: Proposal) -> None:
    """Forget a proposal that is not to be carried out."""
    if proposal.change_set:
        with explained(settings):
            client(settings, "cloudformation").delete_change_set(ChangeSetName=proposal.change_set)


def protect(settings: Settings) -> None:
    """Let the stack's termination protection be as the settings say."""
    with explained(settings):
        cloud = client(settings, "cloudformation")
        stack = _describe(cloud, settings.stack_name) or {}
        if bool(stack.get("EnableTerminationProtection")) != settings.termination_protection:
            cloud.update_termination_protection(
                StackName=settings.stack_name, EnableTerminationProtection=settings.termination_protection
            )


def outputs(settings: Settings) -> dict[str, str]:
    """The stack's outputs by name. Raises CorralError when there is no stack."""
    with explained(settings):
        stack = _describe(client(settings, "cloudformation"), settings.stack_name)
    if stack is None:
        remedy = f"Create it: corral stack apply -e {settings.environment}"
        raise CorralError(f"There is no stack {settings.stack_name} in {settings.region}.", remedy, SEE)
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _describe(cloud: Any, name: str) -> Any:
    try:
        return cloud.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise


def _refuse_unless_at_rest(settings: Settings, status: str) -> None:
    name = f"--stack-name {settings.stack_name}"
    aws = f"aws --region {settings.region} cloudformation"
    delete = f"{aws} delete-stack {name}"
    if status in STUCK:
        remedy = STUCK[status].format(delete=delete, aws=aws, name=name)
    elif status.endswith("_IN_PROGRESS"):
        remedy = "Somebody is changing it. Wait until it is done, then apply again."
    else:
        return
    raise CorralError(f"Stack {settings.stack_name} is in state {status}.", remedy, SEE)


def _request(settings: Settings, template: str) -> dict[str, Any]:
    """What creating a stack and proposing a change have in common."""
    tags = {"corral:project": settings.project, "corral:environment": settings.environment}
    return {
        "StackName": settings.stack_name,
        "TemplateBody": compact(template),
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters(template).items()
        ],
        # The instance roles have names.
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


def _change_set(settings: Settings, cloud: Any, template: str) -> Proposal | None:
    name = f"corral-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    made = cloud.create_change_set(**_request(settings, template), ChangeSetName=name, ChangeSetType="UPDATE")
    while True:
        found = cloud.describe_change_set(ChangeSetName=made["Id"])
        if not found["Status"].endswith(("_PENDING", "_IN_PROGRESS")):
            break
        time.sleep(PAUSE)
    if found["Status"] == "FAILED":
        cloud.delete_change_set(ChangeSetName=made["Id"])
        reason = found.get("StatusReason", "no reason given")
        # So does CloudFormation answer when template and parameters are what the stack has already.
        if "didn't contain changes" in reason or "No updates are to be performed" in reason:
            return None
        raise CorralError(f"CloudFormation refuses the change: {reason}", see=SEE)
    changes = found["Changes"]
    while token := found.get("NextToken"):
        found = cloud.describe_change_set(ChangeSetName=made["Id"], NextToken=token)
        changes += found["Changes"]
    return Proposal(template, tuple(_change(each["ResourceChange"]) for each in changes), made["Id"])


def _change(change: dict[str, Any]) -> Change:
    replaces = change.get("Replacement") in {"True", "Conditional"}
    return Change(change["Action"], change["LogicalResourceId"], change["ResourceType"], replaces)


def _events(cloud: Any, stack_id: str) -> Iterator[dict[str, Any]]:
    """Events of the stack, newest first."""
    for page in cloud.get_paginator("describe_stack_events").paginate(StackName=stack_id):
        yield from page["StackEvents"]


def _event(raw: dict[str, Any]) -> Event:
    reason = raw.get("ResourceStatusReason", "")
    return Event(raw["LogicalResourceId"], raw["ResourceType"], raw["ResourceStatus"], reason)


def _why(settings: Settings, status: str, failures: list[Event]) -> CorralError:
    """The first failure that is no consequence of another."""
    causes = [event for event in failures if CONSEQUENCE not in event.reason] or failures
    problem = f"Stack {settings.stack_name} ended in state {status}."
    if causes:
        first = causes[0]
        problem += f" First failure: {first.resource} ({first.kind}): {first.reason}"
    return CorralError(problem, "Mend the cause, then apply again.", SEE)
