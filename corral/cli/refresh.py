"""`corral refresh`: replaces all app servers, some at a time behind health checks, and shows progress."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from corral import refresh as instance_refresh
from corral.cli.common import console, with_settings
from corral.errors import CorralError
from corral.refresh import Progress
from corral.settings import Settings


@click.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask first.")
@click.option("--follow", is_flag=True, help="Start none: follow the one that is under way.")
@click.option("--cancel", is_flag=True, help="Stop the one that is under way; what it replaced stays so.")
@with_settings
def refresh(settings: Settings, yes: bool, follow: bool, cancel: bool) -> None:
    """Replace all app servers by new ones, behind health checks.

    When a new server fails the refresh stops, says why, and leaves the others as they are.
    """
    if cancel:
        _cancel(settings)
        return
    if not follow:
        _confirm(settings, yes)
    began = instance_refresh.newest(settings) if follow else instance_refresh.start(settings)
    with console.status("Starting") as status, _left_alone(settings):
        for progress in instance_refresh.follow(settings, began):
            status.update(_words(progress))
            console.print(_words(progress), markup=False)
    console.print(f"All app servers of environment {settings.environment} are new.")


def _cancel(settings: Settings) -> None:
    if instance_refresh.cancel(settings):
        console.print("The refresh stops. Servers that it has not replaced stay as they are.")
    else:
        console.print("No refresh is under way.")


def _confirm(settings: Settings, yes: bool) -> None:
    if yes:
        return
    wanted = settings.refresh
    console.print(
        f"All app servers of environment {settings.environment} will be replaced: at least"
        f" {wanted.min_healthy_percent} % of them serve all the time, at most {wanted.max_healthy_percent} %"
        " are there.",
        markup=False,
    )
    if not sys.stdin.isatty():
        raise CorralError("There is nobody to ask whether to go on.", "Give -y to go on without asking.")
    click.confirm("Go on?", abort=True)


def _words(progress: Progress) -> str:
    left = "" if progress.remaining is None else f", {progress.remaining} to go"
    said = f"{progress.status}: {progress.percent} % done{left}"
    return f"{said}. {progress.reason}" if progress.reason else said


@contextmanager
def _left_alone(settings: Settings) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        where = f"-e {settings.reference}"
        console.print("The refresh goes on by itself, but nobody stops it when a new server fails.")
        console.print(f"Follow it: corral refresh --follow {where}. Stop it: corral refresh --cancel {where}")
        raise
