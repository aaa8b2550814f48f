"""What the calls of CloudFormation's API have in common: the stacks, and how a request names them."""

import threading
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.cloudformation.exceptions import ValidationError
from moto.core.responses import BaseResponse

from lab.cloud import clients
from lab.cloud.cloudformation.admission import check_capabilities, template_body
from lab.cloud.cloudformation.changes import Order
from lab.cloud.cloudformation.stack import FAILURES, Stack
from lab.cloud.cloudformation.template import Template, read

# Stacks by id, in the order of their making; deleted ones stay known by their id, as on AWS.
STACKS: dict[str, Stack] = {}
# States in which a stack can be changed.
REST = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}
# What requests may say and the lab does nothing about.
NOT_DONE = (
    "DeletionMode",
    "DeploymentConfig",
    "DeploymentMode",
    "NotificationARNs",
    "ResourceTypes",
    "ResourcesToImport",
    "RetainExceptOnCreate",
    "RoleARN",
    "RollbackConfiguration",
    "StackPolicyBody",
    "StackPolicyURL",
    "TimeoutInMinutes",
)
# Whoever makes a stack or sets out to change one is alone with them.
lock = threading.RLock()
# Items on a page. (On AWS a page has up to 1 MB.)
PAGE = 100


class Request(BaseResponse):
    """One request."""

    def __init__(self) -> None:
        super().__init__(service_name="cloudformation")
        self.automated_parameter_parsing = True

    def _template(self, stack: Stack | None) -> Template:
        """The request's template and parameters; `stack`: whose own ones it may ask to keep."""
        if stack is not None and self._get_bool_param("UsePreviousTemplate", False):
            body = stack.template.body
        else:
            inline, url = self._get_param("TemplateBody"), self._get_param("TemplateURL")
            body = template_body(inline, url, self.region, self.headers.get("Host", ""))
        given = self._parameters(stack.template.parameters if stack else {})

        def lookup(name: str) -> str:
            found = clients.client("ssm", self.region).get_parameter(Name=name)
            return str(found["Parameter"]["Value"])

        try:
            template = read(body, given, lookup)
            template.order()
        except FAILURES as error:
            raise ValidationError(message=str(error)) from error
        return template

    def _parameters(self, previous: Mapping[str, str]) -> dict[str, str]:
        given = {}
        for parameter in self._get_param("Parameters") or []:
            key = parameter["ParameterKey"]
            keep = parameter.get("UsePreviousValue")
            if keep and key not in previous:
                problem = "Cannot specify usePreviousValue as true for a parameter key not in the previous"
                message = f"Invalid input for parameter key {key}. {problem} template"
                raise ValidationError(message=message)
            given[key] = previous[key] if keep else parameter.get("ParameterValue")
        return given

    def _order(self, stack: Stack | None) -> Order:
        """What the stack is to become by this request; a new one where there is none."""
        self._refuse_what_is_not_done()
        template = self._template(stack)
        check_capabilities(template.resources.values(), self._capabilities())
        return Order(template, self._tags() or (stack.tags if stack else {}))

    def _refuse_what_is_not_done(self) -> None:
        if asked := [word for word in NOT_DONE if self._get_param(word)]:
            raise ValidationError(message=f"The lab's CloudFormation does nothing about {', '.join(asked)}.")

    def _capabilities(self) -> list[str]:
        return list(self._get_param("Capabilities") or [])

    def _tags(self) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self._get_param("Tags") or []}

    def _stack(self) -> Stack:
        wanted = self._get_param("StackName")
        stack = find(wanted)
        if stack is None:
            raise ValidationError(wanted)
        return stack

    def _at_rest(self) -> Stack:
        wanted = self._get_param("StackName")
        stack = find(wanted)
        if stack is None or stack.status == "DELETE_COMPLETE":
            raise ValidationError(message=f"Stack [{wanted}] does not exist")
        check_rest(stack)
        return stack

    def _page(self, key: str, found: list[dict[str, Any]]) -> dict[str, Any]:
        """One page of what was found, which starts where the request's token says."""
        start = int(self._get_param("NextToken") or 0)
        page: dict[str, Any] = {key: found[start : start + PAGE]}
        return page | ({"NextToken": str(start + PAGE)} if start + PAGE < len(found) else {})


def living() -> list[Stack]:
    """Stacks that are not deleted."""
    return [stack for stack in STACKS.values() if stack.status != "DELETE_COMPLETE"]


def find(wanted: str) -> Stack | None:
    """The stack of this name, or with this id, deleted or not."""
    by_name = {stack.name: stack for stack in living()}
    return by_name.get(wanted) or STACKS.get(wanted)


def check_rest(stack: Stack) -> None:
    """Raise ValidationError unless the stack can be changed now."""
    if stack.status not in REST:
        message = f"Stack:{stack.id} is in {stack.status} state and can not be updated."
        raise ValidationError(message=message)


def start(stack: Stack, status: str, work: Callable[[], None]) -> None:
    """Do the work beside the request, as CloudFormation does; a fault of the lab itself fails the stack.

    Called with the `lock`, by whoever looked whether the stack is in a state for it.
    """

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
    threading.Thread(target=run, name=f"stack-{stack.name}", daemon=True).start()
