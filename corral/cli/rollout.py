"""`corral release deploy|rollback|void|history|unlock`: a release comes to the fleet, or goes."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime

import click
from rich.markup import escape
from rich.table import Table

from corral import aws
from corral.cli.artifacts import as_json, dry_run, me
from corral.cli.common import console, with_settings
from corral.cli.rolling import Asked, roll_out
from corral.errors import CorralError
from corral.releases import store
from corral.releases.bucket import Bucket
from corral.rollout import lock, record
from corral.settings import Settings

SEE = "docs/rollouts.md"


@click.command()
@click.argument("version")
@dry_run
@as_json
@click.option("--unwell", is_flag=True, help="Even if the fleet is not well: the release mends it.")
@click.option(
    "--progressive", is_flag=True, help="Let servers fetch it, wave by wave, instead of pushing it."
)
@with_settings
def deploy(
    settings: Settings, version: str, dry_run: bool, as_json: bool, unwell: bool, progressive: bool
) -> None:
    """Bring all app servers to release VERSION, behind gates; if one fails, all go back."""
    with _bucket(settings) as bucket:
        roll_out(settings, bucket, Asked(version, dry_run, as_json, unwell, progressive))


@click.command()
@click.argument("version", required=False)
@dry_run
@as_json
@with_settings
def rollback(settings: Settings, version: str | None, dry_run: bool, as_json: bool) -> None:
    """Bring all app servers back to VERSION, or to the release before the current one."""
    with _bucket(settings) as bucket:
        current = store.pointer(bucket)
        version = version or (current.previous if current else None)
        if version is None:
            raise CorralError(
                f"Environment {settings.environment} ran no release before.",
                f"Name one: corral release rollback VERSION -e {settings.reference}; what there is:"
                f" corral release list -e {settings.reference}.",
                SEE,
            )
        # Whoever goes back does so because the fleet is not well.
        roll_out(settings, bucket, Asked(version, dry_run, as_json, unwell=True, progressive=False))


@click.command()
@click.argument("version")
@click.option("--why", required=True, help="The reason, for whoever wants to deploy it later.")
@dry_run
@as_json
@with_settings
def void(settings: Settings, version: str, why: str, dry_run: bool, as_json: bool) -> None:
    """Mark release VERSION as bad, for good: no server of the environment takes it any more."""
    with _bucket(settings) as bucket:
        lock.refuse_if_held(bucket)
        store.check_complete(bucket, version)
        if not dry_run:
            store.void(bucket, version, why, me())
    if as_json:
        click.echo(json.dumps({"version": version, "why": why, "bad": not dry_run}, indent=1))
    else:
        console.print(f"Release {version} {'would be' if dry_run else 'is'} marked as bad.")


@click.command()
@click.option("-n", "count", default=20, show_default=True, help="How many.")
@as_json
@with_settings
def history(settings: Settings, count: int, as_json: bool) -> None:
    """List the last rollouts of the environment, the newest first."""
    with _bucket(settings) as bucket:
        found = record.newest(bucket, count)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=1))
        return
    if not found:
        console.print(f"There has been no rollout of {settings.environment} yet.")
        return
    table = Table("started (UTC)", "release", "result", "servers", "by", "", box=None, header_style="bold")
    for one in found:
        colour = "green" if one.result == "complete" else "red"
        why = escape(one.why.splitlines()[0]) if one.why else ""
        started = one.started[:19].replace("T", " ")
        table.add_row(started, one.version, f"[{colour}]{one.result}[/]", str(one.servers), one.by, why)
    console.print(table)


@click.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask first.")
@dry_run
@as_json
@with_settings
def unlock(settings: Settings, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Break the lock of a rollout that is dead. It says how to go on, and how to go back."""
    with _bucket(settings) as bucket:
        found, etag = lock.read(bucket)
        held = found if found and etag and found.held else None
        current = store.pointer(bucket)
        if held and etag and not dry_run:
            if not as_json:
                console.print(f"{held.said(datetime.now(UTC))}.", markup=False)
            _ask(yes)
            if not lock.break_it(bucket, etag):
                raise CorralError("The lock changed at this moment: its owner lives.", "Look again.", SEE)
    where = f"-e {settings.reference}"
    on = f"corral release deploy {held.version} {where}" if held and held.version else None
    back = f"corral release rollback {current.proven} {where}" if held and current else None
    if as_json:
        said = {"lock": asdict(held) if held else None, "go_on": on, "go_back": back}
        click.echo(json.dumps(said | {"broken": bool(held) and not dry_run}, indent=1))
    elif held is None:
        console.print(f"Nobody holds the lock of {settings.environment}.")
    else:
        if dry_run:
            console.print(f"{held.said(datetime.now(UTC))}. It would be broken.", markup=False)
        else:
            console.print("The lock is broken. What it was doing is left as it stands.")
        for way, words in (("To go on:  ", on), ("To go back:", back)):
            if words:
                console.print(f"{way} {words}", soft_wrap=True, markup=False)


def _ask(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise CorralError(
            "There is nobody to ask whether to break it.", "Give -y to break it without asking."
        )
    click.confirm("Break it?", abort=True)


@contextmanager
def _bucket(settings: Settings) -> Iterator[Bucket]:
    with aws.explained(settings):
        yield Bucket(aws.client(settings, "s3"), settings.releases_bucket, settings.environment)
