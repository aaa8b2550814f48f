"""What a release is built from: the application's files as git sees them, and the name that they give."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from corral.errors import CorralError

SEE = "docs/releases.md"

# A release is named after the last commit that changed one of these: the application, and what builds it.
INPUTS = ("app", "corral/releases", "requirements")


@dataclass(frozen=True)
class Source:
    """A working tree at one moment. `digest`: hex SHA-256 over names, modes and contents of all inputs."""

    root: Path
    commit: str
    version: str
    digest: str
    files: tuple[str, ...]

    def copy_app(self, destination: Path) -> None:
        """Copy the application's files (tracked, or new and not ignored) to `destination`."""
        for name in self.files:
            if name.startswith("app/"):
                target = destination / name.removeprefix("app/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.root / name, target, follow_symlinks=False)


def read(root: Path) -> Source:
    """The source in the working tree of the git repository `root`. Raises CorralError.

    The version is `<yyyymmdd>-<commit>` of the last commit that changed an input (its date, in UTC); with
    `-dirty-<digest>` when the working tree differs from it.
    """
    commit, _, name = _git(
        root, "log", "-1", "--date=format-local:%Y%m%d", "--format=%H %cd-%h", "--abbrev=10", "--", *INPUTS
    ).partition(" ")
    if not (root / "app/package-lock.json").is_file():
        raise CorralError(
            f"There is no application in {root}: app/package-lock.json is missing.",
            "Run this in a checkout whose app/ has one (`npm install` makes it).",
            SEE,
        )
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *INPUTS)
    files = tuple(sorted(name for name in set(listed.split("\0")) if name and os.path.lexists(root / name)))
    digest = _digest(root, files)
    if not name or _git(root, "status", "--porcelain", "--", *INPUTS):
        name = f"{name or 'uncommitted'}-dirty-{digest[:8]}"
    return Source(root, commit, name, digest, files)


def _digest(root: Path, files: tuple[str, ...]) -> str:
    total = hashlib.sha256()
    for name in files:
        path = root / name
        if path.is_symlink():
            kind, content = "link", os.fsencode(path.readlink())
        else:
            kind, content = "x" if path.stat().st_mode & 0o100 else "-", path.read_bytes()
        total.update(f"{kind} {name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", root, *words],
            capture_output=True,
            text=True,
            env={**os.environ, "TZ": "UTC0", "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise CorralError("git is not installed.", "Run: apt-get install git", SEE) from None
    # A repository without a commit has no log, and is no error: its release is "uncommitted".
    if done.returncode and not (words[0] == "log" and "does not have any commits" in done.stderr):
        raise CorralError(f"git says about {root}: {done.stderr.strip()}", "Run this in a git checkout.", SEE)
    return done.stdout.strip("\n")
