"""`corral stack render`, `diff`, `outputs` and `cost`: look at the stack, and change nothing."""

import json
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

import click
from rich.table import Table

from corral import images
from corral.aws import check_account
from corral.cli.common import branch_option, console, step, with_settings
from corral.cli.stack import refusing, showing
from corral.cli.stack.wishing import wishes as wishes_of
from corral.cloudformation import change_sets, servers, stacks
from corral.cloudformation.change_sets import Proposal
from corral.cloudformation.request import Wishes
from corral.cloudformation.servers import Effect
from corral.cloudformation.wording import LOST, Line
from corral.settings import Settings
from corral.stack import render as render_template
from corral.stack.cost import monthly

# As diff(1) and terraform have it: 0 nothing, 1 trouble, 2 a difference.
DIFFERENT = 2


@click.command()
@branch_option
@with_settings
def render(settings: Settings) -> None:
    """Print the template as JSON with sorted keys. Asks nobody, needs no credentials."""
    click.echo(render_template(settings), nl=False)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.option("--exit-code", is_flag=True, help="Exit with 2 when something would change.")
@click.option("--replace-servers", is_flag=True, help="As if apply were to replace running servers.")
@click.option("--new-image", is_flag=True, help="As if apply were to take the newest machine image.")
@branch_option
@with_settings
@click.pass_context
def diff(
    ctx: click.Context,
    settings: Settings,
    as_json: bool,
    exit_code: bool,
    replace_servers: bool,
    new_image: bool,
) -> None:
    """Show what apply would change, and change nothing."""
    refusing.unless_an_environment(settings)
    template = render_template(settings)
    with step(f"Asking CloudFormation what would change in {settings.stack_name}"):
        check_account(settings)
        wishes = _as_if(settings, replace_servers, new_image)
        proposal = change_sets.propose(settings, template, wishes)
    with ExitStack() as undo:
        if proposal:
            undo.callback(change_sets.forget, settings, proposal)
        effects = _effects(settings, proposal, wishes)
    nothing = showing.NOTHING
    if proposal and wishes.replace_servers and servers.pointless(proposal, effects):
        proposal, nothing = None, showing.NO_SERVERS
    if as_json:
        click.echo(json.dumps(_as_data(settings, proposal, effects), indent=1, sort_keys=True))
    elif proposal:
        showing.show(settings, proposal, effects, wishes)
        if refusal := refusing.why(proposal, effects, False, replace_servers):
            showing.print_(Line(f"apply refuses this. {refusal.problem} {refusal.remedy}", LOST))
    else:
        console.print(nothing.format(stack=settings.stack_name))
    if exit_code and proposal:
        ctx.exit(DIFFERENT)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@branch_option
@with_settings
def outputs(settings: Settings, as_json: bool) -> None:
    """Print what the stack tells about itself: the site, the balancer's name, the bucket."""
    stack = stacks.require(settings)
    if as_json:
        click.echo(json.dumps(stack.outputs, indent=1, sort_keys=True))
    else:
        showing.outputs(stack)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON array.")
@branch_option
@with_settings
def cost(settings: Settings, as_json: bool) -> None:
    """Say what the environment costs a month as it stands. Asks nobody, needs no credentials."""
    found = monthly(settings)
    if as_json:
        rows = [asdict(line) | {"total": round(line.total, 2)} for line in found]
        click.echo(json.dumps(rows, indent=1, sort_keys=True))
        return
    table = Table("US dollars a month", box=None, header_style="bold")
    for name in ("count", "each", "in all"):
        table.add_column(name, justify="right")
    for line in found:
        table.add_row(line.what, f"{line.count:g}", f"{line.each:,.2f}", f"{line.total:,.2f}")
    table.add_row("in all", "", "", f"{sum(line.total for line in found):,.2f}", style="bold")
    console.print(table)


def _as_if(settings: Settings, replace_servers: bool, new_image: bool) -> Wishes:
    """What apply would wish for. It would pin an image first; here the newest one is only looked at."""
    wished = wishes_of(settings, stacks.find(settings), replace_servers)
    newest = new_image or images.pinned(settings) is None
    return replace(wished, image=settings.image.parameter if newest else None)


def _effects(settings: Settings, proposal: Proposal | None, wishes: Wishes) -> list[Effect]:
    if proposal is None:
        return []
    return servers.effects(settings, proposal.template, proposal.changes, wishes.replace_servers)


def _as_data(settings: Settings, proposal: Proposal | None, effects: list[Effect]) -> dict[str, Any]:
    """The same for programs. What nobody should read on a screen is null here."""
    return {
        "stack": settings.stack_name,
        "creates": bool(proposal and proposal.creates),
        "changes": [
            {
                "action": change.verb,
                "sure": change.sure,
                "resource": change.resource,
                "type": change.kind,
                "physical_id": change.physical or None,
                "loses_data": change.loses_data,
                "properties": [
                    {
                        "path": each.path,
                        "before": None if each.secret else each.before,
                        "after": None if each.secret else each.after,
                    }
                    for each in change.differences
                ],
            }
            for change in (proposal.changes if proposal else ())
        ],
        "parameters": [
            {"name": each.path, "before": each.before, "after": each.after}
            for each in (proposal.parameters if proposal else ())
        ],
        "servers": [
            {"group": each.name, "count": each.servers, "moves": each.moves, "leaving": list(each.leaving)}
            for each in effects
        ],
    }
