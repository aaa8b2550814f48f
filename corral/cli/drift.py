"""`corral drift`: what would change on the fleet's hosts, by a dry run; changes nothing."""

import json
import sys
from typing import Any

import click
from rich.markup import escape

from corral import fleet
from corral.cli.common import console, errors, with_settings
from corral.drift import Found, dry_run, look
from corral.fleet import Host
from corral.inventory import matches, refuse_misses
from corral.settings import Settings

NONE, UNKNOWN, DRIFT = 0, 1, 2


@click.command()
@click.option("--limit", multiple=True, help="A role, or addresses as a shell matches them. More than once.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@with_settings
def drift(settings: Settings, limit: tuple[str, ...], as_json: bool) -> None:
    """Which operations would change something, host by host? Nothing is changed.

    The exit code is 0 if none would, 2 if some would, 1 if not every host could be looked at.
    """
    hosts = _chosen(fleet.hosts(settings), limit)
    found: dict[str, Found] = {}
    with errors.status(f"Looking at {len(hosts)} hosts") as status:
        for some in look([host.private_address for host in hosts], dry_run(settings)):
            found |= some
            status.update(f"Looked at {len(found)} of {len(hosts)} hosts")
    if as_json:
        click.echo(json.dumps(_plain(settings, hosts, found), indent=1))
    else:
        _show(settings, hosts, found)
    problem = any(one.problem for one in found.values())
    sys.exit(UNKNOWN if problem else DRIFT if any(one.changes for one in found.values()) else NONE)


def _chosen(hosts: list[Host], limit: tuple[str, ...]) -> list[Host]:
    groups = {role: [host.private_address for host in some] for role, some in fleet.by_role(hosts).items()}
    refuse_misses(groups)
    wanted = {address for pattern in limit for address in matches(pattern, groups)}
    return [host for host in hosts if not limit or host.private_address in wanted]


def _show(settings: Settings, hosts: list[Host], found: dict[str, Found]) -> None:
    for host in hosts:
        one = found[host.private_address]
        name = f"[bold]{host.role} {host.private_address}[/] ({host.instance_id})"
        if one.problem:
            console.print(f"[red]✗[/] {name} could not be looked at: {escape(one.problem)}")
        elif one.changes:
            console.print(f"[yellow]•[/] {name} would change:")
            for change in one.changes:
                console.print(f"    {change}", markup=False)
    changed = sum(bool(one.changes) for one in found.values())
    blind = sum(bool(one.problem) for one in found.values())
    text = f"{changed or 'None'} of {len(hosts)} hosts would change in environment {settings.environment}."
    console.print(text if not blind else f"{text} {blind} could not be looked at.")


def _plain(settings: Settings, hosts: list[Host], found: dict[str, Found]) -> dict[str, Any]:
    return {
        "environment": settings.environment,
        "hosts": [
            {
                "instance": host.instance_id,
                "role": host.role,
                "address": host.private_address,
                "changes": list(found[host.private_address].changes),
                "problem": found[host.private_address].problem or None,
            }
            for host in hosts
        ],
    }
