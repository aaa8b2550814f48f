"""The API of CloudFormation. What is not here is answered with NotImplemented, not with a guess."""

import threading
import traceback
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.cloudformation import responses as stock
from moto.cloudformation import urls
from moto.cloudformation.exceptions import AlreadyExistsException, ValidationError
from moto.core.responses import ActionResult, BaseResponse, EmptyResult

from lab.cloud.cloudformation import changes
from lab.cloud.cloudformation.intrinsics import TemplateError
from lab.cloud.cloudformation.resources import Refused
from lab.cloud.cloudformation.stack import FAILURES, Stack
from lab.cloud.cloudformation.template import Template, read

# Stacks by id, in the order of their making; deleted ones stay known by their id, as on AWS.
STACKS: dict[str, Stack] = {}
CHANGE_SETS: dict[str, dict[str, Any]] = {}
_lock = threading.Lock()


class CloudFormation(BaseResponse):
    """One request."""

    def __init__(self) -> None:
        super().__init__(service_name="cloudformation")
        self.automated_parameter_parsing = True

    # The names and answers of these methods are CloudFormation's (its API reference).
    # ruff: noqa: D102

    def create_stack(self) -> ActionResult:
        name = self._get_param("StackName")
        template = self._template(None)
        on_failure = self._get_param("OnFailure") or "ROLLBACK"
        if self._get_bool_param("DisableRollback", False):
            on_failure = "DO_NOTHING"
        with _lock:
            if any(stack.name == name for stack in _living()):
                raise AlreadyExistsException(f"Stack [{name}] already exists")
            stack = Stack(name, self.current_account, self.region, template, self._tags())
            STACKS[stack.id] = stack
        stack.protected = self._get_bool_param("EnableTerminationProtection", False)
        _start(stack, "CREATE_IN_PROGRESS", lambda: changes.create(stack, on_failure))
        return ActionResult({"StackId": stack.id})

    def update_stack(self) -> ActionResult:
        stack = self._at_rest()
        template, tags = self._template(stack), self._tags() or stack.tags
        if not _propose(stack, template, tags):
            raise ValidationError(message="No updates are to be performed.")
        _start(stack, "UPDATE_IN_PROGRESS", lambda: changes.update(stack, template, tags))
        return ActionResult({"StackId": stack.id})

    def delete_stack(self) -> ActionResult:
        wanted = self._get_param("StackName")
        stack = next((each for each in _living() if wanted in {each.name, each.id}), None)
        if stack is None:
            return EmptyResult()  # CloudFormation takes the deletion of what is not there for done.
        if stack.protected:
            message = f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            raise ValidationError(message=message)
        if stack.work and stack.work.is_alive():
            raise ValidationError(message=f"Stack [{stack.name}] is in {stack.status} state.")
        _start(stack, "DELETE_IN_PROGRESS", lambda: changes.delete(stack))
        return EmptyResult()

    def update_termination_protection(self) -> ActionResult:
        stack = self._stack()
        stack.protected = self._get_bool_param("EnableTerminationProtection", False)
        return ActionResult({"StackId": stack.id})

    def describe_stacks(self) -> ActionResult:
        found = [self._stack()] if self._get_param("StackName") else list(_living())
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

    def create_change_set(self) -> ActionResult:
        if self._get_param("ChangeSetType", "UPDATE") != "UPDATE":
            raise ValidationError(message="The lab's change sets are for stacks that are there.")
        stack = self._at_rest()
        template, tags = self._template(stack), self._tags() or stack.tags
        found = _propose(stack, template, tags)
        name = self._get_param("ChangeSetName")
        made = {
            "ChangeSetName": name,
            "ChangeSetId": f"{stack.id.partition(':stack/')[0]}:changeSet/{name}/{uuid.uuid4()}",
            "StackId": stack.id,
            "StackName": stack.name,
            "CreationTime": datetime.now(UTC),
            "Changes": found,
            "Status": "CREATE_COMPLETE" if found else "FAILED",
            "ExecutionStatus": "AVAILABLE" if found else "UNAVAILABLE",
        }
        if not found:
            made["StatusReason"] = (
                "The submitted information didn't contain changes. "
                "Submit different information to create a change set."
            )
        CHANGE_SETS[made["ChangeSetId"]] = made | {"template": template, "tags": tags}
        return ActionResult({"Id": made["ChangeSetId"], "StackId": stack.id})

    def describe_change_set(self) -> ActionResult:
        return ActionResult(self._change_set())

    def list_change_sets(self) -> ActionResult:
        stack = self._stack()
        return ActionResult(
            {"Summaries": [each for each in CHANGE_SETS.values() if each["StackId"] == stack.id]}
        )

    def delete_change_set(self) -> ActionResult:
        del CHANGE_SETS[self._change_set()["ChangeSetId"]]
        return EmptyResult()

    def execute_change_set(self) -> ActionResult:
        chosen = self._change_set()
        stack = STACKS[chosen["StackId"]]
        if chosen["ExecutionStatus"] != "AVAILABLE":
            raise ValidationError(message=f"ChangeSet [{chosen['ChangeSetId']}] cannot be executed.")
        # As on AWS: what was proposed for a stack is void once the stack is another.
        for each in list(CHANGE_SETS.values()):
            if each["StackId"] == stack.id:
                del CHANGE_SETS[each["ChangeSetId"]]
        work: Callable[[], None] = lambda: changes.update(stack, chosen["template"], chosen["tags"])  # noqa: E731
        _start(stack, "UPDATE_IN_PROGRESS", work)
        return EmptyResult()

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
            stack_cloud = Stack("", self.current_account, self.region, Template("", {}, {}, {}), {}).cloud
            return str(stack_cloud("ssm").get_parameter(Name=name)["Parameter"]["Value"])

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
        living = {name: stack for stack in _living() for name in (stack.name, stack.id)}
        stack = living.get(wanted) or STACKS.get(wanted)
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

    def _change_set(self) -> dict[str, Any]:
        wanted, stack = self._get_param("ChangeSetName"), self._get_param("StackName")
        for each in CHANGE_SETS.values():
            of_stack = not stack or stack in {each["StackName"], each["StackId"]}
            if wanted == each["ChangeSetId"] or (wanted == each["ChangeSetName"] and of_stack):
                return each
        raise ValidationError(message=f"ChangeSet [{wanted}] does not exist")

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


def install() -> None:
    """Take the place of moto's CloudFormation."""
    urls.url_paths["{0}/$"] = CloudFormation.dispatch
    stock.CloudFormationResponse = CloudFormation  # type: ignore[misc]


def _living() -> list[Stack]:
    return [stack for stack in STACKS.values() if stack.status != "DELETE_COMPLETE"]


def _propose(stack: Stack, template: Template, tags: dict[str, str]) -> list[dict[str, Any]]:
    try:
        return changes.proposal(stack, template, tags)
    except (Refused, TemplateError) as error:
        raise ValidationError(message=str(error)) from error


def _start(stack: Stack, status: str, work: Callable[[], None]) -> None:
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
