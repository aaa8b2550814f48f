"""A checkout as git sees it: which files count, whether they differ from the commit, and what they hold."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from corral.errors import CorralError


def git(root: Path, *words: str) -> str:
    """What git prints for `words` in the checkout `root`, times in UTC. Raises CorralError."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", root, *words],
            capture_output=True,
            text=True,
            env={**os.environ, "TZ": "UTC0", "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise CorralError("git is not installed.", "Run: apt-get install git") from None
    # A repository without a commit has no log, and is no error: it has just no commit to name.
    if done.returncode and not (words[0] == "log" and "does not have any commits" in done.stderr):
        raise CorralError(f"git says about {root}: {done.stderr.strip()}", "Run this in a git checkout.")
    return done.stdout.strip("\n")


def files(root: Path, *paths: str) -> tuple[str, ...]:
    """Names of the files below `paths` (git's pathspecs) that are tracked, or new and not ignored; sorted."""
    listed = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths)
    return tuple(sorted(name for name in set(listed.split("\0")) if name and os.path.lexists(root / name)))


def changes(root: Path, *paths: str) -> list[str]:
    """What below `paths` differs from the last commit, as git's status shows it: " M deploy.py", "?? new"."""
    return git(root, "status", "--porcelain", "--", *paths).splitlines()


def digest(root: Path, names: Iterable[str]) -> str:
    """Hex SHA-256 over names, modes and contents."""
    total = hashlib.sha256()
    for name in names:
        path = root / name
        if path.is_symlink():
            kind, content = "link", os.fsencode(path.readlink())
        else:
            kind, content = "x" if path.stat().st_mode & 0o100 else "-", path.read_bytes()
        total.update(f"{kind} {name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def copy(root: Path, names: Iterable[str], destination: Path) -> None:
    """Copy files to the same places below `destination`; links stay links."""
    for name in names:
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target, follow_symlinks=False)
