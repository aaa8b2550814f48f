"""Releases that no server may take: marked in S3 beside their archive, once and for good."""

import json
from dataclasses import asdict, dataclass

from corral.errors import CorralError
from corral.releases import pointers
from corral.releases.bucket import Bucket
from corral.releases.names import BAD, release_key

SEE = "docs/rollouts.md"


@dataclass(frozen=True)
class Mark:
    """Why a release is bad, and who said so when."""

    why: str
    by: str
    at: str


def mark(bucket: Bucket, version: str, why: str, by: str) -> None:
    """Mark a release as bad; the first mark of a release stays."""
    body = json.dumps(asdict(Mark(why, by, pointers.now())), indent=2) + "\n"
    bucket.put(release_key(version, BAD), body.encode(), IfNoneMatch="*")


def read(bucket: Bucket, version: str) -> Mark | None:
    """The mark of a release; None when it is not bad."""
    return pointers.read(bucket, release_key(version, BAD), Mark)[0]


def check(bucket: Bucket, version: str) -> None:
    """Raise CorralError when a release is marked as bad."""
    if marked := read(bucket, version):
        raise CorralError(
            f"Release {version} is marked as bad, by {marked.by} at {marked.at}: {marked.why}",
            "Marks are for good. Mend the application and build it anew; if it was not to blame, build it"
            " under another version (corral release build --version NAME).",
            SEE,
        )
