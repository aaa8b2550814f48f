"""The stacks there are: what they say about themselves, and in which states they take no change."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from corral.aws import client, explained
from corral.errors import CorralError
from corral.settings import Settings

SEE = "docs/stack.md"

# An empty shell, which the first change set made or a killed corral left: nothing was created yet.
SHELL = "REVIEW_IN_PROGRESS"
# Creation failed, so there is no environment: nothing in it is protected from its deletion.
NEVER_MADE = {SHELL, "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"}
GONE = "DELETE_COMPLETE"

DELETE = "Delete it, then apply again: corral stack delete -e {environment}"
STUCK = {
    "ROLLBACK_COMPLETE": "Its creation failed, and it holds nothing. " + DELETE,
    "ROLLBACK_FAILED": "Its creation failed, and so did the clean-up. " + DELETE,
    "CREATE_FAILED": "Its creation failed. " + DELETE,
    "DELETE_FAILED": "Its deletion stopped half-way. " + DELETE,
    "UPDATE_ROLLBACK_FAILED": "Mend what its events complain of, then: aws --region {region} cloudformation"
    " continue-update-rollback --stack-name {name}",
}


@dataclass(frozen=True)
class Stack:
    """A stack as CloudFormation describes it. `protected`: from its deletion."""

    id: str
    name: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    tags: Mapping[str, str]
    created: datetime
    protected: bool

    @property
    def exists(self) -> bool:
        """Whether it is more than the shell of a change set."""
        return self.status != SHELL


@dataclass(frozen=True)
class Resource:
    """A resource of a stack: its name in the template, type, physical id and state."""

    logical: str
    kind: str
    physical: str
    status: str


def find(settings: Settings, stack_id: str | None = None) -> Stack | None:
    """The environment's stack, or the one of that id, which may be deleted; None when there is none.

    Raises CorralError when the stack of that name is another environment's.
    """
    with explained(settings):
        cloud = client(settings, "cloudformation")
        try:
            found = _stack(cloud.describe_stacks(StackName=stack_id or settings.stack_name)["Stacks"][0])
        except ClientError as error:
            if "does not exist" in error.response["Error"]["Message"]:
                return None
            raise
    _refuse_anothers(settings, found)
    return found


def require(settings: Settings) -> Stack:
    """The environment's stack. Raises CorralError when there is none."""
    stack = find(settings)
    if stack is None or not stack.exists:
        remedy = f"Create it: corral stack apply -e {settings.reference}"
        raise CorralError(f"There is no stack {settings.stack_name} in {settings.region}.", remedy, SEE)
    return stack


def of_project(settings: Settings) -> list[Stack]:
    """All stacks that corral made for the project in the environment's account and region, by name."""
    with explained(settings):
        pages = client(settings, "cloudformation").get_paginator("describe_stacks").paginate()
        everything = [_stack(raw) for page in pages for raw in page["Stacks"]]
    mine = (stack for stack in everything if stack.tags.get("corral:project") == settings.project)
    return sorted((stack for stack in mine if stack.exists), key=lambda stack: stack.name)


def resources(settings: Settings, stack: Stack) -> list[Resource]:
    """What the stack holds now, in CloudFormation's order; what is deleted is left out."""
    with explained(settings):
        cloud = client(settings, "cloudformation")
        pages = cloud.get_paginator("list_stack_resources").paginate(StackName=stack.id)
        return [
            resource
            for page in pages
            for resource in map(_resource, page["StackResourceSummaries"])
            if resource.status != GONE
        ]


def refuse_unless_at_rest(settings: Settings, stack: Stack | None) -> None:
    """Raise CorralError, with the way out, when the stack is in a state that allows no change."""
    if stack is None or stack.status == SHELL:
        return
    if stack.status in STUCK:
        words = {
            "environment": settings.reference,
            "region": settings.region,
            "name": settings.stack_name,
        }
        remedy = STUCK[stack.status].format(**words)
    elif stack.status.endswith("_IN_PROGRESS"):
        remedy = "Somebody is changing it. Wait until it is done, then try again."
    else:
        return
    raise CorralError(f"Stack {settings.stack_name} is in state {stack.status}.", remedy, SEE)


def protect(settings: Settings) -> None:
    """Let the stack's termination protection be as the settings say."""
    wanted = settings.termination_protection
    if require(settings).protected != wanted:
        with explained(settings):
            client(settings, "cloudformation").update_termination_protection(
                StackName=settings.stack_name, EnableTerminationProtection=wanted
            )


def _refuse_anothers(settings: Settings, stack: Stack) -> None:
    """Project chat-a with environment b, and chat with a-b, give one name to two stacks."""
    mine = (settings.project, settings.environment)
    said = (stack.tags.get("corral:project", mine[0]), stack.tags.get("corral:environment", mine[1]))
    if said != mine:
        raise CorralError(
            f"Stack {stack.name} is that of project {said[0]}, environment {said[1]}.",
            f"Give environment {settings.environment} of project {settings.project} another name.",
            SEE,
        )


def _stack(raw: dict[str, Any]) -> Stack:
    return Stack(
        id=raw["StackId"],
        name=raw["StackName"],
        status=raw["StackStatus"],
        parameters=dict(_pairs(raw.get("Parameters"), "ParameterKey", "ParameterValue")),
        outputs=dict(_pairs(raw.get("Outputs"), "OutputKey", "OutputValue")),
        tags=dict(_pairs(raw.get("Tags"), "Key", "Value")),
        created=raw["CreationTime"],
        protected=bool(raw.get("EnableTerminationProtection")),
    )


def _resource(raw: dict[str, Any]) -> Resource:
    physical = raw.get("PhysicalResourceId", "")
    return Resource(raw["LogicalResourceId"], raw["ResourceType"], physical, raw["ResourceStatus"])


def _pairs(raw: list[dict[str, str]] | None, key: str, value: str) -> Iterator[tuple[str, str]]:
    for each in raw or []:
        yield each[key], each.get(value, "")
