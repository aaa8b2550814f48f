"""One change set: what would be done to a stack, and what becomes of that."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from lab.cloud.cloudformation.changes import Order
from lab.cloud.cloudformation.imports import imports
from lab.cloud.cloudformation.intrinsics import TemplateError
from lab.cloud.cloudformation.proposals import proposal
from lab.cloud.cloudformation.requests import living
from lab.cloud.cloudformation.resources import Refused
from lab.cloud.cloudformation.stack import REVIEW, Stack

NO_CHANGES = (
    "The submitted information didn't contain changes. Submit different information to create a change set."
)


@dataclass
class ChangeSet:
    """A change set, with all that executing it takes."""

    name: str
    id: str
    stack: Stack
    type: str
    order: Order
    capabilities: list[str]
    on_failure: str | None
    importing: bool
    description: str
    changes: list[dict[str, Any]] = field(default_factory=list)
    failure: str = ""
    execution: str = "AVAILABLE"
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


CHANGE_SETS: dict[str, ChangeSet] = {}


def active(stack: Stack) -> list[ChangeSet]:
    """The stack's change sets that were not executed."""
    return [
        each
        for each in CHANGE_SETS.values()
        if each.stack is stack and not each.execution.startswith("EXECUTE_")
    ]


def outdate(stack: Stack) -> None:
    """The stack is changed by something else: its change sets can no longer be executed."""
    for each in active(stack):
        each.execution = "OBSOLETE"


def proposed(stack: Stack, order: Order) -> list[dict[str, Any]] | None:
    """What the order would change; None when nothing: no resource, no output, no tag of the stack.

    Raises Refused, TemplateError.
    """
    found = proposal(stack, order.template, order.tags, order.imports)
    if found or stack.status == REVIEW:
        return found
    same = stack.outputs == stack.outputs_of(order.template) and stack.tags == order.tags
    return None if same else found


def work_out(made: ChangeSet) -> None:
    """Find the changes, or the reason why there can be none."""
    try:
        if made.importing:
            made.order = replace(made.order, imports=imports(made.stack, made.order.template, living()))
        found = proposed(made.stack, made.order)
    except (Refused, TemplateError) as error:
        made.failure = str(error)
    else:
        made.failure = NO_CHANGES if found is None else ""
        made.changes = found or []
    if made.failure:
        made.execution = "UNAVAILABLE"


def about(chosen: ChangeSet) -> dict[str, Any]:
    """A change set as the API tells it, without its changes."""
    always = {
        "ChangeSetName": chosen.name,
        "ChangeSetId": chosen.id,
        "StackId": chosen.stack.id,
        "StackName": chosen.stack.name,
        "CreationTime": chosen.created,
        "Status": "FAILED" if chosen.failure else "CREATE_COMPLETE",
        "ExecutionStatus": chosen.execution,
        "Parameters": chosen.order.template.told_parameters,
        "Tags": [{"Key": key, "Value": value} for key, value in chosen.order.tags.items()],
        "Capabilities": chosen.capabilities,
        "ImportExistingResources": chosen.importing,
        "IncludeNestedStacks": False,
    }
    seldom = {
        "StatusReason": chosen.failure,
        "OnStackFailure": chosen.on_failure,
        "Description": chosen.description,
    }
    return always | {key: value for key, value in seldom.items() if value}
