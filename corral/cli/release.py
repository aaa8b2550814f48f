"""`corral release`: build the application, publish it, and say which release an environment runs."""

import json
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from corral.cli.artifacts import NO_ROOM, as_json, disk_errors, dry_run, me, with_bucket
from corral.cli.common import console, step, with_settings
from corral.cli.rollout import deploy, history, rollback, unlock, void
from corral.cli.runtimes import runtimes
from corral.releases import bad, source, store
from corral.releases import build as builder
from corral.releases.bucket import Bucket
from corral.releases.checkout import checkout
from corral.releases.manifest import Manifest
from corral.rollout import lock
from corral.settings import ROOT, STATE, Settings

BUILT = STATE / "releases"


@click.group()
def release() -> None:
    """Releases of the application: built once, kept in S3, run by every app server."""


@release.command()
@click.argument("ref", required=False)
@click.option("--repository", envvar="CORRAL_REPOSITORY",
              help="Where REF is. Default: the setting release.repository, else this checkout.")  # fmt: skip
@click.option("--version", help="Name it so. Default: <yyyymmdd>-<commit> of the last change of app/.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=BUILT,
              show_default=False, envvar="CORRAL_RELEASES",
              help="Where to put <version>/. Default: .corral/releases.")  # fmt: skip
@click.option("--tests", is_flag=True, help="Run the application's tests first.")
@click.option("--log", type=click.Path(dir_okay=False, path_type=Path),
              help="Add npm's output to this file. Default: build.log beside <version>/.")  # fmt: skip
@dry_run
@as_json
@with_settings
def build(
    settings: Settings,
    ref: str | None,
    repository: str | None,
    version: str | None,
    output: Path,
    tests: bool,
    log: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Build the application in app/ and print the directory that holds the release.

    Without REF what is in the working tree; with it the branch, tag or commit of that name, checked out for
    the build alone. What is built already, from the same files, is not built again.
    """
    with disk_errors(builder.SEE, NO_ROOM), ExitStack() as scope:
        root = ROOT
        if ref:
            with step(f"Checking out {ref}"):
                where = repository or settings.release.repository or str(ROOT)
                root = scope.enter_context(checkout(where, ref))
        if dry_run:
            said = {"version": version or source.read(root).version}
            said["directory"] = str(output / said["version"])
        else:
            directory = builder.build(root, output, version, tests, step, log)
            said = asdict(Manifest.of(directory)) | {"directory": str(directory)}
    click.echo(json.dumps(said, indent=1) if as_json else said["directory"])


@release.command()
@click.argument("directory", type=click.Path(path_type=Path), metavar="ARCHIVE-DIR")
@dry_run
@as_json
@with_bucket
def publish(bucket: Bucket, directory: Path, dry_run: bool, as_json: bool) -> None:
    """Put a release that `build` made into S3, where nothing is ever overwritten."""
    if dry_run:
        manifest = Manifest.of(directory)
        there = {one.version for one in store.published(bucket) if one.complete}
        added, what = manifest.version not in there, "would be published in"
    else:
        with step(f"Publishing {directory.name}"):
            manifest, added = store.publish(bucket, directory)
        what = "is published in"
    if as_json:
        click.echo(json.dumps(asdict(manifest) | {"added": added, "bucket": bucket.name}, indent=1))
        return
    what = what if added else "was published before in"
    console.print(f"Release {manifest.version} {what} {bucket.name} ({manifest.size / 1e6:.1f} MB).")


@release.command()
@click.argument("version")
@with_bucket
def point(bucket: Bucket, version: str) -> None:
    """Make VERSION the release that the environment runs, from each server's next converge on.

    Without gates, for an environment that has no servers yet; `deploy` is for all others.
    """
    lock.refuse_if_held(bucket)
    pointer, moved = store.point(bucket, version, me())
    if moved:
        before = f", instead of {pointer.previous}" if pointer.previous else ""
        console.print(f"Environment {bucket.environment} runs {pointer.version} from now on{before}.")
    else:
        console.print(f"Environment {bucket.environment} runs {pointer.version} already, since {pointer.at}.")


@release.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one array.")
@with_bucket
def list_(bucket: Bucket, as_json: bool) -> None:
    """List the published releases, the newest first."""
    pointer, found = store.pointer(bucket), store.published(bucket)
    if as_json:
        current = pointer.version if pointer else None
        rows = [asdict(one) | {"at": one.at.isoformat(), "current": one.version == current} for one in found]
        click.echo(json.dumps(rows, indent=1))
        return
    if not found:
        console.print(f"No release is in {bucket.name} yet. Make one: corral release build")
        return
    table = Table("version", "published (UTC)", "size", "", box=None, header_style="bold")
    for one in found:
        size = f"{one.size / 1e6:.1f} MB"
        table.add_row(one.version, f"{one.at:%Y-%m-%d %H:%M:%S}", size, _remark(one, pointer))
    console.print(table)


@release.command()
@click.argument("version")
@click.option("--json", "as_json", is_flag=True, help="The manifest as JSON.")
@with_bucket
def show(bucket: Bucket, version: str, as_json: bool) -> None:
    """Show what is known about a published release, after checking that it is whole."""
    manifest, pointer = store.check_complete(bucket, version), store.pointer(bucket)
    marked = bad.read(bucket, version)
    known = asdict(manifest) | ({"bad": f"{marked.why} ({marked.by}, {marked.at})"} if marked else {})
    if as_json:
        click.echo(json.dumps(known, indent=2))
        return
    if pointer and pointer.version == version:
        known["runs in"] = f"{bucket.environment}, since {pointer.at}, by {pointer.by}"
    for name, value in known.items():
        if value != "":
            console.print(f"{name:16}{value}", markup=False)


for command in (deploy, rollback, void, history, unlock, runtimes):
    release.add_command(command)


def _remark(one: store.Published, pointer: store.Pointer | None) -> str:
    if not one.complete:
        return "[red]incomplete[/]: publishing was interrupted"
    if one.bad:
        return "[red]bad[/]"
    if pointer and one.version == pointer.version:
        return f"[green]current[/], by {pointer.by}"
    return "previous" if pointer and one.version == pointer.previous else ""
