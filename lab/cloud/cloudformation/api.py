"""The API of CloudFormation. What is not here is answered with NotImplemented, not with a guess."""
# ruff: noqa: D102 (the calls and their answers are described in CloudFormation's API reference)

import threading
from typing import Any

from moto.cloudformation import responses as stock
from moto.cloudformation import urls
from moto.cloudformation.exceptions import AlreadyExistsException, ValidationError
from moto.core.responses import ActionResult, EmptyResult

from lab.cloud.cloudformation import changes
from lab.cloud.cloudformation.change_sets import ChangeSets
from lab.cloud.cloudformation.requests import STACKS, living, propose, start
from lab.cloud.cloudformation.stack import Stack

_lock = threading.Lock()


def install() -> None:
    """Take the place of moto's CloudFormation."""
    urls.url_paths["{0}/$"] = CloudFormation.dispatch
    stock.CloudFormationResponse = CloudFormation  # type: ignore[assignment, misc]


class CloudFormation(ChangeSets):
    """The calls about stacks."""

    def create_stack(self) -> ActionResult:
        name = self._get_param("StackName")
        template = self._template(None)
        on_failure = self._get_param("OnFailure") or "ROLLBACK"
        if self._get_bool_param("DisableRollback", False):
            on_failure = "DO_NOTHING"
        with _lock:
            if any(stack.name == name for stack in living()):
                raise AlreadyExistsException(f"Stack [{name}] already exists")
            stack = Stack(name, self.current_account, self.region, template, self._tags())
            STACKS[stack.id] = stack
        stack.protected = self._get_bool_param("EnableTerminationProtection", False)
        start(stack, "CREATE_IN_PROGRESS", lambda: changes.create(stack, on_failure))
        return ActionResult({"StackId": stack.id})

    def update_stack(self) -> ActionResult:
        stack = self._at_rest()
        template, tags = self._template(stack), self._tags() or stack.tags
        if not propose(stack, template, tags):
            raise ValidationError(message="No updates are to be performed.")
        start(stack, "UPDATE_IN_PROGRESS", lambda: changes.update(stack, template, tags))
        return ActionResult({"StackId": stack.id})

    def delete_stack(self) -> ActionResult:
        wanted = self._get_param("StackName")
        stack = next((each for each in living() if wanted in {each.name, each.id}), None)
        if stack is None:
            return EmptyResult()  # CloudFormation takes the deletion of what is not there for done.
        if stack.protected:
            message = f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            raise ValidationError(message=message)
        if stack.work and stack.work.is_alive():
            raise ValidationError(message=f"Stack [{stack.name}] is in {stack.status} state.")
        start(stack, "DELETE_IN_PROGRESS", lambda: changes.delete(stack))
        return EmptyResult()

    def update_termination_protection(self) -> ActionResult:
        stack = self._stack()
        stack.protected = self._get_bool_param("EnableTerminationProtection", False)
        return ActionResult({"StackId": stack.id})

    def describe_stacks(self) -> ActionResult:
        found = [self._stack()] if self._get_param("StackName") else list(living())
        return ActionResult({"Stacks": [_about(stack) for stack in found]})

    def list_stacks(self) -> ActionResult:
        states = self._get_param("StackStatusFilter") or []
        found = [stack for stack in STACKS.values() if not states or stack.status in states]
        return ActionResult({"StackSummaries": [_about(stack) for stack in found]})

    def describe_stack_events(self) -> ActionResult:
        return ActionResult({"StackEvents": self._stack().events[::-1]})

    def list_stack_resources(self) -> ActionResult:
        return ActionResult({"StackResourceSummaries": self._resources("LastUpdatedTimestamp")})

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


def _about(stack: Stack) -> dict[str, Any]:
    about = {
        "StackId": stack.id,
        "StackName": stack.name,
        "StackStatus": stack.status,
        "CreationTime": stack.created,
        "Description": stack.template.sections.get("Description", ""),
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value} for key, value in stack.template.parameters.items()
        ],
        "Outputs": stack.outputs,
        "Tags": [{"Key": key, "Value": value} for key, value in stack.tags.items()],
        "EnableTerminationProtection": stack.protected,
        "DisableRollback": False,
    }
    if stack.reason:
        about["StackStatusReason"] = stack.reason
    if stack.updated:
        about["LastUpdatedTime"] = stack.updated
    return about
