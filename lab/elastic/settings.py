"""Settings of Elastic's products in YAML: dotted and nested names are the same, unknown ones refused.

The products themselves pass over a setting of a Beat that they don't know, without a word; a stand-in must
not: what it does not know is either no setting of this version, or one that the lab can't show.
Sources of the names and of ${VARIABLES}: "Config file format" of the Beats Platform Reference,
"logstash.yml" of Logstash's, "Configure Kibana" of Kibana's.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml


class SettingsError(Exception):
    """A setting that the product refuses, or that its stand-in does not know."""


class UnknownSettingError(SettingsError):
    """A setting that there is not."""


class WrongValueError(SettingsError):
    """A setting that there is, with a value that it can't have."""


@dataclass(frozen=True)
class Setting:
    """`convert`: from YAML to what the program uses, raises ValueError. `default`: when it is not set."""

    convert: Callable[[Any], Any]
    default: Any = None
    whole: bool = False  # the names below are the user's own, as in `fields`


def load(text: str, path: str) -> Any:
    """YAML with ${VARIABLES} of the environment put in; raises SettingsError that names the file."""
    try:
        return _substituted(yaml.safe_load(text) if text.strip() else {})
    except yaml.YAMLError as error:
        raise SettingsError(f"error loading config file: yaml: {error} in '{path}'") from error


def read(
    given: Any, known: Mapping[str, Setting], product: str, removed: Mapping[str, str]
) -> dict[str, Any]:
    """Every known setting by its dotted name, converted, with its default where it isn't given.

    `given`: nested or dotted names. `removed`: what the product says to names it once had. `product`: its
    name and version for messages. Raises UnknownSettingError or WrongValueError for the first that isn't
    right, SettingsError for what is no settings at all, or was removed.
    """
    if not isinstance(given, dict):
        raise SettingsError(f"{product}: expected settings, got {given!r}")
    values = {name: setting.default for name, setting in known.items()}
    for name, value in _flat(given, known):
        if said := next(
            (text for old, text in removed.items() if name == old or name.startswith(f"{old}.")), None
        ):
            raise SettingsError(said)
        if name not in known:
            raise UnknownSettingError(f"'{name}' is no setting of {product} that the lab's stand-in knows")
        try:
            values[name] = known[name].convert(value) if value is not None else known[name].default
        except (ValueError, TypeError) as error:
            raise WrongValueError(f"{product}: '{name}': {error}") from error
    return values


def text(value: Any) -> str:
    """A text."""
    if isinstance(value, dict | list):
        raise ValueError(f"expected a text, got {value!r}")
    return str(value)


def texts(value: Any) -> list[str]:
    """A list of texts; one alone stands for a list of one, as in Beats."""
    return [text(each) for each in (value if isinstance(value, list) else [value])]


def number(value: Any) -> int:
    """A whole number, not below 0."""
    if isinstance(value, bool) or not re.fullmatch(r"\d+", str(value)):
        raise ValueError(f"expected a number, got {value!r}")
    return int(value)


def boolean(value: Any) -> bool:
    """True or false."""
    if str(value).lower() not in ("true", "false"):
        raise ValueError(f"expected true or false, got {value!r}")
    return str(value).lower() == "true"


def mapping(value: Any) -> dict[str, Any]:
    """Names and values of the user's own."""
    if not isinstance(value, dict):
        raise ValueError(f"expected names and values, got {value!r}")
    return expand(value)


def listing(value: Any) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise ValueError(f"expected a list, got {value!r}")
    return value


def duration(value: Any) -> float:
    """Seconds, from Go's form ("1m30s", "250ms"); a bare number is seconds (Beats: "Config file format")."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6}
    if re.fullmatch(r"-?\d+(\.\d+)?", str(value)):
        return float(value)
    if not re.fullmatch(r"(\d+(\.\d+)?(h|ms|m|us|s))+", str(value)):
        raise ValueError(f'time: invalid duration "{value}"')
    return sum(
        float(count) * units[unit] for count, _, unit in re.findall(r"(\d+(\.\d+)?)(h|ms|m|us|s)", value)
    )


def size(value: Any) -> int:
    """Bytes, from "64mb", "4gb" or a number."""
    match = re.fullmatch(r"(\d+)\s*([kmgt]?)i?b?", str(value).lower())
    if not match:
        raise ValueError(f"expected a size, got {value!r}")
    return int(match[1]) << 10 * " kmgt".index(match[2] or " ")


def expand(given: Mapping[str, Any]) -> dict[str, Any]:
    """Nested names for dotted ones; raises ValueError where one is a value and holds others too."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        *parents, last = str(name).split(".")
        leaf = {last: expand(value) if isinstance(value, dict) else value}
        for parent in reversed(parents):
            leaf = {parent: leaf}
        _join(found, leaf, str(name))
    return found


def _join(target: dict[str, Any], more: dict[str, Any], name: str) -> None:
    for key, value in more.items():
        if key not in target:
            target[key] = value
        elif isinstance(value, dict) and isinstance(target[key], dict):
            _join(target[key], value, name)
        else:
            raise ValueError(f"cannot expand {name!r}: found conflicting key")


def update(target: dict[str, Any], more: Mapping[str, Any], overwrite: bool = True) -> None:
    """Put `more` into a nested object: objects are joined, other values replaced, or kept."""
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            update(target[name], value, overwrite)
        elif overwrite or name not in target:
            target[name] = value


def _flat(
    given: Mapping[str, Any], known: Mapping[str, Setting], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        full = f"{prefix}{name}"
        if isinstance(value, dict) and value and not (full in known and known[full].whole):
            yield from _flat(value, known, f"{full}.")
        elif value is not None or full in known or not any(each.startswith(f"{full}.") for each in known):
            yield full, value


def _substituted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _substituted(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_substituted(each) for each in value]
    if isinstance(value, str):
        return re.sub(r"\$\{([^}:]+)(?::([^}]*))?\}", _variable, value)
    return value


def _variable(match: re.Match[str]) -> str:
    found = os.environ.get(match[1], match[2])
    if found is None:
        raise SettingsError(f"missing field: the environment has no variable '{match[1]}'")
    return found
