"""Build a bundle: the repository's files at a commit and the packages that run them, in one archive."""

import json
import tarfile
import tempfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

from corral.bundle import source, wheels
from corral.errors import CorralError
from corral.releases.archive import pack, sha256
from corral.releases.build import Step, alone, quiet

# What a node may rely on: where packages, code and manifest are. Another number when that changes.
FORMAT = 1
MANIFEST = "bundle.json"
SEE = "docs/boot.md"
KEPT = 5
_REMEDY = "Name what `corral bundle build` printed."


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself. `commit`: the full hash; `dirty`: it is not quite that commit."""

    format: int
    commit: str
    dirty: bool
    python: str
    architectures: tuple[str, ...]

    def text(self) -> str:
        """The file's text."""
        return json.dumps(asdict(self), indent=2) + "\n"


@dataclass(frozen=True)
class Built:
    """A bundle on this machine's disk. `digest`: its hex SHA-256, its name; `size` in bytes."""

    path: Path
    digest: str
    size: int
    manifest: Manifest


def build(root: Path, output: Path, cache: Path, dirty: bool = False, step: Step = quiet) -> Built:
    """Build the bundle of the checkout `root` into `output`/<digest>.tar.gz; the last KEPT stay there.

    The same commit gives the same bytes. `cache`: where wheels are kept. `dirty`: allow a working tree that
    differs from its commit. `step` is entered with the name of each step. Raises CorralError.
    """
    output.mkdir(parents=True, exist_ok=True)
    with alone(output, step), tempfile.TemporaryDirectory(prefix=".building-", dir=output) as scratch:
        shipped = source.read(root, dirty)
        packages = wheels.fetch(root / source.LOCK, cache, step)
        manifest = Manifest(FORMAT, shipped.commit, shipped.dirty, wheels.PYTHON, wheels.ARCHITECTURES)
        tree, made = Path(scratch) / "tree", Path(scratch) / "bundle.tar.gz"
        with step("Unpacking the packages"):
            wheels.unpack(packages, tree / "lib")
        shipped.copy(tree)
        (tree / MANIFEST).write_text(manifest.text())
        with step("Packing the bundle"):
            packed = pack(tree, made)
        place = made.rename(output / f"{packed.sha256}.tar.gz")
        _prune(output)
    return Built(place, packed.sha256, packed.size, manifest)


def read(path: Path) -> Built:
    """A bundle that was built before. Raises CorralError when the file is none, or of another format."""
    try:
        digest, size = sha256(path), path.stat().st_size
        with tarfile.open(path) as archive, archive.extractfile(MANIFEST) as file:  # type: ignore[union-attr]
            said = json.load(file)
            manifest = Manifest(**said | {"architectures": tuple(said["architectures"])})
    except OSError as error:
        raise CorralError(f"{path} can't be read: {error.strerror or error}.", _REMEDY, SEE) from error
    except (tarfile.TarError, KeyError, TypeError, ValueError, EOFError, zlib.error) as error:
        raise CorralError(f"{path} is no bundle.", _REMEDY, SEE) from error
    if manifest.format != FORMAT:
        raise CorralError(f"{path} is a bundle of format {manifest.format}, not {FORMAT}.", _REMEDY, SEE)
    return Built(path, digest, size, manifest)


def _prune(output: Path) -> None:
    for old in sorted(output.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
        old.unlink()
