"""A line as it is in Elasticsearch. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# What a field of type long holds less than (Elasticsearch reference, "Numeric field types").
LONGEST_NUMBER = 2**63


@dataclass(frozen=True)
class Event:
    """`source`: its fields. `order`: what it is sorted by. `index`, `number`: where it came, and as which."""

    id: str
    source: Mapping[str, Any]
    order: tuple[Any, ...] = ()
    index: str = ""
    number: int = 0

    @classmethod
    def of(cls, hit: Mapping[str, Any]) -> "Event":
        """An event out of one of a search's hits."""
        order = tuple(hit.get("sort", ()))
        return cls(hit["_id"], hit["_source"], order, hit["_index"], hit.get("_seq_no", 0))

    def get(self, name: str) -> Any:
        """The value of a field of the standard, such as "http.request.id"; None without one."""
        here: Any = self.source
        for part in name.split("."):
            here = here.get(part) if isinstance(here, Mapping) else None
        return here

    def text(self, name: str) -> str:
        """The same as text; empty without one."""
        value = self.get(name)
        return "" if value is None else str(value)

    def number_of(self, name: str) -> float | None:
        """The same as a number; None for what is none, or is too big for Elasticsearch to count with."""
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if abs(value) < LONGEST_NUMBER else None

    @property
    def moment(self) -> datetime:
        """When it was written, in UTC."""
        # Logstash writes milliseconds or microseconds, and Z.
        return datetime.fromisoformat(str(self.source["@timestamp"])).astimezone(UTC)

    @property
    def milliseconds(self) -> float | None:
        """How long what it tells of took; ECS counts in nanoseconds."""
        duration = self.number_of("event.duration")
        return None if duration is None else duration / 1e6
