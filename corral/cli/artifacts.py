"""What commands share that build something and keep it in S3: the bucket, who asks, errors of the disk."""

import getpass
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import update_wrapper
from typing import Any

import click

from corral import aws
from corral.cli.common import with_settings
from corral.errors import CorralError
from corral.releases.bucket import Bucket
from corral.settings import Settings

NO_ROOM = "Make room, or give another directory that you may write to (--output)."

dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
as_json = click.option("--json", "as_json", is_flag=True, help="The outcome as JSON.")


def with_bucket(command: Callable[..., Any]) -> Callable[..., Any]:
    """Hand the environment's releases bucket to a command, and turn AWS's errors into sentences."""

    def invoke(settings: Settings, *args: Any, **kwargs: Any) -> Any:
        with aws.explained(settings):
            bucket = Bucket(aws.client(settings, "s3"), settings.releases_bucket, settings.environment)
            return command(bucket, *args, **kwargs)

    return with_settings(update_wrapper(invoke, command))


@contextmanager
def disk_errors(see: str, remedy: str) -> Iterator[None]:
    """Turn what the disk refuses into a sentence that ends with `remedy` and the page `see`."""
    try:
        yield
    except OSError as error:
        problem = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}."
        raise CorralError(problem, remedy, see) from error


def me() -> str:
    """Who moves a pointer, for those who read it: user@machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
