"""Brings a stack from one template to the next, and back again when that fails."""

from collections.abc import Collection
from dataclasses import dataclass, field

from lab.cloud.cloudformation.properties import wanted_names
from lab.cloud.cloudformation.proposals import KEPT
from lab.cloud.cloudformation.resources import Refused
from lab.cloud.cloudformation.stack import FAILURES, Resource, Stack
from lab.cloud.cloudformation.steps import Steps, delete_resource
from lab.cloud.cloudformation.template import Template


@dataclass
class Order:
    """What a stack is to become: the template, the stack's tags, and what is there already and taken over."""

    template: Template
    tags: dict[str, str]
    imports: Collection[str] = field(default=())


def create(stack: Stack, order: Order, on_failure: str) -> None:
    """Make all resources. `on_failure`: ROLLBACK, DELETE or DO_NOTHING, as CreateStack takes it."""
    stack.template, stack.tags = order.template, order.tags
    try:
        Steps(stack, order.imports).bring()
        stack.outputs = stack.outputs_of(stack.template)
    except FAILURES as error:
        if on_failure == "DO_NOTHING":
            stack.say("CREATE_FAILED", str(error))
        else:
            verb = "ROLLBACK" if on_failure == "ROLLBACK" else "DELETE"
            stack.say(f"{verb}_IN_PROGRESS", f"{error} {on_failure.capitalize()} requested by user.")
            imported = {name for name, resource in stack.resources.items() if resource.imported}
            _remove_all(stack, verb, kept={"Retain"}, also=imported)
        return
    stack.say("CREATE_COMPLETE")


def update(stack: Stack, order: Order) -> None:
    """Bring the stack to another template; on a failure it goes back to the one it had."""
    before, old_tags = stack.template, stack.tags
    stack.template, stack.tags = order.template, order.tags
    steps = Steps(stack, order.imports)
    try:
        steps.bring()
        stack.outputs = stack.outputs_of(stack.template)
    except FAILURES as error:
        stack.template, stack.tags = before, old_tags
        stack.say("UPDATE_ROLLBACK_IN_PROGRESS", str(error))
        try:
            steps.go_back()
        except Refused as second:
            stack.say("UPDATE_ROLLBACK_FAILED", str(second))
            return
        stack.outputs = stack.outputs_of(before)
        stack.say("UPDATE_ROLLBACK_COMPLETE")
        return
    stack.say("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    kept = wanted_names(stack, order.template)
    gone = [name for name in reversed(stack.resources) if name not in kept]
    for name in gone:
        _clean_up(stack, name, stack.resources.pop(name), "DeletionPolicy")
    for name, resource in steps.replaced:
        _clean_up(stack, name, resource, "UpdateReplacePolicy")
    stack.say("UPDATE_COMPLETE")


def delete(stack: Stack, retained: Collection[str] = ()) -> None:
    """Delete all resources but those whose policy keeps them, and those `retained` by the caller."""
    _remove_all(stack, "DELETE", kept=KEPT, also=retained)


def _clean_up(stack: Stack, logical: str, resource: Resource, policy: str) -> None:
    if resource.said.get(policy) in KEPT:
        stack.say("DELETE_SKIPPED", "", logical, resource.physical, resource.type)
        return
    try:
        delete_resource(stack, logical, resource)
    except Refused:
        return  # CloudFormation leaves behind what it can't delete in the end; the event says why.


def _remove_all(stack: Stack, verb: str, *, kept: Collection[str], also: Collection[str]) -> None:
    failed = []
    for logical in reversed(list(stack.resources)):
        resource = stack.resources[logical]
        if resource.said.get("DeletionPolicy") in kept or logical in also:
            stack.say("DELETE_SKIPPED", "", logical, resource.physical, resource.type)
        else:
            try:
                delete_resource(stack, logical, resource)
            except Refused:
                failed.append(logical)
                continue
        del stack.resources[logical]
    if failed:
        names = ", ".join(failed)
        stack.say(f"{verb}_FAILED", f"The following resource(s) failed to delete: [{names}]. ")
    else:
        stack.say(f"{verb}_COMPLETE")
