"""What an operation would do to a stack, without doing it: a change set's changes."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from lab.cloud.cloudformation.details import details, replacement, without_values
from lab.cloud.cloudformation.intrinsics import UNKNOWN
from lab.cloud.cloudformation.properties import named, wanted, wanted_names
from lab.cloud.cloudformation.resources import kind_of
from lab.cloud.cloudformation.stack import Resource, Stack
from lab.cloud.cloudformation.template import Template

KEPT = {"Retain", "RetainExceptOnCreate"}
CONTEXTS = ("BeforeContext", "AfterContext")


def proposal(
    stack: Stack, template: Template, tags: Mapping[str, str], imports: Collection[str] = ()
) -> list[dict[str, Any]]:
    """What the operation would do, as a change set's Changes with all values; changes nothing.

    `imports`: logical ids of resources that are there already and are taken over.
    Raises Refused, TemplateError.
    """
    # What becomes of the resources so far: "replaced" (or new), "perhaps" replaced, "modified". Ref or an
    # attribute of these may be another, which is known only when it is done. CloudFormation takes every
    # attribute of a resource that changes for such a value, whatever it is ("Example change sets").
    moving: dict[str, str] = {}
    unchanged = stack.template.parameters.items() & template.parameters.items()
    parameters = set(template.parameters) - {name for name, _ in unchanged}

    def refer(name: str) -> Any:
        return UNKNOWN if moving.get(name, "modified") != "modified" else stack.refer(name)

    def attribute(name: str, key: str) -> Any:
        return UNKNOWN if name in moving else stack.attribute(name, key)

    evaluator = stack.evaluator(template, refer, attribute)
    changes = []
    for logical in template.order():
        given = wanted(template, evaluator, logical, tags)
        if given is None:
            continue
        said, present = template.resources[logical], stack.resources.get(logical)
        kind = kind_of(said["Type"])
        if present is None:
            action = "Import" if logical in imports else "Add"
            physical = given[kind.name] if logical in imports else ""
            changes.append(_change(action, logical, kind.type, physical, after=given))
            moving[logical] = "replaced"
            continue
        given = named(stack, logical, kind, given)
        if given == present.given:
            continue
        found = details(kind, (present.said, said), (present.given, given), parameters, moving)
        changes.append(_modification(logical, present, given, found))
        moving[logical] = {"True": "replaced", "Conditional": "perhaps"}.get(replacement(found), "modified")
    kept = wanted_names(stack, template)
    changes += [_removal(name, old) for name, old in stack.resources.items() if name not in kept]
    return changes


def shown(change: dict[str, Any], *, values: bool) -> dict[str, Any]:
    """A change as DescribeChangeSet tells it, with or without IncludePropertyValues."""
    if values:
        return change
    about = {key: each for key, each in change["ResourceChange"].items() if key not in CONTEXTS}
    return change | {"ResourceChange": about | {"Details": without_values(about["Details"])}}


def _modification(
    logical: str, present: Resource, given: dict[str, Any], found: list[dict[str, Any]]
) -> dict[str, Any]:
    more: dict[str, Any] = {"Replacement": replacement(found), "Details": found}
    more["Scope"] = sorted({each["Target"]["Attribute"] for each in found})
    if more["Replacement"] != "False":
        kept = present.said.get("UpdateReplacePolicy") in KEPT
        more["PolicyAction"] = "ReplaceAndRetain" if kept else "ReplaceAndDelete"
    before = present.given
    return _change("Modify", logical, present.type, present.physical, before=before, after=given, **more)


def _removal(logical: str, present: Resource) -> dict[str, Any]:
    policy = "Retain" if present.said.get("DeletionPolicy") in KEPT else "Delete"
    return _change(
        "Remove", logical, present.type, present.physical, before=present.given, PolicyAction=policy
    )


def _change(
    action: str,
    logical: str,
    kind: str,
    physical: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    about = {"Action": action, "LogicalResourceId": logical, "ResourceType": kind, "Details": [], "Scope": []}
    if physical:
        about["PhysicalResourceId"] = physical
    for key, given in zip(CONTEXTS, (before, after), strict=True):
        if given is not None:
            attributes = {name: given[name] for name in ("UpdatePolicy",) if name in given}
            rest = {name: value for name, value in given.items() if name not in attributes}
            about[key] = json.dumps({"Properties": rest, **attributes})
    return {"Type": "Resource", "ResourceChange": about | more}
