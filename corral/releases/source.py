"""What a release is built from: the application's files as git sees them, and the name that they give."""

import json
from dataclasses import dataclass
from pathlib import Path

from corral import worktree
from corral.errors import CorralError

SEE = "docs/releases.md"

# A release is named after the last commit that changed one of these: the application, and what builds it.
INPUTS = ("app", "corral/releases", "corral/worktree.py", "requirements")


# Run once by a rollout: before any server is changed, and after all were.
COMMANDS = ("before_rollout", "after_rollout")


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
        app = [name.removeprefix("app/") for name in self.files if name.startswith("app/")]
        worktree.copy(self.root / "app", app, destination)

    def commands(self) -> dict[str, str]:
        """What a rollout is to run: "corral" in package.json. Raises CorralError on any other key."""
        file = self.root / "app" / "package.json"
        said = json.loads(file.read_bytes()).get("corral", {})
        if not isinstance(said, dict):
            said = {json.dumps(said): None}
        if wrong := [key for key, value in said.items() if key not in COMMANDS or not isinstance(value, str)]:
            raise CorralError(
                f"{file}: “corral” has {', '.join(wrong)}, which is no command that a rollout runs.",
                f"It may have {' and '.join(COMMANDS)}, each a shell command.",
                "docs/rollouts.md",
            )
        return dict(said)


def read(root: Path) -> Source:
    """The source in the working tree of the git repository `root`. Raises CorralError.

    The version is `<yyyymmdd>-<commit>` of the last commit that changed an input (its date, in UTC); with
    `-dirty-<digest>` when the working tree differs from it.
    """
    commit, _, name = worktree.git(
        root, "log", "-1", "--date=format-local:%Y%m%d", "--format=%H %cd-%h", "--abbrev=10", "--", *INPUTS
    ).partition(" ")
    if not (root / "app/package-lock.json").is_file():
        raise CorralError(
            f"There is no application in {root}: app/package-lock.json is missing.",
            "Run this in a checkout whose app/ has one (`npm install` makes it).",
            SEE,
        )
    files = worktree.files(root, *INPUTS)
    digest = worktree.digest(root, files)
    if not name or worktree.changes(root, *INPUTS):
        name = f"{name or 'uncommitted'}-dirty-{digest[:8]}"
    return Source(root, commit, name, digest, files)
