"""Which lines are wanted, in Elasticsearch's language. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from corral.errors import CorralError

SEE = "docs/logs.md"
# From the least to the worst, each with what else it is called: by pino, syslog, Postgres, Python.
LEVELS = {
    "trace": (),
    "debug": (),
    "info": ("notice", "log", "information"),
    "warn": ("warning",),
    "error": ("err",),
    "fatal": ("critical", "crit", "alert", "emerg", "panic"),
}
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
Query = dict[str, Any]
# Of each index the sequence number of its newest line.
Heads = Mapping[str, int]


@dataclass(frozen=True)
class Wanted:
    """Lines that somebody asks for; empty is any.

    `text`: in Lucene's syntax. `hosts`, `roles`: names, with wildcards. `level`: at least this one.
    `request`: its id. `since`, `until`: aware moments.
    """

    text: str = ""
    hosts: Sequence[str] = ()
    roles: Sequence[str] = ()
    level: str | None = None
    request: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def query(wanted: Wanted) -> Query:
    """The query of Elasticsearch for them."""
    clauses: list[Query] = []
    limits = {"gte": wanted.since, "lt": wanted.until}
    if limits := {name: moment for name, moment in limits.items() if moment}:
        said = {name: moment.isoformat() for name, moment in limits.items() if moment}
        clauses.append({"range": {"@timestamp": said}})
    for field, names in (("host.name", wanted.hosts), ("corral.role", wanted.roles)):
        if names:
            alike = [{"wildcard": {field: {"value": name}}} for name in names]
            clauses.append({"bool": {"should": alike}})
    if wanted.level:
        clauses.append({"terms": {"log.level": at_least(wanted.level)}})
    if wanted.request:
        clauses.append({"term": {"http.request.id": wanted.request}})
    if wanted.text:
        # Paths are asked for more often than regular expressions.
        text = re.sub(r"(?<!\\)/", r"\\/", wanted.text)
        clauses.append({"query_string": {"query": text, "default_operator": "AND"}})
    return {"bool": {"filter": clauses}}


def between(asked: Query, after: Heads, to: Heads) -> Query:
    """Of what `asked` finds, what came after `after` and up to `to`: by the order of coming, not by its time.

    So a line is among them that a host could not send before, whatever its time.
    """
    parts = [
        {
            "bool": {
                "filter": [
                    {"term": {"_index": index}},
                    {"range": {"_seq_no": {"gt": after.get(index, -1), "lte": number}}},
                ]
            }
        }
        for index, number in to.items()
        if number > after.get(index, -1)
    ]
    return {"bool": {"filter": [asked, {"bool": {"should": parts, "minimum_should_match": 1}}]}}


def not_before(known: Heads) -> Query:
    """Lines that came not before these newest ones: a day's are too many to count each second."""
    if not known:
        return {"match_all": {}}
    parts: list[Query] = [
        {"bool": {"filter": [{"term": {"_index": index}}, {"range": {"_seq_no": {"gte": number}}}]}}
        for index, number in known.items()
    ]
    parts.append({"bool": {"must_not": {"terms": {"_index": list(known)}}}})
    return {"bool": {"should": parts, "minimum_should_match": 1}}


def at_least(level: str) -> list[str]:
    """All names of this level and of the worse ones."""
    names = list(LEVELS)
    return [name for each in names[names.index(level) :] for name in (each, *LEVELS[each])]


def rank(level: str) -> str | None:
    """The level, of LEVELS, that a line's own word means; None for none that is known."""
    return next((name for name, others in LEVELS.items() if level in (name, *others)), None)


def moment(text: str, now: datetime) -> datetime:
    """The moment that "15m" (ago), "2026-11-26" or "2026-11-26T08:30" names, in UTC; raises CorralError."""
    try:
        if ago := re.fullmatch(r"(\d+)([smhdw])", text):
            return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise CorralError(
            f"{text!r} is no moment.",
            "Say how long ago (90s, 15m, 2h, 3d, 1w), or when, in UTC: 2026-11-26 or 2026-11-26T08:30.",
            SEE,
        ) from None
