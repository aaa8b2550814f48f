"""What `manifest.json` says about a release, and whether the files beside it agree."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from corral.errors import CorralError
from corral.releases.archive import sha256
from corral.releases.names import ARCHIVE, CHECKSUM, MANIFEST, check_version

SEE = "docs/releases.md"


@dataclass(frozen=True)
class Manifest:
    """A release: `digest` is that of its source, `size` (bytes), `files` and `sha256` are its archive's.

    `before_rollout`, `after_rollout`: commands that a rollout runs once, on one server.
    """

    version: str
    commit: str
    digest: str
    node: str
    built_at: str
    files: int
    size: int
    sha256: str
    before_rollout: str = ""
    after_rollout: str = ""

    def text(self) -> str:
        """The file's text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def read(cls, text: str | bytes, where: str) -> "Manifest":
        """The manifest in `text`, which came from `where`; raises CorralError when it is not one."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise CorralError(
                f"{where} is not a manifest: {error}.", "Build the release again.", SEE
            ) from None

    @classmethod
    def of(cls, directory: Path) -> "Manifest":
        """The manifest in `directory`, whose archive and checksum agree with it; else raises CorralError."""
        missing = [name for name in (ARCHIVE, CHECKSUM, MANIFEST) if not (directory / name).is_file()]
        if missing:
            raise CorralError(
                f"{directory} is no complete release: {', '.join(missing)} is missing.",
                "Build one: corral release build (it prints the directory).",
                SEE,
            )
        manifest = cls.read((directory / MANIFEST).read_bytes(), str(directory / MANIFEST))
        check_version(manifest.version)
        found = sha256(directory / ARCHIVE)
        said = (directory / CHECKSUM).read_text(errors="replace").split()
        if not manifest.sha256 == found == (said or [""])[0]:
            raise CorralError(
                f"Wrong checksum: {directory / ARCHIVE} has SHA-256 {found},"
                f" its manifest says {manifest.sha256}.",
                "It changed after it was built. Remove the directory and build it again.",
                SEE,
            )
        return manifest
