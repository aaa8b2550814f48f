"""`corral stack`: render, apply and ask about the environment's CloudFormation stack."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import click

from corral import cloudformation, secrets
from corral.aws import check_account
from corral.cli.common import console, with_settings
from corral.errors import CorralError
from corral.settings import Settings
from corral.stack import render as render_template

STYLES = {"Add": "green", "Modify": "yellow", "Remove": "red"}


@click.group()
def stack() -> None:
    """The environment's CloudFormation stack."""


@stack.command()
@with_settings
def render(settings: Settings) -> None:
    """Print the template as JSON with sorted keys. Asks nobody, needs no credentials."""
    click.echo(render_template(settings), nl=False)


@stack.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the change.")
@with_settings
def apply(settings: Settings, yes: bool) -> None:
    """Create the stack, or bring it to what the settings say: show the change, ask, run it."""
    template = render_template(settings)
    check_account(settings)
    _make_secrets(settings)
    with console.status(f"Asking CloudFormation what would change in {settings.stack_name}"):
        proposal = cloudformation.propose(settings, template)
    if proposal is None:
        console.print(f"Stack {settings.stack_name} is as its settings say: nothing to change.")
    else:
        _show(settings, proposal)
        try:
            _confirm(yes)
        except (click.Abort, CorralError):
            cloudformation.discard(settings, proposal)
            raise
        _follow(settings, proposal)
    cloudformation.protect(settings)
    _print_outputs(cloudformation.outputs(settings))


@stack.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@with_settings
def outputs(settings: Settings, as_json: bool) -> None:
    """Print what the stack tells about itself: the site, the balancer's name, the bucket."""
    values = cloudformation.outputs(settings)
    if as_json:
        click.echo(json.dumps(values, indent=1, sort_keys=True))
    else:
        _print_outputs(values)


def _make_secrets(settings: Settings) -> None:
    # Before the servers: one that boots with the stack finds its secrets there.
    if secrets.make_once(settings, "app", "database-password"):
        console.print(f"Made the secret {settings.parameter('app', 'database-password')}.")


def _show(settings: Settings, proposal: cloudformation.Proposal) -> None:
    where = f"account {settings.account}, {settings.region}"
    if proposal.change_set is None:
        count = len(json.loads(proposal.template)["Resources"])
        console.print(f"Stack {settings.stack_name} ({where}) will be created: {count} resources.")
        return
    console.print(f"Stack {settings.stack_name} ({where}) will change:")
    for change in sorted(proposal.changes, key=lambda change: (change.action, change.resource)):
        replaced = "  [bold red]replaced[/]" if change.replaces else ""
        style = STYLES.get(change.action, "bold")
        console.print(f"  [{style}]{change.action:8}[/]{change.resource}  [dim]{change.kind}[/]{replaced}")


def _confirm(yes: bool) -> None:
    if yes:
        return
    if not _a_person_is_there():
        raise CorralError("There is nobody to ask whether to go on.", "Give -y to go on without asking.")
    click.confirm("Go on?", abort=True)


def _a_person_is_there() -> bool:
    return sys.stdin.isatty()


def _follow(settings: Settings, proposal: cloudformation.Proposal) -> None:
    """Show events as they come: plain lines, and on a terminal what is being worked on below them."""
    states: Counter[str] = Counter()
    with console.status("Starting") as status, _left_alone():
        for event in cloudformation.carry_out(settings, proposal):
            working = event.status.endswith("_IN_PROGRESS")
            states["done"] += not working
            status.update(f"{states['done']} done, at {event.resource}")
            if not working:
                failed = event.status.endswith("_FAILED")
                style = "bold red" if failed else "green"
                reason = f"  {event.reason}" if event.reason and failed else ""
                console.print(
                    f"  [{style}]{event.status:28}[/]{event.resource}  [dim]{event.kind}[/]", end=""
                )
                console.print(reason, markup=False)
    console.print(f"Stack {settings.stack_name} is as its settings say.")


@contextmanager
def _left_alone() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        console.print("CloudFormation goes on by itself. Apply again to see what came of it.")
        raise


def _print_outputs(values: dict[str, str]) -> None:
    width = max(map(len, values), default=0)
    for name, value in sorted(values.items()):
        console.print(f"  {name:{width}}  {value}", markup=False)
