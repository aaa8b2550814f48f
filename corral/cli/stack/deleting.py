"""`corral stack delete`: say what goes and what stays, ask for the name, empty what must be empty, delete."""

from collections import Counter

import click

from corral import secrets
from corral.aws import check_account
from corral.cli.common import branch_option, console, step, with_settings
from corral.cli.stack import asking, refusing, showing
from corral.cloudformation import deletion, emptying, stacks
from corral.cloudformation.changes import HOLD_DATA
from corral.cloudformation.deletion import BUCKET, RECORD, ZONE, Plan
from corral.cloudformation.stacks import Resource
from corral.cloudformation.wording import LOST, Line
from corral.settings import Settings

# A host that still ran may have written its name again, a balancer its log: then once more, and no more.
ATTEMPTS = 2

# How an environment of the same name takes over what stays.
TAKEN_OVER = {
    "AWS::S3::Bucket": "the next apply takes it over",
    "AWS::EC2::Volume": "to take it over: data_volume of its role",
    "AWS::Route53::HostedZone": "to take it over: hosted_zone_id, without create_zone",
}


@click.command()
@click.option("--yes", metavar="ENV", help="Do not ask: the environment's name, as one would type it.")
@branch_option
@with_settings
def delete(settings: Settings, yes: str | None) -> None:
    """Delete the environment's stack, after naming what goes and what stays."""
    refusing.unless_an_environment(settings)
    with step(f"Looking at what {settings.stack_name} holds"):
        check_account(settings)
        left_over = _left_over(settings)
        plan = None if left_over else deletion.plan(settings)
    if plan is None:
        console.print(f"There is no stack {settings.stack_name}; of the environment there is still:")
        for name in left_over:
            console.print(f"  {name}", markup=False)
        asking.confirm_by_name(settings.environment, yes)
        _forget_secrets(settings)
        return
    show(settings, plan)
    asking.confirm_by_name(settings.environment, yes)
    run(settings, plan)


def show(settings: Settings, plan: Plan) -> None:
    """Say what goes, what of it holds data, and what stays."""
    where = f"account {settings.account}, {settings.region}"
    print_ = showing.print_
    print_(
        Line(f"Stack {settings.stack_name} ({where}) will be deleted: {len(plan.goes)} resources.", "bold")
    )
    for kind, count in sorted(Counter(each.kind for each in plan.goes).items()):
        print_(Line(f"  {count:3} {kind}"))
    for each in plan.data:
        print_(Line(f"  deleted with its data: {each.logical}  {each.kind} {each.physical}", LOST))
    for each in plan.stays:
        print_(Line(f"  stays: {_named(each)}", "cyan"))


def run(settings: Settings, plan: Plan) -> None:
    """Delete what the plan says. Raises CorralError that says what holds on, and how to go on."""
    for _ in range(ATTEMPTS):
        _empty(settings, plan)
        seen = showing.follow(settings, deletion.carry_out(settings, plan.stack), len(plan.goes))
        now = stacks.find(settings, plan.stack.id)
        if now is None or now.status == stacks.GONE:
            break
    else:
        raise deletion.holds_on(settings, seen, stacks.resources(settings, plan.stack))
    if not settings.keep_data:
        _forget_secrets(settings)
    console.print(f"Stack {settings.stack_name} is deleted.")
    if kept := [each for each in plan.stays if each.kind in HOLD_DATA]:
        console.print("These stay, and cost money until somebody deletes them:")
        for each in kept:
            showing.print_(Line(f"  {_named(each)}", "cyan"))


def _empty(settings: Settings, plan: Plan) -> None:
    """Hosts wrote names into zones that the stack made; buckets hold what the environment lived on."""
    with console.status("Emptying hosted zones and buckets") as status:
        emptying.zones(settings, plan.of_kind(ZONE), plan.of_kind(RECORD), console.print)
        if not settings.keep_data:
            count = emptying.buckets(settings, plan.of_kind(BUCKET), status.update)
            if count:
                console.print(
                    f"Deleted {count:,} objects and versions from {', '.join(plan.of_kind(BUCKET))}."
                )


def _left_over(settings: Settings) -> list[str]:
    """Parameters of an environment that takes its data with it, whose stack went before they did."""
    if settings.keep_data or stacks.find(settings):
        return []
    return secrets.names(settings)


def _forget_secrets(settings: Settings) -> None:
    names = secrets.forget_all(settings)
    console.print(f"Deleted {len(names)} parameters under {settings.parameter_prefix}/.")


def _named(resource: Resource) -> str:
    hint = TAKEN_OVER.get(resource.kind)
    return f"{resource.logical}  {resource.kind} {resource.physical}" + (f" ({hint})" if hint else "")
