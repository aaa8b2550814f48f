"""Pointers: small objects in S3 that say what an environment runs, each moved by one person at a time."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from corral.errors import CorralError
from corral.releases.bucket import Bucket

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

SEE = "docs/releases.md"


def read(bucket: Bucket, key: str, kind: Callable[..., T]) -> tuple[T | None, str | None]:
    """The pointer at `key` as a `kind`, and its ETag; (None, None) before the first.

    Raises CorralError when what is there makes no sense.
    """
    found = bucket.read(key)
    if found is None:
        return None, None
    try:
        return kind(**json.loads(found[0])), found[1]
    except (ValueError, TypeError) as error:
        raise CorralError(
            f"s3://{bucket.name}/{key} is not a pointer: {error}.",
            "Restore an earlier version of it (the bucket keeps them), or delete it and point anew.",
            SEE,
        ) from None


def move(bucket: Bucket, key: str, to: "DataclassInstance", etag: str | None, listing: str) -> None:
    """Write the pointer `to` in the place of the one with that ETag; without one, as the first.

    Raises CorralError when someone else moved it since it was read. `listing`: the command that says who.
    """
    unless_moved = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    body = (json.dumps(asdict(to), indent=2) + "\n").encode()
    if not bucket.put(key, body, **unless_moved):
        raise CorralError(
            f"Someone else moved the pointer of {bucket.environment} at the same moment.",
            f"See who: {listing} -e {bucket.environment}; then decide again.",
            SEE,
        )


def now() -> str:
    """The time that a pointer is moved at: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
