"""Bundles in S3: written once under their own digest; and the pointer to the one that an environment runs.

bundles/<sha256>.tar.gz                  with notes of what it is made of
environments/<environment>/bundle.json   in a versioned bucket: its versions are the history
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from corral.bundle.build import Built
from corral.errors import CorralError
from corral.releases import pointers
from corral.releases.bucket import Bucket

SEE = "docs/boot.md"
BUNDLES = "bundles/"


@dataclass(frozen=True)
class Pointer:
    """Which bundle an environment's nodes run, which one before (its digest), and who said so when."""

    digest: str
    key: str
    commit: str
    dirty: bool
    previous: str | None
    by: str
    at: str


@dataclass(frozen=True)
class Published:
    """A bundle in S3. `commit`: full hash, empty when nobody noted it; `size` in bytes."""

    digest: str
    commit: str
    dirty: bool
    at: datetime
    size: int


def bundle_key(digest: str) -> str:
    """Key of a bundle's archive."""
    return f"{BUNDLES}{digest}.tar.gz"


def pointer_key(environment: str) -> str:
    """Key of the pointer that says which bundle an environment's nodes run."""
    return f"environments/{environment}/bundle.json"


def publish(bucket: Bucket, built: Built) -> bool:
    """Put a bundle into S3; False when it was there already."""
    notes = {"commit": built.manifest.commit, "dirty": "yes" if built.manifest.dirty else "no"}
    return bucket.put_once(bundle_key(built.digest), built.path, built.digest, notes)


def published(bucket: Bucket, most: int | None = None) -> tuple[list[Published], int]:
    """The newest bundles, at most `most`, newest first; and how many there are. One request for each."""
    found = sorted(
        (item for item in bucket.objects(BUNDLES) if _digest(item["Key"])),
        key=lambda item: (item["LastModified"], item["Key"]),
        reverse=True,
    )
    return [_described(bucket, item) for item in found[:most]], len(found)


def find(bucket: Bucket, digest: str) -> Published:
    """The published bundle whose digest is, or begins with, `digest`. Raises CorralError."""
    listed = f"What there is: corral bundle list -e {bucket.environment}"
    if not re.fullmatch(r"[0-9a-f]{6,64}", digest):
        remedy = f"Give 64 hex digits, or the first of them, 6 at least. {listed}"
        raise CorralError(f"{digest!r} is no digest of a bundle.", remedy, SEE)
    found = [item for item in bucket.objects(f"{BUNDLES}{digest}") if _digest(item["Key"])]
    if not found:
        raise CorralError(f"There is no bundle {digest} in {bucket.name}.", listed, SEE)
    if len(found) > 1:
        problem = f"{len(found)} bundles in {bucket.name} have a digest that begins with {digest}."
        raise CorralError(problem, f"Give more of it. {listed}", SEE)
    return _described(bucket, found[0])


def pointer(bucket: Bucket) -> Pointer | None:
    """The environment's pointer; None before the first. Raises CorralError when it makes no sense."""
    return pointers.read(bucket, pointer_key(bucket.environment), Pointer)[0]


def point(bucket: Bucket, digest: str, by: str) -> tuple[Pointer, bool]:
    """Make the environment's pointer name a published bundle; the second value is False when it did already.

    `digest`: all of it, or its beginning. `by` says who. Raises CorralError when there is no such bundle,
    when it is not what its name says, or when someone else moved the pointer at the same moment.
    """
    bundle = find(bucket, digest)
    archived = bucket.sha256(bundle_key(bundle.digest))
    if archived != bundle.digest:
        raise CorralError(
            f"Bundle {bundle.digest} in {bucket.name} is damaged: its SHA-256 is {archived or 'not known'}.",
            "No node would take it. Delete the object, and publish the bundle again.",
            SEE,
        )
    key = pointer_key(bucket.environment)
    current, etag = pointers.read(bucket, key, Pointer)
    if current and current.digest == bundle.digest:
        return current, False
    moved = Pointer(
        digest=bundle.digest,
        key=bundle_key(bundle.digest),
        commit=bundle.commit,
        dirty=bundle.dirty,
        previous=current.digest if current else None,
        by=by,
        at=pointers.now(),
    )
    pointers.move(bucket, key, moved, etag, "corral bundle list")
    return moved, True


def _described(bucket: Bucket, item: dict[str, Any]) -> Published:
    notes = bucket.notes(item["Key"])
    dirty = notes.get("dirty") == "yes"
    return Published(_digest(item["Key"]), notes.get("commit", ""), dirty, item["LastModified"], item["Size"])


def _digest(key: str) -> str:
    """The digest in a bundle's key; empty for any other."""
    match = re.fullmatch(rf"{BUNDLES}([0-9a-f]{{64}})\.tar\.gz", key)
    return match[1] if match else ""
