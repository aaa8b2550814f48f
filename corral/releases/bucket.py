"""The few ways in which the releases bucket is read and written: once, on a condition, with checked sums."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from corral.errors import CorralError

SEE = "docs/releases.md"

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html: 412 when the condition does
# not hold, 409 when another conditional write to the same key is on its way.
LOST = {"PreconditionFailed", "ConditionalRequestConflict"}
MISSING = {"NoSuchKey", "404", "NotFound"}


class NoBucket(CorralError):
    """There is no such bucket: the stack, which makes it, was not applied."""


@dataclass(frozen=True)
class Bucket:
    """The releases bucket of an environment. `s3` is a boto3 client, whose other errors pass through."""

    s3: Any
    name: str
    environment: str

    def read(self, key: str, most: int | None = None) -> tuple[bytes, str] | None:
        """Content (its first `most` bytes, if given) and ETag of an object; None when there is none."""
        with self._there():
            try:
                answer = self.s3.get_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if _code(error) in MISSING:
                    return None
                raise
        return answer["Body"].read(most), answer["ETag"]

    def sha256(self, key: str) -> str | None:
        """The hex SHA-256 that S3 checked when it took the object in; None without one, or without object."""
        return base64.b64decode((self._head(key) or {}).get("ChecksumSHA256", "")).hex() or None

    def notes(self, key: str) -> dict[str, str]:
        """The notes that `put_once` left on an object; none without object."""
        return dict((self._head(key) or {}).get("Metadata", {}))

    def put_once(self, key: str, path: Path, sha256: str, notes: Mapping[str, str] | None = None) -> bool:
        """Write a file, whose hex SHA-256 S3 checks, unless the key is there already: then False.

        `notes`: what S3 is to keep beside it, as the object's metadata (ASCII). Raises CorralError when the
        key is there with another content.
        """
        checked = {
            "ChecksumAlgorithm": "SHA256",
            "ChecksumSHA256": base64.b64encode(bytes.fromhex(sha256)).decode(),
        }
        with path.open("rb") as body:
            if self.put(key, body, IfNoneMatch="*", Metadata=dict(notes or {}), **checked):
                return True
        found = self.sha256(key)
        if found is None:
            raise CorralError(f"Someone else is writing s3://{self.name}/{key} right now.", "Try again.", SEE)
        if found != sha256:
            raise CorralError(
                f"s3://{self.name}/{key} exists with other content, and what is published never changes.",
                "Take another version: commit the change, or name one with --version.",
                SEE,
            )
        return False

    def put(self, key: str, body: Any, **options: Any) -> bool:
        """Write an object; False when one of S3's conditions among `options` fails (IfMatch, IfNoneMatch)."""
        with self._there():
            try:
                self.s3.put_object(Bucket=self.name, Key=key, Body=body, **options)
            except ClientError as error:
                if _code(error) in LOST:
                    return False
                raise
        return True

    def objects(self, prefix: str) -> Iterator[dict[str, Any]]:
        """All objects below `prefix`, as S3 lists them. One request per 1000."""
        with self._there():
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
                yield from page.get("Contents", ())

    def _head(self, key: str) -> dict[str, Any] | None:
        with self._there():
            try:
                found: dict[str, Any] = self.s3.head_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED")
            except ClientError as error:
                if _code(error) in MISSING:
                    return None
                raise
        return found

    @contextmanager
    def _there(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if _code(error) != "NoSuchBucket":
                raise
            raise NoBucket(
                f"There is no bucket {self.name}: the stack of {self.environment} makes it.",
                f"Apply the stack first: corral stack apply -e {self.environment}",
                SEE,
            ) from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
