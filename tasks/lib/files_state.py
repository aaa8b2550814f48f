"""The fact behind config_files: what stands at many paths, read by one command."""

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyinfra.api import FactBase
from pyinfra.api.exceptions import FactProcessError

from tasks.lib.shell import command_line


def names_in(folder: str) -> str:
    """The path by which to ask for a folder and the names in it."""
    return f"{folder}/"


@dataclass(frozen=True)
class Standing:
    """What stands at a path.

    `mode`: the permission bits. `owner`, `group`: name and number. `digest`: sha256 of a file, of a link's
    target, or of the names in a folder, if they were asked for.
    """

    kind: str
    mode: int
    owner: tuple[str, str]
    group: tuple[str, str]
    digest: str = ""


_KINDS = {stat.S_IFREG: "file", stat.S_IFLNK: "link", stat.S_IFDIR: "directory"}


def parse(paths: Sequence[str], output: Sequence[str]) -> dict[str, Standing]:
    """Read the lines of scripts/files_state.sh. Paths at which nothing stands are left out.

    Raises FactProcessError when lines are missing: something vanished, or may not be read, while the command
    ran.
    """
    present = [paths[int(position)] for position in output[0].split()] if output else []
    states, digests = output[1 : 1 + len(present)], list(output[1 + len(present) :])
    fields = [line.split(" ") for line in states]
    kinds = [_KINDS.get(stat.S_IFMT(int(raw[0], 16)), "other") for raw in fields]
    # The links' digests come first, then the files', then those of names in folders.
    named = [
        "names" if k == "directory" and p.endswith("/") else k for p, k in zip(present, kinds, strict=False)
    ]
    hashed = [i for which in ("link", "file", "names") for i, kind in enumerate(named) if kind == which]
    if len(fields) != len(present) or len(digests) != len(hashed):
        raise FactProcessError(
            f"some of these changed while they were read, or can't be read: {', '.join(present)}"
        )
    digest_at = {i: line.lstrip("\\").split(" ")[0] for i, line in zip(hashed, digests, strict=True)}
    return {
        path: Standing(kind, stat.S_IMODE(int(mode, 16)), (user, uid), (group, gid), digest_at.get(i, ""))
        for i, (path, kind, (mode, user, uid, group, gid)) in enumerate(
            zip(present, kinds, fields, strict=True)
        )
    }


class FileStates(FactBase):
    """{path: Standing} of those of `paths` at which anything stands. A path may be one of `names_in`."""

    _paths: tuple[str, ...] = ()

    @staticmethod
    def default() -> dict[str, Standing]:
        """Nothing stands anywhere."""
        return {}

    def command(self, paths: tuple[str, ...]) -> str:
        """One command for all of them."""
        self._paths = paths
        return command_line("files_state.sh", *paths)

    def process(self, output: list[str]) -> Any:
        """See `parse`."""
        return parse(self._paths, output)
