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
import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyinfra import host
from pyinfra.api import StringCommand, operation
from pyinfra.api.exceptions import OperationValueError

from tasks.lib.files_state import FileStates, Standing
from tasks.lib.looks import Look
from tasks.lib.services import markers, predict
from tasks.lib.shell import RUN_DIRECTORY, checked_path, repeated, run_script
from tasks.lib.templates import ROOT, render


@dataclass(frozen=True)
class File:
    """A regular file at `dest`, with either `source` or `content`.

    `source`: a path in this repository; one that ends in .j2 is rendered with the host's data and `data`,
    anything else is copied byte by byte. `content`: text or bytes. `mode`: octal digits.
    """

    dest: str
    source: str | None = None
    content: str | bytes | None = None
    owner: str = "root"
    group: str = "root"
    mode: str = "644"
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Link:
    """A symbolic link at `dest` that says `target`."""

    dest: str
    target: str


@dataclass(frozen=True)
class Directory:
    """A folder at `dest`. What is in it stays as it is."""

    dest: str
    owner: str = "root"
    group: str = "root"
    mode: str = "755"


@dataclass(frozen=True)
class Absent:
    """No file and no link at `dest`. A folder there is never removed: the operation fails."""

    dest: str


@dataclass(frozen=True)
class Entry:
    """What shall stand at one path, in the words that the scripts speak."""

    kind: str
    path: str
    mode: str = "-"
    owner: str = "-"
    group: str = "-"
    detail: str = "-"
    body: bytes = field(default=b"", repr=False)

    def arguments(self) -> tuple[str, ...]:
        """The six arguments of this entry for scripts/files_apply.sh."""
        return self.kind, self.mode, self.owner, self.group, self.path, self.detail

    def stands(self, now: Standing | None) -> bool:
        """Is it so already? `now` is what FileStates found at the path, None when nothing is there."""
        if self.kind == "absent" or now is None:
            return self.kind == "absent" and now is None
        if self.kind == "link":
            return now.kind == "link" and now.digest == hashlib.sha256(self.detail.encode()).hexdigest()
        return (
            now.kind == self.kind
            and now.mode == int(self.mode, 8)
            and self.owner in now.owner
            and self.group in now.group
            and (self.kind == "directory" or now.digest == self.detail)
        )


def _body(file: File, data: Mapping[str, Any]) -> bytes:
    """The bytes of a file."""
    if (file.source is None) == (file.content is None):
        raise OperationValueError(f"{file.dest}: give it either a source or a content.")
    if file.content is not None:
        return file.content if isinstance(file.content, bytes) else file.content.encode()
    source = str(file.source)
    if source.endswith(".j2"):
        return render(source, {**data, **file.data}).encode()
    try:
        return (ROOT / source).read_bytes()
    except OSError as error:
        raise OperationValueError(
            f"{file.dest}: its source {source} can't be read: {error.strerror}."
        ) from None


def _octal(mode: str, path: str) -> str:
    if not mode or len(mode) > 4 or set(mode) - set("01234567"):
        raise OperationValueError(f"{path}: the mode {mode!r} is not octal digits such as '644'.")
    return mode


def resolve(wanted: File | Link | Directory | Absent, data: Mapping[str, Any]) -> Entry:
    """What `wanted` means on a host with `data`.

    Raises OperationValueError on a bad path, mode, source or template.
    """
    path = checked_path(wanted.dest)
    match wanted:
        case File():
            body = _body(wanted, data)
            digest = hashlib.sha256(body).hexdigest()
            return Entry("file", path, _octal(wanted.mode, path), wanted.owner, wanted.group, digest, body)
        case Directory():
            return Entry("directory", path, _octal(wanted.mode, path), wanted.owner, wanted.group)
        case Link():
            return Entry("link", path, detail=wanted.target)
        case Absent():
            return Entry("absent", path)


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
    now = _standing.answers([entry.path for entry in entries])
    different = [entry for entry in entries if not entry.stands(now.get(entry.path))]
    if different:
        predict(marks)
        yield apply_command(different, check, marks)


def config_files(
    name: str,
    files: Sequence[File | Link | Directory | Absent],
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
    if _standing.expect(wanted.dest for wanted in files):
        return None
    data = host.data.dict()
    entries = [resolve(wanted, data) for wanted in files]
    paths = [entry.path for entry in entries]
    if twice := {path for path in paths if paths.count(path) > 1}:
        raise OperationValueError(f"{name}: declared twice: {', '.join(sorted(twice))}.")
    return _config_files(
        name=name, entries=entries, check=check or "", marks=markers(restarts, reloads), **global_arguments
    )
