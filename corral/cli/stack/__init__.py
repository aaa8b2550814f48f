"""`corral stack`: the environment's CloudFormation stack, from its template to its end."""

import click

from corral.cli.stack import applying, deleting, expiring, looking


@click.group()
def stack() -> None:
    """The environment's CloudFormation stack."""


for command in (
    looking.render,
    looking.diff,
    looking.outputs,
    looking.cost,
    applying.apply,
    deleting.delete,
    expiring.expired,
):
    stack.add_command(command)
