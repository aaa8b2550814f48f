"""`corral lab`: whole environments on this machine, up and down, and a look into them."""

import os
import shutil
import sys
import time
from collections.abc import Callable

import click
from rich.console import Console

from corral import settings as environments
from corral.cli.common import console
from corral.errors import CorralError
from corral.settings import Settings
from lab import fleet, preflight, startup, status, teardown, waiting
from lab.cloud import faults
from lab.configuration import Configuration, saved
from lab.elastic import source
from lab.services import all_services
from lab.visits import visit

ENVIRONMENT = "lab"


@click.group()
def lab() -> None:
    """The lab: a local AWS, and real Debian hosts that follow it, on this Linux machine (as root)."""


@lab.command()
def up() -> None:
    """Start the lab; leaves a running one running, and clears away what a killed one left."""
    settings, tell = _settings(), _teller()
    configuration = startup.up(settings, tell)
    tell("up")
    console.print(source.saved().said, soft_wrap=True)
    console.print(f"The AWS API: {settings.aws.endpoint_url}")
    console.print(f"The site, once there is a stack: {configuration.url(settings.domain)}")


@lab.command()
def down() -> None:
    """Stop the lab and remove all of it; the base image and the cache of packages stay."""
    preflight.check_user()
    tell = _teller()
    with startup.only_one():
        if not teardown.leftovers():
            tell("there is no lab")
            return
        teardown.remove_everything(tell)
    tell("down: nothing is left")


@lab.command("status")
def show_status() -> None:
    """Show hosts, services and sites; exit code 1 when a service is dead."""
    # A table in a file or a pipe is not cut to a screen's width.
    wide = console if console.is_terminal else Console(width=150, highlight=False)
    if not status.show(_settings(), _running(), wide):
        sys.exit(1)


@lab.command()
@click.option("-e", "--environment", metavar="ENV", help="Whose hosts. Default: those of all environments.")
@click.option("--healthy", is_flag=True, help="Wait for the load balancers' health checks instead of SSH.")
@click.option("--seconds", default=300.0, show_default=True, help="How long at most.")
def wait(environment: str | None, healthy: bool, seconds: float) -> None:
    """Wait until every host answers on its SSH port and is in service: until it has configured itself."""
    _running()
    # A branch is known by its own name: lab-branch/feature-x is feature-x.
    name = environment.rpartition("/")[2] if environment else None
    (waiting.for_health if healthy else waiting.for_ssh)(_settings(), name, _teller(), seconds)


@lab.command()
@click.argument("kind", type=click.Choice(faults.KINDS))
@click.option("--seconds", default=60.0, show_default=True, help="For how long; 0 ends it.")
def fault(kind: str, seconds: float) -> None:
    """Let S3 answer the hosts with errors or garbage for a while, to see what they make of it."""
    _running()
    faults.begin(kind, seconds)
    console.print(f"S3 gives the hosts {kind} for {seconds:.0f} s.")


@lab.command(context_settings={"ignore_unknown_options": True})
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def shell(host: str, command: tuple[str, ...]) -> None:
    """Open a root shell on HOST (app1, ENV/app1, an instance id or an address), or run COMMAND there."""
    _running()
    member = fleet.find(_settings(), host)
    leader = member.host.leader if member.host else None
    if leader is None:
        raise CorralError(f"{host} is not running.", "Look at it: corral lab status", "docs/lab.md")
    sys.exit(visit(leader, command or ("bash", "-l")))


@lab.command()
@click.argument("name", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come.")
@click.option("-n", "--lines", default=40, show_default=True, help="How many lines of each log.")
def logs(name: str | None, follow: bool, lines: int) -> None:
    """Show the console of a host or the log of a service (NAME as in `corral lab status`), or all logs."""
    configuration = _running()
    services = all_services(_settings(), configuration)
    if name is None:
        files = [service.log for service in services.values() if service.log.exists()]
    elif name in services:
        files = [services[name].log]
    else:
        host = fleet.find(_settings(), name).host
        if host is None:
            raise CorralError(
                f"{name} has not been made yet.", "Look at it: corral lab status", "docs/lab.md"
            )
        files = [host.console]
    tail = shutil.which("tail") or "tail"
    os.execv(tail, ["tail", f"--lines={lines}", *(["-F"] if follow else []), *map(str, files)])


def _settings() -> Settings:
    """The lab's own environment says where its API is, whatever CORRAL_ENV says."""
    return environments.load(ENVIRONMENT)


def _running() -> Configuration:
    preflight.check_user()
    try:
        return saved()
    except FileNotFoundError:
        raise CorralError("The lab is not running.", "Start it: corral lab up", "docs/lab.md") from None


def _teller() -> Callable[[str], None]:
    """Prints each step with the seconds since the first."""
    started = time.monotonic()
    return lambda words: console.print(f"[{time.monotonic() - started:5.1f} s] {words}", markup=False)
