"""A template and its parameters: read, checked, and put into the order in which resources are made. Pure."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.cloud.cloudformation.intrinsics import Evaluator, TemplateError, references

# What a resource may say beside its type and properties, as far as the lab does something about it.
KNOWN_WORDS = {
    "Condition",
    "DeletionPolicy",
    "DependsOn",
    "Metadata",
    "Properties",
    "Type",
    "UpdatePolicy",
    "UpdateReplacePolicy",
}
KNOWN_POLICIES = {"Delete", "Retain", "RetainExceptOnCreate"}
FROM_SSM = "AWS::SSM::Parameter::Value<"


@dataclass(frozen=True)
class Template:
    """A template as it was sent, with the values of its parameters."""

    body: str
    parameters: dict[str, str]
    # Parameters as Ref gives them: names of SSM parameters looked up, lists split.
    values: dict[str, Any]
    sections: dict[str, Any]

    @property
    def told_parameters(self) -> list[dict[str, str]]:
        """Parameters as the API tells them, with what was found in Parameter Store (ResolvedValue)."""
        told = []
        for key, value in self.parameters.items():
            one = {"ParameterKey": key, "ParameterValue": value}
            if self.sections["Parameters"][key]["Type"].startswith(FROM_SSM):
                found = self.values[key]
                one["ResolvedValue"] = ",".join(found) if isinstance(found, list) else found
            told.append(one)
        return told

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """Resources by logical id, those whose condition is false included."""
        return self.sections.get("Resources", {})

    def evaluator(
        self,
        pseudo: Mapping[str, Any],
        refer: Callable[[str], Any],
        attribute: Callable[[str, str], Any],
        zones: list[str],
    ) -> Evaluator:
        """What works out this template's values; `pseudo`: AWS::Region and the like."""

        def ref(name: str) -> Any:
            for names in (self.values, pseudo):
                if name in names:
                    return names[name]
            return refer(name)

        mappings, conditions = self.sections.get("Mappings", {}), self.sections.get("Conditions", {})
        return Evaluator(ref, attribute, mappings, conditions, zones)

    def order(self) -> list[str]:
        """Logical ids, each after those that it refers to or depends on.

        Raises TemplateError on a circle or on a name that does not exist.
        """
        known = {*self.resources, *self.values}
        ordered: dict[str, None] = {}
        waiting: list[str] = []

        def visit(name: str) -> None:
            if name in ordered:
                return
            if name in waiting:
                circle = " -> ".join([*waiting[waiting.index(name) :], name])
                raise TemplateError(f"Circular dependency between resources: {circle}")
            waiting.append(name)
            resource = self.resources[name]
            first = resource.get("DependsOn", [])
            for other in [*([first] if isinstance(first, str) else first), *references(resource)]:
                if other not in known and not other.startswith("AWS::"):
                    raise TemplateError(f"Unresolved resource dependencies [{other}] in resource {name}.")
                if other in self.resources:
                    visit(other)
            waiting.pop()
            ordered[name] = None

        for name in self.resources:
            visit(name)
        return list(ordered)


def read(body: str, given: Mapping[str, str], lookup: Callable[[str], str]) -> Template:
    """A template of a JSON text and the parameters that were given with it.

    `lookup`: the value of a parameter of SSM's Parameter Store by its name. Raises TemplateError.
    """
    try:
        sections = json.loads(body)
    except ValueError as error:
        raise TemplateError(f"Template format error: the lab reads templates in JSON. {error}") from error
    declared = sections.get("Parameters", {})
    if unknown := sorted(set(given) - set(declared)):
        raise TemplateError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    parameters = {name: given.get(name, each.get("Default")) for name, each in declared.items()}
    if missing := sorted(name for name, value in parameters.items() if value is None):
        raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")
    values = {name: _value(name, declared[name], str(value), lookup) for name, value in parameters.items()}
    if not sections.get("Resources"):
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    for name, resource in sections["Resources"].items():
        if unknown := sorted(set(resource) - KNOWN_WORDS):
            raise TemplateError(f"The lab does nothing about {', '.join(unknown)} of resource {name}.")
        for word in ("DeletionPolicy", "UpdateReplacePolicy"):
            if resource.get(word, "Delete") not in KNOWN_POLICIES:
                raise TemplateError(f"The lab does not know the {word} {resource[word]} of resource {name}.")
    return Template(body, {name: str(value) for name, value in parameters.items()}, values, sections)


def _value(name: str, declared: Mapping[str, Any], given: str, lookup: Callable[[str], str]) -> Any:
    kind = declared["Type"]
    if "AllowedValues" in declared and given not in map(str, declared["AllowedValues"]):
        raise TemplateError(f"Parameter '{name}' must be one of AllowedValues")
    if "AllowedPattern" in declared and not re.fullmatch(declared["AllowedPattern"], given):
        raise TemplateError(f"Parameter '{name}' must match pattern {declared['AllowedPattern']}")
    if kind.startswith(FROM_SSM):
        given, kind = lookup(given), kind.removeprefix(FROM_SSM).removesuffix(">")
    if kind == "CommaDelimitedList" or kind.startswith("List<"):
        return [each.strip() for each in given.split(",")]
    return given


# What a stack has that only waits for its change set.
EMPTY = Template("", {}, {}, {})
