"""What tasks want at paths, and what that means on a host (pure but for the repository's own files)."""

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyinfra.api.exceptions import OperationValueError

from tasks.lib.files_state import Standing, names_in
from tasks.lib.shell import checked_path
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
    """A folder at `dest`. What is in it stays as it is.

    `purge`: but for files and links that its set does not declare; these go. Folders in it stay.
    """

    dest: str
    owner: str = "root"
    group: str = "root"
    mode: str = "755"
    purge: bool = False


@dataclass(frozen=True)
class Absent:
    """No file and no link at `dest`. A folder there is never removed: the operation fails."""

    dest: str


Wanted = File | Link | Directory | Absent


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

    @property
    def asked(self) -> str:
        """The path by which FileStates is asked about it."""
        return names_in(self.path) if self.kind == "directory" and self.detail != "-" else self.path

    def stands(self, now: Standing | None) -> bool:
        """Is it so already? `now` is what FileStates found at the path, None when nothing is there."""
        if self.kind == "absent" or now is None:
            return self.kind == "absent" and now is None
        if now.kind != self.kind:
            return False
        digest = self.detail if self.kind == "file" else hashlib.sha256(self.detail.encode()).hexdigest()
        said = now.digest == digest or (self.kind == "directory" and self.detail == "-")
        if self.kind == "link":
            return said
        return said and now.mode == int(self.mode, 8) and self.owner in now.owner and self.group in now.group


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


def resolve(wanted: Wanted, data: Mapping[str, Any], names: Collection[str] = ()) -> Entry:
    """What `wanted` means on a host with `data`. `names`: of its set's files and links in it.

    Raises OperationValueError on a bad path, mode, source or template.
    """
    path = checked_path(wanted.dest)
    match wanted:
        case File():
            body = _body(wanted, data)
            digest = hashlib.sha256(body).hexdigest()
            return Entry("file", path, _octal(wanted.mode, path), wanted.owner, wanted.group, digest, body)
        case Directory():
            allowed = "".join(f"{name}\n" for name in sorted(names, key=os.fsencode)) if wanted.purge else "-"
            return Entry("directory", path, _octal(wanted.mode, path), wanted.owner, wanted.group, allowed)
        case Link():
            return Entry("link", path, detail=wanted.target)
        case Absent():
            return Entry("absent", path)


def resolve_set(files: Sequence[Wanted], data: Mapping[str, Any]) -> list[Entry]:
    """What each of a set means on a host with `data`. Raises as `resolve` does."""
    within: dict[str, list[str]] = {}
    for each in files:
        if isinstance(each, File | Link):
            folder, _, name = each.dest.rpartition("/")
            within.setdefault(folder, []).append(name)
    return [resolve(wanted, data, within.get(wanted.dest, ())) for wanted in files]


def asked_of(wanted: Wanted) -> str:
    """As Entry.asked, before anything is rendered."""
    return names_in(wanted.dest) if isinstance(wanted, Directory) and wanted.purge else wanted.dest
