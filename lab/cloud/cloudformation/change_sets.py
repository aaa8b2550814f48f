"""The API's calls about change sets."""
# ruff: noqa: D102 (the calls and their answers are described in CloudFormation's API reference)

import uuid
from datetime import UTC, datetime

from moto.cloudformation.exceptions import AlreadyExistsException, CloudFormationError, ValidationError
from moto.core.responses import ActionResult, EmptyResult

from lab.cloud.cloudformation import changes
from lab.cloud.cloudformation.admission import check_name
from lab.cloud.cloudformation.change_set import CHANGE_SETS, ChangeSet, about, active, work_out
from lab.cloud.cloudformation.proposals import shown
from lab.cloud.cloudformation.requests import STACKS, Request, check_rest, find, living, lock, start
from lab.cloud.cloudformation.stack import REVIEW, Stack
from lab.cloud.cloudformation.template import EMPTY


class InvalidStatus(CloudFormationError):
    """The change set, or its stack, is in no state for that."""

    code = "InvalidChangeSetStatus"


class NotFound(CloudFormationError):
    """There is no such change set."""

    code = "ChangeSetNotFound"


class ChangeSets(Request):
    """The calls."""

    def create_change_set(self) -> ActionResult:
        kind, name = self._get_param("ChangeSetType", "UPDATE"), self._get_param("ChangeSetName")
        if kind not in {"CREATE", "UPDATE"}:
            raise ValidationError(message=f"The lab makes no change sets of type {kind}.")
        on_failure = self._get_param("OnStackFailure")
        if kind == "UPDATE" and on_failure not in {None, "ROLLBACK"}:
            raise ValidationError(message=f"OnStackFailure {on_failure}: the lab's updates always roll back.")
        with lock:
            stack = self._to_create(name) if kind == "CREATE" else self._at_rest()
            if any(each.name == name for each in active(stack)):
                raise AlreadyExistsException(f"ChangeSet [{name}] already exists")
            order = self._order(stack)
            if kind == "CREATE" and stack.id not in STACKS:
                STACKS[stack.id] = stack
                stack.say(REVIEW, "User Initiated")
        made = ChangeSet(
            name,
            f"{stack.id.partition(':stack/')[0]}:changeSet/{name}/{uuid.uuid4()}",
            stack,
            kind,
            order,
            self._capabilities(),
            on_failure,
            self._get_bool_param("ImportExistingResources", False),
            self._get_param("Description") or "",
        )
        work_out(made)
        CHANGE_SETS[made.id] = made
        return ActionResult({"Id": made.id, "StackId": stack.id})

    def describe_change_set(self) -> ActionResult:
        chosen = self._change_set()
        values = self._get_bool_param("IncludePropertyValues", False)
        found = [shown(change, values=values) for change in chosen.changes]
        return ActionResult(about(chosen) | self._page("Changes", found))

    def list_change_sets(self) -> ActionResult:
        return ActionResult(self._page("Summaries", [about(each) for each in active(self._stack())]))

    def delete_change_set(self) -> ActionResult:
        del CHANGE_SETS[self._change_set().id]
        return EmptyResult()

    def execute_change_set(self) -> ActionResult:
        self._refuse_what_is_not_done()
        chosen = self._change_set()
        stack, asked = chosen.stack, self._get_bool_param("DisableRollback")
        if chosen.on_failure and asked is not None:
            message = "DisableRollback can't be given where the change set says OnStackFailure."
            raise ValidationError(message=message)
        with lock:
            _check_executable(chosen)
            # As on AWS: what was proposed for a stack is void once the stack is another.
            for each in active(stack):
                if each is not chosen:
                    del CHANGE_SETS[each.id]
            chosen.execution = "EXECUTE_IN_PROGRESS"
            stack.capabilities, stack.change_set = chosen.capabilities, chosen.id
            stack.updated = datetime.now(UTC)
            on_failure = chosen.on_failure or ("DO_NOTHING" if asked else "ROLLBACK")

            def work() -> None:
                if chosen.type == "CREATE":
                    changes.create(stack, chosen.order, on_failure)
                else:
                    changes.update(stack, chosen.order)
                done = stack.status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
                chosen.execution = "EXECUTE_COMPLETE" if done else "EXECUTE_FAILED"

            start(stack, f"{chosen.type}_IN_PROGRESS", work)
        return EmptyResult()

    def _to_create(self, change_set: str) -> Stack:
        """The stack that is to be created: one that waits for a change set, or a new one."""
        name = self._get_param("StackName")
        stack = find(name)
        if stack in living():
            if stack.status != REVIEW:
                problem = f"already exists and cannot be created again with the changeSet [{change_set}]."
                raise ValidationError(message=f"Stack [{name}] {problem}")
            return stack
        check_name(name)
        return Stack(name, self.current_account, self.region, EMPTY, {})

    def _change_set(self) -> ChangeSet:
        wanted, named = self._get_param("ChangeSetName"), self._get_param("StackName")
        if wanted in CHANGE_SETS:
            return CHANGE_SETS[wanted]
        if not wanted.startswith("arn:"):
            if not named:
                problem = "StackName must be specified if ChangeSetName is not specified as an ARN."
                raise ValidationError(message=problem)
            stack = find(named)
            if stack is None:
                raise ValidationError(message=f"Stack [{named}] does not exist")
            for each in reversed(CHANGE_SETS.values()):
                if each.name == wanted and each.stack is stack:
                    return each
        raise NotFound(f"ChangeSet [{wanted}] does not exist")


def _check_executable(chosen: ChangeSet) -> None:
    trouble = f"ChangeSet [{chosen.id}] cannot be executed in its current"
    if chosen.failure:
        raise InvalidStatus(f"{trouble} status of [FAILED]")
    if chosen.execution != "AVAILABLE":
        raise InvalidStatus(f"{trouble} execution status of [{chosen.execution}]")
    if chosen.type == "UPDATE":
        check_rest(chosen.stack)
