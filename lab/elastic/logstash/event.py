"""Events in a pipeline: fields by reference, texts with fields in them, and moments.

Source: "Accessing event data and fields" of Logstash's reference;
logstash-core/src/main/java/org/logstash/Event.java.
"""

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

_REFERENCE = re.compile(r"(\[[^\[\]]+\])+")
_JODA = {
    "yyyy": "%Y",
    "YYYY": "%Y",
    "MM": "%m",
    "dd": "%d",
    "HH": "%H",
    "mm": "%M",
    "ss": "%S",
    "SSS": "%f",
    "Z": "%z",
    "ZZ": "%z",
    "MMM": "%b",
    "xxxx": "%G",
    "ww": "%V",
}


class Event:
    """`data`: all fields, with "@timestamp" as text, and "@metadata"."""

    def __init__(self, data: dict[str, Any]):
        self.data = data
        self.data.setdefault("@version", "1")
        self.cancelled = False
        moment = data.get("@timestamp")
        if moment is None or not self.set_time(moment):
            if moment is not None:
                data["_@timestamp"] = moment
                self.tag("_timestampparsefailure")
            data["@timestamp"] = write_time(datetime.now(UTC))

    def get(self, reference: str) -> Any:
        """The field's value; None when there is none."""
        return self._at(path(reference))

    def _at(self, names: tuple[str, ...]) -> Any:
        here: Any = self.data
        for name in names:
            if isinstance(here, dict):
                here = here.get(name)
            elif (
                isinstance(here, list)
                and re.fullmatch(r"-?\d+", name)
                and -len(here) <= int(name) < len(here)
            ):
                here = here[int(name)]
            else:
                return None
        return here

    def set(self, reference: str, value: Any) -> None:
        """Put a value there; what is no object in between gives way to one."""
        *parents, last = path(reference)
        here = self.data
        for name in parents:
            if not isinstance(here.get(name), dict):
                here[name] = {}
            here = here[name]
        here[last] = value

    def remove(self, reference: str) -> Any:
        """Take a field away; its value."""
        *parents, last = path(reference)
        here: Any = self.data
        for name in parents:
            here = here.get(name) if isinstance(here, dict) else None
        return here.pop(last, None) if isinstance(here, dict) else None

    def has(self, reference: str) -> bool:
        """Whether the field is there."""
        names = path(reference)
        here = self._at(names[:-1])
        return isinstance(here, dict) and names[-1] in here

    def tag(self, *tags: str) -> None:
        """Add tags that are not there yet, whatever stands in their place."""
        had = self.data.get("tags")
        found = had if isinstance(had, list) else [] if had is None else [had]
        self.data["tags"] = found + [tag for tag in tags if tag not in found]

    def set_time(self, value: Any) -> bool:
        """Take a moment in ISO 8601 for the event's; whether it is one."""
        moment = parse_iso(value) if isinstance(value, str) else None
        if moment:
            self.data["@timestamp"] = write_time(moment)
        return moment is not None

    def text(self, template: str) -> str:
        """A text with the fields that %{…} names; one that isn't there leaves its name standing."""
        return re.sub(r"%\{([^}]+)\}", self._named, template)

    def _named(self, match: re.Match[str]) -> str:
        if match[1].startswith("+"):
            return datetime.fromisoformat(self.data["@timestamp"]).strftime(joda(match[1][1:]))
        value = self.get(match[1])
        if value is None:
            return match[0]
        if isinstance(value, str):
            return value
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# A pipeline's own are few; more come of texts with fields in them.
@lru_cache(maxsize=1000)
def path(reference: str) -> tuple[str, ...]:
    """The names that a reference leads through: "a" or "[a][b]"."""
    if not _REFERENCE.fullmatch(reference):
        return (reference,)
    return tuple(re.findall(r"\[([^\[\]]+)\]", reference))


def parse_iso(text: str) -> datetime | None:
    """A moment of ISO 8601 with date and time; without a zone it is UTC. None for others."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:?\d\d)?", text)
    try:
        return (
            datetime.fromisoformat(f"{match[1]}.{(match[2] or '0')[:6]:0<6}{match[3] or 'Z'}").astimezone(UTC)
            if match
            else None
        )
    except (ValueError, OverflowError):
        return None


def write_time(moment: datetime) -> str:
    """As Logstash writes it: UTC, with milliseconds, or with microseconds when there are some."""
    timespec = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def joda(pattern: str) -> str:
    """Python's form of a pattern of Joda-Time; raises ValueError for letters that are not known."""

    def part(match: re.Match[str]) -> str:
        if match[1] is not None:
            return match[1]
        if match[0] not in _JODA:
            raise ValueError(f"the lab's stand-in does not know {match[0]!r} in {pattern!r}")
        return _JODA[match[0]]

    return re.sub(r"'([^']*)'|([A-Za-z])\2*", part, pattern)
