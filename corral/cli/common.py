"""What the groups of the `corral` command share: the environment, and errors as sentences."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    branch: str | None = None

    @cached_property
    def settings(self) -> settings.Settings:
        """Settings of the environment; raises CorralError."""
        if self.branch is None:
            return settings.load(self.environment)
        return settings.load(settings.of_branch(self.environment, self.branch))


def _remembering(name: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    """A callback that puts an option's value where `with_settings` finds it, wherever the option stands."""

    def remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            setattr(ctx.find_root().ensure_object(Chosen), name, value)

    return remember


environment_option = click.option(
    "-e",
    "--environment",
    metavar="ENV",
    expose_value=False,
    callback=_remembering("environment"),
    help="Which environment (environments/ENV.toml, or branch/NAME). Default: CORRAL_ENV, else live.",
)
"""Lets a command take `-e ENVIRONMENT` after its verb too: `corral stack render -e lab`."""

branch_option = click.option(
    "--branch",
    metavar="NAME",
    expose_value=False,
    callback=_remembering("branch"),
    help="The environment of that branch, made from the file of -e, else from environments/branch.toml.",
)


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Hand the chosen environment's settings to a command as its first argument; it takes `-e` too."""

    @click.pass_context
    def invoke(ctx: click.Context, *args: Any, **kwargs: Any) -> Any:
        return ctx.invoke(command, ctx.find_root().ensure_object(Chosen).settings, *args, **kwargs)

    return environment_option(update_wrapper(invoke, command))


@contextmanager
def step(title: str) -> Iterator[None]:
    """Show that something goes on, on stderr, so that a command's result stays alone on stdout."""
    began = time.monotonic()
    if not errors.is_terminal:
        errors.print(f"{title} ...", markup=False)
        yield
        return
    with errors.status(title):
        yield
    errors.print(f"[green]✓[/] {title} [dim]{time.monotonic() - began:.1f} s[/]")


def fail(error: CorralError) -> NoReturn:
    """Print the error on stderr, and exit with code 1."""
    errors.print("corral:", style="bold red", end=" ")
    errors.print(str(error), markup=False)
    sys.exit(1)
