"""The app servers' group as the stack has it: whether it is there, at rest, and the only one."""

from collections.abc import Collection
from dataclasses import dataclass

from botocore.exceptions import ClientError

from corral.aws import client, explained
from corral.errors import CorralError
from corral.settings import Settings

# As corral/stack/groups.py names it.
LOGICAL = "AppGroup"


@dataclass(frozen=True)
class Group:
    """An auto-scaling group of a stack. `status`: of the resource, such as "UPDATE_COMPLETE"."""

    name: str
    stack: str
    status: str


def group(settings: Settings) -> Group:
    """The app servers' group, by DescribeStackResources, which the release server's role may call.

    Raises CorralError when there is no such stack, or no such group in it.
    """
    cloud = client(settings, "cloudformation")
    with explained(settings):
        try:
            answer = cloud.describe_stack_resources(StackName=settings.stack_name, LogicalResourceId=LOGICAL)
        except ClientError as error:
            if "does not exist" not in error.response["Error"]["Message"]:
                raise
            answer = {"StackResources": []}
    for one in answer["StackResources"]:
        return Group(one.get("PhysicalResourceId", ""), settings.stack_name, one["ResourceStatus"])
    raise CorralError(
        f"There is no stack {settings.stack_name} with a group of app servers.",
        f"Create it: corral stack apply -e {settings.reference}",
        "docs/stack.md",
    )


def against(own: Group, tagged: Collection[str]) -> list[str]:
    """What speaks against a rollout, a sentence each (pure). `tagged`: app servers' groups by their tags."""
    problems = [
        f"{other} has the tags of app servers, and is not the stack's group, which is {own.name}."
        for other in sorted({*tagged} - {own.name})
    ]
    if not own.status.endswith("_COMPLETE"):
        problems.append(f"The stack {own.stack} is not at rest: its {LOGICAL} is {own.status}.")
    return problems
