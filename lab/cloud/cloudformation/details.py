"""What a change set tells of a resource that changes: which properties, from what to what, and why. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lab.cloud.cloudformation.intrinsics import uses
from lab.cloud.cloudformation.resources import Kind

Detail = dict[str, Any]
# Attributes of a resource that are no properties (CloudFormation API, ResourceTargetDefinition, Attribute).
ATTRIBUTES = ("Tags", "UpdatePolicy")
# What only IncludePropertyValues shows.
VALUES = ("Path", "BeforeValue", "AfterValue", "AttributeChangeType")
IMPACT = ("Never", "Conditionally", "Always")


def details(
    kind: Kind,
    said: tuple[Mapping[str, Any], Mapping[str, Any]],
    given: tuple[Mapping[str, Any], Mapping[str, Any]],
    parameters: set[str],
    moving: Mapping[str, str],
) -> list[Detail]:
    """One for each thing that differs and each cause of it (CloudFormation API, ResourceChangeDetail).

    `said`: the resource in the old and the new template. `given`: its properties, worked out. `parameters`:
    names of those whose value is another. `moving`: what becomes of changed resources, see `proposals`.
    """
    before, after = given
    found = []
    for key in sorted({*before, *after}):
        if before.get(key) == after.get(key):
            continue
        old, new = (_part(each, key) for each in said)
        target: Detail = {"Attribute": key if key in ATTRIBUTES else "Properties"}
        if key not in ATTRIBUTES:
            target["Name"] = key
        target["RequiresRecreation"] = IMPACT[
            (key in kind.perhaps_replaced_by) + 2 * (key in kind.replaced_by)
        ]
        root = f"/{key}" if key == "UpdatePolicy" else f"/Properties/{key}"
        for path, left, right in _differences(root, before.get(key), after.get(key)):
            values = _values(path, left, right)
            found += [{"Target": target | values, **cause} for cause in _causes(old, new, parameters, moving)]
    return found


def replacement(found: list[Detail]) -> str:
    """Whether the resource is replaced: True, Conditional or False (API, ResourceChange, Replacement)."""
    surely = [each for each in found if each["Evaluation"] == "Static"]
    if any(each["Target"]["RequiresRecreation"] == "Always" for each in surely):
        return "True"
    return (
        "Conditional" if any(each["Target"]["RequiresRecreation"] != "Never" for each in found) else "False"
    )


def without_values(found: list[Detail]) -> list[Detail]:
    """The details as they are without IncludePropertyValues: one for each property and cause."""
    short: list[Detail] = []
    for each in found:
        target = {key: value for key, value in each["Target"].items() if key not in VALUES}
        if (plain := each | {"Target": target}) not in short:
            short.append(plain)
    return short


def _part(said: Mapping[str, Any], key: str) -> Any:
    return said.get(key) if key == "UpdatePolicy" else said.get("Properties", {}).get(key)


def _causes(old: Any, new: Any, parameters: set[str], moving: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Why a property changes. A change that has a reason elsewhere may be the template's own as well."""
    explained = False
    for name, attribute in dict.fromkeys(uses(new)):
        if name in parameters:
            yield {"ChangeSource": "ParameterReference", "CausingEntity": name, "Evaluation": "Static"}
            yield {"ChangeSource": "DirectModification", "Evaluation": "Dynamic"}
            explained = True
        elif name in moving and (attribute or moving[name] != "modified"):
            source = "ResourceAttribute" if attribute else "ResourceReference"
            entity = f"{name}.{attribute}" if attribute else name
            evaluation = "Static" if moving[name] == "replaced" else "Dynamic"
            yield {"ChangeSource": source, "CausingEntity": entity, "Evaluation": evaluation}
            explained = True
    if old != new or not explained:
        yield {"ChangeSource": "DirectModification", "Evaluation": "Static"}


def _differences(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """Paths (as JSON pointers) below which the two differ, as deep down as both have the same shape."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                yield from _differences(f"{path}/{key}", before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (left, right) in enumerate(zip(before, after, strict=True)):
            if left != right:
                yield from _differences(f"{path}/{index}", left, right)
    else:
        yield path, before, after


def _values(path: str, before: Any, after: Any) -> dict[str, str]:
    kind = "Add" if before is None else "Remove" if after is None else "Modify"
    found = {"Path": path, "AttributeChangeType": kind}
    if before is not None:
        found["BeforeValue"] = _text(before)
    if after is not None:
        found["AfterValue"] = _text(after)
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
