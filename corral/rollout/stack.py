"""The app servers' group as the stack has it: whether it is there, at rest, and the only one."""

from collections.abc import Collection, Iterator

from botocore.exceptions import ClientError

from corral.aws import client, explained
from corral.settings import Settings

# As corral/stack/groups.py names it.
GROUP = "AppGroup"


def against(settings: Settings, tagged: Collection[str]) -> Iterator[str]:
    """What speaks against a rollout, a sentence each. `tagged`: app servers' groups by their tags.

    One call (DescribeStackResources), which the release server's role may make.
    """
    cloud = client(settings, "cloudformation")
    with explained(settings):
        try:
            answer = cloud.describe_stack_resources(StackName=settings.stack_name, LogicalResourceId=GROUP)
        except ClientError as error:
            if "does not exist" not in error.response["Error"]["Message"]:
                raise
            yield f"There is no stack {settings.stack_name} with a group of app servers."
            return
    for one in answer["StackResources"]:
        name, status = one.get("PhysicalResourceId", ""), one["ResourceStatus"]
        if not status.endswith("_COMPLETE"):
            yield f"The stack {settings.stack_name} is not at rest: its {GROUP} is {status}."
        for other in sorted({*tagged} - {name}):
            yield f"{other} has the tags of app servers, and is not the stack's group, which is {name}."
