"""Releases in S3: written once, complete or not there; and the pointer to the one that an environment runs.

    releases/app/<version>/{app.tar.zst, app.tar.zst.sha256, manifest.json}, bad.json once it is known as such
    environments/<environment>/app/current.json     in a versioned bucket: its versions are the history

The manifest is written last: a release without one was interrupted.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from corral.errors import CorralError
from corral.releases import bad, pointers
from corral.releases.archive import sha256
from corral.releases.bucket import Bucket
from corral.releases.manifest import Manifest
from corral.releases.names import ARCHIVE, BAD, CHECKSUM, MANIFEST, RELEASES, pointer_key, release_key

SEE = "docs/releases.md"


@dataclass(frozen=True)
class Pointer:
    """Which release an environment runs, which one it ran before, and who said so when.

    `percent` of its servers run it, and the others the previous one.
    """

    version: str
    sha256: str
    previous: str | None
    by: str
    at: str
    percent: int = 100

    @property
    def proven(self) -> str:
        """The release that servers run unless it is their turn for a new one: what to go back to."""
        return self.version if self.percent == 100 or self.previous is None else self.previous


@dataclass(frozen=True)
class Published:
    """A release as a listing shows it. `size` of the archive in bytes; `complete`: it has all its files.

    `bad`: it is marked as such.
    """

    version: str
    at: datetime
    size: int
    complete: bool
    bad: bool = False


def publish(bucket: Bucket, directory: Path) -> tuple[Manifest, bool]:
    """Publish what `build` made; the second value is False when all of it was there already.

    Raises CorralError when `directory` is no whole release, or when its version is taken by another archive.
    """
    manifest = Manifest.of(directory)
    added = False
    for name in (ARCHIVE, CHECKSUM):
        key = release_key(manifest.version, name)
        added |= bucket.put_once(key, directory / name, sha256(directory / name))
    # The same archive may have been built twice: then the first manifest stays, with its own time.
    added |= bucket.put(
        release_key(manifest.version, MANIFEST), (directory / MANIFEST).read_bytes(), IfNoneMatch="*"
    )
    return manifest, added


def check_complete(bucket: Bucket, version: str) -> Manifest:
    """The manifest of a published release whose files are all there and whole; else raises CorralError."""
    key = release_key(version, MANIFEST)
    found = bucket.read(key)
    if found is None:
        raise CorralError(
            f"Release {version} is not in {bucket.name}, or its publishing was interrupted.",
            f"Publish it: corral release publish DIRECTORY -e {bucket.environment}."
            f" What there is: corral release list -e {bucket.environment}.",
            SEE,
        )
    manifest = Manifest.read(found[0], f"s3://{bucket.name}/{key}")
    checksum = bucket.read(release_key(version, CHECKSUM))
    said = checksum[0].decode(errors="replace").split() if checksum else []
    archived = bucket.sha256(release_key(version, ARCHIVE))
    if manifest.version != version or not manifest.sha256 == archived == (said or [""])[0]:
        raise CorralError(
            f"Release {version} in {bucket.name} is damaged: its manifest tells of SHA-256 {manifest.sha256},"
            f" its archive has {archived or 'none'}.",
            "No host would take it. Publish the application under another version (--version).",
            SEE,
        )
    return manifest


def published(bucket: Bucket) -> list[Published]:
    """All releases, the newest first. One request per 1000 objects."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for item in bucket.objects(RELEASES):
        version, _, file = item["Key"].removeprefix(RELEASES).partition("/")
        found.setdefault(version, {})[file] = item
    releases = [
        Published(
            version=version,
            at=max(item["LastModified"] for item in files.values()),
            size=files[ARCHIVE]["Size"] if ARCHIVE in files else 0,
            complete={ARCHIVE, CHECKSUM, MANIFEST} <= files.keys(),
            bad=BAD in files,
        )
        for version, files in found.items()
    ]
    return sorted(releases, key=lambda release: (release.at, release.version), reverse=True)


def pointer(bucket: Bucket) -> Pointer | None:
    """The environment's pointer; None before the first. Raises CorralError when it makes no sense."""
    return pointers.read(bucket, pointer_key(bucket.environment), Pointer)[0]


def point(
    bucket: Bucket, version: str, by: str, percent: int = 100, previous: str | None = None
) -> tuple[Pointer, bool]:
    """Make the environment's pointer name a complete release; the second value is False when it did already.

    `by` says who. `percent` of the servers take it. `previous`: the one before, if it is not that which the
    pointer names now. Raises CorralError when the release is not complete, or
    bad, or when someone else moved the pointer at the same moment.
    """
    manifest = check_complete(bucket, version)
    bad.check(bucket, version)
    key = pointer_key(bucket.environment)
    current, etag = pointers.read(bucket, key, Pointer)
    if current and (current.version, current.sha256, current.percent) == (version, manifest.sha256, percent):
        return current, False
    before = (current.proven, current.previous) if current else ()
    before = (previous, *before)
    earlier = next((one for one in before if one and one != version), None)
    moved = Pointer(version, manifest.sha256, earlier, by, pointers.now(), percent)
    pointers.move(bucket, key, moved, etag, "corral release list")
    return moved, True


def touch(bucket: Bucket, by: str) -> None:
    """Move the pointer to where it is: whatever a rollout holds servers at, they go by the pointer again."""
    key = pointer_key(bucket.environment)
    current, etag = pointers.read(bucket, key, Pointer)
    if current:
        pointers.move(bucket, key, replace(current, by=by, at=pointers.now()), etag, "corral release list")


def void(bucket: Bucket, version: str, why: str, by: str) -> None:
    """Mark a release as bad, for good; an environment that was on the way to it by percent goes back.

    The pointer is moved in any case, as by `touch`. Raises CorralError when the environment runs the release.
    """
    key = pointer_key(bucket.environment)
    current, etag = pointers.read(bucket, key, Pointer)
    if current and current.proven == version:
        raise CorralError(
            f"{version} is what {bucket.environment} runs, so its servers could not be replaced.",
            f"Go back first: corral release rollback -e {bucket.environment}. Then mark it.",
            "docs/rollouts.md",
        )
    bad.mark(bucket, version, why, by)
    if not current:
        return
    back = current
    if current.version == version:
        older = check_complete(bucket, current.proven)
        back = replace(current, version=older.version, sha256=older.sha256, previous=None, percent=100)
    elif current.previous == version:
        back = replace(current, previous=None)
    pointers.move(bucket, key, replace(back, by=by, at=pointers.now()), etag, "corral release list")
