"""The API of CloudFormation. What is not here is answered with NotImplemented, not with a guess."""
# ruff: noqa: D102 (the calls and their answers are described in CloudFormation's API reference)

from typing import Any

from moto.cloudformation import responses as stock
from moto.cloudformation import urls
from moto.cloudformation.exceptions import AlreadyExistsException, ValidationError
from moto.core.responses import ActionResult, EmptyResult

from lab.cloud.cloudformation import changes
from lab.cloud.cloudformation.admission import check_name
from lab.cloud.cloudformation.change_set import outdate, proposed
from lab.cloud.cloudformation.change_sets import ChangeSets
from lab.cloud.cloudformation.intrinsics import TemplateError
from lab.cloud.cloudformation.reads import Reads
from lab.cloud.cloudformation.requests import STACKS, check_rest, find, living, lock, start
from lab.cloud.cloudformation.resources import Refused
from lab.cloud.cloudformation.stack import REVIEW, Stack


def install() -> None:
    """Take the place of moto's CloudFormation."""
    urls.url_paths["{0}/$"] = CloudFormation.dispatch
    stock.CloudFormationResponse = CloudFormation  # type: ignore[assignment, misc]


class CloudFormation(ChangeSets, Reads):
    """The calls that change stacks."""

    def create_stack(self) -> ActionResult:
        name = self._get_param("StackName")
        check_name(name)
        order = self._order(None)
        on_failure = self._get_param("OnFailure") or "ROLLBACK"
        if self._get_bool_param("DisableRollback", False):
            on_failure = "DO_NOTHING"
        with lock:
            stack = find(name)
            if stack is None or stack.status != REVIEW:
                if stack in living():
                    raise AlreadyExistsException(f"Stack [{name}] already exists")
                stack = Stack(name, self.current_account, self.region, order.template, order.tags)
                STACKS[stack.id] = stack
            outdate(stack)
            stack.protected = self._get_bool_param("EnableTerminationProtection", False)
            stack.capabilities = self._capabilities()
            start(stack, "CREATE_IN_PROGRESS", lambda: changes.create(stack, order, on_failure))
        return ActionResult({"StackId": stack.id})

    def update_stack(self) -> ActionResult:
        stack = self._at_rest()
        order = self._order(stack)
        try:
            found = proposed(stack, order)
        except (Refused, TemplateError) as error:
            raise ValidationError(message=str(error)) from error
        if found is None:
            raise ValidationError(message="No updates are to be performed.")
        with lock:
            check_rest(stack)
            outdate(stack)
            stack.capabilities = self._capabilities()
            start(stack, "UPDATE_IN_PROGRESS", lambda: changes.update(stack, order))
        return ActionResult({"StackId": stack.id})

    def delete_stack(self) -> ActionResult:
        wanted = self._get_param("StackName")
        self._refuse_what_is_not_done()
        retained = self._get_param("RetainResources") or []
        with lock:
            stack = find(wanted)
            if stack is None or stack.status == "DELETE_COMPLETE":
                return EmptyResult()  # CloudFormation takes the deletion of what is not there for done.
            if stack.protected:
                message = f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
                raise ValidationError(message=message)
            if stack.busy:
                raise ValidationError(message=f"Stack [{stack.name}] is in {stack.status} state.")
            self._check_retained(stack, retained)
            outdate(stack)
            start(stack, "DELETE_IN_PROGRESS", lambda: changes.delete(stack, retained))
        return EmptyResult()

    def update_termination_protection(self) -> ActionResult:
        stack = self._stack()
        stack.protected = self._get_bool_param("EnableTerminationProtection", False)
        return ActionResult({"StackId": stack.id})

    def _check_retained(self, stack: Stack, retained: list[Any]) -> None:
        if retained and stack.status != "DELETE_FAILED":
            message = f"Stack [{stack.name}] is in {stack.status} state: resources can be retained only when"
            raise ValidationError(message=f"{message} its deletion has failed (DELETE_FAILED).")
        if unknown := sorted(set(retained) - set(stack.resources)):
            raise ValidationError(message=f"Resources [{', '.join(unknown)}] are not in stack {stack.name}.")
