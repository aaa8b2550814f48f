"""The Python packages of a bundle: the wheels that the lock names, for each architecture, fetched once."""

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path, PurePosixPath

from corral.errors import CorralError
from corral.releases import archive
from corral.releases.build import Step, quiet

SEE = "docs/boot.md"
# What runs on Debian 13: its CPython, and wheels for any glibc up to its own, 2.41 (PEP 600). 2014 is the
# older name of 2.17 (PEP 599).
PYTHON = "3.13"
GLIBC = [*(f"manylinux_2_{minor}" for minor in range(41, 16, -1)), "manylinux2014"]
ARCHITECTURES = ("aarch64", "x86_64")
KEPT = 3
SHOWN = 20


def fetch(lock: Path, cache: Path, step: Step = quiet) -> list[Path]:
    """The wheels of all packages in `lock`, for each of ARCHITECTURES; from `cache` when they are there.

    Every wheel has a hash that the lock names. Raises CorralError when pip can't get them.
    """
    pinned = lock.read_text()
    place = cache / sha256(f"{pinned} {PYTHON} {GLIBC} {ARCHITECTURES}".encode()).hexdigest()[:16]
    if not _whole(place, pinned):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=cache) as scratch:
            fetched = Path(scratch) / place.name
            for architecture in ARCHITECTURES:
                with step(f"Fetching the packages for {architecture} (pip download)"):
                    _download(lock, fetched, architecture, cache / "pip.log")
            if not _whole(fetched, pinned):
                problem = f"pip did not fetch every package that {lock} names for {', '.join(ARCHITECTURES)}."
                raise CorralError(problem, f"See what it did, in {cache / 'pip.log'}.", SEE)
            shutil.rmtree(place, ignore_errors=True)
            fetched.rename(place)
        _prune(cache, place)
    return sorted(place.glob("*.whl"))


def unpack(wheels: Iterable[Path], lib: Path, only: str | None = None) -> None:
    """Unpack wheels into `lib`/any (pure ones) and `lib`/<architecture>, each a directory for PYTHONPATH.

    `only`: leave out what is for any other architecture than this. Programs and headers, which a wheel keeps
    in a directory of its own, stay behind (Python packaging user guide, "Binary distribution format").
    """
    for wheel in wheels:
        if only and _architecture(wheel) not in ("any", only):
            continue
        place = lib / _architecture(wheel)
        with zipfile.ZipFile(wheel) as packed:
            for member in packed.infolist():
                path = PurePosixPath(member.filename)
                if path.parts[0].endswith(".data"):
                    if path.parts[1:2] not in (("purelib",), ("platlib",)):
                        continue
                    member.filename = str(PurePosixPath(*path.parts[2:]))
                packed.extract(member, place)


def _download(lock: Path, place: Path, architecture: str, log: Path) -> None:
    platforms = [word for glibc in GLIBC for word in ("--platform", f"{glibc}_{architecture}")]
    target = ["--implementation", "cp", "--python-version", PYTHON, *platforms]
    words = [
        *("pip", "download", "--only-binary=:all:", "--require-hashes"),
        *("--disable-pip-version-check", "--no-input", "--progress-bar=off", *target),
    ]
    done = subprocess.run(
        [sys.executable, "-m", *words, "--dest", place, "--requirement", lock],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    log.write_text(done.stdout)
    if done.returncode:
        last = "\n".join(f"    {line}" for line in done.stdout.strip().splitlines()[-SHOWN:])
        raise CorralError(
            f"pip could not fetch the packages for {architecture}; its last lines:\n{last}",
            "Mend what it says, and build again. Every package needs a wheel: nothing is compiled.",
            SEE,
        )


def _whole(place: Path, pinned: str) -> bool:
    """Whether every package has its wheel for each architecture, and every wheel a hash that is pinned."""
    wheels = list(place.glob("*.whl"))
    packages = set(re.findall(r"^([\w.-]+)==", pinned, re.MULTILINE))
    hashes = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", pinned))
    return all(archive.sha256(wheel) in hashes for wheel in wheels) and all(
        {_name(wheel.name.partition("-")[0]) for wheel in wheels if _architecture(wheel) in ("any", one)}
        == {_name(package) for package in packages}
        for one in ARCHITECTURES
    )


def _name(package: str) -> str:
    """A package's name as all its spellings give it (packaging.python.org, "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", package).lower()


def _architecture(wheel: Path) -> str:
    """For whom a wheel is, by the end of its name: "any", or one of ARCHITECTURES."""
    return next((one for one in ARCHITECTURES if wheel.stem.endswith(f"_{one}")), "any")


def _prune(cache: Path, keep: Path) -> None:
    kept = sorted(
        (path for path in cache.iterdir() if path.is_dir()),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for old in kept[KEPT:]:
        if old != keep:
            shutil.rmtree(old)
