"""`corral stack apply`: show what would change, ask, run it, and tell how it ended."""

from contextlib import ExitStack

import click

from corral import images, preflight, secrets
from corral.aws import check_account
from corral.cli.common import branch_option, console, step, with_settings
from corral.cli.stack import asking, refusing, showing
from corral.cli.stack.wishing import wishes as wishes_of
from corral.cloudformation import change_sets, servers, stacks
from corral.cloudformation.change_sets import Proposal
from corral.cloudformation.request import Wishes, has_servers
from corral.cloudformation.stacks import Stack
from corral.settings import Settings
from corral.stack import render


@click.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the change.")
@click.option("--allow-replacement", is_flag=True, help="Let what holds data be replaced or deleted.")
@click.option("--replace-servers", is_flag=True, help="Replace running servers, one by one.")
@click.option("--new-image", is_flag=True, help="Let servers to come boot the newest machine image.")
@click.option("--expires-in", type=click.IntRange(0, 365), metavar="DAYS", help="Of a branch's environment.")
@branch_option
@with_settings
def apply(
    settings: Settings,
    yes: bool,
    allow_replacement: bool,
    replace_servers: bool,
    new_image: bool,
    expires_in: int | None,
) -> None:
    """Create the stack, or bring it to what the settings say: show the change, ask, run it."""
    refusing.unless_an_environment(settings)
    template = render(settings)
    there = _look_around(settings, new_image)
    wishes = wishes_of(settings, there, replace_servers, expires_in)
    with ExitStack() as undo:
        pin = images.pin(settings, new_image)
        undo.callback(images.unpin, settings, pin)
        proposal = _propose(settings, template, wishes)
        if proposal:
            undo.callback(change_sets.forget, settings, proposal)
            effects = servers.effects(settings, proposal.template, proposal.changes, wishes.replace_servers)
            if wishes.replace_servers and servers.pointless(proposal, effects):
                return _finish(settings, showing.NO_SERVERS)
            showing.show(settings, proposal, effects, wishes)
            showing.show_image(pin)
            refusing.unless_agreed(proposal, effects, allow_replacement, replace_servers)
            asking.confirm("Go on?", yes)
        # Somebody said yes: from here on nothing is taken back.
        undo.pop_all()
    # Before the servers: one that boots with the stack finds its secrets there.
    for name in secrets.make_all(settings):
        console.print(f"Made the secret {name}.")
    if proposal is None:
        return _finish(settings, showing.NOTHING)
    showing.follow(settings, change_sets.carry_out(settings, proposal), len(proposal.changes))
    if wishes.replace_servers:
        _withdraw_consent(settings, template)
    return _finish(settings, showing.DONE)


def _look_around(settings: Settings, new_image: bool) -> Stack | None:
    """Refuse what can't end well before anything is touched; returns the stack as it is."""
    with step(f"Checking what {settings.reference} needs of account {settings.account}"):
        check_account(settings)
        stack = stacks.find(settings)
        stacks.refuse_unless_at_rest(settings, stack)
        preflight.check(settings, new_image)
    return stack


def _propose(settings: Settings, template: str, wishes: Wishes) -> Proposal | None:
    with step(f"Asking CloudFormation what would change in {settings.stack_name}"):
        return change_sets.propose(settings, template, wishes)


def _withdraw_consent(settings: Settings, template: str) -> None:
    """Let no later change replace servers because this one was allowed to, whoever makes it."""
    with step("Withdrawing the consent to replace servers"):
        proposal = change_sets.propose(settings, template, Wishes())
        if proposal and all(change.only_consent for change in proposal.changes):
            for _ in change_sets.carry_out(settings, proposal):
                pass
        elif proposal:
            # Somebody changed more in between: the next apply shows it, and withdraws the consent with it.
            change_sets.forget(settings, proposal)


def _finish(settings: Settings, how: str) -> None:
    console.print(how.format(stack=settings.stack_name))
    stacks.protect(settings)
    stack = stacks.require(settings)
    showing.outputs(stack)
    if not has_servers(stack):
        showing.how_to_get_servers(settings)
