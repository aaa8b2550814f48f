"""What the calls of CloudFormation's API have in common: the stacks, and how a request names them."""

import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.cloudformation.exceptions import ValidationError
from moto.core.responses import BaseResponse

from lab.cloud import clients
from lab.cloud.cloudformation.intrinsics import TemplateError
from lab.cloud.cloudformation.proposals import proposal
from lab.cloud.cloudformation.resources import Refused
from lab.cloud.cloudformation.stack import FAILURES, Stack
from lab.cloud.cloudformation.template import Template, read

# Stacks by id, in the order of their making; deleted ones stay known by their id, as on AWS.
STACKS: dict[str, Stack] = {}


class Request(BaseResponse):
    """One request."""

    def __init__(self) -> None:
        super().__init__(service_name="cloudformation")
        self.automated_parameter_parsing = True

    def _template(self, stack: Stack | None) -> Template:
        """The request's template and parameters; `stack`: whose own ones it may ask to keep."""
        body = self._get_param("TemplateBody")
        if stack and self._get_bool_param("UsePreviousTemplate", False):
            body = stack.template.body
        if not body:
            raise ValidationError(message="The lab takes templates by TemplateBody.")
        given = {}
        for parameter in self._get_param("Parameters") or []:
            key = parameter["ParameterKey"]
            previous = stack.template.parameters.get(key) if stack else None
            given[key] = previous if parameter.get("UsePreviousValue") else parameter.get("ParameterValue")

        def lookup(name: str) -> str:
            found = clients.client("ssm", self.region).get_parameter(Name=name)
            return str(found["Parameter"]["Value"])

        try:
            template = read(body, given, lookup)
            template.order()
        except FAILURES as error:
            raise ValidationError(message=str(error)) from error
        return template

    def _tags(self) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self._get_param("Tags") or []}

    def _stack(self) -> Stack:
        wanted = self._get_param("StackName")
        by_name = {stack.name: stack for stack in living()}
        stack = by_name.get(wanted) or STACKS.get(wanted)
        if stack is None:
            raise ValidationError(wanted)
        return stack

    def _at_rest(self) -> Stack:
        stack = self._stack()
        fit = stack.status in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}
        if not fit or (stack.work and stack.work.is_alive()):
            message = f"Stack:{stack.id} is in {stack.status} state and can not be updated."
            raise ValidationError(message=message)
        return stack

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


def living() -> list[Stack]:
    """Stacks that are not deleted."""
    return [stack for stack in STACKS.values() if stack.status != "DELETE_COMPLETE"]


def propose(stack: Stack, template: Template, tags: dict[str, str]) -> list[dict[str, Any]]:
    """What an update would change. Raises ValidationError for a template that the stack can't have."""
    try:
        return proposal(stack, template, tags)
    except (Refused, TemplateError) as error:
        raise ValidationError(message=str(error)) from error


def start(stack: Stack, status: str, work: Callable[[], None]) -> None:
    """Do the work beside the request, as CloudFormation does; a fault of the lab itself fails the stack."""

    def run() -> None:
        try:
            work()
        except Exception as error:
            traceback.print_exc()
            verb = status.removesuffix("_IN_PROGRESS")
            failed = "UPDATE_ROLLBACK_FAILED" if verb == "UPDATE" else f"{verb}_FAILED"
            stack.say(failed, f"A fault of the lab's own: {type(error).__name__}: {error}")

    stack.say(status, "User Initiated")
    stack.updated = datetime.now(UTC) if stack.updated or status == "UPDATE_IN_PROGRESS" else None
    stack.work = threading.Thread(target=run, name=f"stack-{stack.name}", daemon=True)
    stack.work.start()
