"""Deterministic archives: the same files give the same bytes, whoever packs them, wherever and whenever."""

import gzip
import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import zstandard

from corral.errors import CorralError

SEE = "docs/releases.md"

# Measured on Node's binary (127 MB), one core: level 3 gives 41.6 MB in 0.4 s, 10: 37.0 MB in 2.0 s,
# 15: 36.5 MB in 14.6 s, 19: 32.8 MB in 31 s; all unpack in 0.2 s.
LEVEL = 10
# For hosts that have no zstd yet. Measured on a bundle (81 MB), one core: level 4 gives 25.0 MB in 2.5 s,
# 6: 24.2 MB in 3.3 s, 9: 24.1 MB in 11.9 s.
GZIP_LEVEL = 6
CHUNK = 1 << 20

Keep = Callable[[PurePosixPath], bool]


@dataclass(frozen=True)
class Packed:
    """What came out of packing: hex SHA-256 of the archive, its size in bytes, number of files and links."""

    sha256: str
    size: int
    files: int


def everything(_: PurePosixPath) -> bool:
    """Keep every file."""
    return True


def without_npm_bookkeeping(path: PurePosixPath) -> bool:
    """Keep all but npm's own notes right under `node_modules` (.bin, .package-lock.json, tools' caches).

    They differ between versions of npm. No package's name starts with a dot.
    """
    return not (path.name.startswith(".") and path.parent.name == "node_modules")


def pack(root: Path, destination: Path, keep: Keep = everything) -> Packed:
    """Pack what is in `root` (without `root` itself) into `destination`: .tar.zst, or .tar.gz by its name.

    `keep` gets each path relative to `root`; a directory that it refuses is left out with all that is in it.
    Names are sorted, times and owners zero, modes 755 (directories, whatever its owner may execute) or 644.
    `destination` appears when it is complete, and not before. Raises CorralError for a link that leaves
    `root`, and for what is neither file, directory nor link.
    """
    partial = destination.with_name(f".{destination.name}.partial")
    files = 0
    try:
        with partial.open("wb") as raw:
            # A stream ("w|") hands over pieces of one size, so the bytes do not depend on sizes of reads.
            with (
                _compressor(destination.name, raw) as writer,
                tarfile.open(fileobj=writer, mode="w|", bufsize=CHUNK, format=tarfile.PAX_FORMAT) as tar,
            ):
                for path in _walk(root, root, keep):
                    files += path.is_symlink() or not path.is_dir()
                    _add(tar, root, path)
            raw.flush()
            os.fsync(raw.fileno())
        packed = Packed(sha256(partial), partial.stat().st_size, files)
        partial.rename(destination)
    finally:
        partial.unlink(missing_ok=True)
    return packed


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compressor(name: str, raw: IO[bytes]) -> AbstractContextManager[Any]:
    """What compresses for a file of that name into `raw`, with no name and no time in its header."""
    if name.endswith(".gz"):
        return gzip.GzipFile("", "wb", GZIP_LEVEL, raw, mtime=0)
    made: AbstractContextManager[Any] = zstandard.ZstdCompressor(
        level=LEVEL, write_checksum=True
    ).stream_writer(raw, closefd=False)
    return made


def _walk(root: Path, directory: Path, keep: Keep) -> Iterator[Path]:
    for path in sorted(directory.iterdir(), key=lambda child: os.fsencode(child.name)):
        if not keep(PurePosixPath(path.relative_to(root))):
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(root, path, keep)


def _add(tar: tarfile.TarFile, root: Path, path: Path) -> None:
    info = tarfile.TarInfo(path.relative_to(root).as_posix())
    status = path.lstat()
    executable = stat.S_ISDIR(status.st_mode) or status.st_mode & stat.S_IXUSR
    info.mode = 0o755 if executable else 0o644
    if stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif stat.S_ISLNK(status.st_mode):
        info.type = tarfile.SYMTYPE
        info.linkname = _inner_target(root, path)
        info.mode = 0o777
        tar.addfile(info)
    elif stat.S_ISREG(status.st_mode):
        with path.open("rb") as file:
            info.size = os.fstat(file.fileno()).st_size
            tar.addfile(info, file)
    else:
        raise CorralError(
            f"{path} can not go into an archive: it is neither a file, a directory nor a link.",
            "Remove it, or keep it out of what is built.",
            SEE,
        )


def _inner_target(root: Path, path: Path) -> str:
    target = path.readlink()
    meant = Path(os.path.normpath(path.parent / target))
    if target.is_absolute() or not meant.is_relative_to(root):
        raise CorralError(
            f"{path} is a link to {target}, outside of what is packed: a host would not have it.",
            "Make it a file, or a relative link to something in the same directory tree.",
            SEE,
        )
    return target.as_posix()
