"""The filter dissect: cuts a text where the delimiters stand that its mapping has between fields.

Source: "Dissect filter plugin" of Logstash's reference. Of its notation there are %{field}, %{}, %{?skipped}.
"""

import re
from collections.abc import Callable
from typing import Any

from lab.elastic.logstash.event import Event
from lab.elastic.logstash.language import LanguageError


def dissect(options: dict[str, Any]) -> Callable[[Event], bool]:
    """The filter; whether all fields of its mapping were found. Raises LanguageError for what it lacks."""
    mappings = [
        (field, _names(mapping), _parse(mapping)) for field, mapping in options.get("mapping", {}).items()
    ]

    def run(event: Event) -> bool:
        found: dict[str, str] = {}
        for field, names, pattern in mappings:
            text = event.get(field)
            match = pattern.fullmatch(text) if isinstance(text, str) else None
            if match is None:
                event.tag(*options.get("tag_on_failure", ["_dissectfailure"]))
                return False
            found |= dict(zip(names, match.groups(), strict=True))
        for name, value in found.items():
            if name and not name.startswith("?"):
                event.set(name, value)
        return True

    return run


def _names(mapping: str) -> list[str]:
    return re.findall(r"%\{([^}]*)\}", mapping)


def _parse(mapping: str) -> re.Pattern[str]:
    """Each field goes up to the first delimiter after it, the last one to the end."""
    names = _names(mapping)
    if not names or any(name[:1] in ("+", "&") or "->" in name or "/" in name for name in names):
        raise LanguageError(f"the lab's stand-in does not know all of the mapping {mapping!r}")
    first, *delimiters = re.split(r"%\{[^}]*\}", mapping)
    if "" in delimiters[:-1]:
        raise LanguageError(f"two fields of the mapping {mapping!r} have no delimiter between them")
    fields = [f"(.*?){re.escape(delimiter)}" for delimiter in delimiters[:-1]]
    last = f"(.*?){re.escape(delimiters[-1])}.*" if delimiters[-1] else "(.*)"
    return re.compile(re.escape(first) + "".join(fields) + last, re.DOTALL)
