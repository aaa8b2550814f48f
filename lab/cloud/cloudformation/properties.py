"""What the resources of a stack are to be like, by its template."""

import secrets
from collections.abc import Mapping
from typing import Any

from lab.cloud.cloudformation.intrinsics import NOTHING, Evaluator
from lab.cloud.cloudformation.resources import Kind, Refused, kind_of
from lab.cloud.cloudformation.stack import Stack
from lab.cloud.cloudformation.template import Template


def wanted(
    template: Template, evaluator: Evaluator, logical: str, tags: Mapping[str, str]
) -> dict[str, Any] | None:
    """A resource's properties as they are to be, with the stack's tags; None when its condition is false.

    Raises Refused.
    """
    said = template.resources[logical]
    if "Condition" in said and not evaluator.holds(said["Condition"]):
        return None
    kind = kind_of(said["Type"])
    given: dict[str, Any] = evaluator.value(said.get("Properties", {}))
    if "UpdatePolicy" in said:
        policy = evaluator.value(said["UpdatePolicy"])
        given |= {} if policy is NOTHING else {"UpdatePolicy": policy}
    if unknown := sorted(set(given) - kind.properties):
        raise Refused(
            f"The lab does nothing about {', '.join(unknown)} of a {kind.type}: add it in lab/cloud/"
            "cloudformation/resources/, or leave it out of the template."
        )
    if "Tags" in kind.properties and tags:
        own = {tag["Key"] for tag in given.get("Tags", [])}
        more = [{"Key": key, "Value": value} for key, value in tags.items() if key not in own]
        if given.get("Tags") or more:
            given["Tags"] = [*given.get("Tags", []), *more]
    return given


def named(
    stack: Stack, logical: str, kind: Kind, given: dict[str, Any], *, anew: bool = False
) -> dict[str, Any]:
    """The properties, with a name if the template gives none; what is there keeps its own unless `anew`."""
    present = stack.resources.get(logical)
    if not kind.name or kind.name in given:
        return given
    if present and not anew:
        return given | {kind.name: present.given[kind.name]}
    tail = f"-{secrets.token_hex(5)}"
    name = f"{stack.name}-{logical}"[: kind.longest_name - len(tail)].rstrip("-") + tail
    return given | {kind.name: name.lower() if kind.type == "AWS::S3::Bucket" else name}


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
