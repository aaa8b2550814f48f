"""Works out what a template says: Ref, Fn::GetAtt, Fn::Sub and the other functions, and conditions. Pure."""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# Stands for AWS::NoValue: the property that holds it is as if it were not there.
NOTHING = object()
# What a change set shows of a value that is known only when the change is made.
UNKNOWN = "{{changeSet:KNOWN_AFTER_APPLY}}"
_PLACE = re.compile(r"\$\{([^}]+)\}")


class TemplateError(Exception):
    """The template says something that can't be worked out."""


class Evaluator:
    """Works out values of one template.

    `refer(name)`: what Ref gives. `attribute(name, attribute)`: what Fn::GetAtt gives. `conditions`: by name.
    """

    def __init__(
        self,
        refer: Callable[[str], Any],
        attribute: Callable[[str, str], Any],
        mappings: Mapping[str, Any],
        conditions: Mapping[str, Any],
        zones: list[str],
    ):
        self._refer = refer
        self._attribute = attribute
        self._mappings = mappings
        self._conditions = conditions
        self._zones = zones

    def value(self, said: Any) -> Any:
        """The value of any part of a template."""
        if isinstance(said, list):
            return [each for each in map(self.value, said) if each is not NOTHING]
        if not isinstance(said, dict):
            return said
        if len(said) == 1:
            [(name, argument)] = said.items()
            if name == "Ref":
                return NOTHING if argument == "AWS::NoValue" else self._refer(argument)
            if name.startswith("Fn::"):
                return self._function(name.removeprefix("Fn::"), argument)
        values = {key: self.value(each) for key, each in said.items()}
        return {key: each for key, each in values.items() if each is not NOTHING}

    def holds(self, condition: str) -> bool:
        """Whether the named condition holds."""
        if condition not in self._conditions:
            raise TemplateError(f"There is no condition {condition}.")
        return self._test(self._conditions[condition])

    def _test(self, said: Any) -> bool:
        [(name, argument)] = said.items()
        if name == "Condition":
            return self.holds(argument)
        if name == "Fn::Equals":
            left, right = map(self.value, argument)
            return str(left) == str(right)
        if name == "Fn::Not":
            return not self._test(argument[0])
        if name == "Fn::And":
            return all(map(self._test, argument))
        if name == "Fn::Or":
            return any(map(self._test, argument))
        raise TemplateError(f"The lab does not know the condition {name}.")

    def _function(self, name: str, said: Any) -> Any:
        if name == "If":
            condition, yes, no = said
            return self.value(yes if self.holds(condition) else no)
        if name == "GetAtt":
            return self._attribute(*_split(said))
        if name == "Sub":
            return self._sub(said)
        argument = self.value(said)
        if name == "Join":
            return UNKNOWN if argument[1] == UNKNOWN else argument[0].join(map(str, argument[1]))
        if name == "Split":
            return argument[1].split(argument[0])
        if name == "Select":
            return UNKNOWN if UNKNOWN in argument[1] else argument[1][int(argument[0])]
        if name == "FindInMap":
            found: Any = self._mappings
            for key in argument:
                found = found[key]
            return found
        if name == "GetAZs":
            return self._zones
        if name == "Base64":
            return base64.b64encode(str(argument).encode()).decode()
        if name == "ToJsonString":
            return json.dumps(argument)
        raise TemplateError(f"The lab does not know the function Fn::{name}.")

    def _sub(self, said: Any) -> str:
        text, own = said if isinstance(said, list) else (said, {})

        def put(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in own:
                return str(self.value(own[name]))
            if "." in name:
                return str(self._attribute(*_split(name)))
            return str(self._refer(name))

        return _PLACE.sub(put, text)


def uses(said: Any) -> Iterator[tuple[str, str]]:
    """Resources and parameters that this part of a template refers to, each with the attribute or ""."""
    if isinstance(said, list):
        for each in said:
            yield from uses(each)
    elif isinstance(said, dict):
        for key, each in said.items():
            if key == "Ref":
                yield each, ""
            elif key == "Fn::GetAtt":
                yield _split(each)
            elif key == "Fn::Sub":
                text, own = each if isinstance(each, list) else (each, {})
                for place in _PLACE.findall(text):
                    if place not in own and not place.startswith("!"):
                        name, _, attribute = place.strip().partition(".")
                        yield name, attribute
                yield from uses(own)
            else:
                yield from uses(each)


def references(said: Any) -> Iterator[str]:
    """Names of resources and parameters that this part of a template refers to, repeated as they come."""
    return (name for name, _ in uses(said))


def _split(said: Any) -> tuple[str, str]:
    """Resource and attribute of a Fn::GetAtt, written as a list or as one string."""
    name, attribute = said.split(".", 1) if isinstance(said, str) else said
    return name, attribute
