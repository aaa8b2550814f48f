"""Files, links and folders of a task as one operation: one command reads all, one changes what differs.

    config_files(
        name="Configure nginx",
        files=[
            File("/etc/nginx/nginx.conf", source="templates/nginx/nginx.conf.j2"),
            Link("/etc/nginx/sites-enabled/site", target="../sites-available/site"),
            Absent("/etc/nginx/sites-enabled/default"),
        ],
        check="nginx -t",
        restarts=["nginx.service"],
    )

`check` is a shell command that sees the new files at their real paths before anybody else does. It runs in a
mount namespace of its own, in which an overlay shows each folder of the set with the new files in it, and
read-only (scripts/files_apply.sh).
"""

import base64
import io
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any

from pyinfra import host
from pyinfra.api import StringCommand, operation
from pyinfra.api.exceptions import OperationValueError

from tasks.lib.files_state import FileStates, Standing
from tasks.lib.files_wanted import Absent, Directory, Entry, File, Link, Wanted, asked_of, resolve_set
from tasks.lib.looks import Look
from tasks.lib.services import markers, predict
from tasks.lib.shell import RUN_DIRECTORY, repeated, run_script

__all__ = ["Absent", "Directory", "File", "Link", "config_files"]


def pack(entries: Sequence[Entry]) -> str:
    """The contents of the files among `entries`: base64 of a tar whose members are named by position."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for position, entry in enumerate(entries):
            if entry.kind == "file":
                member = tarfile.TarInfo(str(position))
                member.size = len(entry.body)
                tar.addfile(member, io.BytesIO(entry.body))
    return base64.encodebytes(archive.getvalue()).decode()


def apply_command(
    entries: Sequence[Entry], check: str, marks: Sequence[str], run: str = RUN_DIRECTORY
) -> StringCommand:
    """The one command that brings `entries` to their places (scripts/files_apply.sh)."""
    arguments = repeated(entry.arguments() for entry in entries)
    return run_script("files_apply.sh", run, check, " ".join(marks), *arguments, stdin=pack(entries))


# What stands at the paths of all of a host's tasks; paths at which nothing stands are left out.
_standing: Look[str, Standing] = Look(lambda paths: host.get_fact(FileStates, paths=paths))


@operation()
def _config_files(entries: Sequence[Entry], check: str, marks: Sequence[str]) -> Iterator[StringCommand]:
    """Change what differs, if anything does."""
    now = _standing.answers([entry.asked for entry in entries])
    different = [entry for entry in entries if not entry.stands(now.get(entry.asked))]
    if different:
        predict(marks)
        yield apply_command(different, check, marks)


def config_files(
    name: str,
    files: Sequence[Wanted],
    check: str | None = None,
    restarts: Sequence[str] = (),
    reloads: Sequence[str] = (),
    **global_arguments: Any,
) -> Any:
    """Let `files` be on the host as declared, all or none of them.

    `name`: what a user would call it. `check`: a shell command run as root before anything is moved; it sees
    the new files at their real paths, and a code other than 0 means that nothing changes and the operation
    fails with what it said. `restarts`, `reloads`: units that need it when any file differs; `service` does
    it (tasks/lib/services.py), in this run or, should this run die, in the next. `global_arguments`:
    pyinfra's, such as `_if`.

    Folders above a file that are missing are made (root, 755); declare a Directory to have one otherwise.
    Templates are rendered here and now, so that a mistake in one is found before any host is changed.
    Returns pyinfra's OperationMeta; None while paths are gathered (tasks/lib/looks.py). Raises
    OperationValueError on a bad path, mode, source or template.
    """
    if _standing.expect(asked_of(wanted) for wanted in files):
        return None
    entries = resolve_set(files, host.data.dict())
    paths = [entry.path for entry in entries]
    if twice := {path for path in paths if paths.count(path) > 1}:
        raise OperationValueError(f"{name}: declared twice: {', '.join(sorted(twice))}.")
    return _config_files(
        name=name, entries=entries, check=check or "", marks=markers(restarts, reloads), **global_arguments
    )
