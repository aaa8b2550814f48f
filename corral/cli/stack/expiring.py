"""`corral stack expired`: which environments of branches have outlived their day; and delete them."""

from datetime import UTC, datetime

import click
from rich.table import Table

from corral import settings as environments
from corral.aws import check_account
from corral.cli.common import branch_option, console, errors, step, with_settings
from corral.cli.stack import asking, deleting
from corral.cloudformation import deletion, expiry, stacks
from corral.cloudformation.expiry import Expiry
from corral.errors import CorralError
from corral.settings import Settings

SEE = "docs/branches.md"


@click.command()
@click.option("--all", "every", is_flag=True, help="Also those whose day is to come.")
@click.option("--delete", is_flag=True, help="Delete each that has expired, after asking.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before each deletion.")
@branch_option
@with_settings
def expired(settings: Settings, every: bool, delete: bool, yes: bool) -> None:
    """List the environments whose day is over, in the account and region of the chosen one."""
    where = f"account {settings.account}, {settings.region}"
    with step(f"Looking at the stacks of {settings.project} ({where})"):
        check_account(settings)
        found = expiry.of(stacks.of_project(settings))
    over = [each for each in found if each.expired(expiry.today())]
    if shown := found if every else over:
        console.print(_table(shown))
    if not over:
        console.print(f"No environment of {settings.project} has expired ({where}).")
    if delete:
        _delete_each(settings, over, yes)


def _table(found: list[Expiry]) -> Table:
    now, today = datetime.now(UTC), expiry.today()
    table = Table("environment", "domain", "expires", "age", box=None, header_style="bold")
    for each in found:
        style = "red" if each.expired(today) else None
        table.add_row(each.reference, each.domain, str(each.day), f"{each.age_days(now)} days", style=style)
    return table


def _delete_each(settings: Settings, over: list[Expiry], yes: bool) -> None:
    """One that can't be deleted keeps none of the others; in the end it is said which ones are left."""
    if over and not yes:
        asking.refuse_without_a_person("Give -y to go on without asking.")
    failed = []
    for each in over:
        try:
            theirs = _settings_of(each, settings)
            plan = deletion.plan(theirs)
            deleting.show(theirs, plan)
            if yes or _agreed(each):
                deleting.run(theirs, plan)
        except CorralError as error:
            errors.print(f"{each.reference}: {error}", style="red", markup=False)
            failed.append(each.reference)
    if failed:
        problem = f"Not deleted: {', '.join(failed)}."
        raise CorralError(problem, "Each says above why. See to it, then run it again.", SEE)


def _agreed(each: Expiry) -> bool:
    """Ask; a no spares this environment, and goes on to the next."""
    try:
        asking.confirm(f"Delete {each.reference}?", yes=False)
    except click.Abort:
        return False
    return True


def _settings_of(each: Expiry, here: Settings) -> Settings:
    """Settings of the environment, from the file that its stack says it was made from."""
    theirs = environments.load(each.reference)
    if (theirs.account, theirs.region, theirs.project) != (here.account, here.region, here.project):
        file = theirs.pattern or theirs.environment
        problem = (
            f"environments/{file}.toml now says another account, region or project than its stack is in."
        )
        raise CorralError(problem, "Put the file back as it was, or delete the stack by hand.", SEE)
    return theirs
