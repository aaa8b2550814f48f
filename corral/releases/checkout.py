"""A clean checkout of one commit of a git repository, for one build, and gone after it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corral.errors import CorralError
from corral.worktree import git

SEE = "docs/release-server.md"


@contextmanager
def checkout(repository: str, ref: str) -> Iterator[Path]:
    """Directory with the commit that `ref` (a branch, a tag or a commit) means in `repository`.

    `repository`: a path or an address, as `git clone` takes it. All of its history comes along, for it names
    releases. Raises CorralError when either does not exist.
    """
    with tempfile.TemporaryDirectory(prefix="corral-checkout-") as scratch:
        root = Path(scratch) / "repository"
        try:
            git(Path(scratch), "clone", "--quiet", "--no-checkout", "--", repository, str(root))
        except CorralError as error:
            said = error.problem.partition(": ")[2]
            raise CorralError(
                f"The repository {repository} could not be cloned: {said}",
                "Push to it first, or name another: --repository, or the setting release.repository.",
                SEE,
            ) from None
        git(root, "checkout", "--quiet", "--detach", _commit(root, repository, ref))
        yield root


def _commit(root: Path, repository: str, ref: str) -> str:
    """The commit, looked for as people mean it: a branch before a tag of the same name, then anything."""
    for name in (f"refs/remotes/origin/{ref}", f"refs/tags/{ref}", ref):
        try:
            return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except CorralError:
            continue
    raise CorralError(
        f"There is no branch, no tag and no commit {ref!r} in {repository}.",
        "Push it there, or give another.",
        SEE,
    )
