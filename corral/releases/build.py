"""Build a release: a clean copy of the application, locked install, build, prune, archive, manifest."""

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from corral.errors import CorralError
from corral.releases import source
from corral.releases.archive import pack, sha256, without_npm_bookkeeping
from corral.releases.manifest import Manifest
from corral.releases.names import ARCHIVE, CHECKSUM, MANIFEST, check_version
from corral.releases.npm import node_version, npm
from corral.releases.source import Source

SEE = "docs/releases.md"

# What a server needs to run the application; its sources, tests and build tools stay behind.
SHIPPED = ("package.json", "server", "dist", "node_modules")
NEEDED = ("package.json", "server/main.js", "dist/index.html", "dist/assets")

KEPT = 10

Step = Callable[[str], AbstractContextManager[object]]


def quiet(_: str) -> AbstractContextManager[object]:
    """No progress."""
    return nullcontext()


def build(
    root: Path,
    output: Path,
    version: str | None = None,
    tests: bool = False,
    step: Step = quiet,
    log: Path | None = None,
) -> Path:
    """Build the application of the checkout `root` into `output`/<version>, and return that directory.

    It holds the archive, its checksum and the manifest, and appears when all three are complete. What was
    built in `output` from the same source by the same Node is used again, unless `tests` are to be run.
    `step` is entered with the name of each step. `log`: the file to which npm's output is added; without it
    `output`/build.log, made anew. Raises CorralError.
    """
    output.mkdir(parents=True, exist_ok=True)
    with step("Reading the source"):
        built_from, node = source.read(root), node_version()
    version = check_version(version or built_from.version)
    with alone(output, step):
        same = None if tests else _built_before(output, version, built_from.digest, node)
        if same and same.name == version:
            return same
        with tempfile.TemporaryDirectory(prefix=".building-", dir=output) as scratch:
            made = Path(scratch) / version
            made.mkdir()
            if same:
                shutil.copyfile(same / ARCHIVE, made / ARCHIVE)
                files = Manifest.of(same).files
            else:
                app = Path(scratch) / "app"
                _make(built_from, app, log or _new_log(output), tests, step)
                with step("Packing the archive"):
                    files = pack(app, made / ARCHIVE, without_npm_bookkeeping).files
            _describe(made, built_from, node, files)
            _put(made, output / version)
        _prune(output, keep=version)
    return output / version


def _make(built_from: Source, app: Path, log: Path, tests: bool, step: Step) -> None:
    with step("Copying the application"):
        built_from.copy_app(app)
    with step("Installing locked packages (npm ci)"):
        # Whatever a package wants to run at its installation is not needed to build, and not trusted.
        npm("ci", "--ignore-scripts", "--include=dev", "--prefer-offline", cwd=app, log=log)
    if tests:
        with step("Running the application's tests (npm test)"):
            npm("test", cwd=app, log=log)
    with step("Building the front end (npm run build)"):
        npm("run", "build", cwd=app, log=log)
    with step("Removing what only the build needed (npm prune)"):
        npm("prune", "--omit=dev", "--ignore-scripts", cwd=app, log=log)
        for path in app.iterdir():
            if path.name not in SHIPPED:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if missing := [name for name in NEEDED if not (app / name).exists()]:
        raise CorralError(
            f"The build left no {' and no '.join(missing)}: no server could run it.",
            f"See what `npm run build` did, in {log}.",
            SEE,
        )


def _new_log(output: Path) -> Path:
    log = output / "build.log"
    log.unlink(missing_ok=True)
    return log


def _describe(made: Path, built_from: Source, node: str, files: int) -> None:
    """Write the checksum (as sha256sum does) and the manifest of the archive in `made`."""
    archive = made / ARCHIVE
    digest = sha256(archive)
    (made / CHECKSUM).write_text(f"{digest}  {ARCHIVE}\n")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    size = archive.stat().st_size
    manifest = Manifest(
        made.name,
        built_from.commit,
        built_from.digest,
        node,
        now,
        files,
        size,
        digest,
        **built_from.commands(),
    )
    (made / MANIFEST).write_text(manifest.text())


def _built_before(output: Path, version: str, digest: str, node: str) -> Path | None:
    """A whole release in `output` from that source by that Node, best of that version; None without one."""
    for directory in sorted(_newest_first(output), key=lambda path: path.name != version):
        try:
            manifest = Manifest.of(directory)
        except (OSError, CorralError):
            continue  # damaged: it is built anew
        if (manifest.digest, manifest.node, manifest.version) == (digest, node, directory.name):
            return directory
    return None


def _newest_first(output: Path) -> list[Path]:
    made = [path for path in output.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(made, key=lambda path: path.stat().st_mtime, reverse=True)


def _put(made: Path, place: Path) -> None:
    """Move the finished directory to its place, in an instant; what stood there goes."""
    if place.exists():
        place.rename(made.parent / "replaced")
    made.rename(place)


def _prune(output: Path, keep: str) -> None:
    for old in _newest_first(output)[KEPT:]:
        if old.name != keep:
            shutil.rmtree(old)


@contextmanager
def alone(output: Path, step: Step) -> Iterator[None]:
    """One build at a time in `output`; what an interrupted one left there is removed."""
    with (output / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step("Waiting for another build to end"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in output.glob(".building-*"):
            shutil.rmtree(leftover)
        yield
