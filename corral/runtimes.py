"""Runtimes: Node, PM2, npm and corral's packages as archives for the hosts, made of locks, pinned here.

`files/process_manager/package.json` and its lock say what goes in (exact versions, each package's integrity),
and `requirements/run.txt` for the Python packages that the release server runs corral with;
`runtimes.json` says what must come out. Hosts fetch the archives from the releases bucket and
compare them with the same pins, so that nothing else stands between the lock and a server.
"""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from corral.bundle import wheels
from corral.errors import CorralError
from corral.releases.archive import Keep, everything, pack, sha256, without_npm_bookkeeping
from corral.releases.bucket import Bucket
from corral.releases.build import Step, alone, quiet
from corral.releases.names import runtime_file, runtime_key
from corral.releases.npm import npm

SEE = "docs/releases.md"
ARCHITECTURES = ("x64", "arm64")
_MACHINES = {"x64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Runtime:
    """One archive that ought to exist. `sha256`: its pin, hex; empty when there is none yet."""

    name: str
    version: str
    arch: str
    sha256: str

    @property
    def file(self) -> str:
        """Its file name."""
        return runtime_file(self.name, self.version, self.arch)

    @property
    def key(self) -> str:
        """Its key in the releases bucket."""
        return runtime_key(self.name, self.version, self.arch)


def architecture(image: str) -> str:
    """Architecture in Node's words that an image's SSM parameter names in Debian's, as its last part does.

    https://wiki.debian.org/Cloud/AmazonEC2Image: /aws/service/debian/release/<release>/latest/<amd64|arm64>
    """
    named = {"amd64": "x64", "x86_64": "x64", "arm64": "arm64"}.get(image.rpartition("/")[2])
    if named is None:
        problem = f"Image parameter {image} does not end with an architecture (amd64, arm64)."
        raise CorralError(problem, "Say which one: --arch x64 or --arch arm64.", SEE)
    return named


def wanted(sources: Path, arch: str) -> list[Runtime]:
    """All runtimes of one architecture. `sources`: the directory with package.json and runtimes.json."""
    packages = json.loads((sources / "package.json").read_text())
    versions = {
        "node": packages["optionalDependencies"][f"node-linux-{arch}"],
        "pm2": packages["dependencies"]["pm2"],
        "npm": packages["dependencies"]["npm"],
        # With a digit in front, as all versions have one (tasks/lib/scripts/archives_apply.sh).
        "packages": f"0.{sha256(_python_lock(sources))[:10]}",
    }
    pins = json.loads((sources / "runtimes.json").read_text())
    pinned = {name: pin[arch] for name, pin in pins.items() if pin["version"] == versions[name]}
    return [Runtime(name, version, arch, pinned.get(name, "")) for name, version in versions.items()]


def archives(sources: Path, cache: Path, arch: str, step: Step = quiet) -> dict[Runtime, Path]:
    """Every runtime with its archive: from `cache` when that has the pinned sum, else built now.

    Raises CorralError when what was built is not what is pinned.
    """
    found = {runtime: cache / runtime.file for runtime in wanted(sources, arch)}
    if all(path.is_file() and sha256(path) == runtime.sha256 for runtime, path in found.items()):
        return found
    for runtime, built in build(sources, cache, arch, step).items():
        if built != runtime.sha256:
            raise CorralError(
                f"Wrong checksum: {runtime.file} came out with SHA-256 {built},"
                f" but runtimes.json pins {runtime.sha256 or 'none for this version'}.",
                "Were package.json, its lock or zstandard changed on purpose? Then pin what comes out"
                " (corral release runtimes pin) and commit runtimes.json. Else find out what changed.",
                SEE,
            )
    return found


def build(sources: Path, cache: Path, arch: str, step: Step = quiet) -> dict[Runtime, str]:
    """Build every runtime of one architecture into `cache`, whatever is pinned; returns their sums."""
    cache.mkdir(parents=True, exist_ok=True)
    with alone(cache, step), tempfile.TemporaryDirectory(prefix=".building-", dir=cache) as scratch:
        place = Path(scratch)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(sources / name, place / name)
        with step(f"Fetching Node, PM2 and npm for {arch} (npm ci)"):
            log = cache / "build.log"
            log.unlink(missing_ok=True)
            npm("ci", "--ignore-scripts", "--os=linux", f"--cpu={arch}", cwd=place, log=log)
        python = place / "python"
        fetched = wheels.fetch(_python_lock(sources), cache / "wheels", step)
        wheels.unpack(fetched, python, _MACHINES[arch])
        origins: dict[str, tuple[Path, Keep]] = {
            "node": (place / "node_modules" / f"node-linux-{arch}", _of_node),
            "pm2": (place, _of_pm2),
            "npm": (place / "node_modules" / "npm", without_npm_bookkeeping),
            "packages": (python, everything),
        }
        sums = {}
        for runtime in wanted(sources, arch):
            with step(f"Packing {runtime.file}"):
                root, keep = origins[runtime.name]
                sums[runtime] = pack(root, cache / runtime.file, keep).sha256
        return sums


def pin(sources: Path, cache: Path, step: Step = quiet) -> Path:
    """Build for all architectures and write the sums to runtimes.json, whose path is returned."""
    pins: dict[str, dict[str, str]] = {}
    for arch in ARCHITECTURES:
        for runtime, built in build(sources, cache, arch, step).items():
            pins.setdefault(runtime.name, {"version": runtime.version})[arch] = built
    path = sources / "runtimes.json"
    path.write_text(json.dumps(pins, indent=2) + "\n")
    return path


def publish(bucket: Bucket, sources: Path, cache: Path, arch: str, step: Step = quiet) -> dict[Runtime, bool]:
    """Put every runtime of one architecture into the bucket; False for one that was there already."""
    there = {runtime: bucket.sha256(runtime.key) == runtime.sha256 for runtime in wanted(sources, arch)}
    if all(there.values()):
        return dict.fromkeys(there, False)
    added = {}
    for runtime, path in archives(sources, cache, arch, step).items():
        with step(f"Uploading {runtime.file}"):
            added[runtime] = bucket.put_once(runtime.key, path, runtime.sha256)
    return added


def _of_node(path: PurePosixPath) -> bool:
    """The program and its licence; headers, manual and change log stay behind."""
    return str(path) in {"bin", "bin/node", "LICENSE"}


def _of_pm2(path: PurePosixPath) -> bool:
    """PM2 and all it needs: what npm installed but Node, and npm with what it brings itself."""
    other = path.match("node_modules/node-linux-*") or path.match("node_modules/npm")
    return path.parts[0] == "node_modules" and not other and without_npm_bookkeeping(path)


def _python_lock(sources: Path) -> Path:
    """The lock of what corral itself runs with, in the same repository."""
    return sources.parents[1] / "requirements" / "run.txt"
