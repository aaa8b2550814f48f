"""What an update would do to a stack, without doing it: a change set's changes."""

from typing import Any

from lab.cloud.cloudformation.changes import differing, wanted_names
from lab.cloud.cloudformation.intrinsics import references
from lab.cloud.cloudformation.resources import kind_of
from lab.cloud.cloudformation.stack import Stack
from lab.cloud.cloudformation.template import Template


def proposal(stack: Stack, template: Template, tags: dict[str, str]) -> list[dict[str, Any]]:
    """What `update` would do, as a change set's Changes; changes nothing. Raises Refused, TemplateError."""
    evaluator = stack.evaluator(template)
    changes: list[dict[str, Any]] = []
    # Resources of which Ref or an attribute will be another, which is known only when they are there.
    moving: set[str] = set()
    shown = Stack(stack.name, stack.account, stack.region, template, tags)
    for logical in template.order():
        said = template.resources[logical]
        present = stack.resources.get(logical)
        if present is None:
            if "Condition" not in said or evaluator.holds(said["Condition"]):
                changes.append(_change("Add", logical, said["Type"]))
                moving.add(logical)
            continue
        kind = kind_of(said["Type"])
        if moving & set(references(said.get("Properties", {}))):
            changes.append(_change("Modify", logical, kind.type, present.physical))
            continue
        given = shown.wanted(template, evaluator, logical)
        if given is None:
            continue
        given = stack.named(logical, given, present)
        if given != present.given:
            replaces = bool(differing(given, present.given) & kind.replaced_by)
            changes.append(_change("Modify", logical, kind.type, present.physical, replaces))
            if replaces or kind.versioned:
                moving.add(logical)
    kept = wanted_names(stack, template)
    changes += [
        _change("Remove", name, old.type, old.physical)
        for name, old in stack.resources.items()
        if name not in kept
    ]
    return changes


def _change(
    action: str, logical: str, kind: str, physical: str = "", replaces: bool = False
) -> dict[str, Any]:
    about: dict[str, Any] = {"Action": action, "LogicalResourceId": logical, "ResourceType": kind}
    if physical:
        about["PhysicalResourceId"] = physical
    if action == "Modify":
        about["Replacement"] = str(replaces)
    return {"Type": "Resource", "ResourceChange": about}
