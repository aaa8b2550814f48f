"""An apt repository of the lab's own, with the paths of Elastic's: what stands below https://artifacts.elastic.co.

Source of the layout: "Install Elasticsearch with a Debian package" of the 8.19 reference; of the files, the
Debian wiki's "DebianRepository/Format".
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from lab.commands import run
from lab.elastic import engine, packages
from lab.elastic.packages import Package

APT = Path("packages/8.x/apt")
KEY = Path("GPG-KEY-elasticsearch")
_ARCHITECTURES = ("amd64", "arm64")
_STAND_INS = ("filebeat", "kibana", "logstash")


def ensure(directory: Path, tell: Callable[[str], None]) -> Path:
    """The repository's root, built when a package's source has changed since the last time.

    `directory`: where it and the key that signs it stay. `tell`: is given a few words at each step.
    It appears under its final name only when it is whole.
    """
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / hashlib.sha256(packages.sources()).hexdigest()[:16]
    if not target.exists():
        for old in directory.glob("[0-9a-f]" * 16 + "*"):
            shutil.rmtree(old)
        partial = target.with_suffix(".partial")
        _build(partial, directory / "key", directory / "archives", tell)
        partial.rename(target)
    return target


def _build(root: Path, key: Path, cache: Path, tell: Callable[[str], None]) -> None:
    pool = root / APT / "pool"
    pool.mkdir(parents=True)
    built = []
    tell("Elasticsearch's engine, by Maven")
    archive = engine.fetch(cache)
    tell("package elasticsearch: Elastic's own engine")
    built.append(packages.build("elasticsearch", pool, lambda _, root: engine.lay_out(archive, root)))
    for name in _STAND_INS:
        tell(f"package {name}: the lab's stand-in")
        built.append(packages.build(name, pool, packages.stand_in))
    index = packages_index(built, root / APT)
    dists = root / APT / "dists/stable"
    for architecture in _ARCHITECTURES:
        path = dists / f"main/binary-{architecture}/Packages"
        path.parent.mkdir(parents=True)
        path.write_text(index)
    (dists / "Release").write_text(release(dists, datetime.now(UTC)))
    _sign(dists, key, root / KEY)


def packages_index(built: Iterable[Package], root: Path) -> str:
    """The text of a Packages file; names of files are below `root`."""
    entries = []
    for each in built:
        content = each.file.read_bytes()
        more = {
            "Filename": str(each.file.relative_to(root)),
            "Size": str(len(content)),
            "SHA256": hashlib.sha256(content).hexdigest(),
        }
        entries.append("".join(f"{name}: {value}\n" for name, value in (each.fields | more).items()))
    return "\n".join(entries)


def release(dists: Path, now: datetime) -> str:
    """The text of the Release file for the indices below `dists`."""
    indices = sorted(path for path in dists.rglob("Packages"))
    sums = [
        f" {hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_size} {path.relative_to(dists)}\n"
        for path in indices
    ]
    return (
        "Origin: elastic\nLabel: the lab's stand-ins\nSuite: stable\nCodename: stable\n"
        f"Architectures: {' '.join(_ARCHITECTURES)}\nComponents: main\n"
        f"Date: {now:%a, %d %b %Y %H:%M:%S} UTC\nSHA256:\n{''.join(sums)}"
    )


def _sign(dists: Path, key: Path, public: Path) -> None:
    """Write InRelease, signed by the lab's own key, and that key for apt's `signed-by`."""
    gpg = ["gpg", "--homedir", str(key), "--batch", "--quiet", "--no-tty"]
    try:
        if not (key / "pubring.kbx").exists():
            key.mkdir(mode=0o700, exist_ok=True)
            who = "The lab's stand-ins for Elastic's packages"
            run(*gpg, "--passphrase", "", "--quick-generate-key", who, "ed25519", "sign", "never")
        run(*gpg, "--armor", "--output", public, "--export")
        run(*gpg, "--output", dists / "InRelease", "--clear-sign", dists / "Release")
    finally:
        # The agent that gpg started would stay.
        run("gpgconf", "--homedir", key, "--kill", "all", check=False)
