"""What a bundle is made of: the files of this repository that a node needs, and the commit they are of."""

from dataclasses import dataclass
from pathlib import Path

from corral import worktree
from corral.errors import CorralError

SEE = "docs/boot.md"

# Git's pathspecs of what is in a bundle. What asks AWS or Vagrant who is there is for operators.
SHIPPED = (
    "deploy.py",
    "inventory",
    ":!inventory/aws.py",
    ":!inventory/group_data/aws.py",
    ":!inventory/vagrant.py",
    ":!inventory/group_data/vagrant.py",
    "environments",
    "tasks",
    "templates",
    "files",
    "corral/__init__.py",
    "corral/errors.py",
    "corral/inventory.py",
    "corral/node",
    "corral/settings",
)
# The Python packages in it, pinned.
LOCK = "requirements/node.txt"
# All that decides what a bundle holds: its files, its packages, and what builds it.
INPUTS = (*SHIPPED, LOCK, "corral/bundle", "corral/releases/archive.py", "corral/worktree.py")


@dataclass(frozen=True)
class Source:
    """A checkout at one moment. `dirty`: some input differs from the commit (full hash)."""

    root: Path
    commit: str
    dirty: bool
    files: tuple[str, ...]

    def copy(self, destination: Path) -> None:
        """Copy what ships to `destination`."""
        worktree.copy(self.root, self.files, destination)


def read(root: Path, dirty: bool = False) -> Source:
    """What ships of the checkout `root`. Raises CorralError when that is not its commit, unless `dirty`."""
    commit = worktree.git(root, "rev-parse", "--verify", "HEAD")
    changes = worktree.changes(root, *INPUTS)
    if changes and not dirty:
        shown = ", ".join(change.split(maxsplit=1)[1] for change in changes[:5])
        raise CorralError(
            f"The working tree differs from commit {commit[:10]}: {shown}{', …' if changes[5:] else ''}.",
            "Commit the change. Or give --dirty, which makes a bundle that is marked so.",
            SEE,
        )
    return Source(root, commit, bool(changes), worktree.files(root, *SHIPPED))
