"""What a bundle is made of: the files of this repository that a node needs, and the commit they are of."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from corral import worktree
from corral.errors import CorralError

SEE = "docs/boot.md"

# Git's pathspecs of what a node runs.
OF_NODES = (
    "deploy.py",
    "inventory/node.py",
    "inventory/group_data",
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
# And the `corral` command and whom it pushes to, for the release server, which has the packages beside.
SHIPPED = (*OF_NODES, "inventory/aws.py", "corral")
# What says which commands there are.
PROJECT = "pyproject.toml"
# The Python packages in it, pinned.
LOCK = "requirements/node.txt"
# All that decides what a bundle holds: its files, its packages, and what builds it.
INPUTS = (*SHIPPED, PROJECT, LOCK)


@dataclass(frozen=True)
class Source:
    """A checkout at one moment. `dirty`: some input differs from the commit (full hash)."""

    root: Path
    commit: str
    dirty: bool
    files: tuple[str, ...]

    def copy(self, destination: Path) -> None:
        """Copy what ships to `destination`, with what an installation would add: which commands there are."""
        worktree.copy(self.root, self.files, destination)
        project = tomllib.loads((self.root / PROJECT).read_text())["project"]
        name, version = project["name"], project["version"]
        # PyPA specifications, "Recording installed projects" and "Entry points".
        info = destination / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text("".join(_entry_points(project["entry-points"])))


def _entry_points(groups: dict[str, dict[str, str]]) -> Iterator[str]:
    """Lines of entry_points.txt, without what does not ship (the lab)."""
    for group, entries in groups.items():
        yield f"[{group}]\n"
        for name, place in entries.items():
            if place.startswith("corral."):
                yield f"{name} = {place}\n"


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
