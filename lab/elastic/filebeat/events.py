"""Events: what Filebeat makes of a line, as it goes over the wire.

Sources, of github.com/elastic/beats: libbeat/reader/readjson/json.go,
libbeat/common/jsontransform/jsonhelper.go, libbeat/reader/readfile/metafields.go,
libbeat/publisher/processing/default.go.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lab.elastic import settings
from lab.elastic.settings import SettingsError

# RFC 3339, and ISO 8601 with a zone without a colon: jsonhelper.go, parseTimestamp
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)")
# Go reads 10,000; Elasticsearch takes 20 (index.mapping.depth.limit).
_DEEPEST = 100


@dataclass
class Event:
    """`fields`: all but time and metadata. `key`, `state`: for the registry, when it is acknowledged."""

    time: datetime
    fields: dict[str, Any]
    key: str
    state: dict[str, Any]
    meta: dict[str, Any]


@dataclass(frozen=True)
class Agent:
    """Who ships. `name`: of this host; `id`: stays, `ephemeral`: of this run."""

    name: str
    id: str
    ephemeral: str
    version: str


def parse_time(text: str) -> datetime | None:
    """The moment that a text in Filebeat's forms names; None for others."""
    match = _TIME.fullmatch(text)
    try:
        return (
            datetime.fromisoformat(f"{match[1]}{(match[2] or '')[:7]}{match[3]}").astimezone(UTC)
            if match
            else None
        )
    except (ValueError, OverflowError):
        return None


def write_time(moment: datetime) -> str:
    """As Beats write it: UTC, with milliseconds."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def parse_line(event: Event, line: str, ndjson: dict[str, Any]) -> None:
    """Put a line into the event as the ndjson parser does: its fields, or the line itself and an error."""
    try:
        fields = json.loads(line, parse_constant=_no_constant)
        if not isinstance(fields, dict):
            raise ValueError("json: cannot unmarshal into Go value of type map[string]interface {}")
        if _depth(fields) > _DEEPEST:
            raise ValueError("exceeded max depth")
    except (ValueError, RecursionError) as error:
        event.fields["message"] = line
        if ndjson["add_error_key"]:
            event.fields["error"] = _error(f"Error decoding JSON: {error}")
        return
    if key := ndjson["message_key"]:
        if isinstance(fields.get(key), str):
            event.fields["message"] = fields[key]
        elif ndjson["add_error_key"]:
            why = f"Value of key '{key}' is not a string" if key in fields else f"Key '{key}' not found"
            fields["error"] = _error(why)
    if ndjson["target"]:
        settings.update(event.fields, settings.expand({ndjson["target"]: fields}))
    else:
        _merge(event, fields, ndjson)


def _merge(event: Event, fields: dict[str, Any], ndjson: dict[str, Any]) -> None:
    def failed(why: str) -> None:
        if ndjson["add_error_key"]:
            event.fields["error"] = _error(why)

    if ndjson["expand_keys"]:
        try:
            fields = settings.expand(fields)
        except ValueError as error:  # Filebeat ships the event without the line's fields.
            return failed(str(error))
    moment, meta = fields.pop("@timestamp", None), fields.pop("@metadata", None)
    if not ndjson["overwrite_keys"]:
        return settings.update(event.fields, fields, overwrite=False)
    kind = fields.pop("type", None)
    settings.update(event.fields, fields)
    if isinstance(moment, str) and (parsed := parse_time(moment)):
        event.time = parsed
    elif moment is not None:
        failed(
            f"@timestamp not overwritten (parse error on {moment})"
            if isinstance(moment, str)
            else "@timestamp not overwritten (not string)"
        )
    if isinstance(meta, dict):
        settings.update(event.meta, meta)
    elif meta is not None:
        failed("failed to update @metadata")
    if isinstance(kind, str) and kind and kind[0] != "_":
        event.fields["type"] = kind
    elif kind is not None:
        why = f"invalid value [{kind}]" if isinstance(kind, str) else "not string"
        failed(f"type not overwritten ({why})")


def check_processors(processors: list[Any]) -> None:
    """Refuse those that the stand-in has not."""
    for each in processors:
        if (
            not isinstance(each, dict)
            or len(each) != 1
            or not set(each) <= {"add_fields", "drop_fields", "add_tags"}
        ):
            raise SettingsError(
                f"the lab's stand-in has no processor but add_fields, add_tags, drop_fields: {each!r}"
            )


def finish(event: Event, givens: list[dict[str, Any]], agent: Agent) -> bytes:
    """The event on the wire, with what its input and filebeat.yml add (`givens`: their settings)."""
    fields = event.fields
    for given in givens:
        if given["tags"]:
            _add_tags(fields, given["tags"])
        if given["fields"]:
            settings.update(
                fields, given["fields"] if given["fields_under_root"] else {"fields": given["fields"]}
            )
    who = {"ephemeral_id": agent.ephemeral, "id": agent.id, "name": agent.name}
    settings.update(fields, {"ecs": {"version": "8.0.0"}, "host": {"name": agent.name}})
    settings.update(fields, {"agent": who | {"type": "filebeat", "version": agent.version}})
    for each in (processor for given in givens for processor in given["processors"]):
        _process(fields, each)
    meta = event.meta | {"beat": "filebeat", "type": "_doc", "version": agent.version}
    whole = {"@timestamp": write_time(event.time), "@metadata": meta, **fields}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _process(fields: dict[str, Any], processor: dict[str, Any]) -> None:
    (name, given), *_ = processor.items()
    if name == "add_fields":
        target = given.get("target", "fields")
        added = settings.expand(given["fields"])
        settings.update(fields, settings.expand({target: added}) if target else added)
    elif name == "add_tags":
        _add_tags(fields, settings.texts(given["tags"]))
    else:
        for path in settings.texts(given["fields"]):
            *parents, last = path.split(".")
            here: Any = fields
            for parent in parents:
                here = here.get(parent) if isinstance(here, dict) else None
            if isinstance(here, dict):
                here.pop(last, None)


def _add_tags(fields: dict[str, Any], tags: list[str]) -> None:
    """Beside those that the line brought, whatever it brought under that name."""
    had = fields.get("tags", [])
    fields["tags"] = [*(had if isinstance(had, list) else [had]), *tags]


def _depth(value: Any) -> int:
    """How many objects and lists are within one another."""
    depth, here = 0, [value]
    while here := [each for each in here if isinstance(each, dict | list)]:
        depth += 1
        here = [inner for each in here for inner in (each.values() if isinstance(each, dict) else each)]
    return depth


def _no_constant(name: str) -> None:
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")


def _error(message: str) -> dict[str, str]:
    return {"message": message, "type": "json"}
