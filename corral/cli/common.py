"""What the groups of the `corral` command share: the environment, and errors as sentences."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, update_wrapper
from typing import Any, NoReturn

import click
from rich.console import Console

from corral import settings
from corral.errors import CorralError

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass
class Chosen:
    """What `ctx.obj` holds: the environment that was asked for, and its settings, read when first needed."""

    environment: str | None = None

    @cached_property
    def settings(self) -> settings.Settings:
        """Settings of the environment; raises CorralError."""
        return settings.load(self.environment)


def environment_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take `-e ENVIRONMENT` after its verb too: `corral stack render -e lab`."""

    def remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value:
            ctx.find_root().obj = ctx.obj = Chosen(value)

    option = click.option(
        "-e",
        "--environment",
        metavar="ENV",
        expose_value=False,
        callback=remember,
        help="Which environment (environments/ENV.toml). Default: CORRAL_ENV, else live.",
    )
    return option(command)


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Hand the chosen environment's settings to a command as its first argument; it takes `-e` too."""

    @click.pass_context
    def invoke(ctx: click.Context, *args: Any, **kwargs: Any) -> Any:
        return ctx.invoke(command, ctx.ensure_object(Chosen).settings, *args, **kwargs)

    return environment_option(update_wrapper(invoke, command))


def fail(error: CorralError) -> NoReturn:
    """Print the error on stderr, and exit with code 1."""
    errors.print("corral:", style="bold red", end=" ")
    errors.print(str(error), markup=False)
    sys.exit(1)
