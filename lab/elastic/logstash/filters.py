"""The filters: json, date, mutate, fingerprint and drop, each as its page of Logstash's reference says."""

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lab.elastic.logstash.dissect import dissect
from lab.elastic.logstash.event import Event, joda, parse_iso, write_time
from lab.elastic.logstash.language import LanguageError

# A filter says whether it did what it is for: only then its add_tag and the like are done.
Filter = Callable[[Event], bool]


def build(name: str, options: dict[str, Any]) -> Filter:
    """The filter; raises LanguageError for options that do not go together."""
    inner = _FILTERS[name](options)

    def outer(event: Event) -> bool:
        done = inner(event)
        if done:
            _common(event, options)
        return done

    return outer


def _common(event: Event, options: dict[str, Any]) -> None:
    for field, value in options.get("add_field", {}).items():
        value = event.text(value) if isinstance(value, str) else value
        name = event.text(field)
        event.set(name, value if not event.has(name) else [*_as_list(event.get(name)), value])
    for field in options.get("remove_field", []):
        event.remove(event.text(field))
    event.tag(*(event.text(tag) for tag in options.get("add_tag", [])))
    if gone := [event.text(tag) for tag in options.get("remove_tag", [])]:
        event.data["tags"] = [tag for tag in _as_list(event.data.get("tags")) if tag not in gone]
    if event.data.get("tags") == []:
        del event.data["tags"]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _json(options: dict[str, Any]) -> Filter:
    source, target = options["source"], options.get("target")

    def run(event: Event) -> bool:
        text = event.get(source)
        if text is None:
            return False
        try:
            found = json.loads(text if isinstance(text, str) else "", parse_constant=_no_constant)
        except (ValueError, RecursionError):
            if not options.get("skip_on_invalid_json"):
                event.tag(*options.get("tag_on_failure", ["_jsonparsefailure"]))
            return False
        if target:
            event.set(target, found)
            return True
        if not isinstance(found, dict):
            event.tag(*options.get("tag_on_failure", ["_jsonparsefailure"]))
            return False
        moment, meta = found.pop("@timestamp", None), found.pop("@metadata", None)
        event.data |= found
        if isinstance(meta, dict):
            event.data["@metadata"] = {**event.data.get("@metadata", {}), **meta}
        if moment is not None and not event.set_time(moment):
            event.data["_@timestamp"] = moment
            event.tag("_timestampparsefailure")
        return True

    return run


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _date(options: dict[str, Any]) -> Filter:
    field, *patterns = options["match"]
    if not patterns:
        raise LanguageError(
            f"The match setting should contain first a field name and at least one date format: {field}"
        )
    zone = options.get("timezone", "UTC")
    try:
        readers = [_reader(pattern, ZoneInfo(zone)) for pattern in patterns]
    except ZoneInfoNotFoundError:
        raise LanguageError(f"The datetime zone id '{zone}' is not recognised") from None
    except ValueError as error:
        raise LanguageError(str(error)) from error

    def run(event: Event) -> bool:
        value = event.get(field)
        if value is None:
            return False
        for read in readers:
            if moment := read(value[0] if isinstance(value, list) and value else value):
                event.set(options.get("target", "@timestamp"), write_time(moment))
                return True
        event.tag(*options.get("tag_on_failure", ["_dateparsefailure"]))
        return False

    return run


def _reader(pattern: str, zone: ZoneInfo) -> Callable[[Any], datetime | None]:
    """`zone`: of a moment that names none itself; ISO 8601 without one is UTC here."""
    if pattern == "ISO8601":
        return lambda value: parse_iso(value) if isinstance(value, str) else None
    if pattern in ("UNIX", "UNIX_MS"):
        return lambda value: _epoch(value, 1000 if pattern == "UNIX_MS" else 1)
    form = joda(pattern)

    def read(value: Any) -> datetime | None:
        try:
            moment = datetime.strptime(value, form)
        except (TypeError, ValueError):
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)

    return read


def _epoch(value: Any, divisor: int) -> datetime | None:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(value) / divisor)
    except (TypeError, ValueError, OverflowError):
        return None


def _mutate(options: dict[str, Any]) -> Filter:
    """In the order of mutate's own documentation: rename, update, replace, lowercase, then copy."""

    def run(event: Event) -> bool:
        for old, new in options.get("rename", {}).items():
            if event.has(old):
                event.set(event.text(new), event.remove(old))
        for field, value in options.get("update", {}).items():
            if event.has(field):
                event.set(field, event.text(value) if isinstance(value, str) else value)
        for field, value in options.get("replace", {}).items():
            event.set(field, event.text(value) if isinstance(value, str) else value)
        for field in options.get("lowercase", []):
            if event.has(field):
                event.set(field, _lower(event.get(field)))
        for source, target in options.get("copy", {}).items():
            if event.has(source):
                event.set(event.text(target), json.loads(json.dumps(event.get(source))))
        return True

    return run


def _lower(value: Any) -> Any:
    """Texts, also in a list; the real one passes over all others, and says so in its log."""
    if isinstance(value, list):
        return [_lower(each) for each in value]
    return value.lower() if isinstance(value, str) else value


def _fingerprint(options: dict[str, Any]) -> Filter:
    """With ECS the target is [event][hash]; several sources as |name|value|…| in their names' order."""
    sources = sorted(options.get("source", ["message"]))
    name = options.get("method", "SHA1").lower()

    def digest(text: str) -> str:
        if key := options.get("key"):
            return hmac.new(key.encode(), text.encode(errors="replace"), name).hexdigest()
        return hashlib.new(name, text.encode(errors="replace")).hexdigest()

    def run(event: Event) -> bool:
        target = options.get("target", "[event][hash]")
        if options.get("concatenate_sources"):
            event.set(target, digest("".join(f"|{each}|{_plain(event.get(each))}" for each in sources) + "|"))
        else:
            for each in sources:
                if event.has(each):
                    event.set(target, digest(_plain(event.get(each))))
        return True

    return run


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, sort_keys=True)


def _drop(_: dict[str, Any]) -> Filter:
    def run(event: Event) -> bool:
        event.cancelled = True
        return True

    return run


_FILTERS: dict[str, Callable[[dict[str, Any]], Filter]] = {
    "dissect": dissect,
    "json": _json,
    "date": _date,
    "mutate": _mutate,
    "fingerprint": _fingerprint,
    "drop": _drop,
}
