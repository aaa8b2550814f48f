"""`corral logs` and `corral trace`: lines of all hosts in time order, and the whole way of one request."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import TypeVar

import click

from corral import fleet
from corral.aws import explained
from corral.cli.common import errors, with_settings
from corral.errors import CorralError
from corral.logs import show
from corral.logs import trace as way
from corral.logs.connect import store as connect
from corral.logs.event import Event
from corral.logs.follow import EVERY, follow
from corral.logs.query import LEVELS, SEE, Heads, Wanted, between, moment, query
from corral.logs.store import Store, UnreachableError
from corral.settings import SINGLETONS, Settings

SINCE = "15m"
ROLES = ("app", *SINGLETONS)
# With -f alone: as tail does.
LAST = 10
Found = TypeVar("Found")


def _request_id(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """An empty one, of a variable that is not set, would mean any request."""
    if text is not None and not text.strip():
        raise CorralError(
            "The request's id is empty.",
            "It is in the answer's header X-Request-Id.",
            f"{SEE}#find-a-request",
        )
    return text


@click.command()
@click.argument("text", nargs=-1)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    help="An instance's id (i-0a*) or its address. More than once.",
)
@click.option("--role", "roles", type=click.Choice(ROLES), multiple=True, help="More than once.")
@click.option("--level", type=click.Choice(list(LEVELS)), help="This level and the worse ones.")
@click.option(
    "--request", metavar="ID", callback=_request_id, help="One request's lines. See also: corral trace ID"
)
@click.option("--since", metavar="WHEN", help="As 90s, 2h, 3d ago, or 2026-11-26T08:30 (UTC).")
@click.option("--until", metavar="WHEN", help="The same.")
@click.option("-n", "--last", type=click.IntRange(1, 10_000), metavar="N", help="The newest N lines only.")
@click.option("-f", "--follow", "following", is_flag=True, help="And every line that comes, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Each line as a JSON object with all of its fields.")
@with_settings
def logs(
    settings: Settings,
    text: tuple[str, ...],
    hosts: tuple[str, ...],
    roles: tuple[str, ...],
    level: str | None,
    request: str | None,
    since: str | None,
    until: str | None,
    last: int | None,
    following: bool,
    as_json: bool,
) -> None:
    """Lines of all hosts, in time order; those with all words of TEXT, in Lucene's syntax.

    Words are looked for in messages, errors and paths; name:value asks for a field. See docs/logs.md.

    Without --since, --until, --request, -n or -f: the last 15 minutes.
    """
    if following and until:
        raise CorralError(
            "What is to come has no end: -f and --until exclude each other.", "Leave one away.", SEE
        )
    now = datetime.now(UTC)
    if following and not (last or since):
        last = LAST
    began = since or (None if last or request or until else SINCE)
    wanted = Wanted(
        text=" ".join(text),
        hosts=_instances(settings, hosts),
        roles=roles,
        level=level,
        request=request,
        since=moment(began, now) if began else None,
        until=moment(until, now) if until else None,
    )
    store = connect(settings)
    # Ctrl-C is how one leaves.
    with suppress(KeyboardInterrupt):
        for event in _events(store, wanted, last, following, as_json):
            click.echo(json.dumps(event.source) if as_json else show.line(event))


def _events(store: Store, wanted: Wanted, last: int | None, following: bool, whole: bool) -> Iterator[Event]:
    asked = query(wanted)
    if not following:
        yield from store.last(asked, last, whole) if last else store.lines(asked, whole)
        return

    def first(known: Heads) -> Iterator[Event]:
        there = between(asked, {}, known)
        yield from store.last(there, last, whole) if last else store.lines(there, whole)

    def lines(shown: Heads, known: Heads) -> list[Event]:
        return _patiently(lambda: list(store.lines(between(asked, shown, known), whole)))

    yield from follow(lambda known: _patiently(lambda: store.heads(known)), first, lines)


def _patiently(ask: Callable[[], Found]) -> Found:
    """What it gives, when Elasticsearch is there again: who follows need not begin anew."""
    said = False
    while True:
        try:
            return ask()
        except UnreachableError as error:
            if not said:
                errors.print(f"corral: {error.problem} Waiting for it.", style="yellow", markup=False)
            said = True
            time.sleep(EVERY)


def _instances(settings: Settings, hosts: tuple[str, ...]) -> list[str]:
    """What `host.name` says of each of them: an address belongs to the instance that has it now."""
    addresses = [host for host in hosts if _is_address(host)]
    if not addresses:
        return list(hosts)
    with explained(settings):
        known = {one["PrivateIpAddress"]: one["InstanceId"] for one in fleet.instances(settings)}
    if missing := [address for address in addresses if address not in known]:
        remedy = "Give the instance's id: a host's lines are there longer than its address."
        raise CorralError(f"No running host has the address {', '.join(missing)}.", remedy, SEE)
    return [known.get(host, host) for host in hosts]


def _is_address(text: str) -> bool:
    with suppress(ValueError):
        return bool(IPv4Address(text))
    return False


@click.command()
@click.argument("request", metavar="REQUEST_ID", callback=_request_id)
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@with_settings
def trace(settings: Settings, request: str, as_json: bool) -> None:
    """One request's whole way: nginx, every line of the application, the time in the database.

    Its id is in the answer's header X-Request-Id, and in the page's own error messages.
    """
    steps = way.steps(list(connect(settings).lines(query(Wanted(request=request)))))
    if not steps:
        raise CorralError(
            f"No line has the request id {request}.",
            f"Lines arrive within seconds, and are kept for {settings.logs.days} days.",
            SEE,
        )
    if as_json:
        click.echo(json.dumps(_plain(steps), indent=1))
        return
    for name, milliseconds, count in way.spent(steps):
        click.echo(f"{name:12}{milliseconds:9.1f} ms{_times(name, count)}")
    click.echo()
    for step in steps:
        click.echo(f"{way.offset(step, steps[0]):9.1f} ms  {show.line(step.event)}")


def _times(name: str, count: int) -> str:
    if name == "database":
        return f"  in {count} {'query' if count == 1 else 'queries'}"
    return f"  in {count} answers" if count > 1 else ""


def _plain(steps: list[way.Step]) -> dict[str, object]:
    return {
        "spent": {name: round(milliseconds, 3) for name, milliseconds, _ in way.spent(steps)},
        "lines": [
            {"milliseconds": round(way.offset(step, steps[0]), 3), **step.event.source} for step in steps
        ],
    }
