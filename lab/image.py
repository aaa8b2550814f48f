"""The base image that every host of the lab starts from: Debian 13 with what its EC2 image has."""

import hashlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from corral.errors import CorralError
from lab import apt, mounts, processes
from lab.elastic.source import KEYRING
from lab.paths import APT_PROXY, CACHE, IMAGES, SERVICES

_RECIPE = Path(__file__).parent / "base_image"
_MACHINE_CAS = Path("/usr/local/share/ca-certificates")
# Documentation and translations are most of a small package's files, and no host of the lab reads them.
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/locale/*")


def ensure(mirror: apt.Mirror, ca: Path, elastic: Path, tell: Callable[[str], None]) -> Path:
    """The image's root directory, built when the recipe, the mirror or a CA has changed since the last time.

    `ca`: the lab's CA certificate. `elastic`: the key that signs what hosts get of Elastic's. `tell`: is
    given a few words at each step of a build.
    An image appears under its final name only when it is whole; what an interrupted build left is removed.
    """
    authorities = [*sorted(_MACHINE_CAS.glob("**/*.crt")), ca]
    image = IMAGES / _key(mirror, authorities, elastic)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for old in IMAGES.iterdir():
        if old != image:
            mounts.remove_tree(old)
    if not image.exists():
        _build(image, mirror, authorities, elastic, tell)
    return image


def _key(mirror: apt.Mirror, authorities: list[Path], elastic: Path) -> str:
    """Hash of all that decides what the image holds, but the versions of Debian's packages."""
    digest = hashlib.sha256()
    for path in [Path(__file__), *sorted(_RECIPE.iterdir()), *authorities, elastic]:
        digest.update(path.read_bytes())
    digest.update("\n".join([apt.host_sources(mirror), *apt.machine_options(), APT_PROXY]).encode())
    return digest.hexdigest()[:16]


def _build(
    target: Path, mirror: apt.Mirror, authorities: list[Path], elastic: Path, tell: Callable[[str], None]
) -> None:
    partial = target.with_suffix(".partial")
    staged = CACHE / "build"
    shutil.rmtree(staged, ignore_errors=True)
    (staged / "authorities").mkdir(parents=True)
    (staged / "lab.sources").write_text(apt.host_sources(mirror))
    for number, path in enumerate(authorities):
        shutil.copy(path, staged / "authorities" / f"{number:02d}-{path.stem}.crt")
    shutil.copy(elastic, staged / Path(KEYRING).name)
    packages = [line for line in (_RECIPE / "packages.txt").read_text().splitlines() if line[:1] != "#"]
    options = [f'Acquire::http::Proxy "{APT_PROXY}";', *apt.machine_options()]
    command = [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(packages)}",
        *(f"--aptopt={option}" for option in options),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
        # A host that boots asks whether the lists of packages are others, and need not fetch and read them.
        "--skip=cleanup/apt/lists,cleanup/apt/cache",
        f"--customize-hook=copy-in {staged / 'authorities'} /usr/local/share/ca-certificates",
        f"--customize-hook=copy-in {staged / Path(KEYRING).name} {Path(KEYRING).parent}",
        f"--customize-hook={_RECIPE / 'customize.sh'}",
        apt.SUITE,
        str(partial),
        str(staged / "lab.sources"),
    ]
    # mmdebstrap mounts /proc, /sys and devices in the image: in a mount namespace that ends with it.
    apart = ["unshare", "--mount", "--propagation=private"]
    then_name_it = [*apart, "sh", "-c", '"$@" && mv "$0" "${0%.partial}"', str(partial), *command]
    _run_with_progress(then_name_it, target, tell)
    shutil.rmtree(staged)


def _run_with_progress(command: list[str], target: Path, tell: Callable[[str], None]) -> None:
    """Run the build in a session of its own, which `corral lab down` finds should this process be killed."""
    log = SERVICES / "image.log"
    log.unlink(missing_ok=True)
    SERVICES.mkdir(parents=True, exist_ok=True)
    environment = {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    process = processes.spawn(SERVICES / "image.pid", command, log, environment)
    told = 0
    try:
        while process.alive:
            time.sleep(0.2)
            steps = [
                line for line in log.read_text().splitlines() if line.startswith("I: ") and "..." in line
            ]
            for step in steps[told:]:
                tell(f"image: {step[3:].strip().rstrip('.')}")
            told = len(steps)
    finally:
        processes.stop(process)
    if not target.exists():
        last = "\n".join(f"    {line}" for line in log.read_text().splitlines()[-12:])
        raise CorralError(
            f"The base image could not be built:\n{last}",
            "Check that `apt-get update` works on this machine, then try again.",
            "docs/lab.md",
        )
