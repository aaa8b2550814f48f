"""What a pipeline is made of: plugins with options, conditions on fields, branches."""

import os
import re
from dataclasses import dataclass
from typing import Any


class LanguageError(Exception):
    """The text is no pipeline."""


@dataclass(frozen=True)
class Field:
    """A field of the event, such as [log][level]."""

    path: str


@dataclass(frozen=True)
class Regexp:
    """What is between two slashes."""

    pattern: str


@dataclass(frozen=True)
class Plugin:
    """A plugin and its options as they were given; `section`: input, filter or output."""

    section: str
    name: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Condition:
    """`operator`: and, or, not, a comparison, or "" for the one operand's own truth."""

    operator: str
    operands: tuple[Any, ...]


@dataclass(frozen=True)
class Branch:
    """if, else if, else: the first body whose condition holds; None holds always."""

    ways: tuple[tuple[Condition | None, tuple[Any, ...]], ...]


Statement = Plugin | Branch


def substituted(value: Any) -> Any:
    """A value with ${VARIABLES} of the environment put in; raises LanguageError for one that is not there."""
    if isinstance(value, str):
        return re.sub(r"\$\{([\w.]+)(?::([^}]*))?\}", _variable, value)
    if isinstance(value, list):
        return [substituted(each) for each in value]
    if isinstance(value, dict):
        return {name: substituted(each) for name, each in value.items()}
    return value


def _variable(match: re.Match[str]) -> str:
    found = os.environ.get(match[1], match[2])
    if found is None:
        # logstash-core/lib/logstash/util/substitution_variables.rb
        raise LanguageError(
            f"Cannot evaluate `${{{match[1]}}}`. Replacement variable `{match[1]}` is not defined "
            "in a Logstash secret store or as an Environment entry and there is no default value given."
        )
    return found
