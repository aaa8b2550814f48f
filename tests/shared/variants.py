"""Variants of a published release: the same application but for some files, whole releases all the same."""

import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import zstandard

from corral.releases import archive
from corral.releases.bucket import Bucket
from corral.releases.manifest import Manifest
from corral.releases.names import ARCHIVE, CHECKSUM, MANIFEST, release_key

CRASHES = 'console.error("the moon is in the wrong phase"); process.exit(1);\n'
# Added at the end of the main module, which waits until it is ready, it begins to count then.
DIES = 'setTimeout(() => { console.error("out of cheese"); process.exit(1); }, 2500);\n'
NEVER_READY = """
import { createServer } from "node:http";
const body = JSON.stringify({ release: process.env.RELEASE, reason: "still thinking" });
createServer((request, response) => response.writeHead(503).end(body))
  .listen(process.env.PORT, process.env.HOST, () => process.send("ready"));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0));
"""


class Variants:
    """Makes them in the folder `scratch`, from release `base` of `bucket`."""

    def __init__(self, bucket: Bucket, base: str, scratch: Path) -> None:
        self.scratch, self.tree = scratch, scratch / "tree"
        self.base = Manifest.read(bucket.read(release_key(base, MANIFEST))[0], base)
        packed = scratch / ARCHIVE
        packed.write_bytes(bucket.read(release_key(base, ARCHIVE))[0])
        with packed.open("rb") as file:
            stream = zstandard.ZstdDecompressor().stream_reader(file)
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                tar.extractall(self.tree, filter="tar")

    def make(self, version: str, changes: dict[str, str], **commands: str) -> Path:
        """The folder of a release in which files are as `changes` say: a text, "+" before one to be added."""
        made = self.scratch / version
        tree = made / "tree"
        shutil.copytree(self.tree, tree, symlinks=True)
        for name, text in changes.items():
            before = (tree / name).read_text() if text.startswith("+") else ""
            (tree / name).write_text(before + text.removeprefix("+"))
        packed = archive.pack(tree, made / ARCHIVE)
        shutil.rmtree(tree)
        said = {"size": packed.size, "files": packed.files, "sha256": packed.sha256, **commands}
        (made / CHECKSUM).write_text(f"{packed.sha256}  {ARCHIVE}\n")
        (made / MANIFEST).write_text(replace(self.base, version=version, **said).text())
        return made
