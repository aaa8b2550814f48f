"""Brings a stack from one template to the next, and back again when that fails."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lab.cloud.cloudformation.resources import Refused, kind_of
from lab.cloud.cloudformation.resources.base import Kind
from lab.cloud.cloudformation.stack import FAILURES, Resource, Stack
from lab.cloud.cloudformation.template import Template

Undo = Callable[[], None]
KEPT = {"Retain", "RetainExceptOnCreate"}


def create(stack: Stack, on_failure: str) -> None:
    """Make all resources. `on_failure`: ROLLBACK, DELETE or DO_NOTHING, as CreateStack takes it."""
    try:
        _bring(stack, stack.template, [])
        stack.tell()
    except FAILURES as error:
        if on_failure == "DO_NOTHING":
            stack.say("CREATE_FAILED", str(error))
        else:
            verb = "ROLLBACK" if on_failure == "ROLLBACK" else "DELETE"
            stack.say(f"{verb}_IN_PROGRESS", f"{error} {on_failure.capitalize()} requested by user.")
            _remove_all(stack, verb, kept={"Retain"})
        return
    stack.say("CREATE_COMPLETE")


def update(stack: Stack, template: Template, tags: dict[str, str]) -> None:
    """Bring the stack to another template; on a failure it goes back to the one it had."""
    before, old_tags = stack.template, stack.tags
    undo: list[Undo] = []
    replaced: list[tuple[str, Resource]] = []
    stack.template, stack.tags = template, tags
    try:
        replaced = _bring(stack, template, undo)
        stack.tell()
    except FAILURES as error:
        stack.template, stack.tags = before, old_tags
        stack.say("UPDATE_ROLLBACK_IN_PROGRESS", str(error))
        try:
            for step in reversed(undo):
                step()
        except Refused as second:
            stack.say("UPDATE_ROLLBACK_FAILED", str(second))
            return
        stack.tell()
        stack.say("UPDATE_ROLLBACK_COMPLETE")
        return
    stack.say("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    gone = [name for name in stack.resources if name not in wanted_names(stack, template)]
    for name in reversed(gone):
        replaced.append((name, stack.resources.pop(name)))
    for name, resource in replaced:
        word = "DeletionPolicy" if name in gone else "UpdateReplacePolicy"
        if resource.said.get(word) not in KEPT:
            try:
                _delete(stack, name, resource)
            except Refused:
                continue  # CloudFormation leaves behind what it can't delete in the end; the event says why.
    stack.say("UPDATE_COMPLETE")


def delete(stack: Stack) -> None:
    """Delete all resources but those whose policy keeps them."""
    _remove_all(stack, "DELETE", kept=KEPT)


def _bring(stack: Stack, template: Template, undo: list[Undo]) -> list[tuple[str, Resource]]:
    """Make and change resources in order; returns those that new ones replace. `undo` gets the way back."""
    evaluator = stack.evaluator(template)
    replaced = []
    for logical in template.order():
        said = template.resources[logical]
        present = stack.resources.get(logical)
        try:
            given = stack.wanted(template, evaluator, logical)
            if given is None:
                continue
            kind = kind_of(said["Type"])
            if present and present.type != kind.type:
                raise Refused("Update of resource type is not permitted.")
        except FAILURES as error:
            stack.say("UPDATE_FAILED" if present else "CREATE_FAILED", str(error), logical, "", said["Type"])
            raise Refused(str(error)) from error
        given = stack.named(logical, given, present)
        if present is None or differing(given, present.given) & kind.replaced_by:
            _make(stack, logical, kind, given, said, undo, present)
            if present:
                replaced.append((logical, present))
        elif given != present.given:
            _modify(stack, logical, kind, given, present, undo)
        stack.resources[logical].said = said
    return replaced


def _make(
    stack: Stack,
    logical: str,
    kind: Kind,
    given: dict[str, Any],
    said: dict[str, Any],
    undo: list[Undo],
    present: Resource | None,
) -> None:
    with stack.step("UPDATE" if present else "CREATE", logical, kind.type) as physical:
        physical.append(kind.create(stack.cloud, given))
    made = Resource(kind.type, physical[-1], given, said)
    stack.resources[logical] = made

    def back() -> None:
        _delete(stack, logical, made)
        del stack.resources[logical]
        if present:
            stack.resources[logical] = present

    undo.append(back)


def _modify(
    stack: Stack, logical: str, kind: Kind, given: dict[str, Any], present: Resource, undo: list[Undo]
) -> None:
    before = present.given

    def change(new: dict[str, Any], old: dict[str, Any]) -> None:
        with stack.step("UPDATE", logical, kind.type, present.physical):
            kind.update(stack.cloud, present.physical, new, old)
        stack.resources[logical] = replace(present, given=new, status="UPDATE_COMPLETE")

    # Also when the change itself fails half-way: then what was changed is brought back.
    undo.append(lambda: change(before, given))
    change(given, before)


def _delete(stack: Stack, logical: str, resource: Resource) -> None:
    with stack.step("DELETE", logical, resource.type, resource.physical):
        kind_of(resource.type).delete(stack.cloud, resource.physical, resource.given)


def _remove_all(stack: Stack, verb: str, kept: set[str]) -> None:
    failed = []
    for logical in reversed(list(stack.resources)):
        resource = stack.resources[logical]
        if resource.said.get("DeletionPolicy") in kept:
            stack.say("DELETE_SKIPPED", "", logical, resource.physical, resource.type)
        else:
            try:
                _delete(stack, logical, resource)
            except Refused as error:
                failed.append(f"{logical}: {error}")
                continue
        del stack.resources[logical]
    if failed:
        stack.say(f"{verb}_FAILED", f"The following resource(s) failed to delete: {'; '.join(failed)}")
    else:
        stack.say(f"{verb}_COMPLETE")


def wanted_names(stack: Stack, template: Template) -> set[str]:
    """Logical ids of the resources that a template wants, by its conditions."""
    evaluator = stack.evaluator(template)
    return {
        name
        for name, said in template.resources.items()
        if "Condition" not in said or evaluator.holds(said["Condition"])
    }


def differing(given: dict[str, Any], before: dict[str, Any]) -> set[str]:
    """Properties that are others than they were."""
    return {key for key in {*given, *before} if given.get(key) != before.get(key)}
