"""The API's calls that tell about stacks."""
# ruff: noqa: D102 (the calls and their answers are described in CloudFormation's API reference)

from typing import Any

from moto.cloudformation.exceptions import ValidationError
from moto.core.responses import ActionResult

from lab.cloud.cloudformation.requests import PAGE, STACKS, Request, living
from lab.cloud.cloudformation.stack import Stack


class Reads(Request):
    """The calls."""

    def describe_stacks(self) -> ActionResult:
        found = [self._stack()] if self._get_param("StackName") else living()
        return ActionResult(self._page("Stacks", [_about(stack) for stack in found]))

    def list_stacks(self) -> ActionResult:
        states = self._get_param("StackStatusFilter") or []
        found = [stack for stack in STACKS.values() if not states or stack.status in states]
        return ActionResult(self._page("StackSummaries", [_about(stack) for stack in found]))

    def describe_stack_events(self) -> ActionResult:
        events = self._stack().events
        # The token counts from the oldest: what happens between two pages moves nothing.
        end = int(self._get_param("NextToken") or len(events))
        page: dict[str, Any] = {"StackEvents": events[max(0, end - PAGE) : end][::-1]}
        return ActionResult(page | ({"NextToken": str(end - PAGE)} if end > PAGE else {}))

    def list_stack_resources(self) -> ActionResult:
        return ActionResult(self._page("StackResourceSummaries", self._resources("LastUpdatedTimestamp")))

    def describe_stack_resources(self) -> ActionResult:
        return ActionResult({"StackResources": self._resources("Timestamp")})

    def describe_stack_resource(self) -> ActionResult:
        found = self._resources("LastUpdatedTimestamp")
        if not found:
            logical, stack = self._get_param("LogicalResourceId"), self._stack()
            raise ValidationError(message=f"Resource {logical} does not exist for stack {stack.name}")
        return ActionResult({"StackResourceDetail": found[0]})

    def get_template(self) -> ActionResult:
        return ActionResult({"TemplateBody": self._stack().template.body})

    def validate_template(self) -> ActionResult:
        template = self._template(None)
        about = template.sections.get("Description", "")
        keys = [{"ParameterKey": key, "DefaultValue": value} for key, value in template.parameters.items()]
        return ActionResult({"Description": about, "Parameters": keys})

    def _resources(self, time: str) -> list[dict[str, Any]]:
        stack, only = self._stack(), self._get_param("LogicalResourceId")
        return [
            {
                "StackId": stack.id,
                "StackName": stack.name,
                "LogicalResourceId": logical,
                "PhysicalResourceId": resource.physical,
                "ResourceType": resource.type,
                "ResourceStatus": resource.status,
                time: resource.at,
            }
            for logical, resource in stack.resources.items()
            if not only or logical == only
        ]


def _about(stack: Stack) -> dict[str, Any]:
    about = {
        "StackId": stack.id,
        "StackName": stack.name,
        "StackStatus": stack.status,
        "CreationTime": stack.created,
        "Description": stack.template.sections.get("Description", ""),
        "Parameters": stack.template.told_parameters,
        "Outputs": stack.outputs,
        "Tags": [{"Key": key, "Value": value} for key, value in stack.tags.items()],
        "Capabilities": stack.capabilities,
        "EnableTerminationProtection": stack.protected,
        "DisableRollback": False,
    }
    seldom = {
        "StackStatusReason": stack.reason,
        "LastUpdatedTime": stack.updated,
        "ChangeSetId": stack.change_set,
    }
    return about | {key: value for key, value in seldom.items() if value}
