"""Archives of programs as one operation: fetched by the host itself, checked, unpacked beside, and linked to.

    archives(
        name="Install Node and PM2",
        archives=[Archive("node", "24.21.0", sha256={"x64": "6e85…", "arm64": "16ec…"})],
        source="s3://chat-lab-releases-123456789012/runtimes",
        directory="/opt/corral/runtimes",
        restarts=["corral-app.service"],
    )

`/opt/corral/runtimes/node` is then a link to `node-24.21.0-6e85d0fd`. A wrong checksum changes nothing.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyinfra import host
from pyinfra.api import FactBase, FileUploadCommand, StringCommand, operation
from pyinfra.api.exceptions import FactProcessError

from tasks.lib.services import markers
from tasks.lib.shell import RUN_DIRECTORY, command_line, repeated, run_script
from tasks.lib.templates import ROOT

# What `uname -m` says, in Node's words.
_ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}
UPLOADS = "/var/cache/corral"


@dataclass(frozen=True)
class Archive:
    """One program. `sha256`: hex, by architecture (x64, arm64), of the file that `file` names."""

    name: str
    version: str
    sha256: Mapping[str, str]

    def file(self, architecture: str) -> str:
        """The archive's file name."""
        return f"{self.name}-{self.version}-linux-{architecture}.tar.zst"

    def folder(self, architecture: str) -> str:
        """The folder it is unpacked to, named by its content too: other bytes are another folder."""
        return f"{self.name}-{self.version}-{self.sha256[architecture][:8]}"


def pinned(*names: str) -> list[Archive]:
    """The runtimes `names`, as files/process_manager/runtimes.json pins them (docs/releases.md)."""
    pins = json.loads((ROOT / "files/process_manager/runtimes.json").read_text())
    return [
        Archive(name, pins[name]["version"], {arch: pins[name][arch] for arch in _ARCHITECTURES.values()})
        for name in names
    ]


class Links(FactBase):
    """{"architecture": "x64", "links": {name: what the link says}} of the links `names` in `directory`."""

    _names: tuple[str, ...] = ()

    @staticmethod
    def default() -> dict[str, Any]:
        """No links yet, as on a host that is only played."""
        return {"architecture": "x64", "links": {}}

    def command(self, directory: str, names: tuple[str, ...]) -> str:
        """One command for all of them."""
        self._names = names
        return command_line("archives_state.sh", directory, *names)

    def process(self, output: list[str]) -> dict[str, Any]:
        """The machine, then a line for each name, empty when there is no such link."""
        machine, *links = output
        if machine not in _ARCHITECTURES:
            raise FactProcessError(
                f"there are no archives for {machine}, only for {', '.join(_ARCHITECTURES)}"
            )
        return {
            "architecture": _ARCHITECTURES[machine],
            "links": dict(zip(self._names, links, strict=True)),
        }


@operation()
def _archives(
    wanted: Sequence[Archive], source: str, directory: str, marks: Sequence[str]
) -> Iterator[StringCommand | FileUploadCommand]:
    """Install those whose link says something else."""
    now = host.get_fact(Links, directory=directory, names=tuple(archive.name for archive in wanted))
    architecture = now["architecture"]
    entries = []
    for archive in wanted:
        if now["links"].get(archive.name) == archive.folder(architecture):
            continue
        at = f"{source}/{archive.file(architecture)}"
        if not source.startswith("s3://"):
            at = f"{UPLOADS}/{archive.file(architecture)}"
            yield FileUploadCommand(f"{source}/{archive.file(architecture)}", at)
        entries.append(
            (at, archive.sha256[architecture], f"{directory}/{archive.folder(architecture)}", archive.name)
        )
    if entries:
        yield run_script("archives_apply.sh", RUN_DIRECTORY, " ".join(marks), directory, *repeated(entries))


def archives(
    name: str,
    archives: Sequence[Archive],
    source: str,
    directory: str,
    restarts: Sequence[str] = (),
    **global_arguments: Any,
) -> Any:
    """Let every archive be unpacked in `directory`, and a link of its name point to it.

    `source`: where the archives are: "s3://bucket/prefix", read with the host's own role, or a folder of this
    machine, from which they are sent. `restarts`: units that need it when a link changes (see
    `config_files`). Needs /usr/local/lib/corral (tasks/host_scripts.py). Returns pyinfra's OperationMeta.
    """
    return _archives(
        name=name,
        wanted=list(archives),
        source=source.rstrip("/"),
        directory=directory,
        marks=markers(restarts, ()),
        **global_arguments,
    )
