"""`corral bundle`: build what nodes converge themselves with, publish it, and say which one they run."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from corral.bundle import build as builder
from corral.bundle import store
from corral.cli.artifacts import disk_errors, me, with_bucket
from corral.cli.common import console, environment_option, step
from corral.releases.bucket import Bucket
from corral.settings import ROOT, STATE

BUILT = STATE / "bundles"
WHEELS = STATE / "wheels"
NEWEST = 20

dirty_option = click.option(
    "--dirty", is_flag=True, help="Build from a working tree with changes; the bundle is marked."
)
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group()
def bundle() -> None:
    """Bundles: this repository with its Python packages, by which nodes converge themselves."""


@bundle.command()
@dirty_option
@json_option
@environment_option
def build(dirty: bool, as_json: bool) -> None:
    """Build the bundle of this commit and print its path. It is the same for every environment."""
    built = _build(dirty)
    click.echo(json.dumps(_shown(built), indent=1) if as_json else built.path)


@bundle.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@dirty_option
@click.option("--point", "to_point", is_flag=True, help="Then let the environment's nodes run it.")
@json_option
@with_bucket
def publish(bucket: Bucket, file: Path | None, dirty: bool, to_point: bool, as_json: bool) -> None:
    """Put a bundle into S3, where nothing is ever overwritten: FILE, or that of this commit, built now."""
    built = builder.read(file) if file else _build(dirty)
    with step(f"Publishing {built.digest[:12]} ({built.size / 1e6:.1f} MB)"):
        added = store.publish(bucket, built)
    if as_json:
        pointed = asdict(store.point(bucket, built.digest, me())[0]) if to_point else None
        shown = _shown(built) | {"key": store.bundle_key(built.digest), "added": added, "pointer": pointed}
        click.echo(json.dumps(shown, indent=1))
        return
    console.print(f"Bundle {built.digest} {'is' if added else 'was'} published in {bucket.name}.")
    if to_point:
        _point(bucket, built.digest)


@bundle.command()
@click.argument("digest")
@json_option
@with_bucket
def point(bucket: Bucket, digest: str, as_json: bool) -> None:
    """Let the environment's nodes run the bundle DIGEST, or what begins so, from their next converge on."""
    if as_json:
        click.echo(json.dumps(asdict(store.point(bucket, digest, me())[0]), indent=1))
    else:
        _point(bucket, digest)


@bundle.command("list")
@click.option("--all", "everything", is_flag=True, help=f"Not only the newest {NEWEST}.")
@json_option
@with_bucket
def list_(bucket: Bucket, everything: bool, as_json: bool) -> None:
    """List the published bundles, the newest first."""
    pointer = store.pointer(bucket)
    found, count = store.published(bucket, None if everything else NEWEST)
    if as_json:
        current = pointer.digest if pointer else None
        rows = [asdict(one) | {"at": one.at.isoformat(), "current": one.digest == current} for one in found]
        click.echo(json.dumps(rows, indent=1))
        return
    if not found:
        console.print(f"No bundle is in {bucket.name} yet. Make one: corral bundle publish")
        return
    table = Table(box=None, header_style="bold")
    for title in ("digest", "commit", "published (UTC)", "size"):
        table.add_column(title, no_wrap=True)
    table.add_column()
    for one in found:
        commit = f"{one.commit[:10]}{' [yellow]dirty[/]' if one.dirty else ''}"
        size = f"{one.size / 1e6:.1f} MB"
        table.add_row(one.digest[:12], commit, f"{one.at:%Y-%m-%d %H:%M:%S}", size, _remark(one, pointer))
    console.print(table)
    if count > len(found):
        console.print(f"And {count - len(found)} older ones: corral bundle list --all")


def _build(dirty: bool) -> builder.Built:
    with disk_errors(builder.SEE, f"Make room in {BUILT.parent}, and let it be yours."):
        return builder.build(ROOT, BUILT, WHEELS, dirty, step)


def _shown(built: builder.Built) -> dict[str, Any]:
    return asdict(built) | {"path": str(built.path)}


def _point(bucket: Bucket, digest: str) -> None:
    pointer, moved = store.point(bucket, digest, me())
    if moved:
        before = f", instead of {pointer.previous[:12]}" if pointer.previous else ""
        console.print(f"Nodes of {bucket.environment} run {pointer.digest[:12]} from now on{before}.")
    else:
        console.print(f"Nodes of {bucket.environment} run {pointer.digest[:12]} already, since {pointer.at}.")


def _remark(one: store.Published, pointer: store.Pointer | None) -> str:
    if pointer and one.digest == pointer.digest:
        return f"[green]current[/], by {pointer.by}"
    return "previous" if pointer and one.digest == pointer.previous else ""
