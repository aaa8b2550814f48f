"""The API's calls about change sets: what an update would do, shown before it is done."""
# ruff: noqa: D102 (the calls and their answers are described in CloudFormation's API reference)

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.cloudformation.exceptions import ValidationError
from moto.core.responses import ActionResult, EmptyResult

from lab.cloud.cloudformation import changes
from lab.cloud.cloudformation.requests import STACKS, Request, propose, start

CHANGE_SETS: dict[str, dict[str, Any]] = {}


class ChangeSets(Request):
    """The calls."""

    def create_change_set(self) -> ActionResult:
        if self._get_param("ChangeSetType", "UPDATE") != "UPDATE":
            raise ValidationError(message="The lab's change sets are for stacks that are there.")
        stack = self._at_rest()
        template, tags = self._template(stack), self._tags() or stack.tags
        found = propose(stack, template, tags)
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
        start(stack, "UPDATE_IN_PROGRESS", work)
        return EmptyResult()

    def _change_set(self) -> dict[str, Any]:
        wanted, stack = self._get_param("ChangeSetName"), self._get_param("StackName")
        for each in CHANGE_SETS.values():
            of_stack = not stack or stack in {each["StackName"], each["StackId"]}
            if wanted == each["ChangeSetId"] or (wanted == each["ChangeSetName"] and of_stack):
                return each
        raise ValidationError(message=f"ChangeSet [{wanted}] does not exist")
