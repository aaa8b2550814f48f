"""`corral release runtimes`: Node, PM2 and what else hosts run, built, pinned and published."""

import click

from corral import aws
from corral import runtimes as making
from corral.cli.artifacts import NO_ROOM, disk_errors
from corral.cli.common import console, environment_option, step, with_settings
from corral.releases.bucket import Bucket
from corral.runtimes import SEE
from corral.settings import ROOT, STATE, Settings

BUILT = STATE / "runtimes"
SOURCES = ROOT / "files/process_manager"

architecture = click.option(
    "--arch", type=click.Choice(making.ARCHITECTURES), help="Default: what the image needs."
)


@click.group()
def runtimes() -> None:
    """Node, PM2 and what else hosts run, as archives of our own (docs/releases.md)."""


@runtimes.command()
@architecture
@with_settings
def build(settings: Settings, arch: str | None) -> None:
    """Build the archives, after comparing what npm gives with the pins. What is there costs nothing."""
    with disk_errors(SEE, NO_ROOM):
        arch = arch or making.architecture(settings.image.parameter)
        for archive in making.archives(SOURCES, BUILT, arch, step).values():
            click.echo(archive)


@runtimes.command()
@architecture
@with_settings
def publish(settings: Settings, arch: str | None) -> None:
    """Put them into S3, after comparing them with their pins. What is there costs nothing."""
    with aws.explained(settings), disk_errors(SEE, NO_ROOM):
        bucket = Bucket(aws.client(settings, "s3"), settings.releases_bucket, settings.environment)
        arch = arch or making.architecture(settings.image.parameter)
        for runtime, added in making.publish(bucket, SOURCES, BUILT, arch, step).items():
            console.print(f"{runtime.file} {'is' if added else 'was'} published in {bucket.name}.")


@runtimes.command()
@environment_option
def pin() -> None:
    """Build them from their locks and write their sums into runtimes.json, to be committed."""
    with disk_errors(SEE, NO_ROOM):
        console.print(f"Wrote {making.pin(SOURCES, BUILT, step)}. Look at it; commit it.")
