"""Changes that are shown before they run: proposed as a change set, then carried out, or forgotten."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from corral.aws import client, explained
from corral.cloudformation import events, request, stacks, templates
from corral.cloudformation.changes import Change, Difference, read
from corral.cloudformation.request import Wishes
from corral.errors import CorralError
from corral.settings import Settings

SEE = "docs/stack.md"
# So does CloudFormation say that template, parameters and tags are what the stack has already.
NOTHING = ("didn't contain changes", "No updates are to be performed")
# It checks names and values before it tries them, and tells what it found in events of the change set.
VALIDATION = "EarlyValidation"
WORKING = {"CREATE_PENDING", "CREATE_IN_PROGRESS"}


@dataclass(frozen=True)
class Proposal:
    """A change that has not run yet. `creates`: the stack is there as the shell of this change set only.

    Without `changes` it changes no resource, but outputs: those of other `parameters`.
    """

    template: dict[str, Any]
    creates: bool
    id: str
    stack_id: str
    parameters: tuple[Difference, ...] = ()
    changes: tuple[Change, ...] = ()


def propose(settings: Settings, template: str, wishes: Wishes) -> Proposal | None:
    """What it takes to bring the stack to `template` (JSON); None when nothing does.

    Raises CorralError when the stack is in a state that allows no change. However it ends, no change set is
    left behind but the one that it returns.
    """
    stack = stacks.find(settings)
    stacks.refuse_unless_at_rest(settings, stack)
    existing = stack if stack and stack.exists else None
    parts = json.loads(template)
    given = request.parameters(parts, existing, wishes)
    with explained(settings):
        body = templates.given(settings, template)
        made = _make(settings, body, given, creates=existing is None)
        other = request.differences(given, existing)
        proposal = Proposal(parts, existing is None, made["Id"], made["StackId"], other)
        try:
            found = _worked_out(settings, proposal)
        except BaseException:
            forget(settings, proposal)
            raise
    if found is None:
        forget(settings, proposal)
        return None
    return replace(proposal, changes=found)


def carry_out(settings: Settings, proposal: Proposal) -> Iterator[events.Event]:
    """Run the proposal; yields events as they come. Raises CorralError with the first cause when it fails."""
    last = events.newest(settings, proposal.stack_id)
    with explained(settings):
        try:
            client(settings, "cloudformation").execute_change_set(ChangeSetName=proposal.id)
        except ClientError as error:
            raise _void(settings, error) from error
    seen = []
    for event in events.follow(settings, proposal.stack_id, last):
        seen.append(event)
        yield event
    if seen[-1].status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}:
        stack = stacks.find(settings, proposal.stack_id)
        left = stacks.resources(settings, stack) if stack and stack.status != stacks.GONE else []
        raise events.why(settings, seen, left)


def forget(settings: Settings, proposal: Proposal) -> None:
    """Delete a proposal that is not to be carried out; and the shell that it made of a stack, if it did."""
    with explained(settings):
        cloud = client(settings, "cloudformation")
        # Whoever carries out another change of the stack takes this one away.
        with suppress(cloud.exceptions.ChangeSetNotFoundException):
            cloud.delete_change_set(ChangeSetName=proposal.id)
        stack = stacks.find(settings, proposal.stack_id) if proposal.creates else None
        if stack is None or stack.status != stacks.SHELL:
            return
        pages = cloud.get_paginator("list_change_sets").paginate(StackName=proposal.stack_id)
        others = [each for page in pages for each in page["Summaries"] if each["ChangeSetId"] != proposal.id]
        # Somebody else may be about to say yes to a change set of their own.
        if not others:
            cloud.delete_stack(StackName=proposal.stack_id)


def _make(
    settings: Settings, body: dict[str, str], given: list[dict[str, object]], creates: bool
) -> dict[str, str]:
    name = f"corral-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    # A creation that fails leaves nothing behind, so that the next attempt is a plain one. For the same
    # reason termination protection comes afterwards: see `stacks.protect`.
    failing = {"OnStackFailure": "DELETE"} if creates else {}
    try:
        made: dict[str, str] = client(settings, "cloudformation").create_change_set(
            StackName=settings.stack_name,
            ChangeSetName=name,
            ChangeSetType="CREATE" if creates else "UPDATE",
            Parameters=given,
            # The instance roles have names.
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Tags=request.tags(settings),
            # Buckets of these names that an earlier stack left behind are taken over with what they hold.
            ImportExistingResources=True,
            **failing,
            **body,
        )
    except ClientError as error:
        raise _not_made(settings, error) from error
    return made


def _worked_out(settings: Settings, proposal: Proposal) -> tuple[Change, ...] | None:
    """The changes, once CloudFormation has worked them out; None when there is nothing to change."""
    cloud = client(settings, "cloudformation")
    while (found := cloud.describe_change_set(ChangeSetName=proposal.id))["Status"] in WORKING:
        time.sleep(events.PAUSE)
    if found["Status"] == "FAILED":
        reason = found.get("StatusReason", "no reason given")
        if any(words in reason for words in NOTHING):
            return None
        raise _refused(settings, proposal, reason)
    pages = cloud.get_paginator("describe_change_set")
    asked = pages.paginate(ChangeSetName=proposal.id, IncludePropertyValues=True)
    return read(change for page in asked for change in page["Changes"])


def _refused(settings: Settings, proposal: Proposal, reason: str) -> CorralError:
    said = [reason]
    if VALIDATION in reason:
        cloud = client(settings, "cloudformation")
        found = cloud.describe_events(ChangeSetName=proposal.id, Filters={"FailedEvents": True})
        said += [
            f"  {event.get('LogicalResourceId')}: {event['ValidationStatusReason']}"
            for event in found["OperationEvents"]
            if event.get("ValidationStatusReason")
        ]
    problem = "CloudFormation refuses the change: " + "\n".join(said)
    return CorralError(problem, "Nothing was changed. Mend the cause, then try again.", SEE)


def _not_made(settings: Settings, error: ClientError) -> CorralError | ClientError:
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    if code == "InsufficientCapabilitiesException":
        problem = f"The template asks for more than corral allows CloudFormation: {message}"
        remedy = "Nothing was changed. corral gives CAPABILITY_NAMED_IAM; use no macros in corral/stack/."
        return CorralError(problem, remedy, SEE)
    if "_IN_PROGRESS state" in message:
        return _somebody_else(settings)
    if code == "ValidationError":
        problem = f"CloudFormation refuses the change: {message}"
        return CorralError(problem, "Nothing was changed. Mend the cause, then try again.", SEE)
    return error


def _void(settings: Settings, error: ClientError) -> CorralError | ClientError:
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    if code in {"ChangeSetNotFound", "InvalidChangeSetStatus"} or "_IN_PROGRESS state" in message:
        return _somebody_else(settings)
    return error


def _somebody_else(settings: Settings) -> CorralError:
    return CorralError(
        f"Somebody else changed stack {settings.stack_name} at the same moment: this change is void, and did"
        " nothing.",
        f"Wait until theirs is done, then see what is left: corral stack diff -e {settings.reference}",
        SEE,
    )
