"""`corral stack`: render, apply and ask about the environment's CloudFormation stack."""

import click


@click.group()
def stack() -> None:
    """The environment's CloudFormation stack."""
