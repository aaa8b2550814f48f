"""How a line looks in a terminal: one line, in order, coloured by its level. Pure."""

import json
import re
from collections.abc import Iterator
from typing import Any

import click

from corral.logs.event import Event
from corral.logs.query import rank

# The fields that a line is shown by.
SHOWN = [
    *("@timestamp", "message", "host.name", "corral.role", "data_stream.dataset", "log.level"),
    *("log.syslog.appname", "service.name", "http.request.id", "http.request.method", "url.path"),
    *("http.response.status_code", "event.duration", "database.*", "error.type", "error.message"),
]
# A message is cut there; --json has all of it.
LONGEST = 2000
STYLES: dict[str | None, dict[str, Any]] = {
    "fatal": {"fg": "red", "bold": True},
    "error": {"fg": "red"},
    "warn": {"fg": "yellow"},
    "debug": {"dim": True},
    "trace": {"dim": True},
}
# What a terminal takes for a command, or for the end of a line.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def line(event: Event) -> str:
    """When, how bad, where, what."""
    level = event.text("log.level")
    style = STYLES.get(rank(level.lower()), {})
    where = f"{event.text('corral.role'):7} {event.text('host.name'):19} {dataset(event):15}"
    request = event.text("http.request.id")
    parts = (
        click.style(clock(event), dim=True),
        click.style(f"{plain(level) or '-':5}", **style),
        click.style(plain(where), fg="cyan"),
        click.style(what(event), **style),
        *([click.style(f"[{plain(request)}]", dim=True)] if request else []),
    )
    return " ".join(parts)


def clock(event: Event) -> str:
    """ "2026-11-26 08:30:00.123", in UTC."""
    return event.moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{event.moment.microsecond // 1000:03d}"


def dataset(event: Event) -> str:
    """What the line's data stream is called; of the journal, whose line it is."""
    return event.text("log.syslog.appname") or event.text("data_stream.dataset")


def what(event: Event) -> str:
    """The message, and what the line's fields add to it."""
    message = event.get("message")
    said = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    return ", ".join(filter(None, (plain(said)[:LONGEST], *_more(event, said))))


def _more(event: Event, said: str) -> Iterator[str]:
    answer = [event.text(f"http.{name}") for name in ("request.method", "response.status_code")]
    answer.insert(1, event.text("url.path"))
    if all(answer) and " ".join(answer) not in said:
        yield plain(" ".join(answer))
    if event.milliseconds is not None:
        yield f"{event.milliseconds:.1f} ms"
    if database := in_database(event):
        yield database
    if error := event.text("error.message"):
        yield plain(f"{event.text('error.type') or 'error'}: {error}")[:LONGEST]


def in_database(event: Event) -> str:
    """ "database 3.2 ms in 2 queries"; empty for a line that does not tell."""
    spent, queries = event.number_of("database.duration"), event.number_of("database.queries")
    if spent is None:
        return ""
    count = "" if queries is None else f" in {queries:.0f} {'query' if queries == 1 else 'queries'}"
    return f"database {spent / 1e6:.1f} ms{count}"


def plain(text: str) -> str:
    """The text without what would end the line or command the terminal: `\\n` is two characters then."""
    return CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)
